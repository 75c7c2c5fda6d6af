//! Gangs in the queue: one unit each, for which its members listen while it is unschedulable.

use super::{Cause, ClassId, PodKey, QueuedPod, SchedulingQueue, State, WaitGroup};
use crate::cluster::PeerId;
use crate::framework::{PluginSet, Topic};
use crate::model::Time;
use crate::telemetry::metrics::Queue as Place;

/// A member of a gang that was refused: who it is, and what it listens to therefore.
#[derive(Clone, Copy, Debug)]
pub struct Listener {
    /// The member.
    pub key: PodKey,
    /// The plugins whose refusals have to be cured.
    pub rejectors: PluginSet,
    /// Its class among other pods, if one of those plugins looks at them; else the default.
    pub peers: PeerId,
}

impl SchedulingQueue {
    /// Takes in a pod that waits with a gang. `held_by`: the PreEnqueue plugins that hold it.
    pub fn add_member(
        &mut self,
        key: PodKey,
        priority: i32,
        class: ClassId,
        gang: PodKey,
        (held_by, now): (PluginSet, Time),
    ) {
        let mut pod = QueuedPod::new(key, priority, class, now);
        pod.gang = Some(gang);
        let gated = !held_by.is_empty();
        pod.rejectors = held_by;
        pod.state = if gated { State::Gated } else { State::WithGang };
        self.pods.insert(key, pod);
        if gated {
            self.gated.insert(key);
        }
    }

    /// The pod waits with this gang from now on. It listens for no other.
    pub fn set_gang(&mut self, key: PodKey, gang: PodKey) {
        if self
            .pods
            .get(&key)
            .is_some_and(|pod| pod.gang != Some(gang))
        {
            self.leave_gang(key);
        }
        if let Some(pod) = self.pods.get_mut(&key) {
            pod.gang = Some(gang);
        }
    }

    /// A member that was being bound waits again, or its last gate is gone.
    pub fn return_member(&mut self, key: PodKey) {
        self.gated.remove(&key);
        if let Some(pod) = self.pods.get_mut(&key) {
            pod.state = State::WithGang;
        }
    }

    /// A gang may be tried: takes it in, or tries it again if what has changed about it may help.
    /// Given are its priority, whether it has lost members, and since when it waits, which is its
    /// place in the order.
    pub fn put_gang(
        &mut self,
        key: PodKey,
        (priority, repair, since): (i32, bool, Time),
        may_help: bool,
    ) {
        let changed = |held: &QueuedPod| {
            held.priority != priority || held.repair != repair || held.since != Some(since)
        };
        match self.pods.get(&key) {
            None => {
                let mut gang = QueuedPod::new(key, priority, ClassId(u32::MAX), since);
                gang.since = Some(since);
                gang.repair = repair;
                self.pods.insert(key, gang);
                self.activate(key, Cause::PodAdd, since);
            }
            Some(held) if changed(held) => {
                let state = held.state;
                self.leave(key);
                if let Some(held) = self.pods.get_mut(&key) {
                    held.priority = priority;
                    held.repair = repair;
                    held.since = Some(since);
                }
                match state {
                    State::InFlight | State::Unfinished | State::ErrorBackoff(_) => {
                        self.enter(key, state);
                    }
                    _ => self.activate(key, Cause::PodAdd, since),
                }
            }
            Some(_) if may_help => self.wake_gang(key, Cause::PodAdd),
            Some(_) => {}
        }
    }

    /// What was decided for the gang could not be done: it is tried again after a pause.
    pub fn fail_gang(&mut self, key: PodKey, now: Time) {
        let known = self.pods.get(&key).map(|gang| gang.state);
        if known.is_some_and(|state| !matches!(state, State::ErrorBackoff(_))) {
            self.fail(key, now);
        }
    }

    /// An unschedulable gang is tried again. There is no pause first: it was woken by what may help
    /// it, and everybody behind it is waiting for its answer.
    pub fn wake_gang(&mut self, key: PodKey, cause: Cause) {
        let since = match self.pods.get(&key) {
            Some(gang) if gang.state == State::Unschedulable => gang.since,
            _ => None,
        };
        if let Some(since) = since {
            self.leave(key);
            self.activate(key, cause, since);
        }
    }

    /// The gang was tried, with these members.
    pub fn gang_tried(&mut self, members: impl Iterator<Item = PodKey>, now: Time) {
        for key in members {
            if let Some(pod) = self.pods.get_mut(&key) {
                pod.attempts += 1;
                pod.first_attempt.get_or_insert(now);
            }
        }
    }

    /// A member is being bound.
    pub fn member_in_flight(&mut self, key: PodKey) {
        if let Some(pod) = self.pods.get_mut(&key) {
            pod.state = State::InFlight;
        }
    }

    /// The gang, or a part of it that it can do without, was refused: it waits for what one of
    /// these members listens to.
    pub fn reject_gang(
        &mut self,
        key: PodKey,
        listeners: &[Listener],
        now: Time,
        mut topics: impl FnMut(&WaitGroup) -> Vec<Topic>,
    ) {
        self.leave(key);
        let Some(gang) = self.pods.get_mut(&key) else {
            return;
        };
        gang.rejections += 1;
        gang.errors = 0;
        gang.timestamp = now;
        gang.flushed = false;
        gang.state = State::Unschedulable;
        gang.listeners = listeners.iter().map(|listener| listener.key).collect();
        self.counters
            .incoming(Place::Unschedulable, Cause::ScheduleAttemptFailure);
        for listener in listeners {
            if let Some(pod) = self.pods.get_mut(&listener.key) {
                pod.rejectors = listener.rejectors;
                pod.peers = listener.peers;
                pod.timestamp = now;
                pod.flushed = false;
                pod.listens = true;
                let group = pod.group();
                self.unschedulable
                    .insert(listener.key, group, |group| topics(group));
            }
        }
        if self.next_flush.is_none() {
            self.next_flush = Some(now + super::FLUSH_INTERVAL);
        }
    }

    /// The members that listen for the gang do so no longer.
    pub(super) fn stop_listening(&mut self, key: PodKey) {
        let listeners = match self.pods.get_mut(&key) {
            Some(gang) => std::mem::take(&mut gang.listeners),
            None => return,
        };
        for listener in listeners {
            if let Some(pod) = self.pods.get_mut(&listener) {
                pod.listens = false;
                self.unschedulable.remove(listener, &pod.group());
            }
        }
    }

    /// A member goes for good, or is not one any more.
    pub(super) fn leave_gang(&mut self, key: PodKey) {
        let Some(pod) = self.pods.get_mut(&key) else {
            return;
        };
        let (Some(gang), true) = (pod.gang, std::mem::take(&mut pod.listens)) else {
            return;
        };
        let group = pod.group();
        self.unschedulable.remove(key, &group);
        if let Some(gang) = self.pods.get_mut(&gang) {
            gang.listeners.retain(|other| *other != key);
        }
    }
}
