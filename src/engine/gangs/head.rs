//! The head of the line: a gang that has waited for too long is served before all that is not of a
//! higher priority and asks for the same devices, so that small pods do not take for ever what it
//! needs at once. What asks for other things goes on meanwhile.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::Engine;
use crate::gang::{GangId, Readiness};
use crate::model::{GroupRef, PodShape, Time};
use crate::queue::PodKey;

/// The gang at the head of the line.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) gang: GangId,
    reference: Arc<GroupRef>,
    priority: i32,
    since: Time,
    /// The devices that it asks for; without any, everything is kept for it.
    devices: BTreeSet<Box<str>>,
    /// Who stands behind it and is told when it is gone.
    behind: BTreeSet<PodKey>,
}

impl Head {
    fn contests(&self, shape: &PodShape) -> bool {
        let mut asked = shape.wanted.asked_scalars();
        self.devices.is_empty() || asked.any(|(name, _)| self.devices.contains(name))
    }

    fn text(&self) -> String {
        format!(
            "gang {} has waited for longer and is served first",
            self.reference
        )
    }
}

impl Engine {
    /// How long the gang waits before it is the head of the line; None for ever.
    pub(super) fn patience_with(&self, id: GangId) -> Option<Duration> {
        let first = self.gangs.table.get(id)?.pending().next()?;
        let profile = self.pods.get(&first)?.profile;
        self.profiles[profile].profile.gangs?.patience
    }

    /// Finds the gang that is at the head of the line now: of those that have waited for too long
    /// and could fit, the first one.
    pub(super) fn find_head(&mut self, now: Time) {
        let waits = |(id, page): (&GangId, &super::Page)| {
            let since = page.since?;
            let gang = self.gangs.table.get(*id)?;
            // One that runs whole wants more of its pods as any other pod is wanted.
            let wanting = gang.readiness() == Readiness::Ready && !gang.is_whole();
            if !wanting
                || page.refusal.is_none()
                || page.hopeless
                || now < since + self.patience_with(*id)?
            {
                return None;
            }
            let priority = gang.counts().priorities().next_back()?;
            Some((Reverse(priority), since, gang.unit, *id))
        };
        let first = self.gangs.pages.iter().filter_map(waits).min();
        let found = first.and_then(|(Reverse(priority), since, _, id)| {
            let gang = self.gangs.table.get(id)?;
            Some(Head {
                gang: id,
                reference: Arc::clone(&gang.reference),
                priority,
                since,
                devices: self.devices_of(gang.pending()),
                behind: BTreeSet::new(),
            })
        });
        let told = |head: &Head| (head.gang, head.priority, head.since, head.devices.clone());
        if found.as_ref().map(told) == self.gangs.head.as_ref().map(told) {
            return;
        }
        let before = std::mem::replace(&mut self.gangs.head, found);
        if let Some(head) = &self.gangs.head
            && before
                .as_ref()
                .is_none_or(|before| before.gang != head.gang)
        {
            tracing::info!(gang = %head.reference, "this gang has waited for long; it is served before others now");
        }
        for key in before.into_iter().flat_map(|head| head.behind) {
            self.queue.retry(key);
        }
    }

    fn devices_of(&self, members: impl Iterator<Item = PodKey>) -> BTreeSet<Box<str>> {
        let mut devices = BTreeSet::new();
        for key in members {
            let class = self
                .pods
                .get(&key)
                .and_then(|pod| self.classes.get(pod.class));
            let asked = (class.into_iter()).flat_map(|(_, shape)| shape.wanted.asked_scalars());
            for (name, _) in asked {
                if !devices.contains(name) {
                    devices.insert(name.into());
                }
            }
        }
        devices
    }

    /// Why a pod has to wait for the head of the line, if it has to.
    pub(in crate::engine) fn pod_behind_head(&mut self, key: PodKey) -> Option<String> {
        let head = self.gangs.head.as_mut()?;
        let pod = self.pods.get(&key)?;
        let (_, shape) = self.classes.get(pod.class)?;
        if pod.priority > head.priority || !head.contests(shape) {
            return None;
        }
        head.behind.insert(key);
        Some(head.text())
    }

    /// Why a gang has to wait for the head of the line, if it has to. One that repairs itself has
    /// its place already.
    pub(super) fn gang_behind_head(&mut self, id: GangId, members: &[PodKey]) -> Option<String> {
        let head = self.gangs.head.as_mut()?;
        let gang = self.gangs.table.get(id)?;
        let priority = gang.counts().priorities().next_back()?;
        if head.gang == id || priority > head.priority || gang.wants_repair() {
            return None;
        }
        let since = self.gangs.pages.get(&id).and_then(|page| page.since);
        if priority == head.priority && since.is_some_and(|since| since < head.since) {
            return None;
        }
        let mut shapes = (members.iter())
            .filter_map(|key| self.classes.get(self.pods.get(key)?.class))
            .map(|(_, shape)| shape);
        if !shapes.any(|shape| head.contests(shape)) {
            return None;
        }
        head.behind.insert(gang.unit);
        Some(head.text())
    }
}
