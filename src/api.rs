//! Lean decode types for what Berth watches.
//!
//! A `Pod` of k8s-openapi takes sixteen times the memory and four times the time of these. Every
//! field is optional, quantities and enumerations stay text, and only what a plugin reads is a
//! field; [`crate::model`] compiles and validates. No type of this room is kept.

mod annotations;
mod decode;
mod disruption_budget;
mod meta;
mod namespace;
mod node;
mod owners;
mod pod;
mod pod_group;
mod priority_class;
mod selector;
mod volumes;
mod watched;

pub use annotations::{Annotations, annotation};
pub use decode::Pairs;
pub use disruption_budget::{
    PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus,
};
pub use meta::{Meta, OwnerReference};
pub use namespace::Namespace;
pub use node::{ContainerImage, Node, NodeSpec, NodeStatus, Taint};
pub use owners::{
    ControllerSpec, ReplicaSet, ReplicationController, ReplicationControllerSpec, Service,
    ServiceSpec, StatefulSet,
};
pub use pod::{
    Affinity, ClaimVolume, Condition, Container, ContainerPort, ContainerStatus, ImageVolume,
    NodeAffinity, NodeSelector, NodeSelectorTerm, Overhead, Pod, PodAffinity, PodAffinityTerm,
    PodSpec, PodStatus, PreferredTerm, Present, Requirement, Resources, RestartRule,
    SchedulingGate, SchedulingGroup, Toleration, TopologySpreadConstraint, Volume, VolumeMount,
    WeightedPodAffinityTerm,
};
pub use pod_group::{
    DisruptionMode, GangPolicy, GroupCondition, PodGroup, PodGroupSpec, PodGroupStatus,
    SchedulingConstraints, SchedulingPolicy, TopologyConstraint,
};
pub use priority_class::PriorityClass;
pub use selector::LabelSelector;
pub use volumes::{
    PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec,
    PersistentVolumeClaimStatus, PersistentVolumeSpec, StorageClass, VolumeNodeAffinity,
};
pub use watched::{Kind, Watched};
