//! Room for gangs: whom to evict, where the members go then, and that it is held for them. Source:
//! `PodGroupPostFilter` of `plugins/defaultpreemption`.

use std::sync::Arc;

use crate::engine::preempting::Beneficiary;
use crate::engine::waiting::Waiting;
use crate::engine::{Engine, Nomination};
use crate::framework::PostFilter;
use crate::gang::{Gang, GangId, Refused};
use crate::model::Time;
use crate::preemption::{
    self, GangCandidate, GangPreemptor, GangVerdict, Progress, search_for_gang,
};
use crate::queue::{Attempt, PodKey};
use crate::telemetry::metrics::{Preemptor, Status};

/// What is found out after a gang was refused.
#[derive(Clone, Debug, Default)]
pub(super) struct GangPostFiltered {
    /// What follows why it was refused; empty for nothing.
    pub(super) words: String,
    /// What is to be done.
    pub(super) preempts: Option<GangCandidate>,
    /// Nothing yet: others have their turn first.
    pub(super) unfinished: bool,
}

impl Engine {
    /// Looks for pods whose room a gang could have that does not fit.
    pub(super) fn gang_post_filter(
        &mut self,
        id: GangId,
        members: &[PodKey],
        refused: &Refused,
        attempt: &mut Attempt,
        now: Time,
    ) -> GangPostFiltered {
        let mut refusals = refused.refused.iter();
        let unreadable = refusals.any(|refusal| refusal.error.is_some());
        let first = members.first().and_then(|key| self.pods.get(key));
        let profile = first.map(|pod| &self.profiles[pod.profile].profile);
        let preempts = profile.is_some_and(|held| held.post_filter == PostFilter::Preemption);
        let has_enough = (self.gangs.table.get(id)).is_none_or(Gang::has_enough);
        if unreadable || !preempts || !self.may_evict || has_enough {
            self.release_room(id, now);
            return GangPostFiltered::default();
        }
        let begin = (self.stopwatch)();
        let mut progress = Progress::slice(self.slice, attempt.looked);
        let (status, answer) = self.look_for_gang_victims(id, members, &mut progress, now);
        attempt.looked = progress.looked();
        attempt.searched += (self.stopwatch)() - begin;
        if !answer.unfinished {
            let took = attempt.searched;
            (self.preemption_metrics).attempt(Preemptor::PodGroup, status, took);
        }
        answer
    }

    fn look_for_gang_victims(
        &mut self,
        id: GangId,
        members: &[PodKey],
        progress: &mut Progress,
        now: Time,
    ) -> (Status, GangPostFiltered) {
        let told = |why: &str| GangPostFiltered {
            words: format!(", pod group preemption: {why}"),
            ..GangPostFiltered::default()
        };
        let first = members.first().and_then(|key| self.pods.get(key));
        let Some((gang, first)) = self.gangs.table.get(id).zip(first) else {
            return (Status::Error, GangPostFiltered::default());
        };
        let unit = gang.unit;
        let priority = preemption::priority_of_preemptor(gang, first.priority);
        let pods = || members.iter().filter_map(|key| self.pods.get(key));
        if pods().any(|pod| pod.info.never_preempts) {
            self.release_room(id, now);
            return (Status::Unschedulable, told(preemption::NEVER));
        }
        if self.preemptions.waits(unit) || self.room_is_being_made(members, priority) {
            let why = "ongoing preemption on nominated nodes";
            return (Status::Success, told(why));
        }
        self.release_room(id, now);
        let mut memory = std::mem::take(&mut self.clearing);
        let verdict = self.with_request(id, members, |cluster, request, classes, rest| {
            let profile = &request.profile.preemption;
            let preemptor = GangPreemptor {
                gang: id,
                priority,
                violate_pdb: profile.violate_pdb,
                request,
            };
            let kept = (&mut memory, progress);
            let found = search_for_gang(cluster, preemptor, classes, rest, kept);
            #[cfg(test)]
            if found != GangVerdict::Unfinished {
                crate::engine::tests::is_as_anew(&found, |kept| {
                    search_for_gang(cluster, preemptor, classes, rest, kept)
                });
            }
            found
        });
        self.clearing = memory;
        match verdict {
            None => (Status::Error, GangPostFiltered::default()),
            Some(GangVerdict::Unfinished) => {
                let unfinished = GangPostFiltered {
                    unfinished: true,
                    ..GangPostFiltered::default()
                };
                (Status::Unschedulable, unfinished)
            }
            Some(GangVerdict::Hopeless { why, by_budget }) => {
                if by_budget {
                    self.gangs.by_budget.insert(id);
                }
                (Status::Unschedulable, told(&why))
            }
            // It fits in another way than it was tried.
            Some(GangVerdict::Candidate(found)) if found.victims.is_empty() => {
                let answer = GangPostFiltered {
                    preempts: Some(found),
                    ..GangPostFiltered::default()
                };
                (Status::Success, answer)
            }
            Some(GangVerdict::Candidate(found)) => match self.preemptions.allow(unit, now) {
                Err(denied) => {
                    if let Some(&first) = members.first() {
                        self.preemption_denied(first, &denied);
                    }
                    (Status::Unschedulable, told(&denied.to_string()))
                }
                Ok(()) => {
                    let victims = found.victims.len();
                    let why =
                        format!("found a placement for podgroup, preempting {victims} victims");
                    let answer = GangPostFiltered {
                        preempts: Some(found),
                        ..told(&why)
                    };
                    (Status::Success, answer)
                }
            },
        }
    }

