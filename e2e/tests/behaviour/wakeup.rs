//! What brings a refused pod back: each of these long before the five minutes after which everything is tried again.

use anyhow::Result;
use e2e::harness::Cluster;
use e2e::objects::{NodeBuilder, PodBuilder, node, pod};
use serde_json::json;

/// A cluster with these nodes and a pod `p` that was refused.
async fn refused(
    nodes: impl IntoIterator<Item = NodeBuilder>,
    others: impl IntoIterator<Item = (PodBuilder, &'static str)>,
    pod: PodBuilder,
) -> Result<Cluster> {
    let mut cluster = Cluster::new().await?;
    cluster.create_nodes(nodes).await?;
    for (other, node) in others {
        cluster.pod_on(other, node).await?;
    }
    cluster.start_scheduler().await?;
    cluster.pod(pod).await?;
    cluster.wait_unschedulable("p").await?;
    Ok(cluster)
}

#[tokio::test]
async fn by_the_first_node() -> Result<()> {
    let cluster = refused([], [], pod("p")).await?;
    cluster.node(node("n1")).await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    Ok(())
}

#[tokio::test]
async fn by_a_new_node() -> Result<()> {
    let cluster = refused([node("n1")], [], pod("p").request("nvidia.com/gpu", "1")).await?;
    cluster
        .node(node("n2").capacity("nvidia.com/gpu", "8"))
        .await?;
    assert_eq!(cluster.wait_bound("p").await?, "n2");
    Ok(())
}

#[tokio::test]
async fn by_the_deletion_of_a_pod() -> Result<()> {
    let other = pod("other").request("cpu", "3");
    let cluster = refused([node("n1")], [(other, "n1")], pod("p").request("cpu", "2")).await?;
    cluster.delete_pod("other").await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    Ok(())
}

#[tokio::test]
async fn by_the_deletion_of_a_pod_with_its_port() -> Result<()> {
    let other = pod("other").host_port(9000, "TCP");
    let asking = pod("p").host_port(9000, "TCP");
    let cluster = refused([node("n1")], [(other, "n1")], asking).await?;
    cluster.delete_pod("other").await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    Ok(())
}

#[tokio::test]
async fn by_the_end_of_a_pod() -> Result<()> {
    let other = pod("other").request("cpu", "3");
    let cluster = refused([node("n1")], [(other, "n1")], pod("p").request("cpu", "2")).await?;
    cluster.finish_pod("other").await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    Ok(())
}

#[tokio::test]
async fn by_a_removed_taint() -> Result<()> {
    let cluster = refused([node("n1").taint("gpu", "yes", "NoSchedule")], [], pod("p")).await?;
    cluster
        .patch_node("n1", json!({"spec": {"taints": null}}))
        .await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    Ok(())
}

#[tokio::test]
async fn by_a_changed_label() -> Result<()> {
    let nodes = [node("n1"), node("n2").label("disk", "hdd")];
    let cluster = refused(nodes, [], pod("p").selector("disk", "ssd")).await?;
    cluster
        .patch_node("n2", json!({"metadata": {"labels": {"disk": "ssd"}}}))
        .await?;
    assert_eq!(cluster.wait_bound("p").await?, "n2");
    Ok(())
}

#[tokio::test]
async fn by_uncordoning() -> Result<()> {
    let cluster = refused([node("n1").unschedulable()], [], pod("p")).await?;
    cluster
        .patch_node("n1", json!({"spec": {"unschedulable": null}}))
        .await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    Ok(())
}

#[tokio::test]
async fn by_more_allocatable() -> Result<()> {
    let cluster = refused([node("n1")], [], pod("p").request("cpu", "6")).await?;
    cluster
        .patch_node_status(
            "n1",
            json!({"allocatable": {"cpu": "8"}, "capacity": {"cpu": "8"}}),
        )
        .await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    Ok(())
}

#[tokio::test]
async fn by_a_device_plugin_that_reports_late() -> Result<()> {
    let cluster = refused([node("n1")], [], pod("p").request("nvidia.com/gpu", "4")).await?;
    let gpus = json!({"allocatable": {"nvidia.com/gpu": "8"}, "capacity": {"nvidia.com/gpu": "8"}});
    cluster.patch_node_status("n1", gpus).await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    Ok(())
}

#[tokio::test]
async fn by_its_own_new_toleration() -> Result<()> {
    let cluster = refused([node("n1").taint("gpu", "yes", "NoSchedule")], [], pod("p")).await?;
    let pod = cluster.pods().get("p").await?;
    let mut tolerations = serde_json::to_value(pod.spec.unwrap().tolerations.unwrap())?;
    tolerations
        .as_array_mut()
        .unwrap()
        .push(json!({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}));
    cluster
        .patch_pod("p", json!({"spec": {"tolerations": tolerations}}))
        .await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    Ok(())
}

/// One change is needed after another; a scheduler that forgets the second reason would leave the pod behind.
#[tokio::test]
async fn by_two_changes_in_a_row() -> Result<()> {
    let only = node("n1")
        .taint("gpu", "yes", "NoSchedule")
        .capacity("cpu", "1");
    let cluster = refused([only], [], pod("p").request("cpu", "2")).await?;
    cluster
        .patch_node("n1", json!({"spec": {"taints": null}}))
        .await?;
    cluster
        .wait_message(
            "p",
            "0/1 nodes are available: 1 Insufficient cpu. \
             preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
        )
        .await?;
    cluster
        .patch_node_status("n1", json!({"allocatable": {"cpu": "2"}}))
        .await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    Ok(())
}
