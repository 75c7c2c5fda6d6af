//! InterPodAffinity: near these pods, away from those. Source: `plugins/interpodaffinity`.

mod hints;

use crate::cluster::{Cluster, KeyId, NodeSet, PeerClass, Peers, Tally, TermKind, ValueId};
use crate::framework::{
    ClusterEvent, Code, Diagnosis, EventSet, Incoming, MAX_SCORE, PeerFilter, PeerScore, Plugin,
    PreFilterAnswer, Reason, Topic,
};

const AFFINITY: Reason = Reason::Text("node(s) didn't match pod affinity rules");
const ANTI_AFFINITY: Reason = Reason::Text("node(s) didn't match pod anti-affinity rules");
const OF_PLACED: Reason = Reason::Text("node(s) didn't satisfy existing pods anti-affinity rules");

/// Places pods by the pods that are there: what the pod asks of them, and what they ask of it.
#[derive(Clone, Debug)]
pub struct InterPodAffinity {
    /// What a required affinity term of a placed pod counts in the score.
    hard_weight: i64,
    /// Preferred terms of placed pods do not count for pods that have none.
    ignore_preferred_of_placed: bool,
}

impl Default for InterPodAffinity {
    fn default() -> Self {
        Self::new(1, false)
    }
}

impl InterPodAffinity {
    /// The plugin with `hardPodAffinityWeight` and `ignorePreferredTermsOfExistingPods`.
    pub const fn new(hard_weight: i64, ignore_preferred_of_placed: bool) -> Self {
        Self {
            hard_weight,
            ignore_preferred_of_placed,
        }
    }

    /// The counters that make up the score, with the label that each is read by and what one of it
    /// is worth.
    fn counters<'a>(&self, class: &'a PeerClass, peers: &'a Peers) -> Vec<(KeyId, i64, &'a Tally)> {
        let terms = class.preferred().iter().zip(&class.spec().preferred);
        let mut counters: Vec<_> = terms
            .filter_map(|(&(pods, key), term)| Some((key, term.weight, peers.tally(pods)?)))
            .collect();
        if counters.is_empty() && self.ignore_preferred_of_placed {
            return counters;
        }
        let carried =
            |kind, worth| (peers.carried(class, kind)).map(move |one| (one.key, worth, &one.tally));
        counters.extend(carried(TermKind::Preferred, 1));
        if self.hard_weight > 0 {
            counters.extend(carried(TermKind::Affinity, self.hard_weight));
        }
        counters.retain(|(key, _, tally)| {
            (tally.by(*key)).is_some_and(|domains| domains.sums().len() > 0)
        });
        counters.sort_by_key(|(key, ..)| *key);
        counters
    }
}

impl Plugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn peer_filter(&self) -> Option<&dyn PeerFilter> {
        Some(self)
    }

    fn peer_score(&self) -> Option<&dyn PeerScore> {
        Some(self)
    }

    fn events(&self) -> EventSet {
        hints::EVENTS
    }

    fn topics(&self, pod: Incoming<'_>, cluster: &Cluster) -> Vec<Topic> {
        hints::topics(pod, cluster)
    }

    fn hint(&self, event: &ClusterEvent<'_>, pod: Incoming<'_>, cluster: &Cluster) -> bool {
        hints::hint(event, pod, cluster)
    }
}

/// The nodes near pods that carry an anti-affinity term against these.
fn kept_off<'a>(class: &'a PeerClass, peers: &'a Peers) -> impl Iterator<Item = &'a NodeSet> {
    peers
        .carried(class, TermKind::AntiAffinity)
        .filter_map(|one| Some(one.tally.by(one.key)?.reached()))
}

impl PeerFilter for InterPodAffinity {
    fn pre_filter(&self, pod: Incoming<'_>, cluster: &Cluster) -> PreFilterAnswer {
        let peers = cluster.peers();
        let class = peers.class(pod.peers);
        if let Some(error) = &class.spec().bad_affinity {
            return PreFilterAnswer::Reject(format!("parsing pod: {error}"));
        }
        let asks = class.affinity().is_some() || !class.anti_affinity().is_empty();
        if asks || kept_off(class, peers).any(|nodes| !nodes.is_empty()) {
            PreFilterAnswer::Proceed
        } else {
            PreFilterAnswer::Skip
        }
    }

    fn filter(
        &self,
        pod: Incoming<'_>,
        cluster: &Cluster,
        left: &mut NodeSet,
        why: &mut Diagnosis,
    ) {
        let peers = cluster.peers();
        let class = peers.class(pod.peers);
        if let Some((pods, keys)) = class.affinity()
            && let Some(tally) = peers.tally(pods)
        {
            let domains = || keys.iter().filter_map(|&key| tally.by(key));
            let mut missed = left.clone();
            let mut near = left.clone();
            // The first pod of a group that wants to be together finds nobody: it may go wherever
            // all the labels are.
            if domains().all(|domains| domains.sums().len() == 0) && class.is_meant_by(pods) {
                for &key in keys {
                    near.intersect(peers.topology().key(key).labelled());
                }
            } else {
                for domains in domains() {
                    near.intersect(domains.reached());
                }
            }
            missed.subtract(&near);
            why.reject(left, &missed, AFFINITY, Code::Unresolvable);
        }
        for &(pods, key) in class.anti_affinity() {
            if let Some(domains) = peers.tally(pods).and_then(|tally| tally.by(key)) {
                why.reject(left, domains.reached(), ANTI_AFFINITY, Code::Unschedulable);
            }
        }
        for nodes in kept_off(class, peers) {
            why.reject(left, nodes, OF_PLACED, Code::Unschedulable);
        }
    }
}

impl PeerScore for InterPodAffinity {
    fn score(
        &self,
        pod: Incoming<'_>,
        cluster: &Cluster,
        feasible: &NodeSet,
        column: &mut [i64],
    ) -> bool {
        let peers = cluster.peers();
        let counters = self.counters(peers.class(pod.peers), peers);
        if counters.is_empty() {
            return false;
        }
        for node in feasible.iter() {
            column[node.index()] = 0;
        }
        let mut by_value: Vec<i64> = Vec::new();
        for of_key in counters.chunk_by(|one, next| one.0 == next.0) {
            let Some(&(id, ..)) = of_key.first() else {
                continue;
            };
            let key = peers.topology().key(id);
            by_value.clear();
            by_value.resize(key.value_slots(), 0);
            for (_, worth, tally) in of_key {
                for (value, sum) in tally.by(id).into_iter().flat_map(|domains| domains.sums()) {
                    by_value[value.index()] += worth * sum;
                }
            }
            for node in feasible.iter() {
                let value = key.value(node);
                if value != ValueId::NONE {
                    column[node.index()] += by_value[value.index()];
                }
            }
        }
        normalize(feasible, column);
        true
    }
}

/// The best node gets 100, the worst 0, and the others their share between; all get 0 when they are
/// alike.
fn normalize(feasible: &NodeSet, column: &mut [i64]) {
    let (mut min, mut max) = (i64::MAX, i64::MIN);
    for node in feasible.iter() {
        min = min.min(column[node.index()]);
        max = max.max(column[node.index()]);
    }
    let span = max.saturating_sub(min);
    for node in feasible.iter() {
        let score = &mut column[node.index()];
        *score = if span > 0 {
            // As upstream: a fraction of 100 in floating point, cut off.
            (MAX_SCORE as f64 * ((*score - min) as f64 / span as f64)) as i64
        } else {
            0
        };
    }
}

#[cfg(test)]
mod tests;
