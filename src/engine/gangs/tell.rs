//! Telling of gangs: conditions of their pods, statuses of their objects, events, each once.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::words;
use crate::engine::{
    About, Action, Awaited, ConditionReason, Engine, EventKind, GroupPhase, GroupStatus,
    Nomination, ObjectEvent,
};
use crate::gang::{Gang, GangId, Readiness, Refused};
use crate::model::{Membership, Time};
use crate::queue::PodKey;

impl Engine {
    /// Every gang, and how it fares now.
    pub fn gangs(&self) -> impl Iterator<Item = (&Gang, GroupStatus)> {
        self.gangs.table.iter().map(|(id, gang)| {
            let page = self.gangs.pages.get(&id);
            let refusal = page.and_then(|page| page.refusal.clone());
            (gang, status(gang, &gang.readiness(), refusal))
        })
    }

    /// Tells of the gangs whose time has come.
    pub(in crate::engine) fn tell_gangs(&mut self, now: Time) {
        let mut told = false;
        while let Some(id) = self.gangs.take_due(now) {
            self.tell_gang(id, now);
            told = true;
        }
        // It looks at every gang, so that it is asked once for all that were due.
        if told {
            self.find_head(now);
        }
    }

    /// Tells pods that name several groups which one counts. Only who leads tells anything, so that
    /// it is not done when such a pod comes.
    pub(in crate::engine) fn tell_ambiguous(&mut self) {
        for key in std::mem::take(&mut self.gangs.ambiguous) {
            let named = (self.pods.get(&key)).and_then(|pod| pod.membership.as_ref());
            if let Some(text) = named.and_then(Membership::contradiction) {
                self.gang_metrics.ambiguous();
                self.pod_event(key, EventKind::AmbiguousPodGroup, text.into());
            }
        }
    }

    fn tell_gang(&mut self, id: GangId, now: Time) {
        let Some(gang) = self.gangs.table.get(id) else {
            return;
        };
        let readiness = gang.readiness();
        let page = self.gangs.pages.get(&id);
        let refusal = page.and_then(|page| page.refusal.clone());
        if let (Readiness::Waits(_), Some(page)) = (&readiness, page) {
            let settled = page.changed + super::SETTLE;
            let patient = page
                .since
                .is_some_and(|since| now < since + super::PATIENCE);
            if now < settled && patient {
                // More of its pods may come at any moment, and each would have to be told anew.
                self.gangs.tell_at(id, settled);
                return;
            }
        }
        let status = status(gang, &readiness, refusal);
        let timeout = gang.timeout();
        match &readiness {
            Readiness::Waits(waits) => {
                let text: Arc<str> = words::waits(gang, waits).into();
                self.tell_waiting(id, ConditionReason::WaitingForPodGroup, &text);
            }
            Readiness::Invalid(invalid) => {
                let text: Arc<str> = invalid.to_string().into();
                self.tell_waiting(id, ConditionReason::SchedulerError, &text);
            }
            Readiness::Idle | Readiness::Ready => {}
        }
        let page = self.gangs.page(id);
        let overdue = !page.overdue && page.since.is_some_and(|since| now >= since + timeout);
        page.overdue |= overdue;
        if overdue {
            self.gang_metrics.overdue();
            let note = format!(
                "waits for longer than {} s: {}",
                timeout.as_secs(),
                status.message
            );
            self.group_event(id, EventKind::GangOverdue, note.into());
        }
        self.watch_for_timeout(id, timeout, now);
        self.tell_status(id, status);
    }

    fn tell_status(&mut self, id: GangId, status: GroupStatus) {
        let object = self.gangs.table.object(id);
        let uid: Box<str> =
            (object.as_ref()).map_or_else(Box::default, |object| object.uid.clone());
        let page = self.gangs.page(id);
        let told = (page.told.as_ref()).filter(|(object, _)| *object == uid);
        if told.is_some_and(|(_, told)| *told == status) {
            return;
        }
        // A group that was made before its pods has had nothing to say yet.
        let silent = |status: &GroupStatus| {
            status.phase == GroupPhase::Incomplete && status.message.is_empty()
        };
        let before = told
            .filter(|(_, told)| !silent(told))
            .map(|(_, told)| told.phase);
        page.told = Some((uid, status.clone()));
        if before != Some(status.phase) {
            let kind = match status.phase {
                GroupPhase::Incomplete if !status.message.is_empty() => {
                    Some(EventKind::WaitingForPodGroup)
                }
                GroupPhase::Invalid => Some(EventKind::FailedScheduling),
                GroupPhase::Degraded => Some(EventKind::GangDegraded),
                _ => None,
            };
            if let Some(kind) = kind {
                self.group_event(id, kind, Arc::clone(&status.message));
            }
            if status.phase == GroupPhase::Degraded {
                self.gang_metrics.partly_bound();
            }
        }
        if let Some(object) = object {
            let effect = self.effect_about(About::Group(object), Action::PatchGroup(status));
            self.awaited.insert(effect, Awaited::Group(id));
        }
    }

