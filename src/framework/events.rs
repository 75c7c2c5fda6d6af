//! What happens in a cluster that may let a waiting pod be placed, as
//! `pkg/scheduler/framework/events.go` cuts it.

use super::Incoming;
use crate::cluster::{NodeId, PeerId, PlacedRecord, SelectorId};
use crate::model::{NodeModel, PersistentVolume, PlacedPod, StorageClass};

/// The kinds of events that plugins register for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    /// A bound pod's labels changed.
    AssignedPodLabel,
    /// A bound pod holds less than before.
    AssignedPodScaleDown,
    /// A bound pod is being deleted now, and counts no more where such pods do not.
    AssignedPodUpdate,
    /// Pods are meant by other selectors now, because their namespace has other labels.
    Namespace,
    /// A claim was added.
    ClaimAdd,
    /// A claim changed.
    ClaimUpdate,
    /// A volume that claims are bound to was added.
    VolumeAdd,
    /// Such a volume changed.
    VolumeUpdate,
    /// A storage class was added.
    StorageClassAdd,
    /// The waiting pod's labels changed.
    TargetPodLabel,
    /// The waiting pod itself has more tolerations.
    TargetPodToleration,
    /// The waiting pod itself asks for less.
    TargetPodScaleDown,
    /// The waiting pod itself asks for more.
    TargetPodScaleUp,
    /// The waiting pod's last gate is gone.
    TargetPodGatesEliminated,
    /// The waiting pod itself changed in some other way.
    TargetPodUpdate,
}

impl EventKind {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::NodeAdd,
        Self::NodeTaint,
        Self::NodeAllocatable,
        Self::NodeLabel,
        Self::NodeDeclaredFeature,
        Self::NodeDelete,
        Self::AssignedPodAdd,
        Self::AssignedPodDelete,
        Self::AssignedPodLabel,
        Self::AssignedPodScaleDown,
        Self::AssignedPodUpdate,
        Self::Namespace,
        Self::ClaimAdd,
        Self::ClaimUpdate,
        Self::VolumeAdd,
        Self::VolumeUpdate,
        Self::StorageClassAdd,
        Self::TargetPodLabel,
        Self::TargetPodToleration,
        Self::TargetPodScaleDown,
        Self::TargetPodScaleUp,
        Self::TargetPodGatesEliminated,
        Self::TargetPodUpdate,
    ];

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
            Self::AssignedPodLabel => "AssignedPodUpdatePodLabel",
            Self::AssignedPodScaleDown => "AssignedPodUpdatePodScaleDown",
            Self::AssignedPodUpdate => "AssignedPodUpdate",
            Self::Namespace => "NamespaceUpdate",
            Self::ClaimAdd => "PersistentVolumeClaimAdd",
            Self::ClaimUpdate => "PersistentVolumeClaimUpdate",
            Self::VolumeAdd => "PersistentVolumeAdd",
            Self::VolumeUpdate => "PersistentVolumeUpdate",
            Self::StorageClassAdd => "storage.k8s.io/StorageClassAdd",
            Self::TargetPodLabel => "TargetPodUpdatePodLabel",
            Self::TargetPodToleration => "TargetPodUpdatePodToleration",
            Self::TargetPodScaleDown => "TargetPodUpdatePodScaleDown",
            Self::TargetPodScaleUp => "TargetPodUpdatePodScaleUp",
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

    /// The kinds in the set.
    pub fn iter(self) -> impl Iterator<Item = EventKind> {
        let kinds = EventKind::ALL.iter().copied();
        kinds.filter(move |kind| self.contains(*kind))
    }
}

/// A pod on a node, or the pod that it was.
#[derive(Clone, Copy, Debug)]
pub struct AssignedPod<'a> {
    /// What it takes there.
    pub pod: &'a PlacedPod,
    /// What others know it by and what it asks of them.
    pub peers: PeerId,
    /// Where.
    pub node: NodeId,
}

impl<'a> From<&'a PlacedRecord> for AssignedPod<'a> {
    fn from(record: &'a PlacedRecord) -> Self {
        Self {
            pod: &record.pod,
            peers: record.peers,
            node: record.node,
        }
    }
}

/// An event with what hints look at.
#[derive(Clone, Copy, Debug)]
pub enum ClusterEvent<'a> {
    /// A node was added.
    NodeAdd(&'a NodeModel),
    /// A node changed in the way that the kind says: before and after.
    NodeUpdate(EventKind, &'a NodeModel, &'a NodeModel),
    /// A node was deleted. Pods may still be bound to it.
    NodeDelete(&'a NodeModel),
    /// A pod was bound.
    AssignedPodAdd(AssignedPod<'a>),
    /// A bound pod changed in the way that the kind says: before and after.
    AssignedPodUpdate(EventKind, AssignedPod<'a>, AssignedPod<'a>),
    /// A bound pod no longer takes room.
    AssignedPodDelete(AssignedPod<'a>),
    /// These selectors mean these pods now, or mean them no more.
    Namespace(&'a [(SelectorId, PeerId)]),
    /// The claim of this namespace and name was added, or changed, as the kind says.
    Claim(EventKind, &'a str, &'a str),
    /// The volume of this name was added, or changed: before and after.
    Volume(&'a str, Option<&'a PersistentVolume>, &'a PersistentVolume),
    /// The storage class of this name was added.
    StorageClassAdd(&'a str, StorageClass),
    /// The waiting pod itself changed in the way that the kind says: what it was before.
    TargetPod(EventKind, Incoming<'a>),
}

impl ClusterEvent<'_> {
    /// The kind of the event.
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::NodeAdd(_) => EventKind::NodeAdd,
            Self::NodeUpdate(kind, ..)
            | Self::AssignedPodUpdate(kind, ..)
            | Self::Claim(kind, ..)
            | Self::TargetPod(kind, _) => *kind,
            Self::NodeDelete(_) => EventKind::NodeDelete,
            Self::AssignedPodAdd(_) => EventKind::AssignedPodAdd,
            Self::AssignedPodDelete(_) => EventKind::AssignedPodDelete,
            Self::Namespace(_) => EventKind::Namespace,
            Self::Volume(_, None, _) => EventKind::VolumeAdd,
            Self::Volume(_, Some(_), _) => EventKind::VolumeUpdate,
            Self::StorageClassAdd(..) => EventKind::StorageClassAdd,
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
