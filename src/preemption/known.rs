//! What was found out about nodes.

use crate::cluster::NodeId;

/// What was found out, by node.
#[derive(Clone, Debug)]
pub(super) struct Known<T>(Vec<Option<T>>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy> Known<T> {
    pub(super) fn get(&self, node: NodeId) -> Option<T> {
        self.0.get(node.index()).copied().flatten()
    }

    pub(super) fn set(&mut self, node: NodeId, found: T) {
        if self.0.len() <= node.index() {
            self.0.resize(node.index() + 1, None);
        }
        if let Some(known) = self.0.get_mut(node.index()) {
            *known = Some(found);
        }
    }

    pub(super) fn forget(&mut self, node: NodeId) {
        if let Some(known) = self.0.get_mut(node.index()) {
            *known = None;
        }
    }
}
