//! How many pods of an application may be evicted at once.

use std::collections::BTreeSet;

use super::{LabelSelector, Operator, PodRef};
use crate::api;

/// A pod disruption budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisruptionBudget {
    /// Namespace, which is that of its pods.
    pub namespace: Box<str>,
    /// Name.
    pub name: Box<str>,
    /// Resource version, so that older news is ignored.
    pub version: u64,
    /// The pods that it protects. One that is empty or cannot be read protects none in preemption,
    /// though an empty one means all pods elsewhere. Source: `FilterVictimsWithPDBViolation`.
    selector: LabelSelector,
    /// How many more pods may be disrupted now.
    pub allowed: i32,
    /// The names of pods whose disruption is counted already.
    disrupted: BTreeSet<Box<str>>,
}

impl DisruptionBudget {
    /// Compiles the API's form.
    pub fn compile(budget: &api::PodDisruptionBudget) -> Self {
        let meta = &budget.metadata;
        let selector = LabelSelector::compile(budget.spec.selector.as_ref());
        let protects = |selector: &LabelSelector| !selector.is_everything();
        Self {
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            version: meta.version(),
            selector: (selector.ok().filter(protects)).unwrap_or(LabelSelector::Nothing),
            allowed: budget.status.disruptions_allowed,
            disrupted: budget.status.disrupted_pods.keys().cloned().collect(),
        }
    }

    /// A label that every pod has which it protects; None if it asks otherwise.
    pub fn label(&self) -> Option<(&str, &str)> {
        self.selector
            .requirements()
            .iter()
            .find_map(|one| match (&one.operator, &*one.values) {
                (Operator::In, [value]) => Some((&*one.key, &**value)),
                _ => None,
            })
    }

    /// Whether it may allow what it did not as it was.
    pub fn is_looser_than(&self, old: &Self) -> bool {
        let same = self.selector == old.selector && self.disrupted == old.disrupted;
        !same || self.allowed > old.allowed
    }

    /// Whether the eviction of a pod with these labels counts against it. A pod without labels is
    /// protected by none.
    pub fn counts(&self, pod: &PodRef, labels: &[(Box<str>, Box<str>)]) -> bool {
        self.namespace == pod.namespace
            && !labels.is_empty()
            && self.selector.matches(labels)
            && !self.disrupted.contains(&pod.name)
    }
}

#[cfg(test)]
mod tests;
