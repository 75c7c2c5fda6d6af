//! Gangs and pods of several priorities that make room for themselves at each other's cost, through
//! random histories: evictions fail, victims linger, budgets protect some, preemptors go or change,
//! nodes go, others take what was made free, and the engine begins again. No gang is torn apart,
//! nobody is evicted for an equal, and in the end it is quiet and nobody was evicted in vain.
//!
//! `BERTH_GANG_HISTORY_SEED=7 cargo test --workspace --lib gangs::rivals` leads only history 7, and
//! tells it; `BERTH_GANG_HISTORIES=100000` leads so many.

mod check;
mod lanes;
mod world;

use world::World;

use super::histories::{number, retell};
use crate::engine::tests::*;

/// As many as take a few seconds in a build for development.
const HISTORIES: u64 = 25;

impl World {
    fn live_on(&mut self) {
        // Those of low priority are there first.
        let lowest = self.groups.iter().map(|group| group.priority).min();
        for place in 0..self.groups.len() {
            if Some(self.groups[place].priority) == lowest {
                self.keep_alive(place);
            }
        }
        let gpus: i64 = self.nodes.values().map(|node| node.gpus).sum();
        for _ in 0..gpus {
            let uid = self.create_pod(None);
            self.edit(&uid, "is small and not important", |pod| {
                (pod.gpus, pod.priority) = (1, 0);
            });
        }
        for _ in 0..20 {
            self.settle();
            self.decide();
        }
        // Some are calm from the beginning: whoever evicts others then gets the room.
        self.dice.calm = self.dice.chance(25);
        let steps = 60 + self.dice.below(240);
        for _ in 0..steps {
            self.step();
        }
    }

    fn step(&mut self) {
        match self.dice.below(100) {
            0..22 => drop(self.decide()),
            22..38 => {
                let fails = !self.dice.calm && self.dice.chance(12);
                if !self.lanes.is_empty() {
                    let place = self.dice.index(self.lanes.len());
                    self.carry(place, fails);
                }
            }
            38..50 => {
                if !self.answers.is_empty() {
                    let place = self.dice.index(self.answers.len());
                    self.answer(place);
                }
            }
            50..68 => {
                for _ in 0..=self.dice.index(4) {
                    let news: Vec<String> = self.news.iter().cloned().collect();
                    if let Some(uid) = self.dice.maybe_one_of(&news).cloned() {
                        self.tell_pod(&uid);
                    }
                }
            }
            68..73 => {
                let millis = *self.dice.one_of(&[10, 600, 1000, 3000, 12_000]);
                self.now = self.now + Duration::from_millis(millis);
            }
            73..78 => {
                if let Some(uid) = self.some_pod(|pod| pod.terminating) {
                    self.edit(&uid, "ends", |pod| pod.gone = true);
                }
            }
            78..86 => {
                let place = self.dice.index(self.groups.len());
                self.keep_alive(place);
            }
            86..88 => drop(self.create_pod(None)),
            88..91 => {
                let place = self.dice.index(self.budgets.len());
                self.tell_budget(place);
            }
            _ if self.dice.calm => {}
            91..94 => self.somebody_goes(),
            94..96 => self.a_competitor_comes(),
            96 => self.a_group_changes(),
            97 => self.a_node_changes(),
            98 => {
                let place = self.dice.index(self.budgets.len());
                self.budgets[place].exists ^= true;
                self.tell_budget(place);
            }
            _ => {
                if self.dice.chance(40) {
                    self.restart();
                }
            }
        }
        self.engine.audit();
    }

    fn somebody_goes(&mut self) {
        let which = self.dice.below(4);
        let found = self.some_pod(|pod| match which {
            // One who waits, perhaps for its victims.
            0 | 1 => pod.node.is_none(),
            _ => !pod.terminating,
        });
        if let Some(uid) = found {
            self.delete(&uid);
        }
    }

    /// Another scheduler binds a pod that waits, or one of its own.
    fn a_competitor_comes(&mut self) {
        let Some(node) = self.some_node() else {
            return;
        };
        let waits = self.some_pod(|pod| pod.node.is_none() && !pod.terminating);
        let uid = match waits.filter(|_| self.dice.chance(50)) {
            Some(uid) => uid,
            None => self.create_pod(None),
        };
        self.edit(&uid, "is bound by somebody else", |pod| {
            pod.node = Some(node)
        });
    }

    fn a_group_changes(&mut self) {
        let place = self.dice.index(self.groups.len());
        match self.dice.below(3) {
            0 => self.remove_object(place),
            1 => {
                let group = &mut self.groups[place];
                group.min = 1 + self.dice.index(group.pods);
                group.whole ^= true;
                self.note(format_args!("{place} is another one"));
                self.set_object(place);
            }
            _ => {
                let mate = |pod: &world::Pod| pod.group == Some(place);
                while let Some(uid) = self.some_pod(|pod| mate(pod) && !pod.terminating) {
                    self.delete(&uid);
                }
            }
        }
    }

    fn a_node_changes(&mut self) {
        let Some(name) = self.some_node() else {
            self.create_node();
            return;
        };
        match self.dice.below(4) {
            0 => {
                self.note(format_args!("{name} is gone"));
                self.nodes.remove(&name);
                self.apply(Change::NodeGone((*name).into()));
            }
            1 => self.create_node(),
            2 => {
                let node = self.nodes.get_mut(&name).unwrap();
                node.cordoned ^= true;
                self.tell_node(&name);
            }
            _ => {
                let gpus = *self.dice.one_of(&[2, 4, 6]);
                self.nodes.get_mut(&name).unwrap().gpus = gpus;
                self.tell_node(&name);
            }
        }
    }

