//! Everything counted again from scratch, to be compared with what moved along.

use rustc_hash::FxHashMap;

use super::{PeerId, Peers, SelectorId};
use crate::cluster::{Cluster, NodeId, PlacedRecord, Slot, Tally};
use crate::model::LabelView;

impl Cluster {
    /// Compares every counter of pods relative to pods with what the placed pods and the nodes'
    /// labels say.
    ///
    /// # Errors
    ///
    /// The first difference, in words.
    pub fn audit_peers(&self) -> Result<(), String> {
        let peers = &self.peers;
        for node in 0..self.slots.len() {
            self.audit_node(NodeId::new(node))?;
        }
        let placed: usize = (peers.classes.iter().flatten())
            .map(|class| class.placed.values().sum::<i64>() as usize)
            .sum();
        let unknown = |(_, record): &(_, &PlacedRecord)| record.peers == PeerId::default();
        let expected = self.placed_counts().0 - self.iter_placed().filter(unknown).count();
        if placed != expected {
            return Err(format!(
                "classes count {placed} placed pods, there are {expected}"
            ));
        }
        for (index, class) in peers.classes.iter().enumerate() {
            let Some(class) = class else { continue };
            let namespace = peers.namespaces.get(&class.spec.namespace);
            let matched: Vec<SelectorId> = (peers.selectors.iter().enumerate())
                .filter(|(_, selector)| {
                    (selector.iter()).any(|one| one.query.matches(&class.spec, namespace))
                })
                .map(|(index, _)| SelectorId::new(index))
                .collect();
            if class.matched != matched {
                let held = &class.matched;
                return Err(format!(
                    "class {index}: held {held:?}, meant by {matched:?}"
                ));
            }
        }
        for index in 0..peers.selectors.len() {
            self.audit_selector(SelectorId::new(index))?;
        }
        self.audit_topology()
    }

    /// Compares the counters of one node and one selector, another pair for each number.
    ///
    /// # Errors
    ///
    /// The first difference, in words.
    pub fn audit_sample(&self, number: usize) -> Result<(), String> {
        if let Some(node) = number.checked_rem(self.slots.len()) {
            self.audit_node(NodeId::new(node))?;
        }
        match number.checked_rem(self.peers.selectors.len()) {
            Some(selector) => self.audit_selector(SelectorId::new(selector)),
            None => Ok(()),
        }
    }

    /// What classes hold of a node, against the pods that are there.
    fn audit_node(&self, node: NodeId) -> Result<(), String> {
        let mut placed: FxHashMap<PeerId, i64> = FxHashMap::default();
        for record in self.pods_on(node).iter().filter_map(|&id| self.placed(id)) {
            *placed.entry(record.peers).or_default() += 1;
        }
        for (index, class) in self.peers.classes.iter().enumerate() {
            let held = class.as_ref().and_then(|class| class.placed.get(&node));
            let expected = placed.remove(&PeerId::new(index)).unwrap_or(0);
            if held.copied().unwrap_or(0) != expected {
                let node = self.node_name(node);
                return Err(format!(
                    "class {index} on {node}: counted {held:?}, not {expected}"
                ));
            }
        }
        match placed.keys().find(|&&id| id != PeerId::default()) {
            Some(id) => Err(format!("pods are placed of {id:?}, which does not exist")),
            None => Ok(()),
        }
    }

    /// What is counted by a selector, against what classes hold.
    fn audit_selector(&self, id: SelectorId) -> Result<(), String> {
        let peers = &self.peers;
        let Some(Some(selector)) = peers.selectors.get(id.index()) else {
            return Ok(());
        };
        let mut pods: Vec<(NodeId, i64)> = Vec::new();
        if selector.counted > 0 {
            let meant = peers.classes.iter().flatten();
            for class in meant.filter(|class| class.is_meant_by(id)) {
                pods.extend(class.placed());
            }
        }
        self.audit_tally(
            &selector.pods,
            pods,
            &format!("pods of {:?}", selector.query),
        )?;
        for (slot, carried) in selector.carried.iter().enumerate() {
            let mut amounts = Vec::new();
            for class in peers.classes.iter().flatten() {
                for term in &class.carried {
                    if term.selector == id && term.slot == slot {
                        let placed = class.placed();
                        amounts.extend(placed.map(|(node, pods)| (node, pods * term.amount)));
                    }
                }
            }
            let what = format!("{:?} terms for {:?}", carried.kind, selector.query);
            self.audit_tally(&carried.tally, amounts, &what)?;
        }
        Ok(())
    }

    fn audit_tally(
        &self,
        held: &Tally,
        amounts: Vec<(NodeId, i64)>,
        what: &str,
    ) -> Result<(), String> {
        let topology = self.peers.topology();
        let mut fresh = Tally::default();
        for key in held.keys() {
            fresh.count_by(key, topology);
        }
        for (node, amount) in amounts {
            fresh.add(node, amount, topology);
        }
        if *held == fresh {
            Ok(())
        } else {
            Err(format!("{what}: counted {held:?}, there are {fresh:?}"))
        }
    }

    fn audit_topology(&self) -> Result<(), String> {
        let topology = self.peers.topology();
        for key in topology.keys() {
            let name = topology.key(key).name();
            for (index, slot) in self.slots.iter().enumerate() {
                let node = NodeId::new(index);
                let expected = slot.model.as_ref().and_then(|model| model.label(name));
                let held = topology.key(key).value(node);
                if topology.key(key).name_of(held) != expected
                    || topology.key(key).labelled().contains(node) != expected.is_some()
                    || topology.key(key).nodes(held).contains(node) != expected.is_some()
                {
                    return Err(format!(
                        "{name} of node {}: {held:?}, not {expected:?}",
                        slot.name
                    ));
                }
            }
        }
        Ok(())
    }

    /// Counts everything again, after an audit that found a difference.
    pub fn recount_peers(&mut self) {
        let slots = std::mem::take(&mut self.slots);
        let placed: Vec<_> = (self.iter_placed())
            .map(|(_, record)| (record.peers, record.node))
            .collect();
        self.peers.recount(&placed, &slots);
        self.slots = slots;
    }
}

impl Peers {
    fn recount(&mut self, placed: &[(PeerId, NodeId)], slots: &[Slot]) {
        for selector in self.selectors.iter_mut().flatten() {
            selector.pods.empty();
            for carried in &mut selector.carried {
                carried.tally.empty();
            }
        }
        for class in self.classes.iter_mut().flatten() {
            class.placed.clear();
        }
        for (index, slot) in slots.iter().enumerate() {
            self.set_node(NodeId::new(index), slot.model.as_deref());
        }
        for selector in 0..self.selectors.len() {
            for class in 0..self.classes.len() {
                self.match_again(SelectorId::new(selector), PeerId::new(class));
            }
        }
        for &(class, node) in placed {
            self.place(class, node, 1);
        }
    }
}
