#![allow(clippy::unwrap_used)]

use super::*;
use crate::plugins::testing::plain::{PlainNode, PlainPod};

fn node(name: &str, resource: &str, amount: i64) -> PlainNode {
    PlainNode {
        name: name.to_owned(),
        pods: 10,
        allocatable: [(resource.to_owned(), amount)].into(),
        ..PlainNode::default()
    }
}

#[test]
fn nodes_with_devices_are_left_to_pods_that_ask_for_them() {
    let mut cluster = Cluster::default();
    let mut nodes = NodeSet::new();
    for (name, resource, amount) in [
        ("gpu", "nvidia.com/gpu", 8),
        ("empty", "nvidia.com/gpu", 0),
        ("pages", "hugepages-2Mi", 8),
        ("cpu", "cpu", 8),
    ] {
        cluster.upsert_node(node(name, resource, amount).model(1));
        nodes.insert(cluster.node_id(name).unwrap());
    }
    let shape = |resource: &str, amount| {
        let pod = PlainPod::asking("", &[(resource, amount)]).compiled("", 1);
        pod.waiting.unwrap().shape
    };
    let plugin = ExtendedResourceAvoidance;
    let plain = shape("cpu", 1000);
    assert!(!plugin.skips(&plain));
    assert!(plugin.skips(&shape("nvidia.com/gpu", 1)));
    assert!(plugin.skips(&shape("amd.com/gpu", 1)));
    assert!(!plugin.skips(&shape("nvidia.com/gpu", 0)));
    let mut column = vec![7; cluster.node_slots()];
    Score::score(&plugin, &plain, &cluster, &nodes, &mut column);
    let score = |name| column[cluster.node_id(name).unwrap().index()];
    let scores = ["gpu", "empty", "pages", "cpu"].map(score);
    assert_eq!(scores, [0, MAX_SCORE, MAX_SCORE, MAX_SCORE]);
}
