//! One pod's scheduling cycle: filter, score, choose, assume, send. Source:
//! `pkg/scheduler/schedule_one.go`.

use std::sync::Arc;

use super::failure::Failure;
use super::preempting::PostFiltered;
use super::waiting::Binding;
use super::{Action, Awaited, Engine, EventKind, Nomination, ProfileState};
use crate::cluster::{NodeId, PlacedId};
use crate::framework::{Choice, Evaluation, Incoming, PluginSet, ReasonCounts};
use crate::model::{PodShape, Time};
use crate::queue::{Attempt, PodKey};
use crate::telemetry::metrics::{ExtensionPoint, Status};

impl Engine {
    pub(super) fn cycle(&mut self, key: PodKey, now: Time, mut attempt: Attempt) {
        let (started, begin) = (attempt.started, (self.stopwatch)());
        self.unmark(key);
        let Some(pod) = self.pods.get(&key) else {
            return;
        };
        let (profile, class, peers) = (pod.profile, pod.class, pod.peers);
        if pod.terminating {
            self.skip_terminating(key, now);
            return;
        }
        if self.cluster.node_count() == 0 {
            self.failed(key, now, started, Failure::no_nodes());
            return;
        }
        if let Some(text) = self.pod_behind_head(key) {
            let failure = Failure::rejected(text, PluginSet::default());
            self.failed(key, now, started, failure);
            return;
        }
        let Some((_, shape)) = self.classes.get(class) else {
            return;
        };
        self.cluster.prepare(peers);
        let shape = Arc::clone(shape);
        let incoming = Incoming {
            shape: &shape,
            peers,
        };
        let mut evaluation = self.classes.lend(class);
        let choice = self.place(key, profile, incoming, &mut evaluation);
        let took = (self.stopwatch)() - begin;
        let mut found = PostFiltered::default();
        if let Ok(None) = choice {
            found = self.post_filter(key, profile, incoming, &evaluation, &mut attempt, now);
        }
        if found.unfinished {
            self.classes.give_back(class, evaluation);
            self.queue.suspend(key, attempt);
            return;
        }
        self.metrics.algorithm(took);
        match choice {
            Ok(Some(choice)) => {
                self.explain(profile, incoming, &evaluation, choice);
                self.classes.give_back(class, evaluation);
                self.commit(key, &shape, choice, now, started);
            }
            Ok(None) => {
                let failure = self.unschedulable(profile, &evaluation, found);
                self.classes.give_back(class, evaluation);
                self.failed(key, now, started, failure);
            }
            Err(error) => {
                self.classes.give_back(class, evaluation);
                self.failed(key, now, started, Failure::error(error));
            }
        }
    }

    /// Finds the best node; an error when a plugin cannot read the pod.
    fn place(
        &mut self,
        key: PodKey,
        profile: usize,
        incoming: Incoming<'_>,
        evaluation: &mut Evaluation,
    ) -> Result<Option<Choice>, String> {
        let Self {
            cluster,
            pods,
            profiles,
            nominator,
            stopwatch,
            ..
        } = self;
        let Some(pod) = pods.get(&key) else {
            return Ok(None);
        };
        let state = &profiles[profile];
        // The room that preemption made for this pod is on its nominated node, so that this one is
        // taken if it fits, without comparing it to others.
        let own = nominator.before_on_own(key, pod.priority, pods, cluster);
        if let Some((node, nominated)) = &own
            && (state.profile).fits_own_nomination(incoming, cluster, *node, nominated)
        {
            return Ok(Some(Choice {
                node: *node,
                total: 0,
                feasible: 1,
            }));
        }
        let nominated = nominator.before(|other| other == key, pod.priority, pods, cluster);
        let begin = stopwatch();
        evaluation.filter(&state.profile, incoming, cluster);
        if let Some(error) = evaluation.error() {
            let took = stopwatch() - begin;
            (state.metrics).extension_point(ExtensionPoint::PreFilter, Status::Error, took);
            return Err(error.to_owned());
        }
        evaluation.yield_to(&state.profile, incoming, cluster, &nominated);
        let filtered = stopwatch();
        let found = !evaluation.feasible().is_empty();
        let status = if found {
            Status::Success
        } else {
            Status::Unschedulable
        };
        state
            .metrics
            .extension_point(ExtensionPoint::Filter, status, filtered - begin);
        count_filters(state, evaluation.skipped());
        if !found {
            if let Some((node, _)) = own {
                let profile = &state.profile;
                evaluation.refuse_own_nomination(profile, incoming, cluster, node, &nominated);
            }
            return Ok(None);
        }
        let choice = if evaluation.feasible().is_at_most(1) {
            (evaluation.feasible().iter().next()).map(|node| Choice {
                node,
                total: 0,
                feasible: 1,
            })
        } else {
            evaluation.score(&state.profile, incoming, cluster);
            if let Some(error) = evaluation.error() {
                let took = stopwatch() - filtered;
                (state.metrics).extension_point(ExtensionPoint::PreScore, Status::Error, took);
                return Err(error.to_owned());
            }
            for index in evaluation.scored().iter() {
                state.plugins[index.index()].evaluated(ExtensionPoint::Score, 1);
            }
            evaluation.choose(cluster, pod.hash ^ self.seed)
        };
        let scored = stopwatch();
        state
            .metrics
            .extension_point(ExtensionPoint::Score, Status::Success, scored - filtered);
        Ok(choice)
    }

