//! Groups of pods that are placed together, whichever API describes them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::api::{self, annotation};

/// How long a gang waits before that is remarkable, unless its object says otherwise. Source:
/// Coscheduling's permitWaitingTimeSeconds.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// The API by which a group is described. A name in one of them has nothing to do with the same
/// name in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// Kubernetes' own: `scheduling.k8s.io` PodGroup and the pod's spec.schedulingGroup.
    Kubernetes,
    /// scheduler-plugins: `scheduling.x-k8s.io` PodGroup and a label.
    SchedulerPlugins,
    /// Volcano: `scheduling.volcano.sh` PodGroup and an annotation.
    Volcano,
    /// Koordinator's annotations, without an object.
    Koordinator,
    /// The labels of the first coscheduling plugin, without an object.
    Lightweight,
}

impl Dialect {
    /// Whether a group of this dialect exists only with its object.
    pub const fn has_object(self) -> bool {
        matches!(
            self,
            Self::Kubernetes | Self::SchedulerPlugins | Self::Volcano
        )
    }

    /// The API group of its objects; empty when it has none.
    pub const fn api_group(self) -> &'static str {
        match self {
            Self::Kubernetes => "scheduling.k8s.io",
            Self::SchedulerPlugins => "scheduling.x-k8s.io",
            Self::Volcano => "scheduling.volcano.sh",
            Self::Koordinator | Self::Lightweight => "",
        }
    }

    /// The versions of its objects that are read, the preferred one first.
    pub const fn versions(self) -> &'static [&'static str] {
        match self {
            Self::Kubernetes => &["v1beta1", "v1alpha3", "v1alpha2"],
            Self::SchedulerPlugins => &["v1alpha1"],
            Self::Volcano => &["v1beta1"],
            Self::Koordinator | Self::Lightweight => &[],
        }
    }

    /// What people know it by: the API group of its objects, or else what its keys begin with.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Koordinator => "gang.scheduling.koordinator.sh",
            Self::Lightweight => "pod-group.scheduling.sigs.k8s.io",
            _ => self.api_group(),
        }
    }
}

/// Which group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupRef {
    /// By which API.
    pub dialect: Dialect,
    /// Namespace, which is that of its pods.
    pub namespace: Box<str>,
    /// Name.
    pub name: Box<str>,
}

impl fmt::Display for GroupRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// What a pod says about its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group: Arc<GroupRef>,
    /// Its role; None when it names none.
    pub role: Option<Box<str>>,
    /// How many must run together, in the dialects that have no object.
    pub min: Option<u32>,
    /// Where the gang must or should be together, in the dialects that have no object.
    pub topology: GangTopology,
    /// Other groups that the pod names as well: the first in the order of [`Dialect`] counts.
    pub ignored: Box<[GroupRef]>,
}

/// In one value of which node labels a gang is placed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GangTopology {
    /// The label that must be the same.
    pub required: Option<Box<str>>,
    /// Labels that should be the same, the first one most of all.
    pub preferred: Box<[Box<str>]>,
}

impl GangTopology {
    fn compile(meta: &api::Meta) -> Self {
        let split = |text: &str| -> Box<[Box<str>]> {
            let keys = text.split(',').map(str::trim);
            keys.filter(|key| !key.is_empty()).map(Box::from).collect()
        };
        let given = |key| meta.annotations.get(key).map(str::trim);
        Self {
            required: given(annotation::REQUIRED_TOPOLOGY)
                .filter(|key| !key.is_empty())
                .map(Box::from),
            preferred: given(annotation::PREFERRED_TOPOLOGY)
                .map(split)
                .unwrap_or_default(),
        }
    }
}

/// The label of scheduler-plugins that names a pod's group.
const SCHEDULER_PLUGINS_GROUP: &str = "scheduling.x-k8s.io/pod-group";
/// The labels of the first coscheduling plugin.
const LIGHTWEIGHT_GROUP: &str = "pod-group.scheduling.sigs.k8s.io/name";
const LIGHTWEIGHT_MIN: &str = "pod-group.scheduling.sigs.k8s.io/min-available";

