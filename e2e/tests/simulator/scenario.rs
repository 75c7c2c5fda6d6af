//! The same pods and nodes, scheduled against both servers.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use e2e::harness::{Cluster, node_of, scheduled_condition};
use e2e::objects::{PodBuilder, node, pod};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::PostParams;
use kube::{Api, Client};

use crate::world::Demo;

/// The schedulerName for which the demonstration runs.
const NAME: &str = "berth";
const LIMIT: Duration = Duration::from_secs(60);

/// A pod, with its node or with what it was told.
type Told = (String, Result<String, String>);

#[tokio::test]
async fn pods_are_placed_and_told_alike() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    make_nodes(&cluster.client()).await?;
    cluster.start_scheduler_as(&[NAME]).await?;
    let expected = lead(&cluster.client()).await?;

    let demo = Demo::start().await?;
    make_nodes(&demo.client).await?;
    let found = lead(&demo.client).await?;
    assert_eq!(found, expected);
    assert!(expected.iter().any(|(_, told)| told.is_err()));
    Ok(())
}

/// No two nodes alike, so that no two have equal scores.
async fn make_nodes(client: &Client) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    for node in [
        node("small").label("zone", "a"),
        node("middle")
            .capacity("cpu", "7")
            .capacity("memory", "36Gi"),
        node("large")
            .capacity("cpu", "17")
            .capacity("memory", "90Gi"),
        node("gpu")
            .capacity("nvidia.com/gpu", "2")
            .taint("gpu", "yes", "NoSchedule"),
        node("closed").unschedulable(),
    ] {
        nodes.create(&PostParams::default(), &node.build()?).await?;
    }
    Ok(())
}

fn scenario() -> Vec<PodBuilder> {
    let mut pods: Vec<_> = (0..6)
        .map(|index| {
            pod(&format!("plain-{index}"))
                .request("cpu", "2")
                .request("memory", "9Gi")
        })
        .collect();
    pods.extend([
        pod("zone").request("cpu", "500m").selector("zone", "a"),
        pod("nowhere").selector("zone", "z"),
        pod("huge").request("cpu", "64"),
        pod("gpus").request("nvidia.com/gpu", "1"),
        pod("gated").gate("quota"),
        pod("late").request("cpu", "5"),
    ]);
    pods
}

/// Creates the pods one after the other, each when the one before has its answer.
async fn lead(client: &Client) -> Result<Vec<Told>> {
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let mut told = Vec::new();
    for pod in scenario() {
        let pod = pods
            .create(&PostParams::default(), &pod.scheduler(NAME).build()?)
            .await?;
        let name = pod.metadata.name.unwrap_or_default();
        let start = Instant::now();
        let answer = loop {
            let pod = pods.get(&name).await?;
            let condition = scheduled_condition(&pod).filter(|one| one.status == "False");
            if let Some(node) = node_of(&pod) {
                break Ok(node.to_owned());
            }
            if let Some(message) = condition.and_then(|condition| condition.message.clone()) {
                break Err(message);
            }
            if start.elapsed() > LIMIT {
                bail!("pod {name} has no answer");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        told.push((name, answer));
    }
    Ok(told)
}
