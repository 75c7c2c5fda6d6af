//! Whom events wake.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::changes::less;
use super::classes::ClassTable;
use super::{Engine, ProfileState, Stopwatch};
use crate::cluster::{Cluster, PeerId};
use crate::framework::{AssignedPod, ClusterEvent, EventKind, Incoming, PluginSet, Profile, Topic};
use crate::model::{PlacedPod, PodShape, Time};
use crate::queue::{Audience, WaitGroup};
use crate::telemetry::metrics::{Hint, Metrics, QueueingHintMetrics};

/// How long hints took, with one handle for each plugin and kind of event.
pub(super) struct HintTimes {
    metrics: Arc<Metrics>,
    handles: FxHashMap<(&'static str, EventKind), QueueingHintMetrics>,
}

impl HintTimes {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        let handles = FxHashMap::default();
        Self { metrics, handles }
    }

    fn executed(&mut self, plugin: &'static str, event: EventKind, helps: bool, seconds: f64) {
        let make = || self.metrics.queueing_hint(plugin, event.label());
        let handle = self.handles.entry((plugin, event)).or_insert_with(make);
        let answer = if helps { Hint::Queue } else { Hint::QueueSkip };
        handle.executed(answer, seconds);
    }
}

/// A pod that was counted on its nominated node and is not any more.
pub(super) struct EndedNomination {
    pub(super) node: Box<str>,
    pub(super) pod: PlacedPod,
    pub(super) peers: PeerId,
    pub(super) priority: i32,
}

impl Engine {
    /// Tells the waiting pods what happened.
    pub(super) fn wake(&mut self, event: &ClusterEvent<'_>, now: Time) {
        self.wake_but(false, event, now);
    }

    /// The same, perhaps but those that wait for their own victims to go.
    pub(super) fn wake_but(&mut self, held: bool, event: &ClusterEvent<'_>, now: Time) {
        let audience = Audience {
            but_held: held,
            ..Audience::up_to(i32::MAX)
        };
        self.wake_those(audience, event, now);
    }

    fn wake_those(&mut self, audience: Audience, event: &ClusterEvent<'_>, now: Time) {
        let started = (self.stopwatch)();
        let kind = event.kind();
        if self.heeded.contains(kind) && !self.queue.nobody_listens() {
            let topics = Topic::of(event, &self.cluster);
            #[cfg(test)]
            self.nobody_else_is_helped(event, &topics);
            self.queue.wake(kind, &topics, audience, now, |group| {
                let asked = asked(&self.profiles, &self.classes, group);
                asked.is_some_and(|asked| {
                    asked.helped_by(event, &self.cluster, &mut self.hints, &self.stopwatch)
                })
            });
        }
        self.events.handled(kind, (self.stopwatch)() - started);
    }

    /// The pod is not nominated any more: those that had to leave room for it hear of it as if a
    /// pod had been deleted there. Source: `updatePodInSchedulingQueue`.
    pub(super) fn nomination_ended(&mut self, ended: &EndedNomination, now: Time) {
        let Some(node) = self.cluster.node_id(&ended.node) else {
            return;
        };
        let gone = AssignedPod {
            pod: &ended.pod,
            peers: ended.peers,
            node,
        };
        let event = ClusterEvent::AssignedPodDelete(gone);
        // A preemptor whose nomination moved is not its own audience.
        let audience = Audience {
            but_held: true,
            ..Audience::up_to(ended.priority)
        };
        self.wake_those(audience, &event, now);
    }

    /// Whether the event can help the pods of this group.
    pub(super) fn helps(&mut self, event: &ClusterEvent<'_>, group: &WaitGroup) -> bool {
        let asked = asked(&self.profiles, &self.classes, group);
        asked.is_some_and(|asked| {
            asked.helped_by(event, &self.cluster, &mut self.hints, &self.stopwatch)
        })
    }
}

/// A group that is asked about.
pub(super) struct Asked<'a> {
    pub(super) profile: &'a Profile,
    pub(super) rejectors: PluginSet,
    pub(super) pod: Incoming<'a>,
}

pub(super) fn asked<'a>(
    profiles: &'a [ProfileState],
    classes: &'a ClassTable,
    group: &WaitGroup,
) -> Option<Asked<'a>> {
    let (profile, shape) = classes.get(group.class)?;
    Some(Asked {
        profile: &profiles.get(profile)?.profile,
        rejectors: group.rejectors,
        pod: Incoming {
            shape,
            peers: group.peers,
        },
    })
}

impl Asked<'_> {
    fn helped_by(
        &self,
        event: &ClusterEvent<'_>,
        cluster: &Cluster,
        times: &mut HintTimes,
        stopwatch: &Stopwatch,
    ) -> bool {
        let heard = |index: &_| self.profile.events(*index).contains(event.kind());
        self.rejectors.iter().filter(heard).any(|index| {
            let plugin = self.profile.plugin(index);
            let started = stopwatch();
            let helps = plugin.hint(event, self.pod, cluster);
            times.executed(plugin.name(), event.kind(), helps, stopwatch() - started);
            helps
        })
    }
}

/// What the pods of a group listen to.
pub(super) fn topics(
    profiles: &[ProfileState],
    classes: &ClassTable,
    cluster: &Cluster,
    group: &WaitGroup,
) -> Vec<Topic> {
    let asked = asked(profiles, classes, group);
    asked.map_or_else(Vec::new, |asked| {
        asked.profile.topics(asked.rejectors, asked.pod, cluster)
    })
}

/// What changed about the waiting pod itself. Source: `framework.PodSchedulingPropertiesChange`.
pub(super) fn target_changes(
    old: &PodShape,
    new: &PodShape,
    relabelled: bool,
    ungated: bool,
) -> Vec<EventKind> {
    let told = [
        (relabelled, EventKind::TargetPodLabel),
        (
            less(&old.wanted, &new.wanted),
            EventKind::TargetPodScaleDown,
        ),
        (less(&new.wanted, &old.wanted), EventKind::TargetPodScaleUp),
        (ungated, EventKind::TargetPodGatesEliminated),
        (
            old.tolerations.len() != new.tolerations.len(),
            EventKind::TargetPodToleration,
        ),
    ];
    let changes = told.into_iter().filter(|(changed, _)| *changed);
    let mut changes: Vec<_> = changes.map(|(_, kind)| kind).collect();
    if changes.is_empty() {
        changes.push(EventKind::TargetPodUpdate);
    }
    changes
}
