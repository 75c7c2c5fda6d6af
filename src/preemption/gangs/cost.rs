//! What it costs to make room for a gang.

use std::cmp::Reverse;

use crate::cluster::PlacedRecord;
use crate::preemption::units::{Unit, started};

/// The smaller one hurts less. In this order: budgets are kept, low priorities go, members that a
/// gang can do without go before its core, whole gangs rather than parts of one, few pods, and those
/// that started last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::preemption) struct GangCost {
    violations: usize,
    highest: i32,
    cores: usize,
    torn: usize,
    pods: usize,
    earliest: Reverse<i64>,
}

impl GangCost {
    /// Of these victims, of which budgets protect so many.
    pub(super) fn of<'a>(
        victims: impl Iterator<Item = (&'a Unit, &'a [PlacedRecord])>,
        violations: usize,
    ) -> Self {
        let mut cost = Self {
            violations,
            highest: i32::MIN,
            cores: 0,
            torn: 0,
            pods: 0,
            earliest: Reverse(i64::MAX),
        };
        for (unit, records) in victims {
            cost.add(unit, records.len(), records.iter().map(started).min());
        }
        cost
    }

    /// One more unit of so many pods goes, of which the first started then.
    pub(super) fn add(&mut self, unit: &Unit, pods: usize, first: Option<i64>) {
        self.highest = self.highest.max(unit.priority);
        self.cores += usize::from(unit.core.is_some());
        self.torn += usize::from(unit.is_part_of_group());
        self.pods += pods;
        self.earliest = self.earliest.max(Reverse(first.unwrap_or(i64::MAX)));
    }
}
