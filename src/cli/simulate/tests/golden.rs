//! Whole reports, letter by letter.

use super::*;
use crate::cli::simulate::report::Style;

/// The example of docs/simulate.md.
const EXAMPLE: &str = include_str!("../../../../docs/examples/three-nodes.yaml");
const MANUAL: &str = include_str!("../../../../docs/simulate.md");
const README: &str = include_str!("../../../../README.md");

/// The block of the manual that begins with this line.
fn block(begin: &str) -> &'static str {
    let (_, rest) = MANUAL
        .split_once(&format!("```\n{begin}\n"))
        .expect("the manual has this block");
    rest.split_once("```").unwrap().0
}

#[test]
fn the_manual_shows_what_is_printed() {
    let Simulated { report, notes } = simulated_for(&[], &[EXAMPLE]);
    let table = report.table(Style::Plain);
    let expected = block("$ berth simulate docs/examples/three-nodes.yaml");
    let notes: String = notes.iter().map(|note| format!("note: {note}\n")).collect();
    assert_eq!(format!("{notes}{table}"), expected);
    assert!(README.contains(expected), "the README shows the same");
}

#[test]
fn the_manual_shows_what_is_printed_of_gangs() {
    let table = report(&[include_str!("../../../../docs/examples/gangs.yaml")]).table(Style::Plain);
    assert_eq!(table, block("$ berth simulate docs/examples/gangs.yaml"));
}

#[test]
fn the_manual_shows_what_is_printed_of_preemptions() {
    let text = include_str!("../../../../docs/examples/preemption.yaml");
    let table = report(&[text]).table(Style::Plain);
    assert_eq!(
        table,
        block("$ berth simulate docs/examples/preemption.yaml")
    );
}

#[test]
fn the_json_of_the_manual_is_what_is_printed() {
    let json = report(&[EXAMPLE]).json().unwrap();
    let shown = block("$ berth simulate docs/examples/three-nodes.yaml -o json | jq '.pods[4]'");
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    let shown: serde_json::Value = serde_json::from_str(shown).unwrap();
    assert_eq!(document["pods"][4], shown);
}

/// What programs read. A change here breaks them.
#[test]
fn json_is_stable() {
    let text = [
        node("a", "cpu: 2, memory: 4Gi, example.com/gpu: 2"),
        node("b", "cpu: 4, memory: 4Gi"),
        pod("one", "limits: {cpu: 1500m, example.com/gpu: 1}", ""),
        pod("two", "requests: {cpu: 8}", ""),
        pod(
            "three",
            "requests: {cpu: 1, memory: 1.5Gi}",
            ", nodeName: b",
        ),
        pod("four", "requests: {cpu: 100m, memory: 100}", ""),
    ];
    let expected = r#"{
  "pods": [
    {
      "namespace": "default",
      "name": "one",
      "node": "a",
      "reason": "Scheduled",
      "message": "Successfully assigned default/one to a",
      "scores": {},
      "total": 0,
      "nominatedNode": null,
      "wouldTake": null
    },
    {
      "namespace": "default",
      "name": "two",
      "node": null,
      "reason": "Unschedulable",
      "message": "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
      "scores": {},
      "total": 0,
      "nominatedNode": null,
      "wouldTake": null
    },
    {
      "namespace": "default",
      "name": "four",
      "node": "b",
      "reason": "Scheduled",
      "message": "Successfully assigned default/four to b",
      "scores": {
        "ImageLocality": 0,
        "NodeResourcesBalancedAllocation": 75,
        "NodeResourcesFit": 67,
        "TaintToleration": 300
      },
      "total": 442,
      "nominatedNode": null,
      "wouldTake": null
    }
  ],
  "nodes": [
    {
      "name": "a",
      "requested": {
        "cpu": "1500m",
        "example.com/gpu": "1",
        "memory": "0",
        "pods": "1"
      },
      "allocatable": {
        "cpu": "2",
        "example.com/gpu": "2",
        "memory": "4Gi",
        "pods": "110"
      }
    },
    {
      "name": "b",
      "requested": {
        "cpu": "1100m",
        "memory": "1610612836",
        "pods": "2"
      },
      "allocatable": {
        "cpu": "4",
        "memory": "4Gi",
        "pods": "110"
      }
    }
  ],
  "gangs": [],
  "preemptions": []
}
"#;
    assert_eq!(report(&[&text.concat()]).json().unwrap(), expected);
}

