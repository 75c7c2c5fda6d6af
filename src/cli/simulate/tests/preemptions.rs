//! Who would be evicted for whom.

use super::*;
use crate::cli::simulate::report::Style;

/// A pod that runs on a node, with labels and a priority.
fn running(name: &str, on: &str, cpu: u32, labels: &str, priority: i32) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n\
         spec: {{nodeName: {on}, priority: {priority}, containers: [{{name: main, image: app, \
         resources: {{requests: {{cpu: {cpu}}}}}}}]}}\n---\n"
    )
}

/// A pod that waits.
fn waiting(name: &str, cpu: u32, priority: i32) -> String {
    let spec = format!(", priority: {priority}");
    pod(name, &format!("requests: {{cpu: {cpu}}}"), &spec)
}

/// Pods of a gang, each asking for so much.
fn gang(name: &str, pods: u32, cpu: u32, priority: i32) -> String {
    let group = format!(
        "{{apiVersion: scheduling.x-k8s.io/v1alpha1, kind: PodGroup, metadata: {{name: {name}}}, \
         spec: {{minMember: {pods}}}}}\n---\n"
    );
    let pod = |number| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}-{number}, labels: \
             {{scheduling.x-k8s.io/pod-group: {name}}}}}\nspec: {{priority: {priority}, containers: \
             [{{name: main, image: app, resources: {{requests: {{cpu: {cpu}}}}}}}]}}\n---\n"
        )
    };
    group + &(0..pods).map(pod).collect::<String>()
}

fn budget(spec: &str, status: &str) -> String {
    format!(
        "{{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {{name: web}}, spec: \
         {{{spec}selector: {{matchLabels: {{app: web}}}}}}{status}}}\n---\n"
    )
}

/// Each preemptor with its nodes and its victims.
fn preemptions(report: &Report) -> Vec<(&str, String, Vec<&str>)> {
    (report.preemptions.iter())
        .map(|one| {
            let victims = one.victims.iter().map(|victim| victim.name.as_str());
            let name = one.preemptor.name.as_str();
            (name, one.nodes.join(","), victims.collect())
        })
        .collect()
}

/// What programs read. A change here breaks them.
#[test]
fn json_is_stable() {
    let text = [
        node("a", "cpu: 4"),
        running("one", "a", 2, "app: web", 3),
        running("two", "a", 2, "scheduling.x-k8s.io/pod-group: pair", 1),
        "{apiVersion: scheduling.x-k8s.io/v1alpha1, kind: PodGroup, metadata: {name: pair}}\n---\n"
            .to_owned(),
        budget("minAvailable: 1, ", ""),
        waiting("big", 4, 10),
    ];
    let json = report(&[&text.concat()]).json().unwrap();
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    let expected = serde_json::json!([{
        "preemptor": { "namespace": "default", "name": "big" },
        "kind": "pod",
        "nodes": ["a"],
        "victims": [
            { "namespace": "default", "name": "one", "node": "a", "priority": 3 },
            { "namespace": "default", "name": "two", "node": "a", "priority": 1, "gang": "pair" },
        ],
        "budgetViolations": 1,
    }]);
    assert_eq!(report["preemptions"], expected);
    assert_eq!(report["pods"][0]["nominatedNode"], "a");
    assert_eq!(report["pods"][0]["node"], serde_json::Value::Null);
    assert_eq!(
        report["nodes"][0]["requested"]["cpu"], "4",
        "nobody has gone"
    );
}

#[test]
fn the_room_is_kept_for_the_preemptor() {
    let text = [
        node("a", "cpu: 4"),
        running("old", "a", 3, "", 0),
        waiting("high", 3, 10),
        waiting("beside-it", 1, 5),
        waiting("in-its-place", 2, 5),
        node("b", "cpu: 1"),
        waiting("elsewhere", 1, 0),
    ];
    let report = report(&[&text.concat()]);
    // There is one left on the node, and the preemptor has not come yet; but it counts already.
    let placed = [
        ("high", "Unschedulable"),
        ("beside-it", "b"),
        ("in-its-place", "Unschedulable"),
        ("elsewhere", "Unschedulable"),
    ];
    assert_eq!(placements(&report), placed);
    assert_eq!(
        preemptions(&report),
        [("high", "a".to_owned(), vec!["old"])]
    );
    let nominated: Vec<_> = (report.pods.iter())
        .map(|pod| pod.nominated_node.as_deref())
        .collect();
    assert_eq!(nominated, [Some("a"), None, None, None]);
}

/// Somebody who wants the rest of the same room waits for the same victim.
#[test]
fn a_victim_is_counted_once() {
    let text = [
        node("a", "cpu: 4"),
        running("old", "a", 4, "", 0),
        waiting("first", 2, 10),
        waiting("second", 2, 5),
    ];
    let report = report(&[&text.concat()]);
    let expected = [
        ("first", "a".to_owned(), vec!["old"]),
        ("second", "a".to_owned(), vec!["old"]),
    ];
    assert_eq!(preemptions(&report), expected);
    let shown = report.table(Style::Plain);
    assert!(shown.contains("\n1 pod would be evicted\n"), "{shown}");
}

