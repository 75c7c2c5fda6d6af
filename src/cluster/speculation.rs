//! What if: do it, look, undo it.

use super::pods::SlotOrigin;
use super::{Cluster, PlacedId, PlacedRecord};

/// Whether a speculation becomes the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// What was done stays.
    Commit,
    /// Everything goes back to what it was.
    RollBack,
}

/// How to undo one mutation.
#[derive(Clone, Debug)]
pub(super) enum Undo {
    Placed(PlacedId, SlotOrigin),
    Removed(PlacedId, PlacedRecord),
}

impl Cluster {
    /// Runs `trial` on the live state. When it answers [`Keep::RollBack`] the state is exactly what
    /// it was before, ids and orders included. Speculations nest.
    pub fn speculate<T>(&mut self, trial: impl FnOnce(&mut Self) -> (Keep, T)) -> T {
        let start = self.journal.len();
        let logged = self.changes.end();
        self.speculating += 1;
        let (keep, answer) = trial(self);
        self.speculating -= 1;
        match keep {
            Keep::RollBack => {
                while self.journal.len() > start {
                    if let Some(undo) = self.journal.pop() {
                        self.undo(undo);
                    }
                }
                self.changes.take_back(logged);
            }
            // An outer speculation may still roll back, so only the outermost forgets.
            Keep::Commit if self.speculating == 0 => {
                let emptied: Vec<_> = (self.journal.drain(..))
                    .filter_map(|undo| match undo {
                        Undo::Removed(_, record) => Some(record.node),
                        Undo::Placed(..) => None,
                    })
                    .collect();
                for node in emptied {
                    if self.by_name.get(&self.slots[node.index()].name) == Some(&node) {
                        self.release_slot(node);
                    }
                }
            }
            Keep::Commit => {}
        }
        answer
    }

    /// Puts a pod back that [`Self::remove`] took off, in the same speculation.
    pub fn put_back(&mut self, record: PlacedRecord) -> PlacedId {
        debug_assert!(self.speculating > 0, "pods come back only by being undone");
        self.peers.hold(record.peers);
        self.place(record)
    }

    /// Rolls back whatever speculation a panic left open.
    pub fn recover(&mut self) {
        self.speculating = 0;
        while let Some(undo) = self.journal.pop() {
            self.undo(undo);
        }
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Placed(id, origin) => {
                if let Some(record) = self.pods.undo_insert(id, origin) {
                    self.slots[record.node.index()].pods.pop();
                    self.account(&record, -1);
                    self.peers.release(record.peers);
                }
            }
            Undo::Removed(id, record) => {
                self.peers.hold(record.peers);
                self.account(&record, 1);
                let pods = &mut self.slots[record.node.index()].pods;
                let position = record.position as usize;
                // The last pod had moved into the gap: it goes back to the end.
                if let Some(&moved) = pods.get(position) {
                    pods.push(moved);
                    pods[position] = id;
                    let last = (pods.len() - 1) as u32;
                    self.pods.set_position(moved, last);
                } else {
                    pods.push(id);
                }
                self.pods.undo_take(id, record);
            }
        }
    }
}
