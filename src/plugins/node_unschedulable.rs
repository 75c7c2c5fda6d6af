//! NodeUnschedulable: cordoned nodes take only pods that tolerate it. Source:
//! `plugins/nodeunschedulable`.

use crate::cluster::{Cluster, NodeSet};
use crate::framework::{
    ClusterEvent, Code, Diagnosis, EventKind, EventSet, Filter, Incoming, Obstacle, Plugin,
    PreFilter, PreFilterAnswer, Reason,
};
use crate::model::{PodShape, Taint};

const REASON: Reason = Reason::Text("node(s) were unschedulable");

/// Keeps pods off cordoned nodes.
pub struct NodeUnschedulable;

fn tolerates(pod: &PodShape) -> bool {
    let taint = Taint::unschedulable();
    pod.tolerations
        .iter()
        .any(|toleration| toleration.tolerates(&taint))
}

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn events(&self) -> EventSet {
        EventSet::of(&[
            EventKind::NodeAdd,
            EventKind::NodeTaint,
            EventKind::TargetPodToleration,
        ])
    }

    fn hint(&self, event: &ClusterEvent<'_>, pod: Incoming<'_>, _: &Cluster) -> bool {
        match event {
            ClusterEvent::NodeAdd(node) => !node.unschedulable,
            ClusterEvent::NodeUpdate(_, old, new) => old.unschedulable && !new.unschedulable,
            ClusterEvent::TargetPod(..) => tolerates(pod.shape),
            _ => false,
        }
    }
}

impl PreFilter for NodeUnschedulable {
    fn pre_filter(&self, pod: &PodShape, _: &Cluster) -> PreFilterAnswer {
        if tolerates(pod) {
            PreFilterAnswer::Skip
        } else {
            PreFilterAnswer::Proceed
        }
    }
}

impl Filter for NodeUnschedulable {
    fn obstacle(&self, _: &PodShape, _: &Cluster) -> Obstacle {
        Obstacle::None
    }

    fn filter(&self, _: &PodShape, cluster: &Cluster, left: &mut NodeSet, why: &mut Diagnosis) {
        if left.intersects(cluster.unschedulable()) {
            why.reject(left, cluster.unschedulable(), REASON, Code::Unresolvable);
        }
    }
}
