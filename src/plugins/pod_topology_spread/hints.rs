//! What may help a pod that would have made its domains too uneven.
//!
//! Upstream's hints, `isSchedulableAfter*`, told from what is counted: pods that are being deleted
//! and an empty selector count for nothing, and the node affinity of the pod, which says what nodes
//! count, is looked at when a node's labels change.

use super::PodTopologySpread;
use crate::cluster::{Cluster, PeerClass, SelectorId};
use crate::framework::{ClusterEvent, EventKind, EventSet, Incoming, Topic};
use crate::model::{LabelView, NodeModel};

pub(super) const EVENTS: EventSet = EventSet::of(&[
    EventKind::AssignedPodAdd,
    EventKind::AssignedPodLabel,
    EventKind::AssignedPodUpdate,
    EventKind::AssignedPodDelete,
    EventKind::TargetPodLabel,
    EventKind::TargetPodToleration,
    EventKind::NodeAdd,
    EventKind::NodeDelete,
    EventKind::NodeLabel,
    EventKind::NodeTaint,
]);

/// A constraint that must hold, as far as hints look at it.
struct Hard<'a> {
    key: &'a str,
    pods: Option<SelectorId>,
    honor_affinity: bool,
    honor_taints: bool,
}

impl PodTopologySpread {
    fn hard<'a>(&'a self, class: &'a PeerClass) -> Vec<Hard<'a>> {
        if class.spec().has_spread {
            let own = class.spec().spread.iter().zip(class.spread());
            return own
                .filter(|(constraint, _)| constraint.hard)
                .map(|(constraint, counter)| Hard {
                    key: &constraint.topology_key,
                    pods: counter.pods,
                    honor_affinity: constraint.honor_affinity,
                    honor_taints: constraint.honor_taints,
                })
                .collect();
        }
        let Some(pods) = class.default_selector() else {
            return Vec::new();
        };
        let hard = self.defaults.iter().filter(|constraint| constraint.hard);
        hard.map(|constraint| Hard {
            key: &constraint.topology_key,
            pods: Some(pods),
            honor_affinity: constraint.honor_affinity,
            honor_taints: constraint.honor_taints,
        })
        .collect()
    }

    pub(super) fn heard(&self, pod: Incoming<'_>, cluster: &Cluster) -> Vec<Topic> {
        let class = cluster.peers().class(pod.peers);
        let hard = self.hard(class);
        let mut topics: Vec<_> = [
            EventKind::NodeAdd,
            EventKind::NodeDelete,
            EventKind::NodeTaint,
        ]
        .map(Topic::Kind)
        .into();
        topics.extend(
            hard.iter()
                .map(|constraint| Topic::node_label(constraint.key)),
        );
        if hard.iter().any(|constraint| constraint.honor_affinity) {
            topics.extend(pod.shape.labels_of_nodes().map(Topic::node_label));
        }
        if class.spec().has_spread {
            let counted = hard.iter().filter_map(|constraint| constraint.pods);
            topics.extend(counted.map(Topic::Meant));
        } else {
            // Whom services and controllers select may change while the pod waits.
            let of_pods = [
                EventKind::AssignedPodAdd,
                EventKind::AssignedPodLabel,
                EventKind::AssignedPodUpdate,
                EventKind::AssignedPodDelete,
            ];
            topics.extend(of_pods.map(Topic::Kind));
        }
        topics
    }

    pub(super) fn may_help(
        &self,
        event: &ClusterEvent<'_>,
        pod: Incoming<'_>,
        cluster: &Cluster,
    ) -> bool {
        let peers = cluster.peers();
        let class = peers.class(pod.peers);
        let hard = self.hard(class);
        let counts = |constraint: &Hard<'_>, of: &PeerClass| {
            constraint.pods.is_some_and(|pods| of.is_meant_by(pods))
        };
        let has_all = |node: &NodeModel| {
            let mut keys = hard.iter().map(|constraint| constraint.key);
            keys.all(|key| node.label(key).is_some())
        };
        // Nothing but a change of itself helps a pod whose constraints cannot be read.
        let unreadable = class.spec().bad_spread.is_some();
        match event {
            ClusterEvent::TargetPod(_, old) => {
                let before = peers.class(old.peers);
                let honors = || hard.iter().any(|constraint| constraint.honor_taints);
                old.shape.tolerations != pod.shape.tolerations && honors()
                    || self.asks_otherwise(before, class)
            }
            _ if unreadable => false,
            ClusterEvent::AssignedPodAdd(one) | ClusterEvent::AssignedPodDelete(one) => {
                let one = peers.class(one.peers);
                hard.iter().any(|constraint| counts(constraint, one))
            }
            ClusterEvent::AssignedPodUpdate(_, old, new) => {
                let (old, new) = (peers.class(old.peers), peers.class(new.peers));
                (hard.iter()).any(|constraint| counts(constraint, old) != counts(constraint, new))
            }
            ClusterEvent::NodeAdd(node) | ClusterEvent::NodeDelete(node) => has_all(node),
            ClusterEvent::NodeUpdate(_, old, new) => {
                let moved =
                    |constraint: &Hard<'_>| old.label(constraint.key) != new.label(constraint.key);
                let included = |node: &NodeModel| pod.shape.asks_for(node);
                let honors = |constraint: &Hard<'_>| constraint.honor_affinity;
                has_all(old) != has_all(new)
                    || has_all(new)
                        && (hard.iter().any(moved)
                            || old.taints != new.taints
                            || hard.iter().any(honors) && included(old) != included(new))
            }
            ClusterEvent::Namespace(_)
            | ClusterEvent::Claim(..)
            | ClusterEvent::Volume(..)
            | ClusterEvent::StorageClassAdd(..) => false,
        }
    }

    /// Whether other labels of the pod itself change what it asks, or whether it counts.
    fn asks_otherwise(&self, before: &PeerClass, now: &PeerClass) -> bool {
        let (before, now) = (before.spec(), now.spec());
        if before.labels == now.labels {
            return false;
        }
        // Without constraints of its own its labels say who it is spread with.
        if !now.has_spread {
            return self.defaults.iter().any(|constraint| constraint.hard);
        }
        let hard = now.spread.iter().filter(|constraint| constraint.hard);
        before.spread != now.spread
            || (hard.map(|constraint| &constraint.selector))
                .any(|pods| pods.matches(&before.labels) != pods.matches(&now.labels))
    }
}
