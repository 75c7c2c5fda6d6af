//! Preemption as it is carried out: victims are evicted, their room is held for the preemptor, and it
//! comes back when they are gone. Source: `framework/preemption/executor.go`.

mod hopeless;
mod waves;

use std::sync::Arc;

use super::{
    Action, Awaited, EffectId, Engine, EventKind, Evict, Finding, Nomination, ObjectEvent, Outcome,
};
use crate::cluster::PlacedId;
use crate::framework::{Evaluation, EventKind as ClusterEventKind, Incoming, PostFilter};
use crate::model::{PodGroup, PodRef, Time};
use crate::preemption::{self, Candidate, Preemptor, Progress, Surroundings, Verdict};
use crate::queue::{Attempt, Cause, PodKey};
use crate::telemetry::metrics::{ExtensionPoint, Preemptor as Beneficiaries, Status};
pub(super) use hopeless::Hopeless;
use hopeless::Question;
use waves::Execution;
pub(super) use waves::{Denied, Preemptions};

/// What a preemptor has waited for.
const VICTIM_GONE: Cause = Cause::Event(ClusterEventKind::AssignedPodDelete);

/// What PostFilter has to say.
#[derive(Clone, Debug, Default)]
pub(super) struct PostFiltered {
    /// What follows the reasons of the filters; empty for nothing.
    pub(super) words: String,
    pub(super) nomination: Nomination,
    /// What is to be done.
    pub(super) preempts: Option<Candidate>,
    /// Nothing yet: others have their turn first.
    pub(super) unfinished: bool,
}

/// For whom pods are evicted.
pub(super) struct Beneficiary {
    /// By what the queue knows it.
    pub(super) key: PodKey,
    pub(super) priority: i32,
    pub(super) scheduler_name: Arc<str>,
    pub(super) kind: Beneficiaries,
    /// By what it is told apart.
    pub(super) uid: Box<str>,
    /// The group's object.
    pub(super) group: Option<Arc<PodGroup>>,
    /// Where its pods go, each by its key.
    pub(super) nodes: Vec<(PodKey, Arc<str>)>,
    /// What events call the place: a node's name, or `cluster`.
    pub(super) place: Arc<str>,
}

/// An eviction under way.
#[derive(Clone, Debug)]
pub(super) struct UnderWay {
    preemptor: PodKey,
    victim: Arc<PodRef>,
    event: ObjectEvent,
}

impl Engine {
    /// Looks for pods whose room a pod could have that fits nowhere.
    pub(super) fn post_filter(
        &mut self,
        key: PodKey,
        profile: usize,
        incoming: Incoming<'_>,
        evaluation: &Evaluation,
        attempt: &mut Attempt,
        now: Time,
    ) -> PostFiltered {
        let state = &self.profiles[profile];
        let nothing = PostFiltered {
            nomination: Nomination::Clear,
            ..PostFiltered::default()
        };
        // After a refusal by PreFilter upstream adds nothing of use here.
        let post_filter = state.profile.post_filter;
        if post_filter == PostFilter::Nothing {
            return nothing;
        }
        if post_filter == PostFilter::Other || evaluation.rejection().is_some() {
            return PostFiltered::default();
        }
        if !self.may_evict {
            return nothing;
        }
        let begin = (self.stopwatch)();
        let mut progress = Progress::slice(self.slice, attempt.looked);
        let answer =
            self.look_for_victims((key, profile), incoming, evaluation, &mut progress, now);
        attempt.looked = progress.looked();
        attempt.searched += (self.stopwatch)() - begin;
        if answer.unfinished {
            return answer;
        }
        let status = if answer.preempts.is_some() {
            Status::Success
        } else {
            Status::Unschedulable
        };
        let took = attempt.searched;
        let metrics = &self.profiles[profile].metrics;
        metrics.extension_point(ExtensionPoint::PostFilter, status, took);
        (self.preemption_metrics).attempt(Beneficiaries::Pod, status, took);
        answer
    }

