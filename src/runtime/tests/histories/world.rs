//! The API server with everybody but Berth who writes to it, and what must be true of its objects.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::engine::Outcome;
use crate::model::{PodRef, Time};
use crate::plugins::testing::dice::Dice;
use crate::plugins::testing::naive::{self, Answer as Verdicts, Verdict};
use crate::plugins::testing::plain::{PlainNode, PlainPod};
use crate::runtime::client::{Fault, Reply};
use crate::simulator::{
    Answer, ApiServer, Body, Config, FaultRates, Kind, Object, Part, Request, Status, Verb, find,
};

pub(super) const NAMESPACE: &str = "default";

pub(super) fn pods() -> &'static Kind {
    find("", "v1", "pods").unwrap()
}

pub(super) fn nodes() -> &'static Kind {
    find("", "v1", "nodes").unwrap()
}

/// The priority classes, each with its name and whether its pods evict others.
pub(super) const CLASSES: &[(&str, i32, bool)] = &[
    ("middle", 10, true),
    ("high", 1000, true),
    ("patient", 500, false),
];

/// The newest versions of pods and nodes that a decision was based on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Basis {
    pub(super) pods: u64,
    pub(super) nodes: u64,
}

/// A bind that was sent and has not arrived.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// Which of Berth's lives has sent it.
    pub(super) life: u64,
    pub(super) pod: PodRef,
    pub(super) node: String,
    pub(super) body: Value,
    pub(super) basis: Basis,
}

pub(super) struct World {
    pub(super) server: ApiServer,
    pub(super) now: Time,
    pub(super) dice: Dice,
    /// There are more pods than there is room for, so that some are evicted for others.
    pub(super) crowded: bool,
    /// What happened, for whoever has to find out why.
    pub(super) log: Vec<String>,
    rates: FaultRates,
    /// Every state of each node by its version; None when it was deleted.
    pub(super) node_states: BTreeMap<String, Vec<(u64, Option<PlainNode>)>>,
    /// Every state of each pod by its version, by uid.
    pub(super) pod_states: BTreeMap<String, Vec<(u64, PlainPod)>>,
    /// Where each pod was bound when it was first seen bound.
    bound: BTreeMap<String, String>,
    /// The version of the last bind of each of Berth's lives, but for those that were late.
    last_binds: BTreeMap<u64, u64>,
    pub(super) lives: u64,
    /// When somebody else last changed a node, and put a pod on it.
    edited: BTreeMap<String, u64>,
    burdened: BTreeMap<String, u64>,
    /// Binds that arrive after their sender has given them up.
    pub(super) late: Vec<Sent>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let config = Config {
            window: *dice.one_of(&[4, 16, 1024]),
            bookmark_every: Duration::from_secs(20),
            seed: dice.next(),
            ..Config::default()
        };
        let mut rate = |most: u64| u32::try_from(dice.below(most + 1)).unwrap();
        let rates = FaultRates {
            lost_reply: rate(200),
            too_many_requests: rate(100),
            internal_error: rate(100),
            timeout: rate(100),
            stale_list: rate(500),
            staleness: u64::from(rate(12)),
            cut_watch: rate(150),
            delayed_watch: rate(300),
            delay: Duration::from_millis(u64::from(rate(8_000))),
        };
        let crowded = dice.chance(50);
        let mut world = Self {
            crowded,
            server: ApiServer::new(config),
            now: Time::from_secs(1),
            dice,
            log: Vec::new(),
            rates,
            node_states: BTreeMap::new(),
            pod_states: BTreeMap::new(),
            bound: BTreeMap::new(),
            last_binds: BTreeMap::new(),
            lives: 0,
            edited: BTreeMap::new(),
            burdened: BTreeMap::new(),
            late: Vec::new(),
        };
        for (name, value, evicts) in CLASSES {
            let policy = if *evicts {
                "PreemptLowerPriority"
            } else {
                "Never"
            };
            let classes = find("scheduling.k8s.io", "v1", "priorityclasses").unwrap();
            let request = Request::new(Verb::Create, classes, "", "").with_body(json!({
                "metadata": { "name": name },
                "value": value,
                "preemptionPolicy": policy,
            }));
            world.ask(&request).unwrap();
        }
        world
    }

    pub(super) fn note(&mut self, what: impl std::fmt::Display) {
        let at = self.now.since(Time::ZERO).as_secs_f64();
        let version = self.server.version();
        self.log.push(format!("{at:8.3}s v{version:<4} {what}"));
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.server.advance(self.now);
    }

    /// Nothing goes wrong any more.
    pub(super) fn stop_faults(&mut self) {
        self.note("the faults stop");
        self.rates = FaultRates::default();
        self.dice.calm = true;
    }

    /// Whether something goes wrong now that is not the server's fault.
    pub(super) fn mishap(&mut self, percent: u64) -> bool {
        !self.dice.calm && self.dice.chance(percent)
    }

    /// As [`Self::mishap`], once or so in a history.
    pub(super) fn rarely(&mut self) -> bool {
        !self.dice.calm && self.dice.below(300) == 0
    }
}

