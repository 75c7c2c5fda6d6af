//! A gang's scheduling cycle: all of it is planned on one state, and placed or left alone.

use std::time::Duration;

use rustc_hash::FxHashSet;

use super::preempting::GangPostFiltered;
use crate::cluster::{Cluster, NodeId};
use crate::engine::{ConditionReason, Engine, Nomination};
use crate::framework::PluginSet;
use crate::gang::{
    Candidate, CandidateClass, GangId, Place, Plan, Readiness, Refusal, Refused, Request, plan,
};
use crate::model::{GangTopology, Time};
use crate::preemption::Surroundings;
use crate::queue::{Cause, ClassId, Listener, PodKey};
use crate::telemetry::metrics::GangResult;

impl Engine {
    pub(in crate::engine) fn gang_cycle(&mut self, id: GangId, now: Time, started: f64) {
        let Some(gang) = self.gangs.table.get(id) else {
            return;
        };
        let unit = gang.unit;
        if gang.readiness() != Readiness::Ready {
            self.queue.remove(unit);
            return;
        }
        let members = gang.pending_in_order();
        if let Some(text) = self.gang_behind_head(id, &members) {
            self.queue.fail_gang(unit, now);
            self.gangs.page(id).refusal = Some(text.as_str().into());
            let text = text.as_str().into();
            for &key in &members {
                self.patch_condition(key, ConditionReason::Unschedulable, &text, Nomination::Keep);
            }
            return;
        }
        self.queue.gang_tried(members.iter().copied(), now);
        for &member in &members {
            self.unmark(member);
        }
        if self.cluster.node_count() == 0 {
            self.gang_without_nodes(id, &members, now);
            return;
        }
        let answer = self.plan_gang(id, &members);
        let took = (self.stopwatch)() - started;
        self.metrics.algorithm(took);
        let placed = match answer {
            Ok(plan) => Ok(plan),
            Err(refused) => self.make_room(id, &members, refused, now),
        };
        match placed {
            Ok(plan) => {
                self.gang_metrics.attempt(GangResult::Scheduled, took);
                self.gang_placed(id, &members, plan, now, started);
            }
            Err((refused, answer)) => {
                self.gang_metrics.attempt(GangResult::Unschedulable, took);
                self.gang_refused(id, &members, &refused, &answer, now);
            }
        }
    }

    /// A gang was refused: looks for victims. A search that needs none has seated it in another way
    /// than it was planned, and so it is placed.
    fn make_room(
        &mut self,
        id: GangId,
        members: &[PodKey],
        refused: Box<Refused>,
        now: Time,
    ) -> Result<Plan, (Box<Refused>, GangPostFiltered)> {
        if (refused.refused.iter()).any(|refusal| refusal.error.is_some()) {
            self.release_room(id, now);
            return Err((refused, GangPostFiltered::default()));
        }
        let answer = self.gang_post_filter(id, members, now);
        let seated = (answer.preempts.as_ref()).filter(|found| found.victims.is_empty());
        let Some(found) = seated else {
            return Err((refused, answer));
        };
        self.nominate_gang(members, found);
        self.plan_gang(id, members).map_err(|_| {
            self.release_room(id, now);
            (refused, GangPostFiltered::default())
        })
    }

    fn plan_gang(&mut self, id: GangId, members: &[PodKey]) -> Result<Plan, Box<Refused>> {
        let planned = self.with_request(id, members, |cluster, request, classes, _| {
            plan(cluster, request, classes)
        });
        planned.unwrap_or_else(|| Err(Box::default()))
    }

