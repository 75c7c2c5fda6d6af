//! What must be true of every decision by which somebody is evicted or bound.

use std::collections::{BTreeMap, BTreeSet};

use super::super::scene::GPU;
use super::world::World;
use crate::engine::tests::*;
use crate::engine::{Action, Effect};
use crate::gang::{Gang, Readiness};
use crate::model::Dialect;
use crate::queue::PodKey;

/// What has been decided so far.
#[derive(Default)]
pub(super) struct Book {
    /// The last victims of each preemptor, and the node that was cleared if it is a pod.
    waves: BTreeMap<PodKey, (BTreeSet<String>, Option<String>)>,
    evictions: BTreeMap<EffectId, String>,
    /// What each budget allows as it was told last, and who was evicted since then.
    budgets: BTreeMap<&'static str, (i64, BTreeSet<String>)>,
    /// Who has evicted others while nothing goes wrong and was not placed since then, with its
    /// priority.
    owed: BTreeMap<String, i32>,
    /// The nodes that each gang, by its place, was nominated to when this life of the engine began.
    kept: BTreeMap<usize, BTreeSet<String>>,
    /// How many evictions were asked for.
    pub(super) evicted: usize,
    /// For how many gangs pods were evicted, and how many gangs lost pods.
    pub(super) gangs: (usize, usize),
}

impl Book {
    pub(super) fn told_budget(&mut self, app: &'static str, allowed: Option<i64>) {
        match allowed {
            Some(allowed) => drop(self.budgets.insert(app, (allowed, BTreeSet::new()))),
            None => drop(self.budgets.remove(app)),
        }
    }

    /// What the budget of an app allows as it was told last.
    pub(super) fn allowed(&self, app: &str) -> Option<i64> {
        self.budgets.get(app).map(|(allowed, _)| *allowed)
    }

    pub(super) fn answered(&mut self, id: EffectId, outcome: &Outcome) {
        let uid = self.evictions.remove(&id);
        if let (Some(uid), Outcome::Failed(_)) = (uid, outcome) {
            for (victims, _) in self.waves.values_mut() {
                victims.remove(&uid);
            }
            for (_, spent) in self.budgets.values_mut() {
                spent.remove(&uid);
            }
        }
    }

    pub(super) fn begin_again(&mut self) {
        self.waves.clear();
        self.evictions.clear();
        self.kept.clear();
    }
}

/// The engine before a decision.
struct Before {
    waves: BTreeMap<PodKey, u32>,
    nominated: BTreeMap<PodKey, String>,
    /// How many members of each gang count, and how many must.
    live: Vec<Option<(usize, usize)>>,
    /// Who was on its way out.
    leaving: BTreeSet<String>,
    /// Who was brought back by nothing but time.
    flushed: BTreeSet<PodKey>,
}

impl World {
    pub(super) fn gang(&self, place: usize) -> Option<&Gang> {
        let reference = self.reference(place);
        let mut gangs = self.engine.gangs.table.iter().map(|(_, gang)| gang);
        gangs.find(|gang| *gang.reference == reference)
    }

    fn place_of(&self, unit: PodKey) -> Option<usize> {
        let is_it = |place: &usize| self.gang(*place).is_some_and(|gang| gang.unit == unit);
        (0..self.groups.len()).find(is_it)
    }

    fn before(&self) -> Before {
        let engine = &self.engine;
        let units = engine.gangs.table.iter().map(|(_, gang)| gang.unit);
        let keys = engine.pods.keys().copied();
        let flushed = |key: &PodKey| engine.queue.get(*key).is_some_and(|pod| pod.flushed);
        let live = |gang: &Gang| (gang.counts().live(), gang.min().unwrap_or(1) as usize);
        Before {
            waves: (keys.clone().chain(units))
                .map(|key| (key, engine.preemptions.waves_of(key)))
                .collect(),
            nominated: (keys.clone())
                .filter_map(|key| Some((key, engine.nominator.node_of(key)?.to_owned())))
                .collect(),
            live: (0..self.groups.len())
                .map(|place| self.gang(place).map(live))
                .collect(),
            leaving: (self.pods.keys())
                .filter(|uid| self.leaves(uid))
                .cloned()
                .collect(),
            flushed: keys.filter(flushed).collect(),
        }
    }

