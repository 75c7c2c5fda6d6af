//! Gangs through random histories: whatever happens in whatever order, none is placed in part, none
//! that waits holds anything, nobody is lost, and in the end every gang runs that fits.
//!
//! The API server is played: binds arrive there when they do, are refused, or are answered late;
//! the watch tells of them before or after that; other schedulers, controllers and administrators
//! do what they do; and Berth is killed at any step. A bind is answered with a failure only when it
//! is certain that it was not done, which is what the bind lane promises.
//!
//! `BERTH_GANG_HISTORY_SEED=7 cargo test --workspace --lib gangs::histories` leads only history 7,
//! and tells it; `BERTH_GANG_HISTORIES=100000` leads so many.

mod check;
mod door;
mod naive;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use world::World;

use crate::engine::tests::*;
use crate::engine::{Action, GroupPhase};
use crate::gang::Readiness;

/// As many as take about 20 seconds in a build for development; `make soak` leads many more.
const HISTORIES: u64 = 200;

impl World {
    fn live_on(&mut self) {
        let steps = 40 + self.dice.below(160);
        let restart = self.dice.below(2 * steps);
        for step in 0..steps {
            if step == restart {
                self.nothing_went_wrong();
                self.restart();
                self.check();
            }
            self.step();
            self.check();
        }
    }

    fn step(&mut self) {
        match self.dice.below(100) {
            0..30 => {
                let budget = 1 + self.dice.below(3);
                self.decide(budget);
            }
            30..40 => self.somewhere(
                |flying| flying.outcome.is_none(),
                |world, place| {
                    let refused = world.dice.chance(10);
                    world.carry(place, refused);
                },
            ),
            40..49 => self.somewhere(|flying| flying.outcome.is_some(), Self::answer),
            49 => {
                let held = Vec::from_iter(self.held());
                if let Some(uid) = self.dice.maybe_one_of(&held).cloned() {
                    let refusal = self.dice.chance(25).then_some("not today");
                    self.say(&uid, refusal);
                }
            }
            50..56 => {
                if let Some(uid) = self.some_pod(|pod| pod.node.is_some() && !pod.told) {
                    self.note(format_args!("the watch tells that {uid} is bound"));
                    self.send_pod(&uid);
                }
            }
            56..60 => {
                let millis = *self.dice.one_of(&[10, 600, 1000, 3000, 12_000]);
                self.scene.now = self.scene.now + Duration::from_millis(millis);
            }
            60..76 => self.somebody_creates(),
            76..90 => self.something_happens_to_a_pod(),
            90..94 => self.something_happens_to_a_group(),
            94..99 => self.something_happens_to_a_node(),
            _ => {
                if !self.late.is_empty() {
                    let (uid, node) = self.late.remove(0);
                    self.arrive(&uid, &node, false);
                }
            }
        }
    }

    fn somewhere(
        &mut self,
        which: impl Fn(&world::Flying) -> bool,
        then: impl Fn(&mut Self, usize),
    ) {
        let places: Vec<usize> = (0..self.flying.len())
            .filter(|place| which(&self.flying[*place]))
            .collect();
        if let Some(&place) = self.dice.maybe_one_of(&places) {
            then(self, place);
        }
    }

    fn somebody_creates(&mut self) {
        let place = self.dice.index(self.groups.len());
        match self.dice.below(10) {
            0 => drop(self.create_pod(None)),
            1..3 if self.groups[place].object.is_none() => {
                let min = self.groups[place].min;
                self.set_object(place, min);
            }
            1..4 => drop(self.create_pod(Some(place))),
            // A controller creates what a gang lacks.
            _ => {
                if self.groups[place].object.is_none() {
                    let min = self.groups[place].min;
                    self.set_object(place, min);
                }
                let more = self.dice.index(2);
                let wanted = self.groups[place].min as usize + more;
                for _ in self.members(place).count()..wanted {
                    self.create_pod(Some(place));
                    self.check();
                }
            }
        }
    }

