//! ExtendedResourceAvoidance: nodes with devices are left to pods that ask for devices. This plugin
//! is Berth's own: kube-scheduler's scores leave resources out that a pod does not ask for.

use crate::cluster::{Cluster, NodeSet};
use crate::framework::{MAX_SCORE, Plugin, Score};
use crate::model::{PodShape, is_extended_resource};

/// Prefers nodes without extended resources (GPUs and other devices) for pods that ask for none.
pub struct ExtendedResourceAvoidance;

impl Plugin for ExtendedResourceAvoidance {
    fn name(&self) -> &'static str {
        "ExtendedResourceAvoidance"
    }

    fn score(&self) -> Option<&dyn Score> {
        Some(self)
    }
}

impl Score for ExtendedResourceAvoidance {
    fn skips(&self, pod: &PodShape) -> bool {
        let mut asked = pod.wanted.asked_scalars();
        asked.any(|(name, _)| is_extended_resource(name))
    }

    fn score(&self, _: &PodShape, cluster: &Cluster, nodes: &NodeSet, column: &mut [i64]) {
        for node in nodes.iter() {
            column[node.index()] = MAX_SCORE;
        }
        let resources = cluster.resources();
        for device in resources
            .ids()
            .filter(|id| is_extended_resource(resources.name(*id)))
        {
            let allocatable = resources.allocatable(device);
            for node in nodes.iter().filter(|node| allocatable[node.index()] > 0) {
                column[node.index()] = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests;