    /// Assumes the pod on its node and lets the bind leave, unless Reserve or Permit object or let it
    /// wait.
    fn commit(&mut self, key: PodKey, shape: &PodShape, choice: Choice, now: Time, started: f64) {
        let Some(pod) = self.pods.get(&key) else {
            return;
        };
        let state = &self.profiles[pod.profile];
        let permitted =
            (state.profile).reserve_and_permit(&pod.reference, shape, choice.node, &self.cluster);
        let waits = match permitted {
            Ok(waits) => waits,
            Err((plugins, reason)) => {
                let mut counts = ReasonCounts::default();
                counts.add(reason.into(), 1);
                let reasons = counts.text().unwrap_or_default();
                let message = format!("0/1 nodes are available: {reasons}.");
                let failure = Failure {
                    nomination: Nomination::Clear,
                    ..Failure::rejected(message, plugins)
                };
                self.failed(key, now, started, failure);
                return;
            }
        };
        let placed = self.cluster.assume(
            &pod.reference,
            pod.priority,
            &pod.placed,
            pod.peers,
            choice.node,
        );
        if waits.is_empty() {
            self.send_bind(key, choice.node, placed, started);
        } else {
            self.await_permission(key, (choice.node, placed), &waits, started, now);
        }
    }

    /// Lets the bind of an assumed pod leave.
    pub(super) fn send_bind(&mut self, key: PodKey, node: NodeId, placed: PlacedId, started: f64) {
        let Some(pod) = self.pods.get(&key) else {
            return;
        };
        let node: Arc<str> = self.cluster.node_name(node).into();
        let reference = Arc::clone(&pod.reference);
        let sent = (self.stopwatch)();
        let id = self.effect(
            reference,
            Action::Bind {
                node: Arc::clone(&node),
            },
        );
        self.awaited.insert(id, Awaited::Bind(key));
        self.nominator.remove(key);
        self.end_wave(key);
        self.preemptions.forget(key);
        if let Some(pod) = self.pods.get_mut(&key) {
            pod.binding = Some(Binding {
                placed,
                node,
                started,
                sent,
                gone: false,
            });
        }
    }

    /// Why nothing took the pod, in kube-scheduler's words.
    fn unschedulable(
        &self,
        profile: usize,
        evaluation: &Evaluation,
        answer: PostFiltered,
    ) -> Failure {
        let state = &self.profiles[profile];
        let mut message = format!("0/{} nodes are available:", self.cluster.node_count());
        if let Some(reasons) = evaluation.reasons(&state.profile, &self.cluster) {
            message.push(' ');
            message.push_str(&reasons);
            message.push('.');
        }
        if !answer.words.is_empty() {
            message.push(' ');
            message.push_str(&answer.words);
        }
        Failure {
            nomination: answer.nomination,
            preempts: answer.preempts,
            ..Failure::rejected(message, evaluation.rejectors())
        }
    }

    fn skip_terminating(&mut self, key: PodKey, now: Time) {
        if let Some(pod) = self.pods.get(&key) {
            let note = format!("skip schedule deleting pod: {}", pod.reference);
            self.pod_event(key, EventKind::FailedScheduling, note.into());
        }
        self.give_up(key, now);
    }

    /// The pod is no longer counted as waiting because of its rejectors.
    pub(super) fn unmark(&mut self, key: PodKey) {
        let rejectors = self.queue.take_rejectors(key);
        if let Some(pod) = self.pods.get(&key) {
            for plugin in rejectors.iter() {
                self.profiles[pod.profile].plugins[plugin.index()].unschedulable(-1);
            }
        }
    }
}

fn count_filters(state: &ProfileState, skipped: PluginSet) {
    let asked = state.profile.filters().map(|(index, _)| index);
    for index in asked.filter(|index| !skipped.contains(*index)) {
        state.plugins[index.index()].evaluated(ExtensionPoint::Filter, 1);
    }
}
