//! What preemption says and does. Choosing victims well is tested where the code is; this is about what is stored.

use anyhow::Result;
use e2e::harness::{Cluster, scheduled_condition};
use e2e::objects::{PodBuilder, node, pod};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

const CLASSES: [(&str, i32); 3] = [("low", 10), ("middle", 100), ("high", 1000)];

/// A cluster of nodes with 4 cpu, with priority classes and without a scheduler.
async fn cluster(nodes: &[&str]) -> Result<Cluster> {
    let cluster = Cluster::new().await?;
    cluster
        .create_nodes(nodes.iter().map(|name| node(name)))
        .await?;
    for (name, value) in CLASSES {
        cluster.priority_class(name, value).await?;
    }
    Ok(cluster)
}

/// A pod that asks for cpu with a priority.
fn asking(name: &str, cpu: &str, class: &str) -> PodBuilder {
    pod(name).request("cpu", cpu).priority_class(class)
}

fn nomination(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.nominated_node_name.as_deref()
}

/// Makes a pod and waits until it is nominated to this node and the victims leave.
async fn preempt(cluster: &Cluster, pod: PodBuilder, node: &str, victims: &[&str]) -> Result<()> {
    let pod = cluster.pod(pod).await?;
    let is_nominated = |pod: &Pod| (nomination(pod) == Some(node)).then_some(());
    let name = pod.metadata.name.unwrap_or_default();
    cluster.wait_pod(&name, "nominated", is_nominated).await?;
    for victim in victims {
        wait_leaving(cluster, victim).await?;
    }
    Ok(())
}

async fn wait_leaving(cluster: &Cluster, pod: &str) -> Result<()> {
    let leaves = |pod: &Pod| pod.metadata.deletion_timestamp.as_ref().map(drop);
    cluster.wait_pod(pod, "leaving", leaves).await
}

/// Fails if a pod was evicted, or is not even there.
async fn check_stays(cluster: &Cluster, pod: &str) -> Result<()> {
    let found = cluster.pods().get(pod).await?;
    assert_eq!(found.metadata.deletion_timestamp, None, "{pod} leaves");
    let events = cluster.events(pod).await?;
    assert!(
        events
            .iter()
            .all(|event| event.reason.as_deref() != Some("Preempted")),
        "{pod}: {events:?}"
    );
    Ok(())
}

#[tokio::test]
async fn nodes_where_preemption_is_no_help_are_counted() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster
        .create_nodes([
            node("cordoned").unschedulable(),
            node("no-victims"),
            node("protected").label("x", "y"),
            node("too-small").capacity("cpu", "1"),
        ])
        .await?;
    cluster.priority_class("low", 10).await?;
    cluster.priority_class("high", 1000).await?;
    for (name, node) in [("a", "no-victims"), ("b", "protected")] {
        let filler = pod(name).request("cpu", "3").priority_class("high");
        cluster.pod_on(filler, node).await?;
    }
    let victim = pod("c").request("cpu", "500m").priority_class("low");
    cluster.pod_on(victim, "protected").await?;
    cluster.start_scheduler().await?;
    cluster
        .pod(pod("p").request("cpu", "2").priority_class("high"))
        .await?;
    cluster
        .wait_message(
            "p",
            "0/4 nodes are available: 1 node(s) were unschedulable, 3 Insufficient cpu. \
             preemption: 0/4 nodes are available: 1 Insufficient cpu, 1 No preemption victims found for incoming pod, \
             2 Preemption is not helpful for scheduling.",
        )
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_victim_makes_room() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.create_nodes([node("n1"), node("n2")]).await?;
    cluster.priority_class("low", 10).await?;
    cluster.priority_class("middle", 100).await?;
    cluster.priority_class("high", 1000).await?;
    let low = pod("low").request("cpu", "3").priority_class("low");
    cluster.pod_on(low, "n1").await?;
    let middle = pod("middle").request("cpu", "3").priority_class("middle");
    cluster.pod_on(middle, "n2").await?;
    cluster.start_scheduler().await?;
    let preemptor = cluster
        .pod(pod("p").request("cpu", "2").priority_class("high"))
        .await?;
    // The text and the nomination are visible while the victim ends; without a kubelet it stays until its grace is cut.
    let condition = cluster.wait_unschedulable("p").await?;
    assert_eq!(
        condition.message.as_deref(),
        Some(
            "0/2 nodes are available: 2 Insufficient cpu. \
             preemption: found a potential placement for pod on node n1, preempting 1 victims"
        )
    );
    cluster
        .wait_pod("p", "nominated", |pod| {
            let nominated = pod.status.as_ref()?.nominated_node_name.as_deref()?;
            (nominated == "n1").then_some(())
        })
        .await?;
    let disruption = cluster
        .wait_pod("low", "marked", |pod| {
            pod.metadata.deletion_timestamp.as_ref()?;
            let conditions = pod.status.as_ref()?.conditions.as_ref()?;
            conditions
                .iter()
                .find(|condition| condition.type_ == "DisruptionTarget")
                .cloned()
        })
        .await?;
    assert_eq!(disruption.status, "True");
    assert_eq!(disruption.reason.as_deref(), Some("PreemptionByScheduler"));
    assert_eq!(
        disruption.message.as_deref(),
        Some("e2e: preempting to accommodate a higher priority pod")
    );
    let event = cluster.wait_event("low", "Preempted").await?;
    assert_eq!(event.type_.as_deref(), Some("Normal"));
    assert_eq!(event.action.as_deref(), Some("Preempting"));
    let uid = preemptor.metadata.uid.unwrap();
    assert_eq!(
        event.note,
        Some(format!("Preempted by pod {uid} on node n1"))
    );

    cluster.delete_pod("low").await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    let pod = cluster.pods().get("p").await?;
    assert_eq!(scheduled_condition(&pod).unwrap().status, "True");
    assert_eq!(
        cluster
            .pods()
            .get("middle")
            .await?
            .metadata
            .deletion_timestamp,
        None
    );
    Ok(())
}