    fn look_for_victims(
        &mut self,
        (key, profile): (PodKey, usize),
        incoming: Incoming<'_>,
        evaluation: &Evaluation,
        progress: &mut Progress,
        now: Time,
    ) -> PostFiltered {
        let ineligible = |why: &str| PostFiltered {
            words: format!("preemption: {why}"),
            ..PostFiltered::default()
        };
        let Some(pod) = self.pods.get(&key) else {
            return PostFiltered::default();
        };
        if pod.info.never_preempts {
            return ineligible(preemption::NEVER);
        }
        let nominated_node =
            (self.nominator.node_of(key)).and_then(|node| self.cluster.node_id(node));
        if let Some(node) = nominated_node {
            let rejected = evaluation.rejected().contains(node);
            let gangs = &self.gangs.table;
            // If the node is out of the question by now another one may be cleared. Source:
            // `PodEligibleToPreemptOthers`.
            if rejected
                && !evaluation.is_unresolvable(node)
                && (self.preemptions.waits(key)
                    || preemption::has_leaving_victims(&self.cluster, gangs, node, pod.priority))
            {
                return ineligible(preemption::ONGOING);
            }
        }
        let hopeless = |why: &str| PostFiltered {
            words: format!("preemption: {why}"),
            nomination: Nomination::Clear,
            ..PostFiltered::default()
        };
        // A pod that is nominated itself does not yield to that. What it would take is found out anew
        // for each pod.
        let alike = nominated_node.is_none() && !self.explained.wanted;
        let question = alike.then_some(Question {
            class: pod.class,
            peers: pod.peers,
            priority: pod.priority,
            position: self.cluster.changes().position(),
            nominations: self.nominator.revision(),
            news: self.news,
        });
        if let Some(why) = (question.as_ref()).and_then(|question| self.hopeless.answer(question)) {
            return hopeless(why);
        }
        let Self {
            cluster,
            pods,
            profiles,
            nominator,
            gangs,
            budgets,
            clearing,
            ..
        } = self;
        let Some(pod) = pods.get(&key) else {
            return PostFiltered::default();
        };
        let preemptor = Preemptor {
            pod: incoming,
            priority: pod.priority,
            nominated: &nominator.before(|other| other == key, pod.priority, pods, cluster),
            hash: pod.hash ^ self.seed,
        };
        let surroundings = Surroundings {
            gangs: &gangs.table,
            budgets,
        };
        let profile = &profiles[profile].profile;
        let found = preemption::search(
            cluster,
            profile,
            surroundings,
            &preemptor,
            evaluation,
            (clearing, progress),
        );
        #[cfg(test)]
        if found != Verdict::Unfinished {
            super::tests::is_as_anew(&found, |kept| {
                let (pod, seen) = (&preemptor, evaluation);
                preemption::search(cluster, profile, surroundings, pod, seen, kept)
            });
        }
        let candidate = match found {
            Verdict::Unfinished => {
                return PostFiltered {
                    unfinished: true,
                    ..PostFiltered::default()
                };
            }
            Verdict::Hopeless(why) => {
                if self.explained.wanted {
                    let more = preemption::what_it_would_take(
                        cluster,
                        profile,
                        surroundings,
                        &preemptor,
                        evaluation,
                    );
                    let reference = Arc::clone(&pod.reference);
                    let finding = more.map(|more| Finding::WouldTake(reference, more));
                    self.explained.findings.extend(finding);
                }
                if let Some(question) = question {
                    self.hopeless.keep(question, &why);
                }
                return hopeless(&why);
            }
            Verdict::Candidate(candidate) => candidate,
        };
        if let Err(denied) = self.preemptions.allow(key, now) {
            self.preemption_denied(key, &denied);
            return ineligible(&denied.to_string());
        }
        let node: Arc<str> = self.cluster.node_name(candidate.node).into();
        PostFiltered {
            words: format!(
                "preemption: found a potential placement for pod on node {node}, preempting {} victims",
                candidate.victims.len()
            ),
            nomination: Nomination::Set(node),
            preempts: Some(candidate),
            unfinished: false,
        }
    }

