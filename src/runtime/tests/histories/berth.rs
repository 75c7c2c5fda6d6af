//! One life of Berth: its watches, mailbox, engine and lanes, moved by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::evictions::Eviction;
use super::stream::Stream;
use super::world::{Basis, Sent, World, assert_fits, nodes, pods};
use crate::api;
use crate::engine::{About, Action, Change, Effect, EffectId, Engine, Outcome, Setup};
use crate::model::{PodRef, Time};
use crate::plugins::default_profile;
use crate::plugins::testing::naive;
use crate::queue::Backoff;
use crate::runtime::client::{Fault, Reply};
use crate::runtime::lanes::bind::{Next, OpenBind};
use crate::runtime::lanes::status::body;
use crate::runtime::lanes::{BindOrder, StatusOrder};
use crate::runtime::mailbox::Mailbox;
use crate::runtime::watch::Unsynced;
use crate::simulator::{Part, PatchType, Request, Verb};
use crate::telemetry::metrics::Metrics;

/// How long a bind may take before its outcome counts as unknown.
const BIND_TIMEOUT: Duration = Duration::from_secs(10);

/// A bind in the lane.
struct Call {
    order: BindOrder,
    open: OpenBind,
    stage: Stage,
    /// When the next step may be taken.
    due: Time,
    basis: Basis,
    life: u64,
    /// Whether one of its requests was carried out, which is not for Berth to know.
    done: bool,
    /// Whether the last one certainly was not.
    refused: bool,
}

enum Stage {
    Todo(Next),
    /// Sent, and not arrived.
    OnTheWay,
    Answered(Result<Reply, Fault>),
}

/// What the engine has been told and has decided, kept in the plainest way.
#[derive(Default)]
struct Told {
    /// The uid and the version.
    nodes: BTreeMap<String, (String, u64)>,
    versions: BTreeMap<String, u64>,
    /// By uid: the node, and whether it is only assumed.
    placed: BTreeMap<String, (String, bool)>,
    binds: BTreeMap<EffectId, String>,
    basis: Basis,
    /// The priority of each pod that is known, by uid; of those that wait for Berth apart.
    priorities: BTreeMap<String, i32>,
    waiting: BTreeMap<String, i32>,
}

pub(super) struct Berth {
    life: u64,
    pub(super) engine: Engine,
    mailbox: Arc<Mailbox>,
    pods: Stream<api::Pod>,
    nodes: Stream<api::Node>,
    calls: Vec<Call>,
    pub(super) evictions: Vec<Eviction>,
    patches: Vec<StatusOrder>,
    told: Told,
    /// Whether its lease, if there is an election, is provably its own.
    pub(super) leads: bool,
    /// Nothing more is decided.
    pub(super) stopping: bool,
}

impl Berth {
    pub(super) fn new(life: u64, metrics: &Arc<Metrics>, election: bool) -> Self {
        let mailbox = Arc::new(Mailbox::default());
        let unsynced = Unsynced::new(2, &mailbox);
        Self {
            life,
            engine: Engine::new(Setup {
                profiles: vec![default_profile("berth")],
                backoff: Backoff::default(),
                seed: 0,
                metrics: Arc::clone(metrics),
                stopwatch: Box::new(|| 0.0),
            }),
            pods: Stream::new(pods(), &mailbox, &unsynced, metrics, !election),
            nodes: Stream::new(nodes(), &mailbox, &unsynced, metrics, !election),
            mailbox,
            calls: Vec::new(),
            evictions: Vec::new(),
            patches: Vec::new(),
            told: Told::default(),
            leads: !election,
            stopping: false,
        }
    }

    /// The lease is its own now.
    pub(super) fn lead(&mut self) {
        self.leads = true;
        self.pods.lead();
        self.nodes.lead();
    }

    /// Whether no bind is on its way or awaited.
    pub(super) fn drained(&self) -> bool {
        self.calls.is_empty() && self.engine.binds_in_flight() == 0
    }

    /// What is to be done next, of the things that are independent of each other.
    pub(super) fn step(&mut self, world: &mut World) {
        match world.dice.below(10) {
            0 | 1 => self.pods.poll(world),
            2 => self.nodes.poll(world),
            3 | 4 => {
                let budget = world.dice.index(4);
                self.drive(world, budget);
            }
            5 => self.patch(world),
            6 if !self.evictions.is_empty() => {
                let eviction = world.dice.index(self.evictions.len());
                self.evict(world, eviction);
            }
            _ if !self.calls.is_empty() => {
                let call = world.dice.index(self.calls.len());
                self.advance(world, call);
            }
            _ => {}
        }
        self.agrees();
    }

