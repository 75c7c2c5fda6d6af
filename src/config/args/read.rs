//! Reading the arguments of plugins, with kube-scheduler's defaults and checks. Sources:
//! `apis/config/v1/defaults.go`, `apis/config/validation/validation_pluginargs.go`.

use super::{
    Args, DefaultPreemptionArgs, DynamicResourcesArgs, GangSchedulingArgs, InterPodAffinityArgs,
    MinCandidateNodes, Nanoseconds, NodeAffinityArgs, NodeResourcesBalancedAllocationArgs,
    NodeResourcesFitArgs, PodTopologySpreadArgs, RequestedToCapacityRatio, ResourceSpec,
    ScoringStrategy, StrategyType, TopologySpreadConstraint, UtilizationShapePoint,
    VolumeBindingArgs,
};
use crate::config::affinity::NodeAffinity;
use crate::config::reader::{Fields, Problems, Reader};
use crate::config::{API_VERSION, labels};

const SECOND: i64 = 1_000_000_000;

impl Args {
    /// The arguments of a plugin as the file has them.
    pub(in crate::config) fn read(plugin: &str, reader: Reader<'_>) -> Option<Self> {
        let value = reader.value();
        let Some(read) = reader_of(plugin) else {
            return Some(Self::Other(value.clone()));
        };
        let mut fields = reader.fields()?;
        let kind = format!("{plugin}Args");
        for (name, expected) in [("apiVersion", API_VERSION), ("kind", &kind)] {
            if let Some(found) = fields.text(name).filter(|found| found != expected) {
                let path = fields.path_of(name);
                fields.problems.unsupported(&path, &found, &[expected]);
            }
        }
        let args = read(&mut fields);
        fields.finish();
        Some(args)
    }

    /// The arguments of a plugin of which the file says nothing; None when it takes none.
    pub fn defaults(plugin: &str) -> Option<Self> {
        let read = reader_of(plugin)?;
        let (empty, problems) = (serde_json::json!({}), Problems::default());
        let mut fields = Reader::root(&empty, &problems).fields()?;
        Some(read(&mut fields))
    }
}

fn reader_of(plugin: &str) -> Option<fn(&mut Fields<'_>) -> Args> {
    Some(match plugin {
        "DefaultPreemption" => default_preemption,
        "DynamicResources" => dynamic_resources,
        "GangScheduling" => gang_scheduling,
        "InterPodAffinity" => inter_pod_affinity,
        "NodeAffinity" => node_affinity,
        "NodeResourcesBalancedAllocation" => balanced_allocation,
        "NodeResourcesFit" => node_resources_fit,
        "PodTopologySpread" => pod_topology_spread,
        "VolumeBinding" => volume_binding,
        _ => return None,
    })
}

/// An integer, or the default, which must lie within the range.
fn bounded(
    fields: &mut Fields<'_>,
    name: &'static str,
    default: i32,
    range: std::ops::RangeInclusive<i32>,
    why: &str,
) -> i32 {
    let value = fields.get(name).and_then(|one| one.integer());
    let value = value.unwrap_or(default);
    if !range.contains(&value) {
        fields.problems.invalid(&fields.path_of(name), value, why);
    }
    value
}

fn default_preemption(fields: &mut Fields<'_>) -> Args {
    let (percentage, absolute) = ("minCandidateNodesPercentage", "minCandidateNodesAbsolute");
    let given = [percentage, absolute].map(|name| fields.get(name).is_some());
    let why = "not in valid range [0, 100]";
    let least = MinCandidateNodes {
        percentage: bounded(fields, percentage, 10, 0..=100, why),
        absolute: bounded(
            fields,
            absolute,
            100,
            0..=i32::MAX,
            "not in valid range [0, inf)",
        ),
    };
    if least.percentage == 0 && least.absolute == 0 {
        for (name, other) in [(percentage, absolute), (absolute, percentage)] {
            let why = format!("cannot be zero at the same time as {other}");
            fields.problems.invalid(&fields.path_of(name), 0, &why);
        }
    }
    let violate_pdb = fields.get("violatePDB").and_then(|one| one.boolean());
    Args::DefaultPreemption(DefaultPreemptionArgs {
        min_candidate_nodes: given.contains(&true).then_some(least),
        violate_pdb: violate_pdb.unwrap_or(false),
    })
}

