//! What clearing nodes costs, remembered from one attempt to the next: of a thousand preemptors alike
//! each one looks only at the nodes that have changed since the last one.

use std::sync::Arc;

use super::choice::Cost;
use super::known::Known;
use crate::cluster::Cluster;
use crate::model::PodShape;

/// For how many kinds of preemptors it is remembered.
const KEPT: usize = 4;

/// What clearing nodes costs for the kinds of preemptors that came last.
#[derive(Debug, Default)]
pub struct Memory(Vec<Costs>);

/// What the costs depend on besides the nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind<'a> {
    pub(super) profile: &'a Arc<str>,
    pub(super) shape: &'a PodShape,
    pub(super) priority: i32,
    /// See [`super::Budgets::revision`].
    pub(super) budgets: u64,
}

/// What clearing nodes costs for one kind of preemptor.
#[derive(Debug)]
struct Costs {
    profile: Arc<str>,
    shape: PodShape,
    priority: i32,
    budgets: u64,
    known: Known<Cost>,
}

impl Memory {
    /// What is remembered for this kind, up to date with the cluster.
    pub(super) fn of(&mut self, kind: Kind<'_>, cluster: &Cluster) -> &mut Known<Cost> {
        let known = self.0.iter().position(|costs| costs.is_of(kind));
        let mut costs = match known {
            Some(place) => self.0.remove(place),
            None => {
                if self.0.len() >= KEPT {
                    self.0.remove(0);
                }
                Costs {
                    profile: Arc::clone(kind.profile),
                    shape: kind.shape.clone(),
                    priority: kind.priority,
                    budgets: kind.budgets,
                    known: Known::default(),
                }
            }
        };
        costs.refresh(kind, cluster);
        self.0.push(costs);
        let newest = self.0.len() - 1;
        &mut self.0[newest].known
    }
}

impl Costs {
    fn is_of(&self, kind: Kind<'_>) -> bool {
        self.priority == kind.priority && self.profile == *kind.profile && self.shape == *kind.shape
    }

    fn refresh(&mut self, kind: Kind<'_>, cluster: &Cluster) {
        if self.budgets != kind.budgets {
            self.known.forget_all();
        }
        self.known.refresh(cluster);
        self.budgets = kind.budgets;
    }
}
