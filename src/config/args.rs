//! The arguments of plugins, as plain values. Reading and checking them is in `args/read.rs`.

mod read;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::affinity::NodeAffinity;
use super::duration;

/// The arguments of one plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginConfig {
    /// The plugin.
    pub name: String,
    /// Its arguments.
    pub args: Args,
}

/// Arguments, by plugin.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Args {
    /// Of DefaultPreemption.
    DefaultPreemption(DefaultPreemptionArgs),
    /// Of DynamicResources.
    DynamicResources(DynamicResourcesArgs),
    /// Of GangScheduling.
    GangScheduling(GangSchedulingArgs),
    /// Of InterPodAffinity.
    InterPodAffinity(InterPodAffinityArgs),
    /// Of NodeAffinity.
    NodeAffinity(NodeAffinityArgs),
    /// Of NodeResourcesBalancedAllocation.
    NodeResourcesBalancedAllocation(NodeResourcesBalancedAllocationArgs),
    /// Of NodeResourcesFit.
    NodeResourcesFit(NodeResourcesFitArgs),
    /// Of PodTopologySpread.
    PodTopologySpread(PodTopologySpreadArgs),
    /// Of VolumeBinding.
    VolumeBinding(VolumeBindingArgs),
    /// Of a plugin that takes none; nobody reads them.
    Other(Value),
}

/// Arguments of DefaultPreemption.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DefaultPreemptionArgs {
    /// How many candidates are enough; None, unless the file says, for all that there are.
    #[serde(flatten)]
    pub min_candidate_nodes: Option<MinCandidateNodes>,
    /// Whether a gang may evict pods whose disruption budget does not allow it; kube-scheduler does
    /// not know it.
    #[serde(rename = "violatePDB", skip_serializing_if = "std::ops::Not::not")]
    pub violate_pdb: bool,
}

/// How many nodes are looked at for candidates. Source: `DefaultPreemptionArgs` in
/// `pkg/scheduler/apis/config/types_pluginargs.go`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MinCandidateNodes {
    /// At least so large a share of the nodes, in percent; 10 unless the file says otherwise.
    #[serde(rename = "minCandidateNodesPercentage")]
    pub percentage: i32,
    /// At least so many; 100 unless the file says otherwise.
    #[serde(rename = "minCandidateNodesAbsolute")]
    pub absolute: i32,
}

/// Arguments of DynamicResources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DynamicResourcesArgs {
    /// How long one node may be looked at; 0 for no limit.
    pub filter_timeout: Nanoseconds,
    /// How long to wait until devices are ready.
    pub binding_timeout: Nanoseconds,
}

/// Arguments of GangScheduling, which kube-scheduler does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GangSchedulingArgs {
    /// Whether a gang that has waited for too long is served before others.
    pub head_of_line_reservation: bool,
    /// What is too long.
    pub head_of_line_patience: Nanoseconds,
}

/// Arguments of InterPodAffinity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InterPodAffinityArgs {
    /// What a required term of a placed pod counts in the score.
    pub hard_pod_affinity_weight: i32,
    /// Whether preferred terms of placed pods do not count for pods without such terms.
    pub ignore_preferred_terms_of_existing_pods: bool,
}

/// Arguments of NodeAffinity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeAffinityArgs {
    /// Added to what every pod of the profile asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_affinity: Option<NodeAffinity>,
}

/// A resource and how much it matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResourceSpec {
    /// The resource.
    pub name: String,
    /// 1 to 100.
    pub weight: i64,
}

/// Arguments of NodeResourcesBalancedAllocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeResourcesBalancedAllocationArgs {
    /// What is balanced.
    pub resources: Vec<ResourceSpec>,
}

/// Arguments of NodeResourcesFit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeResourcesFitArgs {
    /// Extended resources that are not looked at when filtering.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored_resources: Vec<String>,
    /// The same by group, the part before the slash.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored_resource_groups: Vec<String>,
    /// How fullness becomes a score.
    pub scoring_strategy: ScoringStrategy,
}

/// How fullness becomes a score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScoringStrategy {
    /// Which way.
    #[serde(rename = "type")]
    pub kind: StrategyType,
    /// Which resources count how much.
    pub resources: Vec<ResourceSpec>,
    /// Only for the way of that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_to_capacity_ratio: Option<RequestedToCapacityRatio>,
}

/// A way from fullness to a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum StrategyType {
    /// The emptier the better.
    LeastAllocated,
    /// The fuller the better.
    MostAllocated,
    /// By a function.
    RequestedToCapacityRatio,
}

/// A function from utilisation to score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestedToCapacityRatio {
    /// Its points, ascending.
    pub shape: Vec<UtilizationShapePoint>,
}

/// A point of such a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UtilizationShapePoint {
    /// In percent.
    pub utilization: i32,
    /// 0 to 10.
    pub score: i32,
}

/// Arguments of PodTopologySpread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodTopologySpreadArgs {
    /// For pods without constraints of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub default_constraints: Vec<TopologySpreadConstraint>,
    /// `System`, or `List` for the constraints above.
    pub defaulting_type: String,
}

/// A constraint for pods without constraints of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopologySpreadConstraint {
    /// How uneven it may be.
    pub max_skew: i32,
    /// The label that makes domains.
    pub topology_key: String,
    /// `DoNotSchedule` or `ScheduleAnyway`.
    pub when_unsatisfiable: String,
    /// So many domains at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_domains: Option<i32>,
    /// `Honor` or `Ignore`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_affinity_policy: Option<String>,
    /// `Honor` or `Ignore`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_taints_policy: Option<String>,
    /// Labels whose values are taken from the pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_label_keys: Vec<String>,
}

/// Arguments of VolumeBinding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeBindingArgs {
    /// How long to wait for volumes.
    pub bind_timeout_seconds: i64,
    /// How fullness of storage becomes a score.
    pub shape: Vec<UtilizationShapePoint>,
}

/// A duration that is written as Go writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nanoseconds(pub i64);

impl Serialize for Nanoseconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&duration::format(self.0))
    }
}

impl Serialize for PluginConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut args = serde_json::to_value(&self.args).map_err(S::Error::custom)?;
        if !matches!(self.args, Args::Other(_))
            && let Value::Object(map) = &mut args
        {
            map.insert("apiVersion".to_owned(), super::API_VERSION.into());
            map.insert("kind".to_owned(), format!("{}Args", self.name).into());
        }
        serde_json::json!({ "name": self.name, "args": args }).serialize(serializer)
    }
}