#[test]
fn colours_are_for_terminals() {
    let text = [node("a", "cpu: 2"), pod("big", "requests: {cpu: 3}", "")].concat();
    let report = report(&[&text]);
    let plain = report.table(Style::Plain);
    let coloured = report.table(Style::Colours);
    assert!(!plain.contains('\x1b'), "{plain}");
    assert!(coloured.contains("\x1b[31mdefault"), "{coloured}");
    assert_eq!(coloured.lines().count(), plain.lines().count());
}

#[test]
fn pods_are_decided_by_priority_and_then_by_their_place() {
    let class = "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, \
                 metadata: {name: high}, value: 10}\n---\n";
    let text = [
        pod("late", "requests: {cpu: 1}", ""),
        pod("gated", "", ", schedulingGates: [{name: wait}]"),
        pod("later", "requests: {cpu: 1}", ""),
        pod("first", "requests: {cpu: 1}", ", priorityClassName: high"),
        class.to_owned(),
        node("a", "cpu: 2, memory: 1Gi"),
    ];
    let report = report(&[&text.concat()]);
    let expected = [
        ("first", "a"),
        ("late", "a"),
        ("later", "Unschedulable"),
        ("gated", "SchedulingGated"),
    ];
    assert_eq!(placements(&report), expected);
}

#[test]
fn without_nodes_everything_is_pending() {
    let report = report(&[&pod("one", "", "")]);
    assert_eq!(
        report.pods[0].message,
        "no nodes available to schedule pods"
    );
}

#[test]
fn what_has_finished_and_what_is_of_others_is_left_out() {
    let finished = "{apiVersion: v1, kind: Pod, metadata: {name: done}, \
                    spec: {nodeName: gone}, status: {phase: Succeeded}}\n---\n";
    let text = [
        node("a", "cpu: 2"),
        pod("mine", "", ", schedulerName: mine"),
        pod("other", "", ""),
        finished.to_owned(),
        "{apiVersion: v1, kind: Secret, metadata: {name: s}}".to_owned(),
    ];
    let Simulated { report, notes } = simulated_for(&["mine"], &[&text.concat()]);
    assert_eq!(placements(&report), [("mine", "a")]);
    let expected = [
        "objects of other kinds are skipped: 1 Secret",
        "pods that have finished are left out: 1",
        "unbound pods of other schedulers are left out: 1 of default-scheduler",
    ];
    assert_eq!(notes, expected);
}

/// The same objects as YAML documents, as a list, as JSON, and over several files.
#[test]
fn every_form_gives_the_same_report() {
    let (node, pod) = (node("a", "cpu: 2"), pod("p", "requests: {cpu: 1}", ""));
    let expected = report(&[&[node.clone(), pod.clone()].concat()]);
    assert_eq!(placements(&expected), [("p", "a")]);
    assert_eq!(report(&[&pod, &node]), expected);
    let json = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"a","labels":null},
        "status":{"allocatable":{"pods":"110","cpu":"2"}}}
        {"apiVersion":"v1","kind":"PodList","items":[{"metadata":{"name":"p"},"spec":{"nodeName":null,
        "containers":[{"name":"main","image":"app","resources":{"requests":{"cpu":1}}}]}}]}"#;
    assert_eq!(report(&[json]), expected);
    let flow = "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: NodeList, items: [\
        {metadata: {name: a}, status: {allocatable: {pods: '110', cpu: '2'}}}]}]}\n--- # more\n";
    let windows = "\u{feff}%YAML 1.2\r\n---\r\n# a comment\r\n---\r\n".to_owned() + &pod;
    assert_eq!(report(&[flow, &windows]), expected);
}
