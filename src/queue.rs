//! Which pod comes next, and which event wakes whom. Source: `pkg/scheduler/backend/queue`.
//!
//! A pod that waits is in exactly one place: active, backoff, unschedulable, gated, in flight, or
//! unfinished, which is in flight while others have their turn.
//! Nothing here looks at nodes; whether an event can help is asked of the caller, once per group of
//! pods that would get the same answer, and of those groups alone that listen to what happened.

mod entry;
mod gangs;
mod groups;
mod held;
mod metrics;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

pub use entry::{Attempt, Audience, ClassId, PodKey, QueuedPod, State};
pub use gangs::Listener;
pub use groups::WaitGroup;
pub use metrics::Cause;

use crate::cluster::PeerId;
use crate::framework::{EventKind, PluginSet, Topic};
use crate::model::Time;
use crate::telemetry::metrics::{Metrics, Queue as Place};
use entry::ActiveOrder;
use groups::Groups;
use metrics::Counters;

/// How long pods wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failed attempt.
    pub initial: Duration,
    /// At most.
    pub max: Duration,
    /// After so long among the unschedulable a pod is tried again whatever happened.
    pub flush_after: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(10),
            flush_after: Duration::from_secs(5 * 60),
        }
    }
}

/// How often pods that waited too long are looked for.
const FLUSH_INTERVAL: Duration = Duration::from_secs(30);

/// The pods that wait to be placed.
#[derive(Debug)]
pub struct SchedulingQueue {
    backoff_times: Backoff,
    pods: FxHashMap<PodKey, QueuedPod>,
    active: BTreeSet<ActiveOrder>,
    /// Rejected pods by the end of their backoff, cut to whole seconds, then as in `active`.
    backoff: BTreeSet<(Time, ActiveOrder)>,
    /// Pods whose attempt failed with an error; never tried early.
    error_backoff: BTreeSet<(Time, PodKey)>,
    unschedulable: Groups,
    gated: BTreeSet<PodKey>,
    unfinished: BTreeSet<ActiveOrder>,
    /// Unschedulable pods that were not woken because they wait for their victims, and until when.
    spared: BTreeSet<(Time, PodKey)>,
    next_flush: Option<Time>,
    counters: Counters,
}

impl SchedulingQueue {
    /// An empty queue.
    pub fn new(backoff_times: Backoff, metrics: Arc<Metrics>) -> Self {
        Self {
            backoff_times,
            pods: FxHashMap::default(),
            active: BTreeSet::new(),
            backoff: BTreeSet::new(),
            error_backoff: BTreeSet::new(),
            unschedulable: Groups::default(),
            gated: BTreeSet::new(),
            unfinished: BTreeSet::new(),
            spared: BTreeSet::new(),
            next_flush: None,
            counters: Counters::new(metrics),
        }
    }

    // === Reading ===

    /// What is known of a pod in the queue.
    pub fn get(&self, key: PodKey) -> Option<&QueuedPod> {
        self.pods.get(&key)
    }

    /// How many pods are in the queue, wherever.
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Whether no pod is in the queue.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// Whether [`Self::pop`] or [`Self::resume`] has something to give.
    pub fn has_next(&self) -> bool {
        !self.active.is_empty() || !self.backoff.is_empty() || !self.unfinished.is_empty()
    }

    /// When [`Self::tick`] has something to do next.
    pub fn next_deadline(&self) -> Option<Time> {
        let errors = self.error_backoff.first().map(|&(time, _)| time);
        let flush = self.next_flush.filter(|_| self.unschedulable.len() > 0);
        let spared = self.spared.first().map(|&(time, _)| time);
        errors.into_iter().chain(flush).chain(spared).min()
    }

    /// Tells the metrics how many pods are where.
    pub fn report(&self) {
        let backoff = self.backoff.len() + self.error_backoff.len();
        self.counters.pending(Place::Active, self.active.len());
        self.counters.pending(Place::Backoff, backoff);
        self.counters
            .pending(Place::Unschedulable, self.unschedulable.len());
        self.counters.pending(Place::Gated, self.gated.len());
    }

