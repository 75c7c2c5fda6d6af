//! Which waiting pods are nominated to which nodes. Source: `backend/queue/nominator.go`.
//!
//! This is what counts for other pods. It is not always what the pod's object says: a nomination
//! that this scheduler ends or makes counts from then on, the object follows when the API server
//! has taken it in.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::waiting::Waiting;
use crate::cluster::{Cluster, NodeId};
use crate::framework::{Nominated, Nominations};
use crate::queue::PodKey;

/// Nominated pods by node and nodes by pod.
#[derive(Clone, Debug, Default)]
pub(super) struct Nominator {
    by_node: BTreeMap<Box<str>, Vec<PodKey>>,
    by_pod: FxHashMap<PodKey, Box<str>>,
    revision: u64,
}

impl Nominator {
    /// The pod is nominated to this node and to no other; to none if the name is empty.
    pub(super) fn set(&mut self, pod: PodKey, node: &str) {
        self.remove(pod);
        if !node.is_empty() {
            self.revision += 1;
            self.by_pod.insert(pod, node.into());
            self.by_node.entry(node.into()).or_default().push(pod);
        }
    }

    /// The pod's object changed its nomination from `old` to `new`. One that never told of any may
    /// be behind, so that a nomination made here stays.
    pub(super) fn update(&mut self, pod: PodKey, old: &str, new: &str) {
        if !(old.is_empty() && new.is_empty()) {
            self.set(pod, new);
        }
    }

    /// The pod is not nominated any more.
    pub(super) fn remove(&mut self, pod: PodKey) {
        let Some(node) = self.by_pod.remove(&pod) else {
            return;
        };
        self.revision += 1;
        if let Some(pods) = self.by_node.get_mut(&node) {
            pods.retain(|&other| other != pod);
            if pods.is_empty() {
                self.by_node.remove(&node);
            }
        }
    }

    /// A number that moves with every nomination.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The node that the pod is nominated to.
    pub(super) fn node_of(&self, pod: PodKey) -> Option<&str> {
        self.by_pod.get(&pod).map(|node| &**node)
    }

    /// The pods that are nominated to this node.
    pub(super) fn on(&self, node: &str) -> &[PodKey] {
        self.by_node.get(node).map_or(&[], |pods| pods)
    }

    /// The pods that one of this priority has to yield to, or a gang: others of its priority or a
    /// higher one. Nodes that take no pods are left out.
    pub(super) fn before<'a>(
        &self,
        itself: impl Fn(PodKey) -> bool,
        priority: i32,
        pods: &'a FxHashMap<PodKey, Waiting>,
        cluster: &Cluster,
    ) -> Nominations<'a> {
        (self.nodes())
            .filter_map(|(node, nominated)| {
                let yields_to = yields_to(nominated, &itself, priority, pods);
                Some((cluster.node_id(node)?, yields_to))
            })
            .collect()
    }

    /// The same, but only of the node that the pod is nominated to itself.
    pub(super) fn before_on_own<'a>(
        &self,
        pod: PodKey,
        priority: i32,
        pods: &'a FxHashMap<PodKey, Waiting>,
        cluster: &Cluster,
    ) -> Option<(NodeId, Nominations<'a>)> {
        let name = self.node_of(pod)?;
        let node = cluster.node_id(name)?;
        let others = yields_to(self.on(name), &|other| other == pod, priority, pods);
        Some((node, [(node, others)].into_iter().collect()))
    }

    /// The nodes, in the order of their names, each with its pods in the order they were nominated.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (&str, &[PodKey])> {
        (self.by_node.iter()).map(|(node, pods)| (&**node, &**pods))
    }

    /// Fails unless both directions agree and only these pods are nominated.
    #[cfg(test)]
    pub(super) fn audit(&self, may_be: impl Fn(PodKey) -> bool) {
        let listed =
            || (self.nodes()).flat_map(|(node, pods)| pods.iter().map(move |&pod| (pod, node)));
        assert_eq!(listed().count(), self.by_pod.len());
        for (pod, node) in listed() {
            assert_eq!(self.by_pod.get(&pod).map(|node| &**node), Some(node));
            assert!(may_be(pod), "{pod:?} is not nominated");
        }
        assert!(self.by_node.values().all(|pods| !pods.is_empty()));
    }
}

/// Those of the nominated pods that one of this priority has to yield to.
fn yields_to<'a>(
    nominated: &[PodKey],
    itself: &impl Fn(PodKey) -> bool,
    priority: i32,
    pods: &'a FxHashMap<PodKey, Waiting>,
) -> Vec<Nominated<'a>> {
    (nominated.iter())
        .filter(|&&other| !itself(other))
        .filter_map(|other| pods.get(other))
        .filter(|other| other.priority >= priority)
        .map(|other| Nominated {
            reference: &other.reference,
            priority: other.priority,
            placed: &other.placed,
            peers: other.peers,
        })
        .collect()
}

#[cfg(test)]
mod tests;
