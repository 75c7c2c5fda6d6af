//! What happens when an attempt fails: metric, requeue, event, status. Source:
//! `handleSchedulingFailure`.

use std::sync::Arc;

use super::waking::topics;
use super::{Action, Awaited, ConditionReason, Engine, EventKind, ObjectEvent, StatusPatch};
use crate::framework::PluginSet;
use crate::model::{PodCondition, Time};
use crate::queue::PodKey;
use crate::telemetry::metrics::AttemptResult;

/// A failed attempt.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) reason: ConditionReason,
    pub(super) message: String,
    /// Who rejected the pod; nobody when it was an error.
    pub(super) rejectors: PluginSet,
    /// Whether a nomination ends; else it stays what the pod's object says.
    pub(super) clear_nomination: bool,
}

impl Failure {
    pub(super) fn no_nodes() -> Self {
        Self {
            reason: ConditionReason::Unschedulable,
            message: "no nodes available to schedule pods".to_owned(),
            rejectors: PluginSet::default(),
            clear_nomination: true,
        }
    }

    pub(super) fn rejected(message: String, rejectors: PluginSet) -> Self {
        Self {
            reason: ConditionReason::Unschedulable,
            message,
            rejectors,
            clear_nomination: false,
        }
    }

    pub(super) fn error(message: String) -> Self {
        Self {
            reason: ConditionReason::SchedulerError,
            message,
            rejectors: PluginSet::default(),
            clear_nomination: true,
        }
    }
}

impl Engine {
    pub(super) fn failed(&mut self, key: PodKey, now: Time, started: f64, failure: Failure) {
        let Some(pod) = self.pods.get_mut(&key) else {
            return;
        };
        let state = &self.profiles[pod.profile];
        let result = match failure.reason {
            ConditionReason::Unschedulable | ConditionReason::WaitingForPodGroup => {
                AttemptResult::Unschedulable
            }
            ConditionReason::SchedulerError => AttemptResult::Error,
        };
        state.metrics.attempt(result, (self.stopwatch)() - started);
        for plugin in failure.rejectors.iter() {
            state.plugins[plugin.index()].unschedulable(1);
        }
        // A member of a gang waits with it, see `member_failed`.
        let in_gang = (self.queue.get(key)).is_some_and(|queued| queued.gang.is_some());
        if !in_gang {
            let peers = state.profile.known_to_others(failure.rejectors, pod.peers);
            (self.queue).reject(key, failure.rejectors, peers, now, |group| {
                topics(&self.profiles, &self.classes, &self.cluster, group)
            });
        }

        if failure.clear_nomination {
            self.nominator.remove(key);
        } else {
            self.nominator.set(key, &pod.info.nominated_node);
        }

        let message: Arc<str> = failure.message.into();
        let reference = Arc::clone(&pod.reference);
        let event = ObjectEvent {
            kind: EventKind::FailedScheduling,
            scheduler_name: Arc::clone(&state.profile.name),
            note: Arc::clone(&message),
            resource_version: pod.version,
        };
        let patch = StatusPatch {
            reason: failure.reason,
            message: Arc::clone(&message),
            observed_generation: pod.info.generation,
            transition: pod
                .info
                .condition
                .as_ref()
                .is_none_or(|held| &*held.status != "False"),
            clear_nomination: failure.clear_nomination && !pod.info.nominated_node.is_empty(),
        };
        let condition = PodCondition {
            status: "False".into(),
            reason: failure.reason.as_str().into(),
            message: (&*message).into(),
        };
        let news = patch.clear_nomination || pod.info.condition.as_ref() != Some(&condition);
        if news {
            // What was sent counts as stored until the outcome or the watch says otherwise. A
            // nomination does not: that it is gone is news for other pods, see `update_waiting`.
            pod.info.condition = Some(condition);
        }
        self.effect(Arc::clone(&reference), Action::Emit(event));
        if news {
            let id = self.effect(reference, Action::PatchStatus(patch));
            self.awaited.insert(id, Awaited::Status(key));
        }
        if in_gang {
            self.member_failed(key, now);
        }
    }
}
