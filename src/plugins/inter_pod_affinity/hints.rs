//! What may help a pod that was kept from where it wants to be.
//!
//! Upstream's hints, `isSchedulableAfter*`, and what they leave out: terms of placed pods against
//! the waiting one are heard of when nodes come, go or move too; a term against others is heard of
//! by itself, though another one still holds; labels of namespaces are looked up; and a pod that
//! may be the first of its group is told when the last one of it is gone.

use crate::cluster::{Cluster, PeerClass, Peers, SelectorId, TermKind};
use crate::framework::{AssignedPod, ClusterEvent, EventKind, EventSet, Incoming, Topic};
use crate::model::{AffinityTerm, LabelView, NodeModel};

pub(super) const EVENTS: EventSet = EventSet::of(&[
    EventKind::AssignedPodAdd,
    EventKind::AssignedPodLabel,
    EventKind::AssignedPodDelete,
    EventKind::TargetPodLabel,
    EventKind::NodeAdd,
    EventKind::NodeLabel,
    EventKind::NodeDelete,
    EventKind::Namespace,
]);

pub(super) fn topics(pod: Incoming<'_>, cluster: &Cluster) -> Vec<Topic> {
    let class = cluster.peers().class(pod.peers);
    let spec = class.spec();
    let terms = spec.affinity.iter().chain(&spec.anti_affinity);
    let labels = spec.labels.iter();
    [Topic::Kind(EventKind::NodeAdd), Topic::AnyKeptOff]
        .into_iter()
        .chain(terms.map(|term| Topic::node_label(&term.topology_key)))
        .chain(own_selectors(class).map(Topic::Meant))
        .chain(labels.map(|(key, value)| Topic::kept_off(key, value)))
        .collect()
}

fn own_selectors(class: &PeerClass) -> impl Iterator<Item = SelectorId> {
    let near = class.affinity().map(|(selector, _)| selector);
    let away = class.anti_affinity().iter().map(|&(selector, _)| selector);
    near.into_iter().chain(away)
}

pub(super) fn hint(event: &ClusterEvent<'_>, pod: Incoming<'_>, cluster: &Cluster) -> bool {
    let peers = cluster.peers();
    let class = peers.class(pod.peers);
    if let ClusterEvent::TargetPod(..) = event {
        return true;
    }
    // Nothing else helps a pod that cannot be read.
    if class.spec().bad_affinity.is_some() {
        return false;
    }
    let who = |pod: &AssignedPod<'_>| peers.class(pod.peers);
    match event {
        ClusterEvent::AssignedPodAdd(new) => is_near(class, who(new)),
        ClusterEvent::AssignedPodDelete(old) => frees(class, who(old), peers),
        ClusterEvent::AssignedPodUpdate(_, old, new) => relabelled(class, who(old), who(new)),
        ClusterEvent::NodeAdd(node) => {
            let spec = class.spec();
            let has = |term: &AffinityTerm| node.label(&term.topology_key).is_some();
            spec.affinity.is_empty()
                || !spec.anti_affinity.is_empty()
                || spec.affinity.iter().any(has)
        }
        ClusterEvent::NodeUpdate(_, old, new) => moved(class, old, new, peers),
        ClusterEvent::NodeDelete(node) => cluster
            .peers_bound_to(&node.name)
            .any(|gone| frees(class, peers.class(gone), peers)),
        ClusterEvent::Namespace(changes) => changes.iter().any(|&(selector, of)| {
            own_selectors(class).any(|own| own == selector) || of == pod.peers
        }),
        ClusterEvent::TargetPod(..) => true,
        ClusterEvent::Claim(..) | ClusterEvent::Volume(..) | ClusterEvent::StorageClassAdd(..) => {
            false
        }
    }
}

/// Whether the placed pod is one that the pod wants to be near.
fn is_near(class: &PeerClass, placed: &PeerClass) -> bool {
    let near = class.affinity();
    near.is_some_and(|(selector, _)| placed.is_meant_by(selector))
}

/// Whether the pod may be the first of a group to be placed.
fn may_be_first(class: &PeerClass) -> bool {
    is_near(class, class)
}

/// Whether it may help that this pod is gone.
fn frees(class: &PeerClass, gone: &PeerClass, peers: &Peers) -> bool {
    let mut away = class.anti_affinity().iter();
    away.any(|&(selector, _)| gone.is_meant_by(selector))
        || peers.keeps_off(gone, class)
        || may_be_first(class) && is_near(class, gone)
}

/// Whether it may help that a placed pod is meant by other selectors now.
fn relabelled(class: &PeerClass, old: &PeerClass, new: &PeerClass) -> bool {
    let mut away = class.anti_affinity().iter();
    match (is_near(class, old), is_near(class, new)) {
        (false, true) => true,
        (true, false) if may_be_first(class) => true,
        _ => away.any(|&(selector, _)| old.is_meant_by(selector) && !new.is_meant_by(selector)),
    }
}

/// Whether it may help that a node is near other nodes now.
fn moved(class: &PeerClass, old: &NodeModel, new: &NodeModel, peers: &Peers) -> bool {
    let changed = |key: &str| old.label(key) != new.label(key);
    let left = |key: &str| changed(key) && old.label(key).is_some();
    let joined = |key: &str| changed(key) && new.label(key).is_some();
    let spec = class.spec();
    let mut near = spec.affinity.iter().map(|term| &*term.topology_key);
    let mut away = spec.anti_affinity.iter().map(|term| &*term.topology_key);
    near.any(|key| joined(key) || left(key) && may_be_first(class))
        || away.any(left)
        || (peers.carried(class, TermKind::AntiAffinity))
            .any(|term| left(peers.topology().key(term.key).name()))
}
