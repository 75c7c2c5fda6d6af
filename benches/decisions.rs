//! How long a decision takes, through the engine's own interface: from a pod in the queue to the
//! pod assumed on its node.
//!
//! `cargo bench --bench decisions -- --count` tells instead how many nodes a decision looks at,
//! which is the same on every machine.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth::api;
use berth::cluster::{Cluster, PeerId};
use berth::engine::{Action, Change, Effect, Engine, Outcome, Setup};
use berth::framework::Evaluation;
use berth::model::{CompiledPod, NodeModel, Time};
use berth::plugins::default_profile;
use berth::queue::Backoff;
use berth::telemetry::metrics::Metrics;
use criterion::{BenchmarkId, Criterion, Throughput};

/// Pods decided in one go; enough that what lies around the decisions does not count.
const BATCH: usize = 200;
const NOW: Time = Time::from_secs(1);

/// What the pods of a run look like.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// All the same.
    Basic,
    /// Each asks for an amount of its own.
    EverNew,
    /// All the same, confined to two zones, preferring one rack in each.
    Affinity,
    /// All the same, too large for every node.
    Unschedulable,
    /// All the same, of a priority above most pods of every node, whose removal would not help.
    Hopeless,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Basic => "one shape",
            Self::EverNew => "ever-new shapes",
            Self::Affinity => "node affinity",
            Self::Unschedulable => "unschedulable",
            Self::Hopeless => "hopeless preemptors",
        }
    }
}

fn pairs(entries: &[(&str, &str)]) -> api::Pairs {
    entries.iter().copied().collect()
}

fn node(place: usize) -> api::Node {
    let mut node = api::Node::default();
    node.metadata.name = format!("node-{place}").into();
    node.metadata.uid = format!("node-uid-{place}").into();
    node.metadata.resource_version = "1".into();
    node.metadata.labels = pairs(&[
        ("kubernetes.io/hostname", &format!("node-{place}")),
        (
            "topology.kubernetes.io/zone",
            &format!("zone-{}", place % 10),
        ),
        ("rack", &format!("rack-{}", place % 100)),
    ]);
    node.status.allocatable = pairs(&[
        ("cpu", "4"),
        ("memory", "32Gi"),
        ("ephemeral-storage", "100Gi"),
        ("pods", "110"),
    ]);
    node
}

fn requirement(key: &str, values: &[&str]) -> api::Requirement {
    api::Requirement {
        key: key.into(),
        operator: "In".into(),
        values: values.iter().map(|value| (*value).into()).collect(),
    }
}

fn affinity() -> api::NodeAffinity {
    let term = |requirement| api::NodeSelectorTerm {
        match_expressions: vec![requirement],
        match_fields: Vec::new(),
    };
    let zones = requirement("topology.kubernetes.io/zone", &["zone-1", "zone-2"]);
    api::NodeAffinity {
        required: Some(api::NodeSelector {
            node_selector_terms: vec![term(zones)],
        }),
        preferred: vec![api::PreferredTerm {
            weight: 10,
            preference: term(requirement("rack", &["rack-11", "rack-22"])),
        }],
    }
}

fn pod(kind: Kind, number: usize, node: &str) -> api::Pod {
    let mut pod = api::Pod::default();
    pod.metadata.name = format!("pod-{number}").into();
    pod.metadata.namespace = "bench".into();
    pod.metadata.uid = format!("pod-uid-{number}").into();
    pod.metadata.resource_version = "1".into();
    pod.spec.scheduler_name = "berth".into();
    pod.spec.node_name = node.into();
    let cpu = match kind {
        Kind::EverNew => format!("{}m", 1 + number % 900),
        Kind::Unschedulable => "9".to_owned(),
        Kind::Hopeless => "3".to_owned(),
        Kind::Basic | Kind::Affinity => "100m".to_owned(),
    };
    // Different in every pod, also after the amounts of cpu repeat.
    let memory = match kind {
        Kind::EverNew => (500_000_000 + number).to_string(),
        _ => "500Mi".to_owned(),
    };
    pod.spec.containers = vec![api::Container {
        name: "main".into(),
        image: "registry.example/app:1".into(),
        resources: api::Resources {
            requests: Some(pairs(&[("cpu", &cpu), ("memory", &memory)])),
        },
        ..api::Container::default()
    }];
    if kind == Kind::Hopeless {
        pod.spec.priority = Some(10);
    }
    if kind == Kind::Affinity {
        pod.spec.affinity.node_affinity = Some(affinity());
    }
    pod
}

/// An engine whose nodes are 30 % full, of pods without priority.
struct Bench {
    engine: Engine,
    next: usize,
}

