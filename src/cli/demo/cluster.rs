//! The nodes of the demonstration.

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};

use super::gangs::{NODES_OF_RACK, RACK, RACKS};

/// Where nodes stand.
pub(super) const ZONES: &[&str] = &["zone-a", "zone-b", "zone-c"];

/// Requests in flight.
const IN_FLIGHT: usize = 8;

/// Creates the nodes, with racks for gangs or without.
pub(super) async fn create(client: &Client, count: u32, racks: bool) -> Result<(), anyhow::Error> {
    let nodes: Api<Node> = Api::all(client.clone());
    let racks = if racks { RACKS } else { &[] };
    let in_racks = racks.iter().flat_map(|rack| rack_nodes(rack));
    futures::stream::iter((0..count).map(node).chain(in_racks))
        .map(|node| {
            let nodes = &nodes;
            async move {
                let node = serde_json::from_value(node).context("this is no node")?;
                let made = nodes.create(&PostParams::default(), &node).await;
                made.map(drop).context("cannot create a node")
            }
        })
        .buffer_unordered(IN_FLIGHT)
        .try_collect()
        .await
}

/// Of ten nodes two have GPUs, which are tainted, and one of twenty is cordoned.
fn node(index: u32) -> Value {
    let gpus = index.is_multiple_of(5);
    let name = format!("{}-{index:04}", if gpus { "gpu" } else { "node" });
    let mut node = plain_node(&name, index, gpus);
    if index % 20 == 7 {
        node["spec"]["unschedulable"] = json!(true);
        node["spec"]["taints"] =
            json!([{ "key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule" }]);
    }
    node
}

/// The nodes of a rack, which take nothing but gangs.
fn rack_nodes(rack: &str) -> impl Iterator<Item = Value> {
    (0..NODES_OF_RACK).map(move |index| {
        let mut node = plain_node(&format!("rack-{rack}-{index}"), index, true);
        node["metadata"]["labels"][RACK] = json!(rack);
        node["spec"]["taints"] = json!([{ "key": RACK, "value": rack, "effect": "NoSchedule" }]);
        node
    })
}

fn plain_node(name: &str, index: u32, gpus: bool) -> Value {
    let zone = usize::try_from(index).unwrap_or_default() % ZONES.len();
    let mut capacity = json!({
        "cpu": if gpus { "96" } else { "32" },
        "memory": if gpus { "768Gi" } else { "128Gi" },
        "ephemeral-storage": "500Gi",
        "pods": "110",
    });
    let mut spec = json!({});
    if gpus {
        capacity["nvidia.com/gpu"] = json!("8");
        spec["taints"] =
            json!([{ "key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule" }]);
    }
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "topology.kubernetes.io/zone": ZONES.get(zone),
            },
        },
        "spec": spec,
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady" }],
        },
    })
}
