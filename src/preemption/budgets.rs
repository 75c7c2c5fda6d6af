//! The pod disruption budgets.

use std::collections::BTreeMap;
use std::sync::Arc;

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

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_namespace.is_empty()
    }

    /// The budgets that the eviction of this pod counts against, by name.
    pub fn of<'a>(
        &'a self,
        pod: &'a PodRef,
        labels: &'a Labels,
    ) -> impl Iterator<Item = &'a Arc<DisruptionBudget>> {
        let of_namespace = self.by_namespace.get(&pod.namespace);
        (of_namespace.into_iter())
            .flat_map(BTreeMap::values)
            .filter(move |budget| budget.counts(pod, labels))
    }
}
