//! Generators of nodes and pods with few distinct values, so that they meet.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::naive::requirement_holds;
use super::peers::Peers;
use super::plain::{
    Amounts, PlainContainer, PlainNode, PlainPod, PlainRequirement, PlainTerm, PlainToleration,
};

const MIB: i64 = 1024 * 1024;
const GIB: i64 = 1024 * MIB;

pub(super) fn text(choices: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(choices).prop_map(str::to_owned)
}

/// One of the amounts, or nothing said.
fn maybe(
    name: &'static str,
    amounts: &'static [i64],
) -> impl Strategy<Value = Option<(String, i64)>> {
    prop_oneof![
        1 => Just(None),
        2 => select(amounts).prop_map(move |amount| Some((name.to_owned(), amount))),
    ]
}

fn collect(parts: Vec<Option<(String, i64)>>) -> Amounts {
    parts.into_iter().flatten().collect()
}

/// The name of the n-th node.
pub(crate) fn node_name(place: usize) -> String {
    format!("node-{place}")
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    (
        proptest::option::of(text(&["a", "b", "c"])),
        proptest::option::of(text(&["ssd", "hdd"])),
        proptest::option::of(text(&["1", "2", "10", "x", "+3", "-1"])),
    )
        .prop_map(|(zone, disk, generation)| {
            [("zone", zone), ("disk", disk), ("gen", generation)]
                .into_iter()
                .filter_map(|(key, value)| Some((key.to_owned(), value?)))
                .collect()
        })
}

fn taints() -> impl Strategy<Value = Vec<(String, String, String)>> {
    // The API server wants each pair of key and effect once.
    btree_map(
        (
            text(&["dedicated", "flaky"]),
            text(&[
                "NoSchedule",
                "PreferNoSchedule",
                "PreferNoSchedule",
                "NoExecute",
                "Odd",
            ]),
        ),
        text(&["", "gpu", "db"]),
        0..=2,
    )
    .prop_map(|map| {
        (map.into_iter())
            .map(|((key, effect), value)| (key, value, effect))
            .collect()
    })
}

fn images() -> impl Strategy<Value = Vec<(Vec<String>, i64)>> {
    let names = subsequence(
        vec![
            "app:1",
            "app:latest",
            "reg:5000/base:latest",
            "tool:v2",
            "tool@sha256:1",
        ],
        1..=2,
    );
    let image = (
        names.prop_map(|names| names.into_iter().map(str::to_owned).collect()),
        select(vec![MIB, 50 * MIB, 400 * MIB, 3000 * MIB]),
    );
    prop_oneof![2 => Just(Vec::new()), 1 => vec(image, 1..=2)]
}

fn allocatable() -> impl Strategy<Value = Amounts> {
    (
        maybe("cpu", &[0, 150, 1000, 4000, 64_000]),
        maybe("memory", &[0, 300 * MIB, GIB, 8 * GIB]),
        maybe("ephemeral-storage", &[GIB, 10 * GIB]),
        maybe("nvidia.com/gpu", &[0, 1, 4, 8]),
        maybe("hugepages-2Mi", &[4 * MIB, 64 * MIB]),
    )
        .prop_map(|(a, b, c, d, e)| collect(vec![a, b, c, d, e]))
}

/// A node whose name is one of the first `names`.
pub(crate) fn node(names: usize) -> BoxedStrategy<PlainNode> {
    (
        0..names,
        labels(),
        prop_oneof![2 => Just(Vec::new()), 1 => taints()],
        prop::bool::weighted(0.1),
        select(vec![0, 1, 3, 110, 110, 110]),
        allocatable(),
        images(),
    )
        .prop_map(
            |(place, labels, taints, unschedulable, pods, allocatable, images)| PlainNode {
                name: node_name(place),
                labels,
                taints,
                unschedulable,
                pods,
                allocatable,
                images,
            },
        )
        .boxed()
}

fn requests() -> impl Strategy<Value = Amounts> {
    (
        maybe("cpu", &[0, 50, 100, 100, 1000, 3000]),
        maybe("memory", &[0, 100 * MIB, 100 * MIB, GIB]),
        prop_oneof![3 => Just(None), 1 => maybe("ephemeral-storage", &[0, 500 * MIB, 5 * GIB])],
        prop_oneof![3 => Just(None), 1 => maybe("nvidia.com/gpu", &[0, 1, 4, 16])],
        prop_oneof![9 => Just(None), 1 => maybe("hugepages-2Mi", &[4 * MIB])],
        prop_oneof![19 => Just(None), 1 => maybe("example.com/nowhere", &[0, 1])],
        prop_oneof![19 => Just(None), 1 => maybe("unqualified", &[1])],
    )
        .prop_map(|(a, b, c, d, e, f, g)| collect(vec![a, b, c, d, e, f, g]))
}

fn container() -> impl Strategy<Value = PlainContainer> {
    let port = (
        text(&["", "0.0.0.0", "127.0.0.1", "10.0.0.1"]),
        text(&["", "TCP", "UDP"]),
        select(vec![0, 8080, 8080, 9090]),
    );
    (
        requests(),
        prop_oneof![4 => Just(Vec::new()), 1 => vec(port, 1..=2)],
        text(&[
            "none",
            "none",
            "app",
            "app:1",
            "reg:5000/base",
            "tool:v2",
            "tool@sha256:1",
        ]),
        any::<bool>(),
    )
        .prop_map(|(requests, ports, image, sidecar)| PlainContainer {
            requests,
            ports,
            image,
            sidecar,
        })
}

