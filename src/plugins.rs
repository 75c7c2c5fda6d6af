//! The plugins, one file each, with kube-scheduler's names.

mod balanced_allocation;
mod dynamic_resources;
mod extended_resource_avoidance;
mod image_locality;
mod inter_pod_affinity;
mod node_affinity;
mod node_declared_features;
mod node_name;
mod node_ports;
mod node_resources_fit;
mod node_unschedulable;
mod pod_topology_spread;
mod resource_score;
mod scheduling_gates;
mod taint_toleration;
mod volume_binding;
mod volume_restrictions;
mod volume_zone;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

pub use balanced_allocation::BalancedAllocation;
pub use dynamic_resources::DynamicResources;
pub use extended_resource_avoidance::ExtendedResourceAvoidance;
pub use image_locality::ImageLocality;
pub use inter_pod_affinity::InterPodAffinity;
pub use node_affinity::NodeAffinity;
pub use node_declared_features::NodeDeclaredFeatures;
pub use node_name::NodeName;
pub use node_ports::NodePorts;
pub use node_resources_fit::{NodeResourcesFit, ScoringStrategy, ShapePoint};
pub use node_unschedulable::NodeUnschedulable;
pub use pod_topology_spread::PodTopologySpread;
pub use resource_score::ResourceWeight;
pub use scheduling_gates::SchedulingGates;
pub use taint_toleration::TaintToleration;
pub use volume_binding::VolumeBinding;
pub use volume_restrictions::VolumeRestrictions;
pub use volume_zone::VolumeZone;

use crate::config::{self, Args, Point, ResourceSpec, StrategyType};
use crate::framework::{
    ExtensionPoint, GangPolicy, Plugin, PluginIndex, PostFilter, PreemptionPolicy, Profile,
};
use crate::model::{LabelSelector, PreferredTerm, RequiredTerms, SpreadConstraint};

/// Makes a plugin, by its arguments if there are some.
type Constructor = fn(Option<&Args>) -> Arc<dyn Plugin>;

/// The plugins that exist, with kube-scheduler's names. Where and in which order they are run, and
/// their weights, is in [`config::KNOWN_PLUGINS`]. PrioritySort is the order of [`crate::queue`],
/// DefaultPreemption is [`crate::preemption`], and DefaultBinder the lane of the runtime that binds.
const REGISTRY: &[(&str, Constructor)] = &[
    ("SchedulingGates", |_| Arc::new(SchedulingGates)),
    ("NodeName", |_| Arc::new(NodeName)),
    ("NodeUnschedulable", |_| Arc::new(NodeUnschedulable)),
    ("TaintToleration", |_| Arc::new(TaintToleration)),
    ("NodeAffinity", |args| Arc::new(node_affinity_of(args))),
    ("NodePorts", |_| Arc::new(NodePorts)),
    ("NodeResourcesFit", |args| {
        Arc::new(node_resources_fit_of(args))
    }),
    ("VolumeRestrictions", |_| Arc::new(VolumeRestrictions)),
    ("VolumeBinding", |_| Arc::new(VolumeBinding)),
    ("VolumeZone", |_| Arc::new(VolumeZone)),
    ("PodTopologySpread", |args| {
        Arc::new(pod_topology_spread_of(args))
    }),
    ("InterPodAffinity", |args| {
        Arc::new(inter_pod_affinity_of(args))
    }),
    ("DynamicResources", |_| Arc::new(DynamicResources)),
    ("NodeResourcesBalancedAllocation", |args| {
        Arc::new(balanced_allocation_of(args))
    }),
    ("ImageLocality", |_| Arc::new(ImageLocality)),
    ("NodeDeclaredFeatures", |_| Arc::new(NodeDeclaredFeatures)),
    ("ExtendedResourceAvoidance", |_| {
        Arc::new(ExtendedResourceAvoidance)
    }),
];

/// It is [`crate::preemption`].
const DEFAULT_PREEMPTION: &str = "DefaultPreemption";

/// Not in kube-scheduler's default list. Here it is in every profile that does not switch it off,
/// so that no pod of a group is placed as if it were alone. It is [`crate::gang`].
const GANG_SCHEDULING: &str = "GangScheduling";

