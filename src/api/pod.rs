//! core/v1 Pod.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::decode::or_default;
use super::{Kind, LabelSelector, Meta, Pairs};

/// Presence of a field whose content is not read.
pub type Present = Option<IgnoredAny>;

/// Pod overhead and pod-level or container-level requests share one form.
pub type Overhead = Pairs;

/// A pod, as far as scheduling reads it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Metadata.
    pub metadata: Meta,
    /// What was asked.
    pub spec: PodSpec,
    /// What was reported.
    pub status: PodStatus,
}

/// Pod spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpec {
    /// The node the pod is bound to; empty while it waits.
    pub node_name: Box<str>,
    /// Who shall place it.
    pub scheduler_name: Box<str>,
    /// Filled by priority admission.
    pub priority: Option<i32>,
    /// `Never` forbids preempting others.
    pub preemption_policy: Box<str>,
    /// Labels the node must have.
    pub node_selector: Pairs,
    /// Affinities.
    #[serde(deserialize_with = "or_default")]
    pub affinity: Affinity,
    /// Tolerations.
    #[serde(deserialize_with = "or_default")]
    pub tolerations: Vec<Toleration>,
    /// Containers that run together.
    #[serde(deserialize_with = "or_default")]
    pub containers: Vec<Container>,
    /// Containers that run before, in order.
    #[serde(deserialize_with = "or_default")]
    pub init_containers: Vec<Container>,
    /// What the runtime class costs.
    pub overhead: Overhead,
    /// Pod-level resources.
    #[serde(deserialize_with = "or_default")]
    pub resources: Resources,
    /// Gates that hold the pod back.
    #[serde(deserialize_with = "or_default")]
    pub scheduling_gates: Vec<SchedulingGate>,
    /// Spreading.
    #[serde(deserialize_with = "or_default")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Volumes.
    #[serde(deserialize_with = "or_default")]
    pub volumes: Vec<Volume>,
    /// Dynamic resource claims.
    #[serde(deserialize_with = "or_default")]
    pub resource_claims: Vec<IgnoredAny>,
    /// Shares the node's network.
    pub host_network: bool,
    /// Whether it shares the node's users; None means yes.
    pub host_users: Option<bool>,
    /// The group the pod belongs to (scheduling.k8s.io PodGroup).
    #[serde(deserialize_with = "or_default")]
    pub scheduling_group: SchedulingGroup,
}

/// The group a pod belongs to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SchedulingGroup {
    /// Its name, in the pod's namespace; empty for none.
    pub pod_group_name: Box<str>,
}

/// Affinity of a pod to nodes and to other pods.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Affinity {
    /// To nodes.
    pub node_affinity: Option<NodeAffinity>,
    /// To other pods.
    #[serde(deserialize_with = "or_default")]
    pub pod_affinity: PodAffinity,
    /// Away from other pods.
    #[serde(deserialize_with = "or_default")]
    pub pod_anti_affinity: PodAffinity,
}

/// Affinity to other pods, or away from them. An empty object, which charts like to leave, asks for
/// nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodAffinity {
    /// Must hold.
    #[serde(
        rename = "requiredDuringSchedulingIgnoredDuringExecution",
        deserialize_with = "or_default"
    )]
    pub required: Vec<PodAffinityTerm>,
    /// Would be nice.
    #[serde(
        rename = "preferredDuringSchedulingIgnoredDuringExecution",
        deserialize_with = "or_default"
    )]
    pub preferred: Vec<WeightedPodAffinityTerm>,
}

/// Which pods, and what counts as near them. The API server has merged matchLabelKeys and
/// mismatchLabelKeys into the selector.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodAffinityTerm {
    /// The pods, by label; None matches none.
    pub label_selector: Option<LabelSelector>,
    /// Their namespaces.
    #[serde(deserialize_with = "or_default")]
    pub namespaces: Vec<Box<str>>,
    /// Further namespaces, by label; None matches none.
    pub namespace_selector: Option<LabelSelector>,
    /// Nodes with the same value of this label are near each other.
    pub topology_key: Box<str>,
}

/// A preferred term and its weight.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WeightedPodAffinityTerm {
    /// 1 to 100.
    pub weight: i32,
    /// The term.
    pub pod_affinity_term: PodAffinityTerm,
}

/// Node affinity.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeAffinity {
    /// Must match.
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: Option<NodeSelector>,
    /// Would be nice.
    #[serde(
        rename = "preferredDuringSchedulingIgnoredDuringExecution",
        deserialize_with = "or_default"
    )]
    pub preferred: Vec<PreferredTerm>,
}

/// Node selector: terms of which one must match.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeSelector {
    /// The terms, ORed.
    #[serde(deserialize_with = "or_default")]
    pub node_selector_terms: Vec<NodeSelectorTerm>,
}

/// A preferred term and its weight.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PreferredTerm {
    /// 1 to 100.
    pub weight: i32,
    /// The term.
    pub preference: NodeSelectorTerm,
}

/// Requirements that must all match.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeSelectorTerm {
    /// On labels.
    #[serde(deserialize_with = "or_default")]
    pub match_expressions: Vec<Requirement>,
    /// On fields; only metadata.name exists.
    #[serde(deserialize_with = "or_default")]
    pub match_fields: Vec<Requirement>,
}

