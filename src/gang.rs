//! Groups of pods that are placed together: who belongs to which group, and whether the group may
//! be tried.
//!
//! Everything here follows from objects: the group's own, if its dialect has one, and its pods. A
//! group that waits holds nothing. Sources: `plugins/gangscheduling`, `backend/cache/podgroupstate.go`
//! and, for what other schedulers do, their own documents.

mod counts;
mod member;
mod placement;
mod readiness;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rustc_hash::FxHashMap;

pub use counts::Counts;
pub use member::{Member, Place};
pub use placement::{
    Candidate, CandidateClass, Domain, Need, Placed, Plan, Refusal, Refused, Request, domains,
    order, plan,
};
pub use readiness::{Invalid, Readiness, Waits};

use crate::cluster::ChangeLog;
use crate::model::{Dialect, GangTopology, GroupRef, PodGroup};
use crate::queue::PodKey;

/// A gang's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GangId(u32);

/// A group and its pods.
#[derive(Clone, Debug)]
pub struct Gang {
    /// Which.
    pub reference: Arc<GroupRef>,
    /// By what the queue knows it.
    pub unit: PodKey,
    /// Its object; None while there is none, as in dialects without.
    pub object: Option<Arc<PodGroup>>,
    /// Why its object cannot be read.
    pub unreadable: Option<Box<str>>,
    /// By uid.
    members: BTreeMap<Box<str>, Member>,
    counts: Counts,
    /// Whether enough of its members ran together once. See [`Gang::satisfied`].
    met: bool,
}

impl Gang {
    fn new(reference: Arc<GroupRef>, unit: PodKey) -> Self {
        Self {
            reference,
            unit,
            object: None,
            unreadable: None,
            members: BTreeMap::new(),
            counts: Counts::default(),
            met: false,
        }
    }

    /// How many members must run together; None while nobody has said so. Where pods say it and
    /// do not agree, the largest number counts.
    pub fn min(&self) -> Option<u32> {
        match &self.object {
            Some(object) => Some(object.min),
            None if self.reference.dialect.has_object() => None,
            None => Some(self.counts.largest_min().unwrap_or(1).max(1)),
        }
    }

    /// How many of each role must run together.
    pub fn roles(&self) -> &[(Box<str>, u32)] {
        self.object.as_ref().map_or(&[], |object| &object.roles)
    }

    /// Where it must or should be together.
    pub fn topology(&self) -> GangTopology {
        match &self.object {
            Some(object) => object.topology.clone(),
            None => {
                let mut asked = self.members.values().map(|member| &member.topology);
                let asked = asked.find(|topology| **topology != GangTopology::default());
                asked.cloned().unwrap_or_default()
            }
        }
    }