    /// Whether pods that were evicted for the gang still leave the nodes it is nominated to.
    fn room_is_being_made(&self, members: &[PodKey], priority: i32) -> bool {
        let gangs = &self.gangs.table;
        members.iter().any(|key| {
            let node = self.nominator.node_of(*key);
            let node = node.and_then(|node| self.cluster.node_id(node));
            node.is_some_and(|node| {
                preemption::has_leaving_victims(&self.cluster, gangs, node, priority)
            })
        })
    }

    /// Holds the room that will be made: what the members are told next tells their nominations too.
    pub(super) fn nominate_gang(&mut self, members: &[PodKey], found: &GangCandidate) {
        for (place, node) in &found.nodes {
            if let Some(&key) = members.get(*place) {
                self.nominator.set(key, self.cluster.node_name(*node));
            }
        }
    }

    /// Does what was found out for a gang, whose members have been told.
    pub(super) fn preempt_for_gang(
        &mut self,
        id: GangId,
        members: &[PodKey],
        found: &GangCandidate,
        now: Time,
    ) {
        let first = members.first().and_then(|key| self.pods.get(key));
        let (Some(gang), Some(first)) = (self.gangs.table.get(id), first) else {
            return;
        };
        let object = gang.object.clone();
        let nodes = found.nodes.iter().filter_map(|(place, node)| {
            let node: Arc<str> = self.cluster.node_name(*node).into();
            Some((*members.get(*place)?, node))
        });
        let beneficiary = Beneficiary {
            key: gang.unit,
            priority: preemption::priority_of_preemptor(gang, first.priority),
            scheduler_name: Arc::clone(&self.profiles[first.profile].profile.name),
            kind: Preemptor::PodGroup,
            // Groups without an object have no uid.
            uid: (object.as_ref()).map_or_else(
                || gang.reference.to_string().into(),
                |held| held.uid.clone(),
            ),
            group: object,
            nodes: nodes.collect(),
            place: "cluster".into(),
        };
        let reference = gang.reference.clone();
        let preemptor = (&*reference.namespace, &*reference.name);
        self.explain_preemption(preemptor, &beneficiary, &found.victims, found.violations);
        let (victims, groups) = (found.victims.len(), found.groups);
        (self.preemption_metrics).decided(Preemptor::PodGroup, victims, found.violations, groups);
        self.carry_out(&beneficiary, &found.victims, now);
    }

    /// The gang that waits holds nothing any more.
    pub(super) fn release_room(&mut self, id: GangId, now: Time) {
        let Some(gang) = self.gangs.table.get(id) else {
            return;
        };
        let (unit, members) = (gang.unit, gang.pending_in_order());
        self.end_wave(unit);
        for key in members {
            self.release_nomination(key, now);
        }
    }

    fn release_nomination(&mut self, key: PodKey, now: Time) {
        if self.nominator.node_of(key).is_none() {
            return;
        }
        self.clear_nomination(key);
        let pod = self.pods.get(&key).cloned();
        if let Some(ended) = pod.and_then(Waiting::nomination) {
            self.nomination_ended(&ended, now);
        }
    }

    /// What a member's stored nomination has to become.
    pub(super) fn nomination_to_tell(&self, key: PodKey) -> Nomination {
        let stored = self.pods.get(&key).map(|pod| &*pod.info.nominated_node);
        match self.nominator.node_of(key) {
            Some(node) if stored != Some(node) => Nomination::Set(node.into()),
            _ => Nomination::Keep,
        }
    }
}
