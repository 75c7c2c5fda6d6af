//! NodePorts: host ports that are taken. Source: `plugins/nodeports`.

use crate::cluster::{Cluster, NodeSet};
use crate::framework::{
    ClusterEvent, Code, Diagnosis, EventKind, EventSet, Filter, Incoming, Obstacle, Plugin,
    PreFilter, PreFilterAnswer, Reason,
};
use crate::model::PodShape;

const REASON: Reason = Reason::Text("node(s) didn't have free ports for the requested pod ports");

/// Keeps pods off nodes where a host port they want is taken.
pub struct NodePorts;

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn events(&self) -> EventSet {
        EventSet::of(&[EventKind::AssignedPodDelete, EventKind::NodeAdd])
    }

    fn hint(&self, event: &ClusterEvent<'_>, pod: Incoming<'_>, _: &Cluster) -> bool {
        match event {
            ClusterEvent::AssignedPodDelete(gone) => {
                let mut freed = gone.pod.host_ports.iter();
                freed.any(|freed| {
                    pod.shape
                        .host_ports
                        .iter()
                        .any(|port| freed.conflicts(port))
                })
            }
            _ => true,
        }
    }
}

impl PreFilter for NodePorts {
    fn pre_filter(&self, pod: &PodShape, _: &Cluster) -> PreFilterAnswer {
        if pod.host_ports.is_empty() {
            PreFilterAnswer::Skip
        } else {
            PreFilterAnswer::Proceed
        }
    }
}

impl Filter for NodePorts {
    fn obstacle(&self, pod: &PodShape, _: &Cluster) -> Obstacle {
        if pod.host_ports.is_empty() {
            Obstacle::None
        } else {
            Obstacle::Pods
        }
    }

    fn filter(&self, pod: &PodShape, cluster: &Cluster, left: &mut NodeSet, why: &mut Diagnosis) {
        let mut taken = NodeSet::new();
        for port in &pod.host_ports {
            cluster.ports().for_each_conflict(port, |node| {
                if left.contains(node) {
                    taken.insert(node);
                }
            });
        }
        if !taken.is_empty() {
            why.reject(left, &taken, REASON, Code::Unschedulable);
        }
    }

    fn room(&self, pod: &PodShape, _: &Cluster, nodes: &NodeSet, column: &mut [u32]) -> bool {
        if pod.host_ports.is_empty() {
            return false;
        }
        for node in nodes.iter() {
            let held = &mut column[node.index()];
            *held = 1.min(*held);
        }
        true
    }
}
