//! Scheduling gates: a pod is left alone until the last one is gone.

use anyhow::Result;
use e2e::harness::{Cluster, scheduled_condition};
use e2e::objects::{node, pod};
use serde_json::json;

#[tokio::test]
async fn a_gated_pod_is_left_alone_and_then_placed() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.node(node("n1")).await?;
    cluster.start_scheduler().await?;
    cluster
        .pod(pod("gated").gate("quota").gate("image"))
        .await?;
    cluster.pod(pod("free")).await?;
    cluster.wait_bound("free").await?;
    cluster.check_untouched("gated").await?;
    let gated = cluster.pods().get("gated").await?;
    let condition = scheduled_condition(&gated).unwrap();
    assert_eq!(condition.reason.as_deref(), Some("SchedulingGated"));
    assert_eq!(
        condition.message.as_deref(),
        Some("Scheduling is blocked due to non-empty scheduling gates")
    );

    let one_left = json!({"spec": {"schedulingGates": [{"name": "image"}]}});
    cluster.patch_pod("gated", one_left).await?;
    cluster.pod(pod("free-too")).await?;
    cluster.wait_bound("free-too").await?;
    cluster.check_untouched("gated").await?;

    cluster
        .patch_pod("gated", json!({"spec": {"schedulingGates": []}}))
        .await?;
    assert_eq!(cluster.wait_bound("gated").await?, "n1");
    let event = cluster.wait_event("gated", "Scheduled").await?;
    assert_eq!(
        event.note.as_deref(),
        Some("Successfully assigned default/gated to n1")
    );
    Ok(())
}

/// A selector may be narrowed while a pod is gated; what counts is what it says when the gate falls.
#[tokio::test]
async fn a_gated_pod_may_change_what_it_wants() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster
        .create_nodes([
            node("n1").label("disk", "hdd"),
            node("n2").label("disk", "ssd"),
        ])
        .await?;
    cluster
        .pod_on(pod("filler").request("cpu", "3"), "n2")
        .await?;
    cluster.start_scheduler().await?;
    cluster.pod(pod("gated").gate("quota")).await?;
    cluster
        .patch_pod("gated", json!({"spec": {"nodeSelector": {"disk": "ssd"}}}))
        .await?;
    cluster
        .patch_pod("gated", json!({"spec": {"schedulingGates": []}}))
        .await?;
    assert_eq!(cluster.wait_bound("gated").await?, "n2");
    Ok(())
}