    /// Decides about one pod or gang. Answers whether anything but words came of it.
    pub(super) fn decide(&mut self) -> bool {
        // What time brings about comes first, so that it is known who was flushed.
        let mut effects = self.engine.run(self.now, 0);
        let before = self.before();
        effects.extend(self.engine.run(self.now, 1));
        self.engine.audit();
        let mut acts = false;
        let mut evicted = BTreeSet::new();
        for effect in &effects {
            if !matches!(effect.action, Action::Emit(_)) {
                self.note(format_args!("{effect:?}"));
            }
            match &effect.action {
                Action::Bind { node } => {
                    acts = true;
                    self.may_have(effect, node, &before);
                }
                Action::Evict(_) => {
                    acts = true;
                    let uid = effect.pod().unwrap().uid.to_string();
                    self.book.evictions.insert(effect.id, uid.clone());
                    evicted.insert(uid);
                }
                _ => {}
            }
        }
        let more = |key: &PodKey| {
            let waves = self.engine.preemptions.waves_of(*key);
            waves > before.waves.get(key).copied().unwrap_or(0)
        };
        let units = self.engine.gangs.table.iter().map(|(_, gang)| gang.unit);
        let keys = self.engine.pods.keys().copied().chain(units);
        let preemptors: Vec<PodKey> = keys.filter(more).collect();
        assert!(preemptors.len() <= 1, "one decision is about one preemptor");
        match preemptors.first() {
            Some(preemptor) => self.may_evict(*preemptor, &evicted, &before),
            None => assert!(evicted.is_empty(), "nobody wants {evicted:?} to go"),
        }
        let kept = effects.into_iter();
        (self.lanes).extend(kept.filter(|effect| !matches!(effect.action, Action::Emit(_))));
        acts
    }

    /// A pod is bound where there is room for it beside those that are as important and nominated.
    fn may_have(&mut self, effect: &Effect, node: &str, before: &Before) {
        let engine = &self.engine;
        let uid = &*effect.pod().unwrap().uid;
        let key = engine.by_uid[uid];
        assert!(
            !before.flushed.contains(&key),
            "{uid} had to wait for the flush"
        );
        let id = engine.cluster.node_id(node).expect("a known node");
        let resource = engine.cluster.resources().id(GPU).unwrap();
        let free = engine.cluster.resources().free(resource)[id.index()];
        let priority = self.pods[uid].priority;
        let held = (engine.nominator.on(node).iter())
            .map(|key| &self.pods[&*engine.pods[key].reference.uid])
            .filter(|pod| pod.priority >= priority)
            .map(|pod| pod.gpus);
        let held: i64 = held.sum();
        assert!(free >= held, "{uid} takes the room of others on {node}");
        let name = match self.pods[uid].group {
            Some(place) => {
                // Once it has been placed whole it begins anew, whatever becomes of its binds.
                let gang = self.gang(place).unwrap();
                let (unit, whole) = (gang.unit, gang.has_enough());
                if whole {
                    self.book.waves.remove(&unit);
                }
                self.groups[place].name.clone()
            }
            None => uid.to_owned(),
        };
        self.is_served(&name, priority);
    }

    /// Nothing is owed to who is placed or makes room anew, nor to whoever is less important.
    fn is_served(&mut self, name: &str, priority: i32) {
        let owed = &mut self.book.owed;
        owed.retain(|other, of| other != name && *of >= priority);
        let groups = &self.groups;
        (self.book.kept).retain(|place, _| {
            let group = &groups[*place];
            group.name != name && group.priority >= priority
        });
    }

