//! Pods relative to pods: who is counted where by what anybody asks about.
//!
//! Placed and waiting pods with equal [`PodPeers`] are one class. Every selector that some class
//! uses is known, with the classes it means, so that a pod that comes or goes moves exactly the
//! counters it belongs to, and a decision reads counters and never looks at pods.

mod audit;
mod classes;
mod selectors;

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

pub use classes::{PeerClass, PeerId, SpreadCounter};
pub use selectors::{Carried, PodQuery, SelectorId, TermKind};

use super::topology::Topology;
use super::{Cluster, NodeId, Slot, Tally};
use crate::model::{LabelSelector, Labels, NodeModel, PodPeers};
use selectors::Selector;

/// Values by label: label key, then label value.
type ByLabel<T> = HashMap<Box<str>, HashMap<Box<str>, Vec<T>>>;

/// The classes, the selectors, and what they count.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    topology: Topology,
    namespaces: HashMap<Box<str>, Labels>,
    classes: Vec<Option<PeerClass>>,
    free_classes: Vec<PeerId>,
    by_spec: HashMap<Arc<PodPeers>, PeerId>,
    classes_by_label: ByLabel<PeerId>,
    /// Classes that lost their last pod, perhaps only in a speculation.
    idle: Vec<PeerId>,
    selectors: Vec<Option<Selector>>,
    free_selectors: Vec<SelectorId>,
    by_query: HashMap<Arc<PodQuery>, SelectorId>,
    /// Selectors that want one of certain values of a label, by one such label.
    selectors_by_label: ByLabel<SelectorId>,
    /// The other selectors.
    selectors_of_any: Vec<SelectorId>,
    /// The labels that pods without constraints of their own are spread by.
    default_keys: Box<[Box<str>]>,
    /// What [`PeerId::default`] stands for: a pod of which nothing is known.
    nobody: PeerClass,
}

// === Reading ===

impl Peers {
    /// Who is in which domain.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// A class. An id that is not in use stands for pods of which nothing is known.
    pub fn class(&self, id: PeerId) -> &PeerClass {
        match self.classes.get(id.index()) {
            Some(Some(class)) => class,
            _ => &self.nobody,
        }
    }

    /// The placed pods that a selector means, if they are counted.
    pub fn tally(&self, selector: SelectorId) -> Option<&Tally> {
        let selector = self.selectors.get(selector.index())?.as_ref()?;
        (selector.counted > 0).then_some(&selector.pods)
    }

    /// The terms of this kind of placed pods that mean pods of this class.
    pub fn carried<'a>(
        &'a self,
        class: &'a PeerClass,
        kind: TermKind,
    ) -> impl Iterator<Item = &'a Carried> {
        (class.matched().iter())
            .filter_map(|id| self.selectors.get(id.index())?.as_ref())
            .flat_map(|selector| &selector.carried)
            .filter(move |carried| carried.kind == kind && carried.users > 0)
    }

    /// Whether some profile spreads pods that have no constraints of their own.
    pub(super) fn spreads_by_default(&self) -> bool {
        !self.default_keys.is_empty()
    }

    /// How many classes and selectors are known.
    pub fn sizes(&self) -> (usize, usize) {
        (self.by_spec.len(), self.by_query.len())
    }
}

// === Changing ===

impl Peers {
    /// Counts placed pods of a class on a node: one more, or one less.
    pub(super) fn place(&mut self, id: PeerId, node: NodeId, sign: i64) {
        let Some(Some(class)) = self.classes.get_mut(id.index()) else {
            return;
        };
        let placed = class.placed.entry(node).or_default();
        *placed += sign;
        if *placed == 0 {
            class.placed.remove(&node);
        }
        for &selector in &class.matched {
            if let Some(Some(selector)) = self.selectors.get_mut(selector.index())
                && selector.counted > 0
            {
                selector.pods.add(node, sign, &self.topology);
            }
        }
        for term in &class.carried {
            if let Some(Some(selector)) = self.selectors.get_mut(term.selector.index())
                && let Some(carried) = selector.carried.get_mut(term.slot)
            {
                carried.tally.add(node, sign * term.amount, &self.topology);
            }
        }
    }

