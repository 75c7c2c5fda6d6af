//! What an API server would have filled in.

use super::*;

/// What the node `a` is asked for once the text's pods are placed.
fn requested(text: &str, resource: &str) -> String {
    let text = node("a", "cpu: 64, memory: 64Gi, hugepages-2Mi: 1Gi") + text;
    let json: serde_json::Value = serde_json::from_str(&report(&[&text]).json().unwrap()).unwrap();
    let amount = &json["nodes"][0]["requested"][resource];
    amount.as_str().unwrap_or_default().to_owned()
}

#[test]
fn limits_are_requests_where_none_is_said() {
    let cases = [
        ("limits: {cpu: 2}", "2", "0"),
        ("limits: {cpu: 2}, requests: {cpu: 1}", "1", "0"),
        (
            "limits: {cpu: 2, memory: 1Gi}, requests: {cpu: 1}",
            "1",
            "1Gi",
        ),
        ("limits: {cpu: 2}, requests: {cpu: 0}", "0", "0"),
    ];
    for (resources, cpu, memory) in cases {
        let text = pod("p", resources, "");
        assert_eq!(requested(&text, "cpu"), cpu, "{resources}");
        assert_eq!(requested(&text, "memory"), memory, "{resources}");
    }
    let init = ", initContainers: [{name: i, resources: {limits: {cpu: 3}}}]";
    assert_eq!(requested(&pod("p", "", init), "cpu"), "3");
    // One that is bound counts in the same way.
    let bound = pod("p", "limits: {cpu: 2}", ", nodeName: a");
    assert_eq!(requested(&bound, "cpu"), "2");
}

#[test]
fn limits_of_the_pod_are_requests_of_what_no_container_asks_for() {
    let limits = ", resources: {limits: {cpu: 8, memory: 8Gi, hugepages-2Mi: 4Mi}}";
    let text = pod("p", "requests: {cpu: 1}", limits);
    assert_eq!(requested(&text, "cpu"), "1");
    assert_eq!(requested(&text, "memory"), "8Gi");
    assert_eq!(requested(&text, "hugepages-2Mi"), "4Mi");
    let bound = pod("p", "requests: {cpu: 1}", &format!(", nodeName: a{limits}"));
    assert_eq!(requested(&bound, "memory"), "8Gi");
}

#[test]
fn priorities_come_from_classes() {
    let class = |name: &str, fields: &str| {
        format!(
            "{{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, \
             metadata: {{name: {name}}}, {fields}}}\n---\n"
        )
    };
    let text = [
        node("a", "cpu: 1"),
        class("low", "value: -5"),
        class("usual", "value: 5, globalDefault: true"),
        class("more", "value: 7, globalDefault: true"),
        pod("low", "", ", priorityClassName: low"),
        pod("usual", "", ""),
        pod("six", "", ", priority: 6"),
        pod(
            "critical",
            "",
            ", priorityClassName: system-cluster-critical",
        ),
        pod("node", "", ", priorityClassName: system-node-critical"),
        // A pod of a dump has its priority; the class may have changed since.
        pod("dumped", "", ", priorityClassName: low, priority: 100"),
    ];
    let report = report(&[&text.concat()]);
    let order: Vec<&str> = report.pods.iter().map(|pod| pod.name.as_str()).collect();
    let expected = ["node", "critical", "dumped", "six", "usual", "low"];
    assert_eq!(order, expected);
}

#[test]
fn the_policy_comes_from_the_class() {
    let text = [
        node("a", "cpu: 1"),
        pod("held", "requests: {cpu: 1}", ", nodeName: a"),
        "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: polite}, \
         value: 5, preemptionPolicy: Never}\n---\n"
            .to_owned(),
        pod("p", "requests: {cpu: 1}", ", priorityClassName: polite"),
    ];
    assert_eq!(
        report(&[&text.concat()]).pods[0].message,
        "0/1 nodes are available: 1 Insufficient cpu. \
         preemption: not eligible due to preemptionPolicy=Never."
    );
}

#[test]
fn who_names_no_scheduler_is_for_the_default_one() {
    let text = [
        node("a", "cpu: 1"),
        pod("p", "", ""),
        pod("q", "", ", schedulerName: other"),
    ];
    let simulated = simulated_for(&["default-scheduler"], &[&text.concat()]);
    assert_eq!(placements(&simulated.report), [("p", "a")]);
}
