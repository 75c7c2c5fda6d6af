//! What waiting pods listen to, so that an event reaches those that it may help and no others.

use std::hash::{BuildHasher, BuildHasherDefault};

use rustc_hash::FxHasher;

use super::{ClusterEvent, EventKind};
use crate::cluster::{Cluster, PeerId, SelectorId};
use crate::model::{LabelView, NodeModel, PodClaims};

/// A part of the news. Labels are told apart by a hash: two that share one cost a question too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// All events of this kind.
    Kind(EventKind),
    /// This label of some node has another value.
    NodeLabel(u64),
    /// This selector means, or meant, a pod that came, went or changed.
    Meant(SelectorId),
    /// An anti-affinity term that means only pods with this label holds at other places.
    KeptOff(u64),
    /// So does one that can mean pods with any labels.
    AnyKeptOff,
    /// This claim changed, or a pod that used it went.
    Claim(u64),
    /// This volume changed.
    Volume(u64),
}

fn hash(value: impl std::hash::Hash) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(value)
}

impl Topic {
    /// Changes of this label of nodes.
    pub fn node_label(key: &str) -> Self {
        Self::NodeLabel(hash(key))
    }

    /// Terms that mean pods with this label.
    pub fn kept_off(key: &str, value: &str) -> Self {
        Self::KeptOff(hash((key, value)))
    }

    /// What happens to this claim.
    pub fn claim(namespace: &str, name: &str) -> Self {
        Self::Claim(hash((namespace, name)))
    }

    /// Changes of the claims that the pod itself names.
    pub fn named_claims(asked: &PodClaims) -> impl Iterator<Item = Self> {
        (asked.named()).map(|name| Self::claim(&asked.namespace, name))
    }

    /// Changes of this volume.
    pub fn volume(name: &str) -> Self {
        Self::Volume(hash(name))
    }

    /// The topics of an event, each once.
    pub(crate) fn of(event: &ClusterEvent<'_>, cluster: &Cluster) -> Vec<Self> {
        let mut topics = vec![Self::Kind(event.kind())];
        match event {
            ClusterEvent::NodeUpdate(EventKind::NodeLabel, old, new) => {
                relabelled(old, new, cluster, &mut topics);
            }
            ClusterEvent::NodeDelete(node) => {
                let left_behind = cluster.peers_bound_to(&node.name);
                left_behind.for_each(|pod| about(pod, cluster, &mut topics));
            }
            ClusterEvent::AssignedPodAdd(pod) => about(pod.peers, cluster, &mut topics),
            ClusterEvent::AssignedPodDelete(pod) => {
                about(pod.peers, cluster, &mut topics);
                let namespace = &cluster.peers().class(pod.peers).spec().namespace;
                let freed = pod.pod.claims.iter();
                topics.extend(freed.map(|claim| Self::claim(namespace, claim)));
            }
            ClusterEvent::AssignedPodUpdate(_, old, new) if old.peers != new.peers => {
                about(old.peers, cluster, &mut topics);
                about(new.peers, cluster, &mut topics);
            }
            ClusterEvent::Namespace(changes) => {
                topics.extend(changes.iter().map(|&(selector, _)| Self::Meant(selector)));
                topics.push(Self::AnyKeptOff);
            }
            ClusterEvent::Claim(_, namespace, name) => topics.push(Self::claim(namespace, name)),
            ClusterEvent::Volume(name, ..) => topics.push(Self::volume(name)),
            ClusterEvent::NodeAdd(_)
            | ClusterEvent::StorageClassAdd(..)
            | ClusterEvent::NodeUpdate(..)
            | ClusterEvent::AssignedPodUpdate(..)
            | ClusterEvent::TargetPod(..) => {}
        }
        topics.sort_unstable();
        topics.dedup();
        topics
    }
}

/// Who asks about pods of this class, and whom they keep off.
fn about(pod: PeerId, cluster: &Cluster, topics: &mut Vec<Topic>) {
    let peers = cluster.peers();
    let class = peers.class(pod);
    topics.extend(
        class
            .matched()
            .iter()
            .map(|&selector| Topic::Meant(selector)),
    );
    peers.kept_off_by(class, |wanted| kept_off(wanted, topics));
}

fn kept_off(wanted: Option<(&str, &[Box<str>])>, topics: &mut Vec<Topic>) {
    match wanted {
        Some((key, values)) => {
            let values = values.iter();
            topics.extend(values.map(|value| Topic::kept_off(key, value)));
        }
        None => topics.push(Topic::AnyKeptOff),
    }
}

/// The labels that changed, and whom terms keep off that count by one of them.
fn relabelled(old: &NodeModel, new: &NodeModel, cluster: &Cluster, topics: &mut Vec<Topic>) {
    // Upstream's hints look at all that changed about the node, whichever kind of change is told.
    if old.taints != new.taints {
        topics.push(Topic::Kind(EventKind::NodeTaint));
    }
    let keys = (old.labels.iter().chain(&new.labels)).map(|(key, _)| &**key);
    for key in keys.filter(|key| old.label(key) != new.label(key)) {
        topics.push(Topic::node_label(key));
        if let Some(key) = cluster.peers().topology().id(key) {
            (cluster.peers()).kept_off_around(key, |wanted| kept_off(wanted, topics));
        }
    }
}