    fn something_happens_to_a_pod(&mut self) {
        let waits = |pod: &world::Pod| pod.node.is_none() && !pod.terminating;
        match self.dice.below(11) {
            0 | 1 => {
                if let Some(uid) = self.some_pod(|_| true) {
                    self.remove_pod(&uid);
                }
            }
            2 => {
                if let Some(uid) = self.some_pod(|pod| pod.terminating) {
                    self.remove_pod(&uid);
                }
            }
            3 => {
                if let Some(uid) = self.some_pod(|pod| !pod.terminating) {
                    self.lose(&uid);
                    self.edit_pod(&uid, "terminates", |pod| pod.terminating = true);
                }
            }
            // Finished pods are told of like deleted ones: the watch leaves them out.
            4 => {
                if let Some(uid) = self.some_pod(|pod| pod.node.is_some()) {
                    self.remove_pod(&uid);
                }
            }
            5 | 6 => {
                if let Some(uid) = self.some_pod(|pod| pod.gated) {
                    self.edit_pod(&uid, "is let in", |pod| pod.gated = false);
                }
            }
            7 => {
                if let Some(uid) = self.some_pod(waits) {
                    self.edit_pod(&uid, "has another image", |pod| pod.image += 1);
                }
            }
            8 => self.relabel(),
            // Another scheduler, which may give a node more than it has.
            _ => {
                let pod = self.some_pod(|pod| waits(pod) && !pod.gated);
                if let (Some(uid), Some(node)) = (pod, self.some_node()) {
                    self.note(format_args!("{uid} is bound to {node} by somebody else"));
                    self.lose(&uid);
                    let told = self.dice.chance(50);
                    if let Some(pod) = self.pods.get_mut(&uid) {
                        (pod.node, pod.foreign) = (Some(node), true);
                    }
                    if told {
                        self.send_pod(&uid);
                    }
                }
            }
        }
    }

    /// A pod that waits changes its group, where that can be said by a label or an annotation.
    fn relabel(&mut self) {
        let free = |world: &Self, gang: Option<usize>| {
            gang.is_none_or(|place| {
                world.groups[place].dialect != crate::model::Dialect::Kubernetes
            })
        };
        let flying: Vec<String> = self
            .flying
            .iter()
            .map(|flying| flying.uid.clone())
            .collect();
        let Some(uid) = self.some_pod(|pod| pod.node.is_none() && !pod.terminating) else {
            return;
        };
        let place = self.dice.index(self.groups.len() + 1);
        let gang = (place < self.groups.len()).then_some(place);
        let late = self.late.iter().any(|(late, _)| *late == uid);
        if flying.contains(&uid) || late || !free(self, self.pods[&uid].gang) || !free(self, gang) {
            return;
        }
        self.lose(&uid);
        let min = gang.map(|place| &self.groups[place]);
        let min = min
            .filter(|group| !group.dialect.has_object())
            .map(|group| group.min);
        let what = format!("is of {gang:?}");
        self.edit_pod(&uid, &what, |pod| {
            (pod.gang, pod.min, pod.role) = (gang, min, None)
        });
    }

    fn something_happens_to_a_group(&mut self) {
        let place = self.dice.index(self.groups.len());
        let min = 1 + self.dice.below(5) as u32;
        match self.dice.below(4) {
            0 => self.remove_object(place),
            1 => self.set_object(place, min),
            _ => self.edit_min(place, min),
        }
    }

    fn something_happens_to_a_node(&mut self) {
        let Some(name) = self.some_node() else {
            self.create_node();
            return;
        };
        let gpus = *self.dice.one_of(&[0, 2, 4, 8]);
        let rack = *self.dice.one_of(&[None, Some("r1"), Some("r2")]);
        let what = self.dice.below(7);
        let node = self.nodes.get_mut(&name).unwrap();
        match what {
            0 => {
                self.note(format_args!("node {name} is gone"));
                self.nodes.remove(&name);
                self.scene.apply(Change::NodeGone((*name).into()));
                return;
            }
            1 => return self.create_node(),
            2 | 3 => node.cordoned = !node.cordoned,
            4 => node.gpus = gpus,
            5 => node.tainted = !node.tainted,
            _ => node.rack = rack,
        }
        let line = format!("node {name}: {node:?}");
        self.note(line);
        self.send_node(&name);
    }

    /// Decides at most so many pods or gangs. Answers whether anything was bound.
    fn decide(&mut self, budget: u64) -> bool {
        let mut bound = false;
        for _ in 0..budget {
            self.collect();
            let now = self.scene.now;
            let effects = self.scene.engine.run(now, 1);
            bound |= (effects.iter()).any(|effect| matches!(effect.action, Action::Bind { .. }));
            self.take(effects, 1);
            self.check();
            if !self.scene.engine.has_work() {
                break;
            }
        }
        bound
    }

