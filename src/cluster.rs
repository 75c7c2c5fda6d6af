//! Nodes, placed pods, and every index over them.
//!
//! One owner, no locks, no copies: whoever wants to know what would happen if a pod were placed or
//! removed does it under [`Cluster::speculate`] and rolls back.

mod changes;
mod images;
mod labels;
mod matching;
mod node_set;
mod owners;
mod peers;
mod placing;
mod pods;
mod ports;
mod posting;
mod resources;
mod speculation;
mod taints;
mod tally;
mod topology;
mod volumes;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault};
use std::sync::Arc;

use rustc_hash::FxHasher;

pub use changes::{ChangeLog, LogPosition};
pub use images::{ImageIndex, ImageState};
pub use labels::LabelIndex;
pub use node_set::{Bits, NodeSet};
pub use peers::{Carried, PeerClass, PeerId, Peers, PodQuery, SelectorId, SpreadCounter, TermKind};
pub use pods::{PlacedId, PlacedRecord};
pub use ports::PortIndex;
pub use posting::Posting;
pub use resources::{ResourceId, ResourceTable};
pub use speculation::Keep;
pub use taints::TaintIndex;
pub use tally::{Domains, Tally};
pub use topology::{KeyId, Topology, TopologyKey, ValueId};
pub use volumes::{Replaced, Volumes};

use crate::model::NodeModel;
use images::ImageId;
use owners::Owners;
use pods::PodStore;
use resources::ExactColumn;
use speculation::Undo;

/// A node's place in every column and set. It is taken again for another node only when the node
/// is gone and holds no pod any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    /// From an index. More than 2^32 nodes do not exist.
    pub const fn new(index: usize) -> Self {
        Self(index as u32)
    }

    /// The place in columns.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A node's slot. Pods may be bound to a node before it is seen, or outlive it: then there is a
/// slot without a model, which takes no pods but keeps count.
#[derive(Clone, Debug)]
struct Slot {
    name: Box<str>,
    model: Option<Arc<NodeModel>>,
    images: Box<[ImageId]>,
    pods: Vec<PlacedId>,
}

/// What an update did to a node.
#[derive(Clone, Debug)]
pub struct NodeChange {
    /// The node as it was; None when it is new.
    pub old: Option<Arc<NodeModel>>,
    /// The node as it is; None when it is gone.
    pub new: Option<Arc<NodeModel>>,
}

/// The state of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    slots: Vec<Slot>,
    free_slots: Vec<NodeId>,
    name_hashes: Vec<u64>,
    by_name: HashMap<Box<str>, NodeId>,
    present: NodeSet,
    present_count: usize,
    /// Nodes that hold a pod nobody can read, by name: known, but they take no pods.
    closed: BTreeSet<Box<str>>,
    unschedulable: NodeSet,
    resources: ResourceTable,
    allowed_pods: Vec<i64>,
    pod_counts: Vec<i64>,
    nonzero_cpu: ExactColumn,
    nonzero_memory: ExactColumn,
    labels: LabelIndex,
    taints: TaintIndex,
    images: ImageIndex,
    ports: PortIndex,
    pods: PodStore,
    peers: Peers,
    owners: Owners,
    volumes: Volumes,
    /// How many placed pods have which priority: tells at once that nobody could be preempted.
    priorities: BTreeMap<i32, usize>,
    changes: ChangeLog,
    journal: Vec<Undo>,
    speculating: u32,
}

// === Reading ===

impl Cluster {
    /// The nodes that the API server knows and that could be read.
    pub fn nodes(&self) -> &NodeSet {
        &self.present
    }

    /// How many those are.
    pub fn node_count(&self) -> usize {
        self.present_count
    }

    /// One more than the largest index of a node.
    pub fn node_slots(&self) -> usize {
        self.slots.len()
    }

    /// The node of that name, if the API server knows it.
    pub fn node_id(&self, name: &str) -> Option<NodeId> {
        let id = *self.by_name.get(name)?;
        self.present.contains(id).then_some(id)
    }

    /// The name of a node.
    pub fn node_name(&self, node: NodeId) -> &str {
        &self.slots[node.index()].name
    }

