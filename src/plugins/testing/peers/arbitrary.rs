//! Generators of what pods say about each other, with few distinct values, so that they meet.
//! All of it is what the API server accepts.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::{
    Expression, Labels, Owner, Peers, PodTerm, Selector, SpreadConstraint, WeightedTerm, Workload,
    equal,
};
use crate::plugins::testing::arbitrary::text;
use crate::plugins::testing::naive::World;
use crate::plugins::testing::plain::{PlainNode, PlainPod};

const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";
const NAMESPACES: &[&str] = &["default", "default", "default", "east", "west"];

fn pairs(entries: Vec<(&str, Option<String>)>) -> Labels {
    (entries.into_iter())
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}

/// The labels that make domains, added to the node's; some nodes lack some.
pub(crate) fn in_topology(node: BoxedStrategy<PlainNode>) -> BoxedStrategy<PlainNode> {
    (
        node,
        prop::bool::weighted(0.95),
        option::weighted(0.9, text(&["a", "b", "c"])),
        option::weighted(0.7, text(&["r1", "r2"])),
    )
        .prop_map(|(mut node, has_hostname, zone, rack)| {
            let hostname = has_hostname.then(|| node.name.clone());
            let labels = pairs(vec![(HOSTNAME, hostname), (ZONE, zone), ("rack", rack)]);
            node.labels.extend(labels);
            node
        })
        .boxed()
}

/// The labels of a pod.
pub(crate) fn labels() -> impl Strategy<Value = Labels> {
    (
        option::weighted(0.8, text(&["web", "web", "db"])),
        option::weighted(0.6, text(&["1", "2"])),
        option::weighted(0.5, text(&["h1", "h2"])),
    )
        .prop_map(|(app, tier, hash)| pairs(vec![("app", app), ("tier", tier), ("hash", hash)]))
}

/// The labels of a namespace.
pub(crate) fn namespace() -> BoxedStrategy<Labels> {
    option::weighted(0.7, text(&["x", "y"]))
        .prop_map(|team| pairs(vec![("team", team)]))
        .boxed()
}

fn expression(
    keys: &'static [&'static str],
    values: &'static [&'static str],
) -> impl Strategy<Value = Expression> {
    (
        text(keys),
        text(&["In", "In", "NotIn", "NotIn", "Exists", "DoesNotExist"]),
        subsequence(values, 1..=2),
    )
        .prop_map(|(key, operator, values)| Expression {
            key,
            values: if operator.ends_with("In") {
                values.into_iter().map(str::to_owned).collect()
            } else {
                Vec::new()
            },
            operator,
        })
}

fn selector() -> impl Strategy<Value = Selector> {
    let app = || text(&["web", "web", "db"]).prop_map(|app| pairs(vec![("app", Some(app))]));
    let part = || {
        expression(
            &["app", "app", "tier", "hash", "absent"],
            &["web", "db", "1", "h1"],
        )
    };
    prop_oneof![
        5 => (app(), Just(Vec::new())),
        2 => (app(), vec(part(), 1..=1)),
        2 => (Just(Labels::new()), vec(part(), 1..=2)),
        1 => (Just(Labels::new()), Just(Vec::new())),
    ]
    .prop_map(|(match_labels, match_expressions)| Selector {
        match_labels,
        match_expressions,
    })
}

fn topology_key() -> impl Strategy<Value = String> {
    text(&[
        HOSTNAME, HOSTNAME, HOSTNAME, ZONE, ZONE, ZONE, "rack", "rack", "disk", "nowhere",
    ])
}

fn term() -> impl Strategy<Value = PodTerm> {
    let namespaces = prop_oneof![
        4 => Just(Vec::new()),
        1 => subsequence(vec!["default", "east", "west"], 1..=2),
    ];
    let team = (
        Just(Labels::new()),
        vec(expression(&["team"], &["x", "y"]), 0..=1),
    );
    let namespace_selector = team.prop_map(|(match_labels, match_expressions)| Selector {
        match_labels,
        match_expressions,
    });
    (
        option::weighted(0.95, selector()),
        topology_key(),
        namespaces,
        option::weighted(0.25, namespace_selector),
    )
        .prop_map(
            |(label_selector, topology_key, namespaces, namespace_selector)| PodTerm {
                label_selector,
                topology_key,
                namespaces: namespaces.into_iter().map(str::to_owned).collect(),
                namespace_selector,
            },
        )
}

fn weighted_terms() -> impl Strategy<Value = Vec<WeightedTerm>> {
    let one = (select(vec![1, 2, 10, 50, 100]), term()).prop_map(|(weight, pod_affinity_term)| {
        WeightedTerm {
            weight,
            pod_affinity_term,
        }
    });
    vec(one, 1..=2)
}

fn spread() -> impl Strategy<Value = SpreadConstraint> {
    let policy = || option::of(text(&["Honor", "Ignore"]));
    (
        1..=3,
        topology_key(),
        prop::bool::ANY,
        option::weighted(0.95, selector()),
        option::weighted(0.3, 1..=4),
        (policy(), policy()),
        subsequence(vec!["tier", "hash"], 0..=1),
    )
        .prop_map(
            |(max_skew, topology_key, hard, label_selector, min_domains, policies, keys)| {
                SpreadConstraint {
                    max_skew,
                    topology_key,
                    when_unsatisfiable: if hard {
                        "DoNotSchedule"
                    } else {
                        "ScheduleAnyway"
                    }
                    .to_owned(),
                    min_domains: min_domains.filter(|_| hard),
                    node_affinity_policy: policies.0,
                    node_taints_policy: policies.1,
                    match_label_keys: (keys.into_iter())
                        .filter(|_| label_selector.is_some())
                        .map(str::to_owned)
                        .collect(),
                    label_selector,
                }
            },
        )
}

