//! What became of the effects.

use super::failure::Failure;
use super::waiting::Binding;
use super::{Awaited, EffectId, Engine, EventKind, Outcome};
use crate::cluster::PlacedId;
use crate::model::Time;
use crate::queue::PodKey;
use crate::telemetry::metrics::{AttemptResult, ExtensionPoint, Status};

impl Engine {
    /// Takes in what became of an effect.
    pub fn complete(&mut self, id: EffectId, outcome: Outcome, now: Time) {
        match self.awaited.remove(&id) {
            Some(Awaited::Bind(key)) => self.bind_answered(key, outcome, now),
            Some(Awaited::Status(key)) => {
                // What was not written is written again by the next attempt.
                if let (Outcome::Failed(_), Some(pod)) = (outcome, self.pods.get_mut(&key)) {
                    pod.info.condition = None;
                }
            }
            Some(Awaited::Eviction) => self.eviction_answered(id, outcome, now),
            Some(Awaited::Group(gang)) => {
                if let Outcome::Failed(_) = outcome {
                    self.group_status_failed(gang);
                }
            }
            None => {}
        }
    }

    fn bind_answered(&mut self, key: PodKey, outcome: Outcome, now: Time) {
        let Some(binding) = self.pods.get_mut(&key).and_then(|pod| pod.binding.take()) else {
            return;
        };
        if outcome != Outcome::Done
            && let Some(node) = self.cluster.node_id(&binding.node)
        {
            self.unreserve(key, node);
        }
        match outcome {
            Outcome::Done => self.bound(key, &binding, now),
            Outcome::Failed(text) if !binding.gone => {
                self.bind_failed(key, &binding, &text, now);
            }
            Outcome::PodGone | Outcome::Failed(_) => {
                self.forget(binding.placed, now);
                self.drop_waiting(key, now);
            }
        }
    }

    /// The pod stays assumed until the watch confirms it; everything else is settled now.
    fn bound(&mut self, key: PodKey, binding: &Binding, now: Time) {
        let Some(pod) = self.pods.get(&key) else {
            return;
        };
        let state = &self.profiles[pod.profile];
        let finished = (self.stopwatch)();
        state
            .metrics
            .attempt(AttemptResult::Scheduled, finished - binding.started);
        let took = finished - binding.sent;
        state
            .metrics
            .extension_point(ExtensionPoint::Bind, Status::Success, took);
        if let Some(queued) = self.queue.get(key) {
            let waited = queued
                .first_attempt
                .map_or(0.0, |first| now.since(first).as_secs_f64());
            self.metrics.sli(queued.attempts, waited);
            if queued.flushed {
                self.metrics.scheduled_after_flush();
            }
        }
        let (reference, node) = (&pod.reference, &binding.node);
        let note = format!("Successfully assigned {reference} to {node}");
        self.pod_event(key, EventKind::Scheduled, note.into());
        self.member_bound(key, now);
        self.drop_waiting(key, now);
    }

    fn bind_failed(&mut self, key: PodKey, binding: &Binding, text: &str, now: Time) {
        if let Some(pod) = self.pods.get(&key) {
            let took = (self.stopwatch)() - binding.sent;
            let metrics = &self.profiles[pod.profile].metrics;
            metrics.extension_point(ExtensionPoint::Bind, Status::Error, took);
        }
        // Somebody else bound the pod meanwhile, and the watch has said so: it is settled.
        if self
            .cluster
            .placed(binding.placed)
            .is_some_and(|placed| !placed.assumed)
        {
            if let Some(pod) = self.pods.get(&key) {
                let took = (self.stopwatch)() - binding.started;
                self.profiles[pod.profile]
                    .metrics
                    .attempt(AttemptResult::Error, took);
            }
            self.drop_waiting(key, now);
            return;
        }
        let message = format!("running Bind plugin \"DefaultBinder\": {text}");
        self.failed(key, now, binding.started, Failure::error(message));
        self.forget(binding.placed, now);
    }

    /// Takes back an assumption, unless the watch has confirmed it meanwhile.
    pub(super) fn forget(&mut self, placed: PlacedId, now: Time) {
        if self
            .cluster
            .placed(placed)
            .is_some_and(|placed| placed.assumed)
        {
            self.free(placed, now);
        }
    }
}
