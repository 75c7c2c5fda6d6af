//! Why nodes do not fit, as bits until somebody wants to read it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{PluginIndex, PluginSet};
use crate::cluster::{NodeId, NodeSet};

/// What kind of no it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Removing pods could help (upstream's Unschedulable).
    Unschedulable,
    /// Removing pods could not help (upstream's UnschedulableAndUnresolvable).
    Unresolvable,
}

/// The reason a plugin gives, in kube-scheduler's words.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A fixed text.
    Text(&'static str),
    /// `Insufficient <resource>`.
    Insufficient(Box<str>),
}

impl Reason {
    /// The words.
    pub fn text(&self) -> Cow<'static, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Insufficient(resource) => Cow::Owned(format!("Insufficient {resource}")),
        }
    }
}

#[derive(Clone, Debug)]
struct Entry {
    plugin: PluginIndex,
    reason: Reason,
    nodes: NodeSet,
}

/// Which nodes were rejected, by which plugin, for which reasons.
#[derive(Clone, Debug, Default)]
pub struct Diagnosis {
    entries: Vec<Entry>,
    unresolvable: NodeSet,
    rejected: NodeSet,
    current: PluginIndex,
}

impl Diagnosis {
    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.unresolvable.clear();
        self.rejected.clear();
    }

    /// Forgets what was said of these nodes.
    pub(super) fn forget(&mut self, nodes: &NodeSet) {
        for entry in &mut self.entries {
            entry.nodes.subtract(nodes);
        }
        self.unresolvable.subtract(nodes);
        self.rejected.subtract(nodes);
    }

    /// Takes over what another one says, of nodes of which this one says nothing.
    pub(super) fn absorb(&mut self, other: Self) {
        self.rejected.union(&other.rejected);
        self.unresolvable.union(&other.unresolvable);
        for entry in other.entries {
            self.current = entry.plugin;
            self.entry(entry.reason).union(&entry.nodes);
        }
    }

    /// Names the plugin that speaks next.
    pub(super) fn speak_for(&mut self, plugin: PluginIndex) {
        self.current = plugin;
    }

    /// Rejects the nodes of `left` that are in `nodes`: takes them out of `left` and notes why.
    pub fn reject(&mut self, left: &mut NodeSet, nodes: &NodeSet, reason: Reason, code: Code) {
        let mut hit = nodes.clone();
        hit.intersect(left);
        if hit.is_empty() {
            return;
        }
        left.subtract(&hit);
        self.rejected.union(&hit);
        if code == Code::Unresolvable {
            self.unresolvable.union(&hit);
        }
        self.entry(reason).union(&hit);
    }

    /// Notes one more reason for nodes that the plugin takes out itself.
    pub fn note_word(&mut self, first: usize, bits: u64, reason: &Reason, code: Code) {
        if bits == 0 {
            return;
        }
        self.rejected.insert_word(first, bits);
        if code == Code::Unresolvable {
            self.unresolvable.insert_word(first, bits);
        }
        let known = (self.entries.iter())
            .position(|entry| entry.plugin == self.current && entry.reason == *reason);
        match known.and_then(|index| self.entries.get_mut(index)) {
            Some(entry) => entry.nodes.insert_word(first, bits),
            None => self.entry(reason.clone()).insert_word(first, bits),
        }
    }

    fn entry(&mut self, reason: Reason) -> &mut NodeSet {
        let plugin = self.current;
        let known = (self.entries.iter())
            .position(|entry| entry.plugin == plugin && entry.reason == reason);
        let index = known.unwrap_or_else(|| {
            self.entries.push(Entry {
                plugin,
                reason,
                nodes: NodeSet::new(),
            });
            self.entries.len() - 1
        });
        &mut self.entries[index].nodes
    }

    /// The plugins that rejected some node.
    pub fn rejectors(&self) -> PluginSet {
        let mut plugins = PluginSet::default();
        for entry in self.entries.iter().filter(|entry| !entry.nodes.is_empty()) {
            plugins.insert(entry.plugin);
        }
        plugins
    }

    /// The rejected nodes for which removing pods could help.
    pub fn resolvable(&self) -> NodeSet {
        let mut nodes = self.rejected.clone();
        nodes.subtract(&self.unresolvable);
        nodes
    }

    /// The rejected nodes.
    pub fn rejected(&self) -> &NodeSet {
        &self.rejected
    }

    /// Whether the node can never fit by removing pods.
    pub fn is_unresolvable(&self, node: NodeId) -> bool {
        self.unresolvable.contains(node)
    }

    /// How many nodes have which reason.
    pub fn count(&self) -> ReasonCounts {
        self.count_in(None)
    }

    /// The same, of these nodes only.
    pub fn count_in(&self, nodes: Option<&NodeSet>) -> ReasonCounts {
        let mut counts = ReasonCounts::default();
        for entry in &self.entries {
            let count = match nodes {
                None => entry.nodes.len(),
                Some(nodes) => {
                    let mut both = entry.nodes.clone();
                    both.intersect(nodes);
                    both.len()
                }
            };
            counts.add(entry.reason.text(), count);
        }
        counts
    }

    /// The reasons given for one node.
    pub fn reasons_for(&self, node: NodeId) -> impl Iterator<Item = &Reason> {
        self.entries
            .iter()
            .filter(move |entry| entry.nodes.contains(node))
            .map(|entry| &entry.reason)
    }
}

/// A histogram of reasons.
#[derive(Clone, Debug, Default)]
pub struct ReasonCounts(BTreeMap<Cow<'static, str>, usize>);

impl ReasonCounts {
    /// Adds nodes to a reason.
    pub fn add(&mut self, reason: Cow<'static, str>, nodes: usize) {
        if nodes > 0 {
            *self.0.entry(reason).or_default() += nodes;
        }
    }

    /// Adds all of another one's.
    pub fn extend(&mut self, other: Self) {
        for (reason, nodes) in other.0 {
            self.add(reason, nodes);
        }
    }

    /// `2 Insufficient cpu, 3 Too many pods`: sorted as texts with the count in front, so that
    /// `10 x` stands before `2 x`, as upstream does. None when there is no reason.
    pub fn text(&self) -> Option<String> {
        let mut parts: Vec<String> = self
            .0
            .iter()
            .map(|(reason, nodes)| format!("{nodes} {reason}"))
            .collect();
        parts.sort_unstable();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

#[cfg(test)]
mod tests;
