//! NodeAffinity: nodeSelector, required and preferred node affinity. Source:
//! `plugins/nodeaffinity`.

use crate::cluster::{Cluster, NodeSet};
use crate::framework::{
    ClusterEvent, Code, Diagnosis, EventKind, EventSet, Filter, Incoming, Normalize, Obstacle,
    Plugin, PreFilter, PreFilterAnswer, Reason, Score, Topic,
};
use crate::model::{LabelView, PodShape, PreferredTerm, RequiredTerms};

const REASON: Reason = Reason::Text("node(s) didn't match Pod's node affinity/selector");
const ENFORCED: Reason = Reason::Text("node(s) didn't match scheduler-enforced node affinity");

/// Up to this many nodes are asked one by one; more go through the label index.
const ONE_BY_ONE: usize = 8;

/// Matches pods to nodes by labels and names.
#[derive(Clone, Debug, Default)]
pub struct NodeAffinity {
    added_required: Option<RequiredTerms>,
    added_preferred: Vec<PreferredTerm>,
}

impl NodeAffinity {
    /// Adds these terms to what every pod asks for (`addedAffinity`).
    pub fn new(required: Option<RequiredTerms>, preferred: Vec<PreferredTerm>) -> Self {
        Self {
            added_required: required,
            added_preferred: preferred,
        }
    }

    fn enforced(&self, node: &impl LabelView) -> bool {
        let added = self.added_required.as_ref();
        added.is_none_or(|terms| terms.matches(node))
    }

    fn allows(&self, pod: &PodShape, node: &impl LabelView) -> bool {
        self.enforced(node) && pod.asks_for(node)
    }
}

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn score(&self) -> Option<&dyn Score> {
        Some(self)
    }

    fn events(&self) -> EventSet {
        EventSet::of(&[EventKind::NodeAdd, EventKind::NodeLabel])
    }

    fn topics(&self, pod: Incoming<'_>, _: &Cluster) -> Vec<Topic> {
        let asked = pod.shape.labels_of_nodes();
        let enforced = self.added_required.iter().flat_map(RequiredTerms::labels);
        let labels = asked.chain(enforced).map(Topic::node_label);
        labels.chain([Topic::Kind(EventKind::NodeAdd)]).collect()
    }

    fn hint(&self, event: &ClusterEvent<'_>, pod: Incoming<'_>, _: &Cluster) -> bool {
        match event {
            ClusterEvent::NodeAdd(node) => self.allows(pod.shape, *node),
            // Upstream forgets that a node may come to match the terms that all pods are given.
            ClusterEvent::NodeUpdate(_, old, new) => {
                self.allows(pod.shape, *new) && !self.allows(pod.shape, *old)
            }
            _ => false,
        }
    }
}

impl PreFilter for NodeAffinity {
    fn pre_filter(&self, pod: &PodShape, cluster: &Cluster) -> PreFilterAnswer {
        let Some(terms) = &pod.required else {
            return if pod.node_selector.is_empty() && self.added_required.is_none() {
                PreFilterAnswer::Skip
            } else {
                PreFilterAnswer::Proceed
            };
        };
        match terms.confined_to() {
            None => PreFilterAnswer::Proceed,
            Some(names) if names.is_empty() => {
                PreFilterAnswer::Reject("pod affinity terms conflict".into())
            }
            Some(names) => PreFilterAnswer::Narrow(
                names
                    .into_iter()
                    .filter_map(|name| cluster.node_id(name))
                    .collect(),
            ),
        }
    }
}

impl Filter for NodeAffinity {
    fn obstacle(&self, _: &PodShape, _: &Cluster) -> Obstacle {
        Obstacle::None
    }

    fn filter(&self, pod: &PodShape, cluster: &Cluster, left: &mut NodeSet, why: &mut Diagnosis) {
        if let Some(terms) = &self.added_required {
            let mut rejected = left.clone();
            if left.is_at_most(ONE_BY_ONE) {
                for node in left.iter() {
                    if (cluster.node(node)).is_some_and(|model| terms.matches(&**model)) {
                        rejected.remove(node);
                    }
                }
            } else {
                rejected.subtract(&cluster.matching_any(terms, left));
            }
            if !rejected.is_empty() {
                why.reject(left, &rejected, ENFORCED, Code::Unresolvable);
            }
        }
        let mut rejected = left.clone();
        if left.is_at_most(ONE_BY_ONE) {
            for node in left.iter() {
                if cluster
                    .node(node)
                    .is_some_and(|model| pod.asks_for(&**model))
                {
                    rejected.remove(node);
                }
            }
        } else {
            let required = pod.required.as_ref();
            rejected.subtract(&cluster.matching_nodes(&pod.node_selector, required, left));
        }
        if !rejected.is_empty() {
            why.reject(left, &rejected, REASON, Code::Unresolvable);
        }
    }
}

impl Score for NodeAffinity {
    fn skips(&self, pod: &PodShape) -> bool {
        pod.preferred.is_empty() && self.added_preferred.is_empty()
    }

    fn fault(&self, pod: &PodShape) -> Option<String> {
        pod.bad_preferred.as_deref().map(str::to_owned)
    }

    fn score(&self, pod: &PodShape, cluster: &Cluster, nodes: &NodeSet, column: &mut [i64]) {
        for node in nodes.iter() {
            column[node.index()] = 0;
        }
        let few = nodes.is_at_most(ONE_BY_ONE);
        for preferred in self.added_preferred.iter().chain(&pod.preferred) {
            let weight = i64::from(preferred.weight);
            if few {
                for node in nodes.iter() {
                    let hit = cluster
                        .node(node)
                        .is_some_and(|model| preferred.term.matches(&**model));
                    column[node.index()] += if hit { weight } else { 0 };
                }
            } else {
                for node in cluster.matching_term(&preferred.term, nodes).iter() {
                    column[node.index()] += weight;
                }
            }
        }
    }

    fn normalize(&self) -> Normalize {
        Normalize::ByMax
    }
}

#[cfg(test)]
mod tests;
