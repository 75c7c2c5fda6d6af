//! What it costs to find out whom to evict.
//!
//! `cargo bench --bench preemption` prints for each kind of preemptor the first, the least, the median
//! and the 99th percentile of the whole attempt in milliseconds, in clusters that are full of pods of
//! lower priority, and the longest turn that any of them had: others wait no longer for theirs. `-- --nodes N` takes other sizes, `-- --only TEXT` some kinds.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

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
/// How often each kind has its turn.
const ROUNDS: usize = 200;

/// Who fills the cluster.
#[derive(Clone, Copy)]
struct Filling {
    /// Pods on each node of 32 cpu, which share it evenly.
    per_node: usize,
    /// Of each so many nodes one has a pod that cannot go.
    guarded: usize,
    /// Pods of a gang that runs, all of which it needs; 0 for single pods.
    gangs_of: usize,
    /// How many budgets protect which of the pods, one pod each.
    budgets: usize,
}

const PLAIN: Filling = Filling {
    per_node: 2,
    guarded: 0,
    gangs_of: 0,
    budgets: 0,
};

/// Who wants room.
struct Kind {
    name: &'static str,
    filling: Filling,
    /// 0 for a single pod.
    members: usize,
    cpu: usize,
    spec: fn() -> Value,
    victims: bool,
}

fn nothing_more() -> Value {
    json!({})
}

fn spread() -> Value {
    json!({ "topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": { "matchLabels": { "app": "filling" } },
    }] })
}

fn apart() -> Value {
    json!({ "affinity": { "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [{
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": { "matchLabels": { "app": "other" } },
    }] } } })
}

fn kinds() -> Vec<Kind> {
    let single = |name, filling| Kind {
        name,
        filling,
        members: 0,
        cpu: 16,
        spec: nothing_more,
        victims: true,
    };
    let many = Filling {
        per_node: 8,
        ..PLAIN
    };
    let very_many = Filling {
        per_node: 30,
        ..PLAIN
    };
    vec![
        single("a pod, 2 pods per node", PLAIN),
        single("a pod, 8 pods per node", many),
        single("a pod, 30 pods per node", very_many),
        single(
            "a pod, 2,000 budgets",
            Filling {
                budgets: 2000,
                ..many
            },
        ),
        single(
            "a pod, gangs of 8",
            Filling {
                gangs_of: 8,
                ..many
            },
        ),
        Kind {
            spec: spread,
            ..single("a pod that is spread", PLAIN)
        },
        Kind {
            spec: apart,
            ..single("a pod that keeps apart", PLAIN)
        },
        Kind {
            cpu: 24,
            victims: false,
            ..single(
                "a pod that is too large",
                Filling {
                    guarded: 1,
                    ..PLAIN
                },
            )
        },
        Kind {
            members: 16,
            ..single("a gang of 16, 2 pods per node", PLAIN)
        },
        Kind {
            members: 16,
            ..single("a gang of 16, 8 pods per node", many)
        },
        Kind {
            members: 16,
            ..single(
                "a gang of 16, gangs of 8",
                Filling {
                    gangs_of: 8,
                    ..many
                },
            )
        },
        Kind {
            members: 16,
            cpu: 24,
            victims: false,
            ..single(
                "a gang of 16 that is too large",
                Filling {
                    guarded: 1,
                    ..PLAIN
                },
            )
        },
    ]
}

fn node(place: usize) -> api::Node {
    let node = json!({
        "metadata": {
            "name": format!("node-{place}"), "uid": format!("node-uid-{place}"),
            "resourceVersion": "1",
            "labels": {
                "kubernetes.io/hostname": format!("node-{place}"),
                "zone": format!("zone-{}", place % 3),
            },
        },
        "status": { "allocatable": { "cpu": "32", "memory": "256Gi", "pods": "110" } },
    });
    serde_json::from_value(node).expect("a node")
}

struct Pod<'a> {
    group: &'a str,
    name: &'a str,
    millicpu: usize,
    priority: i32,
    node: &'a str,
    app: &'a str,
    spec: Value,
}

fn pod(pod: Pod<'_>) -> api::Pod {
    let mut labels = json!({ "app": pod.app, "name": pod.name });
    if !pod.group.is_empty() {
        labels["scheduling.x-k8s.io/pod-group"] = pod.group.into();
    }
    let mut spec = json!({
        "schedulerName": "berth", "nodeName": pod.node, "priority": pod.priority,
        "containers": [{ "name": "main", "image": "registry.example/main:1",
            "resources": { "requests": { "cpu": format!("{}m", pod.millicpu) } } }],
    });
    for (key, value) in pod.spec.as_object().expect("an object") {
        spec[key] = value.clone();
    }
    let pod = json!({
        "metadata": { "name": pod.name, "uid": pod.name, "namespace": "default",
            "resourceVersion": "1", "labels": labels },
        "spec": spec,
        "status": { "startTime": "2026-01-01T00:00:00Z" },
    });
    serde_json::from_value(pod).expect("a pod")
}

struct Bench {
    engine: Engine,
    next: usize,
}

