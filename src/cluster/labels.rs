//! Which nodes have which label.

use std::collections::HashMap;

use super::posting::Posting;
use super::{NodeId, NodeSet};
use crate::model::NodeModel;

/// Nodes by label key, and by value within a key.
#[derive(Clone, Debug, Default)]
pub struct LabelIndex {
    keys: HashMap<Box<str>, KeyEntry>,
}

#[derive(Clone, Debug, Default)]
struct KeyEntry {
    nodes: Posting,
    values: HashMap<Box<str>, Posting>,
}

impl LabelIndex {
    pub(super) fn insert(&mut self, node: NodeId, model: &NodeModel) {
        for (key, value) in &model.labels {
            let entry = self.keys.entry(key.clone()).or_default();
            entry.nodes.insert(node);
            entry.values.entry(value.clone()).or_default().insert(node);
        }
    }

    pub(super) fn remove(&mut self, node: NodeId, model: &NodeModel) {
        for (key, value) in &model.labels {
            let Some(entry) = self.keys.get_mut(key) else {
                continue;
            };
            entry.nodes.remove(node);
            if let Some(nodes) = entry.values.get_mut(value) {
                nodes.remove(node);
                if nodes.is_empty() {
                    entry.values.remove(value);
                }
            }
            if entry.nodes.is_empty() {
                self.keys.remove(key);
            }
        }
    }

    /// Adds the nodes that have the label, whatever its value, to `set`.
    pub fn with_key(&self, key: &str, set: &mut NodeSet) {
        if let Some(entry) = self.keys.get(key) {
            entry.nodes.add_to(set);
        }
    }

    /// Adds the nodes whose label has one of the values that `wanted` accepts to `set`.
    pub fn with_values(&self, key: &str, wanted: impl Fn(&str) -> bool, set: &mut NodeSet) {
        if let Some(entry) = self.keys.get(key) {
            for (value, nodes) in &entry.values {
                if wanted(value) {
                    nodes.add_to(set);
                }
            }
        }
    }

    /// The values of a label, in their order, each with its nodes.
    pub fn values(&self, key: &str) -> Vec<(&str, &Posting)> {
        let values = self
            .keys
            .get(key)
            .into_iter()
            .flat_map(|entry| &entry.values);
        let mut values: Vec<_> = values.map(|(value, nodes)| (&**value, nodes)).collect();
        values.sort_unstable_by_key(|(value, _)| *value);
        values
    }

    /// Adds the nodes whose label has exactly this value to `set`.
    pub fn with_value(&self, key: &str, value: &str, set: &mut NodeSet) {
        if let Some(nodes) = self.keys.get(key).and_then(|entry| entry.values.get(value)) {
            nodes.add_to(set);
        }
    }
}
