//! What clearing nodes costs, remembered from one attempt to the next: of a thousand preemptors alike
//! each one looks only at the nodes that have changed since the last one.

use std::sync::Arc;

use super::choice::Cost;
use crate::cluster::{Cluster, LogPosition, NodeId};
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
pub(super) struct Costs {
    profile: Arc<str>,
    shape: PodShape,
    priority: i32,
    budgets: u64,
    position: Option<LogPosition>,
    /// By node index: None for unknown, Some(None) where clearing does not help.
    known: Vec<Option<Option<Cost>>>,
}

impl Memory {
    /// What is remembered for this kind, up to date with the cluster.
    pub(super) fn of(&mut self, kind: Kind<'_>, cluster: &Cluster) -> &mut Costs {
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
                    position: None,
                    known: Vec::new(),
                }
            }
        };
        costs.refresh(kind, cluster);
        self.0.push(costs);
        let newest = self.0.len() - 1;
        &mut self.0[newest]
    }
}

impl Costs {
    fn is_of(&self, kind: Kind<'_>) -> bool {
        self.priority == kind.priority && self.profile == *kind.profile && self.shape == *kind.shape
    }

    fn refresh(&mut self, kind: Kind<'_>, cluster: &Cluster) {
        let changed = self
            .position
            .and_then(|position| cluster.changes().since(position));
        match changed {
            Some(changed) if self.budgets == kind.budgets => {
                for &node in changed {
                    self.set(node, None);
                }
            }
            _ => self.known.clear(),
        }
        self.known.resize(cluster.node_slots(), None);
        self.budgets = kind.budgets;
        self.position = Some(cluster.changes().position());
    }

    pub(super) fn get(&self, node: NodeId) -> Option<Option<Cost>> {
        self.known.get(node.index()).copied().flatten()
    }

    pub(super) fn set(&mut self, node: NodeId, cost: Option<Option<Cost>>) {
        if let Some(known) = self.known.get_mut(node.index()) {
            *known = cost;
        }
    }
}
