//! Nothing is lost when the scheduler or the API server goes away.

use std::collections::BTreeMap;

use anyhow::Result;
use e2e::controlplane::get;
use e2e::harness::{Cluster, LIMIT, node_of};
use e2e::objects::{node, pod};
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::ListParams;

const NODES: usize = 10;
const PODS: usize = 500;

/// Nodes that exactly this many pods of 100m fill.
async fn nodes_for(cluster: &Cluster, pods: usize) -> Result<()> {
    let cpu = format!("{}m", pods / NODES * 100);
    cluster
        .create_nodes((0..NODES).map(|i| node(&format!("n{i}")).capacity("cpu", &cpu)))
        .await
}

/// Makes pods, many at a time.
async fn make_pods(cluster: &Cluster, range: std::ops::Range<usize>) -> Result<()> {
    stream::iter(range)
        .map(async |i| {
            let one = pod(&format!("p{i}"))
                .label("app", "batch")
                .request("cpu", "100m");
            cluster.pod(one).await
        })
        .buffer_unordered(16)
        .try_for_each(async |_| Ok(()))
        .await
}

async fn count_bound(cluster: &Cluster) -> Result<usize> {
    let pods = cluster.pods().list(&ListParams::default()).await?;
    Ok(pods.iter().filter(|pod| node_of(pod).is_some()).count())
}

/// Waits until some, but not all, pods are bound.
async fn wait_midway(cluster: &Cluster, at_least: usize) -> Result<()> {
    cluster
        .eventually(&format!("{at_least} bound pods"), async || {
            Ok((count_bound(cluster).await? >= at_least).then_some(()))
        })
        .await
}

/// All pods are bound and no node has more of them than fit.
async fn check_all_placed(cluster: &Cluster) -> Result<()> {
    let pods = cluster.wait_all_bound("app=batch", PODS).await?;
    let mut counts = BTreeMap::<&str, usize>::new();
    for pod in &pods {
        *counts.entry(node_of(pod).unwrap()).or_default() += 1;
    }
    assert!(
        counts.len() == NODES && counts.values().all(|count| *count == PODS / NODES),
        "{counts:?}"
    );
    Ok(())
}

#[tokio::test]
async fn nothing_is_lost_when_the_scheduler_is_killed() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    nodes_for(&cluster, PODS).await?;
    cluster.start_scheduler().await?;
    make_pods(&cluster, 0..300).await?;
    wait_midway(&cluster, 50).await?;
    cluster.scheduler()?.kill();
    make_pods(&cluster, 300..PODS).await?;
    cluster.start_scheduler().await?;
    check_all_placed(&cluster).await
}

#[tokio::test]
async fn nothing_is_lost_when_the_scheduler_is_told_to_end() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    nodes_for(&cluster, PODS).await?;
    cluster.start_scheduler().await?;
    make_pods(&cluster, 0..300).await?;
    wait_midway(&cluster, 50).await?;
    cluster.scheduler()?.terminate().await?;
    make_pods(&cluster, 300..PODS).await?;
    cluster.start_scheduler().await?;
    check_all_placed(&cluster).await
}

/// Three crashes while pods keep coming.
#[tokio::test]
async fn nothing_is_lost_over_repeated_crashes() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    nodes_for(&cluster, PODS).await?;
    for round in 0..4 {
        cluster.start_scheduler().await?;
        let first = round * PODS / 4;
        make_pods(&cluster, first..first + PODS / 4).await?;
        wait_midway(&cluster, first + 20).await?;
        if round < 3 {
            cluster.scheduler()?.kill();
        }
    }
    check_all_placed(&cluster).await
}

#[tokio::test]
async fn the_api_server_restarts() -> Result<()> {
    let mut cluster = Cluster::for_disruption().await?;
    nodes_for(&cluster, PODS).await?;
    cluster.start_scheduler().await?;
    make_pods(&cluster, 0..300).await?;
    wait_midway(&cluster, 50).await?;
    cluster.control_plane_mut().stop_apiserver();
    cluster.control_plane_mut().start_apiserver().await?;
    make_pods(&cluster, 300..PODS).await?;
    check_all_placed(&cluster).await
}

/// The scheduler is halted, misses changes of every kind, and the API server has forgotten them too: what the scheduler
/// knows by then has to be listed anew, and whatever the list lacks is gone.
#[tokio::test]
async fn a_relist_after_410() -> Result<()> {
    let mut cluster = Cluster::for_disruption().await?;
    cluster
        .create_nodes([node("n1"), node("n2").capacity("cpu", "8"), node("n3")])
        .await?;
    for (name, node) in [("on-n1", "n1"), ("on-n2", "n2"), ("on-n3", "n3")] {
        cluster.pod_on(pod(name).request("cpu", "4"), node).await?;
    }
    cluster.start_scheduler().await?;
    cluster.pod(pod("waiting").request("cpu", "6")).await?;
    cluster.pod(pod("leaving").request("cpu", "9")).await?;
    cluster.wait_unschedulable("waiting").await?;
    cluster.wait_unschedulable("leaving").await?;
    let version = cluster
        .pods()
        .list(&ListParams::default())
        .await?
        .metadata
        .resource_version
        .unwrap_or_default();

    cluster.scheduler()?.pause()?;
    cluster.delete_pod("on-n1").await?;
    cluster.delete_pod("leaving").await?;
    cluster.delete_node("n3").await?;
    cluster.delete_pod("on-n3").await?;
    cluster.node(node("n4").capacity("cpu", "2")).await?;
    cluster
        .patch_node_status("n1", serde_json::json!({"allocatable": {"cpu": "5"}}))
        .await?;
    cluster.pod(pod("late").request("cpu", "5")).await?;
    cluster.control_plane_mut().restart_apiserver().await?;
    // The oldest change that the API server can still tell is newer than what the scheduler has seen.
    let path = format!("/api/v1/pods?watch=1&timeoutSeconds=1&resourceVersion={version}");
    let answer = get(&cluster.client(), &path).await;
    let text = answer.unwrap_or_else(|error| format!("{error:#}"));
    assert!(text.contains("410") || text.contains("Expired"), "{text}");
    cluster.scheduler()?.resume()?;

    assert_eq!(cluster.wait_bound("late").await?, "n1");
    cluster
        .wait_message(
            "waiting",
            "0/3 nodes are available: 3 Insufficient cpu. \
             preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, \
             2 Preemption is not helpful for scheduling.",
        )
        .await?;
    cluster.delete_pod("on-n2").await?;
    assert_eq!(cluster.wait_bound("waiting").await?, "n2");
    Ok(())
}

/// A scheduler whose API server is gone for longer than a request takes goes on as soon as it is back.
#[tokio::test]
async fn a_long_outage() -> Result<()> {
    let mut cluster = Cluster::for_disruption().await?;
    cluster.node(node("n1")).await?;
    cluster.start_scheduler().await?;
    cluster.pod(pod("before").request("cpu", "3")).await?;
    cluster.wait_bound("before").await?;
    cluster.control_plane_mut().stop_apiserver();
    // Long enough for several failed attempts to connect; nothing can be waited for in the meantime.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(cluster.scheduler()?.process().try_wait()?, None);
    let start = std::time::Instant::now();
    cluster.control_plane_mut().start_apiserver().await?;
    cluster.pod(pod("after").request("cpu", "500m")).await?;
    assert_eq!(cluster.wait_bound("after").await?, "n1");
    assert!(start.elapsed() < 2 * LIMIT);
    Ok(())
}