/// The names under which what is not supported is refused.
const STAND_INS: &[&str] = &["VolumeRestrictions", "VolumeBinding", "DynamicResources"];

fn node_affinity_of(args: Option<&Args>) -> NodeAffinity {
    let Some(Args::NodeAffinity(args)) = args else {
        return NodeAffinity::default();
    };
    let Some(added) = &args.added_affinity else {
        return NodeAffinity::default();
    };
    NodeAffinity::new(
        added.required.as_ref().map(RequiredTerms::configured),
        PreferredTerm::configured(&added.preferred).into(),
    )
}

fn gang_policy_of(args: Option<&Args>) -> GangPolicy {
    let Some(Args::GangScheduling(args)) = args else {
        return GangPolicy::default();
    };
    let patience = u64::try_from(args.head_of_line_patience.0).unwrap_or(0);
    GangPolicy {
        patience: (args.head_of_line_reservation).then_some(Duration::from_nanos(patience)),
    }
}

fn preemption_policy_of(args: Option<&Args>) -> PreemptionPolicy {
    let Some(Args::DefaultPreemption(args)) = args else {
        return PreemptionPolicy::default();
    };
    PreemptionPolicy {
        min_candidates: args.min_candidate_nodes,
        violate_pdb: args.violate_pdb,
    }
}

fn weights(resources: &[ResourceSpec]) -> Vec<ResourceWeight> {
    let weights = resources.iter().map(|resource| ResourceWeight {
        name: resource.name.as_str().into(),
        weight: resource.weight,
    });
    weights.collect()
}

fn node_resources_fit_of(args: Option<&Args>) -> NodeResourcesFit {
    let Some(Args::NodeResourcesFit(args)) = args else {
        return NodeResourcesFit::default();
    };
    let texts = |list: &[String]| list.iter().map(|one| one.as_str().into()).collect();
    let asked = &args.scoring_strategy;
    let strategy = match asked.kind {
        StrategyType::LeastAllocated => ScoringStrategy::LeastAllocated,
        StrategyType::MostAllocated => ScoringStrategy::MostAllocated,
        StrategyType::RequestedToCapacityRatio => {
            let shape = asked.requested_to_capacity_ratio.iter();
            let points = shape
                .flat_map(|ratio| &ratio.shape)
                .map(|point| ShapePoint {
                    utilization: point.utilization.into(),
                    score: point.score.into(),
                });
            ScoringStrategy::RequestedToCapacityRatio(points.collect())
        }
    };
    NodeResourcesFit::new(
        strategy,
        weights(&asked.resources),
        texts(&args.ignored_resources),
        texts(&args.ignored_resource_groups),
    )
}

fn balanced_allocation_of(args: Option<&Args>) -> BalancedAllocation {
    match args {
        Some(Args::NodeResourcesBalancedAllocation(args)) => {
            BalancedAllocation::new(weights(&args.resources))
        }
        _ => BalancedAllocation::default(),
    }
}

fn inter_pod_affinity_of(args: Option<&Args>) -> InterPodAffinity {
    match args {
        Some(Args::InterPodAffinity(args)) => InterPodAffinity::new(
            args.hard_pod_affinity_weight.into(),
            args.ignore_preferred_terms_of_existing_pods,
        ),
        _ => InterPodAffinity::default(),
    }
}

fn pod_topology_spread_of(args: Option<&Args>) -> PodTopologySpread {
    let Some(Args::PodTopologySpread(args)) = args else {
        return PodTopologySpread::default();
    };
    if args.defaulting_type == "System" {
        return PodTopologySpread::default();
    }
    let defaults = args.default_constraints.iter();
    let honors = |policy: &Option<String>, default| {
        (policy.as_ref()).map_or(default, |policy| policy == "Honor")
    };
    PodTopologySpread::with_defaults(
        defaults
            .map(|one| SpreadConstraint {
                hard: one.when_unsatisfiable == "DoNotSchedule",
                max_skew: one.max_skew.into(),
                topology_key: one.topology_key.as_str().into(),
                selector: LabelSelector::Nothing,
                min_domains: one.min_domains.unwrap_or(1).into(),
                honor_affinity: honors(&one.node_affinity_policy, true),
                honor_taints: honors(&one.node_taints_policy, false),
            })
            .collect(),
    )
}

