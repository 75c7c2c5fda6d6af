//! Events and conditions as the API server has stored them.

use anyhow::Result;
use e2e::harness::{Cluster, NAME, scheduled_condition};
use e2e::objects::{node, pod};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;

/// What all events about a pod have in common.
fn check_event(event: &Event, pod: &Pod) {
    let name = pod.metadata.name.clone().unwrap();
    let regarding = event.regarding.clone().unwrap();
    assert_eq!(regarding.kind.as_deref(), Some("Pod"));
    assert_eq!(regarding.api_version.as_deref(), Some("v1"));
    assert_eq!(regarding.namespace.as_deref(), Some("default"));
    assert_eq!(regarding.name.as_ref(), Some(&name));
    assert_eq!(regarding.uid, pod.metadata.uid);
    assert!(regarding.resource_version.is_some(), "{regarding:?}");
    assert_eq!(regarding.field_path, None);
    assert_eq!(event.related, None);
    assert_eq!(event.reporting_controller.as_deref(), Some(NAME));
    let instance = event.reporting_instance.as_deref().unwrap();
    assert!(
        instance.len() > NAME.len() + 1 && instance.starts_with(&format!("{NAME}-")),
        "{instance}"
    );
    let event_name = event.metadata.name.as_deref().unwrap();
    let suffix = event_name.strip_prefix(&format!("{name}.")).unwrap();
    assert!(
        suffix.len() >= 16 && suffix.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{event_name}"
    );
    assert_eq!(event.metadata.namespace.as_deref(), Some("default"));
    assert!(event.event_time.is_some());
    assert_eq!(event.series, None);
    assert_eq!(event.deprecated_count, None);
    assert_eq!(
        event.deprecated_source.clone().unwrap_or_default(),
        Default::default()
    );
}

#[tokio::test]
async fn a_scheduled_pod() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.node(node("n1")).await?;
    cluster.start_scheduler().await?;
    let created = cluster.pod(pod("p")).await?;
    cluster.wait_bound("p").await?;
    let event = cluster.wait_event("p", "Scheduled").await?;
    check_event(&event, &created);
    assert_eq!(event.type_.as_deref(), Some("Normal"));
    assert_eq!(event.action.as_deref(), Some("Binding"));
    assert_eq!(
        event.note.as_deref(),
        Some("Successfully assigned default/p to n1")
    );
    assert_eq!(cluster.events("p").await?.len(), 1);
    let bound = cluster.pods().get("p").await?;
    let condition = scheduled_condition(&bound).unwrap();
    assert_eq!(condition.status, "True");
    assert_eq!(condition.reason, None);
    assert_eq!(condition.message, None);
    assert_eq!(bound.status.unwrap().nominated_node_name, None);
    Ok(())
}

#[tokio::test]
async fn a_refused_pod() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.node(node("n1")).await?;
    cluster.start_scheduler().await?;
    let created = cluster.pod(pod("p").selector("disk", "ssd")).await?;
    let text = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. \
                preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    let condition = cluster.wait_message("p", text).await?;
    assert_eq!(condition.status, "False");
    assert_eq!(condition.reason.as_deref(), Some("Unschedulable"));
    assert_eq!(condition.observed_generation, created.metadata.generation);
    assert_eq!(condition.observed_generation, Some(1));
    assert!(condition.last_transition_time.is_some());
    assert_eq!(condition.last_probe_time, None);
    let event = cluster.wait_event("p", "FailedScheduling").await?;
    check_event(&event, &created);
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    assert_eq!(event.action.as_deref(), Some("Scheduling"));
    assert_eq!(event.note.as_deref(), Some(text));
    let pod = cluster.pods().get("p").await?;
    let status = pod.status.unwrap();
    assert_eq!(status.phase.as_deref(), Some("Pending"));
    assert_eq!(status.nominated_node_name, None);
    Ok(())
}

/// A second refusal changes the condition at once, but the event only becomes a series with the first note.
#[tokio::test]
async fn a_pod_refused_twice() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.node(node("n1").capacity("cpu", "1")).await?;
    cluster.start_scheduler().await?;
    cluster.pod(pod("p").request("cpu", "2")).await?;
    let first = "0/1 nodes are available: 1 Insufficient cpu. \
                 preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    let before = cluster.wait_message("p", first).await?;
    // A node that is large enough but tainted wakes the pod, which is then refused for another reason.
    let tainted = node("n2").capacity("cpu", "2");
    cluster.node(tainted).await?;
    cluster.wait_bound("p").await?;
    cluster.wait_event("p", "Scheduled").await?;
    let bound = cluster.pods().get("p").await?;
    let after = scheduled_condition(&bound).unwrap();
    assert_eq!(after.status, "True");
    assert_eq!(after.message, None);
    assert!(after.last_transition_time >= before.last_transition_time);
    Ok(())
}

#[tokio::test]
async fn a_refusal_that_changes() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.node(node("n1").capacity("cpu", "3")).await?;
    cluster
        .pod_on(pod("filler").request("cpu", "2"), "n1")
        .await?;
    cluster.start_scheduler().await?;
    cluster.pod(pod("p").request("cpu", "2")).await?;
    let one = "0/1 nodes are available: 1 Insufficient cpu. \
               preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";
    cluster.wait_message("p", one).await?;
    let event = cluster.wait_event("p", "FailedScheduling").await?;
    // A pod that goes away wakes it; it is refused again as the room is taken by the other one.
    cluster.node(node("n2").capacity("cpu", "1")).await?;
    cluster.wait_cached_nodes(2).await?;
    cluster
        .pod_on(pod("small").request("cpu", "1"), "n1")
        .await?;
    cluster.delete_pod("small").await?;
    let two = "0/2 nodes are available: 2 Insufficient cpu. \
               preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, \
               1 Preemption is not helpful for scheduling.";
    cluster.wait_message("p", two).await?;
    let series = cluster
        .eventually("series of two events", async || {
            let events = cluster.events("p").await?;
            assert_eq!(events.len(), 1, "{events:?}");
            Ok(events.into_iter().find(|event| event.series.is_some()))
        })
        .await?;
    assert_eq!(series.metadata.name, event.metadata.name);
    assert_eq!(series.note.as_deref(), Some(one));
    assert_eq!(series.series.unwrap().count, 2);
    Ok(())
}