    /// A hash of each node's name, by node index; the same in every process, so that ties are
    /// broken alike.
    pub fn name_hashes(&self) -> &[u64] {
        &self.name_hashes
    }

    /// The node itself; None when it is gone.
    pub fn node(&self, node: NodeId) -> Option<&Arc<NodeModel>> {
        self.slots[node.index()].model.as_ref()
    }

    /// Cordoned nodes.
    pub fn unschedulable(&self) -> &NodeSet {
        &self.unschedulable
    }

    /// Resources by node.
    pub fn resources(&self) -> &ResourceTable {
        &self.resources
    }

    /// How many pods each node takes, by node index; padded to a multiple of 64.
    pub fn allowed_pods(&self) -> &[i64] {
        &self.allowed_pods
    }

    /// How many pods each node has; padded as above.
    pub fn pod_counts(&self) -> &[i64] {
        &self.pod_counts
    }

    /// cpu that each node's pods are taken to use when scoring, in thousandths; padded as above.
    pub fn nonzero_cpu(&self) -> &[i64] {
        &self.nonzero_cpu.value
    }

    /// Memory that each node's pods are taken to use when scoring, in bytes; padded as above.
    pub fn nonzero_memory(&self) -> &[i64] {
        &self.nonzero_memory.value
    }

    /// Nodes by label.
    pub fn labels(&self) -> &LabelIndex {
        &self.labels
    }

    /// Nodes by taint.
    pub fn taints(&self) -> &TaintIndex {
        &self.taints
    }

    /// Nodes by image.
    pub fn images(&self) -> &ImageIndex {
        &self.images
    }

    /// Taken host ports.
    pub fn ports(&self) -> &PortIndex {
        &self.ports
    }

    /// Which nodes changed when.
    pub fn changes(&self) -> &ChangeLog {
        &self.changes
    }

    /// The pods on a node.
    pub fn pods_on(&self, node: NodeId) -> &[PlacedId] {
        &self.slots[node.index()].pods
    }

    /// The classes of the pods that are bound to the node of this name, which may be gone.
    pub fn peers_bound_to(&self, name: &str) -> impl Iterator<Item = PeerId> {
        let slot = self.by_name.get(name).map(|node| &self.slots[node.index()]);
        let pods = slot.map_or(&[][..], |slot| &slot.pods);
        pods.iter().filter_map(|&id| Some(self.placed(id)?.peers))
    }

    /// A placed pod.
    pub fn placed(&self, id: PlacedId) -> Option<&PlacedRecord> {
        self.pods.get(id)
    }

    /// The placed pod with this uid.
    pub fn placed_by_uid(&self, uid: &str) -> Option<PlacedId> {
        self.pods.by_uid(uid)
    }

    /// How many pods are placed, and how many of them only by us so far.
    pub fn placed_counts(&self) -> (usize, usize) {
        self.pods.counts()
    }

    /// The lowest priority of any placed pod.
    pub fn lowest_priority(&self) -> Option<i32> {
        self.priorities.keys().next().copied()
    }

    /// The placed pods.
    pub fn iter_placed(&self) -> impl Iterator<Item = (PlacedId, &PlacedRecord)> {
        self.pods.iter()
    }
}

// === Nodes ===

impl Cluster {
    /// Adds or updates a node. None when the news is older than what is known.
    pub fn upsert_node(&mut self, model: NodeModel) -> Option<NodeChange> {
        debug_assert_eq!(self.speculating, 0, "nodes change by watch only");
        let node = self.slot(&model.name);
        let old = self.slots[node.index()].model.take();
        if let Some(held) = &old {
            if held.uid == model.uid && model.version != 0 && model.version < held.version {
                self.slots[node.index()].model = old;
                return None;
            }
            self.labels.remove(node, held);
            self.taints.remove(node, held);
        }
        let mut model = model;
        let held = std::mem::take(&mut self.slots[node.index()].images);
        let images = self.images.replace(node, &held, &model);
        self.slots[node.index()].images = images.unwrap_or(held);
        // The index keeps each name once; the model would keep it once per node.
        model.images = Box::default();
        self.labels.insert(node, &model);
        self.taints.insert(node, &model);
        self.resources.set_allocatable(node, &model.allocatable);
        self.allowed_pods[node.index()] = model.allowed_pods;
        if model.unschedulable {
            self.unschedulable.insert(node);
        } else {
            self.unschedulable.remove(node);
        }
        if !self.closed.contains(&model.name) && self.present.insert(node) {
            self.present_count += 1;
        }
        let new = Arc::new(model);
        self.peers.set_node(node, Some(&new));
        self.slots[node.index()].model = Some(Arc::clone(&new));
        self.changes.record(node);
        Some(NodeChange {
            old,
            new: Some(new),
        })
    }

