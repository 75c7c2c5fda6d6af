//! The scheduler under test and kube-scheduler have to make room in the same full cluster, each in a copy of its own.
//!
//! Which node they choose, which pods have to go and what they say about it has to be the same. Pods have started at
//! different times, so that the rules of the choice leave nothing to chance.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use e2e::SchedulerKind;
use e2e::controlplane::SchedulerOptions;
use e2e::harness::{Cluster, NAME, node_of, scheduled_condition};
use e2e::objects::{PodBuilder, node, pod};
use e2e::random::Random;
use futures::future::try_join;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

const NODES: u64 = 6;
const QUESTIONS: u64 = 16;
const CLASSES: [(&str, i32); 4] = [("low", 10), ("middle", 100), ("high", 1000), ("top", 5000)];

/// What became of a pod.
#[derive(Debug, PartialEq)]
enum Outcome {
    Bound,
    Refused(String),
    Preempting {
        message: String,
        node: String,
        victims: BTreeSet<String>,
    },
}

/// Pods that fill the nodes, with the node of each.
fn fillers(random: &mut Random) -> Vec<(PodBuilder, String, String)> {
    let mut fillers = Vec::new();
    for number in 0..NODES {
        let mut free = 4000;
        let mut count = 0;
        while free > 400 && count < 6 {
            let cpu = (250 * (1 + random.below(8))).min(free);
            free -= cpu;
            let name = format!("n{number}-{count}");
            let mut filler = pod(&name)
                .request("cpu", &format!("{cpu}m"))
                .priority_class(random.pick(&["low", "low", "middle", "high"]));
            if random.one_in(3) {
                filler = filler.label("app", random.pick(&["a", "b"]));
            }
            if count == 0 && random.one_in(2) {
                filler = filler.host_port(8080, "TCP");
            }
            // Unique, and in no relation to the names.
            let second = 7 * fillers.len() % 60;
            let start = format!("2026-01-01T{:02}:{second:02}:00Z", random.below(24));
            fillers.push((filler, format!("n{number}"), start));
            count += 1;
        }
    }
    fillers
}

fn random_preemptor(random: &mut Random) -> PodBuilder {
    let mut pod = pod("p")
        .request("cpu", &format!("{}m", 500 * (1 + random.below(8))))
        .priority_class(random.pick(&["middle", "high", "top", "top"]));
    if random.one_in(4) {
        pod = pod.selector("zone", random.pick(&["a", "b"]));
    }
    if random.one_in(5) {
        pod = pod.host_port(8080, "TCP");
    }
    pod
}

/// A budget that lets `allowed` of the pods of an app go.
async fn budget(cluster: &Cluster, app: &str, allowed: i32) -> Result<()> {
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(cluster.client(), "default");
    let budget = json!({
        "metadata": {"name": app},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": app}}},
    });
    budgets
        .create(&PostParams::default(), &serde_json::from_value(budget)?)
        .await?;
    // The controller that would compute this does not run.
    let status = json!({"status": {
        "disruptionsAllowed": allowed, "currentHealthy": 4, "desiredHealthy": 1, "expectedPods": 4, "observedGeneration": 1,
    }});
    budgets
        .patch_status(app, &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(())
}

async fn fill(cluster: &mut Cluster, seed: u64, kind: SchedulerKind) -> Result<()> {
    let mut random = Random::new(seed);
    for (name, value) in CLASSES {
        cluster.priority_class(name, value).await?;
    }
    for number in 0..NODES {
        let zone = random.pick(&["a", "b"]);
        cluster
            .node(node(&format!("n{number}")).label("zone", zone))
            .await?;
    }
    for (filler, node, start) in fillers(&mut random) {
        let name = filler.clone().build()?.name_any();
        cluster.pod_on(filler, &node).await?;
        let status = json!({"startTime": start, "phase": "Running"});
        cluster.patch_pod_status(&name, status).await?;
    }
    budget(cluster, "a", 0).await?;
    budget(cluster, "b", 1).await?;
    cluster
        .start_scheduler_of(kind, &[NAME], SchedulerOptions::default())
        .await
}

/// The pods of `default` that are being deleted.
async fn leaving(cluster: &Cluster) -> Result<BTreeSet<String>> {
    let pods = cluster.pods().list(&ListParams::default()).await?;
    Ok(pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_some())
        .map(ResourceExt::name_any)
        .collect())
}

async fn ask(cluster: &Cluster, question: PodBuilder, number: u64) -> Result<Outcome> {
    let name = &format!("p{number}");
    cluster.pod(question.named(name)).await?;
    let refused = cluster
        .wait_pod(name, "bound or refused", |pod| {
            if node_of(pod).is_some() {
                return Some(None);
            }
            Some(Some(scheduled_condition(pod)?.message.clone()?))
        })
        .await?;
    let Some(message) = refused else {
        cluster.delete_pod(name).await?;
        return Ok(Outcome::Bound);
    };
    let Some((_, rest)) = message.split_once("found a potential placement for pod on node ") else {
        cluster.delete_pod(name).await?;
        return Ok(Outcome::Refused(message));
    };
    let (node, rest) = rest.split_once(", preempting ").context("no number")?;
    let count: usize = rest
        .strip_suffix(" victims")
        .context("no victims")?
        .parse()?;
    let victims = cluster
        .eventually(&format!("{count} leaving pods"), async || {
            let leaving = leaving(cluster).await?;
            Ok((leaving.len() >= count).then_some(leaving))
        })
        .await?;
    for victim in &victims {
        cluster.delete_pod(victim).await?;
    }
    let bound = cluster.wait_bound(name).await?;
    assert_eq!(bound, node, "{name} was not bound where room was made");
    let status = json!({"startTime": format!("2026-02-01T00:{number:02}:00Z"), "phase": "Running"});
    cluster.patch_pod_status(name, status).await?;
    Ok(Outcome::Preempting {
        node: node.to_owned(),
        message,
        victims,
    })
}

async fn compare(seed: u64) -> Result<()> {
    let [mut theirs, mut ours] = Cluster::pair().await?;
    try_join(
        fill(&mut theirs, seed, SchedulerKind::KubeScheduler),
        fill(&mut ours, seed, SchedulerKind::under_test()?),
    )
    .await?;
    let mut random = Random::new(seed + 1000);
    let (mut preempted, mut victims) = (0, 0);
    for number in 0..QUESTIONS {
        let question = random_preemptor(&mut random);
        let (expected, found) = try_join(
            ask(&theirs, question.clone(), number),
            ask(&ours, question.clone(), number),
        )
        .await
        .with_context(|| format!("seed {seed}, question {number}: {question:?}"))?;
        assert_eq!(
            found, expected,
            "seed {seed}, question {number}: {question:?}"
        );
        if let Outcome::Preempting { victims: gone, .. } = found {
            preempted += 1;
            victims += gone.len();
        }
    }
    println!("seed {seed}: {preempted} of {QUESTIONS} pods made {victims} others go");
    assert!(
        preempted > 2 && victims > preempted,
        "the questions are too easy"
    );
    Ok(())
}

#[tokio::test]
async fn the_same_victims_as_kube_scheduler_1() -> Result<()> {
    compare(1).await
}

/// Another cluster for every value of `E2E_SEED`.
#[tokio::test]
async fn the_same_victims_as_kube_scheduler_any() -> Result<()> {
    let seed = std::env::var("E2E_SEED").map_or(Ok(2), |seed| seed.parse())?;
    compare(seed).await
}