// === Requests ===

impl World {
    /// Lets Berth at the server, with all that may go wrong.
    pub(super) fn faulty<R>(&mut self, ask: impl FnOnce(&mut ApiServer, Time) -> R) -> R {
        self.server.set_fault_rates(self.rates.clone());
        let result = ask(&mut self.server, self.now);
        self.server.set_fault_rates(FaultRates::default());
        result
    }

    /// A request of somebody else's, with whom nothing goes wrong. Answers the object.
    pub(super) fn ask(&mut self, request: &Request) -> Result<Option<Value>, Status> {
        let reply = self.server.call(request, self.now).reply()?;
        Ok(match reply.body {
            Body::Object(object) => Some(object.value().clone()),
            _ => None,
        })
    }

    /// A request of Berth's, as its client would see the answer.
    pub(super) fn send(&mut self, request: &Request) -> Result<Reply, Fault> {
        let kind = request.kind;
        let (code, retry_after, body) = match self.faulty(|server, now| server.call(request, now)) {
            Answer::Lost => return Err(Fault::Transport("the connection broke".to_owned())),
            Answer::Reply(Err(status)) => {
                (status.code, status.retry_after, status.body().to_string())
            }
            Answer::Reply(Ok(reply)) => {
                let body = match reply.body {
                    Body::Object(object) => object.text(kind).into_owned(),
                    Body::List(list) => list.text(),
                    Body::Value(value) => value.to_string(),
                };
                (reply.code, None, body)
            }
        };
        Ok(Reply {
            status: StatusCode::from_u16(code).unwrap(),
            retry_after: retry_after.map(Duration::from_secs),
            body: body.into(),
        })
    }

    /// A bind of Berth's arrives. Only the one that was meant may be bound by it, and what it is
    /// bound to must have room unless somebody else changed that without Berth having seen it.
    /// Answers whether it was done as well.
    pub(super) fn arrive(&mut self, sent: &Sent, late: bool) -> (Result<Reply, Fault>, bool) {
        let before = self.truth();
        let unbound = self.unbound();
        let request = Request::new(Verb::Create, pods(), &sent.pod.namespace, &sent.pod.name)
            .of(Part::Binding)
            .with_body(sent.body.clone());
        let answer = self.send(&request);
        let after = self.truth();
        let new: Vec<_> = (after.placed.keys())
            .filter(|uid| !before.placed.contains_key(*uid))
            .cloned()
            .collect();
        let done = !new.is_empty();
        let shown = match &answer {
            Ok(reply) => reply.status.to_string(),
            Err(fault) => fault.to_string(),
        };
        let (pod, node) = (&sent.pod, &sent.node);
        let word = if late { "late bind" } else { "bind" };
        let text = format!("{word} of {} to {node}: {shown}, done: {done}", pod.name);
        self.note(text);
        let Some(uid) = new.first() else {
            return (answer, false);
        };
        assert_eq!(**uid, *pod.uid, "the bind landed on another pod");
        assert!(unbound.contains(uid), "a pod was bound twice");
        assert_eq!(after.placed[uid].0, **node);
        self.bound.insert(uid.clone(), node.clone());
        let version = self.server.version();
        if late {
            self.burdened.insert(node.clone(), version);
            return (answer, true);
        }
        self.last_binds.insert(sent.life, version);
        let changed = |at: &BTreeMap<String, u64>, seen: u64| {
            at.get(node).is_some_and(|version| *version > seen)
        };
        let excused =
            changed(&self.edited, sent.basis.nodes) || changed(&self.burdened, sent.basis.pods);
        let plain = self.pod_now(uid).clone();
        assert!(
            excused || fits(&before, &plain, node),
            "{} was bound to {node}, where it does not fit, and nobody else changed that after \
             {:?}",
            pod.name,
            sent.basis,
        );
        (answer, true)
    }

    /// A deletion of Berth's arrives. Only the pod that was meant may end by it.
    pub(super) fn delete(&mut self, pod: &PodRef, request: &Request) -> Result<Reply, Fault> {
        let before = self.ending();
        let answer = self.send(request);
        let after = self.ending();
        let shown = match &answer {
            Ok(reply) => reply.status.to_string(),
            Err(fault) => fault.to_string(),
        };
        self.note(format!("deletion of {}: {shown}", pod.name));
        for (uid, stays) in before {
            let hit = stays && !after.get(&uid).copied().unwrap_or(false);
            assert!(!hit || *uid == *pod.uid, "an eviction hit another pod");
        }
        answer
    }