    /// How many members are where.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Its members, by uid.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.members.iter().map(|(uid, member)| (&**uid, member))
    }

    /// The member with this uid.
    pub fn member(&self, uid: &str) -> Option<&Member> {
        self.members.get(uid)
    }

    /// The pods that can be tried now.
    pub fn pending(&self) -> impl Iterator<Item = PodKey> {
        self.members.values().filter_map(Member::pending)
    }

    /// The same in the order in which they came.
    pub fn pending_in_order(&self) -> Vec<PodKey> {
        let mut pending: Vec<PodKey> = self.pending().collect();
        pending.sort_unstable();
        pending
    }

    /// Whether enough of its members ran together once, and some of that run still do: what is
    /// missing then is replaced without a new quorum. The object's status tells it, or as many bound
    /// members as must run together. Where there is no object, any bound member does, since none is
    /// bound alone.
    pub fn satisfied(&self) -> bool {
        let live = self.counts.live() > 0;
        live && (self.met || !self.reference.dialect.has_object())
    }

    /// Whether enough of its members ran together once, as far as anything tells.
    pub fn was_met(&self) -> bool {
        self.met
    }

    /// Whether members that are placed may be bound with the gang as it is now. So many of those
    /// that count as placed are not bound yet and could still be left out.
    pub fn may_bind(&self, held: usize) -> bool {
        let live = self.counts.live();
        let runs = if self.reference.dialect.has_object() {
            self.met
        } else {
            live > held
        };
        self.is_valid() && self.min().is_some() && (runs || self.is_whole())
    }

    /// Whether as many members as must run together are bound or about to be, of every role.
    pub fn is_whole(&self) -> bool {
        let min = self.min().unwrap_or(1) as usize;
        let mut roles = self.roles().iter();
        self.counts.live() >= min
            && roles.all(|(role, asked)| self.counts.live_in(role) >= *asked as usize)
    }

    /// Whether it has all that must run together, so that nobody has to go for any more of it.
    pub fn has_enough(&self) -> bool {
        let basic = self.object.as_ref().is_some_and(|object| object.basic);
        !basic && self.is_whole()
    }

    /// How many more members must be placed together, at least 1, and of which roles.
    pub fn need(&self) -> Need {
        if self.satisfied() {
            return Need::one();
        }
        let missing = |asked: u32, live: usize| (asked as usize).saturating_sub(live);
        let roles = (self.roles().iter())
            .map(|(role, asked)| (role.clone(), missing(*asked, self.counts.live_in(role))))
            .filter(|(_, missing)| *missing > 0)
            .collect();
        Need {
            pods: missing(self.min().unwrap_or(1), self.counts.live()).max(1),
            roles,
        }
    }

    /// Whether it ran and has lost members that it cannot do without.
    pub fn wants_repair(&self) -> bool {
        self.satisfied() && self.counts.live() < self.min().unwrap_or(1) as usize
    }

    /// Whether nothing is left to remember.
    fn is_empty(&self) -> bool {
        self.members.is_empty() && self.object.is_none() && self.unreadable.is_none()
    }

    /// What follows when the number of members that run, or the number that must, has changed.
    /// `ran` says whether some ran before: what was met is over with the last of them, but what a
    /// status tells of members that are yet to be heard of is kept.
    fn settle(&mut self, ran: bool) {
        if self.counts.live() == 0 {
            self.met &= !ran;
        } else if (self.min()).is_some_and(|min| self.counts.bound() >= min as usize) {
            self.met = true;
        }
    }
}

/// All groups, and the group of each pod.
#[derive(Clone, Debug, Default)]
pub struct Gangs {
    gangs: Vec<Option<Gang>>,
    free: Vec<GangId>,
    by_reference: HashMap<Arc<GroupRef>, GangId>,
    by_unit: HashMap<PodKey, GangId>,
    by_member: FxHashMap<Box<str>, GangId>,
    changes: ChangeLog<GangId>,
}

impl Gangs {
    /// A group.
    pub fn get(&self, id: GangId) -> Option<&Gang> {
        self.gangs.get(id.0 as usize)?.as_ref()
    }

    fn get_mut(&mut self, id: GangId) -> Option<&mut Gang> {
        self.gangs.get_mut(id.0 as usize)?.as_mut()
    }

    /// The group that the queue knows by this key.
    pub fn of_unit(&self, unit: PodKey) -> Option<GangId> {
        self.by_unit.get(&unit).copied()
    }

    /// The object of a group, if it has one.
    pub fn object(&self, id: GangId) -> Option<Arc<PodGroup>> {
        self.get(id)?.object.clone()
    }

    /// The pod with this uid as its group sees it.
    pub fn member(&self, uid: &str) -> Option<&Member> {
        self.get(self.of_member(uid)?)?.member(uid)
    }

    /// The group of the pod with this uid.
    pub fn of_member(&self, uid: &str) -> Option<GangId> {
        self.by_member.get(uid).copied()
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.by_reference.is_empty()
    }

    /// Which groups changed in a way that matters to who of them can be evicted: in their members, or in
    /// what their objects say of it.
    pub fn changes(&self) -> &ChangeLog<GangId> {
        &self.changes
    }

    fn changed(&mut self, id: GangId) {
        self.changes.set_count(self.gangs.len());
        self.changes.record(id);
    }

