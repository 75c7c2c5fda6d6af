//! What the engine wants done, and what became of it.

use std::sync::Arc;

use crate::model::PodRef;

/// Names an effect in its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EffectId(pub u64);

/// Something to be done at the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// For the outcome.
    pub id: EffectId,
    /// The pod it is about.
    pub pod: Arc<PodRef>,
    /// What to do.
    pub action: Action,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Bind the pod to this node. Its outcome must be reported.
    Bind {
        /// Node name.
        node: Arc<str>,
    },
    /// Patch the pod's status. Its outcome must be reported.
    PatchStatus(StatusPatch),
    /// Emit an event. It may be dropped.
    Emit(PodEvent),
}

/// A patch of a pod's status: PodScheduled=False, and perhaps no nomination any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusPatch {
    /// Reason of the condition.
    pub reason: ConditionReason,
    /// Message of the condition.
    pub message: Arc<str>,
    /// metadata.generation that was looked at.
    pub observed_generation: Option<i64>,
    /// Whether the status of the condition was not False before, so that its transition time moves.
    pub transition: bool,
    /// Clear status.nominatedNodeName.
    pub clear_nomination: bool,
}

/// Why a pod is not scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionReason {
    /// No node takes it.
    Unschedulable,
    /// The attempt failed.
    SchedulerError,
}

impl ConditionReason {
    /// As the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unschedulable => "Unschedulable",
            Self::SchedulerError => "SchedulerError",
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
}

/// An event about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodEvent {
    /// Which.
    pub kind: EventKind,
    /// The schedulerName in whose name it is reported.
    pub scheduler_name: Arc<str>,
    /// The note.
    pub note: Arc<str>,
    /// The resource version of the pod that was looked at; 0 when unknown.
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
