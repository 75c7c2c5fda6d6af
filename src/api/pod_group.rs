//! PodGroup, in the three API groups that have one.

use serde::Deserialize;

use super::decode::or_default;
use super::{Meta, Pairs, Present};

/// A pod group of any dialect: the fields of all of them, of which each dialect fills its own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodGroup {
    /// Metadata.
    pub metadata: Meta,
    /// What was asked.
    #[serde(deserialize_with = "or_default")]
    pub spec: PodGroupSpec,
    /// What was reported.
    #[serde(deserialize_with = "or_default")]
    pub status: PodGroupStatus,
}

/// Pod group spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodGroupSpec {
    /// scheduling.x-k8s.io, Volcano: how many pods must run together.
    pub min_member: Option<i64>,
    /// scheduling.x-k8s.io, Volcano: what they need together; a hint.
    pub min_resources: Pairs,
    /// scheduling.x-k8s.io: after how long the wait is remarkable; absent and 0 mean the default.
    pub schedule_timeout_seconds: Option<i64>,
    /// Volcano: how many pods of each role must run together.
    #[serde(deserialize_with = "or_default")]
    pub min_task_member: std::collections::BTreeMap<Box<str>, i64>,
    /// scheduling.k8s.io, Volcano: the priority class of the group.
    pub priority_class_name: Box<str>,
    /// scheduling.k8s.io: the priority of the group.
    pub priority: Option<i32>,
    /// scheduling.k8s.io: one of `basic` and `gang`.
    #[serde(deserialize_with = "or_default")]
    pub scheduling_policy: SchedulingPolicy,
    /// scheduling.k8s.io: where the pods must be together.
    #[serde(deserialize_with = "or_default")]
    pub scheduling_constraints: SchedulingConstraints,
    /// scheduling.k8s.io: whether members may be disrupted one by one. An object in v1beta1 and
    /// v1alpha3, text in v1alpha2.
    pub disruption_mode: Option<DisruptionMode>,
}

/// How the pods of a group are placed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SchedulingPolicy {
    /// One by one.
    pub basic: Present,
    /// Together.
    pub gang: Option<GangPolicy>,
}

/// Pods that are placed together.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GangPolicy {
    /// How many must run together. There is no default: pods of a version that calls it otherwise
    /// must not be placed one by one.
    pub min_count: i64,
}

/// Where pods must be together.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SchedulingConstraints {
    /// At most one.
    #[serde(deserialize_with = "or_default")]
    pub topology: Vec<TopologyConstraint>,
}

/// All pods on nodes with one value of a label.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TopologyConstraint {
    /// The label's key.
    pub key: Box<str>,
}

/// Whether members may be disrupted one by one.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum DisruptionMode {
    /// v1alpha2: `Pod` or `PodGroup`.
    Text(Box<str>),
    /// Later versions: `single` or `all`.
    Union {
        /// Only the whole group.
        #[serde(default)]
        all: Present,
    },
}

/// Pod group status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodGroupStatus {
    /// scheduling.x-k8s.io, Volcano: the phase.
    pub phase: Box<str>,
    /// Conditions.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<GroupCondition>,
    /// scheduling.x-k8s.io, Volcano: how many members run.
    pub running: i64,
}

/// A condition of a group.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GroupCondition {
    /// Type.
    #[serde(rename = "type")]
    pub kind: Box<str>,
    /// True, False or Unknown.
    pub status: Box<str>,
    /// Reason.
    pub reason: Box<str>,
    /// Message.
    pub message: Box<str>,
    /// The generation of the object that it is about.
    pub observed_generation: Option<i64>,
    /// When the status of the condition changed last; Go writes null for never.
    #[serde(deserialize_with = "or_default")]
    pub last_transition_time: Box<str>,
}

#[cfg(test)]
mod tests;
