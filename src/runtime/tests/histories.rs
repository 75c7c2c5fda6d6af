//! Whole lives of Berth against the API server in memory, from a seed, with everything that can go
//! wrong: no pod is lost or bound twice, no node holds more than it has, and whoever may evict others
//! gets their room in the end.
//!
//! What is tested is what runs: the watches' bookkeeping, the mailbox, the engine, and the rules
//! for binds and evictions of unknown outcome. What is played is the rest: kube's watcher, tokio, the network and
//! the clock. A step is one request, one answer, one look into the mailbox or one deed of somebody
//! else, and Berth may be killed before each.
//!
//! `BERTH_HISTORY_SEED=7 cargo test --workspace --lib histories` leads only history 7, and tells
//! it.

mod berth;
mod election;
mod evictions;
mod others;
mod stream;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use berth::Berth;
use election::Election;
use world::{World, pods, text};

use crate::plugins::testing::naive::{Answer, Verdict};
use crate::telemetry::metrics::Metrics;

const HISTORIES: u64 = 1000;
/// Steps of Berth's between two deeds of others.
const STEPS: u64 = 12;

struct History {
    world: World,
    metrics: Arc<Metrics>,
    /// The replicas: one, or two of which one leads.
    berths: Vec<Berth>,
    election: Option<Election>,
    /// Nobody takes room from under Berth's decisions.
    quiet: bool,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        let metrics = Arc::new(Metrics::new().unwrap());
        let elected = world.dice.chance(40);
        let quiet = world.dice.chance(30);
        for _ in 0..3 {
            world.create_node();
        }
        let least = if world.crowded { 12 } else { 2 };
        for _ in 0..least + world.dice.below(5) {
            world.create_pod();
        }
        let mut history = Self {
            berths: Vec::new(),
            election: elected.then(Election::default),
            world,
            metrics,
            quiet,
        };
        for _ in 0..if elected { 2 } else { 1 } {
            let berth = history.born();
            history.berths.push(berth);
        }
        history
    }

    fn live(&mut self) {
        let rounds = 10 + self.world.dice.below(30);
        // Over all seeds, there is a restart at every step.
        let restart = self.world.dice.below(rounds * STEPS);
        let mut steps = 0;
        for _ in 0..rounds {
            if self.world.dice.chance(60) {
                let millis = *self
                    .world
                    .dice
                    .one_of(&[1, 50, 400, 1000, 1000, 3000, 12_000]);
                self.world.pass(Duration::from_millis(millis));
            }
            for _ in 0..self.world.dice.below(4) {
                self.world.meddle(self.quiet);
                self.world.observe();
            }
            for _ in 0..STEPS {
                if steps == restart {
                    self.restart();
                }
                self.step();
                self.world.observe();
                steps += 1;
            }
        }
    }

    fn step(&mut self) {
        self.elect();
        if self.world.dice.chance(3) && !self.world.late.is_empty() {
            let sent = self.world.late.remove(0);
            let _ = self.world.arrive(&sent, true);
        }
        if self.world.rarely() {
            self.restart();
        }
        let berth = self.world.dice.index(self.berths.len());
        if !self.is_halted(berth) {
            self.berths[berth].step(&mut self.world);
        }
    }

    /// Nothing goes wrong any more, nobody does anything else, and time goes on.
    fn finish(&mut self) {
        self.world.stop_faults();
        while let Some(sent) = self.world.late.pop() {
            let _ = self.world.arrive(&sent, true);
        }
        for _ in 0..14 {
            self.pass(Duration::from_secs(11));
        }
        self.nobody_is_left_out();
        // Whose status could not be written is tried again in the end, and it is written then.
        for _ in 0..14 {
            self.pass(Duration::from_secs(31));
        }
        self.nobody_is_left_out();
        // Who has evicted in vain too often rests for ten minutes.
        for _ in 0..4 {
            self.pass(Duration::from_secs(200));
        }
        self.nobody_is_left_out();
        self.nobody_waits_for_less_important_pods();
        self.everybody_who_waits_is_told();
        for berth in &self.berths {
            berth.ends_where_the_server_is(&self.world);
        }
        let panics = "berth_cycle_panics_total 0";
        let shown = self.metrics.encode().unwrap();
        assert!(shown.lines().any(|line| line == panics), "a cycle panicked");
    }

    fn pass(&mut self, time: Duration) {
        self.world.pass(time);
        self.elect();
        for berth in &mut self.berths {
            berth.settle(&mut self.world);
        }
    }

    /// Every pod that fits somewhere is bound.
    fn nobody_is_left_out(&self) {
        let truth = self.world.truth();
        for object in self.world.list(pods()) {
            let pod = object.value();
            let waits = text(pod, "/spec/nodeName").is_empty()
                && text(pod, "/spec/schedulerName") == "berth";
            let plain = self.world.pod_now(text(pod, "/metadata/uid"));
            if !waits || !plain.gates.is_empty() {
                continue;
            }
            let name = text(pod, "/metadata/name");
            if let Answer::Nodes(verdicts) = truth.filter(plain) {
                let fits = verdicts.values().any(|verdict| *verdict == Verdict::Yes);
                assert!(!fits, "{name} is lost: it fits: {verdicts:?}");
            }
        }
    }

    /// No pod waits that could have evicted others.
    fn nobody_waits_for_less_important_pods(&self) {
        let truth = self.world.truth();
        for object in self.world.list(pods()) {
            let pod = object.value();
            let waits = text(pod, "/spec/nodeName").is_empty()
                && text(pod, "/spec/schedulerName") == "berth"
                && text(pod, "/spec/preemptionPolicy") != "Never";
            let plain = self.world.pod_now(text(pod, "/metadata/uid"));
            if !waits || !plain.gates.is_empty() {
                continue;
            }
            let mut cleared = truth.clone();
            cleared
                .placed
                .retain(|_, (_, placed)| placed.priority >= plain.priority);
            if let Answer::Nodes(verdicts) = cleared.filter(plain) {
                let name = text(pod, "/metadata/name");
                let fits = verdicts.values().any(|verdict| *verdict == Verdict::Yes);
                assert!(
                    !fits,
                    "{name} waits, though it may evict others: {verdicts:?}"
                );
            }
        }
    }

    /// Every pod that is not bound says so.
    fn everybody_who_waits_is_told(&self) {
        for object in self.world.list(pods()) {
            let pod = object.value();
            if !text(pod, "/spec/nodeName").is_empty()
                || text(pod, "/spec/schedulerName") != "berth"
            {
                continue;
            }
            let conditions = pod.pointer("/status/conditions");
            let conditions = conditions.and_then(serde_json::Value::as_array);
            let told = conditions
                .into_iter()
                .flatten()
                .any(|one| text(one, "/type") == "PodScheduled" && text(one, "/status") == "False");
            assert!(told, "{pod} is not told that it waits");
        }
    }
}

