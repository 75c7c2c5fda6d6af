//! PodTopologySpread, naively: every domain is counted anew for every question.

use std::collections::{BTreeMap, BTreeSet};

use super::{Filtering, Labels, Matcher, Scoring, SpreadConstraint, equal};
use crate::plugins::testing::naive::{World, selected, tolerated};
use crate::plugins::testing::plain::{PlainNode, PlainPod};

const HOSTNAME: &str = "kubernetes.io/hostname";
const HARD: &str = "DoNotSchedule";
const SOFT: &str = "ScheduleAnyway";

/// The plugin with its arguments.
pub(crate) struct NaivePodTopologySpread {
    /// For pods without constraints of their own; None for those of the system.
    pub(crate) defaults: Option<Vec<SpreadConstraint>>,
}

struct Constraint {
    spread: SpreadConstraint,
    selector: Matcher,
}

fn system_defaults() -> Vec<SpreadConstraint> {
    [(HOSTNAME, 3), ("topology.kubernetes.io/zone", 5)]
        .map(|(key, max_skew)| SpreadConstraint {
            max_skew,
            topology_key: key.to_owned(),
            when_unsatisfiable: SOFT.to_owned(),
            ..SpreadConstraint::default()
        })
        .into()
}

/// What services and the owner of the pod select it by.
fn default_selector(world: &World, pod: &PlainPod) -> Matcher {
    let peers = &pod.peers;
    let mut labels = Labels::new();
    let here = || (world.workloads.iter()).filter(|one| one.namespace == peers.namespace);
    for service in here().filter(|one| one.kind == "Service") {
        let wanted = service.labels.clone().unwrap_or_default();
        if (wanted.iter()).all(|(key, value)| peers.labels.get(key) == Some(value)) {
            labels.extend(wanted);
        }
    }
    let mut more = Matcher::default();
    if let Some(owner) = peers.owners.iter().find(|owner| owner.controller) {
        let version = match &*owner.kind {
            "ReplicationController" => "v1",
            "ReplicaSet" | "StatefulSet" => "apps/v1",
            _ => "of no kind that counts",
        };
        for one in here().filter(|one| one.kind == owner.kind && one.name == owner.name) {
            if owner.api_version == version {
                labels.extend(one.labels.clone().unwrap_or_default());
                more = Matcher::of(one.selector.as_ref()).unwrap_or_default();
            }
        }
    }
    let mut parts: Vec<_> = (labels.iter())
        .map(|(key, value)| equal(key, value))
        .collect();
    parts.extend(more.parts);
    Matcher {
        nothing: false,
        parts,
    }
}

/// Whether nodes like this one count for the constraint.
fn counts(constraint: &SpreadConstraint, pod: &PlainPod, node: &PlainNode) -> bool {
    let policy = |policy: &Option<String>, default: &str| {
        policy.clone().unwrap_or_else(|| default.to_owned()) == "Honor"
    };
    if policy(&constraint.node_affinity_policy, "Honor") && !selected(pod, node) {
        return false;
    }
    let forbids = |(key, value, effect): &(String, String, String)| {
        (effect == "NoSchedule" || effect == "NoExecute")
            && !tolerated(&pod.tolerations, (key, value, effect))
    };
    !(policy(&constraint.node_taints_policy, "Ignore") && node.taints.iter().any(forbids))
}

fn has_keys(constraints: &[Constraint], node: &PlainNode) -> bool {
    (constraints.iter()).all(|one| node.labels.contains_key(&one.spread.topology_key))
}

/// How many pods of the node the selector means. An empty one means none, though it matches all.
fn pods_meant(world: &World, node: &PlainNode, selector: &Matcher, namespace: &str) -> i64 {
    if selector.is_empty() {
        return 0;
    }
    (world.pods_on(&node.name))
        .filter(|pod| !pod.peers.terminating && pod.peers.namespace == namespace)
        .filter(|pod| selector.matches(&pod.peers.labels))
        .count() as i64
}

impl NaivePodTopologySpread {
    fn constraints(
        &self,
        world: &World,
        pod: &PlainPod,
        action: &str,
    ) -> Result<Vec<Constraint>, String> {
        let own = &pod.peers.spread;
        if own.is_empty() {
            let selector = default_selector(world, pod);
            if selector.is_empty() {
                return Ok(Vec::new());
            }
            let defaults = self.defaults.clone().unwrap_or_else(system_defaults);
            let constraint = |spread| Constraint {
                spread,
                selector: selector.clone(),
            };
            return Ok((defaults.into_iter())
                .filter(|one| one.when_unsatisfiable == action)
                .map(constraint)
                .collect());
        }
        let constraint = |spread: &SpreadConstraint| {
            let mut selector = Matcher::of(spread.label_selector.as_ref())?;
            for key in &spread.match_label_keys {
                if let Some(value) = pod.peers.labels.get(key) {
                    selector.parts.push(equal(key, value));
                }
            }
            Ok(Constraint {
                spread: spread.clone(),
                selector,
            })
        };
        (own.iter())
            .filter(|one| one.when_unsatisfiable == action)
            .map(constraint)
            .collect()
    }

