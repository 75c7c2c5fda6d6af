//! Whole engines through random histories: whatever happens in whatever order, the engine stays
//! in agreement with itself, never overcommits, and ends where the API server is.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::server::{Server, ServerPod};
use super::*;
use crate::plugins::testing::arbitrary::{easy_pod, node, node_name, pod};
use crate::plugins::testing::cases;
use crate::plugins::testing::naive::{Answer, Verdict, World, requests};
use crate::plugins::testing::peers::Labels;
use crate::plugins::testing::peers::arbitrary::{
    in_company, in_topology, labels as company_labels, namespace,
};
use crate::plugins::testing::plain::{PlainNode, PlainPod, PlainToleration};

const NAMES: usize = 5;

#[derive(Clone, Debug)]
enum Step {
    Node(PlainNode),
    NodeGone(usize),
    Pod(PlainPod),
    /// Created with a node, which may not exist.
    BoundPod(PlainPod, usize),
    /// Bound by somebody else while it waits.
    Stolen(usize, usize),
    /// Nominated by somebody else, to a node that may not exist, or to none any more.
    Nominate(usize, Option<usize>),
    Terminate(usize),
    Delete(usize),
    Finish(usize),
    /// A toleration more, or all gates gone.
    Edit(usize, bool),
    Relabel(usize, Labels),
    Namespace(usize, Option<Labels>),
    SeePods(usize),
    SeeNodes(usize),
    SeeAgain(usize, usize),
    Garbled(usize),
    Relist,
    /// Lists the pods as they were so many changes ago.
    RelistBehind(usize),
    Run(u64, usize),
    Carry(usize, bool),
    Answer(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let alone = || prop_oneof![3 => easy_pod(), 1 => pod(NAMES)].boxed();
    let alike = |mut pod: PlainPod| {
        pod.peers.terminating = false;
        pod
    };
    let any_pod = prop_oneof![1 => alone(), 1 => in_company(alone()).prop_map(alike)].boxed();
    let waiting = (any_pod.clone(), prop::bool::weighted(0.1)).prop_map(|(mut pod, gated)| {
        if gated {
            pod.gates.push("later".to_owned());
        }
        Step::Pod(pod)
    });
    let at = any::<usize>;
    prop_oneof![
        4 => in_topology(node(NAMES)).prop_map(Step::Node),
        1 => at().prop_map(Step::NodeGone),
        8 => waiting,
        2 => (any_pod, 0..NAMES + 1).prop_map(|(pod, node)| Step::BoundPod(pod, node)),
        1 => (at(), 0..NAMES).prop_map(|(pod, node)| Step::Stolen(pod, node)),
        2 => (at(), prop::option::weighted(0.8, 0..NAMES + 1))
            .prop_map(|(pod, node)| Step::Nominate(pod, node)),
        1 => at().prop_map(Step::Terminate),
        2 => at().prop_map(Step::Delete),
        1 => at().prop_map(Step::Finish),
        2 => (at(), any::<bool>()).prop_map(|(pod, what)| Step::Edit(pod, what)),
        2 => (at(), company_labels()).prop_map(|(pod, labels)| Step::Relabel(pod, labels)),
        2 => (0..NAMESPACES.len(), proptest::option::weighted(0.8, namespace()))
            .prop_map(|(which, labels)| Step::Namespace(which, labels)),
        8 => (1..6_usize).prop_map(Step::SeePods),
        5 => (1..4_usize).prop_map(Step::SeeNodes),
        3 => (at(), at()).prop_map(|(pod, which)| Step::SeeAgain(pod, which)),
        1 => at().prop_map(Step::Garbled),
        1 => Just(Step::Relist),
        8 => (prop_oneof![Just(0), 1..2_000_u64, Just(31_000)], 1..4_usize)
            .prop_map(|(millis, budget)| Step::Run(millis, budget)),
        8 => (at(), prop::bool::weighted(0.2)).prop_map(|(which, lost)| Step::Carry(which, lost)),
        8 => at().prop_map(Step::Answer),
    ]
}

const NAMESPACES: &[&str] = &["default", "east", "west"];

struct History {
    engine: Engine,
    server: Server,
    metrics: Arc<Metrics>,
    now: Time,
    sent: Vec<Effect>,
    namespaces: BTreeMap<String, Labels>,
}

impl History {
    fn new(seed: u64) -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut engine = counted_engine_of(default_profile("berth"), seed, &metrics);
        engine.apply(Change::Synced, Time::ZERO);
        Self {
            engine,
            metrics,
            server: Server::default(),
            now: Time::from_secs(1),
            sent: Vec::new(),
            namespaces: BTreeMap::new(),
        }
    }