    /// Every pod by uid, and whether it stays.
    fn ending(&self) -> BTreeMap<String, bool> {
        let pods = self.list(pods()).into_iter();
        pods.map(|object| {
            let pod = object.value();
            let stays = text(pod, "/metadata/deletionTimestamp").is_empty();
            (text(pod, "/metadata/uid").to_owned(), stays)
        })
        .collect()
    }

    /// What Berth takes for the outcome of an eviction has to be what came of it.
    pub(super) fn evicted(&mut self, pod: &PodRef, outcome: &Outcome) {
        self.note(format!("eviction of {} ended: {outcome:?}", pod.name));
        let stays = self.ending().get(&*pod.uid).copied();
        match outcome {
            Outcome::Done => assert_ne!(stays, Some(true), "a pod that stays counts as evicted"),
            Outcome::PodGone => assert_eq!(stays, None, "a pod that exists counts as gone"),
            Outcome::Failed(_) => {}
        }
    }

    /// Whoever decides has to have seen what other lives have bound.
    pub(super) fn decided(&self, life: u64, basis: Basis) {
        for (other, version) in &self.last_binds {
            assert!(
                *other == life || *version <= basis.pods,
                "life {life} decides on {basis:?} without what life {other} bound at {version}"
            );
        }
    }

    /// What Berth takes for the outcome of a bind has to be what came of it. `done` says whether one
    /// of its requests was carried out, `refused` whether the last one certainly was not.
    pub(super) fn ended(
        &mut self,
        pod: &PodRef,
        node: &str,
        outcome: &Outcome,
        (done, refused): (bool, bool),
    ) {
        self.note(format!("bind of {} to {node} ended: {outcome:?}", pod.name));
        let exists = |uid: &str| {
            let mut all = self.list(pods()).into_iter();
            all.any(|object| text(object.value(), "/metadata/uid") == uid)
        };
        match outcome {
            Outcome::Done => assert_eq!(
                self.bound.get(&*pod.uid).map(String::as_str),
                Some(node),
                "a bind that was not done counts as done"
            ),
            Outcome::Failed(_) => {
                let held = self.bound.get(&*pod.uid).map(String::as_str);
                assert!(
                    !done && (refused || held != Some(node)),
                    "a bind that was done counts as failed"
                );
            }
            Outcome::PodGone => assert!(!exists(&pod.uid), "a pod that exists counts as gone"),
        }
    }
}

// === What is true ===

pub(super) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or("")
}

fn fits(world: &naive::World, pod: &PlainPod, node: &str) -> bool {
    match world.filter(pod) {
        Verdicts::Nodes(verdicts) => verdicts.get(node) == Some(&Verdict::Yes),
        Verdicts::Refused(..) => false,
    }
}

/// Fails unless a pod fits.
pub(super) fn assert_fits(world: &naive::World, pod: &PlainPod, node: &str) {
    assert!(
        fits(world, pod, node),
        "the decision for {node} was wrong: {:?}",
        world.filter(pod)
    );
}

fn at<T>(states: &[(u64, T)], version: u64) -> Option<&T> {
    let known = states.iter().rev();
    let mut known = known.skip_while(|(written, _)| *written > version);
    known.next().map(|(_, state)| state)
}

impl World {
    /// All objects of a kind.
    pub(super) fn list(&self, kind: &'static Kind) -> Vec<std::sync::Arc<Object>> {
        self.server.objects(kind)
    }

    pub(super) fn node_at(&self, name: &str, version: u64) -> Option<&PlainNode> {
        at(self.node_states.get(name)?, version)?.as_ref()
    }

    pub(super) fn pod_at(&self, uid: &str, version: u64) -> &PlainPod {
        at(&self.pod_states[uid], version).unwrap()
    }

    pub(super) fn pod_now(&self, uid: &str) -> &PlainPod {
        self.pod_at(uid, u64::MAX)
    }

    fn unbound(&self) -> Vec<String> {
        let pods = self.list(pods()).into_iter();
        pods.filter(|pod| text(pod.value(), "/spec/nodeName").is_empty())
            .map(|pod| text(pod.value(), "/metadata/uid").to_owned())
            .collect()
    }

    /// The server's objects as plain values.
    pub(super) fn truth(&self) -> naive::World {
        let mut world = naive::World::default();
        for object in self.list(nodes()) {
            let name = text(object.value(), "/metadata/name");
            world.upsert(self.node_at(name, u64::MAX).unwrap().clone());
        }
        for object in self.list(pods()) {
            let pod = object.value();
            let (uid, node) = (text(pod, "/metadata/uid"), text(pod, "/spec/nodeName"));
            let finished = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
            if !node.is_empty() && !finished {
                let placed = (node.to_owned(), self.pod_now(uid).clone());
                world.placed.insert(uid.to_owned(), placed);
            }
        }
        world
    }