fn dynamic_resources(fields: &mut Fields<'_>) -> Args {
    let mut timeout = |name, default, least, why| {
        let value = fields.get(name).and_then(|one| one.duration());
        let value = Nanoseconds(value.unwrap_or(default));
        if value.0 < least {
            let shown = crate::config::duration::format(value.0);
            fields.problems.invalid(&fields.path_of(name), shown, why);
        }
        value
    };
    Args::DynamicResources(DynamicResourcesArgs {
        filter_timeout: timeout("filterTimeout", 10 * SECOND, 0, "must be zero or positive"),
        binding_timeout: timeout(
            "bindingTimeout",
            600 * SECOND,
            SECOND,
            "must be at least 1 second",
        ),
    })
}

fn gang_scheduling(fields: &mut Fields<'_>) -> Args {
    let name = "headOfLinePatience";
    let patience = fields.get(name).and_then(|one| one.duration());
    let patience = Nanoseconds(patience.unwrap_or(300 * SECOND));
    if patience.0 < 0 {
        let shown = crate::config::duration::format(patience.0);
        let why = "must be zero or positive";
        fields.problems.invalid(&fields.path_of(name), shown, why);
    }
    let reservation = fields.get("headOfLineReservation");
    Args::GangScheduling(GangSchedulingArgs {
        head_of_line_reservation: reservation.and_then(|one| one.boolean()).unwrap_or(true),
        head_of_line_patience: patience,
    })
}

fn inter_pod_affinity(fields: &mut Fields<'_>) -> Args {
    let why = "not in valid range [0, 100]";
    let ignore = fields.get("ignorePreferredTermsOfExistingPods");
    Args::InterPodAffinity(InterPodAffinityArgs {
        hard_pod_affinity_weight: bounded(fields, "hardPodAffinityWeight", 1, 0..=100, why),
        ignore_preferred_terms_of_existing_pods: ignore
            .and_then(|one| one.boolean())
            .unwrap_or(false),
    })
}

fn node_affinity(fields: &mut Fields<'_>) -> Args {
    Args::NodeAffinity(NodeAffinityArgs {
        added_affinity: fields.get("addedAffinity").and_then(NodeAffinity::read),
    })
}

/// Resources and weights; without any, cpu and memory; without a weight, 1. `check` is told where
/// each stands.
fn resources(
    fields: &mut Fields<'_>,
    mut check: impl FnMut(&ResourceSpec, &str, &Problems),
) -> Vec<ResourceSpec> {
    let listed = fields.each("resources", |reader| {
        let mut fields = reader.fields()?;
        let name = fields.text("name").unwrap_or_default();
        let weight = fields.get("weight").and_then(|one| one.long());
        let weight = weight.filter(|weight| *weight != 0).unwrap_or(1);
        let resource = ResourceSpec { name, weight };
        check(&resource, &fields.path, fields.problems);
        fields.finish();
        Some(resource)
    });
    if !listed.is_empty() {
        return listed;
    }
    let default = |name: &str| ResourceSpec {
        name: name.to_owned(),
        weight: 1,
    };
    vec![default("cpu"), default("memory")]
}

fn balanced_allocation(fields: &mut Fields<'_>) -> Args {
    let mut names: Vec<String> = Vec::new();
    let resources = resources(fields, |resource, path, problems| {
        if names.contains(&resource.name) {
            problems.duplicate(&format!("{path}.name"), &resource.name);
        }
        names.push(resource.name.clone());
        if resource.weight != 1 {
            let path = format!("{path}.weight");
            problems.invalid(&path, resource.weight, "must be 1");
        }
    });
    Args::NodeResourcesBalancedAllocation(NodeResourcesBalancedAllocationArgs { resources })
}

fn node_resources_fit(fields: &mut Fields<'_>) -> Args {
    let ignored_resources = names(fields, "ignoredResources", |_| None);
    let slash = |group: &str| {
        let wrong = group.contains('/');
        wrong.then_some("resource group name can't contain '/'")
    };
    let ignored_resource_groups = names(fields, "ignoredResourceGroups", slash);
    let strategy = match fields.get("scoringStrategy") {
        Some(reader) => reader.fields().map(|mut inner| {
            let strategy = scoring_strategy(&mut inner);
            inner.finish();
            strategy
        }),
        None => {
            let (empty, problems) = (serde_json::json!({}), Problems::default());
            let inner = Reader::root(&empty, &problems).fields();
            inner.map(|mut inner| ScoringStrategy {
                kind: StrategyType::LeastAllocated,
                resources: resources(&mut inner, |_, _, _| {}),
                requested_to_capacity_ratio: None,
            })
        }
    };
    Args::NodeResourcesFit(NodeResourcesFitArgs {
        ignored_resources,
        ignored_resource_groups,
        scoring_strategy: strategy.unwrap_or(ScoringStrategy {
            kind: StrategyType::LeastAllocated,
            resources: Vec::new(),
            requested_to_capacity_ratio: None,
        }),
    })
}