impl Membership {
    /// The group that a pod names, if it names one.
    pub fn compile(pod: &api::Pod) -> Option<Self> {
        let meta = &pod.metadata;
        let label = |key: &str| {
            let found = meta.labels.iter().find(|(held, _)| *held == key);
            found.map(|(_, value)| value)
        };
        let annotated = |key| meta.annotations.get(key);
        let volcano = annotated(annotation::VOLCANO_GROUP)
            .or_else(|| annotated(annotation::VOLCANO_GROUP_ALIAS))
            .or_else(|| label(annotation::VOLCANO_GROUP_ALIAS));
        let named = [
            (
                Dialect::Kubernetes,
                Some(&*pod.spec.scheduling_group.pod_group_name),
            ),
            (Dialect::SchedulerPlugins, label(SCHEDULER_PLUGINS_GROUP)),
            (Dialect::Volcano, volcano),
            (
                Dialect::Koordinator,
                annotated(annotation::KOORDINATOR_GANG),
            ),
            (Dialect::Lightweight, label(LIGHTWEIGHT_GROUP)),
        ];
        let mut named = (named.into_iter())
            .filter_map(|(dialect, name)| Some((dialect, name.filter(|name| !name.is_empty())?)));
        let (dialect, name) = named.next()?;
        let reference = |dialect, name: &str| GroupRef {
            dialect,
            namespace: meta.namespace.clone(),
            name: name.into(),
        };
        let others = named.filter(|(_, other)| *other != name);
        let min = match dialect {
            Dialect::Koordinator => annotated(annotation::KOORDINATOR_MIN),
            Dialect::Lightweight => label(LIGHTWEIGHT_MIN),
            _ => None,
        };
        Some(Self {
            group: Arc::new(reference(dialect, name)),
            role: annotated(annotation::VOLCANO_ROLE).map(Box::from),
            min: min.and_then(|text| text.trim().parse().ok()),
            topology: GangTopology::compile(meta),
            ignored: others.map(|(api, other)| reference(api, other)).collect(),
        })
    }
}

impl Membership {
    /// What is told of a pod that names several groups: which one counts and which do not.
    pub fn contradiction(&self) -> Option<String> {
        let named = |group: &GroupRef| format!("{group} of {}", group.dialect.name());
        let ignored: Vec<String> = self.ignored.iter().map(named).collect();
        (!ignored.is_empty()).then(|| {
            let counts = named(&self.group);
            format!(
                "the pod names several groups: it belongs to {counts}, and not to {}",
                ignored.join(", ")
            )
        })
    }
}

/// A group as its object describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodGroup {
    /// Which.
    pub reference: Arc<GroupRef>,
    /// Unique over time; an object that was made anew is another one.
    pub uid: Box<str>,
    /// The version of its API under which it was read, e.g. `v1beta1`.
    pub api_version: &'static str,
    /// Resource version, so that older news is ignored.
    pub version: u64,
    /// metadata.generation, which conditions report back.
    pub generation: Option<i64>,
    /// How many pods must run together, at least 1.
    pub min: u32,
    /// Kubernetes: no gang, so that each pod counts for itself.
    pub basic: bool,
    /// How many pods of each role must run together, sorted by role.
    pub roles: Box<[(Box<str>, u32)]>,
    /// After how long waiting is remarkable. Nothing else follows from it.
    pub timeout: Duration,
    /// The priority that the object names.
    pub priority: Option<i32>,
    /// Where its pods must or should be together.
    pub topology: GangTopology,
    /// Whether its pods are disrupted only all together.
    pub disrupted_whole: bool,
    /// What its status says.
    pub stored: StoredGroupStatus,
}

/// What the status of a group's object says, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredGroupStatus {
    /// The phase; empty for none.
    pub phase: Box<str>,
    /// How many members run.
    pub running: i64,
    /// The condition that tells whether it was placed.
    pub scheduled: Option<StoredCondition>,
    /// The condition that tells what is wrong now: of Kubernetes' groups GangDegraded, of Volcano's
    /// Unschedulable.
    pub trouble: Option<StoredCondition>,
}

