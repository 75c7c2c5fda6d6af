//! The selectors that somebody uses, and what is counted by them.

use std::sync::Arc;

use super::{ByLabel, PeerClass, PeerId, Peers, add_all, models};
use crate::cluster::topology::KeyId;
use crate::cluster::{Slot, Tally};
use crate::model::{LabelSelector, Labels, Operator, PodPeers, PodSelector};

/// A selector's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SelectorId(u32);

impl SelectorId {
    pub(super) const fn new(index: usize) -> Self {
        Self(index as u32)
    }

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Which pods somebody asks about: those that all of these mean.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodQuery {
    all: Box<[PodSelector]>,
    /// Pods that are being deleted do not count.
    live: bool,
    /// Selectors of namespaces mean none that is not known. Those of the pod to be placed do so,
    /// those of placed pods take it for one without labels.
    known: bool,
}

impl PodQuery {
    /// The pods that every one of these means, which a pod that is to be placed asks about.
    pub(super) fn counting<'a>(selectors: impl Iterator<Item = &'a PodSelector>) -> Self {
        let all: Box<[PodSelector]> = selectors.cloned().collect();
        // Only where it matters, so that counting and carrying share their selectors elsewhere.
        let known = (all.iter()).any(|one| !one.namespace_selector.requirements().is_empty());
        Self {
            all,
            live: false,
            known,
        }
    }

    /// The pods that a term of a placed pod means.
    pub(super) fn carried(selector: &PodSelector) -> Self {
        Self {
            all: [selector.clone()].into(),
            live: false,
            known: false,
        }
    }

    /// What spreading counts: pods of a namespace that are not being deleted.
    pub(super) fn spread(namespace: &str, selector: LabelSelector) -> Self {
        Self {
            all: [PodSelector {
                namespaces: [namespace.into()].into(),
                namespace_selector: LabelSelector::Nothing,
                selector,
            }]
            .into(),
            live: true,
            known: false,
        }
    }

    pub(super) fn asks_for_namespace_labels(&self) -> bool {
        (self.all.iter()).any(|one| one.namespace_selector != LabelSelector::Nothing)
    }

    /// Whether it means these pods. `namespace`: the labels of theirs, if it is known.
    pub(super) fn matches(&self, pod: &PodPeers, namespace: Option<&Labels>) -> bool {
        let labels = match namespace {
            None if self.known => None,
            None => Some(&[][..]),
            Some(labels) => Some(&**labels),
        };
        !(self.live && pod.terminating)
            && (self.all.iter()).all(|one| one.matches(&pod.namespace, labels, &pod.labels))
    }

    /// By which labels the pods that it means are found.
    fn wanted(&self) -> Wanted<'_> {
        (self.all.iter())
            .flat_map(|one| one.selector.requirements())
            .find(|one| one.operator == Operator::In)
            .map(|one| (&*one.key, &*one.values))
    }
}

/// Labels, by key and values, of which every pod that is meant has one; None when there are no such
/// labels.
type Wanted<'a> = Option<(&'a str, &'a [Box<str>])>;

/// What kind of term a placed pod carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TermKind {
    /// Required podAntiAffinity; each counts 1.
    AntiAffinity,
    /// Required podAffinity; each counts 1.
    Affinity,
    /// Preferred, of both; each counts its weight, negative for podAntiAffinity.
    Preferred,
}

/// How many placed pods carry a term, and where.
#[derive(Clone, Debug)]
pub struct Carried {
    /// The kind of term.
    pub kind: TermKind,
    /// What counts as near the pod that carries it.
    pub key: KeyId,
    /// How many carry it, or the sum of their weights.
    pub tally: Tally,
    /// Classes with the term.
    pub(super) users: u32,
}

/// A selector that somebody uses.
#[derive(Clone, Debug)]
pub(super) struct Selector {
    pub(super) query: Arc<PodQuery>,
    /// Who uses it, for counting or for terms.
    users: u32,
    /// Who wants the pods counted.
    pub(super) counted: u32,
    /// The placed pods it means; empty while nobody wants them counted.
    pub(super) pods: Tally,
    /// The terms of placed pods that mean its pods.
    pub(super) carried: Vec<Carried>,
}

// === Whom placed pods keep off ===

