//! Which nodes have which taint.

use std::collections::HashMap;

use super::NodeId;
use super::posting::Posting;
use crate::model::{NodeModel, Taint};

/// Nodes by taint. Clusters have few distinct taints, so that a pod's tolerations are compared with
/// each of them once rather than with every node's.
#[derive(Clone, Debug, Default)]
pub struct TaintIndex {
    taints: HashMap<Taint, Posting>,
}

impl TaintIndex {
    pub(super) fn insert(&mut self, node: NodeId, model: &NodeModel) {
        for taint in &model.taints {
            self.taints.entry(taint.clone()).or_default().insert(node);
        }
    }

    pub(super) fn remove(&mut self, node: NodeId, model: &NodeModel) {
        for taint in &model.taints {
            if let Some(nodes) = self.taints.get_mut(taint) {
                nodes.remove(node);
                if nodes.is_empty() {
                    self.taints.remove(taint);
                }
            }
        }
    }

    /// The distinct taints and the nodes that have them.
    pub fn iter(&self) -> impl Iterator<Item = (&Taint, &Posting)> {
        self.taints.iter()
    }
}