/// One requirement of a node selector term.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Requirement {
    /// Label key or field name.
    pub key: Box<str>,
    /// In, NotIn, Exists, DoesNotExist, Gt or Lt.
    pub operator: Box<str>,
    /// Values.
    #[serde(deserialize_with = "or_default")]
    pub values: Vec<Box<str>>,
}

/// A toleration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Toleration {
    /// Key; empty means every key.
    pub key: Box<str>,
    /// Equal (also when empty) or Exists.
    pub operator: Box<str>,
    /// Value.
    pub value: Box<str>,
    /// Effect; empty means every effect.
    pub effect: Box<str>,
}

/// A container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Container {
    /// Name.
    pub name: Box<str>,
    /// Image.
    pub image: Box<str>,
    /// Ports.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<ContainerPort>,
    /// Resources.
    #[serde(deserialize_with = "or_default")]
    pub resources: Resources,
    /// `Always` makes an init container a sidecar.
    pub restart_policy: Box<str>,
    /// What to do when it exits.
    #[serde(deserialize_with = "or_default")]
    pub restart_policy_rules: Vec<RestartRule>,
    /// Volume mounts.
    #[serde(deserialize_with = "or_default")]
    pub volume_mounts: Vec<VolumeMount>,
}

/// A restart rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RestartRule {
    /// What to do.
    pub action: Box<str>,
}

/// A volume mount, as far as it asks something of the node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VolumeMount {
    /// Options of the bind mount.
    #[serde(deserialize_with = "or_default")]
    pub bind_mount_options: Vec<IgnoredAny>,
}

/// Requests. Limits are not read: admission has defaulted requests from them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// What is reserved; absent differs from empty in a container's status.
    pub requests: Option<Pairs>,
}

/// A container port.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerPort {
    /// Port on the node; 0 for none.
    pub host_port: i32,
    /// Address on the node; empty for all.
    #[serde(rename = "hostIP")]
    pub host_ip: Box<str>,
    /// TCP (also when empty), UDP or SCTP.
    pub protocol: Box<str>,
}

/// A scheduling gate.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SchedulingGate {
    /// Name.
    pub name: Box<str>,
}

/// A spread constraint.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopologySpreadConstraint {
    /// By how many pods domains may differ.
    pub max_skew: i32,
    /// Nodes with the same value of this label are one domain.
    pub topology_key: Box<str>,
    /// DoNotSchedule or ScheduleAnyway.
    pub when_unsatisfiable: Box<str>,
    /// The pods that are counted; None counts none.
    pub label_selector: Option<LabelSelector>,
    /// With fewer eligible domains the least count is taken as 0.
    pub min_domains: Option<i32>,
    /// Honor (also when absent) or Ignore.
    pub node_affinity_policy: Option<Box<str>>,
    /// Honor or Ignore (also when absent).
    pub node_taints_policy: Option<Box<str>>,
    /// Labels whose values on the pod itself the counted pods must have too.
    #[serde(deserialize_with = "or_default")]
    pub match_label_keys: Vec<Box<str>>,
}

/// A volume, as far as it matters where the pod runs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Volume {
    /// Its name within the pod.
    pub name: Box<str>,
    /// A claim.
    pub persistent_volume_claim: Option<ClaimVolume>,
    /// A claim made for the pod.
    pub ephemeral: Present,
    /// A disk that only one node may hold.
    pub gce_persistent_disk: Present,
    /// A disk that only one node may hold.
    pub aws_elastic_block_store: Present,
    /// A disk that only one node may hold.
    pub iscsi: Present,
    /// A disk that only one node may hold.
    pub rbd: Present,
    /// An image mounted as a volume.
    pub image: Option<ImageVolume>,
}

/// A volume that is what a claim is bound to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClaimVolume {
    /// The name of the claim.
    pub claim_name: Box<str>,
}

/// An image volume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ImageVolume {
    /// Its image.
    pub reference: Box<str>,
}

/// Pod status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodStatus {
    /// Pending, Running, Succeeded, Failed.
    pub phase: Box<str>,
    /// Where preemption made, or is making, room.
    pub nominated_node_name: Box<str>,
    /// When the kubelet took it; empty for not yet.
    #[serde(deserialize_with = "or_default")]
    pub start_time: Box<str>,
    /// Conditions.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
    /// What the containers really have.
    #[serde(deserialize_with = "or_default")]
    pub container_statuses: Vec<ContainerStatus>,
    /// What the init containers really have.
    #[serde(deserialize_with = "or_default")]
    pub init_container_statuses: Vec<ContainerStatus>,
    /// Pod-level: what the node has granted.
    pub allocated_resources: Option<Pairs>,
    /// Pod-level: what is in force.
    pub resources: Option<Resources>,
}

/// A condition.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Condition {
    /// Type.
    #[serde(rename = "type")]
    pub kind: Box<str>,
    /// True, False or Unknown.
    pub status: Box<str>,
    /// Reason.
    pub reason: Box<str>,
    /// Message.
    pub message: Box<str>,
}

/// A container's status, as far as in-place resize needs it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerStatus {
    /// The container's name.
    pub name: Box<str>,
    /// What the node has granted.
    pub allocated_resources: Option<Pairs>,
    /// What is in force.
    pub resources: Option<Resources>,
}

impl Kind for Pod {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Pod";
    const PLURAL: &'static str = "pods";

    fn meta(&self) -> &Meta {
        &self.metadata
    }
}