    // === Coming and going ===

    /// Takes in a pod that waits. `held_by`: the PreEnqueue plugins that hold it, if any.
    pub fn add(
        &mut self,
        key: PodKey,
        priority: i32,
        class: ClassId,
        held_by: PluginSet,
        now: Time,
    ) {
        let mut pod = QueuedPod::new(key, priority, class, now);
        if !held_by.is_empty() {
            pod.rejectors = held_by;
            pod.state = State::Gated;
            self.pods.insert(key, pod);
            self.gated.insert(key);
        } else {
            self.pods.insert(key, pod);
            self.activate(key, Cause::PodAdd, now);
        }
    }

    /// The last gate of a pod is gone.
    pub fn ungate(&mut self, key: PodKey, cause: Cause, now: Time) {
        if self.gated.remove(&key) {
            self.activate(key, cause, now);
        }
    }

    /// The pod's requirements changed; it stays where it is, but that a member of a gang listens for
    /// it no longer. `peers` and `topics` are those of [`Self::reject`].
    pub fn set_class(
        &mut self,
        key: PodKey,
        class: ClassId,
        peers: PeerId,
        topics: impl FnOnce(&WaitGroup) -> Vec<Topic>,
    ) {
        let Some(state) = self.pods.get(&key).map(|pod| pod.state) else {
            return;
        };
        self.leave(key);
        self.leave_gang(key);
        if let Some(pod) = self.pods.get_mut(&key) {
            pod.class = class;
            pod.peers = peers;
        }
        match state {
            State::Unschedulable => self.wait(key, topics),
            _ => self.enter(key, state),
        }
    }

    /// Takes a pod out for good.
    pub fn remove(&mut self, key: PodKey) -> Option<QueuedPod> {
        self.leave(key);
        self.leave_gang(key);
        self.pods.remove(&key)
    }

    /// The next pod to try, which is then in flight. When nothing is active, the first pod in
    /// backoff comes early (SchedulerPopFromBackoffQ); pods with errors do not.
    pub fn pop(&mut self, now: Time) -> Option<PodKey> {
        let key = match self.active.first() {
            Some(order) => order.key,
            None => {
                let key = self.backoff.first()?.1.key;
                self.counters
                    .incoming(Place::Active, Cause::PopFromBackoffQ);
                key
            }
        };
        self.leave(key);
        let pod = self.pods.get_mut(&key)?;
        pod.state = State::InFlight;
        pod.attempts += 1;
        pod.first_attempt.get_or_insert(now);
        Some(key)
    }

    /// The attempt is not finished: it goes on with [`Self::resume`]. It counts once, and no event can
    /// be lost in between, since it goes on with the cluster as it is then.
    pub fn suspend(&mut self, key: PodKey, attempt: Attempt) {
        self.leave(key);
        if let Some(pod) = self.pods.get_mut(&key) {
            pod.attempt = attempt;
            self.enter(key, State::Unfinished);
        }
    }

    /// The first of those whose attempt is not finished, which is in flight again.
    pub fn resume(&mut self) -> Option<(PodKey, Attempt)> {
        let key = self.unfinished.first()?.key;
        self.leave(key);
        let pod = self.pods.get_mut(&key)?;
        pod.state = State::InFlight;
        Some((key, pod.attempt))
    }

    /// The plugins that rejected the pod the last time, which are then forgotten.
    pub fn take_rejectors(&mut self, key: PodKey) -> PluginSet {
        // A member that listens is filed under its rejectors.
        self.leave_gang(key);
        match self.pods.get_mut(&key) {
            // It is filed under them.
            Some(pod) if pod.state == State::Unschedulable || pod.listens => pod.rejectors,
            Some(pod) => std::mem::take(&mut pod.rejectors),
            None => PluginSet::default(),
        }
    }

    // === After an attempt ===

