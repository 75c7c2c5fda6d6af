//! Clusters and pods with the answers that kube-scheduler v1.37.1 gave when its own
//! InterPodAffinity and PodTopologySpread were asked, with the feature gates at their defaults.
//!
//! Each line of `peers.jsonl` is one cluster: objects as the API writes them, the arguments of both
//! plugins, and the pods that were asked about. Of each pod and plugin there are
//!
//! - `preFilter`: `Success`, `Skip`, or code and text;
//! - `filter`, after Success: the nodes that are rejected, with code and reason;
//! - `feasible` and `subset`: what came of scoring the nodes that both plugins leave, and those of
//!   the pod's `subset`; `preScore` as above and, after Success, `raw` and `normalized` scores.
//!   A pod that either plugin refuses is not scored.
//!
//! Placed pods may ask for what cannot be read, as pods from before a check of the API server do.

use std::collections::{BTreeMap, BTreeSet};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::api;
use crate::cluster::{Cluster, NodeSet};
use crate::framework::{Diagnosis, Incoming, Plugin, PreFilterAnswer, Reason};
use crate::model::{
    self, CompiledPod, ControllerKind, LabelSelector, Labels, NodeModel, Requirement, labels,
};
use crate::plugins::testing::arbitrary::{easy_pod, node, pod};
use crate::plugins::testing::naive::World;
use crate::plugins::testing::peers::affinity::NaiveInterPodAffinity;
use crate::plugins::testing::peers::spread::NaivePodTopologySpread;
use crate::plugins::testing::peers::{
    Filtering, Peers, Scoring, SpreadConstraint, Workload, arbitrary,
};
use crate::plugins::testing::plain::{
    PlainNode, PlainPod, PlainRequirement, PlainTerm, PlainToleration,
};
use crate::plugins::{InterPodAffinity, PodTopologySpread};

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn map(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(key, one)| (key.clone(), text(one))).collect()
}

fn read_node(node: &Value) -> PlainNode {
    PlainNode {
        name: text(&node["metadata"]["name"]),
        labels: map(&node["metadata"]["labels"]),
        taints: (list(&node["spec"]["taints"]).iter())
            .map(|one| (text(&one["key"]), text(&one["value"]), text(&one["effect"])))
            .collect(),
        unschedulable: node["spec"]["unschedulable"] == json!(true),
        ..PlainNode::default()
    }
}

fn requirement(one: &Value) -> PlainRequirement {
    let values = list(&one["values"]).iter().map(text).collect();
    (text(&one["key"]), text(&one["operator"]), values)
}

fn read_pod(pod: &Value) -> PlainPod {
    let spec = &pod["spec"];
    let term = |term: &Value| PlainTerm {
        expressions: (list(&term["matchExpressions"]).iter())
            .map(requirement)
            .collect(),
        fields: list(&term["matchFields"]).iter().map(requirement).collect(),
    };
    let required =
        &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    PlainPod {
        uid: text(&pod["metadata"]["uid"]),
        tolerations: (list(&spec["tolerations"]).iter())
            .map(|one| PlainToleration {
                key: text(&one["key"]),
                operator: text(&one["operator"]),
                value: text(&one["value"]),
                effect: text(&one["effect"]),
            })
            .collect(),
        node_selector: map(&spec["nodeSelector"]),
        required: (required.is_object()).then(|| {
            list(&required["nodeSelectorTerms"])
                .iter()
                .map(term)
                .collect()
        }),
        peers: Peers::read(pod),
        ..PlainPod::default()
    }
}

fn world(line: &Value) -> World {
    let mut world = World::default();
    for one in list(&line["nodes"]) {
        world.upsert(read_node(one));
    }
    for one in list(&line["pods"]) {
        let pod = read_pod(one);
        let place = text(&one["spec"]["nodeName"]);
        world.placed.insert(pod.uid.clone(), (place, pod));
    }
    for one in list(&line["namespaces"]) {
        let meta = &one["metadata"];
        let labels = map(&meta["labels"]);
        world.namespaces.insert(text(&meta["name"]), labels);
    }
    for (field, kind) in [
        ("services", "Service"),
        ("replicationControllers", "ReplicationController"),
        ("replicaSets", "ReplicaSet"),
        ("statefulSets", "StatefulSet"),
    ] {
        let objects = list(&line[field]).iter();
        (world.workloads).extend(objects.map(|one| Workload::read(kind, one)));
    }
    world
}

