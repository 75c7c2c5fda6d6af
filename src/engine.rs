//! The state machine that decides: changes and outcomes in, effects out.
//!
//! It owns the cluster and the queue, never blocks, does no IO, and is told the time. Everything
//! it decides leaves as an [`Effect`]; what became of it comes back through [`Engine::complete`].

mod bound;
mod changes;
mod classes;
mod cycle;
mod effect;
mod explain;
mod failure;
mod gangs;
mod nodes;
mod nominator;
mod outcomes;
mod permits;
mod preempting;
mod telling;
mod volumes;
mod waiting;
mod waking;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

pub use changes::Change;
pub use effect::{
    About, Action, ConditionReason, Effect, EffectId, EventKind, Evict, GroupPhase, GroupStatus,
    Nomination, NotScheduled, ObjectEvent, Outcome, StatusPatch,
};
pub use explain::{Finding, Preemption, Victim};
pub use volumes::VolumeChange;

use crate::cluster::Cluster;
use crate::framework::{EventSet, Profile};
use crate::gang::GangId;
use crate::model::Time;
use crate::preemption::{self, Budgets};
use crate::queue::{Attempt, Backoff, PodKey, SchedulingQueue, State};
use crate::telemetry::metrics::{
    AttemptResult, GangMetrics, GangResult, Metrics, PreemptionMetrics, ProfileMetrics,
    SchedulingMetrics,
};
use classes::ClassTable;
use gangs::GangBook;
use nominator::Nominator;
use preempting::{Hopeless, Preemptions};
use waiting::Waiting;

/// Seconds on a clock that only metrics read; no decision may depend on it.
pub type Stopwatch = Box<dyn Fn() -> f64 + Send>;

/// How often a part of the counters is counted again.
const AUDIT_INTERVAL: Duration = Duration::from_secs(1);

/// How the engine is set up.
pub struct Setup {
    /// One for each schedulerName.
    pub profiles: Vec<Profile>,
    /// How long pods wait after failed attempts.
    pub backoff: Backoff,
    /// Decides between equal scores, together with the pod.
    pub seed: u64,
    /// Where to count.
    pub metrics: Arc<Metrics>,
    /// For duration metrics.
    pub stopwatch: Stopwatch,
}

struct ProfileState {
    profile: Profile,
    metrics: ProfileMetrics,
    plugins: Vec<crate::telemetry::metrics::PluginMetrics>,
}

/// An effect whose outcome is awaited: of which pod.
#[derive(Clone, Copy, Debug)]
enum Awaited {
    Bind(PodKey),
    Status(PodKey),
    Eviction,
    Group(GangId),
}

/// The scheduler's state and what it does with it.
pub struct Engine {
    cluster: Cluster,
    queue: SchedulingQueue,
    profiles: Vec<ProfileState>,
    /// The events that some plugin of some profile registered for.
    heeded: EventSet,
    classes: ClassTable,
    pods: FxHashMap<PodKey, Waiting>,
    by_uid: HashMap<Box<str>, PodKey>,
    nominator: Nominator,
    preemptions: Preemptions,
    hopeless: Hopeless,
    /// What clearing nodes costs.
    clearing: preemption::Memory,
    /// How many pods a search for victims looks at before others have their turn.
    slice: usize,
    /// Whether the last turn was first offered to an attempt that is not finished.
    resumes: bool,
    /// How much was heard that is not about a waiting pod.
    news: u64,
    gangs: GangBook,
    /// When some plugin has taken too long to permit which pod.
    permit_limits: BTreeSet<(Time, PodKey)>,
    next_pod: u64,
    /// Effects whose outcome is awaited, and for which pod.
    awaited: FxHashMap<EffectId, Awaited>,
    effects: Vec<Effect>,
    next_effect: u64,
    priority_classes: BTreeMap<Box<str>, i32>,
    budgets: Budgets,
    /// Whether the API server lets us evict pods.
    may_evict: bool,
    quarantined: quarantine::Quarantine,
    synced: bool,
    seed: u64,
    stopwatch: Stopwatch,
    metrics: SchedulingMetrics,
    gang_metrics: GangMetrics,
    preemption_metrics: PreemptionMetrics,
    events: events::EventCounters,
    hints: waking::HintTimes,
    explained: explain::Explained,
    next_audit: Option<Time>,
    audits: usize,
}

