//! The unschedulable pods, in groups that every hint treats alike, filed under what could help.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::{ClassId, PodKey};
use crate::cluster::PeerId;
use crate::framework::{PluginSet, Topic};

/// Unschedulable pods that every hint treats alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WaitGroup {
    /// Their class.
    pub class: ClassId,
    /// Their class among other pods, if one of the rejectors looks at those.
    pub peers: PeerId,
    /// The plugins that rejected them.
    pub rejectors: PluginSet,
}

#[derive(Debug)]
struct Group {
    pods: BTreeSet<PodKey>,
    topics: Box<[Topic]>,
}

/// The groups, and which of them listen to what.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<WaitGroup, Group>,
    listeners: FxHashMap<Topic, BTreeSet<WaitGroup>>,
    pods: usize,
}

impl Groups {
    /// How many pods there are.
    pub(super) fn len(&self) -> usize {
        self.pods
    }

    /// All pods.
    pub(super) fn pods(&self) -> impl Iterator<Item = PodKey> {
        self.groups.values().flat_map(|group| &group.pods).copied()
    }

    /// The pods of a group.
    pub(super) fn pods_of(&self, group: &WaitGroup) -> impl Iterator<Item = PodKey> {
        let group = self.groups.get(group);
        group.into_iter().flat_map(|group| &group.pods).copied()
    }

    /// The groups that listen to one of these topics.
    pub(super) fn listening_to(&self, topics: &[Topic]) -> BTreeSet<WaitGroup> {
        let heard = topics.iter().filter_map(|topic| self.listeners.get(topic));
        heard.flatten().copied().collect()
    }

    /// Adds a pod. `topics`: what pods of the group listen to, asked for the first of them.
    pub(super) fn insert(
        &mut self,
        key: PodKey,
        group: WaitGroup,
        topics: impl FnOnce(&WaitGroup) -> Vec<Topic>,
    ) {
        let listeners = &mut self.listeners;
        let held = self.groups.entry(group).or_insert_with(|| {
            let topics: Box<[Topic]> = topics(&group).into();
            for topic in &topics {
                listeners.entry(*topic).or_default().insert(group);
            }
            Group {
                pods: BTreeSet::new(),
                topics,
            }
        });
        held.pods.insert(key);
        self.pods += 1;
    }

    /// Takes out a pod; the group goes with its last one.
    pub(super) fn remove(&mut self, key: PodKey, group: &WaitGroup) {
        let Some(held) = self.groups.get_mut(group) else {
            return;
        };
        self.pods -= usize::from(held.pods.remove(&key));
        if !held.pods.is_empty() {
            return;
        }
        let topics = self.groups.remove(group).map(|group| group.topics);
        for topic in topics.iter().flatten() {
            if let Some(groups) = self.listeners.get_mut(topic) {
                groups.remove(group);
                if groups.is_empty() {
                    self.listeners.remove(topic);
                }
            }
        }
    }
}

#[cfg(test)]
impl Groups {
    /// Fails unless groups and listeners agree.
    pub(super) fn audit(&self) {
        let pods: usize = self.groups.values().map(|group| group.pods.len()).sum();
        assert_eq!(pods, self.pods);
        let mut listeners: FxHashMap<Topic, BTreeSet<WaitGroup>> = FxHashMap::default();
        for (key, group) in &self.groups {
            assert!(!group.pods.is_empty());
            for topic in &group.topics {
                listeners.entry(*topic).or_default().insert(*key);
            }
        }
        assert_eq!(listeners, self.listeners);
    }

    /// All groups.
    pub(super) fn all(&self) -> impl Iterator<Item = &WaitGroup> {
        self.groups.keys()
    }

    /// Whether the pod is in the group.
    pub(super) fn contains(&self, key: PodKey, group: &WaitGroup) -> bool {
        self.pods_of(group).any(|pod| pod == key)
    }
}
