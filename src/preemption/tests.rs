#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod gangs;
mod memory;
mod model;
mod scene;
mod single;

use std::sync::Arc;

use super::*;
use crate::framework::{Code, Diagnosis, Filter, Plugin};
use crate::model::PodShape;
use crate::plugins::testing::plain::{Amounts, PlainNode, PlainPod};
use crate::plugins::{default_profile, defaults};

/// Two nodes of four cpu, each with pods of these priorities and amounts of cpu.
fn cluster(pods: &[(usize, i32, i64)]) -> Cluster {
    let mut cluster = Cluster::default();
    for place in 0..2 {
        let node = PlainNode {
            name: format!("node-{place}"),
            pods: 110,
            allocatable: Amounts::from([("cpu".to_owned(), 4000)]),
            ..PlainNode::default()
        };
        cluster.upsert_node(node.model(1));
    }
    for (number, &(node, priority, cpu)) in pods.iter().enumerate() {
        let pod = PlainPod {
            priority,
            ..PlainPod::asking(&format!("pod-{number}"), &[("cpu", cpu)])
        };
        cluster.confirm(&pod.compiled(&format!("node-{node}"), 1));
    }
    cluster
}

fn verdict(cluster: &mut Cluster, priority: i32, cpu: i64) -> Verdict {
    verdict_of(&default_profile("berth"), cluster, priority, cpu)
}

fn verdict_of(profile: &Profile, cluster: &mut Cluster, priority: i32, cpu: i64) -> Verdict {
    let pod = PlainPod::asking("pod", &[("cpu", cpu)]).compiled("", 1);
    let shape = pod.waiting.unwrap().shape;
    let mut evaluation = Evaluation::default();
    evaluation.filter(profile, &shape, cluster);
    assert!(evaluation.feasible().is_empty());
    let preemptor = Preemptor {
        pod: (&shape).into(),
        priority,
        nominated: &Nominations::default(),
        hash: 0,
    };
    let surroundings = Surroundings {
        gangs: &Gangs::default(),
        budgets: &Budgets::default(),
    };
    search(
        cluster,
        profile,
        surroundings,
        &preemptor,
        &evaluation,
        (&mut Memory::default(), &mut Progress::unlimited()),
    )
}

fn hopeless(text: &str) -> Verdict {
    Verdict::Hopeless(text.to_owned())
}

/// The node that is cleared, and the victims by name.
fn cleared(cluster: &Cluster, verdict: Verdict) -> (usize, Vec<String>) {
    let Verdict::Candidate(found) = verdict else {
        panic!("{verdict:?}");
    };
    let names = (found.victims.iter())
        .map(|victim| cluster.placed(*victim).unwrap().reference.name.to_string());
    (found.node.index(), names.collect())
}

#[test]
fn room_that_could_be_made_is_seen_and_not_made() {
    let mut cluster = cluster(&[(0, 9, 3000), (1, 1, 3000), (1, 9, 500), (1, 2, 400)]);
    let ids: Vec<_> = cluster.iter_placed().map(|(id, _)| id).collect();
    let on: Vec<_> = cluster.pods_on(NodeId::new(1)).to_vec();
    let found = verdict(&mut cluster, 5, 2000);
    assert_eq!(cleared(&cluster, found), (1, vec!["pod-1".to_owned()]));
    assert!(cluster.iter_placed().map(|(id, _)| id).eq(ids));
    assert_eq!(cluster.pods_on(NodeId::new(1)), on);
    cluster.audit();
}

#[test]
fn equals_are_no_victims() {
    let mut cluster = cluster(&[(0, 5, 3000), (1, 5, 3000)]);
    let text = "0/2 nodes are available: 2 No preemption victims found for incoming pod.";
    assert_eq!(verdict(&mut cluster, 5, 2000), hopeless(text));
    assert!(matches!(
        verdict(&mut cluster, 6, 2000),
        Verdict::Candidate(_)
    ));
}

#[test]
fn all_victims_together_may_be_too_few() {
    let mut cluster = cluster(&[(0, 9, 3000), (0, 1, 500), (1, 9, 3500)]);
    let text = "0/2 nodes are available: 1 Insufficient cpu, \
                1 No preemption victims found for incoming pod.";
    assert_eq!(verdict(&mut cluster, 5, 2000), hopeless(text));
}

#[test]
fn who_is_too_large_is_told_at_once() {
    let mut cluster = cluster(&[(0, 1, 3000)]);
    let text = "0/2 nodes are available: 2 Preemption is not helpful for scheduling.";
    assert_eq!(verdict(&mut cluster, 5, 9000), hopeless(text));
}

/// Takes no pod on the second node, whoever is there.
struct FirstNodeOnly;

impl Plugin for FirstNodeOnly {
    fn name(&self) -> &'static str {
        "FirstNodeOnly"
    }

    fn filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }
}

impl Filter for FirstNodeOnly {
    fn obstacle(&self, _: &PodShape, _: &Cluster) -> Obstacle {
        Obstacle::None
    }

    fn filter(&self, _: &PodShape, _: &Cluster, left: &mut NodeSet, why: &mut Diagnosis) {
        let second = NodeSet::single(NodeId::new(1));
        let reason = Reason::Text("not the first node");
        why.reject(left, &second, reason, Code::Unschedulable);
    }
}

#[test]
fn all_nodes_are_told_of_where_the_best_one_is_none() {
    let mut plugins = defaults();
    plugins.push((Arc::new(FirstNodeOnly), 0));
    let profile = Profile::new("berth", plugins);
    let mut cluster = cluster(&[(0, 9, 3000), (1, 1, 3000)]);
    let text = "0/2 nodes are available: \
                1 No preemption victims found for incoming pod, 1 not the first node.";
    assert_eq!(verdict_of(&profile, &mut cluster, 5, 2000), hopeless(text));
}