mod events;
mod quarantine;

impl Engine {
    /// An engine that knows nothing yet.
    pub fn new(setup: Setup) -> Self {
        let mut heeded = EventSet::default();
        let mut cluster = Cluster::default();
        let plugins = (setup.profiles.iter()).flat_map(|profile| profile.plugins());
        let mut keys: Vec<_> = (plugins)
            .flat_map(|(_, plugin)| plugin.default_spread_keys())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        cluster.set_default_spread_keys(keys.into());
        let profiles = (setup.profiles.into_iter())
            .map(|profile| {
                let metrics = setup.metrics.profile(&profile.name);
                for (_, plugin) in profile.plugins() {
                    heeded.union(plugin.events());
                }
                let plugins = profile
                    .plugins()
                    .map(|(_, plugin)| metrics.plugin(plugin.name()))
                    .collect();
                ProfileState {
                    profile,
                    metrics,
                    plugins,
                }
            })
            .collect();
        Self {
            cluster,
            queue: SchedulingQueue::new(setup.backoff, Arc::clone(&setup.metrics)),
            profiles,
            heeded,
            classes: ClassTable::default(),
            pods: FxHashMap::default(),
            by_uid: HashMap::new(),
            nominator: Nominator::default(),
            preemptions: Preemptions::default(),
            hopeless: Hopeless::default(),
            clearing: preemption::Memory::default(),
            slice: preemption::SLICE,
            resumes: false,
            news: 0,
            gangs: GangBook::default(),
            permit_limits: BTreeSet::new(),
            next_pod: 0,
            awaited: FxHashMap::default(),
            effects: Vec::new(),
            next_effect: 0,
            priority_classes: BTreeMap::new(),
            budgets: Budgets::default(),
            may_evict: true,
            quarantined: quarantine::Quarantine::new(&setup.metrics),
            synced: false,
            seed: setup.seed,
            stopwatch: setup.stopwatch,
            metrics: setup.metrics.scheduling(),
            gang_metrics: setup.metrics.gangs(),
            preemption_metrics: setup.metrics.preemption(),
            events: events::EventCounters::new(Arc::clone(&setup.metrics)),
            hints: waking::HintTimes::new(Arc::clone(&setup.metrics)),
            explained: explain::Explained::default(),
            next_audit: None,
            audits: 0,
        }
    }

    /// Decides at most `budget` pods and hands out everything there is to do. Before everything
    /// watched was listed once it decides nothing. It comes back early from a search for victims that
    /// is not finished, so that what has happened meanwhile is heard.
    pub fn run(&mut self, now: Time, budget: usize) -> Vec<Effect> {
        if self.synced {
            self.queue.tick(now);
            self.expire_permits(now);
            self.allow_preemptors(now);
            self.tell_ambiguous();
            for _ in 0..budget {
                let Some((key, attempt)) = self.next(now) else {
                    break;
                };
                match self.gangs.table.of_unit(key) {
                    Some(gang) => self.attempt_gang(gang, key, attempt, now),
                    None => self.attempt(key, attempt, now),
                }
                let tried = self.queue.get(key);
                if tried.is_some_and(|tried| tried.state == State::Unfinished) {
                    break;
                }
            }
            self.tell_gangs(now);
        }
        self.audit_counters(now);
        self.queue.report();
        let (placed, assumed) = self.cluster.placed_counts();
        self.metrics
            .cache_size(self.cluster.node_count(), placed, assumed);
        std::mem::take(&mut self.effects)
    }

    /// Who has the next turn, and what has come of its attempt so far. Attempts that are not finished
    /// take turns with those that have not begun.
    fn next(&mut self, now: Time) -> Option<(PodKey, Attempt)> {
        let begins = |engine: &mut Self| {
            let key = engine.queue.pop(now)?;
            Some((key, Attempt::new((engine.stopwatch)())))
        };
        self.resumes = !self.resumes;
        if self.resumes {
            self.queue.resume().or_else(|| begins(self))
        } else {
            begins(self).or_else(|| self.queue.resume())
        }
    }