/// Constraints for pods without any, as the arguments of PodTopologySpread have them.
pub(crate) fn default_constraints() -> BoxedStrategy<Vec<SpreadConstraint>> {
    let bare = spread().prop_map(|one| SpreadConstraint {
        label_selector: None,
        match_label_keys: Vec::new(),
        ..one
    });
    vec(bare, 0..=3)
        .prop_map(|list| {
            // Each pair of key and action may be there once.
            let pair = |one: SpreadConstraint| {
                (
                    (one.topology_key.clone(), one.when_unsatisfiable.clone()),
                    one,
                )
            };
            let map: BTreeMap<_, _> = list.into_iter().map(pair).collect();
            map.into_values().collect()
        })
        .boxed()
}

fn owner() -> impl Strategy<Value = Owner> {
    let kind = select(vec![
        ("apps/v1", "ReplicaSet"),
        ("apps/v1", "StatefulSet"),
        ("v1", "ReplicationController"),
        ("batch/v1", "Job"),
    ]);
    (
        kind,
        text(&["one", "two", "gone"]),
        prop::bool::weighted(0.9),
    )
        .prop_map(|((api_version, kind), name, controller)| Owner {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            uid: format!("uid-of-{name}"),
            name,
            controller,
        })
}

/// What the API server adds to selectors of constraints for matchLabelKeys.
fn merged(mut peers: Peers) -> Peers {
    for one in &mut peers.spread {
        for key in &one.match_label_keys {
            if let (Some(selector), Some(value)) = (&mut one.label_selector, peers.labels.get(key))
            {
                selector.match_expressions.push(equal(key, value));
            }
        }
    }
    peers
}

/// All of it; each kind of term with this probability.
fn peers(likely: f64) -> impl Strategy<Value = Peers> {
    let some = move |terms| option::weighted(likely, terms).prop_map(Option::unwrap_or_default);
    let some_weighted =
        move || option::weighted(likely, weighted_terms()).prop_map(Option::unwrap_or_default);
    (
        (text(NAMESPACES), labels(), prop::bool::weighted(0.1)),
        vec(owner(), 0..=1),
        (some(vec(term(), 1..=2)), some_weighted()),
        (some(vec(term(), 1..=2)), some_weighted()),
        option::weighted(likely, vec(spread(), 1..=3)),
    )
        .prop_map(
            |((namespace, labels, terminating), owners, affinity, anti_affinity, spread)| {
                merged(Peers {
                    namespace,
                    labels,
                    terminating,
                    owners,
                    affinity: affinity.0,
                    preferred_affinity: affinity.1,
                    anti_affinity: anti_affinity.0,
                    preferred_anti_affinity: anti_affinity.1,
                    spread: spread.unwrap_or_default(),
                })
            },
        )
}

/// The pod in the company of others: some with much to ask of them, some with nothing.
pub(crate) fn in_company(pod: BoxedStrategy<PlainPod>) -> BoxedStrategy<PlainPod> {
    let peers = prop_oneof![1 => peers(0.02), 2 => peers(0.3), 1 => peers(0.7)];
    (pod, peers)
        .prop_map(|(pod, peers)| PlainPod { peers, ..pod })
        .boxed()
}

/// Who spreads pods by default: some of each kind.
pub(crate) fn workloads() -> BoxedStrategy<Vec<Workload>> {
    let kind = text(&[
        "Service",
        "Service",
        "ReplicationController",
        "ReplicaSet",
        "StatefulSet",
    ]);
    let key = (kind, text(NAMESPACES), text(&["one", "two"]));
    let app = text(&["web", "db"]).prop_map(|app| pairs(vec![("app", Some(app))]));
    let selectors = (
        option::weighted(0.9, prop_oneof![3 => app.boxed(), 1 => labels().boxed()]),
        option::weighted(0.9, selector()),
    );
    btree_map(key, selectors, 0..=8)
        .prop_map(|map| {
            (map.into_iter())
                .map(|((kind, namespace, name), (labels, selector))| {
                    let by_labels = matches!(&*kind, "Service" | "ReplicationController");
                    Workload {
                        kind,
                        namespace,
                        name,
                        labels: labels.filter(|_| by_labels),
                        selector: selector.filter(|_| !by_labels),
                    }
                })
                .collect()
        })
        .boxed()
}

/// A cluster of these nodes with pods on them.
pub(crate) fn world(
    node: impl Fn(usize) -> BoxedStrategy<PlainNode>,
    pod: BoxedStrategy<PlainPod>,
) -> BoxedStrategy<World> {
    const MOST: usize = 6;
    let names = subsequence(vec!["default", "east", "west"], 1..=3);
    (
        vec(in_topology(node(MOST)), 1..=MOST),
        vec((0..MOST, in_company(pod)), 0..=12),
        (names, vec(namespace(), 3)),
        workloads(),
    )
        .prop_map(|(nodes, placed, (names, labels), workloads)| {
            let mut world = World::default();
            for node in nodes {
                world.upsert(node);
            }
            let nodes: Vec<String> = world.nodes.keys().cloned().collect();
            for (place, (node, mut pod)) in placed.into_iter().enumerate() {
                pod.uid = format!("placed-{place}");
                let node = nodes[node % nodes.len()].clone();
                world.placed.insert(pod.uid.clone(), (node, pod));
            }
            let names = names.into_iter().map(str::to_owned);
            world.namespaces = names.zip(labels).collect::<BTreeMap<_, _>>();
            world.workloads = workloads;
            world
        })
        .boxed()
}
