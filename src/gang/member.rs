//! A pod of a group.

use crate::model::{CompiledPod, GangTopology, Membership};
use crate::queue::PodKey;

/// A pod of a group, as the group sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its priority, which all members must share.
    pub priority: i32,
    /// Who shall place it, which all members must share.
    pub scheduler_name: Box<str>,
    /// Its role.
    pub role: Option<Box<str>>,
    /// How many must run together, in dialects where pods say so.
    pub min: Option<u32>,
    /// Where the gang must or should be together, in dialects where pods say so.
    pub topology: GangTopology,
    /// On its way out: it takes room and does not count.
    pub terminating: bool,
    /// When it started (see [`crate::model::Eviction`]), which others of its gang are judged by.
    pub started: Option<i64>,
    /// Where it is.
    pub place: Place,
}

/// Where a pod of a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Waits for another scheduler, or was bound by one to a node that nobody knows.
    Elsewhere,
    /// Waits, and cannot be tried yet.
    Gated(PodKey),
    /// Waits.
    Waiting(PodKey),
    /// Its bind is under way.
    Binding(PodKey),
    /// Bound; whether its containers have started.
    Bound {
        /// Phase Running.
        running: bool,
    },
}

impl Place {
    /// Where a pod is that waits.
    pub const fn of_waiting(key: PodKey, gated: bool) -> Self {
        if gated {
            Self::Gated(key)
        } else {
            Self::Waiting(key)
        }
    }
}

impl Member {
    /// A pod that names a group.
    pub fn new(pod: &CompiledPod, membership: &Membership, place: Place) -> Self {
        Self {
            priority: pod.priority,
            scheduler_name: pod.scheduler_name.clone(),
            role: membership.role.clone(),
            min: membership.min,
            topology: membership.topology.clone(),
            terminating: pod.terminating,
            started: pod.eviction.started,
            place,
        }
    }

    /// Its key in the queue if it can be tried now.
    pub fn pending(&self) -> Option<PodKey> {
        match self.place {
            Place::Waiting(key) if !self.terminating => Some(key),
            _ => None,
        }
    }

    /// Whether it counts as placed.
    pub fn is_live(&self) -> bool {
        let placed = matches!(self.place, Place::Binding(_) | Place::Bound { .. });
        placed && !self.terminating
    }
}