    fn may_evict(&mut self, preemptor: PodKey, evicted: &BTreeSet<String>, before: &Before) {
        let place = self.place_of(preemptor);
        let engine = &self.engine;
        let victims = engine.preemptions.victims_of(preemptor);
        let victims: BTreeSet<String> = victims.into_iter().map(str::to_owned).collect();
        assert!(evicted.is_subset(&victims), "{evicted:?} of {victims:?}");
        let (name, priority, keys) = match place {
            Some(place) => {
                let group = &self.groups[place];
                let members = self.gang(place).unwrap().pending();
                (group.name.clone(), group.priority, members.collect())
            }
            None => {
                let uid = engine.pods[&preemptor].reference.uid.to_string();
                let pod = &self.pods[&uid];
                assert!(!pod.never_preempts, "{uid} evicts");
                (uid, pod.priority, vec![preemptor])
            }
        };
        // A pod whose nominated node goes waits for that long in kube-scheduler too.
        for key in keys.iter().filter(|_| place.is_some()) {
            assert!(
                !before.flushed.contains(key),
                "{name} had to wait for the flush"
            );
        }
        for uid in &victims {
            let of = self.pods[uid].priority;
            assert!(of < priority, "{uid} of {of} goes for {name} of {priority}");
        }
        self.gangs_stay_whole(evicted, before);
        if !evicted.is_subset(&before.leaving) {
            let owed = self.book.owed.contains_key(&name);
            assert!(!owed, "{name} has evicted others in vain");
            self.earlier_victims_are_gone(preemptor, &name, &keys, before);
        }
        if let Some(place) = place {
            let (live, min) = before.live[place].unwrap();
            assert!(live < min, "{name} has {live} of {min} and evicts for more");
            self.budgets_allow(&name, evicted);
            self.book.gangs.0 += 1;
        }
        let of_gang = |uid: &String| self.pods[uid].group.is_some();
        self.book.gangs.1 += usize::from(evicted.iter().any(of_gang));
        for uid in evicted {
            let budget = (self.pods[uid].app).and_then(|app| self.book.budgets.get_mut(app));
            if let Some((_, spent)) = budget {
                spent.insert(uid.clone());
            }
        }
        self.book.evicted += evicted.len();
        // Less important pods that were nominated where the victims go may look for other places.
        let engine = &self.engine;
        self.book.waves.retain(|key, _| {
            let lower = (engine.pods.get(key)).is_some_and(|pod| pod.priority < priority);
            !lower || engine.preemptions.waits(*key)
        });
        let node = self.engine.nominator.node_of(preemptor).map(str::to_owned);
        self.book.waves.insert(preemptor, (victims, node));
        self.is_served(&name, priority);
        if self.dice.calm && !evicted.is_empty() {
            self.book.owed.insert(name, priority);
        }
    }

    fn leaves(&self, uid: &str) -> bool {
        let cluster = &self.engine.cluster;
        let placed = cluster.placed_by_uid(uid).and_then(|id| cluster.placed(id));
        placed.is_some_and(|placed| placed.terminating || self.engine.preemptions.is_leaving(uid))
    }

    /// No gang is left with fewer members than must run together, unless it had fewer before.
    fn gangs_stay_whole(&self, evicted: &BTreeSet<String>, before: &Before) {
        for (place, group) in self.groups.iter().enumerate() {
            let lost = |uid: &&String| self.pods[*uid].group == Some(place);
            if !evicted.iter().any(|uid| lost(&uid)) {
                continue;
            }
            let name = &group.name;
            if group.dialect == Dialect::Kubernetes {
                let stays = |(uid, pod): &(&String, &super::world::Pod)| {
                    let placed = self.engine.cluster.placed_by_uid(uid).is_some();
                    pod.group == Some(place) && placed && !self.leaves(uid)
                };
                let stay = self.pods.iter().filter(stays).count();
                let whole = group.whole && group.object.is_some();
                assert!(!whole || stay == 0, "{stay} of {name} stay");
                continue;
            }
            let Some((live, min)) = before.live[place] else {
                continue;
            };
            let left = self.gang(place).unwrap().counts().live();
            assert!(
                live < min || left == 0 || left >= min,
                "{left} of {name} are left, which had {live} and needs {min}"
            );
        }
    }