    /// Everything that can be done now.
    pub(super) fn settle(&mut self, world: &mut World) {
        let (mut idle, mut rounds) = (0, 0);
        // A stream takes some steps that do nothing but lead to the next one.
        while idle < 5 {
            rounds += 1;
            assert!(rounds < 1000, "it does not come to rest");
            let under_way = |berth: &Self| (berth.calls.len(), berth.evictions.len());
            let before = (world.server.version(), self.news(), under_way(self));
            self.pods.poll(world);
            self.nodes.poll(world);
            self.drive(world, 10);
            while !self.patches.is_empty() {
                self.patch(world);
            }
            for call in (0..self.calls.len()).rev() {
                self.advance(world, call);
            }
            for eviction in (0..self.evictions.len()).rev() {
                self.evict(world, eviction);
            }
            if (world.server.version(), self.news(), under_way(self)) == before {
                idle += 1;
            } else {
                idle = 0;
                world.observe();
            }
        }
        self.agrees();
    }

    fn news(&self) -> (u64, u64) {
        (self.pods.version(), self.nodes.version())
    }

    // === The engine ===

    /// As the engine's thread does it.
    fn drive(&mut self, world: &mut World, budget: usize) {
        let mail = self.mailbox.take(Duration::ZERO);
        self.told.basis = Basis {
            pods: self.pods.version(),
            nodes: self.nodes.version(),
        };
        for (_, change) in mail.changes {
            self.told.change(&change);
            self.engine.apply(change, world.now);
        }
        for (id, outcome) in mail.outcomes {
            self.told.outcome(id, &outcome);
            self.engine.complete(id, outcome, world.now);
        }
        let budget = if self.stopping || !self.leads {
            0
        } else {
            budget
        };
        for effect in self.engine.run(world.now, budget) {
            self.carry(world, effect);
        }
    }

    fn carry(&mut self, world: &mut World, effect: Effect) {
        let Effect { id, about, action } = effect;
        let About::Pod(pod) = about else {
            return;
        };
        match action {
            Action::Bind { node } => {
                world.note(format!("decided: {} to {node}", pod.name));
                world.decided(self.life, self.told.basis);
                self.told.decided(world, id, &pod, &node);
                let order = BindOrder { id, pod, node };
                self.calls.push(Call {
                    open: OpenBind::new(&order),
                    order,
                    stage: Stage::Todo(Next::Send(Duration::ZERO)),
                    due: world.now,
                    basis: self.told.basis,
                    life: self.life,
                    done: false,
                    refused: false,
                });
            }
            Action::PatchStatus(patch) => {
                world.note(format!("not placed: {}: {}", pod.name, patch.message()));
                self.patches.push(StatusOrder { id, pod, patch });
            }
            Action::Evict(evict) => {
                world.note(format!("to be evicted: {}", pod.name));
                self.told.evicts(&pod);
                let eviction = Eviction::new(id, pod, evict, world.now);
                self.evictions.push(eviction);
            }
            // Events may be dropped.
            Action::Emit(_) | Action::PatchGroup(_) => {}
        }
    }

    /// What the engine holds has to be what it was told and has decided.
    fn agrees(&self) {
        self.engine.audit();
        let cluster = self.engine.cluster();
        let placed: BTreeMap<_, _> = (cluster.iter_placed())
            .map(|(_, record)| {
                let node = cluster.node_name(record.node).to_owned();
                (record.reference.uid.to_string(), (node, record.assumed))
            })
            .collect();
        assert_eq!(placed, self.told.placed);
    }

    /// What became of an effect.
    pub(super) fn outcome(&self, id: EffectId, outcome: Outcome) {
        self.mailbox.outcome(id, outcome);
    }

    // === The lanes ===

    /// One status patch leaves, as the lane sends it but without another attempt.
    fn patch(&mut self, world: &mut World) {
        if self.patches.is_empty() {
            return;
        }
        let order = self.patches.remove(0);
        let outcome = if self.leads {
            let (namespace, name) = (&order.pod.namespace, &order.pod.name);
            let verb = Verb::Patch(PatchType::Strategic);
            let request = Request::new(verb, pods(), namespace, name)
                .of(Part::Status)
                .with_body(body(&order.pod, &order.patch, jiff::Timestamp::UNIX_EPOCH));
            match world.send(&request) {
                Ok(reply) if reply.status.is_success() => Outcome::Done,
                Ok(reply) if reply.status.as_u16() == 404 => Outcome::PodGone,
                Ok(reply) => Outcome::Failed(reply.message()),
                Err(fault) => Outcome::Failed(fault.to_string()),
            }
        } else {
            Outcome::Failed(Fault::Fenced.to_string())
        };
        world.note(format!("status of {} sent: {outcome:?}", order.pod.name));
        self.mailbox.outcome(order.id, outcome);
    }

