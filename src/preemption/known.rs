//! What is known of nodes until they change.

use crate::cluster::{Cluster, LogPosition, NodeId};

/// What clearing each node costs.
#[derive(Clone, Debug)]
pub(super) struct Known<C> {
    position: Option<LogPosition>,
    /// By node index: None for unknown, Some(None) where clearing does not help.
    by_node: Vec<Option<Option<C>>>,
}

impl<C> Default for Known<C> {
    fn default() -> Self {
        Self {
            position: None,
            by_node: Vec::new(),
        }
    }
}

impl<C: Copy> Known<C> {
    /// Forgets the nodes that have changed since this was called last.
    pub(super) fn refresh(&mut self, cluster: &Cluster) {
        let changed = (self.position).and_then(|position| cluster.changes().since(position));
        match changed {
            Some(changed) => {
                for &node in changed {
                    self.set(node, None);
                }
            }
            None => self.by_node.clear(),
        }
        self.by_node.resize(cluster.node_slots(), None);
        self.position = Some(cluster.changes().position());
    }

    /// Forgets all nodes with the next [`Self::refresh`].
    pub(super) fn forget_all(&mut self) {
        self.position = None;
    }

    pub(super) fn get(&self, node: NodeId) -> Option<Option<C>> {
        self.by_node.get(node.index()).copied().flatten()
    }

    pub(super) fn set(&mut self, node: NodeId, cost: Option<Option<C>>) {
        if let Some(known) = self.by_node.get_mut(node.index()) {
            *known = cost;
        }
    }
}