    // === The end ===

    /// Nothing goes wrong any more, nobody does anything else, and time goes on.
    fn finish(&mut self) {
        self.dice.calm = true;
        self.note("it is quiet");
        for (uid, node) in std::mem::take(&mut self.late) {
            self.arrive(&uid, &node, false);
        }
        if self.nodes.is_empty() {
            self.create_node();
        }
        self.open_the_door();
        // Less than the five minutes after which everything is tried anyway.
        for _ in 0..12 {
            self.settle();
            self.scene.now = self.scene.now + SECOND * 11;
        }
        self.settle();
        self.everything_that_fits_is_placed();
        self.all_is_told();
        self.idle();
        self.nothing_went_wrong();
        self.nothing_remains();
    }

    /// No cycle has panicked, and nobody was placed only because it was tried again after minutes.
    fn nothing_went_wrong(&self) {
        let shown = self.metrics.encode().unwrap();
        for line in [
            "berth_cycle_panics_total 0",
            "scheduler_pod_scheduled_after_flush_total 0",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "not: {line}");
        }
    }

    /// Once everything is deleted, nothing is kept of it, and all gauges of pods are at zero.
    fn nothing_remains(&mut self) {
        while let Some(uid) = self.some_pod(|_| true) {
            self.remove_pod(&uid);
            self.check();
        }
        for place in 0..self.groups.len() {
            self.remove_object(place);
        }
        self.decide(10);
        let engine = &self.scene.engine;
        assert!(engine.pods.is_empty() && engine.queue.is_empty());
        assert_eq!(engine.cluster.placed_counts(), (0, 0));
        assert_eq!(engine.gangs.table.iter().count(), 0);
        for line in self.metrics.encode().unwrap().lines() {
            let gauges = ["scheduler_unschedulable_pods{", "scheduler_pending_pods{"];
            if gauges.iter().any(|gauge| line.starts_with(gauge)) {
                assert!(line.ends_with(" 0"), "{line}");
            }
        }
    }

    /// Lets everything arrive that is on its way, until there is nothing to decide.
    fn settle(&mut self) {
        for _ in 0..1000 {
            for uid in self.held() {
                self.say(&uid, None);
                self.check();
            }
            while let Some(place) = (0..self.flying.len()).next() {
                if self.flying[place].outcome.is_none() {
                    self.carry(place, false);
                }
                self.answer(place);
                self.check();
            }
            while let Some(uid) = self.some_pod(|pod| pod.node.is_some() && !pod.told) {
                self.send_pod(&uid);
                self.check();
            }
            if !self.decide(10) && !self.scene.engine.has_work() {
                return;
            }
        }
        panic!("it never ends");
    }

    fn everything_that_fits_is_placed(&self) {
        for (uid, pod) in &self.pods {
            let waits = pod.node.is_none() && pod.ours && !pod.gated && !pod.terminating;
            if waits && pod.gang.is_none() {
                let stands_behind = || self.stand_behind(&[(uid, pod)]);
                let refused = !naive::fits(self, pod) || stands_behind();
                assert!(refused, "{uid} fits and is not placed");
            }
        }
        for (place, group) in self.groups.iter().enumerate() {
            let asks = naive::asks(self, place);
            let gang = self.gang(place).map(|gang| gang.readiness());
            let ready = gang == Some(Readiness::Ready);
            assert_eq!(asks.is_some(), ready, "{} is {gang:?}", group.name);
            let refused =
                asks.is_none_or(|asks| !asks.is_placed(self) || self.stand_behind(&asks.waiting()));
            assert!(refused, "{} fits and is not placed", group.name);
        }
    }

    /// Whether these wait for a gang that has waited for longer, and are told so.
    fn stand_behind(&self, waiting: &[(&String, &world::Pod)]) -> bool {
        let (Some(_), Some((_, first))) = (self.patience, waiting.first()) else {
            return false;
        };
        self.groups.iter().enumerate().any(|(place, group)| {
            let Some(head) = naive::asks(self, place) else {
                return false;
            };
            let head = head.waiting();
            let devices = head.iter().any(|(_, pod)| pod.gpus > 0);
            let contests = !devices || waiting.iter().any(|(_, pod)| pod.gpus > 0);
            let text = format!(
                "gang default/{} has waited for longer and is served first",
                group.name
            );
            let told = |pod: &world::Pod| {
                let condition = pod.condition.as_ref();
                condition.is_some_and(|(_, message)| *message == text)
            };
            first.gang != Some(place)
                && first.priority <= head[0].1.priority
                && contests
                && (self.status_lost || waiting.iter().all(|(_, pod)| told(pod)))
        })
    }

    /// Who waits is told so, and the objects of groups tell how they fare.
    fn all_is_told(&self) {
        if self.status_lost {
            return;
        }
        for (uid, pod) in &self.pods {
            let waits = pod.node.is_none() && pod.ours && !pod.gated && !pod.terminating;
            assert!(
                !waits || pod.condition.is_some(),
                "{uid} is not told that it waits"
            );
        }
        for (place, group) in self.groups.iter().enumerate() {
            let (Some(object), Some(min)) = (&group.object, self.min_of(place)) else {
                continue;
            };
            let bound = self.live(place).len();
            let readiness = self.gang(place).map(|gang| gang.readiness());
            let expected = match readiness {
                _ if !group.dialect.has_object() => continue,
                _ if bound >= min => GroupPhase::Scheduled,
                _ if bound > 0 => GroupPhase::Degraded,
                Some(Readiness::Ready) => GroupPhase::Unschedulable,
                Some(Readiness::Invalid(_)) => GroupPhase::Invalid,
                _ => GroupPhase::Incomplete,
            };
            let told = object.status.as_ref().map(|status| status.phase);
            assert_eq!(told, Some(expected), "{}", group.name);
        }
    }

    /// Nothing is tried again without a reason.
    fn idle(&mut self) {
        let attempts = |world: &Self| {
            let engine = &world.scene.engine;
            let keys = engine.by_uid.values();
            let keys = keys.filter_map(|key| engine.queue.get(*key));
            keys.map(|queued| u64::from(queued.attempts)).sum::<u64>()
        };
        let before = attempts(self);
        for _ in 0..10 {
            self.scene.now = self.scene.now + SECOND * 11;
            assert!(!self.scene.engine.has_work(), "there is still work");
            assert!(!self.decide(10), "something was still to be bound");
        }
        // Those behind the head of the line look again whether they may pass.
        let behind = |pod: &world::Pod| {
            let told = pod.condition.as_ref();
            pod.node.is_none() && told.is_some_and(|(_, text)| text.ends_with("is served first"))
        };
        let some_behind = self.patience.is_some() && self.pods.values().any(behind);
        assert!(
            attempts(self) == before || some_behind,
            "something was tried again for nothing"
        );
        assert_eq!(self.scene.engine.awaited(), 0, "outcomes are still awaited");
    }
}

