//! What may help a pod that would have made its domains too uneven.
//!
//! Upstream's hints, `isSchedulableAfter*`, told from what is counted: pods that are being deleted
//! and an empty selector count for nothing, and the node affinity of the pod, which says what nodes
//! count, is looked at when a node's labels change.

use super::PodTopologySpread;
use crate::cluster::{Cluster, PeerClass, SpreadCounter};
use crate::framework::{ClusterEvent, EventKind, EventSet, Incoming, Topic};
use crate::model::{LabelView, NodeModel, SpreadConstraint};

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

/// A constraint that must hold, with what it counts.
type Hard<'a> = (&'a SpreadConstraint, SpreadCounter);

impl PodTopologySpread {
    fn hard<'a>(&'a self, class: &'a PeerClass, cluster: &'a Cluster) -> Vec<Hard<'a>> {
        (self.asked(class, cluster.peers().topology(), true)).collect()
    }

    pub(super) fn heard(&self, pod: Incoming<'_>, cluster: &Cluster) -> Vec<Topic> {
        let class = cluster.peers().class(pod.peers);
        let hard = self.hard(class, cluster);
        let mut topics: Vec<_> = [
            EventKind::NodeAdd,
            EventKind::NodeDelete,
            EventKind::NodeTaint,
        ]
        .map(Topic::Kind)
        .into();
        topics.extend((hard.iter()).map(|(asked, _)| Topic::node_label(&asked.topology_key)));
        if hard.iter().any(|(asked, _)| asked.honor_affinity) {
            topics.extend(pod.shape.labels_of_nodes().map(Topic::node_label));
        }
        if class.spec().has_spread {
            let counted = hard.iter().filter_map(|(_, counter)| counter.pods);
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
        let hard = self.hard(class, cluster);
        let counts = |(_, counter): &Hard<'_>, of: &PeerClass| {
            counter.pods.is_some_and(|pods| of.is_meant_by(pods))
        };
        let has_all = |node: &NodeModel| {
            let mut keys = hard.iter().map(|(asked, _)| &asked.topology_key);
            keys.all(|key| node.label(key).is_some())
        };
        match event {
            ClusterEvent::TargetPod(_, old) => {
                let before = peers.class(old.peers);
                let honors = || hard.iter().any(|(asked, _)| asked.honor_taints);
                old.shape.tolerations != pod.shape.tolerations && honors()
                    || self.asks_otherwise(before, class)
            }
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
                let moved = |(asked, _): &Hard<'_>| {
                    old.label(&asked.topology_key) != new.label(&asked.topology_key)
                };
                let included = |node: &NodeModel| pod.shape.asks_for(node);
                let honors = |(asked, _): &Hard<'_>| asked.honor_affinity;
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
