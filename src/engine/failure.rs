//! What happens when an attempt fails: metric, requeue, event, status. Source:
//! `handleSchedulingFailure`.

use std::sync::Arc;

use super::waking::topics;
use super::{ConditionReason, Engine, EventKind, Nomination};
use crate::framework::PluginSet;
use crate::model::Time;
use crate::preemption::Candidate;
use crate::queue::PodKey;
use crate::telemetry::metrics::AttemptResult;

/// A failed attempt.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) reason: ConditionReason,
    pub(super) message: String,
    /// Who rejected the pod; nobody when it was an error.
    pub(super) rejectors: PluginSet,
    /// What becomes of its nomination; one that is kept is what the pod's object says.
    pub(super) nomination: Nomination,
    /// What is evicted to make room for it.
    pub(super) preempts: Option<Candidate>,
}

impl Failure {
    pub(super) fn no_nodes() -> Self {
        Self {
            reason: ConditionReason::Unschedulable,
            message: "no nodes available to schedule pods".to_owned(),
            rejectors: PluginSet::default(),
            nomination: Nomination::Clear,
            preempts: None,
        }
    }

    pub(super) fn rejected(message: String, rejectors: PluginSet) -> Self {
        Self {
            reason: ConditionReason::Unschedulable,
            message,
            rejectors,
            nomination: Nomination::Keep,
            preempts: None,
        }
    }

    pub(super) fn error(message: String) -> Self {
        Self {
            reason: ConditionReason::SchedulerError,
            message,
            rejectors: PluginSet::default(),
            nomination: Nomination::Clear,
            preempts: None,
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

        let stored = &*pod.info.nominated_node;
        let nomination = match failure.nomination.clone() {
            Nomination::Keep => {
                // What was nominated here may not be stored yet.
                if !self.preemptions.waits(key) {
                    self.nominator.set(key, stored);
                }
                Nomination::Keep
            }
            Nomination::Clear => {
                self.nominator.remove(key);
                if stored.is_empty() {
                    Nomination::Keep
                } else {
                    Nomination::Clear
                }
            }
            Nomination::Set(node) => {
                self.nominator.set(key, &node);
                if *stored == *node {
                    Nomination::Keep
                } else {
                    Nomination::Set(node)
                }
            }
        };
        let message: Arc<str> = failure.message.into();
        self.pod_event(key, EventKind::FailedScheduling, Arc::clone(&message));
        self.patch_condition(key, failure.reason, &message, nomination);
        if in_gang {
            self.member_failed(key, now);
        }
        if let Some(candidate) = failure.preempts {
            self.preempt_for_pod(key, &candidate, now);
        }
    }
}
