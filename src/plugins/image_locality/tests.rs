#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use super::*;
use crate::cluster::NodeId;
use crate::plugins::testing::plain::{PlainContainer, PlainNode, PlainPod};

/// Images of each node, by name and MiB.
type Nodes<'a> = &'a [&'a [(&'a str, i64)]];

fn scores(nodes: Nodes<'_>, images: &[&str]) -> Vec<i64> {
    let mut cluster = Cluster::default();
    for (place, images) in nodes.iter().enumerate() {
        let node = PlainNode {
            name: format!("node-{place}"),
            images: (images.iter())
                .map(|&(name, size)| (vec![name.to_owned()], size * MIB))
                .collect(),
            ..PlainNode::default()
        };
        cluster.upsert_node(node.model(1));
    }
    let pod = PlainPod {
        containers: (images.iter())
            .map(|image| PlainContainer {
                image: (*image).to_owned(),
                ..PlainContainer::default()
            })
            .collect(),
        ..PlainPod::default()
    };
    let shape = pod.compiled("", 1).waiting.unwrap().shape;
    let mut column = vec![-1; nodes.len()];
    Score::score(
        &ImageLocality,
        &shape,
        &cluster,
        cluster.nodes(),
        &mut column,
    );
    column
}

#[test]
fn scores_grow_with_size_and_spread() {
    for (nodes, images, expected) in [
        (&[&[("a:1", 500)][..], &[]][..], &["a:1"][..], &[23, 0][..]),
        // On both nodes it counts fully.
        (&[&[("a:1", 500)], &[("a:1", 500)]], &["a:1"], &[48, 48]),
        // Too small to matter, too large to matter more.
        (&[&[("a:1", 20)]], &["a:1"], &[0]),
        (&[&[("a:1", 23)]], &["a:1"], &[0]),
        (&[&[("a:1", 5000)]], &["a:1"], &[100]),
        // The limit grows with the containers; an image twice counts twice.
        (&[&[("a:1", 1000)]], &["a:1", "b:1"], &[49]),
        (&[&[("a:1", 1000)]], &["a:1", "a:1"], &[100]),
        (&[&[("a:latest", 1000)]], &["a"], &[100]),
        (&[&[("a:latest", 1000)]], &["a:other"], &[0]),
    ] {
        assert_eq!(scores(nodes, images), expected, "{images:?}");
    }
}

#[test]
fn every_change_of_an_image_moves_the_epoch() {
    let node = |name: &str, images: &[&str]| PlainNode {
        name: name.to_owned(),
        images: (images.iter())
            .map(|image| (vec![(*image).to_owned()], 100 * MIB))
            .collect(),
        ..PlainNode::default()
    };
    let mut cluster = Cluster::default();
    let pod = PlainPod {
        containers: vec![PlainContainer {
            image: "a:1".to_owned(),
            ..PlainContainer::default()
        }],
        ..PlainPod::default()
    };
    let shape = pod.compiled("", 1).waiting.unwrap().shape;
    let mut seen = std::collections::BTreeSet::from([ImageLocality.epoch(&shape, &cluster)]);
    let mut version = 0;
    let mut moves = |cluster: &Cluster| seen.insert(ImageLocality.epoch(&shape, cluster));
    for (name, images, expected) in [
        ("one", &["b:1"][..], false),
        ("one", &["a:1"], true),
        ("two", &[], true),
        ("two", &["a:1"], true),
        ("two", &["a:1", "b:1"], false),
        ("two", &["b:1"], true),
        ("two", &["a:1"], true),
    ] {
        version += 1;
        cluster.upsert_node(node(name, images).model(version));
        assert_eq!(moves(&cluster), expected, "{name} {images:?}");
    }
    cluster.remove_node("one");
    assert!(moves(&cluster));
    assert!(cluster.nodes().contains(NodeId::new(1)));
}