    /// What the members ask, and what is kept of their classes, for whoever wants to place them.
    pub(super) fn with_request<T>(
        &mut self,
        id: GangId,
        members: &[PodKey],
        answer: impl FnOnce(&mut Cluster, &Request<'_>, &mut [CandidateClass], Surroundings<'_>) -> T,
    ) -> Option<T> {
        let gang = self.gangs.table.get(id)?;
        let (need, topology) = (gang.need(), gang.topology());
        let anchors: Vec<NodeId> = if topology == GangTopology::default() {
            Vec::new()
        } else {
            (gang.members())
                .filter(|(_, member)| member.is_live())
                .filter_map(|(uid, _)| {
                    let id = self.cluster.placed_by_uid(uid)?;
                    Some(self.cluster.placed(id)?.node)
                })
                .collect()
        };
        let known_room = self.gangs.page(id).room;
        for key in members {
            if let Some(pod) = self.pods.get(key) {
                self.cluster.prepare(pod.peers);
            }
        }
        let mut ids: Vec<ClassId> = Vec::new();
        let mut lent: Vec<CandidateClass> = Vec::new();
        let Self {
            cluster,
            pods,
            profiles,
            nominator,
            classes,
            seed,
            gangs,
            budgets,
            ..
        } = self;
        let gang = gangs.table.get(id);
        let mut candidates = Vec::with_capacity(members.len());
        let mut profile = 0;
        for &key in members {
            let Some(pod) = pods.get(&key) else {
                continue;
            };
            let known = ids.iter().position(|class| *class == pod.class);
            let class = match known {
                Some(place) => place,
                None => {
                    let Some((_, shape)) = classes.get(pod.class) else {
                        continue;
                    };
                    let shape = std::sync::Arc::clone(shape);
                    let evaluation = classes.lend(pod.class);
                    ids.push(pod.class);
                    lent.push(CandidateClass { shape, evaluation });
                    ids.len() - 1
                }
            };
            profile = pod.profile;
            let member = gang.and_then(|gang| gang.member(&pod.reference.uid));
            candidates.push(Candidate {
                class,
                peers: pod.peers,
                reference: &pod.reference,
                priority: pod.priority,
                placed: &pod.placed,
                hash: pod.hash ^ *seed,
                nominated: nominator
                    .node_of(key)
                    .and_then(|node| cluster.node_id(node)),
                role: member.and_then(|member| member.role.as_deref()),
            });
        }
        let priority = candidates.first().map_or(0, |candidate| candidate.priority);
        let own: FxHashSet<PodKey> = members.iter().copied().collect();
        let nominated = nominator.before(|key| own.contains(&key), priority, pods, cluster);
        let request = Request {
            profile: &profiles[profile].profile,
            nominated: &nominated,
            candidates: &candidates,
            need: &need,
            topology: &topology,
            anchors: &anchors,
            known_room,
        };
        let surroundings = Surroundings {
            gangs: &gangs.table,
            budgets,
        };
        let answer = answer(cluster, &request, &mut lent, surroundings);
        for (id, class) in ids.into_iter().zip(lent) {
            classes.give_back(id, class.evaluation);
        }
        Some(answer)
    }

    /// All binds of a gang leave together.
    fn gang_placed(&mut self, id: GangId, members: &[PodKey], plan: Plan, now: Time, started: f64) {
        let page = self.gangs.page(id);
        (page.room, page.asked) = (None, None);
        let waited = page.since.map_or(Duration::ZERO, |since| now.since(since));
        self.gang_metrics
            .placed(plan.placed.len(), waited.as_secs_f64());
        // Who comes later waits with those who have a place already: they may still be refused.
        let asked = plan.placed.iter().any(|placed| !placed.waits.is_empty());
        let held = asked || !self.gangs.held(id).is_empty();
        for placed in &plan.placed {
            let Some(&key) = members.get(placed.candidate) else {
                continue;
            };
            let Some(uid) = self.pods.get(&key).map(|pod| pod.reference.uid.clone()) else {
                continue;
            };
            self.gangs.table.relocate(&uid, Place::Binding(key));
            self.queue.member_in_flight(key);
            let on = (placed.choice.node, placed.placed);
            if held {
                self.await_permission(key, on, &placed.waits, started, now);
            } else {
                self.send_bind(key, on.0, on.1, started);
            }
        }
        self.explain_nothing();
        let Some(gang) = self.gangs.table.get(id) else {
            return;
        };
        let unit = gang.unit;
        // What is being made free is for what it lacks still.
        if gang.has_enough() || !self.preemptions.waits(unit) {
            self.preemptions.forget(unit);
            self.release_room(id, now);
        }
        if plan.refused.is_empty() {
            self.queue.remove(unit);
        } else {
            // Those that the gang can do without follow when there is room for them.
            let texts = self.words_for_extras(members, &plan.refused);
            self.gangs.page(id).rejectors = all_rejectors(&plan.refused);
            self.gang_waits(id, members, &plan.refused, now);
            self.tell_members(&texts);
        }
        self.gang_changed(id, super::News::NoHelp, now);
        // Room can be made for what it still lacks: that is looked for when nothing of it fits.
        if (self.gangs.table.get(id)).is_some_and(|gang| !gang.has_enough()) {
            self.queue.wake_gang(unit, Cause::PodAdd);
        }
    }

