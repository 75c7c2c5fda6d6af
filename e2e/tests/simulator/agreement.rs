//! One scene, three ways: through `berth simulate`, through the API server of the demonstration and through the real
//! one. Nodes, conditions and events have to be the same, letter by letter.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use e2e::SchedulerKind;
use e2e::controlplane::SchedulerOptions;
use e2e::harness::Cluster;
use kube::Client;
use serde_json::Value;

use crate::scene::{self, NAME, Scene};
use crate::world::{Demo, LIMIT, POLL, ask, items, simulate};

/// The first of the seeds that always run.
const SEED: u64 = 1;
/// Random scenes.
const SCENES: u64 = 20;

const PODS: &str = "/api/v1/namespaces/default/pods";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";

/// What became of a pod.
#[derive(Debug, Default, PartialEq)]
struct Told {
    node: String,
    /// Status, reason and message of PodScheduled.
    condition: [String; 3],
    /// Type, reason, action and note of each event.
    events: Vec<[String; 4]>,
}

/// What became of each pod, by its name.
type Outcome = BTreeMap<String, Told>;

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What a simulation says, and the names of the pods in the order in which they were decided.
fn simulated(scene: &Scene) -> Result<(Outcome, Vec<String>)> {
    let report = simulate(&scene.objects())?;
    let mut outcome = Outcome::new();
    let mut order = Vec::new();
    for pod in report["pods"].as_array().context("no pods")? {
        let [name, node, reason, message] =
            ["name", "node", "reason", "message"].map(|field| text(&pod[field]));
        let event = |kind: &str, reason: &str, action: &str| {
            [kind.into(), reason.into(), action.into(), noted(&message)]
        };
        let told = match reason.as_str() {
            "Scheduled" => Told {
                node,
                condition: ["True".to_owned(), String::new(), String::new()],
                events: vec![event("Normal", "Scheduled", "Binding")],
            },
            "SchedulingGated" => Told {
                condition: ["False".to_owned(), reason, message],
                ..Told::default()
            },
            _ => Told {
                events: vec![event("Warning", "FailedScheduling", "Scheduling")],
                condition: ["False".to_owned(), reason, message],
                ..Told::default()
            },
        };
        order.push(name.clone());
        outcome.insert(name, told);
    }
    Ok((outcome, order))
}

/// An event has room for 1024 bytes, as with kube-scheduler.
fn noted(message: &str) -> String {
    if message.len() > 1024 {
        format!("{} ...", &message[..1020])
    } else {
        message.to_owned()
    }
}

async fn create(client: &Client, path: &str, object: &Value) -> Result<()> {
    let start = Instant::now();
    loop {
        let (code, answer) = ask(client, "POST", path, object.clone()).await?;
        // Admission learns of new priority classes from a watch of its own.
        let early = text(&answer["message"]).contains("no PriorityClass with name");
        if code == 201 {
            return Ok(());
        }
        ensure!(early && start.elapsed() < LIMIT, "{path}: {answer}");
        tokio::time::sleep(POLL).await;
    }
}

/// Everything but the pods that wait.
async fn furnish(client: &Client, scene: &Scene) -> Result<()> {
    for class in &scene.classes {
        let classes = "/apis/scheduling.k8s.io/v1/priorityclasses";
        create(client, classes, class).await?;
    }
    for (collection, object) in &scene.storage {
        create(client, collection, object).await?;
    }
    for node in &scene.nodes {
        create(client, "/api/v1/nodes", node).await?;
    }
    for pod in &scene.placed {
        create(client, PODS, pod).await?;
    }
    Ok(())
}

/// Waits until `look` has found something.
async fn eventually<T: Debug>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if start.elapsed() > LIMIT {
            bail!("{what} in {LIMIT:?}");
        }
        tokio::time::sleep(POLL).await;
    }
}

fn condition(pod: &Value) -> Option<[String; 3]> {
    let conditions = pod["status"]["conditions"].as_array()?;
    let condition = conditions
        .iter()
        .find(|one| one["type"] == "PodScheduled")?;
    Some(["status", "reason", "message"].map(|field| text(&condition[field])))
}

/// What became of the pods, once each was decided and has its event.
async fn outcome(client: &Client) -> Result<Outcome> {
    eventually("not every pod has its answer", async || {
        let mut outcome = Outcome::new();
        let mut uids = BTreeMap::new();
        for pod in items(client, PODS).await? {
            if pod["spec"]["schedulerName"] != NAME {
                continue;
            }
            let Some(condition) = condition(&pod) else {
                return Ok(None);
            };
            let told = Told {
                node: text(&pod["spec"]["nodeName"]),
                condition,
                events: Vec::new(),
            };
            let name = text(&pod["metadata"]["name"]);
            uids.insert(text(&pod["metadata"]["uid"]), name.clone());
            outcome.insert(name, told);
        }
        for event in items(client, EVENTS).await? {
            ensure!(event["reportingController"] == NAME, "{event}");
            // Of a pod of an earlier scene some may be late.
            let name = uids.get(&text(&event["regarding"]["uid"]));
            let Some(told) = name.and_then(|name| outcome.get_mut(name)) else {
                continue;
            };
            let fields = ["type", "reason", "action", "note"];
            told.events.push(fields.map(|field| text(&event[field])));
        }
        let complete = outcome
            .values()
            .all(|told| !told.events.is_empty() || told.condition[1] == "SchedulingGated");
        Ok(complete.then_some(outcome))
    })
    .await
}