    /// What was not written is written again with the next change.
    pub(in crate::engine) fn group_status_failed(&mut self, id: GangId) {
        if let Some(page) = self.gangs.pages.get_mut(&id) {
            page.told = None;
        }
    }

    /// Tells every waiting member why it is not tried, and of an error also by an event.
    fn tell_waiting(&mut self, id: GangId, reason: ConditionReason, text: &Arc<str>) {
        let Some(gang) = self.gangs.table.get(id) else {
            return;
        };
        let members = gang.pending_in_order();
        let mut news = false;
        for &key in &members {
            news |= self.patch_condition(key, reason, text, Nomination::Keep);
        }
        let first = members.first().filter(|_| news);
        if let (Some(&key), ConditionReason::SchedulerError) = (first, reason) {
            self.pod_event(key, EventKind::FailedScheduling, Arc::clone(text));
        }
    }

    /// Tells members of a refused gang and the group: everybody by condition, and by event one of
    /// those who are told the same.
    pub(super) fn tell_refusal(
        &mut self,
        id: GangId,
        members: &[PodKey],
        refused: &Refused,
        preemption: &str,
        now: Time,
    ) {
        let Some(gang) = self.gangs.table.get(id) else {
            return;
        };
        let texts = self.words_for_refusal(gang, members, refused, preemption);
        self.tell_members(&texts.members);
        self.group_event(id, EventKind::FailedScheduling, texts.group.into());
        let page = self.gangs.page(id);
        page.refusal = Some(texts.status.into());
        page.hopeless = texts.hopeless;
        self.gangs.tell_at(id, now + super::SETTLE);
    }

    /// Tells members why they were not placed: everybody by condition, and by event one of those who
    /// are told the same.
    pub(super) fn tell_members(&mut self, texts: &[(PodKey, ConditionReason, String)]) {
        let mut told = BTreeSet::new();
        for (key, reason, text) in texts {
            let text: Arc<str> = text.as_str().into();
            let nomination = self.nomination_to_tell(*key);
            self.patch_condition(*key, *reason, &text, nomination);
            if told.insert(Arc::clone(&text)) {
                self.pod_event(*key, EventKind::FailedScheduling, text);
            }
        }
    }

    fn group_event(&mut self, id: GangId, kind: EventKind, note: Arc<str>) {
        let Some(object) = self.gangs.table.object(id) else {
            return;
        };
        let event = ObjectEvent {
            kind,
            scheduler_name: self.scheduler_of(id),
            note,
            related: None,
            resource_version: object.version,
        };
        self.effect_about(About::Group(object), Action::Emit(event));
    }

    /// In whose name a gang is told of.
    fn scheduler_of(&self, id: GangId) -> Arc<str> {
        let named = (self.gangs.table.get(id))
            .and_then(|gang| gang.counts().scheduler_names().next().map(str::to_owned));
        let mut profiles = self.profiles.iter().map(|state| &state.profile.name);
        let of_gang = profiles
            .clone()
            .find(|name| Some(&***name) == named.as_deref());
        of_gang
            .or_else(|| profiles.next())
            .cloned()
            .unwrap_or_default()
    }
}

/// How a gang fares.
fn status(gang: &Gang, readiness: &Readiness, refusal: Option<Arc<str>>) -> GroupStatus {
    let counts = gang.counts();
    let min = gang.min().unwrap_or(1) as usize;
    let message = |text: String| -> Arc<str> { text.into() };
    let (phase, message) = if counts.bound() >= min {
        (GroupPhase::Scheduled, Arc::default())
    } else if counts.bound() > 0 && counts.binding() == 0 {
        let text = format!(
            "gang {}: {} of {min} members are bound",
            gang.reference,
            counts.bound()
        );
        (GroupPhase::Degraded, message(text))
    } else {
        match readiness {
            Readiness::Waits(waits) => (GroupPhase::Incomplete, message(words::waits(gang, waits))),
            Readiness::Invalid(invalid) => (GroupPhase::Invalid, message(invalid.to_string())),
            Readiness::Ready => (GroupPhase::Unschedulable, refusal.unwrap_or_default()),
            Readiness::Idle => (GroupPhase::Incomplete, Arc::default()),
        }
    };
    GroupStatus {
        phase,
        running: u32::try_from(counts.running()).unwrap_or(u32::MAX),
        message,
    }
}
