//! Printed scores against kube-scheduler's formulas, computed by hand.

use std::collections::BTreeMap;

use super::*;

/// The scores of the pod `p`, which has to be placed on `expected_node`.
#[track_caller]
fn check(text: &[String], expected_node: &str, expected: &[(&str, i64)]) {
    let report = report(&[&text.concat()]);
    let pod = report.pods.iter().find(|pod| pod.name == "p").unwrap();
    assert_eq!(pod.node.as_deref(), Some(expected_node));
    let expected: BTreeMap<&str, i64> = expected.iter().copied().collect();
    assert_eq!(pod.scores, expected);
    assert_eq!(pod.total, expected.values().sum::<i64>());
}

#[test]
fn resources() {
    // On a: cpu (4000 - 1000) * 100 / 4000 = 75, memory (8 - 2) * 100 / 8 = 75: 75.
    // Balance: both fractions 1/4, deviation 0, s = 100 with and without: 50 + 50 / 2 = 75.
    // On b: cpu (2000 - 1000) * 100 / 2000 = 50, memory 75: 62.
    check(
        &[
            node("a", "cpu: 4, memory: 8Gi"),
            node("b", "cpu: 2, memory: 8Gi"),
            pod("p", "requests: {cpu: 1, memory: 2Gi}", ""),
        ],
        "a",
        &[
            ("ImageLocality", 0),
            ("NodeResourcesBalancedAllocation", 75),
            ("NodeResourcesFit", 75),
            ("TaintToleration", 300),
        ],
    );
}

#[test]
fn what_is_placed_counts_and_who_asks_for_nothing_is_taken_to_use_something() {
    // Fit on a: `q` holds 500m and is taken to use 200 MiB; `p` is taken to use 100m and 200 MiB:
    // cpu (4000 - 600) * 100 / 4000 = 85, memory (4096 - 400) * 100 / 4096 = 90: 175 / 2 = 87.
    // On b, twice as full: cpu (1000 - 100) * 100 / 1000 = 90, memory (256 - 200) * 100 / 256 = 21:
    // 55. `p` asks for nothing, so that balance is not asked.
    check(
        &[
            node("a", "cpu: 4, memory: 4Gi"),
            node("b", "cpu: 1, memory: 256Mi"),
            pod("q", "requests: {cpu: 500m}", ", nodeName: a"),
            pod("p", "", ""),
        ],
        "a",
        &[
            ("ImageLocality", 0),
            ("NodeResourcesFit", 87),
            ("TaintToleration", 300),
        ],
    );
}

#[test]
fn unbalanced() {
    // On both: cpu 3/4, memory 1/8. Deviation (0.75 - 0.125) / 2 = 0.3125, s = 68 with the pod and
    // 100 without: 50 + (50 + 68 - 100) / 2 = 59. Fit: (25 + 87) / 2 = 56.
    let allocatable = "cpu: 4, memory: 8Gi";
    let tainted = "{apiVersion: v1, kind: Node, metadata: {name: b}, \
                   spec: {taints: [{key: k, effect: PreferNoSchedule}]}, \
                   status: {allocatable: {pods: 110, cpu: 4, memory: 8Gi}}}\n---\n";
    check(
        &[
            node("a", allocatable),
            tainted.to_owned(),
            pod("p", "requests: {cpu: 3, memory: 1Gi}", ""),
        ],
        "a",
        &[
            ("ImageLocality", 0),
            ("NodeResourcesBalancedAllocation", 59),
            ("NodeResourcesFit", 56),
            ("TaintToleration", 300),
        ],
    );
}

#[test]
fn taints_affinity_and_images() {
    // One preferred term of weight 10 matches b and one of 40 matches c: 10 * 100 / 40 = 25 on b
    // and 100 on c, times 2. c has 2 untolerated PreferNoSchedule taints and b has 1:
    // 100 - 2 * 100 / 2 = 0 on c and 50 on b, times 3. Image app:latest of 511 MiB is on b, one of
    // two nodes: (511 / 2 - 23) * 100 / (1000 - 23) = 23. Fit is 100 for a pod that asks for
    // nothing, less what it is taken to use: 99 of cpu and 99 of memory.
    // b: 50 + 150 + 23, c: 200 + 0 + 0.
    let node = |name: &str, taints: &str, images: &str| {
        format!(
            "{{apiVersion: v1, kind: Node, metadata: {{name: {name}, labels: {{host: {name}}}}}, \
             spec: {{taints: [{taints}]}}, status: {{images: [{images}], \
             allocatable: {{pods: 110, cpu: 100, memory: 100Gi}}}}}}\n---\n"
        )
    };
    let taint = |key: &str| format!("{{key: {key}, effect: PreferNoSchedule}}");
    let term = |weight: i32, name: &str| {
        format!(
            "{{weight: {weight}, preference: {{matchExpressions: \
             [{{key: host, operator: In, values: [{name}]}}]}}}}"
        )
    };
    let image = format!("{{names: ['app:latest'], sizeBytes: {}}}", 511 << 20);
    let affinity = format!(
        ", affinity: {{nodeAffinity: {{preferredDuringSchedulingIgnoredDuringExecution: \
         [{}, {}]}}}}",
        term(10, "b"),
        term(40, "c")
    );
    check(
        &[
            node("b", &taint("t1"), &image),
            node("c", &format!("{}, {}", taint("t1"), taint("t2")), ""),
            pod("p", "", &affinity),
        ],
        "b",
        &[
            ("ImageLocality", 23),
            ("NodeAffinity", 50),
            ("NodeResourcesFit", 99),
            ("TaintToleration", 150),
        ],
    );
}

#[test]
fn a_single_feasible_node_is_not_scored() {
    let text = [
        node("a", "cpu: 4, memory: 8Gi"),
        node("b", "cpu: 1, memory: 8Gi"),
        pod("p", "requests: {cpu: 2}", ""),
    ];
    check(&text, "a", &[]);
}

#[test]
fn the_scores_are_those_of_the_choice() {
    // Many pods of one class: what is kept of it between pods must not show.
    let nodes = (0..4).map(|place| node(&format!("n{place}"), "cpu: 8, memory: 8Gi"));
    let pods = (0..8).map(|place| pod(&format!("p{place}"), "requests: {cpu: 1, memory: 1Gi}", ""));
    let text: String = nodes.chain(pods).collect();
    let report = report(&[&text]);
    let totals: Vec<i64> = report.pods.iter().map(|pod| pod.total).collect();
    // First everybody gets an empty node (87 and 75), then one with a pod on it (75 and 75).
    let expected = [462, 462, 462, 462, 450, 450, 450, 450];
    assert_eq!(totals, expected);
}
