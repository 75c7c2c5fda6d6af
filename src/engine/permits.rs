//! Pods that are placed and wait for permission: they take their room meanwhile. Members of a gang
//! wait for each other as well, so that their binds leave together.

use std::collections::BTreeSet;
use std::time::Duration;

use super::failure::Failure;
use super::{Engine, Nomination, Time};
use crate::cluster::{NodeId, PlacedId};
use crate::framework::{
    MAX_PERMIT_WAIT, PermitWait, PluginIndex, PluginSet, ReasonCounts, Verdict,
};
use crate::gang::{GangId, Member, Place};
use crate::model::GroupRef;
use crate::queue::PodKey;
use crate::telemetry::metrics::Status;

/// A pod that waits for permission.
#[derive(Clone, Debug)]
pub(super) struct Permission {
    pub(super) placed: PlacedId,
    pub(super) node: NodeId,
    /// When the cycle began, for metrics.
    pub(super) started: f64,
    /// When it began to wait, for metrics.
    asked: f64,
    /// The plugins that have not spoken yet, how long each may take, and until when.
    plugins: Vec<(PluginIndex, Duration, Time)>,
}

impl Engine {
    /// Takes in what a Permit plugin says of a pod that it lets wait. Upstream: `WaitingPod.Allow`
    /// and `WaitingPod.Reject`.
    pub fn permit(&mut self, verdict: &Verdict, now: Time) {
        let Some(&key) = self.by_uid.get(&verdict.uid) else {
            return;
        };
        let Some(pod) = self.pods.get_mut(&key) else {
            return;
        };
        let Some(permission) = &mut pod.permission else {
            return;
        };
        let profile = &self.profiles[pod.profile].profile;
        let held = permission.plugins.iter();
        let named = |plugin: PluginIndex| profile.plugin(plugin).name() == &*verdict.plugin;
        let Some(place) = held.clone().position(|(plugin, _, _)| named(*plugin)) else {
            return;
        };
        let (plugin, _, _) = permission.plugins.remove(place);
        match &verdict.refusal {
            Some(reason) => self.not_permitted(key, plugin, reason, now),
            None => self.permitted(key, now),
        }
    }

    /// Refuses the pods for which some plugin has taken too long.
    pub(super) fn expire_permits(&mut self, now: Time) {
        while let Some(&(time, key)) = self.permit_limits.first()
            && time <= now
        {
            self.permit_limits.pop_first();
            let permission = self.pods.get(&key).and_then(|pod| pod.permission.as_ref());
            let late = permission.and_then(|permission| {
                let mut plugins = permission.plugins.iter();
                plugins.find(|(_, _, limit)| *limit <= now).copied()
            });
            let Some((plugin, limit, _)) = late else {
                continue;
            };
            let Some(profile) = self.pods.get(&key).map(|pod| pod.profile) else {
                continue;
            };
            let name = self.profiles[profile].profile.plugin(plugin).name();
            let limit = go_duration(limit);
            let reason = format!("rejected due to timeout after waiting {limit} at plugin {name}");
            self.not_permitted(key, plugin, &reason, now);
        }
    }

    /// The pod is placed and waits for these plugins.
    pub(super) fn await_permission(
        &mut self,
        key: PodKey,
        (node, placed): (NodeId, PlacedId),
        waits: &[PermitWait],
        started: f64,
        now: Time,
    ) {
        let asked = (self.stopwatch)();
        let plugins: Vec<_> = (waits.iter())
            .map(|wait| {
                let limit = wait.limit.min(MAX_PERMIT_WAIT);
                (wait.plugin, limit, now + limit)
            })
            .collect();
        for (_, _, time) in &plugins {
            self.permit_limits.insert((*time, key));
        }
        if let Some(gang) = self.gang_of(key) {
            self.gangs.set_held(gang, key, true);
        }
        if let Some(pod) = self.pods.get_mut(&key) {
            pod.permission = Some(Permission {
                placed,
                node,
                started,
                asked,
                plugins,
            });
        }
    }

    /// One more plugin has agreed. When none is left the bind leaves, and that of a gang's member
    /// when none is left for any of them.
    fn permitted(&mut self, key: PodKey, now: Time) {
        let Some(pod) = self.pods.get(&key) else {
            return;
        };
        match self.gangs.table.of_member(&pod.reference.uid) {
            Some(gang) => self.review_permissions(gang, now),
            None if self.is_permitted(key) => self.bind_permitted(key),
            None => {}
        }
    }

    fn is_permitted(&self, key: PodKey) -> bool {
        let permission = self.pods.get(&key).and_then(|pod| pod.permission.as_ref());
        permission.is_some_and(|held| held.plugins.is_empty())
    }

    fn bind_permitted(&mut self, key: PodKey) {
        let Some(held) = self
            .pods
            .get_mut(&key)
            .and_then(|pod| pod.permission.take())
        else {
            return;
        };
        if let Some(gang) = self.gang_of(key) {
            self.gangs.set_held(gang, key, false);
        }
        let waited = (self.stopwatch)() - held.asked;
        self.metrics.permit_wait(Status::Success, waited);
        self.send_bind(key, held.node, held.placed, held.started);
    }

    /// Something has changed about a gang: the binds of its members leave once every one that was
    /// placed may, and all give their room back if the gang may not be bound as it is now.
    pub(super) fn review_permissions(&mut self, gang: GangId, now: Time) {
        let held = self.gangs.held(gang);
        if held.is_empty() {
            return;
        }
        if !self.may_bind(gang) {
            let text =
                "pod group is unschedulable, it is not as it was when its members were placed";
            self.take_all_back(held, text, now);
        } else if held.iter().all(|key| self.is_permitted(*key)) {
            for key in held {
                self.bind_permitted(key);
            }
        }
    }

