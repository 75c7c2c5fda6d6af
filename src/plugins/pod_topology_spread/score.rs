//! Constraints that need not hold. Source: `podtopologyspread/scoring.go`.

use super::{Constraint, HOSTNAME, Inclusion, PodTopologySpread, with_all_labels};
use crate::cluster::{Cluster, NodeSet, Tally, TopologyKey, ValueId};
use crate::framework::{Incoming, MAX_SCORE, PeerScore};

impl PeerScore for PodTopologySpread {
    fn skips(&self, pod: Incoming<'_>, cluster: &Cluster) -> bool {
        let class = cluster.peers().class(pod.peers);
        if class.spec().has_spread {
            class.spec().spread.iter().all(|one| one.hard)
        } else {
            class.default_selector().is_none() || self.defaults.iter().all(|one| one.hard)
        }
    }

    fn score(&self, pod: Incoming<'_>, cluster: &Cluster, feasible: &NodeSet, column: &mut [i64]) {
        let class = cluster.peers().class(pod.peers);
        let constraints = self.constraints(class, cluster, false);
        // With the built-in defaults a node without a zone is still one to spread over.
        let all_labels = class.spec().has_spread || !self.system;
        let (mut counting, mut scored) = (cluster.nodes().clone(), feasible.clone());
        if all_labels {
            counting = with_all_labels(&counting, &constraints, cluster);
            scored = with_all_labels(&scored, &constraints, cluster);
        }
        let inclusion = Inclusion::new(pod, cluster, &constraints);
        let mut sums = vec![0.0_f64; column.len()];
        for constraint in &constraints {
            let key = cluster.peers().topology().key(constraint.key);
            let worth = if key.name() == HOSTNAME {
                per_node(constraint, key, &scored)
            } else {
                let counts = inclusion.counts(constraint, cluster, &counting);
                let weight = weight(domains(key, &scored));
                let mut worth = vec![score_for(0, constraint, weight); key.value_slots()];
                counts.for_each(key, |value, pods| {
                    worth[value.index()] = score_for(pods, constraint, weight);
                });
                // A node without the label and one with an empty value are in one domain.
                if let Some(empty) = key.value_id("") {
                    let without = inclusion.pods_without(constraint, cluster, &counting);
                    worth[empty.index()] =
                        score_for(counts.of(empty) + without, constraint, weight);
                }
                Worth::ByValue(worth)
            };
            worth.add_to(&mut sums, key, &scored);
        }
        for node in feasible.iter() {
            column[node.index()] = 0;
        }
        for node in scored.iter() {
            column[node.index()] = sums[node.index()].round() as i64;
        }
        normalize(&scored, column);
    }
}

/// What a constraint adds to the score of a node.
enum Worth {
    ByValue(Vec<f64>),
    /// Nodes with pods, and what the others get.
    ByNode(Vec<(usize, f64)>, f64),
}

impl Worth {
    fn add_to(&self, sums: &mut [f64], key: &TopologyKey, scored: &NodeSet) {
        match self {
            Self::ByValue(worth) => {
                for node in scored.iter() {
                    let value = key.value(node);
                    if value != ValueId::NONE {
                        sums[node.index()] += worth[value.index()];
                    }
                }
            }
            Self::ByNode(with_pods, without) => {
                let before: Vec<_> = (with_pods.iter())
                    .map(|&(index, worth)| (index, sums.get(index).copied().unwrap_or(0.0) + worth))
                    .collect();
                for node in scored.iter() {
                    if key.value(node) != ValueId::NONE {
                        sums[node.index()] += without;
                    }
                }
                for (index, sum) in before {
                    if let Some(held) = sums.get_mut(index) {
                        *held = sum;
                    }
                }
            }
        }
    }
}

/// Each node by itself: of hostnames all pods of the node are counted, whatever its name says.
fn per_node(constraint: &Constraint<'_>, key: &TopologyKey, scored: &NodeSet) -> Worth {
    let weight = weight(scored.len());
    let with_pods = (constraint.pods.into_iter().flat_map(Tally::nodes))
        .filter(|(node, _)| key.value(*node) != ValueId::NONE)
        .map(|(node, pods)| (node.index(), score_for(pods, constraint, weight)));
    Worth::ByNode(with_pods.collect(), score_for(0, constraint, weight))
}

/// How many domains the nodes are in; those without the label are in that of the empty value.
fn domains(key: &TopologyKey, nodes: &NodeSet) -> usize {
    let mut seen = vec![false; key.value_slots() + 1];
    let empty = key.value_id("").map(ValueId::index);
    let without = empty.unwrap_or(key.value_slots());
    for node in nodes.iter() {
        let value = key.value(node);
        let place = if value == ValueId::NONE {
            without
        } else {
            value.index()
        };
        seen[place] = true;
    }
    seen.into_iter().filter(|&seen| seen).count()
}

/// Labels with few values are not to be drowned by labels with many.
fn weight(domains: usize) -> f64 {
    ((domains + 2) as f64).ln()
}

fn score_for(pods: i64, constraint: &Constraint<'_>, weight: f64) -> f64 {
    pods as f64 * weight + (constraint.max_skew - 1) as f64
}

/// The fewer the better: 100 for a node with as few as the best would have if the worst had none.
fn normalize(scored: &NodeSet, column: &mut [i64]) {
    let (mut min, mut max) = (i64::MAX, 0);
    for node in scored.iter() {
        min = min.min(column[node.index()]);
        max = max.max(column[node.index()]);
    }
    for node in scored.iter() {
        let score = &mut column[node.index()];
        *score = if max == 0 {
            MAX_SCORE
        } else {
            MAX_SCORE * (max + min - *score) / max
        };
    }
}