    pub(crate) fn filter(&self, world: &World, pod: &PlainPod) -> Filtering {
        let constraints = match self.constraints(world, pod, HARD) {
            Ok(constraints) => constraints,
            Err(fault) => {
                let text = format!(
                    "get constraints from pod: obtaining pod's hard topology spread constraints: \
                     {fault}"
                );
                return Filtering::Refused("Error", text);
            }
        };
        if constraints.is_empty() {
            return Filtering::Skip;
        }
        let verdict = |node: &PlainNode| {
            for one in &constraints {
                let mut domains: BTreeMap<&str, i64> = BTreeMap::new();
                for other in world.nodes.values() {
                    if has_keys(&constraints, other) && counts(&one.spread, pod, other) {
                        let domain = domains.entry(&other.labels[&one.spread.topology_key]);
                        *domain.or_insert(0) +=
                            pods_meant(world, other, &one.selector, &pod.peers.namespace);
                    }
                }
                let Some(domain) = node.labels.get(&one.spread.topology_key) else {
                    let reason = "node(s) didn't match pod topology spread constraints (missing required label)";
                    return Some(("UnschedulableAndUnresolvable", reason));
                };
                let few = (domains.len() as i64) < i64::from(one.spread.min_domains.unwrap_or(1));
                let least = match domains.values().min() {
                    _ if few => 0,
                    Some(least) => *least,
                    None => i64::from(i32::MAX),
                };
                let own = i64::from(one.selector.matches(&pod.peers.labels));
                let here = domains.get(&**domain).copied().unwrap_or(0);
                if here + own - least > i64::from(one.spread.max_skew) {
                    let reason = "node(s) didn't match pod topology spread constraints";
                    return Some(("Unschedulable", reason));
                }
            }
            None
        };
        Filtering::Rejects(
            (world.nodes.iter())
                .filter_map(|(name, node)| Some((name.clone(), verdict(node)?)))
                .collect(),
        )
    }

    pub(crate) fn score(&self, world: &World, pod: &PlainPod, feasible: &[String]) -> Scoring {
        let constraints = match self.constraints(world, pod, SOFT) {
            Ok(constraints) => constraints,
            Err(fault) => {
                return Scoring::Error(format!(
                    "calculating preScoreState: obtaining pod's soft topology spread \
                     constraints: {fault}"
                ));
            }
        };
        if constraints.is_empty() {
            return Scoring::Skip;
        }
        // The system's constraints let a node without a zone be spread by its hostname.
        let all_keys = !pod.peers.spread.is_empty() || self.defaults.is_some();
        let ignored = |node: &PlainNode| all_keys && !has_keys(&constraints, node);
        let nodes: Vec<&PlainNode> = feasible.iter().map(|name| &world.nodes[name]).collect();
        let rated = || nodes.iter().filter(|node| !ignored(node));
        let namespace = &pod.peers.namespace;

        let domain = |one: &Constraint, node: &PlainNode| {
            let value = node.labels.get(&one.spread.topology_key);
            value.cloned().unwrap_or_default()
        };
        let score = |node: &PlainNode| -> i64 {
            let mut score = 0.0;
            for one in &constraints {
                if !node.labels.contains_key(&one.spread.topology_key) {
                    continue;
                }
                let domains: BTreeSet<String> = rated().map(|node| domain(one, node)).collect();
                let (count, size) = if one.spread.topology_key == HOSTNAME {
                    let count = pods_meant(world, node, &one.selector, namespace);
                    (count, rated().count())
                } else {
                    let count: i64 = (world.nodes.values())
                        .filter(|other| !ignored(other) && counts(&one.spread, pod, other))
                        .filter(|other| domain(one, other) == domain(one, node))
                        .map(|other| pods_meant(world, other, &one.selector, namespace))
                        .sum();
                    (count, domains.len())
                };
                let weight = ((size + 2) as f64).ln();
                score += count as f64 * weight + f64::from(one.spread.max_skew - 1);
            }
            score.round() as i64
        };
        let raw: Vec<i64> = rated().map(|node| score(node)).collect();
        let (least, most) = (raw.iter().min(), raw.iter().max());
        let normalized = |raw: i64| match (least, most) {
            (_, Some(0)) => 100,
            (Some(least), Some(most)) => 100 * (most + least - raw) / most,
            _ => 0,
        };
        let scores = |node: &&PlainNode| {
            let scores = if ignored(node) {
                (0, 0)
            } else {
                (score(node), normalized(score(node)))
            };
            (node.name.clone(), scores)
        };
        Scoring::Scores(nodes.iter().map(scores).collect())
    }
}
