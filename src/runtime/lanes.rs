//! The ways out of the engine: one lane for each kind of effect, binds first.

pub(super) mod bind;
mod events;
pub(super) mod evict;
pub(super) mod status;
mod told;
mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

pub(super) use bind::BindLane;
pub(super) use events::EventLane;
pub(super) use evict::EvictLane;
pub(super) use status::StatusLane;
pub(super) use told::Told;

use super::client::{Fault, Reply};
use crate::engine::{
    About, Action, Effect, EffectId, Evict, GroupStatus, ObjectEvent, StatusPatch,
};
use crate::model::{PodGroup, PodRef};
use crate::telemetry::metrics::LaneResult;

/// How many binds may wait for a place in the window. More would only be decided too early.
const BINDS_WAITING: usize = 32;

/// A bind to be sent.
#[derive(Debug)]
pub(super) struct BindOrder {
    pub(super) id: EffectId,
    pub(super) pod: Arc<PodRef>,
    pub(super) node: Arc<str>,
}

/// A pod to be evicted.
#[derive(Debug)]
pub(super) struct EvictOrder {
    pub(super) id: EffectId,
    pub(super) pod: Arc<PodRef>,
    pub(super) evict: Evict,
}

/// A pod's status to be patched.
#[derive(Debug)]
pub(super) struct StatusOrder {
    pub(super) id: EffectId,
    pub(super) pod: Arc<PodRef>,
    pub(super) patch: StatusPatch,
}

/// A group's status to be patched.
#[derive(Debug)]
pub(super) struct GroupOrder {
    pub(super) id: EffectId,
    pub(super) group: Arc<PodGroup>,
    pub(super) status: GroupStatus,
}

/// A status to be patched.
#[derive(Debug)]
pub(super) enum Patch {
    Pod(StatusOrder),
    Group(GroupOrder),
}

/// An event to be written.
#[derive(Debug)]
pub(super) struct EventOrder {
    pub(super) about: About,
    pub(super) event: ObjectEvent,
}

/// Binds and evictions that were handed over and are not answered yet, and how many binds may be in
/// flight: shared between the engine's thread, these lanes, and those that give way to them.
#[derive(Debug)]
pub(super) struct BindLoad {
    pending: AtomicUsize,
    evicting: AtomicUsize,
    window: AtomicUsize,
    answered: tokio::sync::Notify,
    start: Instant,
    /// When one of them was last handed over or answered, in nanoseconds since `start`.
    moved: AtomicU64,
}

impl BindLoad {
    pub(super) fn new() -> Self {
        Self {
            pending: AtomicUsize::new(0),
            evicting: AtomicUsize::new(0),
            window: AtomicUsize::new(0),
            answered: tokio::sync::Notify::new(),
            start: Instant::now(),
            moved: AtomicU64::new(0),
        }
    }

    fn moved(&self) {
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.moved.store(nanos, Ordering::Release);
    }

    fn ordered(&self) {
        self.pending.fetch_add(1, Ordering::AcqRel);
        self.moved();
    }

    /// Binds handed over and not answered yet.
    pub(super) fn pending(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }

    fn eviction_ordered(&self) {
        self.evicting.fetch_add(1, Ordering::AcqRel);
        self.moved();
    }

    fn eviction_done(&self) {
        self.moved();
        if self.evicting.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.answered.notify_waiters();
        }
    }

    fn busy(&self) -> bool {
        self.pending() > 0 || self.evicting.load(Ordering::Acquire) > 0
    }

    fn set_window(&self, window: usize) {
        self.window.store(window, Ordering::Release);
    }

    fn done(&self) {
        self.moved();
        if self.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.answered.notify_waiters();
        }
    }

    /// Waits until no bind and no eviction is pending, but not beyond `limit`: lower lanes give way,
    /// and yet are not starved. The limit is a point in time because the wait is begun again whenever
    /// the lane has something else to do.
    pub(super) async fn give_way(&self, limit: Instant) {
        let idle = self.answered.notified();
        if self.busy() {
            let _ = tokio::time::timeout_at(limit, idle).await;
        }
    }

    /// Waits until no bind and no eviction has moved for `calm`, but not beyond `limit`: bursts of
    /// binds come with bursts of creations, and both have the server to themselves; and an eviction
    /// is followed by the bind that it is for.
    pub(super) async fn calm(&self, calm: Duration, limit: Instant) {
        loop {
            let moved = self.start + Duration::from_nanos(self.moved.load(Ordering::Acquire));
            let now = Instant::now();
            if now >= limit || (!self.busy() && now >= moved + calm) {
                return;
            }
            // While a bind is pending the time of its answer is not known: look again then.
            let next = (moved + calm).max(now + calm / 4).min(limit);
            tokio::time::sleep_until(next).await;
        }
    }
}

/// The entrances of the lanes.
#[derive(Debug)]
pub(super) struct Lanes {
    pub(super) load: Arc<BindLoad>,
    pub(super) told: Arc<Told>,
    pub(super) binds: mpsc::UnboundedSender<BindOrder>,
    pub(super) evictions: mpsc::UnboundedSender<EvictOrder>,
    pub(super) statuses: mpsc::UnboundedSender<Patch>,
    pub(super) events: mpsc::UnboundedSender<EventOrder>,
}

impl Lanes {
    /// How many more binds the lane takes.
    pub(super) fn bind_capacity(&self) -> usize {
        let limit = self.load.window.load(Ordering::Acquire) + BINDS_WAITING;
        limit.saturating_sub(self.load.pending())
    }

    /// Hands an effect to its lane. A lane is gone only when the process ends.
    pub(super) fn dispatch(&self, effect: Effect) {
        let Effect { id, about, action } = effect;
        match (about, action) {
            (About::Pod(pod), Action::Bind { node }) => {
                self.load.ordered();
                let _ = self.binds.send(BindOrder { id, pod, node });
            }
            (About::Pod(pod), Action::Evict(evict)) => {
                self.load.eviction_ordered();
                let _ = self.evictions.send(EvictOrder { id, pod, evict });
            }
            (About::Pod(pod), Action::PatchStatus(patch)) => {
                self.told.ordered(&pod.uid);
                let _ = self
                    .statuses
                    .send(Patch::Pod(StatusOrder { id, pod, patch }));
            }
            (About::Group(group), Action::PatchGroup(status)) => {
                let order = GroupOrder { id, group, status };
                let _ = self.statuses.send(Patch::Group(order));
            }
            (about, Action::Emit(event)) => {
                let _ = self.events.send(EventOrder { about, event });
            }
            // Groups are neither bound nor evicted, and their status is not that of a pod.
            (About::Group(_), Action::Bind { .. } | Action::Evict(_) | Action::PatchStatus(_))
            | (About::Pod(_), Action::PatchGroup(_)) => {}
        }
    }
}

/// The type of a patch that merges conditions by their type.
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// A time as the API writes it.
fn second(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How a call is counted.
pub(super) fn lane_result(answer: &Result<Reply, Fault>) -> LaneResult {
    match answer {
        Ok(reply) => match reply.status.as_u16() {
            200..=299 => LaneResult::Success,
            404 => LaneResult::NotFound,
            409 => LaneResult::Conflict,
            429 => LaneResult::Throttled,
            500.. => LaneResult::ServerError,
            _ => LaneResult::Rejected,
        },
        Err(Fault::Timeout(_)) => LaneResult::Timeout,
        Err(Fault::Transport(_) | Fault::Fenced) => LaneResult::Transport,
    }
}
