//! Why a pod cannot be placed, word for word.

use anyhow::Result;
use e2e::harness::Cluster;
use e2e::objects::{NodeBuilder, PodBuilder, node, pod, required_node_affinity};
use serde_json::json;

/// Makes the nodes, starts the scheduler, makes the pod and returns the message of its condition.
async fn refusal(nodes: impl IntoIterator<Item = NodeBuilder>, pod: PodBuilder) -> Result<String> {
    refusal_beside(nodes, [], pod).await
}

/// Like `refusal`, with pods that are bound to nodes beforehand.
async fn refusal_beside(
    nodes: impl IntoIterator<Item = NodeBuilder>,
    others: impl IntoIterator<Item = (PodBuilder, &'static str)>,
    pod: PodBuilder,
) -> Result<String> {
    let mut cluster = Cluster::new().await?;
    cluster.create_nodes(nodes).await?;
    for (other, node) in others {
        cluster.pod_on(other, node).await?;
    }
    cluster.start_scheduler().await?;
    cluster.pod(pod.named("refused")).await?;
    let condition = cluster.wait_unschedulable("refused").await?;
    assert_eq!(condition.reason.as_deref(), Some("Unschedulable"));
    let message = condition.message.unwrap_or_default();
    // kube-scheduler ends the text with two stray words when a plugin refuses a pod for all nodes at once; we do not.
    Ok(message
        .strip_suffix(". not found")
        .map_or(message.clone(), |text| format!("{text}.")))
}

#[tokio::test]
async fn no_nodes() -> Result<()> {
    let message = refusal([], pod("p")).await?;
    assert_eq!(message, "no nodes available to schedule pods");
    Ok(())
}

#[tokio::test]
async fn node_unschedulable() -> Result<()> {
    let nodes = [node("n1").unschedulable(), node("n2").unschedulable()];
    assert_eq!(
        refusal(nodes, pod("p")).await?,
        "0/2 nodes are available: 2 node(s) were unschedulable. \
         preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    );
    Ok(())
}

#[tokio::test]
async fn taints() -> Result<()> {
    let nodes = [
        node("n1").taint("gpu", "yes", "NoSchedule"),
        node("n2").taint("broken", "", "NoExecute"),
        node("n3")
            .taint("gpu", "yes", "NoSchedule")
            .taint("team", "x", "NoSchedule"),
    ];
    let toleration = json!({"key": "team", "operator": "Exists"});
    assert_eq!(
        refusal(nodes, pod("p").toleration(toleration)).await?,
        "0/3 nodes are available: 3 node(s) had untolerated taint(s). \
         preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    );
    Ok(())
}

#[tokio::test]
async fn node_selector() -> Result<()> {
    let nodes = [node("n1"), node("n2").label("disk", "hdd")];
    assert_eq!(
        refusal(nodes, pod("p").selector("disk", "ssd")).await?,
        "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. \
         preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    );
    Ok(())
}

#[tokio::test]
async fn node_affinity() -> Result<()> {
    let nodes = [node("n1"), node("n2").label("zone", "a")];
    let affinity = required_node_affinity(&[("zone", "In", &["b", "c"])]);
    assert_eq!(
        refusal(nodes, pod("p").affinity(affinity)).await?,
        "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. \
         preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    );
    Ok(())
}

/// A pod that names its nodes sees only those; the others count with the text of the plugin that left them out.
#[tokio::test]
async fn node_affinity_by_name() -> Result<()> {
    let nodes = [node("n1").capacity("cpu", "1"), node("n2"), node("n3")];
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}],
    }}});
    assert_eq!(
        refusal(nodes, pod("p").request("cpu", "2").affinity(affinity)).await?,
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. \
         preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    );
    Ok(())
}

#[tokio::test]
async fn node_affinity_by_the_name_of_no_node() -> Result<()> {
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["gone"]}]}],
    }}});
    assert_eq!(
        refusal([node("n1"), node("n2")], pod("p").affinity(affinity)).await?,
        "0/2 nodes are available: 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. \
         preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    );
    Ok(())
}

#[tokio::test]
async fn conflicting_node_affinity() -> Result<()> {
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchFields": [
            {"key": "metadata.name", "operator": "In", "values": ["n1"]},
            {"key": "metadata.name", "operator": "In", "values": ["n2"]},
        ]}],
    }}});
    assert_eq!(
        refusal([node("n1"), node("n2")], pod("p").affinity(affinity)).await?,
        "0/2 nodes are available: pod affinity terms conflict."
    );
    Ok(())
}

#[tokio::test]
async fn node_ports() -> Result<()> {
    let nodes = [node("n1"), node("n2")];
    let others = [
        (pod("a").host_port(8080, "TCP"), "n1"),
        (pod("b").host_port(8080, "TCP"), "n2"),
    ];
    assert_eq!(
        refusal_beside(nodes, others, pod("p").host_port(8080, "TCP")).await?,
        "0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports. \
         preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."
    );
    Ok(())
}

