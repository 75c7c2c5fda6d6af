//! Gangs as the engine treats them: what changes about them, and when they are tried.

mod cycle;
mod head;
mod preempting;
mod tell;
mod words;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::{Engine, GroupStatus};
use crate::framework::{EventKind, PluginSet};
use crate::gang::{Gang, GangId, Gangs, Member, Need, Place, Readiness};
use crate::model::{CompiledPod, GangTopology, GroupRef, Membership, PodGroup, Time};
use crate::queue::{Cause, PodKey};

/// What has changed about a gang is told after so long, so that a job whose pods come and are bound
/// one after another is not told of with each of them.
const SETTLE: Duration = Duration::from_millis(500);
/// While its pods still come, a gang is told of after so long at the latest.
const PATIENCE: Duration = Duration::from_secs(5);

/// The gangs, and what the engine keeps of them beside their members.
#[derive(Debug, Default)]
pub(super) struct GangBook {
    pub(super) table: Gangs,
    pages: HashMap<GangId, Page>,
    /// Pods that name several groups and were not told yet which one counts.
    ambiguous: BTreeSet<PodKey>,
    /// When which gang is to be told of.
    due: BTreeSet<(Time, GangId)>,
    /// Gangs that wait for a node in the right domain.
    pub(super) by_topology: BTreeSet<GangId>,
    /// Gangs that a budget keeps from their room.
    by_budget: BTreeSet<GangId>,
    /// The gang that is served before others.
    head: Option<head::Head>,
}

/// What is kept of a gang.
#[derive(Debug, Default)]
struct Page {
    /// Since when some of its pods wait.
    since: Option<Time>,
    /// Whether it was said that it waits for too long.
    overdue: bool,
    /// Whether it can never fit the nodes as they are.
    hopeless: bool,
    /// See [`crate::gang::Refused::room`].
    room: Option<usize>,
    /// What it asked for when it was refused.
    asked: Option<Asked>,
    /// Who refused its members the last time.
    rejectors: PluginSet,
    /// What was said of preemption the last time.
    preemption: String,
    /// Why it was not placed the last time.
    refusal: Option<Arc<str>>,
    /// Members that are placed and wait for permission.
    held: BTreeSet<PodKey>,
    /// The status that was told last, and the uid of the object that was told.
    told: Option<(Box<str>, GroupStatus)>,
    due: Option<Time>,
    /// When something about it changed last.
    changed: Time,
}

impl GangBook {
    /// When something is to be told.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.due.first().map(|(time, _)| *time)
    }

    fn page(&mut self, id: GangId) -> &mut Page {
        self.pages.entry(id).or_default()
    }

    /// The gang is to be told of at this time, or earlier if that was planned.
    fn tell_at(&mut self, id: GangId, time: Time) {
        let page = self.pages.entry(id).or_default();
        if page.due.is_none_or(|due| time < due) {
            if let Some(due) = page.due.replace(time) {
                self.due.remove(&(due, id));
            }
            self.due.insert((time, id));
        }
    }

    /// Takes out a gang whose time has come.
    fn take_due(&mut self, now: Time) -> Option<GangId> {
        let &(time, id) = self.due.first()?;
        if time > now {
            return None;
        }
        self.due.remove(&(time, id));
        if let Some(page) = self.pages.get_mut(&id) {
            page.due = None;
        }
        Some(id)
    }

    /// The members of a gang that are placed and wait for permission.
    pub(super) fn held(&self, id: GangId) -> BTreeSet<PodKey> {
        let page = self.pages.get(&id);
        page.map_or_else(BTreeSet::new, |page| page.held.clone())
    }

    /// A member of a gang begins to wait for permission, or does so no longer.
    pub(super) fn set_held(&mut self, id: GangId, key: PodKey, holds: bool) {
        let held = &mut self.page(id).held;
        if holds {
            held.insert(key);
        } else {
            held.remove(&key);
        }
    }

    /// Forgets a gang of which nothing is left.
    fn release(&mut self, id: GangId) {
        self.table.release(id);
        if self.table.get(id).is_none() {
            self.by_topology.remove(&id);
            self.by_budget.remove(&id);
            if let Some(due) = self.pages.remove(&id).and_then(|page| page.due) {
                self.due.remove(&(due, id));
            }
        }
    }
}