    /// No node took the pod, because of these plugins. Without any it is an error. `peers`: its
    /// class among other pods if one of the plugins looks at those, and the default otherwise.
    /// `topics`: what pods of its group listen to.
    pub fn reject(
        &mut self,
        key: PodKey,
        rejectors: PluginSet,
        peers: PeerId,
        now: Time,
        topics: impl FnOnce(&WaitGroup) -> Vec<Topic>,
    ) {
        if rejectors.is_empty() {
            self.fail(key, now);
            return;
        }
        self.leave(key);
        let Some(pod) = self.pods.get_mut(&key) else {
            return;
        };
        pod.rejections += 1;
        pod.errors = 0;
        pod.timestamp = now;
        pod.rejectors = rejectors;
        pod.peers = peers;
        pod.flushed = false;
        self.counters
            .incoming(Place::Unschedulable, Cause::ScheduleAttemptFailure);
        self.wait(key, topics);
        if self.next_flush.is_none() {
            self.next_flush = Some(now + FLUSH_INTERVAL);
        }
    }

    /// The attempt itself failed.
    pub fn fail(&mut self, key: PodKey, now: Time) {
        let backoff = self.backoff_times;
        self.leave(key);
        let Some(pod) = self.pods.get_mut(&key) else {
            return;
        };
        pod.errors += 1;
        pod.timestamp = now;
        pod.rejectors = PluginSet::default();
        pod.flushed = false;
        let until = pod.backoff_until(&backoff);
        self.counters
            .incoming(Place::Backoff, Cause::ScheduleAttemptFailure);
        self.enter(key, State::ErrorBackoff(until));
    }

    /// What a pod or gang waited for that failed is over: it is tried again without waiting.
    pub fn retry(&mut self, key: PodKey) {
        let failed =
            (self.pods.get(&key)).filter(|pod| matches!(pod.state, State::ErrorBackoff(_)));
        if let Some(timestamp) = failed.map(|pod| pod.timestamp) {
            self.leave(key);
            self.activate(key, Cause::BackoffComplete, timestamp);
        }
    }

    // === Waking ===

    /// Whether nobody waits for an event.
    pub fn nobody_listens(&self) -> bool {
        self.unschedulable.len() == 0
    }

    /// An event happened: wakes the unschedulable pods that it can help, of those it is for.
    /// `helps` is asked once for each group that listens to one of the event's topics.
    pub fn wake(
        &mut self,
        event: EventKind,
        topics: &[Topic],
        audience: Audience,
        now: Time,
        mut helps: impl FnMut(&WaitGroup) -> bool,
    ) {
        for group in self.unschedulable.listening_to(topics) {
            if helps(&group) {
                let pods: Vec<PodKey> = self.unschedulable.pods_of(&group).collect();
                for key in pods {
                    if self.is_among(key, audience, now) {
                        self.requeue(key, Cause::Event(event), now);
                    }
                }
            }
        }
    }

    /// What a pod or gang has waited for has come for certain: it is tried next, without backoff.
    pub fn wake_now(&mut self, key: PodKey, cause: Cause, now: Time) {
        let Some(pod) = self.pods.get(&key) else {
            return;
        };
        match (pod.since, pod.state) {
            (Some(_), _) => self.wake_gang(key, cause),
            (None, State::Unschedulable | State::Backoff(_) | State::ErrorBackoff(_)) => {
                self.leave(key);
                self.activate(key, cause, now);
            }
            _ => {}
        }
    }

    /// Wakes one unschedulable pod.
    pub fn wake_one(&mut self, key: PodKey, cause: Cause, now: Time) {
        if self.pods.get(&key).is_some_and(|pod| pod.since.is_some()) {
            self.wake_gang(key, cause);
        } else if self
            .pods
            .get(&key)
            .is_some_and(|pod| pod.state == State::Unschedulable)
        {
            self.requeue(key, cause, now);
        }
    }

