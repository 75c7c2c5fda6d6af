#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

/// The expressions of a selector after keys were merged into it, for a pod with the labels a=1, b=2.
#[track_caller]
fn check(term: &Value, expected: &Value) {
    let weighted = json!({ "weight": 1, "podAffinityTerm": term });
    let affinity = json!({
        "requiredDuringSchedulingIgnoredDuringExecution": [term],
        "preferredDuringSchedulingIgnoredDuringExecution": [weighted],
    });
    let mut pod = json!({
        "metadata": { "labels": { "a": "1", "b": "2" } },
        "spec": {
            "affinity": { "podAffinity": affinity, "podAntiAffinity": affinity },
            "topologySpreadConstraints": [term],
        },
    });
    merge(&mut pod);
    let affinity = &pod["spec"]["affinity"];
    let mut merged = vec![&pod["spec"]["topologySpreadConstraints"][0]];
    for kind in ["podAffinity", "podAntiAffinity"] {
        let terms = &affinity[kind];
        merged.push(&terms["requiredDuringSchedulingIgnoredDuringExecution"][0]);
        let preferred = &terms["preferredDuringSchedulingIgnoredDuringExecution"][0];
        merged.push(&preferred["podAffinityTerm"]);
    }
    for term in merged {
        assert_eq!(&term["labelSelector"], expected);
    }
}

#[test]
fn labels_of_the_pod_become_part_of_selectors() {
    let a = json!({ "key": "a", "operator": "In", "values": ["1"] });
    let not_b = json!({ "key": "b", "operator": "NotIn", "values": ["2"] });
    let selector = json!({ "matchLabels": { "x": "y" } });
    check(&json!({ "labelSelector": selector }), &selector);
    check(
        &json!({ "labelSelector": selector, "matchLabelKeys": ["a", "none"] }),
        &json!({ "matchLabels": { "x": "y" }, "matchExpressions": [a] }),
    );
    check(
        &json!({ "labelSelector": { "matchExpressions": null },
            "matchLabelKeys": ["a"], "mismatchLabelKeys": ["b"] }),
        &json!({ "matchExpressions": [a, not_b] }),
    );
    let exists = json!({ "key": "x", "operator": "Exists" });
    check(
        &json!({ "labelSelector": { "matchExpressions": [exists] }, "mismatchLabelKeys": ["b"] }),
        &json!({ "matchExpressions": [exists, not_b] }),
    );
    check(&json!({ "matchLabelKeys": ["a"] }), &Value::Null);
    check(
        &json!({ "labelSelector": null, "matchLabelKeys": ["a"] }),
        &Value::Null,
    );
    let none = json!({ "labelSelector": {}, "matchLabelKeys": ["none"] });
    check(&none, &json!({}));
}
