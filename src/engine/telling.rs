//! What pods are told: events, and the condition PodScheduled.

use std::sync::Arc;

use super::{
    Action, Awaited, ConditionReason, Engine, EventKind, Nomination, NotScheduled, ObjectEvent,
    StatusPatch,
};
use crate::model::PodCondition;
use crate::queue::PodKey;

impl Engine {
    /// Emits an event about a waiting pod.
    pub(super) fn pod_event(&mut self, key: PodKey, kind: EventKind, note: Arc<str>) {
        let Some(pod) = self.pods.get(&key) else {
            return;
        };
        let event = ObjectEvent {
            kind,
            scheduler_name: Arc::clone(&self.profiles[pod.profile].profile.name),
            note,
            related: None,
            resource_version: pod.version,
        };
        let reference = Arc::clone(&pod.reference);
        self.effect(reference, Action::Emit(event));
    }

    /// The pod is not nominated any more, and is told so.
    pub(super) fn clear_nomination(&mut self, key: PodKey) {
        self.nominator.remove(key);
        if let Some(pod) = self.pods.get(&key) {
            let reference = Arc::clone(&pod.reference);
            let patch = StatusPatch {
                condition: None,
                nomination: Nomination::Clear,
            };
            let id = self.effect(reference, Action::PatchStatus(patch));
            self.awaited.insert(id, Awaited::Status(key));
        }
    }

    /// Writes the pod's condition unless it says so already and its nomination stays. Answers whether
    /// it was news.
    pub(super) fn patch_condition(
        &mut self,
        key: PodKey,
        reason: ConditionReason,
        message: &Arc<str>,
        nomination: Nomination,
    ) -> bool {
        let Some(pod) = self.pods.get_mut(&key) else {
            return false;
        };
        let condition = PodCondition {
            status: "False".into(),
            reason: reason.as_str().into(),
            message: (&**message).into(),
        };
        if nomination == Nomination::Keep && pod.info.condition.as_ref() == Some(&condition) {
            return false;
        }
        // What was sent counts as stored until the outcome or the watch says otherwise. A nomination
        // does not: that it is gone is news for other pods, see `update_waiting`.
        let held = pod.info.condition.replace(condition);
        let patch = StatusPatch {
            condition: Some(NotScheduled {
                reason,
                message: Arc::clone(message),
                observed_generation: pod.info.generation,
                transition: held.is_none_or(|held| &*held.status != "False"),
            }),
            nomination,
        };
        let reference = Arc::clone(&pod.reference);
        let id = self.effect(reference, Action::PatchStatus(patch));
        self.awaited.insert(id, Awaited::Status(key));
        true
    }
}