/// What a gang asks of the cluster. When that is something else it is worth another try, whatever
/// has happened.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    need: Need,
    topology: GangTopology,
    /// How many members pin it to where they are.
    live: usize,
}

impl Asked {
    fn by(gang: &Gang) -> Self {
        Self {
            need: gang.need(),
            topology: gang.topology(),
            live: gang.counts().live(),
        }
    }
}

/// Whether a change may be what an unschedulable gang waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It is tried again.
    MayHelp,
    /// Whoever waits for it listens to something else.
    NoHelp,
}

impl Engine {
    // === Objects ===

    pub(super) fn pod_group(&mut self, group: PodGroup, now: Time) {
        let next = &mut self.next_pod;
        if let Some(id) = (self.gangs.table).set_object(group, || new_key(next)) {
            self.gang_changed(id, News::MayHelp, now);
        }
    }

    pub(super) fn pod_group_gone(&mut self, reference: &GroupRef, now: Time) {
        if let Some(id) = self.gangs.table.remove_object(reference) {
            self.gangs.page(id).told = None;
            self.gang_changed(id, News::NoHelp, now);
        }
    }

    pub(super) fn unreadable_pod_group(&mut self, reference: GroupRef, reason: &str, now: Time) {
        tracing::warn!(group = %reference, reason, "this pod group cannot be read; its pods wait");
        let next = &mut self.next_pod;
        let id = (self.gangs.table).set_unreadable(reference, reason, || new_key(next));
        self.gang_changed(id, News::NoHelp, now);
    }

    // === Members ===