/// Names of resources, with what else can be wrong with them.
fn names(
    fields: &mut Fields<'_>,
    list: &'static str,
    own: impl Fn(&str) -> Option<&'static str>,
) -> Vec<String> {
    fields.each(list, |reader| {
        let name = reader.text()?;
        let problems = own(&name).map(str::to_owned).into_iter();
        for why in problems.chain(labels::key_problems(&name)) {
            reader.problems.invalid(&reader.path, name.clone(), &why);
        }
        Some(name)
    })
}

fn scoring_strategy(fields: &mut Fields<'_>) -> ScoringStrategy {
    const TYPES: &[&str] = &[
        "LeastAllocated",
        "MostAllocated",
        "RequestedToCapacityRatio",
    ];
    let named = fields.text("type").unwrap_or_default();
    let kind = match named.as_str() {
        "MostAllocated" => StrategyType::MostAllocated,
        "RequestedToCapacityRatio" => StrategyType::RequestedToCapacityRatio,
        "LeastAllocated" => StrategyType::LeastAllocated,
        _ => {
            let path = fields.path_of("type");
            fields.problems.unsupported(&path, &named, TYPES);
            StrategyType::LeastAllocated
        }
    };
    let resources = resources(fields, |resource, path, problems| {
        if !(1..=100).contains(&resource.weight) {
            let path = format!("{path}.weight");
            let name = &resource.name;
            let why = format!("resource weight of {name} not in valid range (0, 100]");
            problems.invalid(&path, resource.weight, &why);
        }
    });
    let field = "requestedToCapacityRatio";
    let given = fields.get(field);
    let path = fields.path_of(field);
    let by_ratio = kind == StrategyType::RequestedToCapacityRatio;
    let ratio = match given {
        Some(_) if !by_ratio => {
            let why = "must be nil when type is not RequestedToCapacityRatio";
            fields.problems.forbidden(&path, why);
            None
        }
        Some(reader) => reader.fields().map(|mut inner| {
            let shape = shape(&mut inner, &[]);
            inner.finish();
            RequestedToCapacityRatio { shape }
        }),
        None => {
            if by_ratio {
                let why = "must be specified when type is RequestedToCapacityRatio";
                fields.problems.required(&path, why);
            }
            None
        }
    };
    ScoringStrategy {
        kind,
        resources,
        requested_to_capacity_ratio: ratio,
    }
}

/// The points of a function, or those that it has by default.
fn shape(fields: &mut Fields<'_>, default: &[UtilizationShapePoint]) -> Vec<UtilizationShapePoint> {
    let points = fields.each("shape", |reader| {
        let mut fields = reader.fields()?;
        let utilization = fields.get("utilization").and_then(|one| one.integer());
        let score = fields.get("score").and_then(|one| one.integer());
        let path = fields.path.clone();
        fields.finish();
        let point = UtilizationShapePoint {
            utilization: utilization.unwrap_or(0),
            score: score.unwrap_or(0),
        };
        Some((path, point))
    });
    if points.is_empty() {
        if default.is_empty() {
            let why = "at least one point must be specified";
            fields.problems.required(&fields.path_of("shape"), why);
        }
        return default.to_vec();
    }
    check_shape(&points, fields.problems);
    points.into_iter().map(|(_, point)| point).collect()
}

/// Checks points, each with its path.
fn check_shape(points: &[(String, UtilizationShapePoint)], problems: &Problems) {
    let unsorted = (points.iter().zip(points.iter().skip(1)))
        .find(|((_, one), (_, next))| one.utilization >= next.utilization);
    if let Some((_, (path, next))) = unsorted {
        let why = "values must be sorted in increasing order";
        problems.invalid(&format!("{path}.utilization"), next.utilization, why);
    }
    for (path, point) in points {
        for (field, value, most) in [
            ("utilization", point.utilization, 100),
            ("score", point.score, 10),
        ] {
            if !(0..=most).contains(&value) {
                let why = format!("not in valid range [0, {most}]");
                problems.invalid(&format!("{path}.{field}"), value, &why);
            }
        }
    }
}

