//! Which of several nodes is to be cleared. Source: `pickOneNodeForPreemption`.

use std::cmp::Reverse;

use super::units::{Unit, started};
use crate::cluster::Cluster;

/// What clearing a node would cost: the smaller one is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cost {
    /// Pods whose eviction a budget does not allow.
    pub(super) violations: usize,
    /// The priority of the most important victim.
    highest: i32,
    /// The sum of the victims' priorities, each raised so that none is negative.
    sum: i128,
    pods: usize,
    /// When the first of the victims started that have the highest priority.
    earliest: Reverse<i64>,
}

impl Cost {
    /// Of these victims, the most important one first; None if there are none. The priorities are
    /// those of the pods themselves, whatever their groups say.
    pub(super) fn of<'a>(
        cluster: &Cluster,
        victims: impl Iterator<Item = &'a Unit>,
        violations: usize,
    ) -> Option<Self> {
        let mut cost: Option<Self> = None;
        let mut top = i32::MIN;
        let pods = victims.flat_map(Unit::pods);
        for record in pods.filter_map(|pod| cluster.placed(*pod)) {
            let cost = cost.get_or_insert(Self {
                violations,
                highest: record.priority,
                sum: 0,
                pods: 0,
                earliest: Reverse(i64::MAX),
            });
            cost.sum += i128::from(record.priority) + (1 << 31);
            cost.pods += 1;
            let started = Reverse(started(record));
            if cost.pods == 1 || record.priority > top {
                top = record.priority;
                cost.earliest = started;
            } else if record.priority == top {
                cost.earliest = cost.earliest.max(started);
            }
        }
        cost
    }
}
