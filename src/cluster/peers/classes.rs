//! Classes of pods that are alike to others and ask alike of them.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::selectors::forget;
use super::{PeerId as Id, Peers, PodQuery, SelectorId, TermKind};
use crate::cluster::topology::KeyId;
use crate::cluster::{NodeId, Slot};
use crate::model::{AffinityTerm, PodPeers};

/// A class's place. The default is that of no class: a pod of which nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(u32);

impl Default for PeerId {
    fn default() -> Self {
        Self(u32::MAX)
    }
}

impl PeerId {
    pub(super) const fn new(index: usize) -> Self {
        Self(index as u32)
    }

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a spread constraint counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpreadCounter {
    /// The pods; None when the selector is absent or empty, which count none.
    pub pods: Option<SelectorId>,
    /// The domains.
    pub key: KeyId,
    /// Whether the pod itself would count, once placed.
    pub counts_itself: bool,
}

/// A term that pods of a class carry to where they are placed.
#[derive(Clone, Copy, Debug)]
pub(super) struct CarriedTerm {
    pub(super) selector: SelectorId,
    pub(super) slot: usize,
    pub(super) amount: i64,
}

/// Pods with equal [`PodPeers`].
#[derive(Clone, Debug, Default)]
pub struct PeerClass {
    pub(super) spec: Arc<PodPeers>,
    /// Pods of the class, waiting and placed.
    pods: u32,
    /// Where they are placed.
    pub(super) placed: FxHashMap<NodeId, i64>,
    /// The selectors that mean them, ascending.
    pub(super) matched: Vec<SelectorId>,
    pub(super) carried: Vec<CarriedTerm>,
    affinity: Option<SelectorId>,
    affinity_keys: Box<[KeyId]>,
    anti_affinity: Box<[(SelectorId, KeyId)]>,
    preferred: Box<[(SelectorId, KeyId)]>,
    spread: Box<[SpreadCounter]>,
    pub(super) default_selector: Option<SelectorId>,
    /// The services and controllers that the default selector was made of.
    pub(super) owners_version: u64,
}

impl PeerClass {
    /// What they ask, and by what others know them.
    pub fn spec(&self) -> &PodPeers {
        &self.spec
    }

    /// The selectors in use that mean these pods, ascending.
    pub fn matched(&self) -> &[SelectorId] {
        &self.matched
    }

    /// Whether the selector means these pods.
    pub fn is_meant_by(&self, selector: SelectorId) -> bool {
        self.matched.binary_search(&selector).is_ok()
    }

    /// The pods that all required affinity terms mean, and the labels of the terms.
    pub fn affinity(&self) -> Option<(SelectorId, &[KeyId])> {
        Some((self.affinity?, &self.affinity_keys))
    }

    /// The required anti-affinity terms, in their order.
    pub fn anti_affinity(&self) -> &[(SelectorId, KeyId)] {
        &self.anti_affinity
    }

    /// The preferred terms, in their order.
    pub fn preferred(&self) -> &[(SelectorId, KeyId)] {
        &self.preferred
    }

    /// The spread constraints, in their order.
    pub fn spread(&self) -> &[SpreadCounter] {
        &self.spread
    }

    /// The pods that default spreading counts for these; None for none.
    pub fn default_selector(&self) -> Option<SelectorId> {
        self.default_selector
    }

    pub(in crate::cluster) fn owners_version(&self) -> u64 {
        self.owners_version
    }

    /// Where pods of the class are placed, and how many, in no order.
    pub fn placed(&self) -> impl Iterator<Item = (NodeId, i64)> {
        self.placed.iter().map(|(&node, &pods)| (node, pods))
    }
}

impl Peers {
    /// The class of a pod, which has one more pod from now on.
    pub(in crate::cluster) fn adopt(&mut self, spec: &PodPeers, slots: &[Slot]) -> Id {
        if let Some(&id) = self.by_spec.get(spec) {
            self.hold(id);
            return id;
        }
        self.sweep();
        let spec = Arc::new(spec.clone());
        let class = PeerClass {
            spec: Arc::clone(&spec),
            pods: 1,
            ..PeerClass::default()
        };
        let id = match self.free_classes.pop() {
            Some(id) => {
                self.classes[id.index()] = Some(class);
                id
            }
            None => {
                self.classes.push(Some(class));
                Id::new(self.classes.len() - 1)
            }
        };
        self.by_spec.insert(Arc::clone(&spec), id);
        for (key, value) in &spec.labels {
            let by_value = self.classes_by_label.entry(key.clone()).or_default();
            by_value.entry(value.clone()).or_default().push(id);
        }
        for selector in self.selectors_for(&spec) {
            self.match_again(selector, id);
        }
        self.register(id, &spec, slots);
        id
    }

