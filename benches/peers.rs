//! What a decision costs that looks at other pods, beside one that does not.
//!
//! `cargo bench --bench peers` prints, for each kind of pod, the least and the median time per
//! decision with 5,000 nodes, next to that of a basic pod in the same run, first with 10,000 running
//! pods and then with 40,000. `-- --nodes N` takes other sizes.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use berth::api;
use berth::engine::{Action, Change, Engine, Outcome, Setup};
use berth::model::Time;
use berth::plugins::default_profile;
use berth::queue::Backoff;
use berth::telemetry::metrics::Metrics;
use serde_json::{Value, json};

const NOW: Time = Time::from_secs(1);
/// Pods decided in one go.
const BATCH: usize = 100;
/// How often each kind has its turn.
const ROUNDS: usize = 15;
/// Running pods of the kind that is measured.
const PEERS: usize = 2000;
const ZONES: usize = 10;
const NAMESPACES: usize = 100;
const ZONE: &str = "topology.kubernetes.io/zone";
const HOSTNAME: &str = "kubernetes.io/hostname";

struct Kind {
    name: &'static str,
    /// The pod's labels, so that a service may select them.
    app: &'static str,
    spec: fn() -> Value,
    /// The last running pod of the kind stands in this many namespaces.
    namespaces: usize,
}

fn term(app: &str, key: &str) -> Value {
    json!({ "labelSelector": { "matchLabels": { "app": app } }, "topologyKey": key })
}

fn required(which: &str, term: &Value) -> Value {
    json!({ "affinity": { which: { "requiredDuringSchedulingIgnoredDuringExecution": [term] } } })
}

fn preferred(which: &str, term: &Value) -> Value {
    let weighted = json!({ "weight": 50, "podAffinityTerm": term });
    json!({ "affinity": { which: {
        "preferredDuringSchedulingIgnoredDuringExecution": [weighted]
    } } })
}

fn spread(app: &str, constraints: &[(&str, &str)]) -> Value {
    let constraints: Vec<_> = (constraints.iter())
        .map(|(key, action)| {
            json!({
                "maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": action,
                "labelSelector": { "matchLabels": { "app": app } },
            })
        })
        .collect();
    json!({ "topologySpreadConstraints": constraints })
}

const KINDS: &[Kind] = &[
    Kind {
        name: "basic",
        app: "basic",
        spec: || json!({}),
        namespaces: 1,
    },
    Kind {
        name: "node affinity",
        app: "node-affinity",
        spec: || {
            json!({ "affinity": { "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{
                    "matchExpressions": [
                        { "key": ZONE, "operator": "In", "values": ["zone-1", "zone-2"] }
                    ]
                }] }
            } } })
        },
        namespaces: 1,
    },
    Kind {
        name: "pod affinity (zone)",
        app: "together",
        spec: || required("podAffinity", &term("together", ZONE)),
        namespaces: 1,
    },
    Kind {
        name: "anti-affinity (hostname)",
        app: "apart",
        spec: || required("podAntiAffinity", &term("apart", HOSTNAME)),
        namespaces: 1,
    },
    Kind {
        name: "anti-affinity (100 namespaces)",
        app: "tenant",
        spec: || {
            let mut term = term("tenant", HOSTNAME);
            term["namespaceSelector"] = json!({ "matchLabels": { "team": "devops" } });
            required("podAntiAffinity", &term)
        },
        namespaces: NAMESPACES,
    },
    Kind {
        name: "preferred affinity",
        app: "liked",
        spec: || preferred("podAffinity", &term("liked", HOSTNAME)),
        namespaces: 1,
    },
    Kind {
        name: "preferred anti-affinity",
        app: "disliked",
        spec: || preferred("podAntiAffinity", &term("disliked", HOSTNAME)),
        namespaces: 1,
    },
    Kind {
        name: "hard spread (zone)",
        app: "even",
        spec: || spread("even", &[(ZONE, "DoNotSchedule")]),
        namespaces: 1,
    },
    Kind {
        name: "soft spread (zone, hostname)",
        app: "softly",
        spec: || {
            spread(
                "softly",
                &[(ZONE, "ScheduleAnyway"), (HOSTNAME, "ScheduleAnyway")],
            )
        },
        namespaces: 1,
    },
    Kind {
        name: "default spread",
        app: "served",
        spec: || json!({}),
        namespaces: 1,
    },
];

fn node(place: usize) -> api::Node {
    let node = json!({
        "metadata": {
            "name": format!("node-{place}"), "uid": format!("node-uid-{place}"),
            "resourceVersion": "1",
            "labels": {
                HOSTNAME: format!("node-{place}"), ZONE: format!("zone-{}", place % ZONES),
            },
        },
        "status": { "allocatable": { "cpu": "32", "memory": "256Gi", "pods": "200" } },
    });
    serde_json::from_value(node).expect("a node")
}

