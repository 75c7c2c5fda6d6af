//! How many pods are in which domain, over the nodes that count.

use crate::cluster::{Domains, KeyId, NodeSet, Tally, TopologyKey, ValueId};

/// Not a domain: none of its nodes counts.
const NOT_A_DOMAIN: i64 = -1;

/// Pods by domain.
pub(super) enum Counts<'a> {
    /// Every node with the label counts, so that the cluster's own sums hold.
    All {
        key: &'a TopologyKey,
        domains: Option<&'a Domains>,
    },
    /// Counted for this pod: by value.
    Some(Vec<i64>),
}

impl<'a> Counts<'a> {
    /// Counts pods over the nodes of `included`.
    pub(super) fn new(
        key: &'a TopologyKey,
        id: KeyId,
        pods: Option<&'a Tally>,
        included: &NodeSet,
    ) -> Self {
        if key.labelled().is_subset(included) {
            let domains = pods.and_then(|pods| pods.by(id));
            return Self::All { key, domains };
        }
        let mut counts = vec![NOT_A_DOMAIN; key.value_slots()];
        for node in included.iter() {
            let value = key.value(node);
            if value != ValueId::NONE {
                counts[value.index()] = 0;
            }
        }
        for (node, amount) in pods.into_iter().flat_map(Tally::nodes) {
            let value = key.value(node);
            if value != ValueId::NONE && included.contains(node) {
                counts[value.index()] += amount;
            }
        }
        Self::Some(counts)
    }

    /// How many domains there are.
    pub(super) fn domains(&self) -> usize {
        match self {
            Self::All { key, .. } => key.domains(),
            Self::Some(counts) => counts.iter().filter(|&&count| count >= 0).count(),
        }
    }

    /// The pods in the domain with the fewest; None without domains.
    pub(super) fn min(&self) -> Option<i64> {
        match self {
            Self::All { key, domains } => {
                let sums = || domains.iter().flat_map(|domains| domains.sums());
                if sums().count() < key.domains() {
                    Some(0)
                } else {
                    sums().map(|(_, sum)| sum).min()
                }
            }
            Self::Some(counts) => counts.iter().copied().filter(|&count| count >= 0).min(),
        }
    }

    /// The pods of a domain; 0 when no node of it counts.
    pub(super) fn of(&self, value: ValueId) -> i64 {
        match self {
            Self::All { domains, .. } => domains.map_or(0, |domains| domains.sum(value)),
            Self::Some(counts) => counts.get(value.index()).map_or(0, |&count| count.max(0)),
        }
    }

    /// Visits the domains that have pods.
    pub(super) fn for_each(&self, value_ids: &TopologyKey, mut visit: impl FnMut(ValueId, i64)) {
        match self {
            Self::All { domains, .. } => {
                for (value, sum) in domains.iter().flat_map(|domains| domains.sums()) {
                    visit(value, sum);
                }
            }
            Self::Some(counts) => {
                for (value, &count) in value_ids.ids().zip(counts) {
                    if count > 0 {
                        visit(value, count);
                    }
                }
            }
        }
    }
}