impl Bench {
    /// With `guarded`, there is also a pod on each node that nobody may preempt, of two cpu.
    fn new(nodes: usize, guarded: bool) -> Self {
        let mut engine = Engine::new(Setup {
            profiles: vec![default_profile("berth")],
            backoff: Backoff::default(),
            seed: 1,
            metrics: Arc::new(Metrics::new().expect("metrics are valid")),
            stopwatch: {
                let start = Instant::now();
                Box::new(move || start.elapsed().as_secs_f64())
            },
        });
        for place in 0..nodes {
            engine.apply(Change::Node(Box::new(node(place))), NOW);
        }
        // Twelve pods of 100m are 30 % of 4 cpu.
        let mut next = 0;
        for place in 0..nodes {
            for _ in 0..12 {
                let pod = pod(Kind::Basic, next, &format!("node-{place}"));
                engine.apply(Change::Pod(Box::new(pod)), NOW);
                next += 1;
            }
            if guarded {
                let mut pod = pod(Kind::Hopeless, next, &format!("node-{place}"));
                pod.spec.priority = Some(100);
                pod.spec.containers[0].resources.requests = Some(pairs(&[("cpu", "2")]));
                engine.apply(Change::Pod(Box::new(pod)), NOW);
                next += 1;
            }
        }
        engine.apply(Change::Synced, NOW);
        Self { engine, next }
    }

    /// Puts pods into the queue, measures the decisions, and takes the pods away again.
    fn decide(&mut self, kind: Kind, pods: usize) -> Duration {
        let first = self.next;
        self.next += pods;
        for number in first..self.next {
            let pod = pod(kind, number, "");
            self.engine.apply(Change::Pod(Box::new(pod)), NOW);
        }
        let start = Instant::now();
        let effects = self.engine.run(NOW, pods);
        let took = start.elapsed();
        self.check(kind, pods, black_box(&effects));
        for effect in effects {
            self.engine.complete(effect.id, Outcome::Done, NOW);
        }
        self.engine.run(NOW, 0);
        for number in first..self.next {
            let uid = format!("pod-uid-{number}").into();
            self.engine.apply(Change::PodGone(uid), NOW);
        }
        took
    }

    fn check(&self, kind: Kind, pods: usize, effects: &[Effect]) {
        let binds = effects
            .iter()
            .filter(|effect| matches!(effect.action, Action::Bind { .. }))
            .count();
        let expected = match kind {
            Kind::Unschedulable | Kind::Hopeless => 0,
            _ => pods,
        };
        assert_eq!(binds, expected, "decisions are not what is measured");
    }
}

fn measure(criterion: &mut Criterion) {
    let cases = [
        (5_000, Kind::Basic),
        (5_000, Kind::EverNew),
        (5_000, Kind::Affinity),
        (5_000, Kind::Unschedulable),
        (5_000, Kind::Hopeless),
        (50_000, Kind::Basic),
        (50_000, Kind::EverNew),
        (50_000, Kind::Affinity),
        (50_000, Kind::Unschedulable),
    ];
    let mut held: Option<((usize, bool), Bench)> = None;
    for (nodes, kind) in cases {
        let setting = (nodes, kind == Kind::Hopeless);
        let mut group = criterion.benchmark_group(kind.name());
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(nodes), |bencher| {
            if held.as_ref().is_none_or(|(made, _)| *made != setting) {
                held = Some((setting, Bench::new(setting.0, setting.1)));
            }
            let bench = &mut held.as_mut().expect("just made").1;
            bencher.iter_custom(|iterations| {
                let mut left = usize::try_from(iterations).unwrap();
                let mut took = Duration::ZERO;
                while left > 0 {
                    let pods = left.min(BATCH);
                    took += bench.decide(kind, pods);
                    left -= pods;
                }
                took
            });
        });
        group.finish();
    }
}

/// Nodes that decisions looked at, with one evaluation per class as the engine keeps them.
fn count(nodes: usize, kind: Kind) {
    let mut cluster = Cluster::default();
    for place in 0..nodes {
        cluster.upsert_node(NodeModel::compile(&node(place)).unwrap());
    }
    let profile = default_profile("berth");
    let mut evaluation = Evaluation::default();
    let mut touched = 0;
    let pods = 1_000;
    for number in 0..pods {
        let pod = CompiledPod::compile(&pod(kind, number, "")).unwrap();
        let shape = pod.waiting.as_ref().unwrap().shape.clone();
        if kind == Kind::EverNew {
            evaluation.clear();
        }
        let before = evaluation.touched();
        evaluation.filter(&profile, &shape, &cluster);
        evaluation.score(&profile, &shape, &cluster);
        if let Some(choice) = evaluation.choose(&cluster, number as u64) {
            cluster.assume(
                &pod.reference,
                0,
                &pod.placed,
                PeerId::default(),
                choice.node,
            );
        }
        touched += evaluation.touched() - before;
    }
    let per_decision = touched as f64 / f64::from(u32::try_from(pods).unwrap());
    println!(
        "{nodes:>6} nodes, {:<16} {per_decision:>9.1} nodes filtered per decision",
        kind.name()
    );
}

fn main() {
    if std::env::args().any(|argument| argument == "--count") {
        for kind in [
            Kind::Basic,
            Kind::EverNew,
            Kind::Affinity,
            Kind::Unschedulable,
        ] {
            count(5_000, kind);
        }
        return;
    }
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    measure(&mut criterion);
    criterion.final_summary();
}