    fn may_bind(&self, id: GangId) -> bool {
        let held = self.gangs.held(id);
        let Some(gang) = self.gangs.table.get(id) else {
            return false;
        };
        let counts = |key: &&PodKey| {
            let pod = self.pods.get(key);
            let member = pod.and_then(|pod| gang.member(&pod.reference.uid));
            member.is_some_and(Member::is_live)
        };
        gang.may_bind(held.iter().filter(counts).count())
    }

    pub(super) fn gang_of(&self, key: PodKey) -> Option<GangId> {
        self.gangs
            .table
            .of_member(&self.pods.get(&key)?.reference.uid)
    }

    /// A pod that is placed may wait for permission no longer if it is of another group now, since it
    /// was placed with the pods of the old one. Neither does a gang wait for one that is on its way
    /// out.
    pub(super) fn leave_held_gang(&mut self, key: PodKey, group: Option<&GroupRef>, now: Time) {
        let held = self.gang_of(key).and_then(|id| self.gangs.table.get(id));
        let before = held.map(|gang| &*gang.reference);
        let terminating = self.pods.get(&key).is_some_and(|pod| pod.terminating);
        let leaves = before != group || (terminating && before.is_some());
        if leaves && self.end_permission(key, now).is_some() {
            self.queue.return_member(key);
        }
    }

    fn not_permitted(&mut self, key: PodKey, plugin: PluginIndex, reason: &str, now: Time) {
        let Some(pod) = self.pods.get(&key) else {
            return;
        };
        let uid = pod.reference.uid.clone();
        self.metrics
            .permit_wait(Status::Unschedulable, self.waited(key));
        let mut counts = ReasonCounts::default();
        counts.add(reason.to_owned().into(), 1);
        let reasons = counts.text().unwrap_or_default();
        let mut plugins = PluginSet::default();
        plugins.insert(plugin);
        let failure = Failure {
            nomination: Nomination::Clear,
            ..Failure::rejected(format!("0/1 nodes are available: {reasons}."), plugins)
        };
        let Some(held) = self.end_permission(key, now) else {
            return;
        };
        if let Some(gang) = self.gangs.table.relocate(&uid, Place::Waiting(key))
            && !self.may_bind(gang)
        {
            // Without it the gang is too small, and then nobody goes.
            let others = self.gangs.held(gang);
            let text = format!("pod group is unschedulable, a member was refused: {reason}");
            self.take_all_back(others, &text, now);
        }
        self.failed(key, now, held.started, failure);
    }

    fn waited(&self, key: PodKey) -> f64 {
        let permission = self.pods.get(&key).and_then(|pod| pod.permission.as_ref());
        permission.map_or(0.0, |held| (self.stopwatch)() - held.asked)
    }

    /// A pod that waits for permission is preempted: it gives its room back and tries again. Upstream:
    /// `WaitingPod.Preempt`.
    pub(super) fn preempt_waiting(&mut self, key: PodKey, now: Time) {
        self.metrics.permit_wait(Status::Error, self.waited(key));
        if let Some(held) = self.end_permission(key, now) {
            let failure = Failure::error("waiting on permit for pod: preempted".to_owned());
            self.failed(key, now, held.started, failure);
        }
    }

    /// The node is gone: whoever waits for permission to be bound to it looks for another one.
    pub(super) fn take_back_from(&mut self, node: &str, now: Time) {
        let placed_there =
            |permission: &Permission| self.cluster.node_name(permission.node) == node;
        let waits = (self.pods.iter())
            .filter(|(_, pod)| pod.permission.as_ref().is_some_and(placed_there))
            .map(|(key, _)| *key)
            .collect();
        let text = format!("nodeinfo not found for node name \"{node}\"");
        self.take_all_back(waits, &text, now);
    }

    /// Placed pods give their room back and are refused.
    fn take_all_back(&mut self, keys: BTreeSet<PodKey>, text: &str, now: Time) {
        // All first: what is said of one of them is news about the gang, by which the rest is judged.
        let mut ended = Vec::new();
        for key in keys {
            let waited = self.waited(key);
            if let Some(held) = self.end_permission(key, now) {
                self.metrics.permit_wait(Status::Unschedulable, waited);
                if let Some(pod) = self.pods.get(&key) {
                    let place = Place::Waiting(key);
                    self.gangs.table.relocate(&pod.reference.uid, place);
                }
                ended.push((key, held.started));
            }
        }
        for (key, started) in ended {
            let failure = Failure::rejected(text.to_owned(), PluginSet::default());
            self.failed(key, now, started, failure);
        }
    }

    /// The pod waits for permission no longer and takes no room.
    pub(super) fn end_permission(&mut self, key: PodKey, now: Time) -> Option<Permission> {
        let held = self.pods.get_mut(&key)?.permission.take()?;
        if let Some(gang) = self.gang_of(key) {
            self.gangs.set_held(gang, key, false);
        }
        self.unreserve(key, held.node);
        self.forget(held.placed, now);
        Some(held)
    }

    /// What plugins booked for the pod is given back.
    pub(super) fn unreserve(&mut self, key: PodKey, node: NodeId) {
        let Some(pod) = self.pods.get(&key) else {
            return;
        };
        if let Some((_, shape)) = self.classes.get(pod.class) {
            let profile = &self.profiles[pod.profile].profile;
            profile.unreserve(shape, node, &self.cluster);
        }
    }
}

/// A duration in whole seconds and below as Go writes it: `1m0s`, `1.5s`.
fn go_duration(duration: Duration) -> String {
    let nanoseconds = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    crate::config::go_duration(nanoseconds)
}
