#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use super::*;
use crate::plugins::testing::plain::{PlainNode, PlainPod};

fn amounts(list: &[(&str, i64)]) -> crate::plugins::testing::plain::Amounts {
    list.iter()
        .map(|&(name, amount)| (name.to_owned(), amount))
        .collect()
}

/// The score of the one node for a pod, with what the node has and what is placed on it.
fn score(names: &[&str], all: &[(&str, i64)], used: &[(&str, i64)], asked: &[(&str, i64)]) -> i64 {
    let mut cluster = Cluster::default();
    let node = PlainNode {
        name: "node".to_owned(),
        allocatable: amounts(all),
        ..PlainNode::default()
    };
    cluster.upsert_node(node.model(1));
    cluster.confirm(&PlainPod::asking("placed", used).compiled("node", 1));
    let weights = names.iter().map(|name| ResourceWeight {
        name: (*name).into(),
        weight: 1,
    });
    let plugin = BalancedAllocation::new(weights.collect());
    let shape = PlainPod::asking("pod", asked)
        .compiled("", 1)
        .waiting
        .unwrap()
        .shape;
    let mut column = vec![0];
    Score::score(&plugin, &shape, &cluster, cluster.nodes(), &mut column);
    column[0]
}

#[test]
fn the_more_even_the_pod_leaves_a_node_the_better() {
    let two = &["cpu", "memory"];
    let all = &[("cpu", 100), ("memory", 100)];
    for (used, asked, expected) in [
        // Even before and after.
        (
            [("cpu", 0), ("memory", 0)],
            [("cpu", 50), ("memory", 50)],
            75,
        ),
        // 100 and 0 %: a deviation of a half.
        (
            [("cpu", 0), ("memory", 0)],
            [("cpu", 100), ("memory", 0)],
            50,
        ),
        (
            [("cpu", 100), ("memory", 0)],
            [("cpu", 0), ("memory", 100)],
            100,
        ),
        (
            [("cpu", 0), ("memory", 0)],
            [("cpu", 30), ("memory", 10)],
            70,
        ),
        // More than all is all.
        (
            [("cpu", 300), ("memory", 0)],
            [("cpu", 1), ("memory", 100)],
            100,
        ),
    ] {
        assert_eq!(
            score(two, all, &used, &asked),
            expected,
            "{used:?} {asked:?}"
        );
    }
    // With one resource there is nothing to balance, and one that the node has not is left out.
    assert_eq!(score(&["cpu"], all, &[], &[("cpu", 100)]), 75);
    assert_eq!(score(two, &[("cpu", 100)], &[], &[("cpu", 100)]), 75);
    assert_eq!(score(&["cpu", "no.such/one"], all, &[], &[("cpu", 9)]), 75);
    // Population standard deviation of 100, 0 and 0 %: 0.471.
    let three = &["cpu", "memory", "ephemeral-storage"];
    let all = &[("cpu", 10), ("memory", 10), ("ephemeral-storage", 10)];
    assert_eq!(
        score(three, all, &[], &[("cpu", 10)]),
        50 + (50 + 52 - 100) / 2
    );
}

#[test]
fn huge_amounts_do_not_overflow() {
    let huge = i64::MAX;
    let all = &[("cpu", huge), ("memory", 1)];
    let found = score(&["cpu", "memory"], all, &[("cpu", huge)], &[("cpu", huge)]);
    assert!((50..=100).contains(&found));
}

#[test]
fn who_asks_for_none_of_the_resources_is_skipped() {
    let skips = |asked: &[(&str, i64)]| {
        let shape = PlainPod::asking("pod", asked)
            .compiled("", 1)
            .waiting
            .unwrap()
            .shape;
        BalancedAllocation::default().skips(&shape)
    };
    assert!(skips(&[]));
    assert!(skips(&[("cpu", 0), ("nvidia.com/gpu", 1)]));
    assert!(!skips(&[("memory", 1)]));
}