fn filtering(filtering: &Filtering) -> Value {
    match filtering {
        Filtering::Skip => json!({ "preFilter": "Skip" }),
        Filtering::Refused(code, text) => json!({ "preFilter": [code, text] }),
        Filtering::Rejects(nodes) => json!({ "preFilter": "Success", "filter": nodes }),
    }
}

fn scoring(scoring: Scoring) -> Value {
    match scoring {
        Scoring::Skip => json!({ "preScore": "Skip" }),
        Scoring::Error(text) => json!({ "preScore": ["Error", text] }),
        Scoring::Scores(scores) => {
            let raw: BTreeMap<_, _> = scores.iter().map(|(node, score)| (node, score.0)).collect();
            let normalized: BTreeMap<_, _> =
                scores.iter().map(|(node, score)| (node, score.1)).collect();
            json!({ "preScore": "Success", "raw": raw, "normalized": normalized })
        }
    }
}

/// What the naive models say, in the form of the file.
fn answers(line: &Value, world: &World, asked: &Value) -> Value {
    let args = &line["args"];
    let affinity = &args["InterPodAffinity"];
    let weight = affinity["hardPodAffinityWeight"].as_i64().unwrap();
    let affinity = NaiveInterPodAffinity {
        hard_pod_affinity_weight: i32::try_from(weight).unwrap(),
        ignore_preferred_terms_of_existing_pods: affinity["ignorePreferredTermsOfExistingPods"]
            == json!(true),
    };
    let spread = &args["PodTopologySpread"];
    let defaults = || -> Vec<SpreadConstraint> {
        serde_json::from_value(spread["defaultConstraints"].clone()).unwrap()
    };
    let spread = NaivePodTopologySpread {
        defaults: (spread["defaultingType"] == "List").then(defaults),
    };
    let pod = read_pod(&asked["pod"]);
    let filterings = [affinity.filter(world, &pod), spread.filter(world, &pod)];
    let mut answers = json!({
        "InterPodAffinity": filtering(&filterings[0]),
        "PodTopologySpread": filtering(&filterings[1]),
    });
    let mut feasible: BTreeSet<String> = world.nodes.keys().cloned().collect();
    for filtering in &filterings {
        match filtering {
            Filtering::Skip => {}
            Filtering::Refused(..) => return answers,
            Filtering::Rejects(nodes) => feasible.retain(|name| !nodes.contains_key(name)),
        }
    }
    let subset = list(&asked["subset"]).iter().map(text).collect();
    for (which, nodes) in [("feasible", feasible), ("subset", subset)] {
        let nodes: Vec<String> = nodes.into_iter().collect();
        if !nodes.is_empty() {
            let score = affinity.score(world, &pod, &nodes);
            answers["InterPodAffinity"][which] = scoring(score);
            let score = spread.score(world, &pod, &nodes);
            answers["PodTopologySpread"][which] = scoring(score);
        }
    }
    answers
}

#[test]
fn naive_answers_are_those_of_kube_scheduler() {
    for (number, line) in include_str!("peers.jsonl").lines().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        let world = world(&line);
        for asked in list(&line["asked"]) {
            let answers = answers(&line, &world, asked);
            let (line, name) = (number + 1, &asked["pod"]["metadata"]["name"]);
            assert_eq!(answers, asked["answers"], "line {line}, pod {name}");
        }
    }
}