    /// A preemptor may not evict for now: once it has done so in vain too often that is told.
    pub(super) fn preemption_denied(&mut self, key: PodKey, denied: &Denied) {
        if let Denied::Often { told: false, .. } = denied {
            self.preemption_metrics.limited();
            self.pod_event(key, EventKind::PreemptionLimited, denied.to_string().into());
        }
    }

    /// A pod has been told that it does not fit: what was found out for it is done.
    pub(super) fn preempt_for_pod(&mut self, key: PodKey, candidate: &Candidate, now: Time) {
        let Some(pod) = self.pods.get(&key) else {
            return;
        };
        let node: Arc<str> = self.cluster.node_name(candidate.node).into();
        let beneficiary = Beneficiary {
            key,
            priority: pod.priority,
            scheduler_name: Arc::clone(&self.profiles[pod.profile].profile.name),
            kind: Beneficiaries::Pod,
            uid: pod.reference.uid.clone(),
            group: None,
            nodes: vec![(key, Arc::clone(&node))],
            place: node,
        };
        (self.preemption_metrics).decided(
            Beneficiaries::Pod,
            candidate.victims.len(),
            candidate.violations,
            0,
        );
        let reference = Arc::clone(&pod.reference);
        let preemptor = (&*reference.namespace, &*reference.name);
        let (victims, violations) = (&candidate.victims, candidate.violations);
        self.explain_preemption(preemptor, &beneficiary, victims, violations);
        self.carry_out(&beneficiary, &candidate.victims, now);
    }

    /// Evicts the victims and holds their room.
    pub(super) fn carry_out(&mut self, beneficiary: &Beneficiary, victims: &[PlacedId], now: Time) {
        self.end_lower_nominations(beneficiary, now);
        let key = beneficiary.key;
        let sent = (self.stopwatch)();
        let mut waits_for = Vec::new();
        let mut in_memory = Vec::new();
        for &victim in victims {
            let Some(record) = self.cluster.placed(victim) else {
                continue;
            };
            let reference = Arc::clone(&record.reference);
            let (version, eviction, peers) = (record.version, record.eviction, record.peers);
            let terminating = record.terminating;
            let note = format!(
                "Preempted by {} {} on node {}",
                beneficiary.kind.as_str(),
                beneficiary.uid,
                beneficiary.place
            );
            let event = |note: String| ObjectEvent {
                kind: EventKind::Preempted,
                scheduler_name: Arc::clone(&beneficiary.scheduler_name),
                note: note.into(),
                related: beneficiary.group.clone(),
                resource_version: version,
            };
            let waiting = self.by_uid.get(&reference.uid).copied();
            let asks = |key: &PodKey| {
                self.pods
                    .get(key)
                    .is_some_and(|pod| pod.permission.is_some())
            };
            if let Some(held) = waiting.filter(asks) {
                let event = event(format!("{note} (in kube-scheduler memory)."));
                self.effect(reference, Action::Emit(event));
                in_memory.push(held);
                continue;
            }
            waits_for.push(reference.uid.clone());
            if terminating {
                continue;
            }
            let evict = Evict {
                message: format!(
                    "{}: preempting to accommodate a higher priority {}",
                    beneficiary.scheduler_name,
                    beneficiary.kind.as_str()
                )
                .into(),
                observed_generation: eviction.generation,
            };
            let event = event(note);
            let labels = self.cluster.labels_of(peers);
            self.budgets.spend(&reference, labels);
            self.member_leaves(&reference.uid, true, now);
            let id = self.effect(Arc::clone(&reference), Action::Evict(evict));
            self.awaited.insert(id, Awaited::Eviction);
            let under_way = UnderWay {
                preemptor: key,
                victim: reference,
                event,
            };
            let execution = Execution {
                kind: beneficiary.kind,
                sent,
                unanswered: 0,
                failed: false,
            };
            self.preemptions.sent(id, under_way, execution);
        }
        let nothing_to_wait_for = waits_for.is_empty();
        self.preemptions.begin(key, waits_for, now);
        self.queue.hold(key, !nothing_to_wait_for);
        for held in in_memory {
            self.preempt_waiting(held, now);
        }
        if nothing_to_wait_for {
            self.queue.wake_now(key, VICTIM_GONE, now);
        }
    }