    /// To be asked after every step: a pod that is bound stays where it is, and a node that nobody
    /// else has touched holds no more than it has.
    pub(super) fn observe(&mut self) {
        let mut shown = BTreeMap::new();
        for object in self.list(pods()) {
            let pod = object.value();
            let (uid, node) = (text(pod, "/metadata/uid"), text(pod, "/spec/nodeName"));
            shown.insert(uid.to_owned(), node.to_owned());
        }
        for (uid, node) in shown {
            match self.bound.get(&uid) {
                Some(held) => assert_eq!(*held, node, "{uid} was bound twice"),
                None if node.is_empty() => {}
                None => {
                    self.bound.insert(uid, node);
                }
            }
        }
        let truth = self.truth();
        for (name, node) in &truth.nodes {
            if self.edited.contains_key(name) || self.burdened.contains_key(name) {
                continue;
            }
            let count = i64::try_from(truth.pods_on(name).count()).unwrap();
            assert!(count <= node.pods, "{name} holds {count} pods");
            for (resource, all) in &node.allocatable {
                let held = truth.requested(name, resource);
                assert!(held <= *all, "{name} is over-committed: {held} {resource}");
            }
        }
    }

    // === What others did ===

    /// Somebody else changed a node.
    pub(super) fn node_edited(&mut self, name: &str, state: Option<PlainNode>) {
        let version = self.server.version();
        let states = self.node_states.entry(name.to_owned()).or_default();
        // The first state of all disturbs nobody.
        if !states.is_empty() {
            self.edited.insert(name.to_owned(), version);
        }
        states.push((version, state));
    }

    /// Somebody else put a pod on a node.
    pub(super) fn node_burdened(&mut self, name: &str) {
        let version = self.server.version();
        self.burdened.insert(name.to_owned(), version);
    }

    pub(super) fn pod_edited(&mut self, uid: &str, state: PlainPod) {
        let version = self.server.version();
        let states = self.pod_states.entry(uid.to_owned()).or_default();
        states.push((version, state));
    }
}

// === The objects as JSON ===

fn quantities(amounts: &BTreeMap<String, i64>) -> Value {
    let text = |name: &str, amount: i64| match name {
        "cpu" => format!("{amount}m"),
        _ => amount.to_string(),
    };
    (amounts.iter())
        .map(|(name, amount)| (name.clone(), Value::String(text(name, *amount))))
        .collect()
}

/// The parts of a node that histories use.
pub(super) fn node_json(node: &PlainNode) -> Value {
    let taint = |(key, value, effect): &(String, String, String)| json!({ "key": key, "value": value, "effect": effect });
    let mut allocatable = quantities(&node.allocatable);
    allocatable["pods"] = json!(node.pods.to_string());
    json!({
        "metadata": { "name": node.name, "labels": node.labels },
        "spec": {
            "unschedulable": node.unschedulable,
            "taints": node.taints.iter().map(taint).collect::<Vec<_>>(),
        },
        "status": { "allocatable": allocatable },
    })
}

pub(super) fn tolerations_json(pod: &PlainPod) -> Value {
    let tolerations = pod.tolerations.iter();
    tolerations
        .map(|one| json!({ "key": one.key, "operator": one.operator, "effect": one.effect }))
        .collect()
}

/// The parts of a pod that histories use.
pub(super) fn pod_json(name: &str, scheduler: &str, pod: &PlainPod) -> Value {
    let port = |(ip, protocol, port): &(String, String, i32)| json!({ "containerPort": port, "hostPort": port, "hostIP": ip, "protocol": protocol });
    let container = |container: &crate::plugins::testing::plain::PlainContainer| {
        json!({
            "name": "main",
            "image": container.image,
            "resources": { "requests": quantities(&container.requests) },
            "ports": container.ports.iter().map(port).collect::<Vec<_>>(),
        })
    };
    let class = CLASSES.iter().find(|(_, value, _)| *value == pod.priority);
    json!({
        "metadata": { "name": name },
        "spec": {
            "schedulerName": scheduler,
            "priorityClassName": class.map(|(name, _, _)| name),
            "containers": pod.containers.iter().map(container).collect::<Vec<_>>(),
            "nodeSelector": pod.node_selector,
            "tolerations": tolerations_json(pod),
            "schedulingGates": pod.gates.iter()
                .map(|gate| json!({ "name": gate }))
                .collect::<Vec<_>>(),
        },
    })
}
