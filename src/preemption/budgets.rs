//! The pod disruption budgets.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::units::Unit;
use crate::cluster::Cluster;
use crate::model::{DisruptionBudget, PodRef};

type Labels = [(Box<str>, Box<str>)];

/// The budgets, by namespace and name.
#[derive(Clone, Debug, Default)]
pub struct Budgets {
    by_namespace: BTreeMap<Box<str>, BTreeMap<Box<str>, Arc<DisruptionBudget>>>,
}

impl Budgets {
    /// A budget as it is now. News older than what is known is ignored.
    pub fn set(&mut self, budget: DisruptionBudget) {
        let of_namespace = (self.by_namespace.entry(budget.namespace.clone())).or_default();
        let held = of_namespace.get(&budget.name);
        if held.is_none_or(|held| budget.version == 0 || budget.version >= held.version) {
            of_namespace.insert(budget.name.clone(), Arc::new(budget));
        }
    }

    /// The budget is gone.
    pub fn remove(&mut self, namespace: &str, name: &str) {
        if let Some(of_namespace) = self.by_namespace.get_mut(namespace) {
            of_namespace.remove(name);
            if of_namespace.is_empty() {
                self.by_namespace.remove(namespace);
            }
        }
    }

    /// The budgets that the eviction of this pod counts against, by name.
    pub(super) fn of<'a>(
        &'a self,
        pod: &'a PodRef,
        labels: &'a Labels,
    ) -> impl Iterator<Item = &'a Arc<DisruptionBudget>> {
        let of_namespace = self.by_namespace.get(&pod.namespace);
        (of_namespace.into_iter())
            .flat_map(BTreeMap::values)
            .filter(move |budget| budget.counts(pod, labels))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_namespace.is_empty()
    }
}

/// What the budgets still allow while victims are counted against them, one after another.
#[derive(Clone, Debug)]
pub(super) struct Allowance<'a> {
    budgets: &'a Budgets,
    left: BTreeMap<(&'a str, &'a str), i32>,
}

impl<'a> Allowance<'a> {
    pub(super) fn new(budgets: &'a Budgets) -> Self {
        Self {
            budgets,
            left: BTreeMap::new(),
        }
    }

    /// Whether there is no budget at all.
    pub(super) fn is_unlimited(&self) -> bool {
        self.budgets.is_empty()
    }

    /// Whether the eviction of this pod counts against any budget.
    pub(super) fn counts(&self, pod: &PodRef, labels: &Labels) -> bool {
        self.budgets.of(pod, labels).next().is_some()
    }

    /// Counts the eviction of all pods of a unit if every budget allows it, and answers whether.
    pub(super) fn bears(&mut self, cluster: &Cluster, unit: &Unit) -> bool {
        let mut after = self.clone();
        let mut records = unit.pods().iter().filter_map(|pod| cluster.placed(*pod));
        let bears = records.all(|record| {
            let labels = &cluster.peers().class(record.peers).spec().labels;
            after.charge(&record.reference, labels).is_none()
        });
        if bears {
            *self = after;
        }
        bears
    }

    /// Counts the eviction of a pod and answers the first budget that does not allow it. As upstream
    /// those after that one are not charged. Source: `FilterVictimsWithPDBViolation`.
    pub(super) fn charge(
        &mut self,
        pod: &PodRef,
        labels: &Labels,
    ) -> Option<&'a Arc<DisruptionBudget>> {
        let of_namespace = self.budgets.by_namespace.get(&pod.namespace)?;
        let counting = of_namespace
            .values()
            .filter(|budget| budget.counts(pod, labels));
        for budget in counting {
            let key = (&*budget.namespace, &*budget.name);
            let left = self.left.entry(key).or_insert(budget.allowed);
            *left = left.saturating_sub(1);
            if *left < 0 {
                return Some(budget);
            }
        }
        None
    }
}