    /// Makes known what the class asks of others.
    fn register(&mut self, id: Id, spec: &PodPeers, slots: &[Slot]) {
        let mut asked = PeerClass::default();
        if !spec.affinity.is_empty() {
            let query = PodQuery::counting(spec.affinity.iter().map(|term| &term.pods));
            let selector = self.want(query);
            asked.affinity = Some(selector);
            asked.affinity_keys = (spec.affinity.iter())
                .map(|term| self.count(selector, &term.topology_key, slots))
                .collect();
        }
        let want = |peers: &mut Self, term: &AffinityTerm| {
            let selector = peers.want(PodQuery::counting(std::iter::once(&term.pods)));
            (selector, peers.count(selector, &term.topology_key, slots))
        };
        asked.anti_affinity = (spec.anti_affinity.iter())
            .map(|term| want(self, term))
            .collect();
        asked.preferred = (spec.preferred.iter())
            .map(|weighted| want(self, &weighted.term))
            .collect();
        asked.spread = (spec.spread.iter())
            .map(|constraint| {
                let selector = &constraint.selector;
                // An empty selector means every pod and yet counts none. Source:
                // podtopologyspread.countPodsMatchSelector.
                let pods = (!selector.requirements().is_empty())
                    .then(|| self.want(PodQuery::spread(&spec.namespace, selector.clone())));
                let key = match pods {
                    Some(pods) => self.count(pods, &constraint.topology_key, slots),
                    None => self.track(&constraint.topology_key, slots),
                };
                SpreadCounter {
                    pods,
                    key,
                    counts_itself: selector.matches(&spec.labels),
                }
            })
            .collect();
        let required = |kind| move |term| (kind, term, 1);
        let carried = (spec.affinity.iter().map(required(TermKind::Affinity)))
            .chain((spec.anti_affinity.iter()).map(required(TermKind::AntiAffinity)))
            .chain((spec.preferred.iter()).map(|one| (TermKind::Preferred, &one.term, one.weight)));
        for (kind, term, amount) in carried {
            let query = PodQuery::carried(&term.pods);
            let (selector, slot) = self.carry(query, kind, &term.topology_key, slots);
            asked.carried.push(CarriedTerm {
                selector,
                slot,
                amount,
            });
        }
        // Its own selectors may mean the class itself, which was noted in it meanwhile.
        if let Some(Some(class)) = self.classes.get_mut(id.index()) {
            *class = PeerClass {
                spec: Arc::clone(&class.spec),
                pods: class.pods,
                placed: std::mem::take(&mut class.placed),
                matched: std::mem::take(&mut class.matched),
                ..asked
            };
        }
    }

    fn track(&mut self, label: &str, slots: &[Slot]) -> KeyId {
        self.topology.track(label, super::models(slots))
    }

    /// One more pod of a class.
    pub(in crate::cluster) fn hold(&mut self, id: Id) {
        if let Some(Some(class)) = self.classes.get_mut(id.index()) {
            class.pods += 1;
        }
    }

    /// One pod less of a class. The class stays until another one comes, since whoever took the pod
    /// away may still ask about it, or put it back.
    pub(in crate::cluster) fn release(&mut self, id: Id) {
        if let Some(Some(class)) = self.classes.get_mut(id.index()) {
            class.pods -= 1;
            if class.pods == 0 {
                self.idle.push(id);
            }
        }
    }

    /// Forgets classes that have no pod any more.
    fn sweep(&mut self) {
        for id in std::mem::take(&mut self.idle) {
            let gone = self.classes.get_mut(id.index()).and_then(|class| {
                (class.as_ref().is_some_and(|class| class.pods == 0)).then(|| class.take())?
            });
            // It may stand in the list twice.
            let Some(class) = gone else {
                continue;
            };
            self.by_spec.remove(&class.spec);
            for (key, value) in &class.spec.labels {
                forget(&mut self.classes_by_label, key, std::iter::once(value), id);
            }
            for term in &class.carried {
                self.drop_term(term.selector, term.slot);
            }
            let wanted = (class.affinity.into_iter())
                .chain(class.anti_affinity.iter().map(|&(selector, _)| selector))
                .chain(class.preferred.iter().map(|&(selector, _)| selector))
                .chain(class.spread.iter().filter_map(|counter| counter.pods))
                .chain(class.default_selector);
            for selector in wanted {
                self.give_up(selector);
            }
            self.free_classes.push(id);
        }
    }
}