    // === The end ===

    /// Everything arrives, whoever leaves is gone, and controllers replace what gangs have lost.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            while !self.lanes.is_empty() {
                self.carry(0, false);
                moved = true;
            }
            while !self.answers.is_empty() {
                self.answer(0);
                moved = true;
            }
            while let Some(uid) = self.some_pod(|pod| pod.terminating) {
                self.edit(&uid, "ends", |pod| pod.gone = true);
                moved = true;
            }
            for place in 0..self.groups.len() {
                self.keep_alive(place);
            }
            while let Some(uid) = self.news.first().cloned() {
                self.tell_pod(&uid);
                moved = true;
            }
            for place in 0..self.budgets.len() {
                self.count_budget(place);
            }
            self.engine.audit();
            if !moved {
                return;
            }
        }
    }

    /// Nothing goes wrong any more.
    fn finish(&mut self) {
        self.dice.calm = true;
        self.note("it is quiet");
        self.come_to_rest();
        // The most important gang comes last, and nobody disturbs it.
        let place = self.groups.len();
        let mut last = self.some_group(place);
        last.priority = 40;
        self.note(format_args!("the last one: {last:?}"));
        self.groups.push(last);
        if self.dice.chance(50) {
            self.restart_in_a_wave(place);
        }
        self.come_to_rest();
        let shown = self.metrics.encode().unwrap();
        for line in [
            "berth_cycle_panics_total 0",
            "scheduler_pod_scheduled_after_flush_total 0",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "not: {line}");
        }
        self.nothing_remains();
    }

    /// Berth begins anew after it has evicted pods for a gang, which still leave.
    fn restart_in_a_wave(&mut self, place: usize) {
        self.settle();
        for _ in 0..10 {
            let unit = self.gang(place).map(|gang| gang.unit);
            if unit.is_some_and(|unit| !self.engine.preemptions.victims_of(unit).is_empty()) {
                while !self.lanes.is_empty() {
                    self.carry(0, false);
                }
                self.restart();
                break;
            }
            self.decide();
        }
        for _ in 0..10 {
            self.decide();
        }
    }

    /// Time goes on, for longer than the longest rest of a preemptor.
    fn come_to_rest(&mut self) {
        let most = self.book.evicted + 4 * (self.pods.len() + 10);
        let (mut rounds, mut idle) = (0, 0);
        while idle < 22 {
            self.settle();
            let mut moved = false;
            for decided in 0.. {
                assert!(decided < 1000, "it never ends");
                let some = self.decide();
                self.settle();
                moved |= some;
                if !some && !self.engine.has_work() {
                    break;
                }
            }
            rounds += 1;
            idle = if moved { 0 } else { idle + 1 };
            assert!(rounds < 200, "there is always something to do");
            assert!(self.book.evicted < most, "more and more are evicted");
            self.now = self.now + SECOND * 31;
        }
        self.nobody_waits_for_nothing();
    }

    fn nothing_remains(&mut self) {
        for uid in Vec::from_iter(self.pods.keys().cloned()) {
            self.edit(&uid, "is gone", |pod| pod.gone = true);
            self.tell_pod(&uid);
        }
        (0..self.groups.len()).for_each(|place| self.remove_object(place));
        self.decide();
        let engine = &self.engine;
        assert!(engine.pods.is_empty() && engine.queue.is_empty());
        assert!(engine.preemptions.is_empty(), "{:?}", engine.preemptions);
        assert_eq!(engine.nominator.nodes().count(), 0);
        assert_eq!(engine.gangs.table.iter().count(), 0);
        assert_eq!(engine.cluster.placed_counts(), (0, 0));
    }
}

/// What a history was about.
#[derive(Debug, Default)]
struct Told {
    evicted: usize,
    /// By gangs, and of gangs.
    gangs: (usize, usize),
}

/// Leads one history, and tells it when it goes wrong.
fn lead(seed: u64, tell: bool) -> (Told, Vec<String>) {
    let mut world = World::new(seed);
    let live = |world: &mut World| {
        world.live_on();
        world.finish();
    };
    retell(&mut world, live, |world| &world.log, ("rivals", seed, tell));
    let told = Told {
        evicted: world.book.evicted,
        gangs: world.book.gangs,
    };
    (told, world.log)
}

#[test]
fn every_history_ends_well() {
    if let Some(seed) = number("BERTH_GANG_HISTORY_SEED") {
        lead(seed, true);
        return;
    }
    let first = number("PROPTEST_RNG_SEED").unwrap_or(0);
    let histories = number("BERTH_GANG_HISTORIES").unwrap_or(HISTORIES);
    let mut all = Told::default();
    for seed in first..first + histories {
        let (told, _) = lead(seed, false);
        all.evicted += told.evicted;
        all.gangs.0 += told.gangs.0;
        all.gangs.1 += told.gangs.1;
    }
    println!("{histories} histories: {all:?}");
    let least = histories as usize;
    assert!(all.evicted >= least, "few are evicted: {all:?}");
    assert!(
        all.gangs.0 >= least / 4 && all.gangs.1 >= least / 4,
        "{all:?}"
    );
}

#[test]
fn the_same_seed_is_the_same_history() {
    for seed in 0..3 {
        assert_eq!(lead(seed, false).1, lead(seed, false).1);
    }
}
