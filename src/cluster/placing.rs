//! Pods that come to nodes and leave them, and what is counted of them.

use std::sync::Arc;

use super::speculation::Undo;
use super::{Cluster, NodeId, PeerId, PlacedId, PlacedRecord};
use crate::model::{CompiledPod, Eviction, Labels, PlacedPod, PodRef};

impl Cluster {
    /// The labels of the pods of this class.
    pub fn labels_of(&self, peers: PeerId) -> &Labels {
        &self.peers.class(peers).spec().labels
    }

    /// Counts a pod that the API server shows as bound, in place of what was known of it.
    /// Answers the record that was replaced.
    pub fn confirm(&mut self, pod: &CompiledPod) -> Option<PlacedRecord> {
        // Before the old record goes, so that its class is still there for whoever gets it.
        let peers = self.peers.adopt(&pod.peers, &self.slots);
        let old = self
            .pods
            .by_uid(&pod.reference.uid)
            .and_then(|id| self.remove(id));
        let node = self.slot(&pod.node);
        let record = PlacedRecord {
            reference: Arc::clone(&pod.reference),
            version: pod.version,
            priority: pod.priority,
            terminating: pod.terminating,
            eviction: pod.eviction,
            grouped: pod.membership.is_some(),
            assumed: false,
            node,
            peers,
            pod: pod.placed.clone(),
            usage: self.resources.resolve(&pod.placed.held),
            position: 0,
        };
        self.place(record);
        old
    }

    /// Counts a pod on a node before the API server says so. It stays until the watch confirms it
    /// or [`Self::remove`] forgets it. A pod that is bound already is left as it is.
    pub fn assume(
        &mut self,
        reference: &Arc<PodRef>,
        priority: i32,
        pod: &PlacedPod,
        peers: PeerId,
        node: NodeId,
    ) -> PlacedId {
        if let Some(id) = self.pods.by_uid(&reference.uid) {
            if self.pods.get(id).is_some_and(|held| !held.assumed) {
                return id;
            }
            self.remove(id);
        }
        let usage = self.resources.resolve(&pod.held);
        self.peers.hold(peers);
        self.place(PlacedRecord {
            reference: Arc::clone(reference),
            version: 0,
            priority,
            terminating: false,
            eviction: Eviction::default(),
            grouped: true,
            assumed: true,
            node,
            peers,
            pod: pod.clone(),
            usage,
            position: 0,
        })
    }

    /// Takes a pod off its node.
    pub fn remove(&mut self, id: PlacedId) -> Option<PlacedRecord> {
        let record = self.pods.take(id)?;
        self.unlink(&record);
        self.account(&record, -1);
        self.peers.release(record.peers);
        if self.speculating > 0 {
            self.journal.push(Undo::Removed(id, record.clone()));
        }
        self.release_slot(record.node);
        Some(record)
    }

    pub(super) fn place(&mut self, mut record: PlacedRecord) -> PlacedId {
        self.account(&record, 1);
        let pods = &mut self.slots[record.node.index()].pods;
        record.position = pods.len() as u32;
        let node = record.node;
        let (id, slot) = self.pods.insert(record);
        self.slots[node.index()].pods.push(id);
        if self.speculating > 0 {
            self.journal.push(Undo::Placed(id, slot));
        }
        id
    }

    /// Takes the pod out of its node's list by moving the last one into its place.
    fn unlink(&mut self, record: &PlacedRecord) {
        let pods = &mut self.slots[record.node.index()].pods;
        let position = record.position as usize;
        pods.swap_remove(position);
        if let Some(&moved) = pods.get(position) {
            self.pods.set_position(moved, record.position);
        }
    }

    pub(super) fn account(&mut self, record: &PlacedRecord, sign: i64) {
        let node = record.node;
        for &(resource, amount) in &record.usage {
            self.resources
                .add(node, resource, i128::from(sign) * i128::from(amount));
        }
        self.peers.place(record.peers, node, sign);
        self.volumes.account(record, sign);
        self.pod_counts[node.index()] += sign;
        let pods = self.priorities.entry(record.priority).or_default();
        *pods = pods.saturating_add_signed(sign as isize);
        if *pods == 0 {
            self.priorities.remove(&record.priority);
        }
        let signed = |amount: i64| i128::from(sign) * i128::from(amount);
        self.nonzero_cpu.add(node, signed(record.pod.nonzero_cpu));
        self.nonzero_memory
            .add(node, signed(record.pod.nonzero_memory));
        for port in &record.pod.host_ports {
            if sign > 0 {
                self.ports.take(node, port);
            } else {
                self.ports.release(node, port);
            }
        }
        self.changes.record(node);
    }
}
