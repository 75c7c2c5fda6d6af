//! Events and conditions as the API server has stored them.

use anyhow::Result;
use e2e::harness::{Cluster, NAME, metric, scheduled_condition};
use e2e::objects::{node, pod};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use serde_json::json;

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

/// The condition of a pod that was refused and then placed tells nothing of the refusal any more.
#[tokio::test]
async fn a_pod_refused_and_then_placed() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.node(node("n1").capacity("cpu", "1")).await?;
    cluster.start_scheduler().await?;
    cluster.pod(pod("p").request("cpu", "2")).await?;
    let before = cluster.wait_unschedulable("p").await?;
    cluster.node(node("n2").capacity("cpu", "2")).await?;
    cluster.wait_bound("p").await?;
    cluster.wait_event("p", "Scheduled").await?;
    let bound = cluster.pods().get("p").await?;
    let after = scheduled_condition(&bound).unwrap();
    assert_eq!(after.status, "True");
    assert_eq!(after.reason, None);
    assert_eq!(after.message, None);
    assert!(after.last_transition_time >= before.last_transition_time);
    Ok(())
}

const ONE: &str = "0/1 nodes are available: 1 Insufficient cpu. \
                   preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";

/// A cluster whose only node is full, with a refused pod `p` and pods `small-0`, `small-1`, ... whose deletion wakes it
/// in vain.
async fn refused_again_and_again() -> Result<Cluster> {
    let mut cluster = Cluster::new().await?;
    cluster.node(node("n1")).await?;
    cluster
        .pod_on(pod("filler").request("cpu", "3"), "n1")
        .await?;
    for i in 0..3 {
        let small = pod(&format!("small-{i}")).request("cpu", "100m");
        cluster.pod_on(small, "n1").await?;
    }
    cluster.start_scheduler().await?;
    cluster.pod(pod("p").request("cpu", "2")).await?;
    cluster.wait_message("p", ONE).await?;
    Ok(cluster)
}

/// Wakes `p` and waits until it is refused once more, for the `count`th time.
async fn refuse_again(cluster: &mut Cluster, count: u32) -> Result<()> {
    cluster.delete_pod(&format!("small-{}", count - 2)).await?;
    let labels = ["result=\"unschedulable\"", "profile=\"e2e\""];
    let mut metrics = String::new();
    let start = std::time::Instant::now();
    while start.elapsed() < e2e::harness::LIMIT {
        metrics = cluster.scheduler()?.metrics().await?;
        let attempts = metric(&metrics, "scheduler_schedule_attempts_total", &labels);
        if attempts == Some(f64::from(count)) {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("there was no refusal number {count}:\n{metrics}")
}

/// An event names the version of its pod, so that a refusal after the pod has changed is told by an event of its own.
#[tokio::test]
async fn a_refusal_that_changes() -> Result<()> {
    let cluster = refused_again_and_again().await?;
    let first = cluster.wait_event("p", "FailedScheduling").await?;
    cluster.node(node("n2").capacity("cpu", "1")).await?;
    cluster.wait_cached_nodes(2).await?;
    cluster.delete_pod("small-0").await?;
    let two = "0/2 nodes are available: 2 Insufficient cpu. \
               preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, \
               1 Preemption is not helpful for scheduling.";
    cluster.wait_message("p", two).await?;
    let second = cluster
        .eventually("second event", async || {
            Ok(cluster.events("p").await?.into_iter().nth(1))
        })
        .await?;
    assert_eq!(first.note.as_deref(), Some(ONE));
    assert_eq!(second.note.as_deref(), Some(two));
    assert_ne!(first.metadata.name, second.metadata.name);
    assert_eq!(first.series, None);
    assert_eq!(second.series, None);
    Ok(())
}

/// A refusal with the same text leaves the pod as it is. The next event therefore equals the one before, and becomes a
/// series with it instead of an object of its own.
#[tokio::test]
async fn a_refusal_that_repeats() -> Result<()> {
    let mut cluster = refused_again_and_again().await?;
    let condition = cluster.wait_unschedulable("p").await?;
    let version = cluster.pods().get("p").await?.metadata.resource_version;
    for count in 2..=4 {
        refuse_again(&mut cluster, count).await?;
    }
    let series = cluster
        .eventually("series of events", async || {
            let events = cluster.events("p").await?;
            Ok(events.into_iter().find(|event| event.series.is_some()))
        })
        .await?;
    assert_eq!(series.series.unwrap().count, 2);
    assert_eq!(series.note.as_deref(), Some(ONE));
    assert_eq!(cluster.events("p").await?.len(), 2);
    let pod = cluster.pods().get("p").await?;
    assert_eq!(pod.metadata.resource_version, version);
    assert_eq!(scheduled_condition(&pod), Some(&condition));
    Ok(())
}

/// The note of an event has room for 1024 bytes; the condition has the whole text.
#[tokio::test]
async fn a_text_that_is_too_long_for_an_event() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.node(node("n1")).await?;
    cluster.start_scheduler().await?;
    let mut asking = pod("p");
    for i in 0..30 {
        asking = asking.request(&format!("vendor.example/some-device-{i:02}"), "1");
    }
    cluster.pod(asking).await?;
    let condition = cluster.wait_unschedulable("p").await?;
    let message = condition.message.unwrap_or_default();
    let reasons: Vec<String> = (0..30)
        .map(|i| format!("1 Insufficient vendor.example/some-device-{i:02}"))
        .collect();
    let expected = format!(
        "0/1 nodes are available: {}. \
         preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
        reasons.join(", ")
    );
    assert_eq!(message, expected);
    let event = cluster.wait_event("p", "FailedScheduling").await?;
    assert_eq!(event.note, Some(format!("{} ...", &expected[..1020])));
    Ok(())
}

/// A pod that is being deleted is not placed any more, and an event says so.
#[tokio::test]
async fn a_pod_that_is_being_deleted() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.node(node("n1")).await?;
    cluster.start_scheduler().await?;
    let held = pod("p").metadata("finalizers", json!(["e2e.example/hold"]));
    cluster.pod(held.gate("quota")).await?;
    cluster
        .pods()
        .delete("p", &kube::api::DeleteParams::default())
        .await?;
    cluster
        .patch_pod("p", json!({"spec": {"schedulingGates": []}}))
        .await?;
    let event = cluster.wait_event("p", "FailedScheduling").await?;
    assert_eq!(
        event.note.as_deref(),
        Some("skip schedule deleting pod: default/p")
    );
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    assert_eq!(event.action.as_deref(), Some("Scheduling"));
    cluster.pod(pod("other")).await?;
    cluster.wait_bound("other").await?;
    let pod = cluster.pods().get("p").await?;
    assert_eq!(e2e::harness::node_of(&pod), None);
    cluster
        .patch_pod("p", json!({"metadata": {"finalizers": null}}))
        .await?;
    Ok(())
}
