//! `berth simulate` against the scheduler under test: the same nodes and pods, once as a file and once on a real API
//! server, have to end in the same places and with the same texts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use e2e::controlplane::berth_binary;
use e2e::harness::{Cluster, NAME, check_equal};
use e2e::objects::{NodeBuilder, PodBuilder, node, pod, preferred_node_affinity};
use serde_json::{Value, json};

/// No two nodes are equal to any pod, so that nothing is left to chance.
fn nodes() -> Vec<NodeBuilder> {
    vec![
        node("large")
            .capacity("cpu", "16")
            .capacity("memory", "64Gi"),
        node("small").capacity("cpu", "2").label("disk", "ssd"),
        node("gpu")
            .capacity("cpu", "8")
            .capacity("example.com/gpu", "4")
            .taint("gpu", "", "NoSchedule"),
        node("cordoned").unschedulable(),
    ]
}

fn tolerant(name: &str) -> PodBuilder {
    pod(name).toleration(json!({"key": "gpu", "operator": "Exists"}))
}

/// The pods in the order of their names, which is the one in which a scheduler that starts gets to see them. Those that
/// find no place find nobody of lower priority either.
fn pods() -> Vec<PodBuilder> {
    let limited = json!([{"name": "main", "image": "pause", "resources": {"limits": {"cpu": "1", "memory": "2Gi"}}}]);
    vec![
        pod("a-web").request("cpu", "500m").request("memory", "1Gi"),
        tolerant("b-trainer")
            .request("cpu", "2")
            .request("example.com/gpu", "3"),
        tolerant("c-trainer")
            .request("cpu", "2")
            .request("example.com/gpu", "2"),
        pod("d-limits").spec("containers", limited),
        pod("e-ssd")
            .request("cpu", "1")
            .affinity(preferred_node_affinity(100, "disk", "ssd")),
        pod("f-nowhere").selector("disk", "tape"),
        pod("g-huge").request("cpu", "64"),
        pod("h-port").host_port(8080, "TCP").request("cpu", "100m"),
        pod("i-port").host_port(8080, "TCP").request("cpu", "100m"),
        pod("j-port").host_port(8080, "TCP").request("cpu", "100m"),
        pod("k-first").priority_class("high").request("cpu", "14"),
        pod("l-gated").gate("wait"),
    ]
}

/// What `berth simulate` makes of these objects.
fn simulate(objects: &Value) -> Result<Value> {
    let mut berth = Command::new(berth_binary()?)
        .args(["simulate", "-", "-o", "json", "--scheduler-name", NAME])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let input = berth.stdin.take().context("there is no stdin")?;
    serde_json::to_writer(input, objects)?;
    let output = berth.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "berth simulate failed: {said}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[tokio::test]
async fn a_simulation_ends_as_the_cluster_does() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.priority_class("high", 1000).await?;
    let class = json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000,
    });
    let mut items = vec![class];
    let placed = || pod("running").request("cpu", "1").request("memory", "8Gi");
    for node in nodes() {
        items.push(serde_json::to_value(node.clone().build()?)?);
        cluster.node(node).await?;
    }
    let running = placed().spec("nodeName", json!("gpu")).build()?;
    items.push(serde_json::to_value(running)?);
    cluster.pod_on(placed(), "gpu").await?;
    for pod in pods() {
        let pod = pod.scheduler(NAME);
        items.push(serde_json::to_value(pod.clone().build()?)?);
        cluster.pod(pod).await?;
    }
    let found = simulate(&json!({"apiVersion": "v1", "kind": "List", "items": items}))?;
    let found = found["pods"].as_array().context("no pods")?;
    check_equal("pods", found.len(), pods().len())?;

    cluster.start_scheduler().await?;
    let mut placed = 0;
    for pod in found {
        let name = pod["name"].as_str().context("no name")?;
        let message = pod["message"].as_str().context("no message")?;
        match pod["node"].as_str() {
            Some(node) => {
                check_equal(name, cluster.wait_bound(name).await?.as_str(), node)?;
                let event = cluster.wait_event(name, "Scheduled").await?;
                check_equal(name, event.note.as_deref(), Some(message))?;
                placed += 1;
            }
            None => {
                let condition = cluster.wait_message(name, message).await?;
                check_equal(name, condition.reason.as_deref(), pod["reason"].as_str())?;
            }
        }
    }
    check_equal("placed", placed, 7)?;
    check_equal("first", found[0]["name"].as_str(), Some("k-first"))
}

/// What a cluster holds can be simulated again: a dump is taken as it is.
#[tokio::test]
async fn a_dump_is_read() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.create_nodes(nodes()).await?;
    cluster.start_scheduler().await?;
    cluster.pod(pod("placed").request("cpu", "1")).await?;
    cluster.pod(pod("huge").request("cpu", "64")).await?;
    let node = cluster.wait_bound("placed").await?;
    let condition = cluster.wait_unschedulable("huge").await?;
    let mut dumps = Vec::new();
    for path in ["/api/v1/nodes", "/api/v1/pods", "/api/v1/services"] {
        let request = http::Request::get(path).body(Vec::new())?;
        let text = cluster.client().request_text(request).await?;
        dumps.push(serde_json::from_str::<Value>(&text)?);
    }
    let found = simulate(&json!({"apiVersion": "v1", "kind": "List", "items": dumps}))?;
    let pods = found["pods"].as_array().context("no pods")?;
    check_equal("waiting", pods.len(), 1)?;
    check_equal(
        "message",
        pods[0]["message"].as_str(),
        condition.message.as_deref(),
    )?;
    let nodes = found["nodes"].as_array().context("no nodes")?;
    let holder = nodes.iter().find(|one| one["name"] == node.as_str());
    let holder = holder.context("the node is not there")?;
    check_equal("requested", &holder["requested"]["cpu"], &json!("1"))
}