/// The generators give what can be read back, and all that can be said of a pod is said of some.
#[test]
fn generated_clusters_are_varied() {
    let strategy = (
        arbitrary::world(node, easy_pod()),
        arbitrary::in_company(pod(6)),
        proptest::option::of(arbitrary::default_constraints()),
    );
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..600 {
        let (world, pod, defaults) = strategy.new_tree(&mut runner).unwrap().current();
        for workload in &world.workloads {
            assert_eq!(Workload::read(&workload.kind, &workload.json()), *workload);
        }
        for pod in world.placed.values().map(|(_, pod)| pod).chain([&pod]) {
            assert_eq!(Peers::read(&pod.peers.json()), pod.peers);
            let read = pod.api("", 1);
            assert_eq!(*read.metadata.namespace, *pod.peers.namespace);
        }
        let affinity = NaiveInterPodAffinity {
            hard_pod_affinity_weight: 1,
            ignore_preferred_terms_of_existing_pods: false,
        };
        let of_system = defaults.is_none();
        let spread = NaivePodTopologySpread { defaults };
        let nodes: Vec<String> = world.nodes.keys().cloned().collect();
        for (plugin, filtering) in [
            ("affinity", affinity.filter(&world, &pod)),
            ("spread", spread.filter(&world, &pod)),
        ] {
            seen.insert(match filtering {
                Filtering::Skip => format!("{plugin}: skip"),
                Filtering::Refused(_, text) => panic!("{plugin}: {text}"),
                Filtering::Rejects(rejected) => match rejected.values().next() {
                    None => format!("{plugin}: all fit"),
                    Some(_) if rejected.len() == nodes.len() => format!("{plugin}: none fits"),
                    Some((_, reason)) => (*reason).to_owned(),
                },
            });
        }
        let which = match (pod.peers.spread.is_empty(), of_system) {
            (false, _) => "own",
            (true, true) => "system",
            (true, false) => "listed",
        };
        for (plugin, scoring) in [
            ("affinity", affinity.score(&world, &pod, &nodes)),
            (which, spread.score(&world, &pod, &nodes)),
        ] {
            seen.insert(match scoring {
                Scoring::Skip => format!("{plugin}: no score"),
                Scoring::Error(text) => panic!("{plugin}: {text}"),
                Scoring::Scores(scores) => {
                    let raw: BTreeSet<i64> = scores.values().map(|score| score.0).collect();
                    format!("{plugin}: {} scores", raw.len().min(3))
                }
            });
        }
    }
    let mut expected = vec![
        "node(s) didn't match pod affinity rules".to_owned(),
        "node(s) didn't match pod anti-affinity rules".to_owned(),
        "node(s) didn't satisfy existing pods anti-affinity rules".to_owned(),
        "node(s) didn't match pod topology spread constraints".to_owned(),
        "node(s) didn't match pod topology spread constraints (missing required label)".to_owned(),
    ];
    for plugin in ["affinity", "spread"] {
        for outcome in ["skip", "all fit", "none fits"] {
            expected.push(format!("{plugin}: {outcome}"));
        }
    }
    for plugin in ["affinity", "own", "system", "listed"] {
        for outcome in ["no score", "1 scores", "2 scores", "3 scores"] {
            expected.push(format!("{plugin}: {outcome}"));
        }
    }
    assert_eq!(seen, expected.into_iter().collect());
}

/// A cluster of the objects of a line.
pub(super) fn cluster(line: &Value, spread: &PodTopologySpread) -> Cluster {
    let mut cluster = Cluster::default();
    cluster.set_default_spread_keys(spread.default_spread_keys().into());
    for one in list(&line["nodes"]) {
        let node: api::Node = serde_json::from_value(one.clone()).unwrap();
        cluster.upsert_node(NodeModel::compile(&node).unwrap());
    }
    for one in list(&line["pods"]) {
        cluster.confirm(&compiled(one));
    }
    for one in list(&line["namespaces"]) {
        let namespace: api::Namespace = serde_json::from_value(one.clone()).unwrap();
        let meta = namespace.metadata;
        cluster.set_namespace(&meta.name, Some(labels(&meta.labels)));
    }
    for (field, kind) in [
        ("services", "Service"),
        ("replicationControllers", "ReplicationController"),
        ("replicaSets", "ReplicaSet"),
        ("statefulSets", "StatefulSet"),
    ] {
        for one in list(&line[field]) {
            let (namespace, name) = (
                text(&one["metadata"]["namespace"]),
                text(&one["metadata"]["name"]),
            );
            own(
                &mut cluster,
                kind,
                &namespace,
                &name,
                Some(&one["spec"]["selector"]),
            );
        }
    }
    cluster
}

