//! What a pod needs of a node's resources.

use anyhow::Result;
use e2e::objects::{PodBuilder, node, pod};
use e2e::twin::Change;
use e2e::twin::scenario::Scenario;
use serde_json::{Value, json};

use super::play;

fn p() -> PodBuilder {
    pod("p")
}

fn allocatable(resource: &str, quantity: &str) -> Value {
    let resources = json!({resource: quantity});
    json!({"status": {"allocatable": resources, "capacity": resources}})
}

#[tokio::test]
async fn resources() -> Result<()> {
    let filler = |cpu: &str| pod("filler").request("cpu", cpu).on("n1");
    let batch = |resource: &str, quantity: &str| p().request(resource, quantity);
    play(vec![
        Scenario::new(
            "too much of everything",
            batch("cpu", "5").request("memory", "20Gi"),
        )
        .nodes([node("n1")])
        .running([pod("a").on("n1")])
        .refused()
        .then(Change::patch_node("n1", allocatable("cpu", "8")))
        .same()
        .then(Change::patch_node("n1", allocatable("memory", "32Gi")))
        .best("n1"),
        Scenario::new("a node shrinks", batch("cpu", "5"))
            .nodes([node("n1")])
            .refused()
            .then(Change::patch_node("n1", allocatable("cpu", "3")))
            .same(),
        Scenario::new("room for the very last", batch("cpu", "1"))
            .nodes([node("n1")])
            .running([filler("3")])
            .best("n1"),
        Scenario::new("one thousandth too much", batch("cpu", "1001m"))
            .nodes([node("n1")])
            .running([filler("3")])
            .refused()
            .then(Change::delete_pod("filler"))
            .best("n1"),
        Scenario::new("a pod finishes", batch("cpu", "2"))
            .nodes([node("n1")])
            .running([filler("3")])
            .refused()
            .then(Change::finish_pod("filler"))
            .best("n1"),
        Scenario::new("a pod is leaving, then gone", batch("cpu", "2"))
            .nodes([node("n1")])
            .running([filler("3")])
            .refused()
            .then(Change::Terminate(
                "/api/v1/namespaces/default/pods/filler".to_owned(),
            ))
            .same()
            .then(Change::delete_pod("filler"))
            .best("n1"),
        Scenario::new("too many pods", p())
            .nodes([node("n1").capacity("pods", "1")])
            .running([pod("a").on("n1")])
            .refused()
            .then(Change::patch_node("n1", allocatable("pods", "2")))
            .best("n1"),
        Scenario::new(
            "too many pods and too little memory",
            batch("memory", "1Ti"),
        )
        .nodes([node("n1").capacity("pods", "1"), node("n2")])
        .running([pod("a").on("n1")])
        .refused(),
        Scenario::new("local storage", batch("ephemeral-storage", "200Gi"))
            .nodes([node("n1")])
            .refused()
            .then(Change::patch_node(
                "n1",
                allocatable("ephemeral-storage", "300Gi"),
            ))
            .best("n1"),
        Scenario::new("a resource that no node has", batch("nvidia.com/gpu", "1"))
            .nodes([node("n1"), node("n2").capacity("amd.com/gpu", "8")])
            .refused()
            .then(Change::patch_node("n2", allocatable("nvidia.com/gpu", "1")))
            .best("n2"),
        Scenario::new(
            "the last of a resource is taken",
            batch("nvidia.com/gpu", "2"),
        )
        .nodes([node("n1").capacity("nvidia.com/gpu", "4"), node("n2")])
        .running([pod("user").request("nvidia.com/gpu", "3").on("n1")])
        .refused()
        .then(Change::delete_pod("user"))
        .best("n1"),
        Scenario::new("a resource of zero", batch("nvidia.com/gpu", "0"))
            .nodes([node("n1")])
            .best("n1"),
        Scenario::new(
            "huge pages",
            batch("hugepages-2Mi", "4Mi").request("cpu", "1"),
        )
        .nodes([node("n1").capacity("hugepages-2Mi", "2Mi"), node("n2")])
        .refused(),
        Scenario::new(
            "resources that the profile ignores",
            batch("example.com/ignored", "1").request("ignored.example/x", "2"),
        )
        .profile("lenient")
        .nodes([node("n1")])
        .best("n1"),
        Scenario::new(
            "a resource that the profile does not ignore",
            batch("example.com/other", "1"),
        )
        .profile("lenient")
        .nodes([node("n1")])
        .refused(),
        Scenario::new(
            "the greatest init container",
            p().init(false, "cpu", "5").init(false, "memory", "1Gi"),
        )
        .nodes([node("n1")])
        .refused(),
        Scenario::new(
            "a sidecar adds up",
            batch("cpu", "2")
                .init(true, "cpu", "1500m")
                .init(false, "cpu", "3"),
        )
        .nodes([node("n1").capacity("cpu", "4400m")])
        .refused()
        .then(Change::patch_node("n1", allocatable("cpu", "4500m")))
        .best("n1"),
        Scenario::new(
            "overhead",
            batch("cpu", "3500m")
                .spec("runtimeClassName", json!("heavy"))
                .spec("overhead", json!({"cpu": "1"})),
        )
        .nodes([node("n1")])
        .refused()
        .then(Change::patch_node("n1", allocatable("cpu", "4500m")))
        .best("n1"),
        Scenario::new(
            "resources of the whole pod",
            p().spec(
                "resources",
                json!({"requests": {"cpu": "5"}, "limits": {"cpu": "5"}}),
            ),
        )
        .nodes([node("n1")])
        .refused(),
        Scenario::new(
            "a pod that may not preempt",
            batch("cpu", "2").priority_class("patient"),
        )
        .nodes([node("n1")])
        .running([filler("3")])
        .refused()
        .then(Change::delete_pod("filler"))
        .best("n1"),
        Scenario::new("a node goes and comes back", batch("cpu", "2"))
            .nodes([node("n1"), node("n2").capacity("cpu", "1")])
            .running([filler("3")])
            .refused()
            .then(Change::delete_node("n1"))
            .same()
            .then(Change::node(node("n1").capacity("cpu", "6")))
            .best("n1"),
    ])
    .await
}
