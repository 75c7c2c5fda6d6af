//! The placed pods.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{NodeId, PeerId, ResourceId};
use crate::model::{Eviction, PlacedPod, PodRef};

/// A placed pod's slot, with the generation that tells its tenants apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlacedId {
    slot: u32,
    generation: u32,
}

/// A pod that takes room on a node: bound by whomever, or assumed by us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedRecord {
    /// Which pod.
    pub reference: Arc<PodRef>,
    /// The resource version it was last seen at; 0 while only assumed.
    pub version: u64,
    /// Priority.
    pub priority: i32,
    /// On its way out; it still counts.
    pub terminating: bool,
    /// What matters to whoever might evict it.
    pub eviction: Eviction,
    /// Whether it may be of a group.
    pub grouped: bool,
    /// Placed by us and not yet seen as bound.
    pub assumed: bool,
    /// Where.
    pub node: NodeId,
    /// Its class among other pods.
    pub peers: PeerId,
    /// What it takes.
    pub pod: PlacedPod,
    pub(super) usage: Box<[(ResourceId, i64)]>,
    /// Its place in its node's list of pods.
    pub(super) position: u32,
}

impl PlacedRecord {
    /// How much it holds of a resource.
    pub fn holds(&self, resource: ResourceId) -> i64 {
        let held = self.usage.iter().find(|(held, _)| *held == resource);
        held.map_or(0, |(_, amount)| *amount)
    }
}

/// How a slot came to be used, so that it can be given back the same way.
#[derive(Clone, Copy, Debug)]
pub(super) enum SlotOrigin {
    Pushed,
    Reused,
}

#[derive(Clone, Debug, Default)]
pub(super) struct PodStore {
    slots: Vec<(u32, Option<PlacedRecord>)>,
    free: Vec<u32>,
    by_uid: FxHashMap<Box<str>, PlacedId>,
    assumed: usize,
}

impl PodStore {
    pub(super) fn get(&self, id: PlacedId) -> Option<&PlacedRecord> {
        let (generation, record) = self.slots.get(id.slot as usize)?;
        record.as_ref().filter(|_| *generation == id.generation)
    }

    pub(super) fn by_uid(&self, uid: &str) -> Option<PlacedId> {
        self.by_uid.get(uid).copied()
    }

    pub(super) fn counts(&self) -> (usize, usize) {
        (self.by_uid.len(), self.assumed)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PlacedId, &PlacedRecord)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(slot, (generation, record))| {
                let id = PlacedId {
                    slot: slot as u32,
                    generation: *generation,
                };
                record.as_ref().map(|record| (id, record))
            })
    }

    pub(super) fn insert(&mut self, record: PlacedRecord) -> (PlacedId, SlotOrigin) {
        let uid = record.reference.uid.clone();
        self.assumed += usize::from(record.assumed);
        let (slot, origin) = match self.free.pop() {
            Some(slot) => (slot, SlotOrigin::Reused),
            None => {
                self.slots.push((0, None));
                ((self.slots.len() - 1) as u32, SlotOrigin::Pushed)
            }
        };
        let (generation, held) = &mut self.slots[slot as usize];
        *held = Some(record);
        let id = PlacedId {
            slot,
            generation: *generation,
        };
        self.by_uid.insert(uid, id);
        (id, origin)
    }

    /// Takes a record out for good: its id will not be given again.
    pub(super) fn take(&mut self, id: PlacedId) -> Option<PlacedRecord> {
        self.get(id)?;
        let (generation, held) = &mut self.slots[id.slot as usize];
        let record = held.take()?;
        *generation = generation.wrapping_add(1);
        self.free.push(id.slot);
        self.forget(&record);
        Some(record)
    }

    /// Undoes [`Self::insert`], so that the next insert gets the same id again.
    pub(super) fn undo_insert(&mut self, id: PlacedId, origin: SlotOrigin) -> Option<PlacedRecord> {
        let (_, held) = self.slots.get_mut(id.slot as usize)?;
        let record = held.take()?;
        match origin {
            SlotOrigin::Pushed => {
                self.slots.pop();
            }
            SlotOrigin::Reused => self.free.push(id.slot),
        }
        self.forget(&record);
        Some(record)
    }

    /// Undoes [`Self::take`]: the record is back under its id.
    pub(super) fn undo_take(&mut self, id: PlacedId, record: PlacedRecord) {
        self.free.pop();
        self.assumed += usize::from(record.assumed);
        self.by_uid.insert(record.reference.uid.clone(), id);
        self.slots[id.slot as usize] = (id.generation, Some(record));
    }

    pub(super) fn set_position(&mut self, id: PlacedId, position: u32) {
        if let Some((_, Some(record))) = self.slots.get_mut(id.slot as usize) {
            record.position = position;
        }
    }

    fn forget(&mut self, record: &PlacedRecord) {
        self.assumed -= usize::from(record.assumed);
        self.by_uid.remove(&record.reference.uid);
    }
}
