//! Which nodes have which container image.

use std::collections::HashMap;

use rustc_hash::FxHashMap;

use super::NodeId;
use super::posting::Posting;
use crate::model::NodeModel;

/// An image name, interned: kubelets report dozens of names per node, the same on most nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageId(u32);

/// Images by name. The size of an image is the one that its first node reported, as in
/// `pkg/scheduler/backend/cache`.
#[derive(Clone, Debug, Default)]
pub struct ImageIndex {
    ids: HashMap<Box<str>, ImageId>,
    states: FxHashMap<ImageId, ImageState>,
    next: u32,
    epoch: u64,
}

/// What is known of an image.
#[derive(Clone, Debug)]
pub struct ImageState {
    name: Box<str>,
    /// Size in bytes.
    pub size: i64,
    /// The nodes that have it.
    pub nodes: Posting,
    /// Moves when a node gains or loses the image, since every node's score depends on how many do.
    pub epoch: u64,
}

impl ImageIndex {
    /// Puts a node's images into the index in place of those it had; answers the new ones, and
    /// whether they differ.
    pub(super) fn replace(
        &mut self,
        node: NodeId,
        old: &[ImageId],
        model: &NodeModel,
    ) -> Option<Box<[ImageId]>> {
        let mut new = Vec::with_capacity(old.len());
        for image in &model.images {
            for name in &image.names {
                let id = self.intern(name, image.size);
                self.resize_if_alone(id, node, image.size, &new);
                new.push(id);
            }
        }
        new.sort_unstable();
        new.dedup();
        if *new == *old {
            return None;
        }
        for &id in &new {
            if old.binary_search(&id).is_err() {
                self.touch(id, |nodes| nodes.insert(node));
            }
        }
        for &id in old {
            if new.binary_search(&id).is_err() {
                self.touch(id, |nodes| nodes.remove(node));
            }
        }
        Some(new.into())
    }

    fn intern(&mut self, name: &str, size: i64) -> ImageId {
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        let id = ImageId(self.next);
        self.next = self.next.wrapping_add(1);
        self.ids.insert(name.into(), id);
        let nodes = Posting::default();
        self.states.insert(
            id,
            ImageState {
                name: name.into(),
                size,
                nodes,
                epoch: 0,
            },
        );
        id
    }

    /// A node that alone has an image reports its size anew, as if the image had come just now; of
    /// several sizes under one name its first counts.
    fn resize_if_alone(&mut self, id: ImageId, node: NodeId, size: i64, seen: &[ImageId]) {
        if let Some(state) = self.states.get_mut(&id)
            && state.size != size
            && state.nodes.len() == 1
            && state.nodes.contains(node)
            && !seen.contains(&id)
        {
            state.size = size;
        }
    }

    fn touch(&mut self, id: ImageId, change: impl FnOnce(&mut Posting)) {
        let Some(state) = self.states.get_mut(&id) else {
            return;
        };
        change(&mut state.nodes);
        self.epoch += 1;
        state.epoch = self.epoch;
        if state.nodes.is_empty() {
            let name = state.name.clone();
            self.ids.remove(&name);
            self.states.remove(&id);
        }
    }

    /// What is known of the image with this normalised name; None when no node has it.
    pub fn get(&self, name: &str) -> Option<&ImageState> {
        self.states.get(self.ids.get(name)?)
    }
}