/// All pods are there before the scheduler is: it decides in the order of its queue.
async fn on_the_real_server(scene: &Scene) -> Result<Outcome> {
    let mut cluster = Cluster::new().await?;
    let client = cluster.client();
    furnish(&client, scene).await?;
    for pod in &scene.waiting {
        create(&client, PODS, pod).await?;
    }
    let options = SchedulerOptions::default();
    let berth = SchedulerKind::Berth;
    cluster.start_scheduler_of(berth, &[NAME], options).await?;
    outcome(&client).await
}

/// The scheduler is there before the pods are: it gets them one by one, in the order in which they were decided, each
/// when the one before has its answer.
async fn in_the_demonstration(demo: &Demo, scene: &Scene, order: &[String]) -> Result<Outcome> {
    let client = &demo.client;
    demo.clear().await?;
    furnish(client, scene).await?;
    let (nodes, placed) = (scene.nodes.len(), scene.placed.len());
    demo.wait_known(nodes, placed).await?;
    for kind in ["StorageClass", "PersistentVolume", "PersistentVolumeClaim"] {
        let of_kind = scene.storage.iter().filter(|(_, one)| one["kind"] == kind);
        demo.wait_seen(kind, of_kind.count()).await?;
    }
    for name in order {
        let mut pods = scene.waiting.iter();
        let pod = pods.find(|pod| pod["metadata"]["name"] == name.as_str());
        create(client, PODS, pod.context("it is not in the scene")?).await?;
        eventually(&format!("pod {name} has no answer"), async || {
            let (_, pod) = ask(client, "GET", &format!("{PODS}/{name}"), Value::Null).await?;
            Ok(condition(&pod))
        })
        .await?;
    }
    outcome(client).await
}

/// Fails unless the scene ends the same in all three ways; returns what came of it.
async fn agree(demo: &Demo, scene: &Scene) -> Result<Outcome> {
    let (expected, order) = simulated(scene)?;
    ensure!(expected.len() == scene.waiting.len(), "pods are missing");
    same(
        "the demonstration",
        &in_the_demonstration(demo, scene, &order).await?,
        &expected,
    )?;
    same(
        "the real API server",
        &on_the_real_server(scene).await?,
        &expected,
    )?;
    Ok(expected)
}

fn same(what: &str, found: &Outcome, expected: &Outcome) -> Result<()> {
    for (name, expected) in expected {
        let found = found.get(name);
        if found != Some(expected) {
            bail!("pod {name}: the simulation says {expected:#?}, {what} {found:#?}");
        }
    }
    ensure!(found.len() == expected.len(), "there are more pods");
    Ok(())
}

#[tokio::test]
async fn every_plugin_and_every_reason() -> Result<()> {
    let demo = Demo::start().await?;
    let outcome = agree(&demo, &scene::rich().await?).await?;
    let placed = outcome.iter().filter(|(_, told)| !told.node.is_empty());
    let placed: Vec<&str> = placed.map(|(name, _)| name.as_str()).collect();
    let expected: Vec<String> = (0..16).map(|number| format!("p{number:02}")).collect();
    assert_eq!(placed, expected);
    let messages: Vec<&str> = outcome
        .values()
        .map(|told| told.condition[2].as_str())
        .collect();
    for reason in [
        "Insufficient cpu",
        "Insufficient memory",
        "Insufficient ephemeral-storage",
        "Insufficient example.com/gpu",
        "Too many pods",
        "node(s) were unschedulable",
        "node(s) had untolerated taint(s)",
        "node(s) didn't match Pod's node affinity/selector",
        "node(s) didn't satisfy plugin(s) [NodeAffinity]",
        "node(s) didn't have free ports for the requested pod ports",
        "pod affinity terms conflict",
        "node(s) didn't match pod affinity rules",
        "node(s) didn't match pod anti-affinity rules",
        "node(s) didn't match pod topology spread constraints (missing required label)",
        "persistentvolumeclaim \"absent\" not found",
        "pod has unbound immediate PersistentVolumeClaims",
        "does not support volumes that need binding",
        "node(s) didn't match PersistentVolume's node affinity",
        "persistentvolume \"gone\" not found",
        "does not support volumes that nodes cannot share",
        "does not support resource claims",
        "No preemption victims found for incoming pod",
        "Preemption is not helpful for scheduling",
        "not eligible due to preemptionPolicy=Never",
        "Scheduling is blocked due to non-empty scheduling gates",
    ] {
        let somebody = messages.iter().any(|message| message.contains(reason));
        assert!(
            somebody,
            "nobody waits because of {reason:?}: {messages:#?}"
        );
    }
    agree(&demo, &scene::empty()?).await?;
    Ok(())
}

/// Other scenes with every value of `E2E_SEED`.
#[tokio::test]
async fn random_clusters() -> Result<()> {
    let demo = Demo::start().await?;
    let first = std::env::var("E2E_SEED").map_or(Ok(SEED), |seed| seed.parse())?;
    let (mut placed, mut refused) = (0, 0);
    for seed in first..first + SCENES {
        let scene = scene::random(seed).await?;
        let outcome = agree(&demo, &scene)
            .await
            .with_context(|| format!("E2E_SEED={seed}"))?;
        let here = outcome.values().filter(|told| !told.node.is_empty());
        placed += here.count();
        refused += outcome.len();
    }
    refused -= placed;
    println!("{SCENES} scenes: {placed} pods placed, {refused} refused");
    assert!(
        placed > 100 && refused > 50,
        "the scenes are too easy or too hard"
    );
    Ok(())
}
