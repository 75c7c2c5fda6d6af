//! Which pods a budget protects.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;

fn check(selector: Value, pod: (&str, &str, &[(&str, &str)]), expected: bool) {
    let object = json!({
        "metadata": { "namespace": "a", "name": "budget", "resourceVersion": "7" },
        "spec": { "selector": selector },
        "status": { "disruptionsAllowed": 1, "disruptedPods": { "gone": "2026-01-01T00:00:00Z" } },
    });
    let budget = DisruptionBudget::compile(&serde_json::from_value(object).unwrap());
    let (namespace, name, labels) = pod;
    let reference = PodRef {
        namespace: namespace.into(),
        name: name.into(),
        uid: "uid".into(),
    };
    let labels: Vec<(Box<str>, Box<str>)> = (labels.iter())
        .map(|(key, value)| ((*key).into(), (*value).into()))
        .collect();
    assert_eq!(
        budget.counts(&reference, &labels),
        expected,
        "{selector} {pod:?}"
    );
}

#[test]
fn a_budget_protects_the_pods_of_its_namespace_that_it_selects() {
    let web = json!({ "matchLabels": { "app": "web" } });
    check(web.clone(), ("a", "pod", &[("app", "web")]), true);
    check(web.clone(), ("b", "pod", &[("app", "web")]), false);
    check(web.clone(), ("a", "pod", &[("app", "db")]), false);
    check(web.clone(), ("a", "pod", &[]), false);
    check(web, ("a", "gone", &[("app", "web")]), false);
}

#[test]
fn a_selector_that_says_nothing_protects_nobody() {
    let labelled: &[(&str, &str)] = &[("app", "web")];
    check(json!({}), ("a", "pod", labelled), false);
    check(json!(null), ("a", "pod", labelled), false);
    let bad =
        json!({ "matchExpressions": [{ "key": "app", "operator": "Like", "values": ["w"] }] });
    check(bad, ("a", "pod", labelled), false);
    let absent = json!({ "matchExpressions": [{ "key": "x", "operator": "DoesNotExist" }] });
    check(absent.clone(), ("a", "pod", labelled), true);
    check(absent, ("a", "pod", &[]), false);
}
