//! What Berth does not know yet is refused by name, and never placed as if it had not been asked for.

use anyhow::Result;
use e2e::harness::{Cluster, scheduled_condition};
use e2e::objects::{PodBuilder, node, pod};
use serde_json::json;

/// Checks that the pod is refused with a text that contains one of these words.
async fn check_refused(pod: PodBuilder, words: &[&str]) -> Result<()> {
    let mut cluster = Cluster::new().await?;
    let labelled = |name| node(name).label("topology.kubernetes.io/zone", "a");
    cluster
        .create_nodes([labelled("n1"), labelled("n2")])
        .await?;
    cluster.start_scheduler().await?;
    cluster.pod(pod.named("asking").label("app", "x")).await?;
    let condition = cluster.wait_unschedulable("asking").await?;
    let message = condition.message.unwrap_or_default();
    let lower = message.to_lowercase();
    assert!(
        words.iter().any(|word| lower.contains(word)),
        "none of {words:?} is in {message:?}"
    );
    let event = cluster.wait_event("asking", "FailedScheduling").await?;
    assert_eq!(event.note.as_deref(), Some(message.as_str()));
    // Others are placed, and a change in the cluster does not make the request understood.
    cluster.node(labelled("n3")).await?;
    cluster.pod(e2e::objects::pod("plain")).await?;
    cluster.wait_bound("plain").await?;
    let refused = cluster.pods().get("asking").await?;
    assert_eq!(scheduled_condition(&refused).unwrap().status, "False");
    Ok(())
}

#[tokio::test]
async fn berth_refuses_resource_claims() -> Result<()> {
    let claims = json!([{"name": "gpu", "resourceClaimName": "gpu"}]);
    check_refused(
        pod("p").spec("resourceClaims", claims),
        &["resource claim", "resourceclaim"],
    )
    .await
}
