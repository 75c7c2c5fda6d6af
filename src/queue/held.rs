//! Pods and gangs that wait for their own victims to go: the room of others' victims is not for them,
//! so that they are not woken each time one of those goes. If their own take long they are asked all
//! the same, for not everybody needs all of the room that was made.

use std::time::Duration;

use super::entry::Audience;
use super::{Cause, PodKey, SchedulingQueue, State};
use crate::framework::EventKind;
use crate::model::Time;

/// How long a pod that waits for its victims is spared what would have woken it.
const SPARED: Duration = Duration::from_secs(5);

impl SchedulingQueue {
    /// The pod or gang waits for its victims to go, or does so no longer.
    pub fn hold(&mut self, key: PodKey, held: bool) {
        if let Some(pod) = self.pods.get_mut(&key) {
            pod.held = held;
        }
    }

    /// Whether an event that helps the pod is for it. If only its victims are in the way it is for it
    /// later.
    pub(super) fn is_among(&mut self, key: PodKey, audience: Audience, now: Time) -> bool {
        let Some(pod) = self.pods.get(&key) else {
            return false;
        };
        if pod.priority > audience.up_to {
            return false;
        }
        let spared = audience.but_held && self.is_held(key);
        if spared && let Some(pod) = self.pods.get_mut(&key).filter(|pod| !pod.spared) {
            pod.spared = true;
            self.spared.insert((now + SPARED, key));
        }
        !spared
    }

    fn is_held(&self, key: PodKey) -> bool {
        let pod = self.pods.get(&key);
        let gang = pod.and_then(|pod| self.pods.get(&pod.gang?));
        gang.or(pod).is_some_and(|unit| unit.held)
    }

    /// Wakes those whose victims are still there. The others were woken when the last one had gone.
    pub(super) fn tick_held(&mut self, now: Time) {
        while let Some(&(time, key)) = self.spared.first()
            && time <= now
        {
            self.spared.pop_first();
            let Some(pod) = self.pods.get_mut(&key) else {
                continue;
            };
            pod.spared = false;
            if pod.state == State::Unschedulable && self.is_held(key) {
                self.requeue(key, Cause::Event(EventKind::AssignedPodDelete), now);
            }
        }
    }
}
