//! What happens in a cluster that may let a waiting pod be placed, as
//! `pkg/scheduler/framework/events.go` cuts it.

use crate::model::{NodeModel, PlacedPod};

/// The kinds of events that plugins register for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A node was added.
    NodeAdd,
    /// A node's taints changed, or it was uncordoned.
    NodeTaint,
    /// A node's allocatable resources changed.
    NodeAllocatable,
    /// A node's labels changed.
    NodeLabel,
    /// The features that a node's kubelet declares changed.
    NodeDeclaredFeature,
    /// A node was deleted.
    NodeDelete,
    /// A pod was bound.
    AssignedPodAdd,
    /// A bound pod is gone, finished, or could not be bound after all.
    AssignedPodDelete,
    /// A bound pod holds less than before.
    AssignedPodScaleDown,
    /// The waiting pod itself has more tolerations.
    TargetPodToleration,
    /// The waiting pod itself asks for less.
    TargetPodScaleDown,
    /// The waiting pod's last gate is gone.
    TargetPodGatesEliminated,
    /// The waiting pod itself changed in some other way.
    TargetPodUpdate,
}

impl EventKind {
    /// The value of the `event` label of metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NodeAdd => "NodeAdd",
            Self::NodeTaint => "NodeUpdateNodeTaint",
            Self::NodeAllocatable => "NodeUpdateNodeAllocatable",
            Self::NodeLabel => "NodeUpdateNodeLabel",
            Self::NodeDeclaredFeature => "NodeUpdateNodeDeclaredFeature",
            Self::NodeDelete => "NodeDelete",
            Self::AssignedPodAdd => "AssignedPodAdd",
            Self::AssignedPodDelete => "AssignedPodDelete",
            Self::AssignedPodScaleDown => "AssignedPodUpdatePodScaleDown",
            Self::TargetPodToleration => "TargetPodUpdatePodToleration",
            Self::TargetPodScaleDown => "TargetPodUpdatePodScaleDown",
            Self::TargetPodGatesEliminated => "TargetPodUpdatePodSchedulingGatesEliminated",
            Self::TargetPodUpdate => "TargetPodUpdate",
        }
    }
}

/// A set of event kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventSet(u32);

impl EventSet {
    /// The set of these kinds.
    pub const fn of(kinds: &[EventKind]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < kinds.len() {
            bits |= 1 << kinds[index] as u32;
            index += 1;
        }
        Self(bits)
    }

    /// Adds the kinds of another set.
    pub const fn union(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether the kind is in the set.
    pub const fn contains(self, kind: EventKind) -> bool {
        self.0 & (1 << kind as u32) != 0
    }
}

/// An event with what hints look at.
#[derive(Clone, Copy, Debug)]
pub enum ClusterEvent<'a> {
    /// A node was added.
    NodeAdd(&'a NodeModel),
    /// A node changed in the way that the kind says.
    NodeUpdate(EventKind, &'a NodeModel, &'a NodeModel),
    /// A node was deleted.
    NodeDelete(&'a NodeModel),
    /// A pod was bound.
    AssignedPodAdd(&'a PlacedPod),
    /// A bound pod no longer takes room.
    AssignedPodDelete(&'a PlacedPod),
    /// A bound pod holds less: before and after.
    AssignedPodScaleDown(&'a PlacedPod, &'a PlacedPod),
    /// The waiting pod itself changed in the way that the kind says.
    TargetPod(EventKind),
}

impl ClusterEvent<'_> {
    /// The kind of the event.
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::NodeAdd(_) => EventKind::NodeAdd,
            Self::NodeUpdate(kind, ..) | Self::TargetPod(kind) => *kind,
            Self::NodeDelete(_) => EventKind::NodeDelete,
            Self::AssignedPodAdd(_) => EventKind::AssignedPodAdd,
            Self::AssignedPodDelete(_) => EventKind::AssignedPodDelete,
            Self::AssignedPodScaleDown(..) => EventKind::AssignedPodScaleDown,
        }
    }
}

/// The kinds of change between two states of a node, in the order in which upstream reports them.
/// Source: `framework.NodeSchedulingPropertiesChange`.
pub fn node_changes(old: &NodeModel, new: &NodeModel) -> impl Iterator<Item = EventKind> {
    let allocatable = old.allocatable != new.allocatable || old.allowed_pods != new.allowed_pods;
    [
        (
            old.unschedulable && !new.unschedulable,
            EventKind::NodeTaint,
        ),
        (allocatable, EventKind::NodeAllocatable),
        (old.labels != new.labels, EventKind::NodeLabel),
        (old.taints != new.taints, EventKind::NodeTaint),
        (
            old.declared_features != new.declared_features,
            EventKind::NodeDeclaredFeature,
        ),
    ]
    .into_iter()
    .filter_map(|(changed, kind)| changed.then_some(kind))
}
