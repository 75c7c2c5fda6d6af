//! PodTopologySpread: pods of a kind evenly over domains. Source: `plugins/podtopologyspread`.

mod counts;
mod filter;
mod hints;
mod score;

use crate::cluster::{Cluster, KeyId, NodeSet, PeerClass, Tally};
use crate::framework::{ClusterEvent, EventSet, Incoming, PeerFilter, PeerScore, Plugin, Topic};
use counts::Counts;

/// A constraint for pods that have none of their own (`defaultConstraints`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultConstraint {
    /// Whether it must hold (DoNotSchedule).
    pub hard: bool,
    /// By how many pods domains may differ.
    pub max_skew: i64,
    /// Nodes with the same value of this label are one domain.
    pub topology_key: Box<str>,
    /// With fewer eligible domains the least count is taken as 0.
    pub min_domains: i64,
    /// Only nodes that the pod's node affinity allows are counted.
    pub honor_affinity: bool,
    /// Only nodes whose taints the pod tolerates are counted.
    pub honor_taints: bool,
}

impl DefaultConstraint {
    fn soft(topology_key: &str, max_skew: i64) -> Self {
        Self {
            hard: false,
            max_skew,
            topology_key: topology_key.into(),
            min_domains: 1,
            honor_affinity: true,
            honor_taints: false,
        }
    }
}

pub(super) const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

/// Spreads pods over zones, nodes, or whatever labels make domains of.
#[derive(Clone, Debug)]
pub struct PodTopologySpread {
    defaults: Vec<DefaultConstraint>,
    /// The defaults are the built-in ones, which nodes without a zone do not fall through.
    system: bool,
}

impl Default for PodTopologySpread {
    /// With `defaultingType: System`.
    fn default() -> Self {
        let defaults = vec![
            DefaultConstraint::soft(HOSTNAME, 3),
            DefaultConstraint::soft(ZONE, 5),
        ];
        let system = true;
        Self { defaults, system }
    }
}

/// A constraint as it applies to a pod, with what it counts.
struct Constraint<'a> {
    key: KeyId,
    pods: Option<&'a Tally>,
    counts_itself: bool,
    max_skew: i64,
    min_domains: i64,
    honor_affinity: bool,
    honor_taints: bool,
}

impl PodTopologySpread {
    /// With `defaultingType: List`.
    pub const fn with_defaults(defaults: Vec<DefaultConstraint>) -> Self {
        let system = false;
        Self { defaults, system }
    }

    /// The constraints for the pod that must hold, or those that need not.
    fn constraints<'a>(
        &self,
        class: &PeerClass,
        cluster: &'a Cluster,
        hard: bool,
    ) -> Vec<Constraint<'a>> {
        let peers = cluster.peers();
        if class.spec().has_spread {
            let own = class.spec().spread.iter().zip(class.spread());
            return own
                .filter(|(constraint, _)| constraint.hard == hard)
                .map(|(constraint, counter)| Constraint {
                    key: counter.key,
                    pods: counter.pods.and_then(|pods| peers.tally(pods)),
                    counts_itself: counter.counts_itself,
                    max_skew: constraint.max_skew,
                    min_domains: constraint.min_domains,
                    honor_affinity: constraint.honor_affinity,
                    honor_taints: constraint.honor_taints,
                })
                .collect();
        }
        let Some(selector) = class.default_selector() else {
            return Vec::new();
        };
        (self.defaults.iter())
            .filter(|constraint| constraint.hard == hard)
            .filter_map(|constraint| {
                Some(Constraint {
                    key: peers.topology().id(&constraint.topology_key)?,
                    pods: peers.tally(selector),
                    counts_itself: class.is_meant_by(selector),
                    max_skew: constraint.max_skew,
                    min_domains: constraint.min_domains,
                    honor_affinity: constraint.honor_affinity,
                    honor_taints: constraint.honor_taints,
                })
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
        let allowed = (asks && constraints.iter().any(|one| one.honor_affinity)).then(|| {
            cluster.matching_nodes(
                &shape.node_selector,
                shape.required.as_ref(),
                cluster.nodes(),
            )
        });
        let untolerated = if constraints.iter().any(|one| one.honor_taints) {
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
        if constraint.honor_affinity
            && let Some(allowed) = &self.allowed
        {
            included.intersect(allowed);
        }
        if constraint.honor_taints {
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