    /// One bind goes on.
    fn advance(&mut self, world: &mut World, index: usize) {
        let leads = self.leads;
        let call = &mut self.calls[index];
        if world.now < call.due {
            return;
        }
        let next = match std::mem::replace(&mut call.stage, Stage::OnTheWay) {
            Stage::Todo(Next::Send(_)) if leads => {
                world.note(format!("bind of {} is sent", call.order.pod.name));
                return;
            }
            Stage::Todo(Next::Send(_)) => {
                call.stage = Stage::Answered(Err(Fault::Fenced));
                return;
            }
            Stage::OnTheWay => {
                let answer = call.arrive(world);
                call.stage = Stage::Answered(answer);
                return;
            }
            Stage::Todo(Next::Read(_)) => {
                let answer = if leads {
                    let pod = &call.order.pod;
                    world.send(&Request::new(Verb::Get, pods(), &pod.namespace, &pod.name))
                } else {
                    Err(Fault::Fenced)
                };
                call.open.read(&answer).1
            }
            Stage::Answered(answer) => {
                call.refused = match &answer {
                    Ok(reply) => matches!(reply.status.as_u16(), 403 | 429),
                    Err(fault) => matches!(fault, Fault::Fenced),
                };
                call.open.answered(&answer)
            }
            Stage::Todo(Next::End(_)) => unreachable!("an end is the end"),
        };
        match next {
            Next::End(outcome) => {
                let call = self.calls.remove(index);
                let (order, facts) = (call.order, (call.done, call.refused));
                world.ended(&order.pod, &order.node, &outcome, facts);
                self.mailbox.outcome(order.id, outcome);
            }
            Next::Send(pause) | Next::Read(pause) => {
                call.due = world.now + pause;
                call.stage = Stage::Todo(next);
            }
        }
    }

    /// The process is killed: what is on its way arrives or does not. `late`: it may arrive when
    /// the next life has begun.
    pub(super) fn kill(&mut self, world: &mut World, late: bool) {
        for mut call in self.calls.drain(..) {
            if !matches!(call.stage, Stage::OnTheWay) {
                continue;
            }
            match world.dice.below(if late { 3 } else { 2 }) {
                0 => world.note(format!("bind of {} never arrives", call.order.pod.name)),
                1 => {
                    let _ = call.arrive(world);
                }
                _ => {
                    let sent = call.sent();
                    world.late.push(sent);
                }
            }
        }
        self.leads = false;
    }

    /// The process is halted: what is on its way arrives, and nobody hears the answer in time.
    pub(super) fn halt(&mut self, world: &mut World) {
        for call in &mut self.calls {
            if matches!(call.stage, Stage::OnTheWay) {
                let _ = call.arrive(world);
                call.stage = Stage::Answered(Err(Fault::Timeout(BIND_TIMEOUT)));
            }
        }
    }
}

impl Call {
    fn sent(&self) -> Sent {
        Sent {
            life: self.life,
            pod: PodRef::clone(&self.order.pod),
            node: self.order.node.to_string(),
            body: self.open.body(),
            basis: self.basis,
        }
    }

    /// The request reaches the server, or not.
    fn arrive(&mut self, world: &mut World) -> Result<Reply, Fault> {
        let sent = self.sent();
        if world.mishap(8) {
            return Err(Fault::Transport("connection refused".to_owned()));
        }
        if world.mishap(5) {
            world.note(format!("bind of {} is stuck", sent.pod.name));
            world.late.push(sent);
            self.due = world.now + BIND_TIMEOUT;
            return Err(Fault::Timeout(BIND_TIMEOUT));
        }
        if world.mishap(5) {
            return Ok(Reply {
                status: http::StatusCode::FORBIDDEN,
                retry_after: None,
                body: br#"{"message":"an admission webhook denied it"}"#.to_vec(),
            });
        }
        let (answer, done) = world.arrive(&sent, false);
        self.done |= done;
        answer
    }
}