#[test]
fn a_gang_evicts_for_all_of_it_or_nobody() {
    let nodes = [node("a", "cpu: 4"), node("b", "cpu: 4")].concat();
    let evicts = |second: i32| {
        let text = [
            running("one", "a", 4, "", 0),
            running("two", "b", 4, "", second),
            gang("big", 2, 3, 10),
        ];
        let report = report(&[&nodes, &text.concat()]);
        assert!(report.pods.iter().all(|pod| pod.node.is_none()));
        report
    };
    let report = evicts(1);
    let expected = [("big", "a,b".to_owned(), vec!["two", "one"])];
    assert_eq!(preemptions(&report), expected);
    let nominated = report.pods.iter().all(|pod| pod.nominated_node.is_some());
    assert!(nominated, "{:?}", report.pods);
    let report = evicts(10);
    assert_eq!(report.preemptions, []);
    let message = &report.gangs[0].message;
    let expected = "would need 1 pod of priority >= 10";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_pod_that_cannot_preempt_is_told_what_it_would_take() {
    let check = |spec: &str, expected: Option<&str>| {
        let text = [
            node("a", "cpu: 4"),
            running("one", "a", 2, "", 10),
            running("two", "a", 2, "", 20),
            pod("new", "requests: {cpu: 3}", spec),
        ];
        let report = report(&[&text.concat()]);
        assert_eq!(report.preemptions, [], "{spec}");
        assert_eq!(report.pods[0].would_take.as_deref(), expected, "{spec}");
        let shown = report.table(Style::Plain);
        assert_eq!(
            shown.contains("; would need"),
            expected.is_some(),
            "{shown}"
        );
    };
    check("", Some("would need 2 pods of priority >= 0"));
    check(", priority: 20", Some("would need 1 pod of priority >= 20"));
    check(", priority: 30, preemptionPolicy: Never", None);
    check(", nodeSelector: {no: such}", None);
}

/// A budget without a status has the one that the disruption controller would give it.
#[test]
fn budgets_allow_what_the_controller_would_say() {
    // Five pods, of which one is not ready and one is not bound.
    let pods: String = (0..3)
        .map(|number| running(&format!("web-{number}"), "a", 1, "app: web", 0))
        .collect();
    let unready = running("web-3", "a", 1, "app: web", 0).replace(
        "\n---",
        "\nstatus: {conditions: [{type: Ready, status: 'False'}]}\n---",
    );
    let unbound = "{apiVersion: v1, kind: Pod, metadata: {name: web-4, labels: {app: web}}, spec: \
                   {schedulingGates: [{name: wait}]}}\n---\n";
    let other = running("other", "a", 1, "app: other", 0);
    let check = |spec: &str, status: &str, allowed: u32| {
        // A gang that needs one victim more than are allowed evicts nobody.
        for (victims, evicts) in [(allowed, allowed > 0), (allowed + 1, false)] {
            let text = [
                node("a", "cpu: 5"),
                pods.clone(),
                unready.clone(),
                unbound.to_owned(),
                other.replace("priority: 0", "priority: 100"),
                budget(spec, status),
                gang("big", 1, victims, 10),
            ];
            let report = report(&[&text.concat()]);
            let found = report.preemptions.iter().map(|one| one.victims.len()).sum();
            let expected = if evicts { victims as usize } else { 0 };
            let case: (usize, &str, &str) = (found, spec, status);
            assert_eq!(case, (expected, spec, status));
            assert!(
                report
                    .preemptions
                    .iter()
                    .all(|one| one.budget_violations == 0)
            );
        }
    };
    check("minAvailable: 3, ", "", 0);
    check("minAvailable: 2, ", "", 1);
    check("minAvailable: '40%', ", "", 1);
    check("minAvailable: '41%', ", "", 0);
    check("maxUnavailable: 2, ", "", 0);
    check("maxUnavailable: 3, ", "", 1);
    check("maxUnavailable: '60%', ", "", 1);
    check("maxUnavailable: '41%', ", "", 1);
    check("maxUnavailable: 9, ", "", 3);
    check("minAvailable: 3, ", ", status: {disruptionsAllowed: 2}", 2);
    check("minAvailable: 1, ", ", status: {disruptionsAllowed: 0}", 0);
}

#[test]
fn a_victim_counts_against_its_budgets_from_then_on() {
    let text = [
        node("a", "cpu: 4"),
        node("b", "cpu: 4"),
        running("web-0", "a", 4, "app: web", 0),
        running("web-1", "b", 4, "app: web", 0),
        budget("minAvailable: 1, ", ""),
        gang("first", 1, 4, 20),
        gang("second", 1, 4, 10),
    ];
    let report = report(&[&text.concat()]);
    assert_eq!(report.preemptions.len(), 1, "{:?}", report.preemptions);
    let message = &report.gangs[1].message;
    let expected = "PDB default/web allows 0 disruptions";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn wrong_budgets_are_told() {
    let check = |spec: &str, expected: &str| {
        let text = [node("a", "cpu: 4"), budget(spec, "")].concat();
        assert_eq!(wrong(&[&text]), [format!("a.yaml: document 2: {expected}")]);
    };
    let amount = "expected a number of pods or a percentage up to 100%";
    check(
        "minAvailable: -1, ",
        &format!("spec.minAvailable: {amount}"),
    );
    check(
        "maxUnavailable: 101%, ",
        &format!("spec.maxUnavailable: {amount}"),
    );
    check(
        "maxUnavailable: half, ",
        &format!("spec.maxUnavailable: {amount}"),
    );
    check(
        "minAvailable: 1, maxUnavailable: 1, ",
        "spec: minAvailable and maxUnavailable exclude each other; keep one of them",
    );
    check(
        "minAvailable: [], ",
        "spec.minAvailable: expected a number of pods or a percentage",
    );
}