fn toleration() -> impl Strategy<Value = PlainToleration> {
    (
        text(&["", "dedicated", "flaky", "node.kubernetes.io/unschedulable"]),
        text(&["", "Equal", "Exists", "Exists", "Lt"]),
        text(&["", "gpu", "db"]),
        text(&["", "", "NoSchedule", "PreferNoSchedule", "NoExecute"]),
    )
        .prop_map(|(key, operator, value, effect)| PlainToleration {
            key,
            operator,
            value,
            effect,
        })
}

fn expression() -> impl Strategy<Value = PlainRequirement> {
    (
        prop_oneof![
            (Just("zone"), vec(text(&["a", "b", "q"]), 0..=2)),
            (Just("disk"), vec(text(&["ssd", "hdd"]), 0..=1)),
            (
                Just("gen"),
                vec(text(&["0", "2", "10", "5", "-1", "y"]), 1..=1)
            ),
            (Just("absent"), vec(text(&["a"]), 0..=1)),
        ],
        text(&[
            "In",
            "In",
            "NotIn",
            "Exists",
            "DoesNotExist",
            "Gt",
            "Lt",
            "Is",
        ]),
        any::<bool>(),
    )
        .prop_map(|((key, mut values), operator, proper)| {
            // Mostly in a form that can be read.
            if proper && matches!(&*operator, "Exists" | "DoesNotExist") {
                values.clear();
            }
            (key.to_owned(), operator, values)
        })
}

fn term(names: usize) -> impl Strategy<Value = PlainTerm> {
    let field = (0..names + 1, text(&["In", "In", "In", "NotIn"])).prop_map(|(place, operator)| {
        ("metadata.name".to_owned(), operator, vec![node_name(place)])
    });
    (
        vec(expression(), 0..=2),
        prop_oneof![2 => Just(Vec::new()), 1 => vec(field, 1..=2)],
    )
        .prop_map(|(expressions, fields)| PlainTerm {
            expressions,
            fields,
        })
}

/// Without what cannot be read, which is an error in preferred terms.
fn readable(term: impl Strategy<Value = PlainTerm>) -> impl Strategy<Value = PlainTerm> {
    term.prop_map(|mut term| {
        let anywhere = PlainNode::default();
        (term.expressions).retain(|one| requirement_holds(one, &anywhere).is_some());
        term
    })
}

/// A term that confines to one node, so that a pod of such terms is narrowed to few.
fn naming_term(names: usize) -> impl Strategy<Value = PlainTerm> {
    (0..names + 1).prop_map(|place| {
        let field = "metadata.name".to_owned();
        PlainTerm {
            expressions: Vec::new(),
            fields: vec![(field, "In".to_owned(), vec![node_name(place)])],
        }
    })
}

/// A pod, in a cluster whose nodes have the first `names` names; the uid is still to be given.
pub(crate) fn pod(names: usize) -> BoxedStrategy<PlainPod> {
    let affinity = (
        prop_oneof![
            3 => Just(BTreeMap::new()),
            1 => btree_map(text(&["zone", "disk"]), text(&["a", "ssd"]), 1..=2),
        ],
        prop_oneof![
            6 => Just(None),
            3 => vec(term(names), 0..=3).prop_map(Some),
            2 => vec(naming_term(names), 1..=2).prop_map(Some),
        ],
        prop_oneof![
            2 => Just(Vec::new()),
            1 => vec((select(vec![0, 1, 30, 100]), readable(term(names))), 1..=3),
        ],
    );
    let extras = (
        prop_oneof![9 => Just(Amounts::new()), 1 => requests()],
        prop_oneof![9 => Just(None), 1 => requests().prop_map(Some)],
        prop_oneof![1 => Just(Vec::new()), 1 => vec(toleration(), 1..=2)],
        select(vec![-5, 0, 0, 10, 1000]),
        prop::bool::weighted(0.1),
    );
    (
        vec(container(), 1..=2),
        prop_oneof![3 => Just(Vec::new()), 1 => vec(container(), 1..=3)],
        affinity,
        extras,
    )
        .prop_map(
            |(
                containers,
                init,
                (node_selector, required, preferred),
                (overhead, pod_level, tolerations, priority, never_preempts),
            )| PlainPod {
                uid: String::new(),
                priority,
                containers,
                init,
                overhead,
                pod_level,
                tolerations,
                node_selector,
                required,
                preferred,
                gates: Vec::new(),
                never_preempts,
                peers: Peers::default(),
            },
        )
        .boxed()
}

/// A pod that asks for nothing but amounts and a few tolerations: it fits more often than not.
pub(crate) fn easy_pod() -> BoxedStrategy<PlainPod> {
    (
        vec(requests(), 1..=2),
        vec(toleration(), 0..=1),
        select(vec![0, 0, 5, 10]),
    )
        .prop_map(|(amounts, tolerations, priority)| PlainPod {
            containers: (amounts.into_iter())
                .map(|requests| PlainContainer {
                    requests,
                    image: "app".to_owned(),
                    ..PlainContainer::default()
                })
                .collect(),
            tolerations,
            priority,
            ..PlainPod::default()
        })
        .boxed()
}