    /// Removes a node; its pods stay counted until they go themselves.
    pub fn remove_node(&mut self, name: &str) -> Option<NodeChange> {
        debug_assert_eq!(self.speculating, 0, "nodes change by watch only");
        let node = *self.by_name.get(name)?;
        let old = self.slots[node.index()].model.take()?;
        self.labels.remove(node, &old);
        self.taints.remove(node, &old);
        self.peers.set_node(node, None);
        let images = std::mem::take(&mut self.slots[node.index()].images);
        self.images.replace(node, &images, &NodeModel::default());
        self.resources.set_allocatable(node, &[]);
        self.allowed_pods[node.index()] = 0;
        self.unschedulable.remove(node);
        if self.present.remove(node) {
            self.present_count -= 1;
        }
        self.changes.record(node);
        self.release_slot(node);
        Some(NodeChange {
            old: Some(old),
            new: None,
        })
    }

    /// Keeps pods off a node, known or not, until it is opened again: it holds a pod that nobody
    /// can read, and so nobody knows what is left of it. Answers the node if it took pods so far.
    pub fn close_node(&mut self, name: &str) -> Option<Arc<NodeModel>> {
        if !self.closed.insert(name.into()) {
            return None;
        }
        let node = *self.by_name.get(name)?;
        if !self.present.remove(node) {
            return None;
        }
        self.present_count -= 1;
        self.changes.record(node);
        self.slots[node.index()].model.clone()
    }

    /// Lets pods onto a closed node again. Answers the node when it is one that can take pods.
    pub fn open_node(&mut self, name: &str) -> Option<Arc<NodeModel>> {
        if !self.closed.remove(name) {
            return None;
        }
        let node = *self.by_name.get(name)?;
        let model = self.slots[node.index()].model.clone()?;
        if self.present.insert(node) {
            self.present_count += 1;
        }
        self.changes.record(node);
        Some(model)
    }

    fn slot(&mut self, name: &str) -> NodeId {
        if let Some(&node) = self.by_name.get(name) {
            return node;
        }
        let slot = Slot {
            name: name.into(),
            model: None,
            images: Box::default(),
            pods: Vec::new(),
        };
        let node = match self.free_slots.pop() {
            Some(node) => {
                self.slots[node.index()] = slot;
                node
            }
            None => {
                self.slots.push(slot);
                NodeId::new(self.slots.len() - 1)
            }
        };
        let padded = self.slots.len().div_ceil(64) * 64;
        self.name_hashes.resize(padded, 0);
        self.name_hashes[node.index()] = BuildHasherDefault::<FxHasher>::default().hash_one(name);
        self.resources.resize(self.slots.len());
        self.allowed_pods.resize(padded, 0);
        self.pod_counts.resize(padded, 0);
        self.nonzero_cpu.resize(padded);
        self.nonzero_memory.resize(padded);
        self.changes.set_count(self.slots.len());
        self.by_name.insert(name.into(), node);
        node
    }

    /// Gives a slot back when neither a node nor a pod needs it.
    fn release_slot(&mut self, node: NodeId) {
        let slot = &self.slots[node.index()];
        if self.speculating == 0 && slot.model.is_none() && slot.pods.is_empty() {
            self.by_name.remove(&slot.name);
            self.free_slots.push(node);
        }
    }
}

#[cfg(test)]
mod tests;
