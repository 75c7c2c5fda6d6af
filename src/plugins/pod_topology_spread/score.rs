//! Constraints that need not hold. Source: `podtopologyspread/scoring.go`.

use super::{Constraint, HOSTNAME, Inclusion, PodTopologySpread, with_all_labels};
use crate::cluster::{Cluster, NodeSet, Tally, TopologyKey, ValueId};
use crate::framework::{Incoming, MAX_SCORE, PeerScore};

/// Up to this many domains are looked at one by one; more by a pass over the nodes.
const FEW: usize = 64;

impl PeerScore for PodTopologySpread {
    fn fault(&self, pod: Incoming<'_>, cluster: &Cluster) -> Option<String> {
        let fault = (cluster
            .peers()
            .class(pod.peers)
            .spec()
            .bad_soft_spread
            .as_ref())?;
        Some(format!(
            "calculating preScoreState: obtaining pod's soft topology spread constraints: {fault}"
        ))
    }

    fn score(
        &self,
        pod: Incoming<'_>,
        cluster: &Cluster,
        feasible: &NodeSet,
        column: &mut [i64],
    ) -> bool {
        let class = cluster.peers().class(pod.peers);
        let constraints = self.constraints(class, cluster, false);
        if constraints.is_empty() {
            return false;
        }
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
                per_node(constraint, &scored, sums.len())
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
        if !feasible.is_subset(&scored) {
            for node in feasible.iter() {
                column[node.index()] = 0;
            }
        }
        normalize(&sums, &scored, column);
        true
    }
}

/// What a constraint adds to the score of a node.
enum Worth {
    ByValue(Vec<f64>),
    ByNode(Vec<f64>),
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
            Self::ByNode(worth) if scored.is_subset(key.labelled()) => {
                for (sum, worth) in sums.iter_mut().zip(worth) {
                    *sum += worth;
                }
            }
            Self::ByNode(worth) => {
                for node in scored.iter().filter(|&node| key.labelled().contains(node)) {
                    sums[node.index()] += worth[node.index()];
                }
            }
        }
    }
}

/// Each node by itself: of hostnames all pods of the node are counted, whatever its name says.
fn per_node(constraint: &Constraint<'_>, scored: &NodeSet, slots: usize) -> Worth {
    let weight = weight(scored.len());
    let mut worth = vec![score_for(0, constraint, weight); slots];
    for (node, pods) in constraint.pods.into_iter().flat_map(Tally::nodes) {
        if let Some(worth) = worth.get_mut(node.index()) {
            *worth = score_for(pods, constraint, weight);
        }
    }
    Worth::ByNode(worth)
}

/// How many domains the nodes are in; those without the label are in that of the empty value.
fn domains(key: &TopologyKey, nodes: &NodeSet) -> usize {
    if key.domains() <= FEW && nodes.is_subset(key.labelled()) {
        let met = |value: &ValueId| key.nodes(*value).meets(nodes);
        return key.ids().filter(met).count();
    }
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
    pods as f64 * weight + (constraint.asked.max_skew - 1) as f64
}

/// The fewer the better: 100 for a node with as few as the best would have if the worst had none.
fn normalize(sums: &[f64], scored: &NodeSet, column: &mut [i64]) {
    let (mut min, mut max) = (i64::MAX, 0);
    for node in scored.iter() {
        let score = sums[node.index()].round() as i64;
        min = min.min(score);
        max = max.max(score);
        column[node.index()] = score;
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