/// Leads one history, and tells it when it goes wrong. Answers what happened.
fn live(seed: u64, tell: bool) -> Vec<String> {
    let mut history = History::new(seed);
    let result = catch_unwind(AssertUnwindSafe(|| {
        history.live();
        history.finish();
    }));
    if tell || result.is_err() {
        println!("history {seed}:\n{}", history.world.log.join("\n"));
    }
    if let Err(panic) = result {
        println!("again: BERTH_HISTORY_SEED={seed} cargo test --workspace --lib histories");
        resume_unwind(panic);
    }
    history.world.log
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn a_thousand_histories_end_well() {
    if let Some(seed) = number("BERTH_HISTORY_SEED") {
        live(seed, true);
        return;
    }
    let first = number("PROPTEST_RNG_SEED").unwrap_or(0);
    let mut evictions = 0;
    for seed in first..first + HISTORIES {
        let log = live(seed, false);
        let evicted = |line: &&String| line.contains("to be evicted: ");
        evictions += log.iter().filter(evicted).count() as u64;
    }
    assert!(evictions > HISTORIES / 4, "few are evicted: {evictions}");
}

#[test]
fn the_same_seed_is_the_same_history() {
    for seed in 0..10 {
        assert_eq!(live(seed, false), live(seed, false));
    }
}
