//! What preemption says and does. Choosing victims well is tested where the code is; this is about what is stored.

use anyhow::Result;
use e2e::harness::{Cluster, scheduled_condition};
use e2e::objects::{node, pod};

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
#[ignore = "nobody is evicted yet: preemption is words only"]
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