    /// Counts a small part of the counters again, once a second while there is anything to do. One
    /// that is wrong is a bug: it is told, and everything is counted again.
    fn audit_counters(&mut self, now: Time) {
        if self.next_audit.is_some_and(|time| now < time) {
            return;
        }
        self.next_audit = Some(now + AUDIT_INTERVAL);
        self.audits += 1;
        let found = self.cluster.audit_sample(self.audits);
        self.metrics.counters_audited(found.is_ok());
        if let Err(difference) = found {
            tracing::error!(%difference, "a counter of pods was wrong; all are counted again");
            self.cluster.recount_peers();
        }
    }

    /// Whether there is a pod to decide now.
    pub fn has_work(&self) -> bool {
        self.synced && self.queue.has_next()
    }

    /// When there may be something to decide without anything else happening.
    pub fn next_deadline(&self) -> Option<Time> {
        let permits = self.permit_limits.first().map(|(time, _)| *time);
        let deadlines = [
            self.queue.next_deadline(),
            self.gangs.next_deadline(),
            self.preemptions.next_deadline(),
            permits,
        ];
        deadlines.into_iter().flatten().min()
    }

    /// How many effects have not been answered yet.
    pub fn awaited(&self) -> usize {
        self.awaited.len()
    }

    /// How many binds have not been answered yet.
    pub fn binds_in_flight(&self) -> usize {
        let bind = |awaited: &&Awaited| matches!(awaited, Awaited::Bind(_));
        self.awaited.values().filter(bind).count()
    }

    /// The cluster as the engine sees it.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The pods that wait.
    pub fn queue(&self) -> &SchedulingQueue {
        &self.queue
    }

    /// One pod's cycle. A panic in it ends only the attempt: the cluster is what it was, and the
    /// pod comes back after a growing backoff.
    fn attempt(&mut self, key: PodKey, attempt: Attempt, now: Time) {
        let started = attempt.started;
        let result = catch_unwind(AssertUnwindSafe(|| self.cycle(key, now, attempt)));
        if result.is_err() {
            self.cluster.recover();
            self.metrics.cycle_panicked();
            let Some(pod) = self.pods.get(&key) else {
                return;
            };
            tracing::error!(pod = %pod.reference, "deciding this pod panicked; it is tried again later");
            self.classes.reset(pod.class);
            self.profiles[pod.profile]
                .metrics
                .attempt(AttemptResult::Error, (self.stopwatch)() - started);
            self.queue.fail(key, now);
        }
    }

    /// A gang's cycle, whose panic ends only the attempt as well.
    fn attempt_gang(&mut self, gang: GangId, key: PodKey, attempt: Attempt, now: Time) {
        let started = attempt.started;
        let result = catch_unwind(AssertUnwindSafe(|| self.gang_cycle(gang, now, attempt)));
        if result.is_err() {
            self.cluster.recover();
            self.metrics.cycle_panicked();
            if let Some(gang) = self.gangs.table.get(gang) {
                tracing::error!(gang = %gang.reference, "deciding this gang panicked; it is tried again later");
                for member in gang.pending() {
                    if let Some(pod) = self.pods.get(&member) {
                        self.classes.reset(pod.class);
                    }
                }
            }
            let took = (self.stopwatch)() - started;
            self.gang_metrics.attempt(GangResult::Error, took);
            self.queue.fail(key, now);
        }
    }

    fn effect(&mut self, pod: Arc<crate::model::PodRef>, action: Action) -> EffectId {
        self.effect_about(About::Pod(pod), action)
    }

    fn effect_about(&mut self, about: About, action: Action) -> EffectId {
        let id = EffectId(self.next_effect);
        self.next_effect += 1;
        self.effects.push(Effect { id, about, action });
        id
    }
}

#[cfg(test)]
mod tests;