/// While the victim ends, the room is nobody else's.
#[tokio::test]
async fn the_room_is_for_the_pod_that_made_it() -> Result<()> {
    let mut cluster = cluster(&["n1"]).await?;
    cluster.pod_on(asking("low", "4", "low"), "n1").await?;
    cluster.start_scheduler().await?;
    // It waits for longer, and would fit.
    cluster.pod(asking("other", "4", "low")).await?;
    cluster.wait_unschedulable("other").await?;
    preempt(&cluster, asking("p", "4", "high"), "n1", &["low"]).await?;
    cluster.delete_pod("low").await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    cluster.delete_pod("p").await?;
    assert_eq!(cluster.wait_bound("other").await?, "n1");
    Ok(())
}

#[tokio::test]
async fn a_preemptor_that_goes_away_leaves_the_room_to_others() -> Result<()> {
    let mut cluster = cluster(&["n1"]).await?;
    cluster.pod_on(asking("low", "4", "low"), "n1").await?;
    cluster.start_scheduler().await?;
    preempt(&cluster, asking("p", "4", "high"), "n1", &["low"]).await?;
    cluster.pod(asking("other", "4", "low")).await?;
    cluster.wait_unschedulable("other").await?;
    cluster.delete_pod("p").await?;
    cluster.delete_pod("low").await?;
    assert_eq!(cluster.wait_bound("other").await?, "n1");
    Ok(())
}

const WAITING: &str = "0/2 nodes are available: 2 Insufficient cpu. \
                       preemption: not eligible due to a terminating pod on the nominated node.";

/// A full cluster of two nodes, where `p` has made `low` leave the first one. On the second one are `middle`, and
/// `small`, whose end brings `p` back into the queue.
async fn waiting_for_a_victim(low: PodBuilder) -> Result<Cluster> {
    let mut cluster = cluster(&["n1", "n2"]).await?;
    cluster.pod_on(low, "n1").await?;
    cluster
        .pod_on(asking("middle", "3", "middle"), "n2")
        .await?;
    cluster.pod_on(asking("small", "1", "high"), "n2").await?;
    cluster.start_scheduler().await?;
    preempt(&cluster, asking("p", "4", "high"), "n1", &["low"]).await?;
    Ok(cluster)
}

#[tokio::test]
async fn nobody_else_is_evicted_while_a_finalizer_keeps_the_victim() -> Result<()> {
    let low = asking("low", "4", "low").metadata("finalizers", json!(["example.com/keep"]));
    let cluster = waiting_for_a_victim(low).await?;
    cluster.delete_pod("low").await?;
    cluster.delete_pod("small").await?;
    cluster.wait_message("p", WAITING).await?;
    check_stays(&cluster, "middle").await?;
    let released = json!({"metadata": {"finalizers": null}});
    cluster.patch_pod("low", released).await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    check_stays(&cluster, "middle").await
}

/// A pod of low priority comes to the node by another way. It is evicted too, but not before the first victim is gone.
#[tokio::test]
async fn one_wave_of_victims_after_the_other() -> Result<()> {
    let cluster = waiting_for_a_victim(asking("low", "4", "low")).await?;
    cluster.pod(asking("rival", "1", "low").on("n1")).await?;
    cluster.delete_pod("small").await?;
    cluster.wait_message("p", WAITING).await?;
    check_stays(&cluster, "rival").await?;
    cluster.delete_pod("low").await?;
    wait_leaving(&cluster, "rival").await?;
    cluster.delete_pod("rival").await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    check_stays(&cluster, "middle").await
}

