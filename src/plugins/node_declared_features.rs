//! NodeDeclaredFeatures: what a pod needs of the kubelet. Source: `plugins/nodedeclaredfeatures`.

use crate::cluster::{Cluster, NodeSet};
use crate::framework::{
    ClusterEvent, Code, Diagnosis, EventKind, EventSet, Filter, Incoming, Obstacle, Plugin,
    PreFilter, PreFilterAnswer, Reason,
};
use crate::model::{NodeModel, PodShape};

const REASON: Reason = Reason::Text("node(s) didn't match Pod's required features");

/// Keeps pods off nodes whose kubelet does not declare a feature they need.
pub struct NodeDeclaredFeatures;

fn declares(node: &NodeModel, pod: &PodShape) -> bool {
    let has = |feature: &&str| node.declared_features.iter().any(|one| **one == **feature);
    pod.declared_features.iter().all(has)
}

impl Plugin for NodeDeclaredFeatures {
    fn name(&self) -> &'static str {
        "NodeDeclaredFeatures"
    }

    fn pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn events(&self) -> EventSet {
        // Upstream registers for any update of the pod itself.
        EventSet::of(&[
            EventKind::NodeAdd,
            EventKind::NodeDeclaredFeature,
            EventKind::TargetPodLabel,
            EventKind::TargetPodToleration,
            EventKind::TargetPodScaleDown,
            EventKind::TargetPodScaleUp,
            EventKind::TargetPodGatesEliminated,
            EventKind::TargetPodUpdate,
        ])
    }

    fn hint(&self, event: &ClusterEvent<'_>, pod: Incoming<'_>, _: &Cluster) -> bool {
        match event {
            ClusterEvent::NodeUpdate(_, old, new) => old.declared_features != new.declared_features,
            ClusterEvent::TargetPod(_, old) => {
                old.shape.declared_features != pod.shape.declared_features
            }
            _ => true,
        }
    }
}

impl PreFilter for NodeDeclaredFeatures {
    fn pre_filter(&self, pod: &PodShape, _: &Cluster) -> PreFilterAnswer {
        if pod.declared_features.is_empty() {
            PreFilterAnswer::Skip
        } else {
            PreFilterAnswer::Proceed
        }
    }
}

impl Filter for NodeDeclaredFeatures {
    fn obstacle(&self, _: &PodShape, _: &Cluster) -> Obstacle {
        Obstacle::None
    }

    fn filter(&self, pod: &PodShape, cluster: &Cluster, left: &mut NodeSet, why: &mut Diagnosis) {
        let lacking: NodeSet = left
            .iter()
            .filter(|&node| !cluster.node(node).is_some_and(|model| declares(model, pod)))
            .collect();
        if !lacking.is_empty() {
            why.reject(left, &lacking, REASON, Code::Unresolvable);
        }
    }
}

#[cfg(test)]
mod tests;