    /// The lowest priority that an object names for its group, which may be lower than that of its
    /// pods.
    pub fn lowest_priority(&self) -> Option<i32> {
        let objects = self.iter().filter_map(|(_, gang)| gang.object.as_ref());
        (objects.filter(|object| object.reference.dialect == Dialect::Kubernetes))
            .map(|object| object.priority.unwrap_or(0))
            .min()
    }

    /// The groups.
    pub fn iter(&self) -> impl Iterator<Item = (GangId, &Gang)> {
        (self.gangs.iter().enumerate())
            .filter_map(|(place, gang)| Some((GangId(place as u32), gang.as_ref()?)))
    }

    /// The group of this name; made if there is none. `unit` is asked for a key for the queue then.
    fn obtain(&mut self, reference: &Arc<GroupRef>, unit: impl FnOnce() -> PodKey) -> GangId {
        if let Some(&id) = self.by_reference.get(reference) {
            return id;
        }
        let unit = unit();
        let gang = Some(Gang::new(Arc::clone(reference), unit));
        let id = match self.free.pop() {
            Some(id) => {
                self.gangs[id.0 as usize] = gang;
                id
            }
            None => {
                self.gangs.push(gang);
                GangId((self.gangs.len() - 1) as u32)
            }
        };
        self.by_reference.insert(Arc::clone(reference), id);
        self.by_unit.insert(unit, id);
        id
    }

    /// Forgets a group of which nothing is left.
    pub fn release(&mut self, id: GangId) {
        if !self.get(id).is_some_and(Gang::is_empty) {
            return;
        }
        if let Some(gang) = self.gangs.get_mut(id.0 as usize).and_then(Option::take) {
            self.by_reference.remove(&gang.reference);
            self.by_unit.remove(&gang.unit);
            self.free.push(id);
        }
    }

    /// A group's object as it is now. None when the news is older than what is known.
    pub fn set_object(
        &mut self,
        object: PodGroup,
        unit: impl FnOnce() -> PodKey,
    ) -> Option<GangId> {
        let id = self.obtain(&object.reference, unit);
        let gang = self.get_mut(id)?;
        let old = gang.object.take();
        if let Some(old) = &old
            && old.uid == object.uid
            && object.version != 0
            && object.version < old.version
        {
            gang.object = Some(Arc::clone(old));
            return None;
        }
        gang.unreadable = None;
        match &old {
            // A larger number asks for a quorum again; another object is another group's story.
            Some(old) if old.uid == object.uid => gang.met &= object.min <= old.min,
            _ => gang.met = object.tells_that_it_ran(),
        }
        let same = (old.as_ref()).is_some_and(|old| old.is_evicted_alike(&object));
        gang.object = Some(Arc::new(object));
        gang.settle(false);
        if !same {
            self.changed(id);
        }
        Some(id)
    }

    /// The group's object is gone.
    pub fn remove_object(&mut self, reference: &GroupRef) -> Option<GangId> {
        let id = *self.by_reference.get(reference)?;
        let gang = self.get_mut(id)?;
        gang.object = None;
        gang.unreadable = None;
        self.changed(id);
        Some(id)
    }

    /// The group's object cannot be read, for this reason.
    pub fn set_unreadable(
        &mut self,
        reference: GroupRef,
        reason: &str,
        unit: impl FnOnce() -> PodKey,
    ) -> GangId {
        let id = self.obtain(&Arc::new(reference), unit);
        if let Some(gang) = self.get_mut(id) {
            gang.unreadable = Some(reason.into());
        }
        id
    }