    /// Takes in the labels of a node; None when it is gone.
    pub(super) fn set_node(&mut self, node: NodeId, model: Option<&NodeModel>) {
        let moves = self.topology.set_node(node, model);
        if moves.is_empty() {
            return;
        }
        for selector in self.selectors.iter_mut().flatten() {
            for &(key, went) in &moves {
                selector.pods.moved(key, went, &self.topology);
                for carried in &mut selector.carried {
                    carried.tally.moved(key, went, &self.topology);
                }
            }
        }
        self.topology.release(&moves);
    }

    /// Takes in a namespace's labels; None when it is gone. Pods of it may be meant by other
    /// selectors now: answers which classes came to a selector or left it.
    pub(super) fn set_namespace(
        &mut self,
        name: &str,
        labels: Option<Labels>,
    ) -> Vec<(SelectorId, PeerId)> {
        let mut changes = Vec::new();
        let known = match &labels {
            Some(labels) => self.namespaces.get(name) == Some(labels),
            None => !self.namespaces.contains_key(name),
        };
        if known {
            return changes;
        }
        match labels {
            Some(labels) => self.namespaces.insert(name.into(), labels),
            None => self.namespaces.remove(name),
        };
        let asking: Vec<SelectorId> = (self.selectors.iter().enumerate())
            .filter(|(_, selector)| {
                (selector.iter()).any(|selector| selector.query.asks_for_namespace_labels())
            })
            .map(|(index, _)| SelectorId::new(index))
            .collect();
        if asking.is_empty() {
            return changes;
        }
        let inside: Vec<PeerId> = (self.classes.iter().enumerate())
            .filter(|(_, class)| (class.iter()).any(|class| *class.spec.namespace == *name))
            .map(|(index, _)| PeerId::new(index))
            .collect();
        for &selector in &asking {
            for &class in &inside {
                if self.match_again(selector, class) {
                    changes.push((selector, class));
                }
            }
        }
        changes
    }

    /// The labels that pods without constraints of their own are spread by.
    pub(super) fn set_default_keys(&mut self, keys: Box<[Box<str>]>) {
        self.default_keys = keys;
    }

    /// Which pods default spreading counts for pods of this class; None for none.
    pub(super) fn set_default_selector(
        &mut self,
        id: PeerId,
        selector: Option<LabelSelector>,
        owners_version: u64,
        slots: &[Slot],
    ) {
        let Some(Some(class)) = self.classes.get(id.index()) else {
            return;
        };
        let spec = Arc::clone(&class.spec);
        let held = class.default_selector;
        let new = selector.map(|selector| {
            let keys = self.default_keys.clone();
            let id = self.want(PodQuery::spread(&spec.namespace, selector));
            for key in &keys {
                self.count(id, key, slots);
            }
            id
        });
        if let Some(Some(class)) = self.classes.get_mut(id.index()) {
            class.default_selector = new;
            class.owners_version = owners_version;
        }
        if let Some(held) = held {
            self.give_up(held);
        }
    }
}

// === From the cluster ===

impl Cluster {
    /// Pods relative to pods.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// The class of a pod that waits, which counts it until [`Self::dismiss`].
    pub fn adopt(&mut self, peers: &PodPeers) -> PeerId {
        self.peers.adopt(peers, &self.slots)
    }

    /// A pod of the class no longer waits.
    pub fn dismiss(&mut self, peers: PeerId) {
        self.peers.release(peers);
    }

    /// Takes in a namespace's labels; None when it is gone. Answers which selectors mean which
    /// classes now or no more.
    pub fn set_namespace(
        &mut self,
        name: &str,
        labels: Option<Labels>,
    ) -> Vec<(SelectorId, PeerId)> {
        self.peers.set_namespace(name, labels)
    }

    /// The labels that pods without constraints of their own are spread by.
    pub fn set_default_spread_keys(&mut self, keys: Box<[Box<str>]>) {
        self.peers.set_default_keys(keys);
    }
}

/// The nodes that are known, with their models.
fn models(slots: &[Slot]) -> impl Iterator<Item = (NodeId, &NodeModel)> {
    (slots.iter().enumerate())
        .filter_map(|(index, slot)| Some((NodeId::new(index), &**slot.model.as_ref()?)))
}

/// Adds up what is placed where.
fn add_all(tally: &mut Tally, placed: &FxHashMap<NodeId, i64>, sign: i64, topology: &Topology) {
    for (&node, &pods) in placed {
        tally.add(node, sign * pods, topology);
    }
}

#[cfg(test)]
mod tests;
