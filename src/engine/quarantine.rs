//! Objects that could not be read: counted, reported, and kept away from decisions.

use std::collections::{BTreeMap, BTreeSet};

use crate::telemetry::metrics::{Metrics, WatchMetrics};

/// The unreadable objects, by kind.
pub(super) struct Quarantine {
    /// By uid: the node the pod stands on, empty for none.
    pods: BTreeMap<Box<str>, Box<str>>,
    nodes: BTreeSet<Box<str>>,
    pod_metrics: WatchMetrics,
    node_metrics: WatchMetrics,
}

impl Quarantine {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            pods: BTreeMap::new(),
            nodes: BTreeSet::new(),
            pod_metrics: metrics.watch("Pod"),
            node_metrics: metrics.watch("Node"),
        }
    }

    /// Keeps a pod apart. Its node, if it has one, must take no pods.
    pub(super) fn pod(&mut self, uid: &str, name: &str, node: &str, reason: &str) {
        if self.pods.insert(uid.into(), node.into()).is_none() {
            tracing::error!(
                pod = name,
                reason,
                "this pod cannot be read and is left alone"
            );
        }
        self.pod_metrics.quarantined(self.pods.len());
    }

    /// The pod can be read or is gone. Answers its node when no other such pod is on it.
    pub(super) fn release_pod(&mut self, uid: &str) -> Option<Box<str>> {
        let node = self.pods.remove(uid)?;
        self.pod_metrics.quarantined(self.pods.len());
        let shared = self.pods.values().any(|other| *other == node);
        (!node.is_empty() && !shared).then_some(node)
    }

    pub(super) fn node(&mut self, name: &str, reason: &str) {
        if self.nodes.insert(name.into()) {
            tracing::error!(
                node = name,
                reason,
                "this node cannot be read and takes no pods"
            );
        }
        self.node_metrics.quarantined(self.nodes.len());
    }

    pub(super) fn release_node(&mut self, name: &str) {
        if !self.nodes.is_empty() && self.nodes.remove(name) {
            self.node_metrics.quarantined(self.nodes.len());
        }
    }
}
