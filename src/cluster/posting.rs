//! The nodes that share a label, a taint or an image.

use super::{NodeId, NodeSet};

/// More nodes than this are kept as bits. Many values stand on one node only (hostnames), for which
/// a bit per node of the cluster would be a waste.
const DENSE: usize = 64;

/// A set of nodes, small or large.
#[derive(Clone, Debug)]
pub enum Posting {
    /// Few: sorted.
    Few(Vec<NodeId>),
    /// Many: bits.
    Many(NodeSet),
}

impl Default for Posting {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Posting {
    /// Adds a node.
    pub fn insert(&mut self, node: NodeId) {
        match self {
            Self::Few(nodes) => {
                if let Err(at) = nodes.binary_search(&node) {
                    nodes.insert(at, node);
                    if nodes.len() > DENSE {
                        *self = Self::Many(nodes.iter().copied().collect());
                    }
                }
            }
            Self::Many(set) => {
                set.insert(node);
            }
        }
    }

    /// Removes a node.
    pub fn remove(&mut self, node: NodeId) {
        match self {
            Self::Few(nodes) => {
                if let Ok(at) = nodes.binary_search(&node) {
                    nodes.remove(at);
                }
            }
            Self::Many(set) => {
                set.remove(node);
                // Half of the threshold, so that a set at the edge does not flip to and fro.
                if set.is_at_most(DENSE / 2) {
                    *self = Self::Few(set.iter().collect());
                }
            }
        }
    }

    /// Whether the node is in it.
    pub fn contains(&self, node: NodeId) -> bool {
        match self {
            Self::Few(nodes) => nodes.binary_search(&node).is_ok(),
            Self::Many(set) => set.contains(node),
        }
    }

    /// Whether one of its nodes is in the set.
    pub fn meets(&self, set: &NodeSet) -> bool {
        match self {
            Self::Few(nodes) => nodes.iter().any(|&node| set.contains(node)),
            Self::Many(many) => many.intersects(set),
        }
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Few(nodes) => nodes.is_empty(),
            Self::Many(set) => set.is_empty(),
        }
    }

    /// How many nodes it has.
    pub fn len(&self) -> usize {
        match self {
            Self::Few(nodes) => nodes.len(),
            Self::Many(set) => set.len(),
        }
    }

    /// Adds its nodes to a set.
    pub fn add_to(&self, set: &mut NodeSet) {
        match self {
            Self::Few(nodes) => {
                for &node in nodes {
                    set.insert(node);
                }
            }
            Self::Many(many) => set.union(many),
        }
    }

    /// The nodes, ascending.
    pub fn for_each(&self, visit: impl FnMut(NodeId)) {
        match self {
            Self::Few(nodes) => nodes.iter().copied().for_each(visit),
            Self::Many(set) => set.iter().for_each(visit),
        }
    }
}