/// Why a profile cannot be made of its configuration: the field, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("plugins.{field}: {problem}")]
pub struct ProfileError {
    /// The field of `plugins`.
    pub field: String,
    /// What is wrong.
    pub problem: String,
}

/// Makes a profile of its configuration: which plugins are run where, in which order, with which
/// weights and arguments. Source: `framework/runtime.NewFramework`.
///
/// # Errors
///
/// When a plugin stands twice at one extension point. A configuration that was read from a file has
/// been checked for that.
pub fn profile(config: &config::Profile) -> Result<Profile, ProfileError> {
    let expanded = config.plugins.expand();
    let expanded = expanded.map_err(|(field, problem)| ProfileError { field, problem })?;
    let at = |point| expanded.get(&point).map_or(&[][..], Vec::as_slice);
    let mut profile = Profile::empty(&config.scheduler_name);
    let mut added: BTreeMap<&str, PluginIndex> = BTreeMap::new();
    // In kube-scheduler's order of filters first, since lists of plugins are shown in it.
    let order = at(Point::Filter).iter().chain(expanded.values().flatten());
    for (name, _) in order {
        if added.contains_key(name.as_str()) {
            continue;
        }
        let known = REGISTRY.iter().find(|(known, _)| known == name);
        let index = known.and_then(|(_, make)| profile.add(make(config.args(name))));
        added.extend(index.map(|index| (name.as_str(), index)));
    }
    let mut enable = |point, make: fn(i64) -> ExtensionPoint| {
        for (name, weight) in at(point) {
            if let Some(&index) = added.get(name.as_str()) {
                profile.enable(index, make(*weight));
            }
        }
    };
    enable(Point::PreEnqueue, |_| ExtensionPoint::PreEnqueue);
    enable(Point::Filter, |_| ExtensionPoint::Filter);
    enable(Point::Score, ExtensionPoint::Score);
    enable(Point::Reserve, |_| ExtensionPoint::Reserve);
    enable(Point::Permit, |_| ExtensionPoint::Permit);
    // What is not supported is refused where the plugin would filter, wherever else it is off.
    let filtering = |name: &str| at(Point::Filter).iter().any(|(other, _)| other == name);
    let looks_first = at(Point::PreFilter).iter().chain(at(Point::Filter));
    let mut placed = Vec::new();
    for (place, (name, _)) in looks_first.enumerate() {
        let wanted = if STAND_INS.contains(&name.as_str()) {
            filtering(name)
        } else {
            place < at(Point::PreFilter).len()
        };
        if let Some(&index) = added.get(name.as_str())
            && wanted
            && !placed.contains(&index)
        {
            placed.push(index);
            profile.enable(index, ExtensionPoint::PreFilter);
        }
    }
    profile.gangs = (!config.plugins.multi_point.disables(GANG_SCHEDULING))
        .then(|| gang_policy_of(config.args(GANG_SCHEDULING)));
    let post_filters = at(Point::PostFilter);
    profile.post_filter = if post_filters.is_empty() {
        PostFilter::Nothing
    } else if post_filters
        .iter()
        .any(|(name, _)| name == DEFAULT_PREEMPTION)
    {
        PostFilter::Preemption
    } else {
        PostFilter::Other
    };
    profile.preemption = preemption_policy_of(config.args(DEFAULT_PREEMPTION));
    Ok(profile)
}

/// The default plugins in kube-scheduler's order, each with its score weight (0 where it does not
/// score). Source: `pkg/scheduler/apis/config/v1/default_plugins.go`.
pub fn defaults() -> Vec<(Arc<dyn Plugin>, i64)> {
    let made = REGISTRY.iter().filter_map(|(name, make)| {
        let weight = config::known(name)?.default_weight?;
        Some((make(None), weight.into()))
    });
    made.collect()
}

/// The default profile for a schedulerName.
pub fn default_profile(scheduler_name: &str) -> Profile {
    Profile::new(scheduler_name, defaults())
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
