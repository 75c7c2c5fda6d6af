//! What the engine wants done, and what became of it.

use std::sync::Arc;

use crate::model::{PodGroup, PodRef};

/// Names an effect in its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EffectId(pub u64);

/// Something to be done at the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// For the outcome.
    pub id: EffectId,
    /// What it is about.
    pub about: About,
    /// What to do.
    pub action: Action,
}

impl Effect {
    /// The pod it is about, if it is about one.
    pub fn pod(&self) -> Option<&Arc<PodRef>> {
        match &self.about {
            About::Pod(pod) => Some(pod),
            About::Group(_) => None,
        }
    }
}

/// What an effect is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// A pod.
    Pod(Arc<PodRef>),
    /// A group's object, as it was when it was looked at.
    Group(Arc<PodGroup>),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Bind the pod to this node. Its outcome must be reported.
    Bind {
        /// Node name.
        node: Arc<str>,
    },
    /// Evict the pod. Its outcome must be reported: done when the API server has taken the deletion
    /// in, gone when there was nothing to delete any more.
    Evict(Evict),
    /// Patch the pod's status. Its outcome must be reported.
    PatchStatus(StatusPatch),
    /// Patch the group's status. Its outcome must be reported.
    PatchGroup(GroupStatus),
    /// Emit an event. It may be dropped.
    Emit(ObjectEvent),
}

/// How a group fares, in words that each dialect has its own for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// Where it stands.
    pub phase: GroupPhase,
    /// How many of its members run.
    pub running: u32,
    /// Why; empty when it was placed.
    pub message: Arc<str>,
}

/// Where a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupPhase {
    /// Too few of its pods exist.
    Incomplete,
    /// No room, or not tried yet.
    Unschedulable,
    /// It cannot be tried as it is.
    Invalid,
    /// At least as many members as must run together are bound.
    Scheduled,
    /// It was scheduled, or a part of it was bound, and fewer members than must run together are
    /// bound now.
    Degraded,
}

/// A patch of a pod's status. It changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusPatch {
    /// PodScheduled=False; None leaves the condition as it is.
    pub condition: Option<NotScheduled>,
    /// status.nominatedNodeName.
    pub nomination: Nomination,
}

impl StatusPatch {
    /// Why the pod is told that it is not scheduled; None when only its nomination changes.
    pub fn reason(&self) -> Option<ConditionReason> {
        Some(self.condition.as_ref()?.reason)
    }

    /// What the pod is told; empty when only its nomination changes.
    pub fn message(&self) -> &str {
        (self.condition.as_ref()).map_or("", |condition| &*condition.message)
    }
}

/// The condition PodScheduled=False.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotScheduled {
    /// Reason of the condition.
    pub reason: ConditionReason,
    /// Message of the condition.
    pub message: Arc<str>,
    /// metadata.generation that was looked at.
    pub observed_generation: Option<i64>,
    /// Whether the status of the condition was not False before, so that its transition time moves.
    pub transition: bool,
}

/// What becomes of status.nominatedNodeName.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Nomination {
    /// It stays.
    #[default]
    Keep,
    /// It ends.
    Clear,
    /// It is this node.
    Set(Arc<str>),
}

/// An eviction: the condition DisruptionTarget is written, then the pod is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evict {
    /// Message of the condition, which has the reason PreemptionByScheduler.
    pub message: Arc<str>,
    /// metadata.generation of the victim that was looked at.
    pub observed_generation: Option<i64>,
}

/// Why a pod is not scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionReason {
    /// No node takes it.
    Unschedulable,
    /// The attempt failed.
    SchedulerError,
    /// Its gang cannot be tried yet. Whatever adds nodes for unschedulable pods must not do so yet.
    WaitingForPodGroup,
}

impl ConditionReason {
    /// As the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unschedulable => "Unschedulable",
            Self::SchedulerError => "SchedulerError",
            Self::WaitingForPodGroup => "WaitingForPodGroup",
        }
    }
}

/// Which event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Normal, action Binding.
    Scheduled,
    /// Warning, action Scheduling.
    FailedScheduling,
    /// About a victim: it was evicted for another pod. Normal, action Preempting.
    Preempted,
    /// About a preemptor that has evicted pods too often without getting their room. Warning, action
    /// Preempting.
    PreemptionLimited,
    /// About a gang: it cannot be tried yet. Normal, action Scheduling.
    WaitingForPodGroup,
    /// About a gang: it waits for longer than its timeout. Warning, action Scheduling.
    GangOverdue,
    /// About a gang: fewer members than must run together are bound. Warning, action Scheduling.
    GangDegraded,
    /// About a pod: it names several groups, of which one counts. Warning, action Scheduling.
    AmbiguousPodGroup,
}

/// An event about a pod or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEvent {
    /// Which.
    pub kind: EventKind,
    /// The schedulerName in whose name it is reported.
    pub scheduler_name: Arc<str>,
    /// The note.
    pub note: Arc<str>,
    /// What else it is about: of Preempted, the group for which the pod was evicted.
    pub related: Option<Arc<PodGroup>>,
    /// The resource version of the object that was looked at; 0 when unknown.
    pub resource_version: u64,
}

/// What became of an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was certainly not done, in the API server's words. What could have been done after all
    /// must be found out before it is reported.
    Failed(String),
    /// The pod is gone or is not the same pod any more.
    PodGone,
}
