//! What clearing nodes costs, remembered from one attempt to the next: of a thousand preemptors alike
//! each one looks only at the nodes that have changed since the last one.
//!
//! What is known of a node holds until the node changes, or a gang does of which a pod is there: what
//! a gang can do without, and what goes with it, is the same wherever its pods are. Both are read
//! from logs, of the [`Cluster`] and of [`Gangs`].

use std::sync::Arc;

use super::choice::Cost;
use super::gangs::GangCost;
use super::known::Known;
use super::units::nodes_of;
use crate::cluster::{Cluster, LogPosition, NodeSet};
use crate::framework::Reason;
use crate::gang::Gangs;
use crate::model::PodShape;

/// For how many kinds of pods it is remembered.
const KINDS_OF_PODS: usize = 4;
/// For how many kinds of members of gangs: a gang can be of several kinds, and for each it may be asked
/// in three ways what goes.
const KINDS_OF_MEMBERS: usize = 16;
/// How many refusals are kept apart before all is forgotten.
const REFUSALS: usize = 1000;

/// What clearing nodes costs for the kinds of preemptors that came last.
#[derive(Debug, Default)]
pub struct Memory {
    /// Up to where the logs were read.
    seen: Option<(LogPosition, LogPosition)>,
    of_pods: Vec<Costs<Answer>>,
    of_members: Vec<Costs<Option<GangCost>>>,
    /// Why clearing a node does not help.
    refusals: Vec<Box<[Reason]>>,
}

/// What clearing a node costs a pod, or which of the refusals it comes to.
pub(super) type Answer = Result<Cost, usize>;

/// What the costs depend on besides nodes and gangs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind<'a> {
    pub(super) profile: &'a Arc<str>,
    pub(super) shape: &'a PodShape,
    pub(super) priority: i32,
    /// Whether a gang may evict what budgets protect.
    pub(super) violate_pdb: bool,
    /// See [`super::Budgets::revision`].
    pub(super) budgets: u64,
}

/// What clearing nodes costs for one kind of preemptor.
#[derive(Debug)]
struct Costs<T> {
    profile: Arc<str>,
    shape: PodShape,
    priority: i32,
    violate_pdb: bool,
    budgets: u64,
    known: Arc<Known<T>>,
}

impl Memory {
    /// Forgets what may have changed.
    pub(super) fn refresh(&mut self, cluster: &Cluster, gangs: &Gangs) {
        let changed = self.seen.and_then(|(nodes, of_gangs)| {
            let nodes = cluster.changes().since(nodes)?;
            Some((nodes, gangs.changes().since(of_gangs)?))
        });
        match changed.filter(|_| self.refusals.len() < REFUSALS) {
            Some((nodes, of_gangs)) => {
                let mut changed = NodeSet::new();
                for node in nodes {
                    changed.insert(*node);
                }
                let mut of_gangs = of_gangs.to_vec();
                of_gangs.sort_unstable();
                of_gangs.dedup();
                let of_gangs = of_gangs.into_iter().filter_map(|id| gangs.get(id));
                for node in of_gangs.flat_map(|gang| nodes_of(cluster, gang)) {
                    changed.insert(node);
                }
                forget(&mut self.of_pods, &changed);
                forget(&mut self.of_members, &changed);
            }
            None => *self = Self::default(),
        }
        self.stands(cluster, gangs);
    }

    /// The cluster is as it was when this was refreshed, whatever was tried in between.
    pub(super) fn stands(&mut self, cluster: &Cluster, gangs: &Gangs) {
        self.seen = Some((cluster.changes().position(), gangs.changes().position()));
    }

    /// What is remembered for pods of this kind, and the refusals that it names.
    pub(super) fn of_pods(
        &mut self,
        kind: Kind<'_>,
    ) -> (&mut Known<Answer>, &mut Vec<Box<[Reason]>>) {
        let known = newest(&mut self.of_pods, KINDS_OF_PODS, kind);
        (Arc::make_mut(known), &mut self.refusals)
    }

    /// What is remembered for members of this kind.
    pub(super) fn of_members(&mut self, kind: Kind<'_>) -> &mut Arc<Known<Option<GangCost>>> {
        newest(&mut self.of_members, KINDS_OF_MEMBERS, kind)
    }
}

fn forget<T: Copy>(kinds: &mut [Costs<T>], nodes: &NodeSet) {
    for costs in kinds {
        let known = Arc::make_mut(&mut costs.known);
        for node in nodes.iter() {
            known.forget(node);
        }
    }
}

/// What is known for this kind, of which it is the newest from now on.
fn newest<'a, T>(
    kinds: &'a mut Vec<Costs<T>>,
    kept: usize,
    kind: Kind<'_>,
) -> &'a mut Arc<Known<T>> {
    let known = kinds.iter().position(|costs| costs.is_of(kind));
    let mut costs = match known {
        Some(place) => kinds.remove(place),
        None => {
            if kinds.len() >= kept {
                kinds.remove(0);
            }
            Costs {
                profile: Arc::clone(kind.profile),
                shape: kind.shape.clone(),
                priority: kind.priority,
                violate_pdb: kind.violate_pdb,
                budgets: kind.budgets,
                known: Arc::default(),
            }
        }
    };
    if costs.budgets != kind.budgets {
        costs.known = Arc::default();
        costs.budgets = kind.budgets;
    }
    kinds.push(costs);
    let newest = kinds.len() - 1;
    &mut kinds[newest].known
}

impl<T> Costs<T> {
    fn is_of(&self, kind: Kind<'_>) -> bool {
        self.priority == kind.priority
            && self.violate_pdb == kind.violate_pdb
            && self.profile == *kind.profile
            && self.shape == *kind.shape
    }
}
