//! The state of a trial.

use super::prices::Prices;
use super::{Chosen, Limits, Search};
use crate::cluster::{Cluster, NodeId};
use crate::preemption::Surroundings;
use crate::preemption::budgets::Allowance;
use crate::preemption::dry_run::Stock;
use crate::preemption::units::{Finder, Taken, Unit, nodes_of};

/// The trial as far as it has come.
pub(super) struct Scene<'a> {
    pub(super) finder: Finder<'a>,
    pub(super) taken: Taken,
    pub(super) allowance: Allowance<'a>,
    /// What clearing nodes costs, for each class.
    pub(super) prices: Vec<Prices>,
    pub(super) limits: Limits,
}

impl<'a> Search<'a, '_> {
    /// Nobody is seated or evicted yet, and no price is known.
    pub(super) fn scene(&self, limits: Limits) -> Scene<'a> {
        let Surroundings { gangs, budgets } = self.surroundings;
        Scene {
            finder: Finder::new(gangs, limits.below).without(self.preemptor.gang),
            taken: Taken::default(),
            allowance: Allowance::strict(budgets),
            prices: Vec::new(),
            limits,
        }
    }

    /// A unit goes: its pods are gone from now on.
    pub(super) fn evict(
        &self,
        cluster: &mut Cluster,
        scene: &mut Scene<'_>,
        unit: Unit,
        chosen: &mut Vec<Chosen>,
    ) {
        let mut records = Vec::new();
        for &pod in unit.pods() {
            let Some(record) = cluster.placed(pod) else {
                continue;
            };
            scene.taken.take(self.surroundings.gangs, record);
            let labels = cluster.labels_of(record.peers);
            if scene.allowance.counts(&record.reference, labels) {
                scene.allowance.charge(&record.reference, labels);
                for prices in &mut scene.prices {
                    prices.forget_all();
                }
            }
            records.extend(cluster.remove(pod));
        }
        // What is left of a gang may be its core now, wherever it is.
        let gangs = self.surroundings.gangs;
        let touched = (records.iter()).filter_map(|record| gangs.of_member(&record.reference.uid));
        for gang in touched {
            let left = gangs.get(gang).into_iter();
            for node in left.flat_map(|gang| nodes_of(cluster, gang)) {
                for prices in &mut scene.prices {
                    prices.forget(node);
                }
            }
        }
        chosen.push(Chosen { unit, records });
    }
}

impl Scene<'_> {
    /// What may go from the node, the most important first.
    pub(super) fn stock(&mut self, cluster: &Cluster, node: NodeId, stock: &mut Stock) {
        stock.units.clear();
        self.finder.on(cluster, node, &self.taken, &mut stock.units);
        if self.allowance.is_unlimited() {
            stock.arrange(cluster, None);
        } else if self.limits.violate_pdb {
            stock.arrange(cluster, Some(self.allowance.clone()));
        } else {
            stock.arrange(cluster, None);
            // What matters least is charged first, so that it is what may go.
            let mut allowance = self.allowance.clone();
            let mut kept: Vec<Unit> = (stock.units.drain(..).rev())
                .filter(|unit| allowance.bears(cluster, unit))
                .collect();
            kept.reverse();
            stock.units = kept;
            stock.arrange(cluster, None);
        }
    }
}
