//! What it costs to place gangs, to refuse them, and to let them wait.
//!
//! `cargo bench --bench gangs` prints for each kind of gang the least and the median time of the
//! decision in milliseconds, with 5,000 nodes of 8 GPUs of which a third is in use, and then what
//! 1,000 gangs that wait cost while other things happen. `-- --nodes N` takes other sizes.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use berth::api;
use berth::engine::{Action, Change, Effect, Engine, Outcome, Setup};
use berth::model::{Dialect, GroupRef, Time};
use berth::plugins::default_profile;
use berth::queue::Backoff;
use berth::telemetry::metrics::Metrics;
use serde_json::{Value, json};

const NOW: Time = Time::from_secs(1);
const GPU: &str = "nvidia.com/gpu";
/// How often each kind has its turn.
const ROUNDS: usize = 15;

struct Kind {
    name: &'static str,
    pods: usize,
    gpus: usize,
    /// The label that must be the same.
    together: Option<&'static str>,
    fits: bool,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "3 pods of 8 GPUs",
        pods: 3,
        gpus: 8,
        together: None,
        fits: true,
    },
    Kind {
        name: "64 pods of 8 GPUs",
        pods: 64,
        gpus: 8,
        together: None,
        fits: true,
    },
    Kind {
        name: "64 pods of 1 GPU, one rack",
        pods: 64,
        gpus: 1,
        together: Some("rack"),
        fits: true,
    },
    Kind {
        name: "1,024 pods of 1 GPU",
        pods: 1024,
        gpus: 1,
        together: None,
        fits: true,
    },
    Kind {
        name: "1,024 pods of 1 GPU, one block",
        pods: 1024,
        gpus: 1,
        together: Some("block"),
        fits: true,
    },
    Kind {
        name: "1,024 pods of 8 GPUs, one rack",
        pods: 1024,
        gpus: 8,
        together: Some("rack"),
        fits: false,
    },
    Kind {
        name: "64 pods of 16 GPUs",
        pods: 64,
        gpus: 16,
        together: None,
        fits: false,
    },
    Kind {
        name: "more pods of 8 GPUs than fit",
        pods: 4000,
        gpus: 8,
        together: None,
        fits: false,
    },
    Kind {
        name: "10,000 pods of 1 GPU",
        pods: 10_000,
        gpus: 1,
        together: None,
        fits: true,
    },
];

fn node(place: usize) -> api::Node {
    // Racks of 16 to 32 nodes, blocks of 256.
    let (mut rack, mut first) = (0, 0);
    loop {
        let size = 16 + rack * 7 % 17;
        if place < first + size {
            break;
        }
        (rack, first) = (rack + 1, first + size);
    }
    let node = json!({
        "metadata": {
            "name": format!("node-{place}"), "uid": format!("node-uid-{place}"),
            "resourceVersion": "1",
            "labels": {
                "kubernetes.io/hostname": format!("node-{place}"),
                "rack": format!("rack-{rack}"), "block": format!("block-{}", place / 256),
            },
        },
        "status": { "allocatable": { "cpu": "96", "memory": "1Ti", "pods": "110", GPU: "8" } },
    });
    serde_json::from_value(node).expect("a node")
}

fn pod(group: &str, name: &str, gpus: usize, node: &str) -> api::Pod {
    let mut requests = json!({ "cpu": "1", "memory": "4Gi" });
    if gpus > 0 {
        requests[GPU] = gpus.to_string().into();
    }
    let labels = match group {
        "" => json!({ "app": "single" }),
        group => json!({ "scheduling.x-k8s.io/pod-group": group }),
    };
    let pod: Value = json!({
        "metadata": { "name": name, "uid": name, "namespace": "train", "resourceVersion": "1", "labels": labels },
        "spec": {
            "schedulerName": "berth", "nodeName": node,
            "containers": [{ "name": "main", "image": "registry.example/train:1",
                "resources": { "requests": requests } }],
        },
    });
    serde_json::from_value(pod).expect("a pod")
}

struct Bench {
    engine: Engine,
    metrics: Arc<Metrics>,
    next: usize,
}

impl Bench {
    /// Every node runs a pod without GPUs, and of each three nodes one has half of its GPUs in use.
    fn new(nodes: usize) -> Self {
        let metrics = Arc::new(Metrics::new().expect("metrics are valid"));
        let start = Instant::now();
        let mut engine = Engine::new(Setup {
            profiles: vec![default_profile("berth")],
            backoff: Backoff::default(),
            seed: 1,
            metrics: Arc::clone(&metrics),
            stopwatch: Box::new(move || start.elapsed().as_secs_f64()),
        });
        for place in 0..nodes {
            engine.apply(Change::Node(Box::new(node(place))), NOW);
            let gpus = if place % 3 == 0 { 4 } else { 0 };
            let (name, node) = (format!("running-{place}"), format!("node-{place}"));
            engine.apply(Change::Pod(Box::new(pod("", &name, gpus, &node))), NOW);
        }
        engine.apply(Change::Synced, NOW);
        Self {
            engine,
            metrics,
            next: 0,
        }
    }

