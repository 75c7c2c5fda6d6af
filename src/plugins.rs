//! The plugins, one file each, with kube-scheduler's names.

mod balanced_allocation;
mod image_locality;
mod node_affinity;
mod node_declared_features;
mod node_name;
mod node_ports;
mod node_resources_fit;
mod node_unschedulable;
mod not_yet;
mod resource_score;
mod scheduling_gates;
mod taint_toleration;

use std::sync::Arc;

pub use balanced_allocation::BalancedAllocation;
pub use image_locality::ImageLocality;
pub use node_affinity::NodeAffinity;
pub use node_declared_features::NodeDeclaredFeatures;
pub use node_name::NodeName;
pub use node_ports::NodePorts;
pub use node_resources_fit::{NodeResourcesFit, ScoringStrategy, ShapePoint};
pub use node_unschedulable::NodeUnschedulable;
pub use not_yet::NotYet;
pub use resource_score::ResourceWeight;
pub use scheduling_gates::SchedulingGates;
pub use taint_toleration::TaintToleration;

use crate::framework::{Plugin, Profile};
use crate::model::Unsupported;

/// The default plugins in kube-scheduler's order, each with its score weight (0 where it does not
/// score). Source: `pkg/scheduler/apis/config/v1/default_plugins.go`. PrioritySort is the order of
/// [`crate::queue`], and DefaultPreemption is [`crate::preemption`].
pub fn defaults() -> Vec<(Arc<dyn Plugin>, i64)> {
    vec![
        (Arc::new(SchedulingGates), 0),
        (Arc::new(NodeName), 0),
        (Arc::new(NodeUnschedulable), 0),
        (Arc::new(TaintToleration), 3),
        (Arc::new(NodeAffinity), 2),
        (Arc::new(NodePorts), 0),
        (Arc::new(NodeResourcesFit::default()), 1),
        (
            Arc::new(NotYet::new(
                "VolumeRestrictions",
                &[Unsupported::ExclusiveDisks],
            )),
            0,
        ),
        (
            Arc::new(NotYet::new("VolumeBinding", &[Unsupported::VolumeClaims])),
            0,
        ),
        (
            Arc::new(NotYet::new(
                "PodTopologySpread",
                &[Unsupported::TopologySpread],
            )),
            0,
        ),
        (
            Arc::new(NotYet::new(
                "InterPodAffinity",
                &[Unsupported::PodAffinity, Unsupported::PodAntiAffinity],
            )),
            0,
        ),
        (
            Arc::new(NotYet::new(
                "DynamicResources",
                &[Unsupported::ResourceClaims],
            )),
            0,
        ),
        (Arc::new(BalancedAllocation::default()), 1),
        (Arc::new(ImageLocality), 1),
        (Arc::new(NodeDeclaredFeatures), 0),
        (
            Arc::new(NotYet::new("GangScheduling", &[Unsupported::PodGroup])),
            0,
        ),
    ]
}

/// The default profile for a schedulerName.
pub fn default_profile(scheduler_name: &str) -> Profile {
    Profile::new(scheduler_name, defaults())
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