    fn gang_refused(
        &mut self,
        id: GangId,
        members: &[PodKey],
        refused: &Refused,
        answer: &GangPostFiltered,
        now: Time,
    ) {
        let page = self.gangs.page(id);
        page.room = refused.room;
        if refused.unchanged && answer.preempts.is_none() && page.preemption == answer.words {
            // Nothing has to be said again, but what makes room may be something else now.
            page.rejectors.union(refused.rejectors);
            self.gang_waits(id, members, &[], now);
            return;
        }
        page.rejectors = refused.rejectors;
        page.preemption.clone_from(&answer.words);
        self.gang_waits(id, members, &refused.refused, now);
        if let Some(found) = &answer.preempts {
            self.nominate_gang(members, found);
        }
        self.tell_refusal(id, members, refused, &answer.words, now);
        if let Some(found) = &answer.preempts {
            self.preempt_for_gang(id, members, found, now);
        }
    }

    /// The gang is unschedulable: every member that is left listens to what may cure a refusal.
    /// Room for one may be made by another one that goes elsewhere, so that all listen to the same.
    /// What cannot be read is an error, after which it is tried again as after any.
    fn gang_waits(&mut self, id: GangId, members: &[PodKey], refused: &[Refusal], now: Time) {
        let Some(gang) = self.gangs.table.get(id) else {
            return;
        };
        let unit = gang.unit;
        if refused.iter().any(|refusal| refusal.error.is_some()) {
            self.queue.fail_gang(unit, now);
            return;
        }
        let asked = super::Asked::by(gang);
        let by_topology = gang.topology().required.is_some();
        let left: FxHashSet<PodKey> = gang.pending().collect();
        let page = self.gangs.page(id);
        page.asked = Some(asked);
        let rejectors = page.rejectors;
        let mut listeners = Vec::with_capacity(left.len());
        for key in members.iter().filter(|key| left.contains(key)) {
            let Some(pod) = self.pods.get(key) else {
                continue;
            };
            let state = &self.profiles[pod.profile];
            for plugin in rejectors.iter() {
                state.plugins[plugin.index()].unschedulable(1);
            }
            listeners.push(Listener {
                key: *key,
                rejectors,
                peers: state.profile.known_to_others(rejectors, pod.peers),
            });
        }
        if by_topology {
            self.gangs.by_topology.insert(id);
        }
        let (profiles, classes, cluster) = (&self.profiles, &self.classes, &self.cluster);
        self.queue.reject_gang(unit, &listeners, now, |group| {
            crate::engine::waking::topics(profiles, classes, cluster, group)
        });
    }

    fn gang_without_nodes(&mut self, id: GangId, members: &[PodKey], now: Time) {
        let text = "no nodes available to schedule pods";
        self.release_room(id, now);
        if let Some(unit) = self.gangs.table.get(id).map(|gang| gang.unit) {
            self.queue.fail_gang(unit, now);
        }
        self.gangs.page(id).refusal = Some(text.into());
        let reason = ConditionReason::Unschedulable;
        let texts: Vec<_> = (members.iter())
            .map(|key| (*key, reason, text.to_owned()))
            .collect();
        self.tell_members(&texts);
    }
}

fn all_rejectors(refused: &[Refusal]) -> PluginSet {
    let mut rejectors = PluginSet::default();
    for refusal in refused {
        rejectors.union(refusal.rejectors);
    }
    rejectors
}
