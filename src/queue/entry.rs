//! A pod in the queue.

use std::cmp::Reverse;
use std::time::Duration;

use super::{Backoff, WaitGroup};
use crate::cluster::PeerId;
use crate::framework::PluginSet;
use crate::model::Time;

/// Whom an event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audience {
    /// Those of this priority and below.
    pub up_to: i32,
    /// Not yet those that wait for their own victims to go.
    pub but_held: bool,
}

impl Audience {
    /// Those of this priority and below.
    pub const fn up_to(priority: i32) -> Self {
        Self {
            up_to: priority,
            but_held: false,
        }
    }
}

/// A pod that waits, or a gang of them; never given twice, and ascending in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodKey(pub u64);

/// A class of pods: same profile, same shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClassId(pub u32);

/// What an attempt has come to that is not finished in one turn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Attempt {
    /// When it began, in seconds on a clock that only metrics read.
    pub started: f64,
    /// Seconds that were spent on the search for victims.
    pub searched: f64,
    /// Nodes that were looked at in that search.
    pub looked: usize,
}

impl Attempt {
    /// One that begins now.
    pub const fn new(started: f64) -> Self {
        Self {
            started,
            searched: 0.0,
            looked: 0,
        }
    }
}

/// Where a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// To be tried next.
    Active,
    /// To be tried when the time has come, or earlier when nothing else is there.
    Backoff(Time),
    /// To be tried when the time has come.
    ErrorBackoff(Time),
    /// Waiting for an event that can help.
    Unschedulable,
    /// Held by a PreEnqueue plugin.
    Gated,
    /// Being decided or bound.
    InFlight,
    /// Being decided, and somebody else has a turn in between.
    Unfinished,
    /// Waits with its gang, whose own state says where.
    WithGang,
}

/// The order of the active queue: priority, then time, then arrival. Source: PrioritySort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ActiveOrder {
    priority: Reverse<i32>,
    /// A gang that has lost members comes before others of its priority.
    repair: Reverse<bool>,
    timestamp: Time,
    pub(super) key: PodKey,
}

/// What the queue knows of a pod.
#[derive(Clone, Debug)]
pub struct QueuedPod {
    key: PodKey,
    /// Priority.
    pub priority: i32,
    /// Class.
    pub class: ClassId,
    /// Its class among other pods, while it is of importance who it is to them.
    pub peers: PeerId,
    /// Where it is.
    pub state: State,
    /// How often it was tried.
    pub attempts: u32,
    /// What the attempt has come to that is not finished yet.
    pub(super) attempt: Attempt,
    /// When it first came into the active queue.
    pub first_attempt: Option<Time>,
    /// Who rejected it the last time.
    pub rejectors: PluginSet,
    /// Whether only the flush brought it back since its last attempt.
    pub flushed: bool,
    /// Whether it waits for pods to go that were evicted for it.
    pub(super) held: bool,
    /// Whether it was not woken for that.
    pub(super) spared: bool,
    /// The gang that it waits with.
    pub gang: Option<PodKey>,
    /// A member of a gang: whether it listens for it.
    pub(super) listens: bool,
    /// A gang: since when it waits. Its place in the order does not change with its attempts.
    pub(super) since: Option<Time>,
    /// A gang: whether it has lost members.
    pub(super) repair: bool,
    /// A gang: the members that listen for it while it is unschedulable.
    pub(super) listeners: Vec<PodKey>,
    pub(super) rejections: u32,
    pub(super) errors: u32,
    /// Arrival, or the end of the last attempt.
    pub(super) timestamp: Time,
}

impl QueuedPod {
    pub(super) fn new(key: PodKey, priority: i32, class: ClassId, now: Time) -> Self {
        Self {
            key,
            priority,
            class,
            peers: PeerId::default(),
            state: State::InFlight,
            attempts: 0,
            attempt: Attempt::default(),
            first_attempt: None,
            rejectors: PluginSet::default(),
            flushed: false,
            held: false,
            spared: false,
            gang: None,
            listens: false,
            since: None,
            repair: false,
            listeners: Vec::new(),
            rejections: 0,
            errors: 0,
            timestamp: now,
        }
    }

    pub(super) fn order(&self) -> ActiveOrder {
        ActiveOrder {
            priority: Reverse(self.priority),
            repair: Reverse(self.repair),
            timestamp: self.since.unwrap_or(self.timestamp),
            key: self.key,
        }
    }

    /// Those with which it waits, while it is unschedulable.
    pub fn group(&self) -> WaitGroup {
        WaitGroup {
            class: self.class,
            peers: self.peers,
            rejectors: self.rejectors,
        }
    }

    /// When its backoff is over: doubling with every failed attempt. Consecutive errors count by
    /// themselves, so that a passing fault is forgotten when it is over.
    pub(super) fn backoff_until(&self, times: &Backoff) -> Time {
        let failures = if self.errors > 0 {
            self.errors
        } else {
            self.rejections
        };
        let mut wait = if failures == 0 {
            Duration::ZERO
        } else {
            times.initial.min(times.max)
        };
        for _ in 1..failures {
            if wait >= times.max {
                break;
            }
            wait = (wait * 2).min(times.max);
        }
        self.timestamp + wait
    }
}
