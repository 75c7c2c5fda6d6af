//! The scheduler under test and kube-scheduler are asked the same questions about the same cluster.
//!
//! Each pod is first given to kube-scheduler, deleted, and then given to the scheduler under test: refusals have to be
//! equal word for word, and the chosen node has to be one of those to which kube-scheduler gave its highest score.

use std::collections::BTreeSet;

use anyhow::Result;
use e2e::controlplane::SchedulerOptions;
use e2e::harness::{Cluster, NAME, node_of, scheduled_condition};
use e2e::objects::PodBuilder;
use e2e::random::{Random, ZONES, random_node, random_pod};
use e2e::{Scheduler, SchedulerKind};
use serde_json::json;

const TWIN: &str = "twin";
const NODES: u64 = 12;
const PODS: u64 = 40;

#[derive(Debug, PartialEq)]
enum Outcome {
    Bound(String),
    Refused(String),
}

async fn outcome(cluster: &Cluster, pod: PodBuilder, name: &str) -> Result<Outcome> {
    cluster.pod(pod.named(name)).await?;
    cluster
        .wait_pod(name, "bound or refused", |pod| {
            if let Some(node) = node_of(pod) {
                return Some(Outcome::Bound(node.to_owned()));
            }
            let condition = scheduled_condition(pod)?;
            Some(Outcome::Refused(condition.message.clone()?))
        })
        .await
}

/// The nodes that got the highest score for a pod, according to the log; none if only one node was left to choose.
fn best_nodes(log: &str, pod: &str) -> BTreeSet<String> {
    let mark = format!("\"Calculated node's final score for pod\" pod=\"default/{pod}\" node=\"");
    let scores: Vec<(i64, &str)> = log
        .lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once(&mark)?;
            let (node, score) = rest.split_once("\" score=")?;
            Some((score.trim().parse().ok()?, node))
        })
        .collect();
    let best = scores.iter().map(|(score, _)| *score).max();
    scores
        .into_iter()
        .filter(|(score, _)| Some(*score) == best)
        .map(|(_, node)| node.to_owned())
        .collect()
}

/// Both schedulers, side by side in one cluster.
struct Twins {
    cluster: Cluster,
    twin: Scheduler,
    random: Random,
    seed: u64,
    placed: Vec<String>,
    ties: usize,
    refused: usize,
}

impl Twins {
    async fn start(seed: u64) -> Result<Self> {
        let mut random = Random::new(seed);
        let mut cluster = Cluster::new().await?;
        for number in 0..NODES {
            cluster.node(random_node(&mut random, number)).await?;
        }
        let options = SchedulerOptions {
            verbosity: 10,
            ..SchedulerOptions::default()
        };
        let twin = Scheduler::start_with(
            SchedulerKind::KubeScheduler,
            cluster.control_plane(),
            &[TWIN],
            options,
        )
        .await?;
        cluster.start_scheduler().await?;
        Ok(Self {
            cluster,
            twin,
            random,
            seed,
            placed: Vec::new(),
            ties: 0,
            refused: 0,
        })
    }

    /// Asks both about a random pod. If they disagree, asks again up to `patience` times: after a change of the cluster
    /// one of them may know of it before the other, but not for long.
    async fn ask(&mut self, number: u64, patience: u32) -> Result<()> {
        let pod = random_pod(&mut self.random);
        let mut attempt = 0;
        loop {
            let (theirs, ours) = (
                format!("k{number}-{attempt}"),
                format!("b{number}-{attempt}"),
            );
            let cluster = &self.cluster;
            let expected = outcome(cluster, pod.clone().scheduler(TWIN), &theirs).await?;
            cluster.delete_pod(&theirs).await?;
            let found = outcome(cluster, pod.clone().scheduler(NAME), &ours).await?;
            let problem = match (&expected, &found) {
                (Outcome::Bound(node), Outcome::Bound(chosen)) => {
                    let mut best = best_nodes(&self.twin.output(), &theirs);
                    best.insert(node.clone());
                    if best.contains(chosen) {
                        // The pod stays: the cluster fills up.
                        self.ties += usize::from(best.len() > 1);
                        self.placed.push(ours);
                        return Ok(());
                    }
                    format!("{chosen} is none of {best:?}")
                }
                _ if expected == found => {
                    self.refused += 1;
                    return cluster.delete_pod(&ours).await;
                }
                _ => format!("{found:?} instead of {expected:?}"),
            };
            assert!(
                attempt < patience,
                "{problem}; seed {}, question {number}: {pod:?}",
                self.seed
            );
            cluster.delete_pod(&ours).await?;
            attempt += 1;
        }
    }

