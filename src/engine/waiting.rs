//! A pod that waits or is being bound.

use std::sync::Arc;

use super::permits::Permission;
use super::waking::EndedNomination;
use crate::cluster::{PeerId, PlacedId};
use crate::model::{Membership, PlacedPod, PodCondition, PodRef};
use crate::queue::ClassId;

/// What the engine keeps of a pod until it is bound.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) reference: Arc<PodRef>,
    pub(super) profile: usize,
    pub(super) class: ClassId,
    /// Its class among other pods.
    pub(super) peers: PeerId,
    pub(super) version: u64,
    pub(super) priority: i32,
    pub(super) terminating: bool,
    pub(super) info: WaitingInfo,
    /// The group that it names.
    pub(super) membership: Option<Membership>,
    pub(super) placed: PlacedPod,
    /// A hash of the uid, which decides between equal scores.
    pub(super) hash: u64,
    /// What it waits for before its bind may leave.
    pub(super) permission: Option<Permission>,
    /// The bind that is under way.
    pub(super) binding: Option<Binding>,
}

impl Waiting {
    /// What counts on its nominated node; None when it has none.
    pub(super) fn nomination(self) -> Option<EndedNomination> {
        let node = self.info.nominated_node;
        (!node.is_empty()).then_some(EndedNomination {
            node,
            pod: self.placed,
            peers: self.peers,
            priority: self.priority,
        })
    }
}

/// The parts of [`crate::model::WaitingPod`] that are not its class.
#[derive(Clone, Debug)]
pub(super) struct WaitingInfo {
    pub(super) gated: bool,
    pub(super) nominated_node: Box<str>,
    pub(super) condition: Option<PodCondition>,
    pub(super) generation: Option<i64>,
    pub(super) never_preempts: bool,
}

/// A bind under way.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub(super) placed: PlacedId,
    pub(super) node: Arc<str>,
    /// When the cycle began, for metrics.
    pub(super) started: f64,
    /// When the bind left the engine, for metrics.
    pub(super) sent: f64,
    /// The pod was deleted meanwhile; only the answer is still awaited.
    pub(super) gone: bool,
}