    /// The group that a waiting pod waits with; None if its profile does not heed groups.
    pub(super) fn heeded<'a>(
        &self,
        profile: usize,
        membership: Option<&'a Membership>,
    ) -> Option<&'a Membership> {
        membership.filter(|_| self.profiles[profile].profile.gangs.is_some())
    }

    /// A pod belongs to a group. Answers the group's key in the queue; what follows for the group
    /// is left to [`Self::gang_changed`].
    pub(super) fn enlist(
        &mut self,
        uid: &str,
        membership: &Membership,
        member: Member,
        now: Time,
    ) -> Option<(GangId, PodKey)> {
        let next = &mut self.next_pod;
        let (id, left) = (self.gangs.table).put(uid, &membership.group, member, || new_key(next));
        if let Some(left) = left {
            self.gang_changed(left, News::NoHelp, now);
        }
        let unit = self.gangs.table.get(id)?.unit;
        Some((id, unit))
    }

    /// A pod that is bound, or that another scheduler will bind, and its group if it names one.
    pub(super) fn watch_member(&mut self, pod: &CompiledPod, place: Place, now: Time) {
        let uid = &pod.reference.uid;
        match &pod.membership {
            Some(membership) => {
                let mut member = Member::new(pod, membership, place);
                member.terminating |= self.preemptions.is_leaving(uid);
                if let Some((id, _)) = self.enlist(uid, membership, member, now) {
                    self.gang_changed(id, News::NoHelp, now);
                }
            }
            None => self.discharge(uid, now),
        }
    }

    /// A pod was evicted, or could not be: its gang has one member less from now on, before the watch
    /// tells so, or as many as before.
    pub(super) fn member_leaves(&mut self, uid: &str, leaves: bool, now: Time) {
        let placed = self
            .cluster
            .placed_by_uid(uid)
            .and_then(|id| self.cluster.placed(id));
        let leaves = leaves || placed.is_some_and(|record| record.terminating);
        if let Some(id) = self.gangs.table.set_terminating(uid, leaves) {
            self.gang_changed(id, News::NoHelp, now);
        }
    }

    /// The pod with this uid belongs to no group any more, or is gone.
    pub(super) fn discharge(&mut self, uid: &str, now: Time) {
        if let Some(id) = self.gangs.table.take(uid) {
            self.gang_changed(id, News::NoHelp, now);
        }
    }

    /// A waiting pod is dropped. One that is bound stays a member.
    pub(super) fn discharge_waiting(&mut self, key: PodKey, uid: &str, now: Time) {
        let waits = |place: Place| matches!(place, Place::Waiting(held) | Place::Gated(held) | Place::Binding(held) if held == key);
        let member = self.gangs.table.member(uid);
        if member.is_some_and(|member| waits(member.place)) {
            self.discharge(uid, now);
        }
    }

    /// A new pod waits with its group.
    pub(super) fn join_gang(
        &mut self,
        key: PodKey,
        uid: &str,
        (membership, member): (&Membership, Member),
        held_by: PluginSet,
        now: Time,
    ) {
        let priority = member.priority;
        let place = Place::of_waiting(key, !held_by.is_empty());
        let member = Member { place, ..member };
        let Some((id, unit)) = self.enlist(uid, membership, member, now) else {
            return;
        };
        if !membership.ignored.is_empty() {
            self.gangs.ambiguous.insert(key);
        }
        if let Some(class) = self.pods.get(&key).map(|pod| pod.class) {
            (self.queue).add_member(key, priority, class, unit, (held_by, now));
        }
        self.gang_changed(id, News::MayHelp, now);
    }

    /// A waiting pod was updated; `changed` says whether its requirements were. Answers whether it
    /// is a member of a group.
    pub(super) fn update_member(
        &mut self,
        key: PodKey,
        membership: Option<(Membership, Member)>,
        changed: bool,
        now: Time,
    ) -> bool {
        self.leave_held_gang(
            key,
            membership.as_ref().map(|(named, _)| &*named.group),
            now,
        );
        let Some(pod) = self.pods.get_mut(&key) else {
            return false;
        };
        let named = membership.as_ref().map(|(named, _)| named.clone());
        let before = std::mem::replace(&mut pod.membership, named);
        let was_member = before.is_some();
        let contradiction = |named: Option<&Membership>| named.and_then(Membership::contradiction);
        let now_said = contradiction(pod.membership.as_ref());
        if now_said.is_some() && now_said != contradiction(before.as_ref()) {
            self.gangs.ambiguous.insert(key);
        }
        let binding = pod.binding.is_some() || pod.permission.is_some();
        let gated = pod.info.gated;
        let (uid, class, priority) = (pod.reference.uid.clone(), pod.class, pod.priority);
        let queued = self.queue.get(key).filter(|_| gated);
        let held_by = queued.map_or_else(PluginSet::default, |queued| queued.rejectors);
        if !gated && was_member != membership.is_some() {
            self.unmark(key);
        }
        let Some((named, member)) = membership else {
            if was_member {
                self.discharge(&uid, now);
                if !binding {
                    self.queue.remove(key);
                    self.queue.add(key, priority, class, held_by, now);
                }
            }
            return was_member;
        };
        let place = if binding {
            Place::Binding(key)
        } else {
            Place::of_waiting(key, gated)
        };
        let member = Member { place, ..member };
        let held = (self.gangs.table.of_member(&uid))
            .and_then(|id| self.gangs.table.get(id))
            .filter(|gang| gang.reference == named.group)
            .and_then(|gang| gang.member(&uid));
        if held == Some(&member) && !changed {
            return true;
        }
        let Some((id, unit)) = self.enlist(&uid, &named, member, now) else {
            return true;
        };
        if was_member {
            self.queue.set_gang(key, unit);
        } else if !binding {
            self.queue.remove(key);
            (self.queue).add_member(key, priority, class, unit, (held_by, now));
        }
        if !gated && !binding {
            self.queue.return_member(key);
        }
        self.gang_changed(id, News::MayHelp, now);
        true
    }

    /// A member's bind is done.
    pub(super) fn member_bound(&mut self, key: PodKey, now: Time) {
        let Some(uid) = self.pods.get(&key).map(|pod| pod.reference.uid.clone()) else {
            return;
        };
        let Some(id) = self.gangs.table.of_member(&uid) else {
            return;
        };
        let is_binding = |member: &Member| member.place == Place::Binding(key);
        if let Some(gang) = self.gangs.table.get(id)
            && gang.member(&uid).is_some_and(is_binding)
        {
            let bound = gang.counts().bound();
            if gang.was_met() && bound < gang.min().unwrap_or(1) as usize {
                self.gang_metrics.repaired();
            }
            (self.gangs.table).relocate(&uid, Place::Bound { running: false });
            self.gang_changed(id, News::NoHelp, now);
        }
    }

    /// A member's bind has failed: it is planned again with whatever else its gang lacks.
    pub(super) fn member_failed(&mut self, key: PodKey, now: Time) {
        let Some(uid) = self.pods.get(&key).map(|pod| pod.reference.uid.clone()) else {
            return;
        };
        self.queue.return_member(key);
        if let Some(id) = self.gangs.table.relocate(&uid, Place::Waiting(key)) {
            self.gang_changed(id, News::NoHelp, now);
            if let Some(unit) = self.gangs.table.get(id).map(|gang| gang.unit) {
                self.queue.fail_gang(unit, now);
            }
        }
    }

    // === What follows ===

    /// Something about the gang has changed: whether it may be tried, and what is to be told of it.
    pub(super) fn gang_changed(&mut self, id: GangId, news: News, now: Time) {
        self.review_permissions(id, now);
        let Some(gang) = self.gangs.table.get(id) else {
            return;
        };
        let unit = gang.unit;
        let ready = gang.readiness() == Readiness::Ready;
        let waits = gang.counts().waiting() > 0;
        let priority = gang.counts().priorities().next_back().unwrap_or(0);
        let repair = gang.wants_repair();
        let refused = self
            .gangs
            .pages
            .get(&id)
            .and_then(|page| page.asked.as_ref());
        let asks_anew = refused.is_some_and(|asked| *asked != Asked::by(gang));
        let may_help = news == News::MayHelp || asks_anew;
        let page = self.gangs.page(id);
        if may_help {
            // What it is told the next time is about another gang than the last time.
            (page.room, page.asked) = (None, None);
        }
        if waits {
            let since = *page.since.get_or_insert(now);
            if ready {
                let order = (priority, repair, since);
                self.queue.put_gang(unit, order, may_help);
            }
        } else {
            page.since = None;
            page.overdue = false;
            page.refusal = None;
            page.hopeless = false;
        }
        if !ready || !waits {
            self.queue.remove(unit);
            self.preemptions.forget(unit);
            // While objects are listed a gang is only not whole yet.
            if self.synced {
                self.release_room(id, now);
            }
            self.gangs.by_topology.remove(&id);
            self.gangs.by_budget.remove(&id);
        }
        self.gangs.page(id).changed = now;
        self.gangs.tell_at(id, now + SETTLE);
        self.gangs.release(id);
        if self.gangs.head.as_ref().is_some_and(|head| head.gang == id) {
            self.find_head(now);
        }
    }

    /// Everything was listed: gangs that cannot be tried keep no room that was made for them.
    pub(super) fn release_untried(&mut self, now: Time) {
        let untried = |(id, gang): (GangId, &Gang)| {
            let ready = gang.readiness() == Readiness::Ready;
            (!ready).then_some(id)
        };
        let untried: Vec<GangId> = self.gangs.table.iter().filter_map(untried).collect();
        for id in untried {
            self.release_room(id, now);
        }
    }

    /// It is to be looked at again when it has waited for too long.
    fn watch_for_timeout(&mut self, id: GangId, timeout: Duration, now: Time) {
        let patience = self.patience_with(id);
        let page = self.gangs.page(id);
        let Some(since) = page.since else {
            return;
        };
        let overdue = (!page.overdue).then_some(since + timeout);
        let head = patience.map(|patience| since + patience);
        for time in [overdue, head].into_iter().flatten() {
            if time > now {
                self.gangs.tell_at(id, time);
            }
        }
    }

    /// A node came, or its labels changed: gangs that need a domain may have one now.
    pub(super) fn wake_gangs_by_topology(&mut self, event: EventKind) {
        for id in std::mem::take(&mut self.gangs.by_topology) {
            if let Some(unit) = self.gangs.table.get(id).map(|gang| gang.unit) {
                self.queue.wake_gang(unit, Cause::Event(event));
            }
        }
    }

    /// A budget may let pods go now that it kept from making room for gangs.
    pub(super) fn wake_gangs_by_budget(&mut self) {
        for id in std::mem::take(&mut self.gangs.by_budget) {
            if let Some(unit) = self.gangs.table.get(id).map(|gang| gang.unit) {
                self.queue.wake_gang(unit, Cause::PodAdd);
            }
        }
    }
}

impl Gang {
    fn timeout(&self) -> Duration {
        let object = self.object.as_ref();
        object.map_or(crate::model::DEFAULT_TIMEOUT, |object| object.timeout)
    }
}

fn new_key(next: &mut u64) -> PodKey {
    let key = PodKey(*next);
    *next += 1;
    key
}
