//! A counter by node and by domain.

use rustc_hash::FxHashMap;

use super::topology::{KeyId, Move, Topology, ValueId};
use super::{NodeId, NodeSet};

/// How much there is of something (pods, or weights of terms) on each node, and in each domain of
/// the labels that it is counted by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    nodes: FxHashMap<NodeId, i64>,
    domains: Vec<Domains>,
}

/// The sums over the domains of one label.
#[derive(Clone, Debug)]
pub struct Domains {
    key: KeyId,
    sums: FxHashMap<ValueId, i64>,
    /// The nodes of the domains whose sum is not 0.
    reached: NodeSet,
}

impl PartialEq for Domains {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
            && self.sums == other.sums
            && self.reached.iter().eq(other.reached.iter())
    }
}

impl Domains {
    /// The sum of a domain.
    pub fn sum(&self, value: ValueId) -> i64 {
        self.sums.get(&value).copied().unwrap_or(0)
    }

    /// The sums that are not 0.
    pub fn sums(&self) -> impl ExactSizeIterator<Item = (ValueId, i64)> {
        self.sums.iter().map(|(&value, &sum)| (value, sum))
    }

    /// The nodes of the domains whose sum is not 0.
    pub fn reached(&self) -> &NodeSet {
        &self.reached
    }

    fn add(&mut self, value: ValueId, amount: i64, topology: &Topology) {
        if value == ValueId::NONE || amount == 0 {
            return;
        }
        let sum = self.sums.entry(value).or_default();
        let before = *sum;
        *sum += amount;
        let after = *sum;
        let nodes = topology.key(self.key).nodes(value);
        if after == 0 {
            self.sums.remove(&value);
            nodes.for_each(|node| {
                self.reached.remove(node);
            });
        } else if before == 0 {
            nodes.add_to(&mut self.reached);
        }
    }
}

impl Tally {
    /// How much there is on a node.
    pub fn on(&self, node: NodeId) -> i64 {
        self.nodes.get(&node).copied().unwrap_or(0)
    }

    /// The nodes where it is not 0, in no order.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (NodeId, i64)> {
        self.nodes.iter().map(|(&node, &amount)| (node, amount))
    }

    /// The sums by this label, if it is counted by it.
    pub fn by(&self, key: KeyId) -> Option<&Domains> {
        self.domains.iter().find(|domains| domains.key == key)
    }

    /// Counts by this label too.
    pub(super) fn count_by(&mut self, key: KeyId, topology: &Topology) {
        if self.by(key).is_some() {
            return;
        }
        let mut domains = Domains {
            key,
            sums: FxHashMap::default(),
            reached: NodeSet::new(),
        };
        for (&node, &amount) in &self.nodes {
            domains.add(topology.key(key).value(node), amount, topology);
        }
        self.domains.push(domains);
    }

    /// Counts so much more on a node.
    pub(super) fn add(&mut self, node: NodeId, amount: i64, topology: &Topology) {
        if amount == 0 {
            return;
        }
        let held = self.nodes.entry(node).or_default();
        *held += amount;
        if *held == 0 {
            self.nodes.remove(&node);
        }
        for domains in &mut self.domains {
            domains.add(topology.key(domains.key).value(node), amount, topology);
        }
    }

    /// A node went to another domain, and what is on it with it.
    pub(super) fn moved(&mut self, key: KeyId, went: Move, topology: &Topology) {
        let amount = self.on(went.node);
        let Some(domains) = (self.domains.iter_mut()).find(|domains| domains.key == key) else {
            return;
        };
        domains.add(went.old, -amount, topology);
        domains.add(went.new, amount, topology);
        if domains.sum(went.new) != 0 {
            domains.reached.insert(went.node);
        } else {
            domains.reached.remove(went.node);
        }
    }

    /// The labels it is counted by.
    pub(super) fn keys(&self) -> impl Iterator<Item = KeyId> {
        self.domains.iter().map(|domains| domains.key)
    }

    /// Nothing any more, nowhere.
    pub(super) fn empty(&mut self) {
        self.nodes.clear();
        for domains in &mut self.domains {
            domains.sums.clear();
            domains.reached.clear();
        }
    }

    /// Nothing any more, by no label.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