impl Told {
    fn change(&mut self, change: &Change) {
        match change {
            Change::Pod(pod) => {
                let (uid, version) = (pod.metadata.uid.to_string(), pod.metadata.version());
                // Older news is no news.
                if self.versions.get(&uid).is_some_and(|held| *held > version) {
                    return;
                }
                self.versions.insert(uid.clone(), version);
                let priority = pod.spec.priority.unwrap_or(0);
                self.priorities.insert(uid.clone(), priority);
                if pod.spec.node_name.is_empty() && &*pod.spec.scheduler_name == "berth" {
                    self.waiting.insert(uid.clone(), priority);
                } else {
                    self.waiting.remove(&uid);
                }
                if matches!(&*pod.status.phase, "Succeeded" | "Failed") {
                    self.placed.remove(&uid);
                } else if !pod.spec.node_name.is_empty() {
                    let node = pod.spec.node_name.to_string();
                    self.placed.insert(uid, (node, false));
                }
            }
            Change::PodGone(uid) => {
                self.placed.remove(&**uid);
                self.waiting.remove(&**uid);
            }
            Change::Node(node) => {
                let meta = &node.metadata;
                let news = (meta.uid.to_string(), meta.version());
                let held = self.nodes.get(&*meta.name);
                if held.is_none_or(|held| held.0 != news.0 || held.1 <= news.1) {
                    self.nodes.insert(meta.name.to_string(), news);
                }
            }
            Change::NodeGone(name) => {
                self.nodes.remove(&**name);
            }
            _ => {}
        }
    }

    fn outcome(&mut self, id: EffectId, outcome: &Outcome) {
        let Some(uid) = self.binds.remove(&id) else {
            return;
        };
        let assumed = self.placed.get(&uid).is_some_and(|(_, assumed)| *assumed);
        if assumed && *outcome != Outcome::Done {
            self.placed.remove(&uid);
        }
    }

    /// Only a placed pod can be evicted, and only if one of a higher priority waits.
    fn evicts(&self, pod: &PodRef) {
        assert!(self.placed.contains_key(&*pod.uid), "it is not placed");
        let priority = self.priorities[&*pod.uid];
        let waits =
            |(uid, other): (&String, &i32)| *other > priority && !self.placed.contains_key(uid);
        assert!(self.waiting.iter().any(waits), "nobody needs its room");
    }

    /// The pod has to fit beside all that Berth knows of.
    fn decided(&mut self, world: &World, id: EffectId, pod: &PodRef, node: &str) {
        let mut known = naive::World::default();
        for (name, (_, version)) in &self.nodes {
            known.upsert(world.node_at(name, *version).unwrap().clone());
        }
        for (uid, (node, _)) in &self.placed {
            let plain = world.pod_now(uid).clone();
            known.placed.insert(uid.clone(), (node.clone(), plain));
        }
        let uid = pod.uid.to_string();
        assert!(!known.placed.contains_key(&uid), "it is placed already");
        assert_fits(&known, world.pod_at(&uid, self.versions[&uid]), node);
        self.placed.insert(uid.clone(), (node.to_owned(), true));
        self.binds.insert(id, uid);
    }
}

impl Berth {
    /// Once nothing is on its way, the engine is where the server is.
    pub(super) fn ends_where_the_server_is(&self, world: &World) {
        let (cluster, truth) = (self.engine.cluster(), world.truth());
        assert_eq!(self.engine.awaited(), 0, "outcomes are still awaited");
        assert_eq!(cluster.placed_counts(), (truth.placed.len(), 0));
        for (_, record) in cluster.iter_placed() {
            let held = &truth.placed[&*record.reference.uid];
            assert_eq!(cluster.node_name(record.node), held.0);
        }
        assert_eq!(cluster.node_count(), truth.nodes.len());
        for (name, node) in &truth.nodes {
            let id = cluster.node_id(name).expect("the node is known").index();
            assert_eq!(cluster.allowed_pods()[id], node.pods);
            let cordoned = cluster.unschedulable().iter().any(|one| one.index() == id);
            assert_eq!(cordoned, node.unschedulable, "{name}");
            let resources = cluster.resources();
            for (resource, all) in &node.allocatable {
                let column = resources.id(resource).expect("the resource is known");
                let held = truth.requested(name, resource);
                assert_eq!(resources.requested(column)[id], held, "{name} {resource}");
                assert_eq!(resources.free(column)[id], all - held, "{name} {resource}");
            }
        }
    }
}
