//! What must be true after every step, and of every decision.

use std::collections::{BTreeMap, BTreeSet};

use super::naive;
use super::world::{Commitment, Flying, Pod, World};
use crate::engine::{Action, Effect};
use crate::gang::Readiness;
use crate::model::GroupRef;
use crate::queue::State;

impl World {
    // === What is known ===

    pub(super) fn members(&self, place: usize) -> impl Iterator<Item = (&String, &Pod)> {
        let member = move |(_, pod): &(&String, &Pod)| pod.gang == Some(place);
        self.pods.iter().filter(member)
    }

    pub(super) fn is_flying(&self, uid: &str) -> bool {
        self.flying.iter().any(|flying| flying.uid == uid)
    }

    /// Whether Berth knows that the pod is bound.
    pub(super) fn is_known_bound(pod: &Pod) -> bool {
        pod.node.is_some() && (pod.told || pod.answered)
    }

    /// The members that are bound for all that Berth knows, or about to be.
    fn sent(&self, place: usize) -> BTreeSet<String> {
        self.members(place)
            .filter(|(uid, pod)| {
                !pod.terminating && (Self::is_known_bound(pod) || self.is_flying(uid))
            })
            .map(|(uid, _)| uid.clone())
            .collect()
    }

    /// The members that Berth has to count.
    pub(super) fn live(&self, place: usize) -> BTreeSet<String> {
        let mut live = self.sent(place);
        let held = |(uid, pod): &(&String, &Pod)| !pod.terminating && self.is_held(uid);
        live.extend(self.members(place).filter(held).map(|(uid, _)| uid.clone()));
        live
    }

    /// How many must run together; None while nobody says so.
    pub(super) fn min_of(&self, place: usize) -> Option<usize> {
        let group = &self.groups[place];
        if group.dialect.has_object() {
            return group.object.as_ref().map(|_| group.min as usize);
        }
        let said = self.members(place).filter_map(|(_, pod)| pod.min).max();
        Some(said.unwrap_or(1) as usize)
    }

    /// Where the pod is, or is going to be, for all that Berth knows.
    pub(super) fn node_of(&self, uid: &str) -> Option<&str> {
        let known = self.pods.get(uid).filter(|pod| Self::is_known_bound(pod));
        let flying = self.flying.iter().find(|flying| flying.uid == uid);
        let cluster = self.scene.engine.cluster();
        let placed = |uid| cluster.placed(cluster.placed_by_uid(uid)?);
        let held = (self.is_held(uid).then(|| placed(uid)).flatten())
            .map(|placed| cluster.node_name(placed.node));
        (known.and_then(|pod| pod.node.as_deref()))
            .or(flying.map(|flying| &*flying.node))
            .or(held)
    }