fn pod(kind: &Kind, number: usize, node: &str) -> api::Pod {
    let mut spec = (kind.spec)();
    spec["schedulerName"] = "berth".into();
    spec["nodeName"] = node.into();
    spec["containers"] = json!([{ "name": "main", "image": "registry.example/app:1",
        "resources": { "requests": { "cpu": "100m", "memory": "500Mi" } } }]);
    let pod = json!({
        "metadata": {
            "name": format!("pod-{number}"), "uid": format!("pod-uid-{number}"),
            "namespace": format!("team-{}", number % kind.namespaces),
            "resourceVersion": "1", "labels": { "app": kind.app },
        },
        "spec": spec,
    });
    serde_json::from_value(pod).expect("a pod")
}

struct Bench {
    engine: Engine,
    next: usize,
}

impl Bench {
    /// An engine with so many nodes and running pods: [`PEERS`] of the kind, as far as there are so
    /// many, the others basic and of 50 apps with nothing to do with it.
    fn new(nodes: usize, running: usize, kind: &Kind) -> Self {
        let start = Instant::now();
        let mut engine = Engine::new(Setup {
            profiles: vec![default_profile("berth")],
            backoff: Backoff::default(),
            seed: 1,
            metrics: Arc::new(Metrics::new().expect("metrics are valid")),
            stopwatch: Box::new(move || start.elapsed().as_secs_f64()),
        });
        for place in 0..NAMESPACES {
            let name = format!("team-{place}");
            let namespace = json!({
                "metadata": { "name": name, "labels": { "team": "devops" } }
            });
            let namespace = serde_json::from_value(namespace).expect("a namespace");
            engine.apply(Change::Namespace(Box::new(namespace)), NOW);
        }
        if kind.name == "default spread" {
            let service = json!({
                "metadata": { "name": "served", "namespace": "team-0" },
                "spec": { "selector": { "app": kind.app } },
            });
            let service = serde_json::from_value(service).expect("a service");
            engine.apply(Change::Service(Box::new(service)), NOW);
        }
        for place in 0..nodes {
            engine.apply(Change::Node(Box::new(node(place))), NOW);
        }
        for number in 0..running {
            let place = format!("node-{}", number % nodes);
            let mut running = if number < PEERS.min(nodes / 2) {
                pod(kind, number, &place)
            } else {
                pod(&KINDS[0], number, &place)
            };
            if number >= PEERS {
                let app = format!("app-{}", number % 50);
                running.metadata.labels = [("app", &*app)].into_iter().collect();
            }
            engine.apply(Change::Pod(Box::new(running)), NOW);
        }
        engine.apply(Change::Synced, NOW);
        Self {
            engine,
            next: running,
        }
    }

    /// Microseconds per decision, of a batch that is taken away again.
    fn decide(&mut self, kind: &Kind) -> f64 {
        let first = self.next;
        self.next += BATCH;
        for number in first..self.next {
            self.engine
                .apply(Change::Pod(Box::new(pod(kind, number, ""))), NOW);
        }
        let start = Instant::now();
        let effects = self.engine.run(NOW, BATCH);
        let took = start.elapsed();
        let bound = |effect: &&berth::engine::Effect| matches!(effect.action, Action::Bind { .. });
        let placed = black_box(&effects).iter().filter(bound).count();
        assert_eq!(placed, BATCH, "{}: not all were placed", kind.name);
        for effect in effects {
            self.engine.complete(effect.id, Outcome::Done, NOW);
        }
        self.engine.run(NOW, 0);
        for number in first..self.next {
            let uid = format!("pod-uid-{number}").into();
            self.engine.apply(Change::PodGone(uid), NOW);
        }
        took.as_secs_f64() * 1e6 / BATCH as f64
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn measure(nodes: usize, running: usize) {
    println!("{nodes} nodes, {running} running pods: microseconds per decision");
    println!(
        "  {:32} {:>8} {:>8} {:>10}",
        "pods", "least", "median", "of basic"
    );
    let mut basic = Bench::new(nodes, running, &KINDS[0]);
    for kind in KINDS {
        let mut bench = Bench::new(nodes, running, kind);
        let (mut own, mut plain) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            own.push(bench.decide(kind));
            plain.push(basic.decide(&KINDS[0]));
        }
        let (own_median, plain_median) = (median(&mut own), median(&mut plain));
        println!(
            "  {:32} {:8.1} {:8.1} {:9.2}x",
            kind.name,
            own[0],
            own_median,
            own_median / plain_median
        );
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let nodes = (arguments.iter().position(|one| one == "--nodes"))
        .and_then(|place| arguments.get(place + 1)?.parse().ok())
        .unwrap_or(5000);
    for running in [2 * nodes, 8 * nodes] {
        measure(nodes, running);
    }
}
