//! What a cluster holds can be simulated again: a dump is taken as it is.

use anyhow::{Context, Result};
use e2e::harness::{Cluster, check_equal};
use e2e::objects::{node, pod};
use serde_json::json;

use crate::world::{items, simulate};

#[tokio::test]
async fn a_dump_is_read() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster
        .create_nodes([node("n1"), node("n2").capacity("cpu", "8")])
        .await?;
    cluster.start_scheduler().await?;
    cluster.pod(pod("placed").request("cpu", "1")).await?;
    cluster.pod(pod("huge").request("cpu", "64")).await?;
    let node = cluster.wait_bound("placed").await?;
    let condition = cluster.wait_unschedulable("huge").await?;
    let mut dump = Vec::new();
    for (kind, path) in [
        ("Node", "/api/v1/nodes"),
        ("Pod", "/api/v1/pods"),
        ("Service", "/api/v1/services"),
    ] {
        for mut object in items(&cluster.client(), path).await? {
            object["apiVersion"] = json!("v1");
            object["kind"] = json!(kind);
            dump.push(object);
        }
    }
    let found = simulate(&dump)?;
    let pods = found["pods"].as_array().context("no pods")?;
    check_equal("waiting", pods.len(), 1)?;
    let message = pods[0]["message"].as_str();
    check_equal("message", message, condition.message.as_deref())?;
    let nodes = found["nodes"].as_array().context("no nodes")?;
    let holder = nodes.iter().find(|one| one["name"] == node.as_str());
    let holder = holder.context("the node is not there")?;
    check_equal("requested", &holder["requested"]["cpu"], &json!("1"))
}
