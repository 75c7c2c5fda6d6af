//! Why a gang gets no room, and what it would take.

use std::collections::BTreeMap;

use super::{GangCandidate, Limits, Search};
use crate::cluster::Cluster;

impl Search<'_, '_> {
    /// What would have to be different for the gang to get room, and whether that is a budget.
    pub(super) fn what_it_would_take(
        &mut self,
        cluster: &mut Cluster,
        limits: Limits,
    ) -> Option<(String, bool)> {
        if !limits.violate_pdb && !self.surroundings.budgets.is_empty() {
            let all = Limits {
                violate_pdb: true,
                ..limits
            };
            if let Some((_, found)) = self.cheapest(cluster, all) {
                return Some((self.blocking_budget(cluster, &found)?, true));
            }
        }
        let anybody = Limits {
            below: i32::MAX,
            violate_pdb: true,
        };
        let (_, found) = self.cheapest(cluster, anybody)?;
        let gangs = self.surroundings.gangs;
        let more = crate::preemption::would_need(cluster, gangs, &found.victims, limits.below)?;
        Some((more, false))
    }

    /// The budget that keeps most of these victims, and how many it allows of how many.
    fn blocking_budget(&self, cluster: &Cluster, found: &GangCandidate) -> Option<String> {
        let budgets = self.surroundings.budgets;
        let mut asked: BTreeMap<(&str, &str), (i32, i32)> = BTreeMap::new();
        for record in found.victims.iter().filter_map(|pod| cluster.placed(*pod)) {
            let labels = cluster.labels_of(record.peers);
            for budget in budgets.of(&record.reference, labels) {
                let key = (&*budget.namespace, &*budget.name);
                asked.entry(key).or_insert((budget.allowed.max(0), 0)).1 += 1;
            }
        }
        let blocking = (asked.into_iter())
            .filter(|(_, (allowed, asked))| asked > allowed)
            .max_by_key(|(_, (allowed, asked))| asked - allowed);
        let ((namespace, name), (allowed, asked)) = blocking?;
        let noun = if allowed == 1 {
            "disruption"
        } else {
            "disruptions"
        };
        Some(format!(
            "preemption blocked by PodDisruptionBudget {namespace}/{name} ({allowed} of {asked}): \
             PDB {namespace}/{name} allows {allowed} {noun}"
        ))
    }
}