    fn apply(&mut self, change: Option<Change>) -> bool {
        let some = change.is_some();
        if let Some(change) = change {
            self.engine.apply(change, self.now);
        }
        some
    }

    fn run(&mut self, budget: usize) -> bool {
        let effects = self.engine.run(self.now, budget);
        for effect in &effects {
            if let Action::Bind { node } = &effect.action {
                self.fits_beside_all(effect, node);
            }
        }
        self.server.take(&effects);
        self.sent.extend(effects.iter().cloned());
        effects
            .iter()
            .any(|effect| matches!(effect.action, Action::Bind { .. }))
    }

    /// Nothing that a placed pod asks for is overdrawn on the node that it was just given.
    fn fits_beside_all(&self, effect: &Effect, node: &str) {
        let cluster = self.engine.cluster();
        let id = cluster.node_id(node).expect("a known node was chosen");
        assert!(cluster.pod_counts()[id.index()] <= cluster.allowed_pods()[id.index()]);
        let placed = cluster.placed_by_uid(&effect.pod().unwrap().uid).unwrap();
        let placed = cluster.placed(placed).unwrap();
        assert_eq!((placed.node, placed.assumed), (id, true));
        for resource in cluster.resources().ids() {
            let name = cluster.resources().name(resource);
            if placed.pod.held.get(name) > 0 {
                let free = cluster.resources().free(resource)[id.index()];
                assert!(free >= 0, "{name} of {node} is overdrawn by {free}");
            }
        }
    }