/// Leads one history, and tells it when it goes wrong.
fn lead(seed: u64, tell: bool) -> Vec<String> {
    let mut world = World::new(seed);
    let live = |world: &mut World| {
        world.live_on();
        world.finish();
    };
    retell(
        &mut world,
        live,
        |world| &world.log,
        ("histories", seed, tell),
    );
    world.log
}

/// Lives a history of this module and seed, and tells it when it goes wrong or is asked to.
pub(super) fn retell<W>(
    world: &mut W,
    live: impl FnOnce(&mut W),
    log: impl Fn(&W) -> &[String],
    (module, seed, tell): (&str, u64, bool),
) {
    let result = catch_unwind(AssertUnwindSafe(|| live(world)));
    if tell || result.is_err() {
        println!("history {seed}:\n{}", log(world).join("\n"));
    }
    if let Err(panic) = result {
        println!(
            "again: BERTH_GANG_HISTORY_SEED={seed} cargo test --workspace --lib gangs::{module}"
        );
        resume_unwind(panic);
    }
}

pub(super) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn every_history_ends_well() {
    if let Some(seed) = number("BERTH_GANG_HISTORY_SEED") {
        lead(seed, true);
        return;
    }
    let first = number("PROPTEST_RNG_SEED").unwrap_or(0);
    for seed in first..first + number("BERTH_GANG_HISTORIES").unwrap_or(HISTORIES) {
        lead(seed, false);
    }
}

#[test]
fn the_same_seed_is_the_same_history() {
    for seed in 0..10 {
        assert_eq!(lead(seed, false), lead(seed, false));
    }
}
