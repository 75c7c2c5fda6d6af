//! The state of a trial.

use super::Limits;
use super::prices::Prices;
use crate::cluster::{Cluster, NodeId};
use crate::preemption::budgets::Allowance;
use crate::preemption::dry_run::Stock;
use crate::preemption::units::{Finder, Taken, Unit};

/// The trial as far as it has come.
pub(super) struct Scene<'a> {
    pub(super) finder: Finder<'a>,
    pub(super) taken: Taken,
    pub(super) allowance: Allowance<'a>,
    /// What clearing nodes costs, for each class.
    pub(super) prices: Vec<Prices>,
    pub(super) limits: Limits,
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