#[tokio::test]
async fn several_insufficient_resources() -> Result<()> {
    let nodes = [
        node("n1").capacity("nvidia.com/gpu", "8"),
        node("n2").capacity("nvidia.com/gpu", "8"),
        node("n3"),
    ];
    // n1 is used by a pod, n2 is too small, n3 has no GPUs either.
    let others = [(
        pod("a")
            .request("cpu", "3")
            .request("memory", "12Gi")
            .request("nvidia.com/gpu", "8"),
        "n1",
    )];
    let asking = pod("p")
        .request("cpu", "2")
        .request("memory", "20Gi")
        .request("ephemeral-storage", "200Gi")
        .request("nvidia.com/gpu", "4");
    assert_eq!(
        refusal_beside(nodes, others, asking).await?,
        "0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient nvidia.com/gpu, \
         3 Insufficient ephemeral-storage, 3 Insufficient memory. \
         preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    );
    Ok(())
}

#[tokio::test]
async fn too_many_pods() -> Result<()> {
    let nodes = [
        node("n1").capacity("pods", "1"),
        node("n2").capacity("pods", "0"),
    ];
    let others = [(pod("a"), "n1")];
    assert_eq!(
        refusal_beside(nodes, others, pod("p").request("cpu", "5")).await?,
        "0/2 nodes are available: 2 Insufficient cpu, 2 Too many pods. \
         preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    );
    Ok(())
}

/// A node with room for its pods only, which preemption could change.
#[tokio::test]
async fn insufficient_because_of_equal_priority() -> Result<()> {
    let others = [(pod("a").request("cpu", "3"), "n1")];
    assert_eq!(
        refusal_beside([node("n1")], others, pod("p").request("cpu", "2")).await?,
        "0/1 nodes are available: 1 Insufficient cpu. \
         preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    );
    Ok(())
}

/// Init containers, sidecars and containers are added up as the kubelet does.
#[tokio::test]
async fn init_containers_count() -> Result<()> {
    let asking = pod("p")
        .request("cpu", "1")
        .init(true, "cpu", "1")
        .init(false, "cpu", "2500m");
    // The sidecar and the init container after it run together: 3500m.
    let nodes = [
        node("n1").capacity("cpu", "3400m"),
        node("n2").capacity("cpu", "3499m"),
    ];
    assert_eq!(
        refusal(nodes, asking).await?,
        "0/2 nodes are available: 2 Insufficient cpu. \
         preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    );
    Ok(())
}

/// Each node counts with the first plugin that refused it, and the counts are sorted as texts.
#[tokio::test]
async fn counts_are_sorted_as_texts() -> Result<()> {
    let mut nodes: Vec<NodeBuilder> = (0..10)
        .map(|i| node(&format!("small-{i}")).capacity("cpu", "1"))
        .collect();
    nodes.push(node("cordoned-0").unschedulable());
    nodes.push(node("cordoned-1").unschedulable().capacity("cpu", "1"));
    nodes.push(node("tainted").taint("gpu", "yes", "NoSchedule"));
    nodes.push(node("elsewhere").label("zone", "b"));
    let labelled = nodes.into_iter().map(|node| node.label("pool", "x"));
    let asking = pod("p")
        .request("cpu", "2")
        .affinity(required_node_affinity(&[
            ("pool", "In", &["x"]),
            ("zone", "NotIn", &["b"]),
        ]));
    assert_eq!(
        refusal(labelled, asking).await?,
        "0/14 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, \
         1 node(s) had untolerated taint(s), 10 Insufficient cpu, 2 node(s) were unschedulable. \
         preemption: 0/14 nodes are available: 14 Preemption is not helpful for scheduling."
    );
    Ok(())
}

/// Only the pods stand in the way on one node, only the size on the other.
#[tokio::test]
async fn gpus_taken_and_gpus_missing() -> Result<()> {
    let nodes = [
        node("n1").capacity("nvidia.com/gpu", "8"),
        node("n2").capacity("nvidia.com/gpu", "2"),
        node("n3")
            .capacity("nvidia.com/gpu", "8")
            .capacity("pods", "1"),
    ];
    let others = [
        (pod("a").request("nvidia.com/gpu", "5"), "n1"),
        (pod("b"), "n3"),
    ];
    assert_eq!(
        refusal_beside(nodes, others, pod("p").request("nvidia.com/gpu", "4")).await?,
        "0/3 nodes are available: 1 Too many pods, 2 Insufficient nvidia.com/gpu. \
         preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, \
         2 No preemption victims found for incoming pod."
    );
    Ok(())
}

#[tokio::test]
async fn never_preempting() -> Result<()> {
    let others = [(pod("a").request("cpu", "3"), "n1")];
    let mut cluster = Cluster::new().await?;
    cluster.node(node("n1")).await?;
    for (other, node) in others {
        cluster.pod_on(other, node).await?;
    }
    let class = json!({"metadata": {"name": "polite"}, "value": 1000, "preemptionPolicy": "Never"});
    let classes: kube::Api<k8s_openapi::api::scheduling::v1::PriorityClass> =
        kube::Api::all(cluster.client());
    classes
        .create(
            &kube::api::PostParams::default(),
            &serde_json::from_value(class)?,
        )
        .await?;
    cluster.start_scheduler().await?;
    cluster
        .pod(pod("p").request("cpu", "2").priority_class("polite"))
        .await?;
    cluster
        .wait_message(
            "p",
            "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.",
        )
        .await?;
    Ok(())
}