/// Tells the cluster of a service or controller, of which this is the selector; None when it is gone.
pub(super) fn own(
    cluster: &mut Cluster,
    kind: &str,
    namespace: &str,
    name: &str,
    selector: Option<&Value>,
) {
    let pairs = |selector: &Value| -> Option<Labels> {
        let pairs: api::Pairs = serde_json::from_value(selector.clone()).unwrap();
        selector.is_object().then(|| labels(&pairs))
    };
    if kind == "Service" {
        cluster.set_service(namespace, name, selector.and_then(pairs));
        return;
    }
    let equal = |(key, value): &(Box<str>, Box<str>)| Requirement::equals(key, value);
    let by_labels = |selector: &Value| {
        pairs(selector).map(|labels| LabelSelector::of(labels.iter().map(equal).collect()))
    };
    let by_selector = |selector: &Value| {
        let selector: Option<api::LabelSelector> =
            serde_json::from_value(selector.clone()).unwrap();
        LabelSelector::compile(selector.as_ref()).ok()
    };
    let (kind, selector) = match kind {
        "ReplicationController" => (
            ControllerKind::ReplicationController,
            selector.and_then(by_labels),
        ),
        "ReplicaSet" => (ControllerKind::ReplicaSet, selector.and_then(by_selector)),
        _ => (ControllerKind::StatefulSet, selector.and_then(by_selector)),
    };
    cluster.set_controller(kind, namespace, name, selector);
}

pub(super) fn compiled(pod: &Value) -> CompiledPod {
    let pod: api::Pod = serde_json::from_value(pod.clone()).unwrap();
    CompiledPod::compile(&pod).unwrap()
}

