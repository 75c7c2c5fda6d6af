//! Clusters and pods with the answers that kube-scheduler v1.37.1 gave when its own plugins were
//! asked: who rejects which node and why, and every weighted score.
//!
//! Each line of `upstream.jsonl` is one cluster. The variants are those of [`profile`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::api;
use crate::cluster::Cluster;
use crate::framework::{Evaluation, Plugin, Profile};
use crate::model::{CompiledPod, NodeModel};
use crate::plugins::{
    BalancedAllocation, ImageLocality, NodeAffinity, NodeName, NodePorts, NodeResourcesFit,
    NodeUnschedulable, ResourceWeight, ScoringStrategy, ShapePoint, TaintToleration,
};

fn weights(resources: &[(&str, i64)]) -> Vec<ResourceWeight> {
    (resources.iter())
        .map(|&(name, weight)| ResourceWeight {
            name: name.into(),
            weight,
        })
        .collect()
}

fn profile(variant: u64) -> Profile {
    let shape =
        [(10, 1), (70, 10), (100, 3)].map(|(utilization, score)| ShapePoint { utilization, score });
    let fit = |strategy, resources: &[(&str, i64)]| {
        NodeResourcesFit::new(strategy, weights(resources), Vec::new(), Vec::new())
    };
    let even = |names: &[&str]| {
        let resources: Vec<_> = names.iter().map(|name| (*name, 1)).collect();
        BalancedAllocation::new(weights(&resources))
    };
    let (fit, balanced) = match variant {
        0 => (NodeResourcesFit::default(), BalancedAllocation::default()),
        1 => (
            fit(
                ScoringStrategy::MostAllocated,
                &[("cpu", 1), ("memory", 2), ("nvidia.com/gpu", 5)],
            ),
            even(&["cpu", "memory", "nvidia.com/gpu"]),
        ),
        2 => (
            fit(
                ScoringStrategy::RequestedToCapacityRatio(shape.into()),
                &[("cpu", 1), ("memory", 3), ("nvidia.com/gpu", 2)],
            ),
            even(&["memory", "ephemeral-storage", "cpu"]),
        ),
        _ => (
            NodeResourcesFit::new(
                ScoringStrategy::LeastAllocated,
                weights(&[
                    ("ephemeral-storage", 2),
                    ("hugepages-2Mi", 3),
                    ("cpu", 1),
                    ("nvidia.com/gpu", 4),
                ]),
                vec!["nvidia.com/gpu".into()],
                vec!["example.com".into()],
            ),
            even(&["ephemeral-storage", "nvidia.com/gpu"]),
        ),
    };
    let plugins: Vec<(Arc<dyn Plugin>, i64)> = vec![
        (Arc::new(NodeName), 0),
        (Arc::new(NodeUnschedulable), 0),
        (Arc::new(TaintToleration), 3),
        (Arc::new(NodeAffinity::default()), 2),
        (Arc::new(NodePorts), 0),
        (Arc::new(fit), 1),
        (Arc::new(balanced), 1),
        (Arc::new(ImageLocality), 1),
    ];
    Profile::new("berth", plugins)
}

fn objects<T: serde::de::DeserializeOwned>(list: &Value) -> Vec<T> {
    let list = list.as_array().into_iter().flatten();
    list.map(|one| serde_json::from_value(one.clone()).unwrap())
        .collect()
}

/// What our plugins say, in the form of the file.
fn answer(line: &Value) -> Value {
    let profile = profile(line["variant"].as_u64().unwrap());
    let mut cluster = Cluster::default();
    let nodes: Vec<api::Node> = objects(&line["nodes"]);
    for node in &nodes {
        cluster.upsert_node(NodeModel::compile(node).unwrap());
    }
    for pod in objects::<api::Pod>(&line["placed"]) {
        cluster.confirm(&CompiledPod::compile(&pod).unwrap());
    }
    let pod: api::Pod = serde_json::from_value(line["pod"].clone()).unwrap();
    let shape = CompiledPod::compile(&pod).unwrap().waiting.unwrap().shape;
    let mut evaluation = Evaluation::default();
    evaluation.filter(&profile, &shape, &cluster);
    if let Some(refusal) = evaluation.rejection() {
        return serde_json::json!({ "refused": refusal.message });
    }
    let mut verdicts = serde_json::Map::new();
    for node in &nodes {
        let id = cluster.node_id(&node.metadata.name).unwrap();
        let reasons: BTreeSet<String> = (evaluation.reasons_for(id))
            .map(|reason| reason.text().into_owned())
            .collect();
        let verdict = if evaluation.feasible().contains(id) {
            "fits".into()
        } else if reasons.is_empty() {
            "outside".into()
        } else {
            let unresolvable = evaluation.is_unresolvable(id);
            serde_json::json!({ "reasons": reasons, "unresolvable": unresolvable })
        };
        verdicts.insert(node.metadata.name.to_string(), verdict);
    }
    let mut answer = serde_json::json!({ "nodes": verdicts });
    if !evaluation.feasible().is_empty() {
        evaluation.score(&profile, &shape, &cluster);
        let scores: BTreeMap<String, BTreeMap<&str, i64>> = (evaluation.feasible().iter())
            .map(|node| {
                let scores = evaluation.scores(&profile, &shape, &cluster, node);
                let scores = (scores.into_iter())
                    .map(|(plugin, score)| (profile.plugin(plugin).name(), score))
                    .collect();
                (cluster.node_name(node).to_owned(), scores)
            })
            .collect();
        answer["scores"] = serde_json::json!(scores);
    }
    answer
}

/// The plugin that rejects a node follows from its reasons; scores of 0 are as good as none, which
/// is what a plugin that skips gives.
fn simplified(mut answer: Value) -> Value {
    for (_, verdict) in answer["nodes"].as_object_mut().into_iter().flatten() {
        if let Some(verdict) = verdict.as_object_mut() {
            verdict.remove("plugin");
        }
    }
    if let Some(scores) = answer["scores"].as_object_mut() {
        for (_, scores) in scores {
            if let Some(scores) = scores.as_object_mut() {
                scores.retain(|_, score| score.as_i64() != Some(0));
            }
        }
    }
    answer
}

#[test]
fn answers_are_those_of_kube_scheduler() {
    let mut scored = 0;
    for (number, line) in include_str!("upstream.jsonl").lines().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        let expected = simplified(line["answer"].clone());
        assert_eq!(simplified(answer(&line)), expected, "line {}", number + 1);
        scored += expected["scores"]
            .as_object()
            .map_or(0, serde_json::Map::len);
    }
    assert!(scored > 100, "only {scored} nodes were scored");
}