    /// Nobody is evicted for a preemptor while others leave that were.
    fn earlier_victims_are_gone(
        &self,
        preemptor: PodKey,
        name: &str,
        keys: &[PodKey],
        before: &Before,
    ) {
        let is_gang = self.place_of(preemptor).is_some();
        let cluster = &self.engine.cluster;
        let earlier = self.book.waves.get(&preemptor).filter(|(_, node)| {
            let same = before.nominated.get(&preemptor) == node.as_ref();
            is_gang || (same && self.could_take(name, node.as_deref()))
        });
        if let Some((victims, _)) = earlier {
            let left: Vec<&String> = victims.intersection(&before.leaving).collect();
            assert!(left.is_empty(), "{name} evicts others while {left:?} leave");
        }
        // This is known from objects alone, so that another life of the engine knows it too.
        let place = self.place_of(preemptor);
        let kept = place.and_then(|place| self.book.kept.get(&place));
        let nominated = keys.iter().filter_map(|key| before.nominated.get(key));
        for node in nominated.chain(kept.into_iter().flatten()) {
            let leaves = |uid: &&String| {
                let pod = &self.pods[*uid];
                let placed = cluster.placed_by_uid(uid).and_then(|id| cluster.placed(id));
                let seen = placed.is_some_and(|placed| {
                    placed.terminating
                        && placed.eviction.preempted
                        && cluster.node_name(placed.node) == node
                });
                seen && pod.priority < self.engine.pods[&keys[0]].priority
            };
            let left: Vec<&String> = self.pods.keys().filter(leaves).collect();
            let known = cluster.node_id(node).is_some();
            let useful = is_gang || self.could_take(name, Some(node));
            assert!(
                !(known && useful) || left.is_empty(),
                "{name} evicts others while {left:?} leave {node}"
            );
        }
    }

    /// Whether the node would take the pod if nobody else were there.
    fn could_take(&self, uid: &str, node: Option<&str>) -> bool {
        let node = node.and_then(|node| self.nodes.get(node));
        node.is_some_and(|node| !node.cordoned && node.gpus >= self.pods[uid].gpus)
    }

    fn budgets_allow(&self, name: &str, evicted: &BTreeSet<String>) {
        for (app, (allowed, spent)) in &self.book.budgets {
            let counts = |uid: &&String| self.pods[*uid].app == Some(app);
            let asked = evicted.difference(spent).filter(counts).count() as i64;
            let left = (allowed - spent.len() as i64).max(0);
            assert!(
                asked <= left,
                "{name} takes {asked} of {app} where {left} may go"
            );
        }
    }

    /// A gang that cannot be tried any more, and a pod that is gone, wait for nobody.
    pub(super) fn who_gave_up(&mut self) {
        let engine = &self.engine;
        self.book.waves.retain(|key, _| {
            let gang = engine.gangs.table.of_unit(*key);
            let gang = gang.and_then(|id| engine.gangs.table.get(id));
            let ready = gang.is_some_and(|gang| gang.readiness() == Readiness::Ready);
            ready || engine.pods.contains_key(key)
        });
        let ready = |place: usize| {
            let gang = self.gang(place);
            gang.is_some_and(|gang| gang.readiness() == Readiness::Ready)
        };
        let given_up: Vec<usize> = (self.book.kept.keys().copied())
            .filter(|place| !ready(*place))
            .collect();
        for place in given_up {
            self.book.kept.remove(&place);
        }
    }

    /// Another life of the engine goes on with what was begun for gangs.
    pub(super) fn keep_nominations(&mut self) {
        let mut kept: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for pod in self.pods.values() {
            if let (Some(place), false) = (pod.group, pod.nominated.is_empty()) {
                kept.entry(place).or_default().insert(pod.nominated.clone());
            }
        }
        self.book.kept = kept;
        self.who_gave_up();
    }