    /// Changes something that matters to later pods.
    async fn change(&mut self) -> Result<()> {
        let number = self.random.below(NODES);
        let name = format!("n{number}");
        let (cluster, random) = (&self.cluster, &mut self.random);
        match random.below(8) {
            0 => {
                let unschedulable = random.one_in(2).then_some(true);
                let patch = json!({"spec": {"unschedulable": unschedulable}});
                cluster.patch_node(&name, patch).await
            }
            1 => {
                let disk = random.pick(&[Some("ssd"), Some("hdd"), None]);
                let patch =
                    json!({"metadata": {"labels": {"disk": disk, "zone": random.pick(&ZONES)}}});
                cluster.patch_node(&name, patch).await
            }
            2 => {
                let taint = json!({"key": "gpu", "value": "x", "effect": random.pick(&["NoSchedule", "PreferNoSchedule"])});
                let taints = random.one_in(2).then(|| json!([taint]));
                let patch = json!({"spec": {"taints": taints}});
                cluster.patch_node(&name, patch).await
            }
            3 => {
                let cpu = format!("{}m", 500 + 250 * random.below(40));
                let gpus = random.pick(&[None, Some("4"), Some("8")]);
                let allocatable = json!({"cpu": cpu, "nvidia.com/gpu": gpus});
                let patch = json!({"allocatable": allocatable, "capacity": allocatable});
                cluster.patch_node_status(&name, patch).await
            }
            4 => {
                cluster.delete_node(&name).await?;
                cluster.node(random_node(random, number)).await?;
                Ok(())
            }
            5 | 6 if !self.placed.is_empty() => {
                let index = random.below(self.placed.len() as u64);
                let pod = self.placed.swap_remove(usize::try_from(index)?);
                cluster.delete_pod(&pod).await
            }
            7 if !self.placed.is_empty() => {
                let index = random.below(self.placed.len() as u64);
                let pod = self.placed.swap_remove(usize::try_from(index)?);
                cluster.finish_pod(&pod).await
            }
            _ => Ok(()),
        }
    }

    fn finish(self) {
        let (seed, bound) = (self.seed, self.placed.len());
        let (ties, refused) = (self.ties, self.refused);
        println!("seed {seed}: {bound} still bound, {ties} ties, {refused} refused");
        assert!(
            bound > 5 && refused > 5,
            "the questions are too easy or too hard"
        );
    }
}

/// Random pods on a random cluster that only fills up.
async fn compare(seed: u64) -> Result<()> {
    let mut twins = Twins::start(seed).await?;
    for number in 0..PODS {
        twins.ask(number, 0).await?;
    }
    twins.finish();
    Ok(())
}

/// Random pods while nodes and pods change and go.
async fn compare_with_changes(seed: u64) -> Result<()> {
    let mut twins = Twins::start(seed).await?;
    for number in 0..2 * PODS {
        twins.change().await?;
        twins.ask(number, 5).await?;
    }
    twins.finish();
    Ok(())
}

#[tokio::test]
async fn the_same_answers_as_kube_scheduler_1() -> Result<()> {
    compare(1).await
}

#[tokio::test]
async fn the_same_answers_as_kube_scheduler_2() -> Result<()> {
    compare(2).await
}

#[tokio::test]
async fn the_same_answers_as_kube_scheduler_while_the_cluster_changes() -> Result<()> {
    compare_with_changes(4).await
}

/// Other clusters for every value of `E2E_SEED`.
#[tokio::test]
async fn the_same_answers_as_kube_scheduler_any() -> Result<()> {
    let seed = std::env::var("E2E_SEED").map_or(Ok(3), |seed| seed.parse())?;
    compare(seed).await?;
    compare_with_changes(seed).await
}