/// A stored condition of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredCondition {
    /// Whether it is True.
    pub holds: bool,
    /// Reason.
    pub reason: Box<str>,
    /// Message.
    pub message: Box<str>,
    /// The generation that it is about.
    pub observed_generation: Option<i64>,
    /// When it changed last whether it is True.
    pub since: Box<str>,
}

/// A number of pods as users write it: nothing, nonsense and less than one mean one.
fn at_least_one(asked: Option<i64>) -> u32 {
    let asked = asked.unwrap_or(1).max(1);
    u32::try_from(asked).unwrap_or(u32::MAX)
}

impl PodGroup {
    /// Compiles the API's form.
    pub fn compile(dialect: Dialect, api_version: &'static str, group: &api::PodGroup) -> Self {
        let (meta, spec) = (&group.metadata, &group.spec);
        let mut topology = GangTopology::compile(meta);
        if let Some(constraint) = spec.scheduling_constraints.topology.first() {
            topology.required = Some(constraint.key.clone());
        }
        let asked = match dialect {
            Dialect::Kubernetes => {
                (spec.scheduling_policy.gang.as_ref()).map(|gang| gang.min_count)
            }
            _ => spec.min_member,
        };
        let min = at_least_one(asked);
        let roles: Box<[_]> = (spec.min_task_member.iter())
            .filter(|(_, asked)| **asked > 0)
            .map(|(role, asked)| (role.clone(), at_least_one(Some(*asked))))
            .collect();
        // Volcano heeds roles only when the group's own number allows for all of them.
        let of_roles: u64 = roles.iter().map(|(_, asked)| u64::from(*asked)).sum();
        let timeout = (spec.schedule_timeout_seconds)
            .and_then(|seconds| u64::try_from(seconds).ok())
            .filter(|seconds| *seconds > 0)
            .map_or(DEFAULT_TIMEOUT, Duration::from_secs);
        let stored = |is_meant: fn(Dialect, &str) -> bool| {
            let mut conditions = group.status.conditions.iter();
            let condition = conditions.find(|condition| is_meant(dialect, &condition.kind))?;
            Some(StoredCondition {
                holds: &*condition.status == "True",
                reason: condition.reason.clone(),
                message: condition.message.clone(),
                observed_generation: condition.observed_generation,
                since: condition.last_transition_time.clone(),
            })
        };
        Self {
            reference: Arc::new(GroupRef {
                dialect,
                namespace: meta.namespace.clone(),
                name: meta.name.clone(),
            }),
            uid: meta.uid.clone(),
            api_version,
            version: meta.version(),
            generation: meta.generation,
            min,
            basic: dialect == Dialect::Kubernetes && spec.scheduling_policy.gang.is_none(),
            roles: if of_roles > u64::from(min) {
                Box::default()
            } else {
                roles
            },
            timeout,
            priority: spec.priority,
            topology,
            disrupted_whole: match &spec.disruption_mode {
                Some(api::DisruptionMode::Text(text)) => &**text == "PodGroup",
                Some(api::DisruptionMode::Union { all }) => all.is_some(),
                None => false,
            },
            stored: StoredGroupStatus {
                phase: group.status.phase.clone(),
                running: group.status.running,
                scheduled: stored(is_scheduled_condition),
                trouble: stored(is_trouble_condition),
            },
        }
    }
}

/// The condition by which a dialect tells that a group was placed. Kubernetes 1.36 had another name
/// for it than later versions.
fn is_scheduled_condition(dialect: Dialect, kind: &str) -> bool {
    match dialect {
        Dialect::Kubernetes => matches!(kind, "PodGroupInitiallyScheduled" | "PodGroupScheduled"),
        Dialect::Volcano => kind == "Scheduled",
        _ => false,
    }
}

/// The condition by which a dialect tells what is wrong.
fn is_trouble_condition(dialect: Dialect, kind: &str) -> bool {
    match dialect {
        Dialect::Kubernetes => kind == "GangDegraded",
        Dialect::Volcano => kind == "Unschedulable",
        _ => false,
    }
}

#[cfg(test)]
mod tests;