fn pod_topology_spread(fields: &mut Fields<'_>) -> Args {
    let entries = fields.get("defaultConstraints").map(Reader::list);
    let entries = entries.unwrap_or_default();
    let path = fields.path_of("defaultingType");
    let kind = fields.text("defaultingType");
    let kind = kind.unwrap_or_else(|| "System".to_owned());
    match kind.as_str() {
        "List" => {}
        "System" => {
            if !entries.is_empty() {
                let why = "when .defaultConstraints are not empty";
                fields.problems.invalid(&path, kind.clone(), why);
            }
        }
        _ => fields
            .problems
            .unsupported(&path, &kind, &["System", "List"]),
    }
    let mut constraints: Vec<TopologySpreadConstraint> = Vec::new();
    for entry in entries {
        let path = entry.path.clone();
        let Some(one) = constraint(entry) else {
            continue;
        };
        let same = |other: &TopologySpreadConstraint| {
            other.topology_key == one.topology_key
                && other.when_unsatisfiable == one.when_unsatisfiable
        };
        if constraints.iter().any(same) {
            let value = format!("{{{}, {}}}", one.topology_key, one.when_unsatisfiable);
            fields.problems.duplicate(&path, &value);
        }
        constraints.push(one);
    }
    Args::PodTopologySpread(PodTopologySpreadArgs {
        default_constraints: constraints,
        defaulting_type: kind,
    })
}

fn constraint(reader: Reader<'_>) -> Option<TopologySpreadConstraint> {
    const ACTIONS: &[&str] = &["DoNotSchedule", "ScheduleAnyway"];
    let mut fields = reader.fields()?;
    let max_skew = fields.get("maxSkew").and_then(|one| one.integer());
    let constraint = TopologySpreadConstraint {
        max_skew: max_skew.unwrap_or(0),
        topology_key: fields.text("topologyKey").unwrap_or_default(),
        when_unsatisfiable: fields.text("whenUnsatisfiable").unwrap_or_default(),
        min_domains: fields.get("minDomains").and_then(|one| one.integer()),
        // The empty word is one that is not Honor, as with kube-scheduler.
        node_affinity_policy: fields.get("nodeAffinityPolicy").and_then(|one| one.text()),
        node_taints_policy: fields.get("nodeTaintsPolicy").and_then(|one| one.text()),
        match_label_keys: fields.texts("matchLabelKeys"),
    };
    let problems = fields.problems;
    if constraint.max_skew <= 0 {
        let path = fields.path_of("maxSkew");
        problems.invalid(&path, constraint.max_skew, "not in valid range (0, inf)");
    }
    let path = fields.path_of("topologyKey");
    if constraint.topology_key.is_empty() {
        problems.required(&path, "can not be empty");
    } else {
        for why in labels::key_problems(&constraint.topology_key) {
            problems.invalid(&path, constraint.topology_key.clone(), &why);
        }
    }
    let path = fields.path_of("whenUnsatisfiable");
    if constraint.when_unsatisfiable.is_empty() {
        problems.required(&path, "can not be empty");
    } else if !ACTIONS.contains(&constraint.when_unsatisfiable.as_str()) {
        problems.unsupported(&path, &constraint.when_unsatisfiable, ACTIONS);
    }
    if fields.get("labelSelector").is_some() {
        let why = "constraint must not define a selector, as they deduced for each pod";
        problems.forbidden(&fields.path_of("labelSelector"), why);
    }
    fields.finish();
    Some(constraint)
}

fn volume_binding(fields: &mut Fields<'_>) -> Args {
    let timeout = fields.get("bindTimeoutSeconds").and_then(|one| one.long());
    let timeout = timeout.unwrap_or(600);
    if timeout < 0 {
        let path = fields.path_of("bindTimeoutSeconds");
        let why = "invalid BindTimeoutSeconds, should not be a negative value";
        fields.problems.invalid(&path, timeout, why);
    }
    let point = |utilization, score| UtilizationShapePoint { utilization, score };
    Args::VolumeBinding(VolumeBindingArgs {
        bind_timeout_seconds: timeout,
        shape: shape(fields, &[point(0, 10), point(100, 0)]),
    })
}
