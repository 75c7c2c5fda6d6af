//! Leads the engine through the objects, and plays the API server to it.
//!
//! Time stands still: nothing expires, no backoff is waited for. Each pod, or gang, is decided in the
//! queue's order, and once more only when the placing of another wakes it. Nobody goes who is evicted,
//! so that whoever would get the room waits for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use anyhow::Context as _;

use super::Simulated;
use super::budgets;
use super::input::Objects;
use super::preemptions::PreemptionLine;
use super::report::{GangLine, NodeUse, Placement, Report};
use super::schedulers::Schedulers;
use crate::api;
use crate::cluster::Cluster;
use crate::engine::{
    Action, Change, ConditionReason, Effect, Engine, EventKind, Finding, GroupPhase, GroupStatus,
    Outcome, Setup, VolumeChange,
};
use crate::gang::Gang;
use crate::model::{Requests, Time};
use crate::telemetry::metrics::Metrics;

/// The one moment at which everything happens.
const NOW: Time = Time::from_secs(1);
/// When the engine has told of gangs too, which it does only once nothing more happens to them. No
/// backoff ends until then.
const SETTLED: Time = Time::from_nanos(1_900_000_000);
/// Decides between equal scores, so that a simulation can be repeated.
const SEED: u64 = 0;
/// What the API server writes into the condition of a pod with scheduling gates.
const GATED: (&str, &str) = (
    "SchedulingGated",
    "Scheduling is blocked due to non-empty scheduling gates",
);

/// A pod that is to be placed, and what became of it.
struct Pending {
    pod: api::Pod,
    gated: bool,
    /// When it was decided last, counted in decisions.
    decided: Option<u64>,
    placement: Placement,
}

struct Simulation {
    engine: Engine,
    pending: Vec<Pending>,
    /// The place of each pod in `pending`, by uid.
    by_uid: HashMap<Box<str>, usize>,
    budgets: Vec<api::PodDisruptionBudget>,
    preemptions: Vec<PreemptionLine>,
    /// How many pods were decided, and how often pods were.
    decided: usize,
    decisions: u64,
}