    // === The end ===

    fn free(&self, node: &str) -> i64 {
        let there = |pod: &&super::world::Pod| pod.node.as_deref() == Some(node) && !pod.gone;
        let held: i64 = self.pods.values().filter(there).map(|pod| pod.gpus).sum();
        self.nodes[node].gpus - held
    }

    /// How many pods of this size each rack would take if so many GPUs were free besides.
    fn room(&self, gpus: i64, besides: impl Fn(&str) -> i64) -> BTreeMap<&'static str, usize> {
        let mut room = BTreeMap::new();
        for (name, node) in self.nodes.iter().filter(|(_, node)| !node.cordoned) {
            let pods = (self.free(name) + besides(name)).max(0) / gpus;
            *room.entry(node.rack).or_default() += pods as usize;
        }
        room
    }

    /// Whether a gang gets what it lacks out of so much room.
    fn suffices(&self, place: usize, room: &BTreeMap<&'static str, usize>) -> bool {
        let need = self.gang(place).unwrap().need().pods;
        if !self.groups[place].in_rack {
            return room.values().sum::<usize>() >= need;
        }
        let here = |pod: &&super::world::Pod| pod.group == Some(place) && !pod.terminating;
        let anchors: BTreeSet<_> = (self.pods.values().filter(here))
            .filter_map(|pod| pod.node.as_ref())
            .map(|node| self.nodes.get(node).map(|node| node.rack))
            .collect();
        let mut racks = room.iter();
        racks.any(|(rack, room)| {
            *room >= need && anchors.iter().all(|anchor| *anchor == Some(*rack))
        })
    }

    /// How many GPUs of a node may become free for somebody of this priority. For gangs those that a
    /// budget could protect do not count.
    fn may_become_free(&self, node: &str, priority: i32, for_gang: bool) -> i64 {
        let protected = |app: Option<&'static str>| {
            for_gang && app.is_some_and(|app| self.book.budgets.contains_key(app))
        };
        let lower = self.pods.values().filter(|pod| {
            let there = pod.node.as_deref() == Some(node) && !pod.gone;
            there && pod.priority < priority && !protected(pod.app)
        });
        lower.map(|pod| pod.gpus).sum()
    }

    /// Whoever fits is placed, and whoever could make room has made it.
    pub(super) fn nobody_waits_for_nothing(&self) {
        let owed = &self.book.owed;
        assert!(owed.is_empty(), "pods were evicted in vain for {owed:?}");
        let engine = &self.engine;
        for (uid, pod) in &self.pods {
            if pod.node.is_some() {
                continue;
            }
            let key = engine.by_uid[&**uid];
            assert_eq!(engine.nominator.node_of(key), None, "{uid} holds room");
            if pod.group.is_some() {
                continue;
            }
            for (name, _) in self.nodes.iter().filter(|(_, node)| !node.cordoned) {
                let free = self.free(name);
                assert!(free < pod.gpus, "{uid} fits {name}");
                let more = self.may_become_free(name, pod.priority, false);
                assert!(
                    pod.never_preempts || free + more < pod.gpus,
                    "{uid} could clear {name}"
                );
            }
        }
        for (place, group) in self.groups.iter().enumerate() {
            let gang = self.gang(place);
            let Some(gang) = gang.filter(|gang| gang.readiness() == Readiness::Ready) else {
                continue;
            };
            assert!(engine.preemptions.victims_of(gang.unit).is_empty());
            let name = &group.name;
            let now = self.room(group.gpus, |_| 0);
            assert!(!self.suffices(place, &now), "{name} fits");
            let more = |node: &str| self.may_become_free(node, group.priority, true);
            let cleared = self.room(group.gpus, more);
            assert!(
                gang.has_enough() || !self.suffices(place, &cleared),
                "{name} could make room"
            );
        }
    }
}
