//! The pod disruption budgets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::units::Unit;
use crate::cluster::Cluster;
use crate::model::{DisruptionBudget, PodRef};

type Labels = [(Box<str>, Box<str>)];

/// The budgets, by namespace and name.
#[derive(Clone, Debug, Default)]
pub struct Budgets {
    by_namespace: BTreeMap<Box<str>, Namespace>,
    /// Pods, by uid, that were evicted since a budget was heard of last, by its namespace and name.
    spent: BTreeMap<Name, BTreeSet<Box<str>>>,
    revision: u64,
    /// Moves whenever something is spent or given back.
    spendings: u64,
}

/// A namespace and a name, or a label and its value.
type Name = (Box<str>, Box<str>);

/// The budgets of a namespace. Most ask for one value of a label, and are found by it.
#[derive(Clone, Debug, Default)]
struct Namespace {
    by_name: BTreeMap<Box<str>, Arc<DisruptionBudget>>,
    by_label: HashMap<Name, BTreeSet<Box<str>>>,
    others: BTreeSet<Box<str>>,
}

impl Namespace {
    fn insert(&mut self, budget: Arc<DisruptionBudget>) {
        self.remove(&budget.name);
        let name = budget.name.clone();
        match budget.label() {
            Some((key, value)) => {
                let same = self.by_label.entry((key.into(), value.into()));
                same.or_default().insert(name.clone());
            }
            None => {
                self.others.insert(name.clone());
            }
        }
        self.by_name.insert(name, budget);
    }

    fn remove(&mut self, name: &str) {
        let Some(budget) = self.by_name.remove(name) else {
            return;
        };
        self.others.remove(name);
        if let Some((key, value)) = budget.label() {
            let key = (key.into(), value.into());
            if let Some(same) = self.by_label.get_mut(&key) {
                same.remove(name);
                if same.is_empty() {
                    self.by_label.remove(&key);
                }
            }
        }
    }
}

impl Budgets {
    /// A budget as it is now. News older than what is known is ignored. Answers whether it may let go
    /// whom it kept so far.
    pub fn set(&mut self, budget: DisruptionBudget) -> bool {
        let of_namespace = (self.by_namespace.entry(budget.namespace.clone())).or_default();
        let held = of_namespace.by_name.get(&budget.name).cloned();
        if held
            .as_ref()
            .is_some_and(|held| budget.version != 0 && budget.version < held.version)
        {
            return false;
        }
        let name = (budget.namespace.clone(), budget.name.clone());
        let looser = held.is_some_and(|held| budget.is_looser_than(&held));
        of_namespace.insert(Arc::new(budget));
        self.revision += 1;
        self.spent.remove(&name).is_some() || looser
    }

    /// The budget is gone.
    pub fn remove(&mut self, namespace: &str, name: &str) {
        if let Some(of_namespace) = self.by_namespace.get_mut(namespace) {
            of_namespace.remove(name);
            if of_namespace.by_name.is_empty() {
                self.by_namespace.remove(namespace);
            }
            self.revision += 1;
        }
    }

    /// A pod is evicted: until a budget that it counts against is heard of again, gangs find so much
    /// less left of it.
    pub fn spend(&mut self, pod: &PodRef, labels: &Labels) {
        let names: Vec<Name> = (self.of(pod, labels).into_iter())
            .map(|budget| (budget.namespace.clone(), budget.name.clone()))
            .collect();
        self.spendings += u64::from(!names.is_empty());
        for name in names {
            self.spent.entry(name).or_default().insert(pod.uid.clone());
        }
    }

    /// The pod stays after all.
    pub fn give_back(&mut self, pod: &PodRef) {
        self.spendings += 1;
        self.spent.retain(|_, spent| {
            spent.remove(&pod.uid);
            !spent.is_empty()
        });
    }

    /// The budgets that the eviction of this pod counts against, by name.
    pub(super) fn of(&self, pod: &PodRef, labels: &Labels) -> Vec<&Arc<DisruptionBudget>> {
        let Some(of_namespace) = self.by_namespace.get(&pod.namespace) else {
            return Vec::new();
        };
        let by_label = labels
            .iter()
            .filter_map(|label| of_namespace.by_label.get(label));
        let names = by_label.chain([&of_namespace.others]).flatten();
        let mut budgets: Vec<_> = names
            .filter_map(|name| of_namespace.by_name.get(name))
            .filter(|budget| budget.counts(pod, labels))
            .collect();
        budgets.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        budgets
    }

    /// A number that moves whenever a budget does.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// One that moves also whenever something is spent or given back, see [`Allowance::strict`].
    pub(super) fn strict_revision(&self) -> u64 {
        self.revision + self.spendings
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
    /// Whether what was spent lately counts.
    strict: bool,
    left: BTreeMap<(&'a str, &'a str), i32>,
}

impl<'a> Allowance<'a> {
    pub(super) fn new(budgets: &'a Budgets) -> Self {
        Self {
            budgets,
            strict: false,
            left: BTreeMap::new(),
        }
    }

    /// The same for gangs, for which budgets are limits: what was spent lately is spent.
    pub(super) fn strict(budgets: &'a Budgets) -> Self {
        Self {
            strict: true,
            ..Self::new(budgets)
        }
    }

    fn allowed(&self, budget: &DisruptionBudget) -> i32 {
        if !self.strict || self.budgets.spent.is_empty() {
            return budget.allowed;
        }
        let name = (budget.namespace.clone(), budget.name.clone());
        let spent = self.budgets.spent.get(&name).map_or(0, BTreeSet::len);
        let spent = i32::try_from(spent).unwrap_or(i32::MAX);
        budget.allowed.saturating_sub(spent)
    }

    /// Whether there is no budget at all.
    pub(super) fn is_unlimited(&self) -> bool {
        self.budgets.is_empty()
    }

    /// Whether the eviction of this pod counts against any budget.
    pub(super) fn counts(&self, pod: &PodRef, labels: &Labels) -> bool {
        !self.budgets.of(pod, labels).is_empty()
    }

    /// Counts the eviction of all pods of a unit if every budget allows it, and answers whether.
    pub(super) fn bears(&mut self, cluster: &Cluster, unit: &Unit) -> bool {
        let mut after = self.clone();
        let mut records = unit.pods().iter().filter_map(|pod| cluster.placed(*pod));
        let bears = records.all(|record| {
            let labels = cluster.labels_of(record.peers);
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
        for budget in self.budgets.of(pod, labels) {
            let key = (&*budget.namespace, &*budget.name);
            let allowed = self.allowed(budget);
            let left = self.left.entry(key).or_insert(allowed);
            *left = left.saturating_sub(1);
            if *left < 0 {
                return Some(budget);
            }
        }
        None
    }
}
