//! Whose pods take room on a node, and until when.

use anyhow::Result;
use e2e::harness::Cluster;
use e2e::objects::{node, pod};

const NO_ROOM: &str = "0/1 nodes are available: 1 Insufficient cpu. \
                       preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";

#[tokio::test]
async fn pods_bound_by_another_scheduler_count() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.node(node("n1")).await?;
    cluster.start_scheduler().await?;
    // Bound while the scheduler runs, not found at its start. The next pod shows that the news has arrived.
    cluster
        .pod_on(pod("theirs").request("cpu", "3500m"), "n1")
        .await?;
    cluster.pod(pod("ours").request("cpu", "1")).await?;
    cluster.wait_message("ours", NO_ROOM).await?;
    cluster.delete_pod("theirs").await?;
    assert_eq!(cluster.wait_bound("ours").await?, "n1");
    Ok(())
}

#[tokio::test]
async fn finished_pods_free_their_room() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.node(node("n1")).await?;
    cluster
        .pod_on(pod("before").request("cpu", "4"), "n1")
        .await?;
    cluster.finish_pod("before").await?;
    cluster.start_scheduler().await?;
    cluster.pod(pod("first").request("cpu", "3")).await?;
    cluster.wait_bound("first").await?;
    cluster.pod(pod("second").request("cpu", "3")).await?;
    cluster.wait_message("second", NO_ROOM).await?;
    cluster.finish_pod("first").await?;
    assert_eq!(cluster.wait_bound("second").await?, "n1");
    Ok(())
}

/// A pod that is being deleted still runs, and takes its room until it is gone.
#[tokio::test]
async fn terminating_pods_count() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.node(node("n1")).await?;
    cluster
        .pod_on(pod("leaving").request("cpu", "3"), "n1")
        .await?;
    cluster
        .pods()
        .delete("leaving", &kube::api::DeleteParams::default())
        .await?;
    cluster.start_scheduler().await?;
    cluster.pod(pod("p").request("cpu", "2")).await?;
    cluster.wait_message("p", NO_ROOM).await?;
    cluster.delete_pod("leaving").await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    Ok(())
}

#[tokio::test]
async fn a_node_comes_back_with_another_capacity() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.node(node("n1")).await?;
    cluster.start_scheduler().await?;
    cluster.pod(pod("first").request("cpu", "3")).await?;
    cluster.wait_bound("first").await?;
    cluster.pod(pod("second").request("cpu", "7")).await?;
    cluster
        .wait_message(
            "second",
            "0/1 nodes are available: 1 Insufficient cpu. \
             preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
        )
        .await?;
    cluster.delete_node("n1").await?;
    cluster.node(node("n1").capacity("cpu", "10")).await?;
    // The first pod still counts on the node of the same name: 3 and 7 fill it.
    assert_eq!(cluster.wait_bound("second").await?, "n1");
    cluster.pod(pod("third").request("cpu", "1")).await?;
    cluster.wait_message("third", NO_ROOM).await?;
    Ok(())
}

/// A pod that is bound by someone else while it waits is nobody's business any more.
#[tokio::test]
async fn a_waiting_pod_that_someone_else_binds() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster
        .create_nodes([node("n1").label("zone", "a"), node("n2")])
        .await?;
    cluster.start_scheduler().await?;
    cluster
        .pod(pod("p").selector("zone", "b").request("cpu", "3"))
        .await?;
    cluster.wait_unschedulable("p").await?;
    cluster.bind_as_other_scheduler("p", "n1").await?;
    cluster
        .pod(pod("q").selector("zone", "a").request("cpu", "2"))
        .await?;
    cluster
        .wait_message(
            "q",
            "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector. \
             preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, \
             1 Preemption is not helpful for scheduling.",
        )
        .await?;
    Ok(())
}

/// The overhead of a runtime class is part of what a pod asks for.
#[tokio::test]
async fn pod_overhead_counts() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.node(node("n1")).await?;
    let class = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "microvm"}, "handler": "microvm", "overhead": {"podFixed": {"cpu": "500m"}},
    }))?;
    let classes: kube::Api<k8s_openapi::api::node::v1::RuntimeClass> =
        kube::Api::all(cluster.client());
    classes
        .create(&kube::api::PostParams::default(), &class)
        .await?;
    cluster
        .pod_on(pod("filler").request("cpu", "2"), "n1")
        .await?;
    cluster.start_scheduler().await?;
    let runtime = serde_json::json!("microvm");
    cluster
        .pod(
            pod("p")
                .request("cpu", "1600m")
                .spec("runtimeClassName", runtime.clone()),
        )
        .await?;
    cluster.wait_message("p", NO_ROOM).await?;
    cluster
        .pod(
            pod("q")
                .request("cpu", "1500m")
                .spec("runtimeClassName", runtime),
        )
        .await?;
    assert_eq!(cluster.wait_bound("q").await?, "n1");
    Ok(())
}
