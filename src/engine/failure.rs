//! What happens when an attempt fails: metric, requeue, event, status. Source:
//! `handleSchedulingFailure`.

use std::sync::Arc;

use super::waking::topics;
use super::{ConditionReason, Engine, EventKind};
use crate::framework::PluginSet;
use crate::model::Time;
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
        let Some(pod) = self.pods.get(&key) else {
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
        // A member of a gang waits with it, see `member_failed`.
        let in_gang = (self.queue.get(key)).is_some_and(|queued| queued.gang.is_some());
        if !in_gang {
            for plugin in failure.rejectors.iter() {
                state.plugins[plugin.index()].unschedulable(1);
            }
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

        let clear_nomination = failure.clear_nomination && !pod.info.nominated_node.is_empty();
        let message: Arc<str> = failure.message.into();
        self.pod_event(key, EventKind::FailedScheduling, Arc::clone(&message));
        self.patch_condition(key, failure.reason, &message, clear_nomination);
        if in_gang {
            self.member_failed(key, now);
        }
    }
}
