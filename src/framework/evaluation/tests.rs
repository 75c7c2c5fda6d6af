#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeSet;

use super::*;
use crate::plugins::default_profile;
use crate::plugins::testing::peers::SpreadConstraint;
use crate::plugins::testing::plain::{Amounts, PlainNode, PlainPod, PlainTerm};

fn node(place: usize) -> PlainNode {
    PlainNode {
        name: format!("node-{place}"),
        pods: 110,
        allocatable: Amounts::from([("cpu".to_owned(), 4000)]),
        ..PlainNode::default()
    }
}

fn shape(cpu: i64) -> PodShape {
    let pod = PlainPod::asking("pod", &[("cpu", cpu)]).compiled("", 1);
    pod.waiting.unwrap().shape
}

fn setting(nodes: usize) -> (Cluster, Profile) {
    let mut cluster = Cluster::default();
    for place in 0..nodes {
        cluster.upsert_node(node(place).model(1));
    }
    (cluster, default_profile("berth"))
}

#[test]
fn after_the_first_time_only_changed_nodes_are_looked_at() {
    let (mut cluster, profile) = setting(1000);
    let shape = shape(100);
    let mut evaluation = Evaluation::default();
    evaluation.filter(&profile, &shape, &cluster);
    assert_eq!(evaluation.touched(), 1000);
    evaluation.filter(&profile, &shape, &cluster);
    assert_eq!(evaluation.touched(), 1000);
    for place in 0..3 {
        let pod = PlainPod::asking(&format!("pod-{place}"), &[]);
        cluster.confirm(&pod.compiled("node-7", 1));
    }
    cluster.upsert_node(node(8).model(2));
    evaluation.filter(&profile, &shape, &cluster);
    assert_eq!(evaluation.touched(), 1002);
    // So much changed that all are looked at.
    for place in 0..400 {
        cluster.upsert_node(node(place).model(3));
    }
    evaluation.filter(&profile, &shape, &cluster);
    assert_eq!(evaluation.touched(), 2002);
}

#[test]
fn equal_nodes_are_chosen_evenly_and_the_same_each_time() {
    let (cluster, profile) = setting(50);
    let shape = shape(100);
    let mut evaluation = Evaluation::default();
    evaluation.filter(&profile, &shape, &cluster);
    evaluation.score(&profile, &shape, &cluster);
    let choose = |seed| evaluation.choose(&cluster, mix(seed)).unwrap();
    let mut chosen = BTreeSet::new();
    for seed in 0..1000 {
        let choice = choose(seed);
        assert_eq!(choice, choose(seed));
        assert_eq!(choice.feasible, 50);
        chosen.insert(choice.node);
    }
    assert_eq!(chosen.len(), 50, "some node is never chosen");
}

#[test]
fn who_has_nothing_to_say_has_not_scored() {
    let (mut cluster, profile) = setting(2);
    let mut evaluation = Evaluation::default();
    let mut check = |pod: &PlainPod, expected: &str| {
        let compiled = pod.compiled("", 1);
        let shape = &compiled.waiting.unwrap().shape;
        let peers = cluster.adopt(&compiled.peers);
        let incoming = Incoming { shape, peers };
        evaluation.clear();
        evaluation.filter(&profile, incoming, &cluster);
        evaluation.score(&profile, incoming, &cluster);
        assert_eq!(profile.names(evaluation.scored()), expected);
    };
    let mut pod = PlainPod::asking("pod", &[("cpu", 1)]);
    check(
        &pod,
        "[ImageLocality NodeResourcesBalancedAllocation NodeResourcesFit TaintToleration]",
    );
    let term = PlainTerm {
        expressions: vec![("zone".to_owned(), "Exists".to_owned(), Vec::new())],
        fields: Vec::new(),
    };
    pod.preferred = vec![(1, term)];
    pod.peers.spread = vec![SpreadConstraint {
        max_skew: 1,
        topology_key: "zone".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        ..SpreadConstraint::default()
    }];
    check(
        &pod,
        "[ImageLocality NodeAffinity NodeResourcesBalancedAllocation NodeResourcesFit \
         PodTopologySpread TaintToleration]",
    );
}

#[test]
fn a_cleared_evaluation_is_a_new_one() {
    let (cluster, profile) = setting(10);
    let mut evaluation = Evaluation::default();
    evaluation.filter(&profile, &shape(5000), &cluster);
    assert!(evaluation.feasible().is_empty());
    assert!(evaluation.is_unresolvable(NodeId::new(0)));
    evaluation.clear();
    assert!(evaluation.rejectors().is_empty());
    evaluation.filter(&profile, &shape(1), &cluster);
    assert_eq!(evaluation.feasible().len(), 10);
    assert!(evaluation.feasible().contains(NodeId::new(0)));
    assert_eq!(evaluation.reasons(&profile, &cluster), None);
}