    /// The pod with this uid belongs to a group, and what it is to it; whatever was known of it is
    /// replaced. Answers its group, and the one that it left if it was in another.
    pub fn put(
        &mut self,
        uid: &str,
        group: &Arc<GroupRef>,
        member: Member,
        unit: impl FnOnce() -> PodKey,
    ) -> (GangId, Option<GangId>) {
        let left = self.of_member(uid);
        let id = self.obtain(group, unit);
        let left = left.filter(|left| *left != id);
        if left.is_some() {
            self.take(uid);
        }
        self.by_member.insert(uid.into(), id);
        if let Some(gang) = self.get_mut(id) {
            let ran = gang.counts.live() > 0;
            gang.counts.add(&member);
            let same = gang.members.get(uid) == Some(&member);
            if let Some(old) = gang.members.insert(uid.into(), member) {
                gang.counts.subtract(&old);
            }
            gang.settle(ran);
            if !same {
                self.changed(id);
            }
        }
        (id, left)
    }

    /// The pod with this uid belongs to no group any more. Answers the one it was in.
    pub fn take(&mut self, uid: &str) -> Option<GangId> {
        let id = self.by_member.remove(uid)?;
        let gang = self.get_mut(id)?;
        if let Some(old) = gang.members.remove(uid) {
            let ran = gang.counts.live() > 0;
            gang.counts.subtract(&old);
            gang.settle(ran);
            self.changed(id);
        }
        Some(id)
    }

    /// The pod with this uid is on its way out, or is not after all. Answers its group if that is
    /// news.
    pub fn set_terminating(&mut self, uid: &str, terminating: bool) -> Option<GangId> {
        let id = self.of_member(uid)?;
        let is_news = self.edit(id, uid, |member| member.terminating = terminating)?;
        is_news.then_some(id)
    }

    /// The pod with this uid is somewhere else now. Answers its group.
    pub fn relocate(&mut self, uid: &str, place: Place) -> Option<GangId> {
        let id = self.of_member(uid)?;
        self.edit(id, uid, |member| member.place = place)?;
        Some(id)
    }

    /// Changes what a member is; answers whether it was something else before. None without such a
    /// member.
    fn edit(&mut self, id: GangId, uid: &str, edit: impl FnOnce(&mut Member)) -> Option<bool> {
        let gang = self.get_mut(id)?;
        let member = gang.members.get_mut(uid)?;
        let old = member.clone();
        edit(member);
        if *member == old {
            return Some(false);
        }
        let ran = gang.counts.live() > 0;
        gang.counts.subtract(&old);
        gang.counts.add(member);
        gang.settle(ran);
        self.changed(id);
        Some(true)
    }
}

impl PodGroup {
    /// Whether the two say the same of who can be evicted.
    fn is_evicted_alike(&self, other: &Self) -> bool {
        let said = |object: &Self| (object.min, object.priority, object.disrupted_whole);
        said(self) == said(other) && self.roles == other.roles
    }

    /// Whether the object's status says that enough members ran together, of the object as it is.
    fn tells_that_it_ran(&self) -> bool {
        match self.reference.dialect {
            Dialect::Kubernetes => self.stored.scheduled.as_ref().is_some_and(|condition| {
                let current = condition.observed_generation.is_none()
                    || condition.observed_generation == self.generation;
                condition.holds && current
            }),
            _ => &*self.stored.phase == "Running",
        }
    }
}

#[cfg(test)]
impl Gangs {
    /// Fails unless everything that is counted is as if counted anew.
    pub(crate) fn audit(&self) {
        for (id, gang) in self.iter() {
            let mut counts = Counts::default();
            for (uid, member) in &gang.members {
                counts.add(member);
                assert_eq!(self.by_member.get(uid), Some(&id));
            }
            assert_eq!(counts, gang.counts, "{}", gang.reference);
            assert_eq!(self.by_reference.get(&gang.reference), Some(&id));
            assert_eq!(self.by_unit.get(&gang.unit), Some(&id));
            assert!(!gang.is_empty(), "{} is kept for nothing", gang.reference);
        }
        let members: usize = self.iter().map(|(_, gang)| gang.members.len()).sum();
        assert_eq!(members, self.by_member.len());
        assert_eq!(self.iter().count(), self.by_reference.len());
        assert_eq!(self.iter().count(), self.by_unit.len());
    }
}
