//! The scheduler under test and kube-scheduler are asked the same questions about the same cluster.
//!
//! Each pod is first given to kube-scheduler, deleted, and then given to the scheduler under test: refusals have to be
//! equal word for word, and the chosen node has to be one of those to which kube-scheduler gave its highest score.

use std::collections::BTreeSet;

use anyhow::Result;
use e2e::controlplane::SchedulerOptions;
use e2e::harness::{Cluster, NAME, node_of, scheduled_condition};
use e2e::objects::{
    NodeBuilder, PodBuilder, node, pod, preferred_node_affinity, required_node_affinity,
};
use e2e::{Scheduler, SchedulerKind};
use serde_json::json;

const TWIN: &str = "twin";
const NODES: u64 = 12;
const PODS: u64 = 40;

/// A small generator (xorshift64*), so that a seed tells everything.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

const ZONES: [&str; 3] = ["a", "b", "c"];
const IMAGES: [&str; 3] = ["small:1", "large:2", "huge"];

fn random_node(random: &mut Random, number: u64) -> NodeBuilder {
    let mut node = node(&format!("n{number}"))
        .capacity("cpu", &format!("{}m", 1000 + 250 * random.below(30)))
        .capacity("memory", &format!("{}Mi", 2048 + 300 * random.below(60)))
        .capacity("pods", &format!("{}", random.pick(&[2, 5, 110, 110])))
        .label("zone", random.pick(&ZONES))
        .label("generation", &random.below(9).to_string());
    if random.one_in(3) {
        node = node.capacity("nvidia.com/gpu", random.pick(&["2", "4", "8"]));
    }
    if random.one_in(2) {
        node = node.label("disk", random.pick(&["ssd", "hdd"]));
    }
    if random.one_in(6) {
        node = node.unschedulable();
    }
    for key in ["gpu", "team", "soft"] {
        if random.one_in(5) {
            let effect = if key == "soft" {
                "PreferNoSchedule"
            } else {
                random.pick(&["NoSchedule", "NoExecute"])
            };
            node = node.taint(key, random.pick(&["x", "y"]), effect);
        }
    }
    for (image, megabytes) in IMAGES.into_iter().zip([30, 400, 2000]) {
        if random.one_in(3) {
            node = node.image(image, megabytes << 20);
        }
    }
    node
}

fn random_pod(random: &mut Random) -> PodBuilder {
    let mut pod = pod("p").label("app", "twin");
    if !random.one_in(5) {
        pod = pod.request("cpu", &format!("{}m", 50 + 137 * random.below(20)));
    }
    if !random.one_in(4) {
        pod = pod.request("memory", &format!("{}Mi", 10 + 211 * random.below(20)));
    }
    if random.one_in(6) {
        pod = pod.request("nvidia.com/gpu", random.pick(&["1", "2", "8"]));
    }
    if random.one_in(9) {
        pod = pod.request("ephemeral-storage", random.pick(&["10Gi", "200Gi"]));
    }
    if random.one_in(8) {
        pod = pod.init(random.one_in(2), "cpu", random.pick(&["300m", "4"]));
    }
    if random.one_in(5) {
        pod = pod.selector("disk", random.pick(&["ssd", "hdd", "tape"]));
    }
    if random.one_in(3) {
        let zones = [random.pick(&ZONES)];
        let affinity = match random.below(5) {
            0 => required_node_affinity(&[("zone", "In", &zones)]),
            1 => required_node_affinity(&[("zone", "NotIn", &zones), ("generation", "Gt", &["3"])]),
            2 => required_node_affinity(&[("disk", "Exists", &[]), ("generation", "Lt", &["7"])]),
            3 => required_node_affinity(&[("disk", "DoesNotExist", &[])]),
            _ => preferred_node_affinity(60, "zone", zones[0]),
        };
        pod = pod.affinity(affinity);
    }
    for key in ["gpu", "team", "soft"] {
        if random.one_in(4) {
            pod = pod.toleration(match random.below(3) {
                0 => json!({"key": key, "operator": "Exists"}),
                1 => json!({"key": key, "operator": "Equal", "value": "x"}),
                _ => json!({"key": key, "operator": "Equal", "value": "y", "effect": "NoSchedule"}),
            });
        }
    }
    if random.one_in(12) {
        pod = pod.toleration(json!({"operator": "Exists"}));
    }
    if random.one_in(7) {
        pod = pod.host_port(random.pick(&[8080, 9090]), random.pick(&["TCP", "UDP"]));
    }
    if random.one_in(3) {
        pod = pod.image(random.pick(&IMAGES));
    }
    pod
}

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

async fn compare(seed: u64) -> Result<()> {
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
    let (mut bound, mut refused, mut ties) = (0, 0, 0);
    for number in 0..PODS {
        let pod = random_pod(&mut random);
        let question = format!("seed {seed}, pod {number}: {pod:?}");
        let (theirs, ours) = (format!("k{number}"), format!("b{number}"));
        let expected = outcome(&cluster, pod.clone().scheduler(TWIN), &theirs).await?;
        cluster.delete_pod(&theirs).await?;
        let found = outcome(&cluster, pod.scheduler(NAME), &ours).await?;
        match (&expected, &found) {
            (Outcome::Bound(node), Outcome::Bound(chosen)) => {
                let mut best = best_nodes(&twin.output(), &theirs);
                best.insert(node.clone());
                ties += usize::from(best.len() > 1);
                assert!(
                    best.contains(chosen),
                    "{chosen} is none of {best:?}; {question}"
                );
                bound += 1;
                // The pod stays: the cluster fills up.
            }
            _ => {
                assert_eq!(found, expected, "{question}");
                refused += 1;
                cluster.delete_pod(&ours).await?;
            }
        }
    }
    println!("seed {seed}: {bound} bound, {ties} of them among equals, {refused} refused");
    assert!(
        bound > 5 && refused > 5,
        "the questions are too easy or too hard"
    );
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

/// Another cluster for every value of `E2E_SEED`.
#[tokio::test]
async fn the_same_answers_as_kube_scheduler_any() -> Result<()> {
    let seed = std::env::var("E2E_SEED").map_or(Ok(3), |seed| seed.parse())?;
    compare(seed).await
}