    /// Pods of lower priority that are nominated to the nodes look for other places.
    fn end_lower_nominations(&mut self, beneficiary: &Beneficiary, now: Time) {
        let mut nodes: Vec<&str> = (beneficiary.nodes.iter())
            .map(|(_, node)| &**node)
            .collect();
        nodes.sort_unstable();
        nodes.dedup();
        let lower = |key: &PodKey| {
            (self.pods.get(key)).is_some_and(|pod| pod.priority < beneficiary.priority)
        };
        let ended: Vec<PodKey> = (nodes.into_iter())
            .flat_map(|node| self.nominator.on(node).iter().copied())
            .filter(lower)
            .collect();
        for key in ended {
            self.end_wave(key);
            self.clear_nomination(key);
            let unit = self
                .queue
                .get(key)
                .and_then(|queued| queued.gang)
                .unwrap_or(key);
            self.queue
                .wake_now(unit, Cause::Event(ClusterEventKind::TargetPodUpdate), now);
        }
    }

    /// What became of an eviction.
    pub(super) fn eviction_answered(&mut self, id: EffectId, outcome: Outcome, now: Time) {
        let failed = matches!(outcome, Outcome::Failed(_));
        let Some((under_way, over)) = self.preemptions.answered(id, failed) else {
            return;
        };
        if let Some(execution) = over {
            let took = (self.stopwatch)() - execution.sent;
            (self.preemption_metrics).executed(execution.kind, !execution.failed, took);
        }
        match outcome {
            Outcome::Done => {
                self.preemptions.leaves(&under_way.victim.uid);
                self.effect(under_way.victim, Action::Emit(under_way.event));
            }
            // The watch will tell that it is gone.
            Outcome::PodGone => {}
            Outcome::Failed(text) => {
                let victim = &under_way.victim;
                tracing::warn!(%victim, reason = text, "this pod could not be evicted");
                self.victim_stays(victim, id, now);
            }
        }
    }

    /// A pod could not be evicted. Whoever leaves all the same is waited for before others are asked.
    fn victim_stays(&mut self, victim: &PodRef, eviction: EffectId, now: Time) {
        let placed = self.cluster.placed_by_uid(&victim.uid);
        let record = placed.and_then(|id| self.cluster.placed(id));
        if record.is_some_and(|record| record.terminating)
            || !self.preemptions.stays(&victim.uid, eviction)
        {
            return;
        }
        self.budgets.give_back(victim);
        let waiting = self.preemptions.gone(&victim.uid);
        self.member_leaves(&victim.uid, false, now);
        for (key, last) in waiting {
            if last {
                self.queue.hold(key, false);
                self.queue.wake_one(key, VICTIM_GONE, now);
            }
        }
    }

    /// A pod is gone. Whoever has waited for the last of its victims comes back at once; a pod that
    /// waits for others of them is tried as after any event, and a gang waits on.
    pub(super) fn victim_gone(&mut self, uid: &str, now: Time) {
        for (key, last) in self.preemptions.gone(uid) {
            if last {
                self.queue.hold(key, false);
                self.queue.wake_now(key, VICTIM_GONE, now);
            } else if self.pods.contains_key(&key) {
                self.queue.wake_one(key, VICTIM_GONE, now);
            }
        }
    }

    /// The preemptor waits for its victims no longer.
    pub(super) fn end_wave(&mut self, key: PodKey) {
        self.preemptions.end(key);
        self.queue.hold(key, false);
    }

    /// Lets those try again that may evict again.
    pub(super) fn allow_preemptors(&mut self, now: Time) {
        for key in self.preemptions.take_due(now) {
            let cause = Cause::BackoffComplete;
            self.queue.wake_now(key, cause, now);
        }
    }
}
