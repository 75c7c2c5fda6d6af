#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use super::*;
use crate::plugins::testing::plain::{PlainNode, PlainPod, PlainTerm};

fn cluster() -> Cluster {
    let mut cluster = Cluster::default();
    for place in 0..200 {
        let mut labels = std::collections::BTreeMap::new();
        labels.insert("number".to_owned(), place.to_string());
        labels.insert("parity".to_owned(), ["even", "odd"][place % 2].to_owned());
        if place % 3 == 0 {
            labels.insert("third".to_owned(), String::new());
        }
        let node = PlainNode {
            name: format!("node-{place}"),
            labels,
            ..PlainNode::default()
        };
        cluster.upsert_node(node.model(1));
    }
    cluster
}

fn term(key: &str, operator: &str, values: &[&str]) -> PlainTerm {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    PlainTerm {
        expressions: vec![(key.to_owned(), operator.to_owned(), values)],
        fields: Vec::new(),
    }
}

fn shape(pod: &PlainPod) -> PodShape {
    pod.compiled("", 1).waiting.unwrap().shape
}

/// How many nodes of 200 are left, asked about all at once and one by one.
#[track_caller]
fn check(pod: &PlainPod, expected: usize) {
    let (cluster, shape) = (cluster(), shape(pod));
    let mut left = cluster.nodes().clone();
    Filter::filter(
        &NodeAffinity::default(),
        &shape,
        &cluster,
        &mut left,
        &mut Diagnosis::default(),
    );
    assert_eq!(left.len(), expected);
    for node in cluster.nodes().iter() {
        let mut single = NodeSet::single(node);
        let mut why = Diagnosis::default();
        Filter::filter(
            &NodeAffinity::default(),
            &shape,
            &cluster,
            &mut single,
            &mut why,
        );
        assert_eq!(single.contains(node), left.contains(node));
        assert_ne!(why.rejected().contains(node), left.contains(node));
        assert_eq!(why.is_unresolvable(node), !left.contains(node));
    }
}

#[test]
fn sets_and_single_nodes_get_the_same_answer() {
    let requiring = |terms: Vec<PlainTerm>| PlainPod {
        required: Some(terms),
        ..PlainPod::default()
    };
    check(
        &requiring(vec![term("parity", "In", &["odd", "none"])]),
        100,
    );
    check(&requiring(vec![term("parity", "NotIn", &["odd"])]), 100);
    check(&requiring(vec![term("third", "Exists", &[])]), 67);
    check(&requiring(vec![term("third", "DoesNotExist", &[])]), 133);
    check(&requiring(vec![term("number", "Gt", &["189"])]), 10);
    check(&requiring(vec![term("number", "Lt", &["10"])]), 10);
    check(&requiring(vec![term("absent", "NotIn", &["a"])]), 200);
    check(&requiring(vec![term("absent", "Gt", &["1"])]), 0);
    check(
        &requiring(vec![
            term("number", "Lt", &["2"]),
            term("number", "Gt", &["197"]),
        ]),
        4,
    );
    check(&requiring(vec![]), 0);
    let selecting = PlainPod {
        node_selector: [("parity", "odd"), ("number", "7")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..PlainPod::default()
    };
    check(&selecting, 1);
}

#[test]
fn preferences_add_up() {
    let (cluster, mut column) = (cluster(), vec![-1; 200]);
    let pod = PlainPod {
        preferred: vec![
            (10, term("parity", "In", &["odd"])),
            (5, term("number", "Lt", &["4"])),
        ],
        ..PlainPod::default()
    };
    let shape = shape(&pod);
    Score::score(
        &NodeAffinity::default(),
        &shape,
        &cluster,
        cluster.nodes(),
        &mut column,
    );
    assert_eq!(column[..6], [5, 15, 5, 15, 0, 10]);
    let few: NodeSet = cluster.nodes().iter().take(6).collect();
    let mut again = vec![-1; 200];
    Score::score(&NodeAffinity::default(), &shape, &cluster, &few, &mut again);
    assert_eq!(
        again[..7],
        [5, 15, 5, 15, 0, 10, -1],
        "only those that were asked about"
    );
    assert!(
        !NodeAffinity::default().skips(&shape)
            && NodeAffinity::default().skips(&PodShape::default())
    );
}

#[test]
fn prefilter_skips_proceeds_narrows_or_refuses() {
    let cluster = cluster();
    let named = |name: &str| {
        let names = vec![name.to_owned()];
        ("metadata.name".to_owned(), "In".to_owned(), names)
    };
    let of = |terms: Option<Vec<PlainTerm>>| {
        let pod = PlainPod {
            required: terms,
            ..PlainPod::default()
        };
        PreFilter::pre_filter(&NodeAffinity::default(), &shape(&pod), &cluster)
    };
    let on = |names: &[&str]| PlainTerm {
        expressions: Vec::new(),
        fields: names.iter().map(|name| named(name)).collect(),
    };
    assert_eq!(of(None), PreFilterAnswer::Skip);
    assert_eq!(of(Some(vec![])), PreFilterAnswer::Proceed);
    assert_eq!(
        of(Some(vec![term("a", "Exists", &[])])),
        PreFilterAnswer::Proceed
    );
    let five = NodeSet::single(cluster.node_id("node-5").unwrap());
    assert_eq!(
        of(Some(vec![on(&["node-5"]), on(&["gone"])])),
        PreFilterAnswer::Narrow(five)
    );
    let conflict = PreFilterAnswer::Reject("pod affinity terms conflict".to_owned());
    assert_eq!(of(Some(vec![on(&["node-5", "node-6"])])), conflict);
}
