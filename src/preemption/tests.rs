#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use super::*;
use crate::plugins::default_profile;
use crate::plugins::testing::plain::{Amounts, PlainNode, PlainPod};

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

fn verdict(cluster: &mut Cluster, priority: i32, never: bool, cpu: i64) -> Verdict {
    let profile = default_profile("berth");
    let pod = PlainPod::asking("pod", &[("cpu", cpu)]).compiled("", 1);
    let shape = pod.waiting.unwrap().shape;
    let mut evaluation = Evaluation::default();
    evaluation.filter(&profile, &shape, cluster);
    assert!(evaluation.feasible().is_empty());
    let preemptor = Preemptor {
        pod: (&shape).into(),
        priority,
        never_preempts: never,
        nominated: &Nominations::default(),
    };
    explain(cluster, &profile, preemptor, &evaluation)
}

fn hopeless(text: &str) -> Verdict {
    Verdict::Hopeless(text.to_owned())
}

#[test]
fn room_that_could_be_made_is_seen_and_not_made() {
    let mut cluster = cluster(&[(0, 9, 3000), (1, 1, 3000), (1, 9, 500), (1, 2, 400)]);
    let ids: Vec<_> = cluster.iter_placed().map(|(id, _)| id).collect();
    let on: Vec<_> = cluster.pods_on(NodeId::new(1)).to_vec();
    assert_eq!(verdict(&mut cluster, 5, false, 2000), Verdict::Possible);
    assert!(cluster.iter_placed().map(|(id, _)| id).eq(ids));
    assert_eq!(cluster.pods_on(NodeId::new(1)), on);
    cluster.audit();
}

#[test]
fn equals_are_no_victims() {
    let mut cluster = cluster(&[(0, 5, 3000), (1, 5, 3000)]);
    let text = "preemption: 0/2 nodes are available: \
                2 No preemption victims found for incoming pod.";
    assert_eq!(verdict(&mut cluster, 5, false, 2000), hopeless(text));
    assert_eq!(verdict(&mut cluster, 6, false, 2000), Verdict::Possible);
}

#[test]
fn all_victims_together_may_be_too_few() {
    let mut cluster = cluster(&[(0, 9, 3000), (0, 1, 500), (1, 9, 3500)]);
    let text = "preemption: 0/2 nodes are available: 1 Insufficient cpu, \
                1 No preemption victims found for incoming pod.";
    assert_eq!(verdict(&mut cluster, 5, false, 2000), hopeless(text));
}

#[test]
fn who_is_too_large_or_never_preempts_is_told_at_once() {
    let mut cluster = cluster(&[(0, 1, 3000)]);
    let text = "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.";
    assert_eq!(verdict(&mut cluster, 5, false, 9000), hopeless(text));
    let text = "preemption: not eligible due to preemptionPolicy=Never.";
    assert_eq!(verdict(&mut cluster, 5, true, 9000), hopeless(text));
}
