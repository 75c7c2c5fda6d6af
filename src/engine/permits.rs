//! Pods that are placed and wait for permission: they take their room meanwhile. Members of a gang
//! wait for each other as well, so that their binds leave together.

use std::time::Duration;

use super::failure::Failure;
use super::{Engine, Nomination, Time};
use crate::cluster::{NodeId, PlacedId};
use crate::framework::{
    MAX_PERMIT_WAIT, PermitWait, PluginIndex, PluginSet, ReasonCounts, Verdict,
};
use crate::gang::{GangId, Place};
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
            None => self.permitted(key),
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
    fn permitted(&mut self, key: PodKey) {
        let Some(pod) = self.pods.get(&key) else {
            return;
        };
        match self.gangs.table.of_member(&pod.reference.uid) {
            Some(gang) => self.release_gang(gang),
            None => {
                if pod
                    .permission
                    .as_ref()
                    .is_some_and(|held| held.plugins.is_empty())
                {
                    self.bind_permitted(key);
                }
            }
        }
    }

    fn bind_permitted(&mut self, key: PodKey) {
        let Some(held) = self
            .pods
            .get_mut(&key)
            .and_then(|pod| pod.permission.take())
        else {
            return;
        };
        let waited = (self.stopwatch)() - held.asked;
        self.metrics.permit_wait(Status::Success, waited);
        self.send_bind(key, held.node, held.placed, held.started);
    }

    /// The binds of a gang leave once every member that was placed may.
    pub(super) fn release_gang(&mut self, gang: GangId) {
        let waiting = self.waiting_for_permission(gang);
        let agreed = |key: &PodKey| {
            let permission = self.pods.get(key).and_then(|pod| pod.permission.as_ref());
            permission.is_some_and(|held| held.plugins.is_empty())
        };
        if waiting.iter().all(agreed) {
            for key in waiting {
                self.bind_permitted(key);
            }
        }
    }

    fn waiting_for_permission(&self, gang: GangId) -> Vec<PodKey> {
        let members = (self.gangs.table.get(gang))
            .into_iter()
            .flat_map(|gang| gang.members());
        let placed = members.filter_map(|(_, member)| match member.place {
            Place::Binding(key) => Some(key),
            _ => None,
        });
        let waits = |key: &PodKey| {
            self.pods
                .get(key)
                .is_some_and(|pod| pod.permission.is_some())
        };
        placed.filter(waits).collect()
    }

    fn not_permitted(&mut self, key: PodKey, plugin: PluginIndex, reason: &str, now: Time) {
        let Some(pod) = self.pods.get(&key) else {
            return;
        };
        let gang = self.gangs.table.of_member(&pod.reference.uid);
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
        self.take_back(key, failure, now);
        let Some(gang) = gang else {
            return;
        };
        // Without it the gang may be too small, and then nobody goes.
        let too_small = (self.gangs.table.get(gang)).is_some_and(|gang| {
            !gang.was_met() && gang.counts().live() < gang.min().unwrap_or(1) as usize
        });
        if !too_small {
            self.release_gang(gang);
            return;
        }
        for other in self.waiting_for_permission(gang) {
            self.metrics
                .permit_wait(Status::Unschedulable, self.waited(other));
            let text = format!("pod group is unschedulable, a member was refused: {reason}");
            let failure = Failure::rejected(text, PluginSet::default());
            self.take_back(other, failure, now);
        }
    }

    fn waited(&self, key: PodKey) -> f64 {
        let permission = self.pods.get(&key).and_then(|pod| pod.permission.as_ref());
        permission.map_or(0.0, |held| (self.stopwatch)() - held.asked)
    }

    /// The pod is not permitted any more, whatever the plugins say.
    pub(super) fn refuse_permission(&mut self, key: PodKey, failure: Failure, now: Time) {
        self.metrics.permit_wait(Status::Error, self.waited(key));
        self.take_back(key, failure, now);
    }

    /// A placed pod gives its room back and is refused.
    fn take_back(&mut self, key: PodKey, failure: Failure, now: Time) {
        let Some(held) = self.end_permission(key, now) else {
            return;
        };
        self.failed(key, now, held.started, failure);
    }

    /// The pod waits for permission no longer and takes no room.
    pub(super) fn end_permission(&mut self, key: PodKey, now: Time) -> Option<Permission> {
        let held = self.pods.get_mut(&key)?.permission.take()?;
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
