//! Which node is in which domain: a column of values for each label that somebody counts by.

use std::collections::HashMap;

use super::{NodeId, NodeSet, Posting};
use crate::model::{LabelView, NodeModel};

/// A label that pods are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(u32);

/// A value of such a label: one domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(u32);

impl ValueId {
    /// The node does not have the label.
    pub const NONE: Self = Self(u32::MAX);

    /// The place in columns over values.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One label: the domain of each node, and the nodes of each domain.
#[derive(Clone, Debug, Default)]
pub struct TopologyKey {
    name: Box<str>,
    column: Vec<ValueId>,
    ids: HashMap<Box<str>, ValueId>,
    names: Vec<Box<str>>,
    nodes: Vec<Posting>,
    free: Vec<ValueId>,
    labelled: NodeSet,
}

impl TopologyKey {
    /// The label.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The domain of a node; [`ValueId::NONE`] without the label.
    pub fn value(&self, node: NodeId) -> ValueId {
        self.column
            .get(node.index())
            .copied()
            .unwrap_or(ValueId::NONE)
    }

    /// The value that makes a domain; None for [`ValueId::NONE`].
    pub fn name_of(&self, value: ValueId) -> Option<&str> {
        self.names.get(value.index()).map(|name| &**name)
    }

    /// The domain with this value, if a node is in it.
    pub fn value_id(&self, value: &str) -> Option<ValueId> {
        self.ids.get(value).copied()
    }

    /// The nodes of a domain.
    pub fn nodes(&self, value: ValueId) -> &Posting {
        const NOBODY: &Posting = &Posting::Few(Vec::new());
        self.nodes.get(value.index()).unwrap_or(NOBODY)
    }

    /// The nodes that have the label.
    pub fn labelled(&self) -> &NodeSet {
        &self.labelled
    }

    /// How many domains there are.
    pub fn domains(&self) -> usize {
        self.ids.len()
    }

    /// The ids of values in the order of columns, also of those that no node has.
    pub fn ids(&self) -> impl Iterator<Item = ValueId> + use<> {
        (0..self.nodes.len() as u32).map(ValueId)
    }

    /// One more than the largest index of a value.
    pub fn value_slots(&self) -> usize {
        self.nodes.len()
    }

    fn set(&mut self, node: NodeId, value: Option<&str>) -> Option<Move> {
        let old = self.value(node);
        let new = match value {
            Some(value) => self.intern(value),
            None => ValueId::NONE,
        };
        if old == new {
            return None;
        }
        if self.column.len() <= node.index() {
            self.column.resize(node.index() + 1, ValueId::NONE);
        }
        self.column[node.index()] = new;
        if let Some(nodes) = self.nodes.get_mut(old.index()) {
            nodes.remove(node);
        }
        match self.nodes.get_mut(new.index()) {
            Some(nodes) => {
                nodes.insert(node);
                self.labelled.insert(node);
            }
            None => {
                self.labelled.remove(node);
            }
        }
        Some(Move { node, old, new })
    }

    fn intern(&mut self, value: &str) -> ValueId {
        if let Some(&id) = self.ids.get(value) {
            return id;
        }
        let id = match self.free.pop() {
            Some(id) => {
                self.names[id.index()] = value.into();
                id
            }
            None => {
                self.names.push(value.into());
                self.nodes.push(Posting::default());
                ValueId((self.nodes.len() - 1) as u32)
            }
        };
        self.ids.insert(value.into(), id);
        id
    }

    /// Gives the id of a value back that no node has any more.
    fn release(&mut self, value: ValueId) {
        if (self.nodes.get(value.index())).is_some_and(Posting::is_empty) {
            self.ids.remove(&self.names[value.index()]);
            self.free.push(value);
        }
    }
}

/// A node that went from one domain to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    pub(super) node: NodeId,
    pub(super) old: ValueId,
    pub(super) new: ValueId,
}

/// The labels that somebody counts by.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    keys: Vec<TopologyKey>,
    ids: HashMap<Box<str>, KeyId>,
}

impl Topology {
    /// A label.
    pub fn key(&self, id: KeyId) -> &TopologyKey {
        &self.keys[id.0 as usize]
    }

    /// The label of that name, if somebody counts by it.
    pub fn id(&self, name: &str) -> Option<KeyId> {
        self.ids.get(name).copied()
    }

    /// All of them.
    pub fn keys(&self) -> impl Iterator<Item = KeyId> + use<> {
        (0..self.keys.len() as u32).map(KeyId)
    }

    /// Counts by this label from now on, for the time of the process: there are few.
    pub(super) fn track<'a>(
        &mut self,
        name: &str,
        nodes: impl Iterator<Item = (NodeId, &'a NodeModel)>,
    ) -> KeyId {
        if let Some(id) = self.id(name) {
            return id;
        }
        let mut key = TopologyKey {
            name: name.into(),
            ..TopologyKey::default()
        };
        for (node, model) in nodes {
            key.set(node, model.label(name));
        }
        let id = KeyId(self.keys.len() as u32);
        self.keys.push(key);
        self.ids.insert(name.into(), id);
        id
    }

    /// Takes in a node's labels; None when it is gone. Answers where it went.
    pub(super) fn set_node(
        &mut self,
        node: NodeId,
        model: Option<&NodeModel>,
    ) -> Vec<(KeyId, Move)> {
        let mut moves = Vec::new();
        for (index, key) in self.keys.iter_mut().enumerate() {
            let value = model.and_then(|model| model.label(&key.name));
            let went = key.set(node, value);
            moves.extend(went.map(|went| (KeyId(index as u32), went)));
        }
        moves
    }

    /// Forgets domains that a move left empty; nobody may count by them any more.
    pub(super) fn release(&mut self, moves: &[(KeyId, Move)]) {
        for (key, went) in moves {
            if let Some(key) = self.keys.get_mut(key.0 as usize) {
                key.release(went.old);
            }
        }
    }
}