    fn answer(&mut self, which: usize) -> bool {
        let answer = self.server.next_answer(which);
        let some = answer.is_some();
        if let Some((id, outcome)) = answer {
            self.engine.complete(id, outcome, self.now);
        }
        some
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Node(node) => self.server.put_node(node),
            Step::NodeGone(which) => self.server.drop_node(which),
            Step::Pod(pod) => self.server.put_pod(pod, ""),
            Step::BoundPod(pod, node) => self.server.put_pod(pod, &node_name(node)),
            Step::Stolen(which, node) => self.server.edit(which, |pod| {
                if pod.node.is_empty() && !pod.terminating {
                    pod.node = node_name(node);
                }
            }),
            Step::Nominate(which, node) => self.server.edit(which, |pod| {
                if pod.node.is_empty() {
                    pod.nominated = node.map(node_name).unwrap_or_default();
                }
            }),
            Step::Terminate(which) => self.server.edit(which, |pod| pod.terminating = true),
            Step::Relabel(which, labels) => {
                self.server.edit(which, |pod| pod.pod.peers.labels = labels);
            }
            Step::Namespace(which, labels) => {
                let name = NAMESPACES[which];
                let json = json!({ "metadata": { "name": name, "labels": labels } });
                let change = match labels {
                    Some(labels) => {
                        self.namespaces.insert(name.to_owned(), labels);
                        Change::Namespace(serde_json::from_value(json).unwrap())
                    }
                    None => {
                        self.namespaces.remove(name);
                        Change::NamespaceGone(name.into())
                    }
                };
                self.apply(Some(change));
            }
            Step::Delete(which) => self.server.delete(which),
            Step::Finish(which) => self.server.finish(which),
            Step::Edit(which, tolerate) => self.server.edit(which, |pod| {
                if tolerate {
                    pod.pod.tolerations.push(PlainToleration {
                        operator: "Exists".to_owned(),
                        ..PlainToleration::default()
                    });
                } else {
                    pod.pod.gates.clear();
                }
            }),
            Step::SeePods(count) => {
                for _ in 0..count {
                    let news = self.server.next_pod_news();
                    self.apply(news);
                }
            }
            Step::SeeNodes(count) => {
                for _ in 0..count {
                    let news = self.server.next_node_news();
                    self.apply(news);
                }
            }
            Step::SeeAgain(pod, which) => {
                let news = self.server.old_news(pod, which);
                self.apply(news);
            }
            Step::Garbled(which) => {
                let news = self.server.garbled(which);
                self.apply(news);
            }
            Step::Relist => {
                for news in self.server.relist() {
                    self.apply(Some(news));
                }
            }
            Step::RelistBehind(changes) => {
                self.server.behind = true;
                for news in self.server.relist_pods(changes) {
                    self.apply(Some(news));
                }
            }
            Step::Run(millis, budget) => {
                self.now = self.now + Duration::from_millis(millis);
                self.run(budget);
            }
            Step::Carry(which, lost) => self.server.carry(which, lost),
            Step::Answer(which) => {
                self.answer(which);
            }
        }
        self.engine.audit();
    }

    /// Lets everything arrive that is on its way.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            loop {
                let news = self.server.next_node_news();
                if !self.apply(news) {
                    break;
                }
                moved = true;
            }
            loop {
                let news = self.server.next_pod_news();
                if !self.apply(news) {
                    break;
                }
                moved = true;
            }
            while !self.server.in_lanes.is_empty() {
                self.server.carry(0, false);
                moved = true;
            }
            while self.answer(0) {
                moved = true;
            }
            if !moved {
                break;
            }
        }
        self.engine.audit();
    }

    /// Runs until nothing is left to be done, without the flush of the unschedulable pods: whoever
    /// still waits then must not fit anywhere.
    fn finish(&mut self) {
        for _ in 0..20 {
            self.settle();
            self.now = self.now + SECOND * 11;
            loop {
                self.run(1000);
                self.settle();
                if !self.engine.has_work() {
                    break;
                }
            }
        }
        self.now = self.now + SECOND;
        let late = self.run(1000);
        assert!(!late, "something was still to be bound");
        self.settle();
        assert_eq!(self.engine.awaited(), 0, "outcomes are still awaited");
        let world = self.world();
        self.same_as(&world);
        self.nobody_is_forgotten(&world);
        self.nobody_was_rescued();
        self.nothing_remains();
    }

    /// No pod was placed only because it was tried again after five minutes.
    fn nobody_was_rescued(&mut self) {
        // Somebody else's nomination ends when the pod is tried again in vain, and nothing but the
        // flush may make that happen; those that yield to it wait until then, as upstream.
        let nominated = |pod: &ServerPod| pod.node.is_empty() && !pod.nominated.is_empty();
        if self.server.pods.values().any(nominated) {
            return;
        }
        self.now = self.now + SECOND * 400;
        assert!(
            !self.run(1000),
            "five minutes later something could be bound"
        );
        self.settle();
        let metrics = self.metrics.encode().unwrap();
        assert!(metrics.contains("\nscheduler_pod_scheduled_after_flush_total 0\n"));
    }

    /// Once all pods are deleted, all gauges of pods are at zero.
    fn nothing_remains(&mut self) {
        while !self.server.pods.is_empty() {
            self.server.delete(0);
        }
        self.settle();
        self.engine.run(self.now, 10);
        let engine = &self.engine;
        assert!(engine.pods.is_empty() && engine.queue.is_empty());
        assert_eq!(
            (engine.awaited(), engine.cluster.placed_counts()),
            (0, (0, 0))
        );
        for line in self.metrics.encode().unwrap().lines() {
            let gauges = ["scheduler_unschedulable_pods{", "scheduler_pending_pods{"];
            if gauges.iter().any(|gauge| line.starts_with(gauge)) {
                assert!(line.ends_with(" 0"), "{line}");
            }
        }
    }

    /// The truth at the server as a plain world.
    fn world(&self) -> World {
        let mut world = World::default();
        for (node, _) in self.server.nodes.values() {
            world.upsert(node.clone());
        }
        for (uid, pod) in &self.server.pods {
            if !pod.node.is_empty() {
                let mut placed = pod.pod.clone();
                placed.peers.terminating = pod.terminating;
                let placed = (pod.node.clone(), placed);
                world.placed.insert(uid.clone(), placed);
            }
        }
        world.namespaces.clone_from(&self.namespaces);
        world
    }

    fn same_as(&self, world: &World) {
        let cluster = self.engine.cluster();
        assert_eq!(cluster.placed_counts(), (world.placed.len(), 0));
        assert_eq!(cluster.node_count(), world.nodes.len());
        for (name, node) in &world.nodes {
            let id = cluster.node_id(name).expect("the node is known");
            let pods = world.pods_on(name).count() as i64;
            assert_eq!(cluster.pod_counts()[id.index()], pods);
            for resource in ["cpu", "memory", "ephemeral-storage", "nvidia.com/gpu"] {
                let Some(column) = cluster.resources().id(resource) else {
                    continue;
                };
                let requested = world.requested(name, resource);
                let all = node.allocatable.get(resource).copied().unwrap_or(0);
                let resources = cluster.resources();
                assert_eq!(resources.requested(column)[id.index()], requested);
                assert_eq!(resources.free(column)[id.index()], all - requested);
            }
            let nonzero = world.nonzero(name, "cpu");
            assert_eq!(cluster.nonzero_cpu()[id.index()], nonzero);
        }
    }

    fn nobody_is_forgotten(&self, world: &World) {
        let mut waiting = 0;
        for (uid, pod) in &self.server.pods {
            if !pod.node.is_empty() {
                let known = self.engine.by_uid.contains_key(&**uid);
                assert!(!known, "{uid} is bound and still in the queue");
                continue;
            }
            if pod.terminating {
                continue;
            }
            waiting += 1;
            let known = self.engine.by_uid.contains_key(&**uid);
            assert!(known, "{uid} waits and is forgotten");
            if pod.pod.gates.is_empty()
                && let Answer::Nodes(verdicts) = world.filter(&pod.pod)
            {
                let fits: Vec<_> = (verdicts.iter())
                    .filter(|(_, verdict)| **verdict == Verdict::Yes)
                    .filter(|(node, _)| self.fits_beside_nominated(world, uid, node))
                    .collect();
                assert!(
                    fits.is_empty(),
                    "{uid} fits {fits:?}, asks for {:?}, and nobody woke it: {:?}",
                    requests(&pod.pod),
                    self.engine.queue.get(self.engine.by_uid[&**uid]),
                );
            }
        }
        // Whoever is terminating is dropped when its turn comes.
        assert!(self.engine.pods.len() >= waiting);
    }

    /// Whether the pod would fit the node if the pods were there that are nominated to it.
    fn fits_beside_nominated(&self, world: &World, uid: &str, node: &str) -> bool {
        let pod = &self.server.pods[uid].pod;
        let mut world = world.clone();
        for (other, nominated) in &self.server.pods {
            let counts = nominated.nominated == node && nominated.pod.priority >= pod.priority;
            if counts && other != uid && nominated.node.is_empty() {
                let placed = (node.to_owned(), nominated.pod.clone());
                world.placed.insert(other.clone(), placed);
            }
        }
        let Answer::Nodes(verdicts) = world.filter(pod) else {
            return false;
        };
        verdicts[node] == Verdict::Yes
    }
}

fn live(seed: u64, steps: Vec<Step>) -> Vec<Effect> {
    let mut history = History::new(seed);
    for step in steps {
        history.step(step);
    }
    history.finish();
    history.sent
}

proptest! {
    #![proptest_config(cases(250))]

    #[test]
    fn every_history_ends_where_the_server_is(seed in 0..3_u64, steps in vec(step(), 5..120)) {
        live(seed, steps);
    }

    #[test]
    fn lists_that_are_behind_are_made_up_for(
        seed in 0..3_u64,
        steps in vec(prop_oneof![
            12 => step(),
            1 => (1..8_usize).prop_map(Step::RelistBehind),
        ], 5..120),
    ) {
        live(seed, steps);
    }

    #[test]
    fn the_same_history_has_the_same_effects(seed in 0..3_u64, steps in vec(step(), 5..60)) {
        prop_assert_eq!(live(seed, steps.clone()), live(seed, steps));
    }
}