    /// The objects of a gang. Answers its name.
    fn create(&mut self, kind: &Kind) -> String {
        self.next += 1;
        let name = format!("gang-{}", self.next);
        let mut object = json!({
            "metadata": { "name": name, "uid": name, "namespace": "train", "resourceVersion": "1" },
            "spec": { "minMember": kind.pods },
        });
        if let Some(key) = kind.together {
            object["metadata"]["annotations"] = json!({ "gang.berth.dev/required-topology": key });
        }
        let object = serde_json::from_value(object).expect("a group");
        let change = Change::PodGroup(Dialect::SchedulerPlugins, "v1alpha1", Box::new(object));
        self.engine.apply(change, NOW);
        for member in 0..kind.pods {
            let pod = pod(&name, &format!("{name}-{member}"), kind.gpus, "");
            self.engine.apply(Change::Pod(Box::new(pod)), NOW);
        }
        name
    }

    fn delete(&mut self, kind: &Kind, name: &str) {
        for member in 0..kind.pods {
            let uid = format!("{name}-{member}").into();
            self.engine.apply(Change::PodGone(uid), NOW);
        }
        self.engine.apply(
            Change::PodGroupGone(GroupRef {
                dialect: Dialect::SchedulerPlugins,
                namespace: "train".into(),
                name: name.into(),
            }),
            NOW,
        );
    }

    fn answer(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.engine.complete(effect.id, Outcome::Done, NOW);
        }
    }

    /// Milliseconds of one decision, which is taken away again.
    fn decide(&mut self, kind: &Kind) -> f64 {
        let name = self.create(kind);
        let start = Instant::now();
        let effects = self.engine.run(NOW, 1);
        let took = start.elapsed();
        let bound = |effect: &&Effect| matches!(effect.action, Action::Bind { .. });
        let placed = black_box(&effects).iter().filter(bound).count();
        let expected = if kind.fits { kind.pods } else { 0 };
        assert_eq!(placed, expected, "{}", kind.name);
        self.answer(effects);
        self.delete(kind, &name);
        let rest = self.engine.run(NOW, 0);
        self.answer(rest);
        took.as_secs_f64() * 1e3
    }

    /// The sum of the metrics whose lines begin so.
    fn counted(&self, metric: &str) -> f64 {
        let shown = self.metrics.encode().expect("metrics are shown");
        let of_metric = shown.lines().filter(|line| line.starts_with(metric));
        let values = of_metric.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn decisions(nodes: usize) {
    println!("{nodes} nodes: milliseconds per gang");
    println!(
        "  {:34} {:>8} {:>8} {:>8}",
        "gang", "first", "least", "median"
    );
    for kind in KINDS {
        let mut bench = Bench::new(nodes);
        let first = bench.decide(kind);
        let mut times: Vec<f64> = (0..ROUNDS).map(|_| bench.decide(kind)).collect();
        let median = median(&mut times);
        println!(
            "  {:34} {first:8.3} {:8.3} {median:8.3}",
            kind.name, times[0]
        );
    }
}

const HINTS: &str = "scheduler_queueing_hint_execution_duration_seconds_count";
const ATTEMPTS: &str = "berth_gang_attempts_total";

/// 1,000 gangs wait, for what no node has or for room on nodes that are all half in use.
fn waiting(nodes: usize, gpus: usize) {
    let mut bench = Bench::new(nodes);
    for place in 0..nodes {
        let (name, node) = (format!("half-{place}"), format!("node-{place}"));
        let pod = pod("", &name, 4, &node);
        bench.engine.apply(Change::Pod(Box::new(pod)), NOW);
    }
    let kind = Kind {
        name: "waiting",
        pods: 4,
        gpus,
        together: None,
        fits: false,
    };
    for _ in 0..1000 {
        bench.create(&kind);
    }
    let effects = bench.engine.run(NOW, 2000);
    bench.answer(effects);
    println!(
        "1,000 gangs of pods of {gpus} GPUs wait: hints asked, attempts and milliseconds per event"
    );
    println!(
        "  {:34} {:>8} {:>8} {:>8}",
        "event", "hints", "attempts", "ms"
    );
    let single = |place, node: &str| {
        let name = format!("new-{place}");
        Change::Pod(Box::new(pod("", &name, 0, node)))
    };
    type Event<'a> = (&'a str, Box<dyn Fn(usize) -> Change + 'a>);
    let events: [Event<'_>; 4] = [
        ("a pod is bound", Box::new(|place| single(place, "node-1"))),
        (
            "a pod without GPUs is deleted",
            Box::new(|place| Change::PodGone(format!("new-{place}").into())),
        ),
        (
            "a node changes a label",
            Box::new(|place| {
                let mut node = node(place);
                node.metadata.labels = [("rack", "another")].into_iter().collect();
                Change::Node(Box::new(node))
            }),
        ),
        ("nothing", Box::new(|_| Change::Synced)),
    ];
    for (name, event) in events {
        let (hints, attempts) = (bench.counted(HINTS), bench.counted(ATTEMPTS));
        let start = Instant::now();
        for place in 0..100 {
            bench.engine.apply(event(place), NOW);
            let effects = bench.engine.run(NOW, 2000);
            bench.answer(effects);
        }
        let took = start.elapsed().as_secs_f64() * 1e3 / 100.0;
        let hints = (bench.counted(HINTS) - hints) / 100.0;
        let attempts = (bench.counted(ATTEMPTS) - attempts) / 100.0;
        println!("  {name:34} {hints:8.1} {attempts:8.1} {took:8.3}");
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let nodes = (arguments.iter().position(|one| one == "--nodes"))
        .and_then(|place| arguments.get(place + 1)?.parse().ok())
        .unwrap_or(5000);
    decisions(nodes);
    waiting(nodes, 16);
    waiting(nodes, 8);
}
