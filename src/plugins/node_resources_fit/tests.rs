#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use super::*;
use crate::cluster::NodeId;
use crate::plugins::testing::plain::{PlainNode, PlainPod};

/// The table of upstream's TestBrokenLinearFunction, its scores times ten as the plugin scales them.
#[test]
fn shapes_are_piecewise_linear() {
    let check = |shape: &[(i64, i64)], table: &[(i64, i64)]| {
        let shape: Vec<_> = (shape.iter())
            .map(|&(utilization, score)| ShapePoint { utilization, score })
            .collect();
        for &(used, expected) in table {
            assert_eq!(by_shape(&shape, used, 100), expected, "{shape:?} at {used}");
        }
    };
    check(
        &[(10, 1), (90, 9)],
        &[
            (0, 10),
            (9, 10),
            (10, 10),
            (15, 15),
            (19, 19),
            (20, 20),
            (89, 89),
            (90, 90),
            (99, 90),
        ],
    );
    check(
        &[(0, 2), (40, 10), (100, 0)],
        &[
            (0, 20),
            (20, 60),
            (30, 80),
            (40, 100),
            (70, 50),
            (100, 0),
            (110, 0),
        ],
    );
    check(
        &[(0, 2), (40, 2), (100, 2)],
        &[(0, 20), (30, 20), (70, 20), (110, 20)],
    );
    // Downwards the division cuts towards zero.
    check(&[(0, 10), (3, 0)], &[(0, 100), (1, 67), (2, 34), (3, 0)]);
    check(&[], &[(50, 0)]);
}

#[test]
fn scores_of_full_and_overfull_nodes() {
    for (requested, allocatable, least, most) in [
        (0, 100, 100, 0),
        (33, 100, 67, 33),
        (1, 3, 66, 33),
        (100, 100, 0, 100),
        (101, 100, 0, 100),
        (i64::MAX, i64::MAX, 0, 100),
        (i64::MAX / 2, i64::MAX, 50, 49),
    ] {
        assert_eq!(
            least_allocated(requested, allocatable),
            least,
            "least {requested}"
        );
        assert_eq!(
            most_allocated(requested, allocatable),
            most,
            "most {requested}"
        );
    }
}

fn cluster(amounts: &[(&str, i64)], placed: &[&[(&str, i64)]]) -> Cluster {
    let mut cluster = Cluster::default();
    let node = PlainNode {
        name: "node".to_owned(),
        pods: 110,
        allocatable: (amounts.iter())
            .map(|&(name, amount)| (name.to_owned(), amount))
            .collect(),
        ..PlainNode::default()
    };
    cluster.upsert_node(node.model(1));
    for (place, amounts) in placed.iter().enumerate() {
        let pod = PlainPod::asking(&format!("pod-{place}"), amounts);
        cluster.confirm(&pod.compiled("node", 1));
    }
    cluster
}

fn shape(amounts: &[(&str, i64)]) -> PodShape {
    let pod = PlainPod::asking("pod", amounts).compiled("", 1);
    pod.waiting.unwrap().shape
}

/// The reasons why the pod does not fit the one node.
fn reasons(plugin: &NodeResourcesFit, cluster: &Cluster, amounts: &[(&str, i64)]) -> Vec<String> {
    let mut left = cluster.nodes().clone();
    let mut why = Diagnosis::default();
    Filter::filter(plugin, &shape(amounts), cluster, &mut left, &mut why);
    let node = NodeId::new(0);
    let mut reasons: Vec<_> = (why.reasons_for(node))
        .map(|reason| reason.text().into_owned())
        .collect();
    reasons.sort();
    assert_eq!(left.contains(node), reasons.is_empty());
    reasons
}

#[test]
fn extended_resources_can_be_ignored_by_name_and_by_group() {
    let plugin = NodeResourcesFit::new(
        ScoringStrategy::default(),
        ResourceWeight::defaults(),
        vec![
            "example.com/one".into(),
            "cpu".into(),
            "hugepages-2Mi".into(),
        ],
        vec!["group.com".into()],
    );
    let cluster = cluster(&[], &[]);
    for (resource, ignored) in [
        ("example.com/one", true),
        ("example.com/two", false),
        ("group.com/any", true),
        ("mygroup.com/any", false),
        // Only extended ones can be.
        ("cpu", false),
        ("hugepages-2Mi", false),
    ] {
        let found = reasons(&plugin, &cluster, &[(resource, 1)]);
        assert_eq!(found.is_empty(), ignored, "{resource}");
        let default = reasons(&NodeResourcesFit::default(), &cluster, &[(resource, 1)]);
        assert_eq!(default, [format!("Insufficient {resource}")]);
    }
}

#[test]
fn what_is_asked_for_as_zero_fits_an_overdrawn_node() {
    let plugin = NodeResourcesFit::default();
    let cluster = cluster(&[("cpu", 10)], &[&[("cpu", 20), ("nvidia.com/gpu", 3)]]);
    assert!(reasons(&plugin, &cluster, &[("cpu", 0), ("nvidia.com/gpu", 0)]).is_empty());
    assert_eq!(
        reasons(&plugin, &cluster, &[("cpu", 1)]),
        ["Insufficient cpu"]
    );
}

#[test]
fn amounts_near_the_end_of_64_bits_neither_fit_nor_overflow() {
    let plugin = NodeResourcesFit::default();
    let huge = i64::MAX;
    let cluster = cluster(
        &[("memory", huge), ("cpu", huge)],
        &[&[("memory", huge)], &[("memory", huge)]],
    );
    assert_eq!(
        reasons(&plugin, &cluster, &[("memory", huge)]),
        ["Insufficient memory"]
    );
    assert_eq!(
        reasons(&plugin, &cluster, &[("memory", 1)]),
        ["Insufficient memory"]
    );
    assert!(reasons(&plugin, &cluster, &[("cpu", huge)]).is_empty());
    let mut column = vec![0; 1];
    for strategy in [
        ScoringStrategy::LeastAllocated,
        ScoringStrategy::MostAllocated,
        ScoringStrategy::RequestedToCapacityRatio(vec![ShapePoint {
            utilization: 0,
            score: 10,
        }]),
    ] {
        let resources = ResourceWeight::defaults();
        let plugin = NodeResourcesFit::new(strategy, resources, Vec::new(), Vec::new());
        let shape = shape(&[("memory", huge), ("cpu", huge)]);
        Score::score(&plugin, &shape, &cluster, cluster.nodes(), &mut column);
        assert!((0..=100).contains(&column[0]));
    }
}