    /// Moves what time has made ripe: pods whose backoff is over, and pods that have been
    /// unschedulable for too long.
    pub fn tick(&mut self, now: Time) {
        while let Some(&(until, order)) = self.backoff.first() {
            if until >= now.truncate_to_seconds() {
                break;
            }
            self.leave(order.key);
            self.activate(order.key, Cause::BackoffComplete, now);
        }
        while let Some(&(until, key)) = self.error_backoff.first() {
            if until > now {
                break;
            }
            self.leave(key);
            self.activate(key, Cause::BackoffComplete, now);
        }
        self.tick_held(now);
        if self.next_flush.is_some_and(|time| time <= now) {
            self.next_flush = Some(now + FLUSH_INTERVAL);
            let limit = self.backoff_times.flush_after;
            let stale: Vec<PodKey> = (self.unschedulable.pods())
                .filter(|key| {
                    self.pods
                        .get(key)
                        .is_some_and(|pod| now.since(pod.timestamp) > limit)
                })
                .collect();
            for key in stale {
                if let Some(pod) = self.pods.get_mut(&key) {
                    pod.flushed = true;
                }
                self.requeue(key, Cause::UnschedulableTimeout, now);
            }
        }
    }

    /// From unschedulable to active, or to backoff while that lasts.
    fn requeue(&mut self, key: PodKey, cause: Cause, now: Time) {
        let backoff = self.backoff_times;
        let Some(pod) = self.pods.get(&key) else {
            return;
        };
        if let Some(gang) = pod.gang {
            self.wake_gang(gang, cause);
            return;
        }
        let until = pod.backoff_until(&backoff);
        let waits = until > pod.timestamp;
        self.leave(key);
        // Backoff ends with the second in which it expires: upstream looks once a second.
        if waits && until.truncate_to_seconds() >= now.truncate_to_seconds() {
            self.counters.incoming(Place::Backoff, cause);
            self.enter(key, State::Backoff(until.truncate_to_seconds()));
        } else {
            self.activate(key, cause, now);
        }
    }

    fn activate(&mut self, key: PodKey, cause: Cause, now: Time) {
        self.counters.incoming(Place::Active, cause);
        if let Some(pod) = self.pods.get_mut(&key) {
            pod.first_attempt.get_or_insert(now);
        }
        self.enter(key, State::Active);
    }

    fn enter(&mut self, key: PodKey, state: State) {
        let Some(pod) = self.pods.get_mut(&key) else {
            return;
        };
        pod.state = state;
        let order = pod.order();
        match state {
            State::Active => {
                self.active.insert(order);
            }
            State::Backoff(until) => {
                self.backoff.insert((until, order));
            }
            State::ErrorBackoff(until) => {
                self.error_backoff.insert((until, key));
            }
            State::Gated => {
                self.gated.insert(key);
            }
            State::Unfinished => {
                self.unfinished.insert(order);
            }
            // Those come by [`Self::wait`].
            State::Unschedulable | State::InFlight | State::WithGang => {}
        }
    }

    fn wait(&mut self, key: PodKey, topics: impl FnOnce(&WaitGroup) -> Vec<Topic>) {
        if let Some(pod) = self.pods.get_mut(&key) {
            pod.state = State::Unschedulable;
            self.unschedulable.insert(key, pod.group(), topics);
        }
    }

    fn leave(&mut self, key: PodKey) {
        let Some(pod) = self.pods.get(&key) else {
            return;
        };
        let order = pod.order();
        match pod.state {
            State::Active => {
                self.active.remove(&order);
            }
            State::Backoff(until) => {
                self.backoff.remove(&(until, order));
            }
            State::ErrorBackoff(until) => {
                self.error_backoff.remove(&(until, key));
            }
            State::Unschedulable if pod.since.is_some() => self.stop_listening(key),
            State::Unschedulable => {
                self.unschedulable.remove(key, &pod.group());
            }
            State::Gated => {
                self.gated.remove(&key);
            }
            State::Unfinished => {
                self.unfinished.remove(&order);
            }
            State::InFlight | State::WithGang => {}
        }
    }
}

#[cfg(test)]
mod tests;