/// What a plugin says of a pod, in the form of the file but for raw scores.
fn say(
    plugin: &dyn Plugin,
    pod: Incoming<'_>,
    cluster: &Cluster,
    scored: &[(&'static str, NodeSet)],
) -> Value {
    let (filter, score) = (plugin.peer_filter().unwrap(), plugin.peer_score().unwrap());
    let mut answer = match filter.pre_filter(pod, cluster) {
        PreFilterAnswer::Skip => json!({ "preFilter": "Skip" }),
        PreFilterAnswer::Reject(text) => {
            json!({ "preFilter": ["UnschedulableAndUnresolvable", text] })
        }
        PreFilterAnswer::Error(text) => json!({ "preFilter": ["Error", text] }),
        PreFilterAnswer::Proceed => {
            let (mut left, mut why) = (cluster.nodes().clone(), Diagnosis::default());
            filter.filter(pod, cluster, &mut left, &mut why);
            let mut rejected = cluster.nodes().clone();
            rejected.subtract(&left);
            let reasons: BTreeMap<&str, [&str; 2]> = (rejected.iter())
                .map(|node| {
                    let code = if why.is_unresolvable(node) {
                        "UnschedulableAndUnresolvable"
                    } else {
                        "Unschedulable"
                    };
                    let Some(Reason::Text(text)) = why.reasons_for(node).next() else {
                        panic!("rejected without a reason");
                    };
                    // One node alone has the same answer.
                    let mut single = NodeSet::single(node);
                    filter.filter(pod, cluster, &mut single, &mut Diagnosis::default());
                    assert!(single.is_empty());
                    (cluster.node_name(node), [code, text])
                })
                .collect();
            json!({ "preFilter": "Success", "filter": reasons })
        }
        PreFilterAnswer::Narrow(_) => panic!("no such plugin narrows"),
    };
    for (which, nodes) in scored {
        if let Some(fault) = score.fault(pod, cluster) {
            answer[which] = json!({ "preScore": ["Error", fault] });
            continue;
        }
        let mut column = vec![-7; cluster.node_slots()];
        if !score.score(pod, cluster, nodes, &mut column) {
            column.fill(0);
        }
        let scores: BTreeMap<&str, i64> = (nodes.iter())
            .map(|node| (cluster.node_name(node), column[node.index()]))
            .collect();
        answer[which] = json!(scores);
    }
    answer
}

/// The file's answer in the same form: without raw scores, and with 0 for each node where nothing is
/// scored, which comes to the same.
fn expected(answer: &Value, scored: &[(&'static str, NodeSet)], cluster: &Cluster) -> Value {
    let mut expected = answer.clone();
    for (which, nodes) in scored {
        let scoring = &answer[which];
        expected[which] = if scoring["preScore"] == "Success" {
            scoring["normalized"].clone()
        } else if scoring["preScore"].is_array() {
            scoring.clone()
        } else {
            let zero = |node| (cluster.node_name(node), 0);
            json!(nodes.iter().map(zero).collect::<BTreeMap<&str, i64>>())
        };
    }
    expected
}

/// The plugin with the arguments of a line.
pub(super) fn spread_of(args: &Value) -> PodTopologySpread {
    if args["defaultingType"] != "List" {
        return PodTopologySpread::default();
    }
    let honors = |policy: &Value, default| policy.as_str().map_or(default, |one| one == "Honor");
    let constraint = |one: &Value| model::SpreadConstraint {
        hard: one["whenUnsatisfiable"] == "DoNotSchedule",
        max_skew: one["maxSkew"].as_i64().unwrap(),
        topology_key: text(&one["topologyKey"]).into(),
        selector: LabelSelector::Nothing,
        min_domains: one["minDomains"].as_i64().unwrap_or(1),
        honor_affinity: honors(&one["nodeAffinityPolicy"], true),
        honor_taints: honors(&one["nodeTaintsPolicy"], false),
    };
    let constraints = list(&args["defaultConstraints"]).iter();
    PodTopologySpread::with_defaults(constraints.map(constraint).collect())
}

/// `BERTH_PEERS=FILE` compares another file in its place.
#[test]
fn the_plugins_answer_as_kube_scheduler() {
    let given = std::env::var("BERTH_PEERS");
    let lines = given.map_or_else(
        |_| include_str!("peers.jsonl").to_owned(),
        |path| std::fs::read_to_string(path).unwrap(),
    );
    for (number, line) in lines.lines().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        let args = &line["args"];
        let affinity = InterPodAffinity::new(
            args["InterPodAffinity"]["hardPodAffinityWeight"]
                .as_i64()
                .unwrap(),
            args["InterPodAffinity"]["ignorePreferredTermsOfExistingPods"] == json!(true),
        );
        let spread = spread_of(&args["PodTopologySpread"]);
        let mut cluster = cluster(&line, &spread);
        for asked in list(&line["asked"]) {
            let pod = compiled(&asked["pod"]);
            let peers = cluster.adopt(&pod.peers);
            cluster.prepare(peers);
            let shape = &pod.waiting.as_ref().unwrap().shape;
            let incoming = Incoming { shape, peers };
            let name = &asked["pod"]["metadata"]["name"];
            for plugin in [&affinity as &dyn Plugin, &spread] {
                let answer = &asked["answers"][plugin.name()];
                let scored: Vec<(&'static str, NodeSet)> = ["feasible", "subset"]
                    .into_iter()
                    .filter(|which| !answer[which].is_null())
                    .map(|which| {
                        let mut nodes: NodeSet = (list(&asked["subset"]).iter())
                            .filter_map(|name| cluster.node_id(name.as_str().unwrap()))
                            .collect();
                        if which == "feasible" {
                            nodes = cluster.nodes().clone();
                            for plugin in ["InterPodAffinity", "PodTopologySpread"] {
                                let rejected = &asked["answers"][plugin]["filter"];
                                for name in rejected.as_object().into_iter().flatten() {
                                    nodes.remove(cluster.node_id(name.0).unwrap());
                                }
                            }
                        }
                        (which, nodes)
                    })
                    .collect();
                let expected = expected(answer, &scored, &cluster);
                let said = say(plugin, incoming, &cluster, &scored);
                let (line, plugin) = (number + 1, plugin.name());
                assert_eq!(said, expected, "line {line}, pod {name}, {plugin}");
            }
            cluster.dismiss(peers);
            cluster.audit_peers().unwrap();
        }
    }
}