impl Peers {
    /// Whether a required anti-affinity term of this class means pods of the other one.
    pub fn keeps_off(&self, class: &PeerClass, other: &PeerClass) -> bool {
        self.anti_affinity_of(class)
            .any(|selector| other.is_meant_by(selector))
    }

    /// Tells for each required anti-affinity term of this class by which labels pods that it means
    /// are found.
    pub fn kept_off_by(&self, class: &PeerClass, mut tell: impl FnMut(Wanted<'_>)) {
        for id in self.anti_affinity_of(class) {
            if let Some(Some(selector)) = self.selectors.get(id.index()) {
                tell(selector.query.wanted());
            }
        }
    }

    /// The same of all required anti-affinity terms that count by this label.
    pub fn kept_off_around(&self, key: KeyId, mut tell: impl FnMut(Wanted<'_>)) {
        for selector in self.selectors.iter().flatten() {
            let mut carried = selector.carried.iter();
            let keeps_off = |one: &Carried| {
                one.kind == TermKind::AntiAffinity && one.key == key && one.users > 0
            };
            if carried.any(keeps_off) {
                tell(selector.query.wanted());
            }
        }
    }

    fn anti_affinity_of(&self, class: &PeerClass) -> impl Iterator<Item = SelectorId> {
        let terms = class.carried.iter();
        terms.filter_map(|term| {
            let selector = self.selectors.get(term.selector.index())?.as_ref()?;
            let carried = selector.carried.get(term.slot)?;
            (carried.kind == TermKind::AntiAffinity).then_some(term.selector)
        })
    }
}

impl Peers {
    /// Counts the pods of this query for one more user.
    pub(super) fn want(&mut self, query: PodQuery) -> SelectorId {
        let id = self.use_selector(query);
        let Some(Some(selector)) = self.selectors.get_mut(id.index()) else {
            return id;
        };
        selector.counted += 1;
        if selector.counted > 1 {
            return id;
        }
        let query = Arc::clone(&selector.query);
        for class in self.candidates(&query) {
            if let Some(Some(selector)) = self.selectors.get_mut(id.index())
                && let Some(Some(class)) = self.classes.get(class.index())
                && class.is_meant_by(id)
            {
                add_all(&mut selector.pods, &class.placed, 1, &self.topology);
            }
        }
        id
    }

    /// Counts the pods of a wanted selector by this label too.
    pub(super) fn count(&mut self, id: SelectorId, label: &str, slots: &[Slot]) -> KeyId {
        let key = self.topology.track(label, models(slots));
        if let Some(Some(selector)) = self.selectors.get_mut(id.index()) {
            selector.pods.count_by(key, &self.topology);
        }
        key
    }

    /// Takes back one [`Self::want`].
    pub(super) fn give_up(&mut self, id: SelectorId) {
        if let Some(Some(selector)) = self.selectors.get_mut(id.index()) {
            selector.counted -= 1;
            if selector.counted == 0 {
                selector.pods.clear();
            }
        }
        self.leave_selector(id);
    }

    /// A class carries this term. Answers its place within the selector.
    pub(super) fn carry(
        &mut self,
        query: PodQuery,
        kind: TermKind,
        label: &str,
        slots: &[Slot],
    ) -> (SelectorId, usize) {
        let id = self.use_selector(query);
        let key = self.topology.track(label, models(slots));
        let Some(Some(selector)) = self.selectors.get_mut(id.index()) else {
            return (id, 0);
        };
        let known = (selector.carried.iter()).position(|one| one.kind == kind && one.key == key);
        let slot = known.unwrap_or_else(|| {
            let mut tally = Tally::default();
            tally.count_by(key, &self.topology);
            selector.carried.push(Carried {
                kind,
                key,
                tally,
                users: 0,
            });
            selector.carried.len() - 1
        });
        if let Some(carried) = selector.carried.get_mut(slot) {
            carried.users += 1;
        }
        (id, slot)
    }

    /// Takes back one [`Self::carry`]. No placed pod of the class is left.
    pub(super) fn drop_term(&mut self, id: SelectorId, slot: usize) {
        if let Some(Some(selector)) = self.selectors.get_mut(id.index())
            && let Some(carried) = selector.carried.get_mut(slot)
        {
            carried.users -= 1;
        }
        self.leave_selector(id);
    }

    fn use_selector(&mut self, query: PodQuery) -> SelectorId {
        if let Some(&id) = self.by_query.get(&query) {
            if let Some(Some(selector)) = self.selectors.get_mut(id.index()) {
                selector.users += 1;
            }
            return id;
        }
        let query = Arc::new(query);
        let selector = Some(Selector {
            query: Arc::clone(&query),
            users: 1,
            counted: 0,
            pods: Tally::default(),
            carried: Vec::new(),
        });
        let id = match self.free_selectors.pop() {
            Some(id) => {
                self.selectors[id.index()] = selector;
                id
            }
            None => {
                self.selectors.push(selector);
                SelectorId::new(self.selectors.len() - 1)
            }
        };
        for class in self.candidates(&query) {
            self.match_again(id, class);
        }
        match query.wanted() {
            Some((key, values)) => {
                let by_value = self.selectors_by_label.entry(key.into()).or_default();
                for value in values {
                    by_value.entry(value.clone()).or_default().push(id);
                }
            }
            None => self.selectors_of_any.push(id),
        }
        self.by_query.insert(query, id);
        id
    }

    fn leave_selector(&mut self, id: SelectorId) {
        let Some(Some(selector)) = self.selectors.get_mut(id.index()) else {
            return;
        };
        selector.users -= 1;
        if selector.users > 0 {
            return;
        }
        let query = Arc::clone(&selector.query);
        for class in self.candidates(&query) {
            if let Some(Some(class)) = self.classes.get_mut(class.index())
                && let Ok(at) = class.matched.binary_search(&id)
            {
                class.matched.remove(at);
            }
        }
        match query.wanted() {
            Some((key, values)) => forget(&mut self.selectors_by_label, key, values.iter(), id),
            None => self.selectors_of_any.retain(|&other| other != id),
        }
        self.by_query.remove(&query);
        self.selectors[id.index()] = None;
        self.free_selectors.push(id);
    }

    /// The classes that the query may mean, each once: all others it does not.
    fn candidates(&self, query: &PodQuery) -> Vec<PeerId> {
        match query.wanted() {
            Some((key, values)) => {
                let by_value = self.classes_by_label.get(key);
                let mut classes: Vec<_> = (values.iter())
                    .filter_map(|value| by_value?.get(value))
                    .flatten()
                    .copied()
                    .collect();
                // A list of values may name one twice.
                classes.sort_unstable();
                classes.dedup();
                classes
            }
            None => (0..self.classes.len()).map(PeerId::new).collect(),
        }
    }

    /// The selectors that may mean pods of this class.
    pub(super) fn selectors_for(&self, pod: &PodPeers) -> Vec<SelectorId> {
        let mut ids = self.selectors_of_any.clone();
        for (key, value) in &pod.labels {
            let known = self.selectors_by_label.get(key);
            ids.extend(
                known
                    .and_then(|by_value| by_value.get(value))
                    .into_iter()
                    .flatten(),
            );
        }
        ids
    }

    /// Looks again whether the selector means the class, and moves the pods if that changed.
    /// Answers whether it did.
    pub(super) fn match_again(&mut self, id: SelectorId, class: PeerId) -> bool {
        let Some(Some(selector)) = self.selectors.get_mut(id.index()) else {
            return false;
        };
        let Some(Some(class)) = self.classes.get_mut(class.index()) else {
            return false;
        };
        let namespace = self.namespaces.get(&class.spec.namespace);
        let sign = match (
            selector.query.matches(&class.spec, namespace),
            class.matched.binary_search(&id),
        ) {
            (true, Err(at)) => {
                class.matched.insert(at, id);
                1
            }
            (false, Ok(at)) => {
                class.matched.remove(at);
                -1
            }
            _ => return false,
        };
        if selector.counted > 0 {
            add_all(&mut selector.pods, &class.placed, sign, &self.topology);
        }
        true
    }
}

/// Takes an entry out of an index by label.
pub(super) fn forget<'a, T: PartialEq>(
    index: &mut ByLabel<T>,
    key: &str,
    values: impl Iterator<Item = &'a Box<str>>,
    gone: T,
) {
    let Some(by_value) = index.get_mut(key) else {
        return;
    };
    for value in values {
        if let Some(held) = by_value.get_mut(value) {
            held.retain(|other| *other != gone);
            if held.is_empty() {
                by_value.remove(value);
            }
        }
    }
    if by_value.is_empty() {
        index.remove(key);
    }
}
