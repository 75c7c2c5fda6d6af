//! Gangs as the engine treats them.

use super::Engine;
use crate::model::{GroupRef, PodGroup, Time};

impl Engine {
    pub(super) fn pod_group(&mut self, group: PodGroup, now: Time) {
        let _ = (group, now); // The core follows.
    }

    pub(super) fn pod_group_gone(&mut self, reference: &GroupRef, now: Time) {
        let _ = (reference, now);
    }

    pub(super) fn unreadable_pod_group(&mut self, reference: &GroupRef, reason: String, now: Time) {
        let _ = (reference, reason, now);
    }
}
