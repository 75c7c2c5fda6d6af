//! Which of several nodes is the best one.

use anyhow::Result;
use e2e::objects::{PodBuilder, node, pod, preferred_node_affinity};
use e2e::twin::scenario::Scenario;
use serde_json::json;

use super::play;

fn p() -> PodBuilder {
    pod("p")
}

#[tokio::test]
async fn scores() -> Result<()> {
    let filler = |name: &str, on: &str, cpu: &str, memory: &str| {
        pod(name)
            .request("cpu", cpu)
            .request("memory", memory)
            .on(on)
    };
    // The API server lets it through, since it does no harm with a single node.
    let impossible = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "preference": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b c"]}]}},
        {"weight": 2, "preference": {"matchExpressions": [{"key": "size", "operator": "Gt", "values": ["x"]}]}},
    ]}});
    let gpus = |name: &str| node(name).capacity("nvidia.com/gpu", "10");
    play(vec![
        Scenario::new("the emptiest node", p().request("cpu", "500m").request("memory", "1Gi"))
            .nodes([node("full"), node("empty"), node("half")])
            .running([filler("a", "full", "3", "12Gi"), filler("b", "half", "2", "8Gi")])
            .best("empty"),
        Scenario::new("pods without requests count as a little", p())
            .nodes([node("crowded"), node("empty")])
            .running((0..4).map(|number| pod(&format!("f{number}")).on("crowded")))
            .best("empty"),
        Scenario::new("the fullest node", p().request("cpu", "500m").request("memory", "1Gi"))
            .profile("packing")
            .nodes([node("full"), node("empty")])
            .running([filler("a", "full", "3", "12Gi")])
            .best("full"),
        Scenario::new("a shape of use", p().request("nvidia.com/gpu", "2").request("cpu", "100m"))
            .profile("ratio")
            .nodes([gpus("empty"), gpus("used"), gpus("full")])
            .running([
                pod("a").request("nvidia.com/gpu", "4").on("used"),
                pod("b").request("nvidia.com/gpu", "8").on("full"),
            ])
            .best("used"),
        Scenario::new("the node that becomes balanced", p().request("cpu", "1").request("memory", "100Mi"))
            .nodes([
                node("much-cpu").capacity("cpu", "10").capacity("memory", "10Gi"),
                node("much-memory").capacity("cpu", "10").capacity("memory", "10Gi"),
            ])
            .running([filler("a", "much-cpu", "6", "2Gi"), filler("b", "much-memory", "2", "6Gi")])
            .best("much-memory"),
        Scenario::new("a taint that is only disliked", p())
            .nodes([node("tainted").taint("k", "v", "PreferNoSchedule"), node("clean")])
            .running([filler("a", "clean", "2", "8Gi")])
            .best("clean"),
        Scenario::new(
            "a disliked taint that is tolerated",
            p().toleration(json!({"key": "k", "operator": "Exists", "effect": "PreferNoSchedule"})),
        )
        .nodes([node("tainted").taint("k", "v", "PreferNoSchedule"), node("clean")])
        .running([filler("a", "clean", "2", "8Gi")])
        .best("tainted"),
        Scenario::new("the fewest disliked taints", p())
            .nodes([
                node("two").taint("k", "v", "PreferNoSchedule").taint("l", "v", "PreferNoSchedule"),
                node("one").taint("k", "v", "PreferNoSchedule"),
            ])
            .best("one"),
        Scenario::new("a preferred label", p().affinity(preferred_node_affinity(10, "disk", "ssd")))
            .nodes([node("plain"), node("ssd").label("disk", "ssd")])
            .running([filler("a", "ssd", "1", "1Gi")])
            .best("ssd"),
        Scenario::new(
            "weights of preferred labels add up",
            p().affinity(json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 40, "preference": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}},
                {"weight": 40, "preference": {"matchExpressions": [{"key": "b", "operator": "Exists"}]}},
                {"weight": 60, "preference": {"matchExpressions": [{"key": "c", "operator": "Exists"}]}},
            ]}})),
        )
        .nodes([node("n1").label("a", "").label("b", ""), node("n2").label("c", ""), node("n3")])
        .best("n1"),
        Scenario::new("preferred labels that no node can have", p().affinity(impossible.clone()))
            .nodes([node("n1")])
            .bound(),
        Scenario::new("preferred labels that none of two nodes can have", p().affinity(impossible))
            .nodes([node("n1"), node("n2")])
            .refused(),
        Scenario::new("a large image", p().image("registry.example/large:1"))
            .nodes([node("n1"), node("n2").image("registry.example/large:1", 900 << 20), node("n3")])
            .best("n2"),
        Scenario::new("an image without a tag", p().image("registry.example/large"))
            .nodes([node("n1"), node("n2").image("registry.example/large:latest", 900 << 20)])
            .best("n2"),
        Scenario::new("an image that is too small to matter", p().image("tiny:1").request("cpu", "100m"))
            .nodes([node("n1"), node("n2").image("tiny:1", 20 << 20)])
            .running([filler("a", "n2", "1", "4Gi")])
            .best("n1"),
        Scenario::new("images of init containers", p().spec("initContainers", json!([{"name": "i", "image": "big:1"}])))
            .nodes([node("n1"), node("n2").image("big:1", 2000 << 20)])
            .best("n2"),
    ])
    .await
}