    pub(super) fn roles_of(&self, uids: &BTreeSet<String>) -> BTreeMap<&'static str, u32> {
        let mut roles = BTreeMap::new();
        for role in uids.iter().filter_map(|uid| self.pods.get(uid)?.role) {
            *roles.entry(role).or_default() += 1;
        }
        roles
    }

    // === Decisions ===

    /// Takes what has followed from what the engine was told.
    pub(super) fn collect(&mut self) {
        let now = self.scene.now;
        let effects = self.scene.engine.run(now, 0);
        self.take(effects, self.groups.len());
    }

    /// Takes what the engine has decided, which is about at most so many gangs.
    pub(super) fn take(&mut self, effects: Vec<Effect>, gangs: usize) {
        let mut batches: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        let mut sent = Vec::new();
        for effect in effects {
            let Action::Bind { node } = &effect.action else {
                self.write(&effect);
                continue;
            };
            let uid = effect.pod().unwrap().uid.to_string();
            assert!(!self.is_flying(&uid), "{uid} is bound twice");
            let pod = &self.pods[&uid];
            assert!(!Self::is_known_bound(pod), "{uid} was bound already");
            assert!(!pod.gated && pod.ours, "{uid} was not to be bound");
            self.has_room_for(&uid, node);
            if let Some(place) = pod.gang {
                batches.entry(place).or_default().insert(uid.clone());
            }
            let line = format!("{uid} is to be bound to {node}");
            let node = node.to_string();
            self.note(line);
            let outcome = None;
            sent.push(Flying {
                effect,
                uid,
                node,
                outcome,
            });
        }
        assert!(batches.len() <= gangs, "one decision is about one gang");
        for (place, batch) in batches {
            self.is_allowed(place, &batch, &sent);
        }
        self.flying.extend(sent);
    }

    /// No node was given more than it has.
    fn has_room_for(&self, uid: &str, node: &str) {
        let pod = &self.pods[uid];
        let there = self.nodes.get(node).expect("a known node");
        if pod.was_held {
            // The node may be another than when the place was found.
            return;
        }
        assert!(!there.cordoned, "{node} is cordoned");
        assert!(naive::tolerates(there, pod), "{uid} is not for {node}");
        let cluster = self.scene.engine.cluster();
        let id = cluster.node_id(node).expect("a known node");
        let held = &cluster
            .placed(cluster.placed_by_uid(uid).unwrap())
            .unwrap()
            .pod
            .held;
        for resource in cluster.resources().ids() {
            let name = cluster.resources().name(resource);
            let free = cluster.resources().free(resource)[id.index()];
            assert!(
                free >= 0 || held.get(name) == 0,
                "{name} of {node} is overdrawn"
            );
        }
    }

    /// A gang is placed whole, unless it ran already.
    fn is_allowed(&mut self, place: usize, batch: &BTreeSet<String>, sent: &[Flying]) {
        let before = self.sent(place);
        let all: BTreeSet<String> = before.union(batch).cloned().collect();
        let min = self
            .min_of(place)
            .expect("a group without its object is not placed");
        let group = &self.groups[place];
        let met = if group.dialect.has_object() {
            group.may_be_met
        } else {
            !before.is_empty()
        };
        let name = &group.name;
        assert!(
            met || all.len() >= min,
            "{name}: {all:?} of {min} by {batch:?}"
        );
        let of_roles = self.roles_of(&all);
        for (role, asked) in &group.roles {
            let placed = of_roles.get(role).copied().unwrap_or(0);
            assert!(
                met || placed >= *asked,
                "{name}: {placed} of {asked} {role}"
            );
        }
        assert!(naive::is_valid(self, place), "{name} is not valid");
        let moved = batch.iter().any(|uid| self.pods[uid].was_held);
        if group.required.is_some() && !moved {
            let racks: BTreeSet<_> = (all.iter())
                .filter_map(|uid| {
                    let to = sent.iter().find(|sent| sent.uid == *uid);
                    to.map(|sent| &*sent.node).or(self.node_of(uid))
                })
                .map(|node| self.nodes.get(node).and_then(|node| node.rack))
                .collect();
            let one = racks.len() == 1 && !racks.contains(&None);
            assert!(one, "{name} is in {racks:?}");
        }
        let group = &mut self.groups[place];
        group.decided.extend(batch.iter().cloned());
        match &mut group.commitment {
            Some(held) if met => held.members.extend(batch.iter().cloned()),
            held => {
                *held = Some(Commitment {
                    min,
                    members: all,
                    lost: BTreeSet::new(),
                });
            }
        }
    }

    // === After every step ===

    pub(super) fn check(&mut self) {
        self.collect();
        for uid in self.held() {
            self.pods.get_mut(&uid).unwrap().was_held = true;
        }
        self.keep_the_books();
        self.scene.engine.audit();
        for place in 0..self.groups.len() {
            self.no_part_of_a_gang(place);
        }
        self.nothing_is_reserved();
        self.who_is_held_waits_for_a_word();
        self.nobody_is_lost();
    }

    fn keep_the_books(&mut self) {
        for place in 0..self.groups.len() {
            let known = self.live(place);
            let bound = |known: bool| {
                self.members(place)
                    .filter(|(_, pod)| !pod.terminating && pod.node.is_some())
                    .filter(|(_, pod)| !known || Self::is_known_bound(pod))
                    .count()
            };
            let (bound, known_bound) = (bound(false), bound(true));
            let mut late = self.late.iter().filter_map(|(uid, _)| self.pods.get(uid));
            let late = late.any(|pod| pod.gang == Some(place));
            let any = bound > 0 || !known.is_empty() || late;
            let min = self.min_of(place);
            let group = &mut self.groups[place];
            if group.was_live && known.is_empty() {
                // What was met, or a status says so, is over with the run that it is about.
                (group.is_met, group.inherited) = (false, false);
            }
            group.was_live = !known.is_empty();
            if !any {
                group.may_be_met = false;
                group.commitment = None;
            }
            let met = |bound: usize| {
                let enough = min.is_some_and(|min| bound >= min);
                enough || group.inherited || !group.dialect.has_object()
            };
            let (may_be, is) = (any && met(bound), group.was_live && met(known_bound));
            group.may_be_met |= may_be;
            group.is_met |= is;
        }
    }

    /// None of the gang is bound, or all that must be, or what is missing has gone amiss since it
    /// was decided, and not by Berth.
    fn no_part_of_a_gang(&self, place: usize) {
        let group = &self.groups[place];
        let bound: BTreeSet<&String> = (self.members(place))
            .filter(|(_, pod)| pod.node.is_some() && !pod.foreign && !pod.terminating)
            .map(|(uid, _)| uid)
            .collect();
        if bound.is_empty() {
            return;
        }
        let name = &group.name;
        for uid in &bound {
            let committed = group.commitment.as_ref();
            let known = committed.is_some_and(|commitment| commitment.members.contains(*uid));
            assert!(
                known || group.decided.contains(*uid),
                "{uid} was not decided"
            );
        }
        let Some(commitment) = &group.commitment else {
            return;
        };
        if bound.len() >= commitment.min {
            return;
        }
        for uid in &commitment.members {
            let late = self.late.iter().any(|(late, _)| late == uid);
            let foreign = self.pods.get(uid).is_some_and(|pod| pod.foreign);
            let known = bound.contains(uid) || self.is_flying(uid) || late || foreign;
            assert!(
                known || commitment.lost.contains(uid),
                "{name}: {uid} is missing, and nothing has happened to it"
            );
        }
    }

    /// What is assumed is exactly what is under way.
    fn nothing_is_reserved(&self) {
        let engine = &self.scene.engine;
        let expected: BTreeSet<&str> = (self.pods.iter())
            .filter(|(uid, pod)| {
                !pod.told && (pod.answered || self.is_flying(uid) || self.is_held(uid))
            })
            .map(|(uid, _)| &**uid)
            .collect();
        let assumed: BTreeSet<&str> = (engine.cluster().iter_placed())
            .filter(|(_, placed)| placed.assumed)
            .map(|(_, placed)| &*placed.reference.uid)
            .collect();
        assert_eq!(assumed, expected);
    }

    /// Every pod that waits is in the queue, or its gang is, or there is a reason.
    fn nobody_is_lost(&self) {
        let engine = &self.scene.engine;
        for (uid, pod) in &self.pods {
            let waits = pod.ours && !Self::is_known_bound(pod) && !pod.terminating;
            if !waits {
                continue;
            }
            let key = engine.by_uid.get(&**uid);
            let Some(queued) = key.and_then(|key| engine.queue.get(*key)) else {
                panic!("{uid} waits and is not in the queue");
            };
            assert_eq!(queued.gang.is_some(), pod.gang.is_some(), "{uid}");
            assert_eq!(queued.state == State::Gated, pod.gated, "{uid}");
        }
        for place in 0..self.groups.len() {
            let Some(gang) = self.gang(place) else {
                continue;
            };
            let queued = engine.queue.get(gang.unit);
            let ready = gang.readiness() == Readiness::Ready;
            assert_eq!(
                queued.is_some(),
                ready,
                "{}: {:?}",
                gang.reference,
                gang.readiness()
            );
            let Some(queued) = queued.filter(|queued| queued.state == State::Unschedulable) else {
                continue;
            };
            let id = engine.gangs.table.of_unit(gang.unit).unwrap();
            let listens = (queued.listeners().iter()).any(|key| {
                engine
                    .queue
                    .get(*key)
                    .is_some_and(|pod| !pod.rejectors.is_empty())
            });
            assert!(
                listens || engine.gangs.by_topology.contains(&id),
                "{} waits for nothing",
                gang.reference
            );
        }
    }

    pub(super) fn gang(&self, place: usize) -> Option<&crate::gang::Gang> {
        let group = &self.groups[place];
        let reference = GroupRef {
            dialect: group.dialect,
            namespace: "default".into(),
            name: group.name.as_str().into(),
        };
        let table = &self.scene.engine.gangs.table;
        table
            .iter()
            .map(|(_, gang)| gang)
            .find(|gang| *gang.reference == reference)
    }
}