impl Bench {
    fn new(nodes: usize, filling: Filling) -> Self {
        let start = Instant::now();
        let mut engine = Engine::new(Setup {
            profiles: vec![default_profile("berth")],
            backoff: Backoff::default(),
            seed: 1,
            metrics: Arc::new(Metrics::new().expect("metrics are valid")),
            stopwatch: Box::new(move || start.elapsed().as_secs_f64()),
        });
        let group = |place: usize| {
            (filling.gangs_of > 0).then(|| format!("running-{}", place / filling.gangs_of))
        };
        for place in 0..nodes {
            engine.apply(Change::Node(Box::new(node(place))), NOW);
            for number in 0..filling.per_node {
                let index = place * filling.per_node + number;
                let group = group(index).unwrap_or_default();
                if !group.is_empty() && index.is_multiple_of(filling.gangs_of) {
                    engine.apply(object(&group, filling.gangs_of), NOW);
                }
                let guarded =
                    number == 0 && filling.guarded > 0 && place.is_multiple_of(filling.guarded);
                let running = pod(Pod {
                    group: &group,
                    name: &format!("filling-{index}"),
                    millicpu: 32_000 / filling.per_node,
                    priority: if guarded { 2000 } else { 0 },
                    node: &format!("node-{place}"),
                    app: "filling",
                    spec: json!({}),
                });
                engine.apply(Change::Pod(Box::new(running)), NOW);
            }
        }
        for number in 0..filling.budgets {
            let budget = json!({
                "metadata": { "name": format!("budget-{number}"), "namespace": "default",
                    "resourceVersion": "1" },
                "spec": { "selector": { "matchLabels": { "name": format!("filling-{number}") } } },
                "status": { "disruptionsAllowed": 0 },
            });
            let budget = serde_json::from_value(budget).expect("a budget");
            engine.apply(Change::DisruptionBudget(Box::new(budget)), NOW);
        }
        engine.apply(Change::Synced, NOW);
        let mut bench = Self { engine, next: 0 };
        let effects = bench.engine.run(NOW, 0);
        bench.answer(effects);
        bench
    }

    fn answer(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.engine.complete(effect.id, Outcome::Done, NOW);
        }
    }

    /// Milliseconds of one attempt, and of its longest turn. The preemptor is taken away again, and
    /// nobody has gone.
    fn attempt(&mut self, kind: &Kind) -> (f64, f64) {
        self.next += 1;
        let group = match kind.members {
            0 => String::new(),
            _ => format!("gang-{}", self.next),
        };
        if kind.members > 0 {
            self.engine.apply(object(&group, kind.members), NOW);
        }
        let names: Vec<String> = (0..kind.members.max(1))
            .map(|member| format!("preemptor-{}-{member}", self.next))
            .collect();
        for name in &names {
            let preemptor = pod(Pod {
                group: &group,
                name,
                millicpu: kind.cpu * 1000,
                priority: 1000,
                node: "",
                app: "other",
                spec: (kind.spec)(),
            });
            self.engine.apply(Change::Pod(Box::new(preemptor)), NOW);
        }
        let (mut effects, mut took, mut longest) = (Vec::new(), 0.0, 0.0_f64);
        while self.engine.has_work() {
            let start = Instant::now();
            effects.extend(self.engine.run(NOW, 1));
            let turn = start.elapsed().as_secs_f64() * 1e3;
            took += turn;
            longest = longest.max(turn);
        }
        let evicts = |effect: &&Effect| matches!(effect.action, Action::Evict(_));
        let victims = effects.iter().filter(evicts).count();
        assert_eq!(victims > 0, kind.victims, "{}: {victims}", kind.name);
        self.answer(effects);
        for name in &names {
            let uid = name.as_str().into();
            self.engine.apply(Change::PodGone(uid), NOW);
        }
        if kind.members > 0 {
            let gone = Change::PodGroupGone(GroupRef {
                dialect: Dialect::SchedulerPlugins,
                namespace: "default".into(),
                name: group.into(),
            });
            self.engine.apply(gone, NOW);
        }
        let rest = self.engine.run(NOW, 0);
        self.answer(rest);
        (took, longest)
    }
}

fn object(name: &str, min: usize) -> Change {
    let object = json!({
        "metadata": { "name": name, "uid": name, "namespace": "default", "resourceVersion": "1" },
        "spec": { "minMember": min },
    });
    let object = serde_json::from_value(object).expect("a group");
    Change::PodGroup(Dialect::SchedulerPlugins, "v1alpha1", Box::new(object))
}

fn measure(nodes: usize, kind: &Kind) {
    let mut bench = Bench::new(nodes, kind.filling);
    let (mut times, turns): (Vec<f64>, Vec<f64>) = (0..ROUNDS).map(|_| bench.attempt(kind)).unzip();
    let longest = turns.into_iter().fold(0.0, f64::max);
    let first = times.first().copied().unwrap_or_default();
    times.sort_by(f64::total_cmp);
    let at = |share: usize| {
        times
            .get(times.len() * share / 100)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "  {:34} {first:8.3} {:8.3} {:8.3} {:8.3} {longest:8.3}",
        kind.name,
        at(0),
        at(50),
        at(99)
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |flag: &str| {
        let place = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(place + 1)?.parse::<usize>().ok()
    };
    let nodes = after("--nodes").unwrap_or(5000);
    let only = arguments.iter().position(|argument| argument == "--only");
    let only = only.and_then(|place| arguments.get(place + 1));
    let wanted = |kind: &Kind| only.is_none_or(|only| kind.name.contains(&**only));
    let heading = |nodes: usize| {
        println!("{nodes} nodes full of pods of lower priority: milliseconds per attempt");
        println!(
            "  {:34} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "preemptor", "first", "least", "median", "p99", "turn"
        );
    };
    heading(nodes);
    for kind in kinds().iter().filter(|kind| wanted(kind)) {
        measure(nodes, kind);
    }
    heading(1000);
    let gangs = Filling {
        per_node: 8,
        gangs_of: 8,
        ..PLAIN
    };
    let kind = Kind {
        name: "a gang of 16, 1,000 gangs of 8",
        filling: gangs,
        members: 16,
        cpu: 16,
        spec: nothing_more,
        victims: true,
    };
    if wanted(&kind) {
        measure(1000, &kind);
    }
}