/// A pod whose node is of no use any more makes room elsewhere, though its victim still leaves. What it is told in between
/// is not always the same with kube-scheduler, which tries it again when its own nomination changes.
async fn goes_elsewhere(cluster: &Cluster) -> Result<()> {
    cluster.delete_pod("small").await?;
    wait_leaving(cluster, "middle").await?;
    let is_nominated = |pod: &Pod| (nomination(pod) == Some("n2")).then_some(());
    cluster.wait_pod("p", "nominated", is_nominated).await?;
    cluster.delete_pod("middle").await?;
    assert_eq!(cluster.wait_bound("p").await?, "n2");
    Ok(())
}

#[tokio::test]
async fn the_nominated_node_is_cordoned() -> Result<()> {
    let cluster = waiting_for_a_victim(asking("low", "4", "low")).await?;
    let cordon = json!({"spec": {"unschedulable": true}});
    cluster.patch_node("n1", cordon).await?;
    goes_elsewhere(&cluster).await
}

#[tokio::test]
async fn the_nominated_node_is_deleted() -> Result<()> {
    let cluster = waiting_for_a_victim(asking("low", "4", "low")).await?;
    cluster.delete_node("n1").await?;
    goes_elsewhere(&cluster).await
}

/// A pod that nobody may evict comes to the node by another way: the one that made room is nominated no more and waits.
#[tokio::test]
async fn a_competitor_takes_the_room() -> Result<()> {
    let mut cluster = cluster(&["n1"]).await?;
    cluster.pod_on(asking("low", "4", "low"), "n1").await?;
    cluster.start_scheduler().await?;
    preempt(&cluster, asking("p", "4", "high"), "n1", &["low"]).await?;
    cluster.pod(asking("rival", "1", "high").on("n1")).await?;
    cluster.delete_pod("low").await?;
    cluster
        .wait_message(
            "p",
            "0/1 nodes are available: 1 Insufficient cpu. \
             preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
        )
        .await?;
    let pod = cluster.pods().get("p").await?;
    assert_eq!(nomination(&pod), None);
    check_stays(&cluster, "rival").await?;
    cluster.delete_pod("rival").await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    Ok(())
}

/// A pod of higher priority needs the same room: it evicts nobody twice, and the first one waits again.
#[tokio::test]
async fn a_higher_one_takes_the_room() -> Result<()> {
    let mut cluster = cluster(&["n1"]).await?;
    cluster.pod_on(asking("low", "4", "low"), "n1").await?;
    cluster.start_scheduler().await?;
    preempt(&cluster, asking("first", "4", "middle"), "n1", &["low"]).await?;
    preempt(&cluster, asking("second", "4", "high"), "n1", &[]).await?;
    cluster.delete_pod("low").await?;
    assert_eq!(cluster.wait_bound("second").await?, "n1");
    cluster
        .wait_message(
            "first",
            "0/1 nodes are available: 1 Insufficient cpu. \
             preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
        )
        .await?;
    let first = cluster.pods().get("first").await?;
    assert_eq!(nomination(&first), None);
    check_stays(&cluster, "second").await?;
    let events = cluster.events("low").await?;
    let evictions = events
        .iter()
        .filter(|event| event.reason.as_deref() == Some("Preempted"));
    assert_eq!(evictions.count(), 1, "{events:?}");
    Ok(())
}

/// What a preemption has begun is written in the nomination, so that the next scheduler goes on with it.
#[tokio::test]
async fn a_restart_between_nomination_and_bind() -> Result<()> {
    let mut cluster = cluster(&["n1"]).await?;
    cluster.pod_on(asking("low", "4", "low"), "n1").await?;
    cluster.start_scheduler().await?;
    // It is older, and nobody tries it before the restart.
    let other = asking("other", "4", "high").gate("later");
    cluster.pod(other).await?;
    preempt(&cluster, asking("p", "4", "high"), "n1", &["low"]).await?;
    cluster.take_scheduler()?.kill();
    cluster.delete_pod("low").await?;
    let open = json!({"spec": {"schedulingGates": []}});
    cluster.patch_pod("other", open).await?;
    cluster.start_scheduler().await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    cluster
        .wait_message(
            "other",
            "0/1 nodes are available: 1 Insufficient cpu. \
             preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
        )
        .await?;
    Ok(())
}