/// Places the pods of these schedulers.
pub(super) fn simulate(
    mut objects: Objects,
    schedulers: Schedulers,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Simulated, anyhow::Error> {
    let mut notes = notes_of(&objects);
    let (bound, waiting): (Vec<_>, Vec<_>) = (std::mem::take(&mut objects.pods).into_iter())
        .partition(|pod| !pod.spec.node_name.is_empty());
    let (waiting, mut others): (Vec<_>, Vec<_>) =
        (waiting.into_iter()).partition(|pod| schedulers.place(&pod.spec.scheduler_name));
    notes.extend(note_of_others(&others));

    objects.pods = bound;
    let (engine, names) = engine(&waiting, schedulers)?;
    // Nobody places them, but a gang of which they are members is not placed either.
    others.retain(|pod| !names.contains(&*pod.spec.scheduler_name));
    objects.pods.append(&mut others);
    let node_names: Vec<_> = (objects.nodes.iter())
        .map(|node| node.metadata.name.clone())
        .collect();
    let mut simulation = Simulation {
        engine,
        by_uid: (waiting.iter().enumerate())
            .map(|(index, pod)| (pod.metadata.uid.clone(), index))
            .collect(),
        pending: waiting.into_iter().map(Pending::new).collect(),
        budgets: objects.budgets.clone(),
        preemptions: Vec::new(),
        decided: 0,
        decisions: 0,
    };
    let groups = std::mem::take(&mut objects.pod_groups);
    for change in changes(objects) {
        simulation.engine.apply(change, NOW);
    }
    for pending in &simulation.pending {
        let pod = Box::new(pending.pod.clone());
        simulation.engine.apply(Change::Pod(pod), NOW);
    }
    // A gang's place in the order is that of the first of its pods.
    for (dialect, version, group) in groups {
        let change = Change::PodGroup(dialect, version, Box::new(group));
        simulation.engine.apply(change, NOW);
    }
    simulation.engine.apply(Change::Synced, NOW);
    simulation.run(progress);
    Ok(Simulated {
        report: simulation.report(&node_names),
        notes,
    })
}

/// What the engine is told before it hears of the pods that wait.
fn changes(objects: Objects) -> impl Iterator<Item = Change> {
    /// The objects of one kind, as the engine takes them.
    fn of<T>(objects: Vec<T>, change: fn(Box<T>) -> Change) -> impl Iterator<Item = Change> {
        objects
            .into_iter()
            .map(move |object| change(Box::new(object)))
    }
    of(objects.namespaces, Change::Namespace)
        .chain(of(objects.services, Change::Service))
        .chain(of(
            objects.replication_controllers,
            Change::ReplicationController,
        ))
        .chain(of(objects.replica_sets, Change::ReplicaSet))
        .chain(of(objects.stateful_sets, Change::StatefulSet))
        .chain(of(objects.storage_classes, |class| {
            Change::Volumes(VolumeChange::StorageClass(class))
        }))
        .chain(of(objects.volumes, |volume| {
            Change::Volumes(VolumeChange::Volume(volume))
        }))
        .chain(of(objects.claims, |claim| {
            Change::Volumes(VolumeChange::Claim(claim))
        }))
        .chain(of(objects.priority_classes, Change::PriorityClass))
        .chain(of(objects.budgets, Change::DisruptionBudget))
        .chain(of(objects.nodes, Change::Node))
        .chain(of(objects.pods, Change::Pod))
}

fn notes_of(objects: &Objects) -> Vec<String> {
    let mut notes = Vec::new();
    if !objects.skipped.is_empty() {
        let kinds: Vec<_> = (objects.skipped.iter())
            .map(|(kind, count)| format!("{count} {}", printable(kind)))
            .collect();
        let kinds = kinds.join(", ");
        notes.push(format!("objects of other kinds are skipped: {kinds}"));
    }
    if objects.finished > 0 {
        let finished = objects.finished;
        notes.push(format!("pods that have finished are left out: {finished}"));
    }
    notes
}

fn note_of_others(others: &[api::Pod]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in others {
        *counts.entry(&pod.spec.scheduler_name).or_default() += 1;
    }
    let counts: Vec<_> = (counts.iter())
        .map(|(name, count)| format!("{count} of {}", printable(name)))
        .collect();
    let counts = (!counts.is_empty()).then(|| counts.join(", "))?;
    Some(format!(
        "unbound pods of other schedulers are left out: {counts}"
    ))
}

/// What is printed on a terminal must not be able to steer it.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// The engine, and whose pods it places.
fn engine(
    waiting: &[api::Pod],
    schedulers: Schedulers,
) -> Result<(Engine, BTreeSet<Box<str>>), anyhow::Error> {
    let names: BTreeSet<&str> = (waiting.iter())
        .map(|pod| &*pod.spec.scheduler_name)
        .collect();
    let (profiles, backoff) = schedulers.rules(&names);
    let names = profiles.iter().map(|profile| (&*profile.name).into());
    let names = names.collect();
    let mut engine = Engine::new(Setup {
        profiles,
        backoff,
        seed: SEED,
        metrics: Arc::new(Metrics::new().context("cannot make metrics")?),
        stopwatch: Box::new(|| 0.0),
    });
    engine.keep_findings();
    Ok((engine, names))
}

impl Simulation {
    fn run(&mut self, progress: &mut dyn FnMut(usize, usize)) {
        for now in [NOW, SETTLED] {
            while self.engine.has_work() {
                self.step(now, 1);
                progress(self.decided, self.pending.len());
            }
            self.step(now, 0);
        }
    }

    fn step(&mut self, now: Time, budget: usize) {
        for effect in self.engine.run(now, budget) {
            self.effect(effect);
        }
        for finding in self.engine.take_findings() {
            self.finding(finding);
        }
    }

    fn finding(&mut self, finding: Finding) {
        match finding {
            Finding::Preempts(preemption) => {
                for victim in &preemption.victims {
                    let (budgets, cluster) = (&mut self.budgets, self.engine.cluster());
                    for budget in budgets::charge(budgets, cluster, &victim.pod) {
                        let change = Change::DisruptionBudget(Box::new(budget));
                        self.engine.apply(change, NOW);
                    }
                }
                self.preemptions.push(PreemptionLine::new(&preemption));
            }
            Finding::WouldTake(pod, what) => {
                let index = self.by_uid.get(&pod.uid);
                if let Some(pending) = index.and_then(|&index| self.pending.get_mut(index)) {
                    pending.placement.would_take = Some(what);
                }
            }
        }
    }

    fn effect(&mut self, effect: Effect) {
        match &effect.action {
            // What comes of it is in the findings: the pod stays where it is.
            Action::Evict(_) | Action::PatchGroup(_) => {
                self.engine.complete(effect.id, Outcome::Done, NOW);
                return;
            }
            Action::Emit(event) if event.kind == EventKind::Preempted => return,
            _ => {}
        }
        let index = effect.pod().and_then(|pod| self.by_uid.get(&pod.uid));
        let Some(pending) = index.and_then(|&index| self.pending.get_mut(index)) else {
            return;
        };
        // What is told of a pod says what was decided last.
        if !matches!(&effect.action, Action::Emit(event) if event.kind == EventKind::Scheduled) {
            self.decided += usize::from(pending.decided.is_none());
            self.decisions += 1;
            pending.decided = Some(self.decisions);
            pending.placement.would_take = None;
        }
        let placement = &mut pending.placement;
        match effect.action {
            Action::Bind { node } => {
                placement.node = Some((&*node).into());
                placement.scores = self.engine.last_scores().iter().copied().collect();
                placement.total = placement.scores.values().sum();
                pending.pod.spec.node_name = (&*node).into();
                let bound = Box::new(pending.pod.clone());
                self.engine.complete(effect.id, Outcome::Done, NOW);
                self.engine.apply(Change::Pod(bound), NOW);
            }
            Action::Emit(event) => {
                if event.kind == EventKind::Scheduled {
                    placement.reason = "Scheduled";
                } else if placement.reason.is_empty() {
                    // The condition has the reason, where there is one.
                    placement.reason = ConditionReason::Unschedulable.as_str();
                }
                placement.message = (&*event.note).into();
            }
            Action::PatchStatus(patch) => {
                if let Some(told) = patch.condition {
                    placement.reason = told.reason.as_str();
                    placement.message = (&*told.message).into();
                }
                self.engine.complete(effect.id, Outcome::Done, NOW);
            }
            Action::Evict(_) | Action::PatchGroup(_) => {}
        }
    }

    fn report(mut self, node_names: &[Box<str>]) -> Report {
        self.engine.keep_victims();
        let cluster = self.engine.cluster();
        let nodes = (node_names.iter())
            .map(|name| node_use(cluster, name))
            .collect();
        let gangs = self.engine.gangs();
        let gangs = gangs.map(|(gang, status)| gang_line(gang, &status));
        let gangs = gangs.collect();
        let mut pending = self.pending;
        for waits in pending
            .iter_mut()
            .filter(|one| one.placement.node.is_none())
        {
            let nominated = self.engine.nominated_node(&waits.pod.metadata.uid);
            waits.placement.nominated_node = nominated.map(Into::into);
        }
        for pending in pending.iter_mut().filter(|one| one.decided.is_none()) {
            let meta = &pending.pod.metadata;
            (pending.placement.reason, pending.placement.message) = if pending.gated {
                (GATED.0, GATED.1.to_owned())
            } else if meta.deletion_timestamp.is_some() {
                // A member that its gang does not count.
                let reason = ConditionReason::Unschedulable.as_str();
                let (namespace, name) = (&meta.namespace, &meta.name);
                (
                    reason,
                    format!("skip schedule deleting pod: {namespace}/{name}"),
                )
            } else {
                let reason = ConditionReason::SchedulerError.as_str();
                (reason, "the attempt to place it broke off".to_owned())
            };
        }
        pending.sort_by_key(|one| one.decided.unwrap_or(u64::MAX));
        Report {
            pods: pending.into_iter().map(|one| one.placement).collect(),
            nodes,
            gangs,
            preemptions: self.preemptions,
        }
    }
}

impl Pending {
    fn new(pod: api::Pod) -> Self {
        Self {
            gated: !pod.spec.scheduling_gates.is_empty(),
            decided: None,
            placement: Placement {
                namespace: (&*pod.metadata.namespace).into(),
                name: (&*pod.metadata.name).into(),
                ..Placement::default()
            },
            pod,
        }
    }
}

fn gang_line(gang: &Gang, status: &GroupStatus) -> GangLine {
    GangLine {
        namespace: (&*gang.reference.namespace).into(),
        name: (&*gang.reference.name).into(),
        dialect: gang.reference.dialect.name(),
        min: gang.min(),
        pods: gang.members().count(),
        bound: gang.counts().bound(),
        phase: match status.phase {
            GroupPhase::Incomplete => "Incomplete",
            GroupPhase::Unschedulable => "Unschedulable",
            GroupPhase::Invalid => "Invalid",
            GroupPhase::Scheduled => "Scheduled",
            GroupPhase::Degraded => "Degraded",
        },
        message: (&*status.message).into(),
    }
}

/// What the pods on a node request, and what the node has.
fn node_use(cluster: &Cluster, name: &str) -> NodeUse {
    let mut requested: BTreeMap<String, i128> = BTreeMap::new();
    let mut allocatable: BTreeMap<String, i128> = BTreeMap::new();
    for name in ["cpu", "memory", "pods"] {
        requested.insert(name.to_owned(), 0);
        allocatable.insert(name.to_owned(), 0);
    }
    if let Some(node) = cluster.node_id(name) {
        let mut add = |name: &str, amount: i64| {
            *requested.entry(name.to_owned()).or_default() += i128::from(amount);
        };
        for &pod in cluster.pods_on(node) {
            let Some(record) = cluster.placed(pod) else {
                continue;
            };
            let Requests {
                cpu,
                memory,
                ephemeral_storage,
                scalars,
            } = &record.pod.held;
            add("cpu", *cpu);
            add("memory", *memory);
            add("pods", 1);
            if *ephemeral_storage != 0 {
                add("ephemeral-storage", *ephemeral_storage);
            }
            for (name, amount) in scalars {
                add(name, *amount);
            }
        }
        if let Some(model) = cluster.node(node) {
            let pods = ("pods", model.allowed_pods);
            let resources = model
                .allocatable
                .iter()
                .map(|(name, amount)| (&**name, *amount));
            for (name, amount) in resources.chain([pods]) {
                allocatable.insert(name.to_owned(), amount.into());
                requested.entry(name.to_owned()).or_default();
            }
        }
    }
    for name in requested.keys() {
        allocatable.entry(name.clone()).or_default();
    }
    NodeUse {
        name: name.to_owned(),
        requested,
        allocatable,
    }
}
