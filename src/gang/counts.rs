//! How many members of a group are where: kept up to date, so that no question walks over members.

use std::collections::BTreeMap;

use super::{Member, Place};

/// Sums over the members of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    elsewhere: usize,
    gated: usize,
    waiting: usize,
    binding: usize,
    bound: usize,
    running: usize,
    terminating: usize,
    live_by_role: BTreeMap<Box<str>, usize>,
    waiting_by_role: BTreeMap<Box<str>, usize>,
    mins: BTreeMap<u32, usize>,
    priorities: BTreeMap<i32, usize>,
    scheduler_names: BTreeMap<Box<str>, usize>,
}

impl Counts {
    pub(super) fn add(&mut self, member: &Member) {
        self.count(member, 1);
    }

    pub(super) fn subtract(&mut self, member: &Member) {
        self.count(member, -1);
    }

    fn count(&mut self, member: &Member, sign: isize) {
        if let Some(min) = member.min {
            step(&mut self.mins, min, sign);
        }
        if member.terminating {
            self.terminating = self.terminating.saturating_add_signed(sign);
            return;
        }
        step(&mut self.priorities, member.priority, sign);
        step(
            &mut self.scheduler_names,
            member.scheduler_name.clone(),
            sign,
        );
        let place = match member.place {
            Place::Elsewhere => &mut self.elsewhere,
            Place::Gated(_) => &mut self.gated,
            Place::Waiting(_) => &mut self.waiting,
            Place::Binding(_) => &mut self.binding,
            Place::Bound { running } => {
                if running {
                    self.running = self.running.saturating_add_signed(sign);
                }
                &mut self.bound
            }
        };
        *place = place.saturating_add_signed(sign);
        if let Some(role) = &member.role {
            if member.is_live() {
                step(&mut self.live_by_role, role.clone(), sign);
            } else if member.pending().is_some() {
                step(&mut self.waiting_by_role, role.clone(), sign);
            }
        }
    }

    /// Members that can be tried now.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Members that are held by gates.
    pub fn gated(&self) -> usize {
        self.gated
    }

    /// Members that are bound and not on their way out.
    pub fn bound(&self) -> usize {
        self.bound
    }

    /// Members whose bind is under way.
    pub fn binding(&self) -> usize {
        self.binding
    }

    /// Members that are on their way out.
    pub fn terminating(&self) -> usize {
        self.terminating
    }

    /// Bound members whose containers have started.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Members that are bound or about to be, and not on their way out.
    pub fn live(&self) -> usize {
        self.bound + self.binding
    }

    /// Live members of a role.
    pub fn live_in(&self, role: &str) -> usize {
        self.live_by_role.get(role).copied().unwrap_or(0)
    }

    /// Members of a role that can be tried now.
    pub fn waiting_in(&self, role: &str) -> usize {
        self.waiting_by_role.get(role).copied().unwrap_or(0)
    }

    /// Members that are there, or could be if they were tried.
    pub fn existing(&self) -> usize {
        self.live() + self.waiting
    }

    /// The largest of the numbers that members say must run together.
    pub fn largest_min(&self) -> Option<u32> {
        self.mins.keys().next_back().copied()
    }

    /// The priorities of the members, ascending.
    pub fn priorities(&self) -> impl DoubleEndedIterator<Item = i32> {
        self.priorities.keys().copied()
    }

    /// The schedulers that the members name, sorted.
    pub fn scheduler_names(&self) -> impl Iterator<Item = &str> {
        self.scheduler_names.keys().map(|name| &**name)
    }
}

fn step<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K, sign: isize) {
    let entry = counts.entry(key);
    match entry {
        std::collections::btree_map::Entry::Vacant(free) => {
            if sign > 0 {
                free.insert(1);
            }
        }
        std::collections::btree_map::Entry::Occupied(mut held) => {
            let count = held.get().saturating_add_signed(sign);
            if count == 0 {
                held.remove();
            } else {
                held.insert(count);
            }
        }
    }
}
