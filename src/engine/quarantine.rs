//! Objects that could not be read: counted, reported, and kept away from decisions.

use std::collections::BTreeSet;

use crate::telemetry::metrics::{Metrics, WatchMetrics};

/// The unreadable objects, by kind.
pub(super) struct Quarantine {
    pods: BTreeSet<Box<str>>,
    nodes: BTreeSet<Box<str>>,
    pod_metrics: WatchMetrics,
    node_metrics: WatchMetrics,
}

impl Quarantine {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            pods: BTreeSet::new(),
            nodes: BTreeSet::new(),
            pod_metrics: metrics.watch("Pod"),
            node_metrics: metrics.watch("Node"),
        }
    }

    pub(super) fn pod(&mut self, uid: &str, name: &str, reason: &str) {
        if self.pods.insert(uid.into()) {
            tracing::error!(
                pod = name,
                reason,
                "this pod cannot be read and is left alone"
            );
        }
        self.pod_metrics.quarantined(self.pods.len());
    }

    pub(super) fn release_pod(&mut self, uid: &str) {
        if !self.pods.is_empty() && self.pods.remove(uid) {
            self.pod_metrics.quarantined(self.pods.len());
        }
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
