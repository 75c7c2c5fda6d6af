//! PodTopologySpread: pods of a kind evenly over domains. Source: `plugins/podtopologyspread`.

mod counts;
mod filter;
mod hints;
mod score;

use crate::cluster::{Cluster, KeyId, NodeSet, PeerClass, SpreadCounter, Tally, Topology};
use crate::framework::{ClusterEvent, EventSet, Incoming, PeerFilter, PeerScore, Plugin, Topic};
use crate::model::{LabelSelector, SpreadConstraint};
use counts::Counts;

pub(super) const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

/// Spreads pods over zones, nodes, or whatever labels make domains of.
#[derive(Clone, Debug)]
pub struct PodTopologySpread {
    /// For pods that have none of their own (`defaultConstraints`). They have no selector: what they
    /// count is known for each pod.
    defaults: Vec<SpreadConstraint>,
    /// The defaults are the built-in ones, which nodes without a zone do not fall through.
    system: bool,
}

impl Default for PodTopologySpread {
    /// With `defaultingType: System`.
    fn default() -> Self {
        let soft = |topology_key: &str, max_skew| SpreadConstraint {
            hard: false,
            max_skew,
            topology_key: topology_key.into(),
            selector: LabelSelector::Nothing,
            min_domains: 1,
            honor_affinity: true,
            honor_taints: false,
        };
        Self {
            defaults: vec![soft(HOSTNAME, 3), soft(ZONE, 5)],
            system: true,
        }
    }
}

/// A constraint as it applies to a pod, with what it counts.
struct Constraint<'a> {
    asked: &'a SpreadConstraint,
    key: KeyId,
    pods: Option<&'a Tally>,
    counts_itself: bool,
}

impl PodTopologySpread {
    /// With `defaultingType: List`.
    pub const fn with_defaults(defaults: Vec<SpreadConstraint>) -> Self {
        let system = false;
        Self { defaults, system }
    }

    /// The constraints for the pod that must hold, or those that need not: its own or the defaults,
    /// with what they count.
    fn asked<'a>(
        &'a self,
        class: &'a PeerClass,
        topology: &'a Topology,
        hard: bool,
    ) -> impl Iterator<Item = (&'a SpreadConstraint, SpreadCounter)> {
        let own = class
            .spec()
            .spread
            .iter()
            .zip(class.spread().iter().copied());
        let selector = class.default_selector();
        let defaults = selector.into_iter().flat_map(move |selector| {
            let counter = move |key| SpreadCounter {
                pods: Some(selector),
                key,
                counts_itself: class.is_meant_by(selector),
            };
            (self.defaults.iter())
                .filter_map(move |one| Some((one, counter(topology.id(&one.topology_key)?))))
        });
        own.chain(defaults)
            .filter(move |(constraint, _)| constraint.hard == hard)
    }

    fn constraints<'a>(
        &'a self,
        class: &'a PeerClass,
        cluster: &'a Cluster,
        hard: bool,
    ) -> Vec<Constraint<'a>> {
        let peers = cluster.peers();
        (self.asked(class, peers.topology(), hard))
            .map(|(asked, counter)| Constraint {
                asked,
                key: counter.key,
                pods: counter.pods.and_then(|pods| peers.tally(pods)),
                counts_itself: counter.counts_itself,
            })
            .collect()
    }
}

/// Which nodes count for a pod: its policies, looked up once.
struct Inclusion {
    /// The nodes that its node affinity allows; None for all.
    allowed: Option<NodeSet>,
    /// The nodes with taints that it does not tolerate.
    untolerated: NodeSet,
}

impl Inclusion {
    fn new(pod: Incoming<'_>, cluster: &Cluster, constraints: &[Constraint<'_>]) -> Self {
        let shape = pod.shape;
        let asks = !shape.node_selector.is_empty() || shape.required.is_some();
        let allowed = (asks && constraints.iter().any(|one| one.asked.honor_affinity)).then(|| {
            cluster.matching_nodes(
                &shape.node_selector,
                shape.required.as_ref(),
                cluster.nodes(),
            )
        });
        let untolerated = if constraints.iter().any(|one| one.asked.honor_taints) {
            cluster.untolerated_nodes(&shape.tolerations)
        } else {
            NodeSet::new()
        };
        Self {
            allowed,
            untolerated,
        }
    }

    /// What a constraint counts, over the nodes of `among` that its policies include.
    fn counts<'a>(
        &self,
        constraint: &Constraint<'a>,
        cluster: &'a Cluster,
        among: &NodeSet,
    ) -> Counts<'a> {
        let key = cluster.peers().topology().key(constraint.key);
        let included = self.included(constraint, among);
        Counts::new(key, constraint.key, constraint.pods, &included)
    }

    /// The pods that a constraint counts on nodes without its label.
    fn pods_without(&self, constraint: &Constraint<'_>, cluster: &Cluster, among: &NodeSet) -> i64 {
        let key = cluster.peers().topology().key(constraint.key);
        let included = self.included(constraint, among);
        (constraint.pods.into_iter().flat_map(Tally::nodes))
            .filter(|(node, _)| !key.labelled().contains(*node) && included.contains(*node))
            .map(|(_, pods)| pods)
            .sum()
    }

    fn included(&self, constraint: &Constraint<'_>, among: &NodeSet) -> NodeSet {
        let mut included = among.clone();
        if constraint.asked.honor_affinity
            && let Some(allowed) = &self.allowed
        {
            included.intersect(allowed);
        }
        if constraint.asked.honor_taints {
            included.subtract(&self.untolerated);
        }
        included
    }
}

/// The nodes of `among` that have the labels of all constraints.
fn with_all_labels(among: &NodeSet, constraints: &[Constraint<'_>], cluster: &Cluster) -> NodeSet {
    let mut nodes = among.clone();
    for constraint in constraints {
        nodes.intersect(cluster.peers().topology().key(constraint.key).labelled());
    }
    nodes
}

impl Plugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
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
        self.heard(pod, cluster)
    }

    fn hint(&self, event: &ClusterEvent<'_>, pod: Incoming<'_>, cluster: &Cluster) -> bool {
        self.may_help(event, pod, cluster)
    }

    fn default_spread_keys(&self) -> Vec<Box<str>> {
        let keys = self.defaults.iter();
        keys.map(|one| one.topology_key.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
