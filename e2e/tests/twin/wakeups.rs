//! What brings back a pod that was refused because of other pods.

use anyhow::Result;
use e2e::objects::{PodBuilder, node, pod};
use e2e::twin::Change;
use e2e::twin::scenario::Scenario;
use serde_json::{Value, json};

use super::{HOSTNAME, ZONE, play, zoned};

fn affine(pod: PodBuilder, kind: &str, key: &str) -> PodBuilder {
    let term = json!({"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": key});
    pod.affinity_term(kind, "requiredDuringSchedulingIgnoredDuringExecution", term)
}

fn near() -> PodBuilder {
    affine(pod("p"), "podAffinity", ZONE)
}

fn far() -> PodBuilder {
    affine(pod("p"), "podAntiAffinity", ZONE)
}

fn web(name: &str) -> PodBuilder {
    pod(name).label("app", "web")
}

fn labels(labels: Value) -> Value {
    json!({"metadata": {"labels": labels}})
}

#[tokio::test]
async fn affinity() -> Result<()> {
    play(vec![
        Scenario::new("near: such a pod comes", near())
            .nodes([zoned("a1", "a"), zoned("b1", "b")])
            .refused()
            .then(Change::pod(pod("other").on("a1")))
            .same()
            .then(Change::pod(web("w").on("b1")))
            .best("b1"),
        Scenario::new("near: a pod becomes such a one", near())
            .nodes([zoned("a1", "a")])
            .running([pod("w").on("a1")])
            .refused()
            .then(Change::patch_pod("w", labels(json!({"app": "web"}))))
            .best("a1"),
        Scenario::new("near: its node gets the label", near())
            .nodes([node("n1")])
            .running([web("w").on("n1")])
            .refused()
            .then(Change::patch_node("n1", labels(json!({ZONE: "a"}))))
            .best("n1"),
        Scenario::new("near: a node comes into its zone", near())
            .nodes([zoned("a1", "a").unschedulable()])
            .running([web("w").on("a1")])
            .refused()
            .then(Change::node(zoned("a2", "a")))
            .best("a2"),
        Scenario::new("near: the pod becomes the first of its own kind", near())
            .nodes([zoned("a1", "a")])
            .refused()
            .own(labels(json!({"app": "web"})))
            .best("a1"),
        Scenario::new("far: the pod goes", far())
            .nodes([zoned("a1", "a")])
            .running([web("w").on("a1"), pod("other").on("a1")])
            .refused()
            .then(Change::delete_pod("other"))
            .same()
            .then(Change::delete_pod("w"))
            .best("a1"),
        Scenario::new("far: the pod finishes", far())
            .nodes([zoned("a1", "a")])
            .running([web("w").on("a1")])
            .refused()
            .then(Change::finish_pod("w"))
            .best("a1"),
        Scenario::new("far: the pod becomes another one", far())
            .nodes([zoned("a1", "a")])
            .running([web("w").on("a1")])
            .refused()
            .then(Change::patch_pod("w", labels(json!({"app": "db"}))))
            .best("a1"),
        Scenario::new("far: a node comes elsewhere", far())
            .nodes([zoned("a1", "a")])
            .running([web("w").on("a1")])
            .refused()
            .then(Change::node(zoned("b1", "b")))
            .best("b1"),
        Scenario::new("far: its node moves to another zone", far())
            .nodes([zoned("a1", "a"), zoned("a2", "a")])
            .running([web("w").on("a1")])
            .refused()
            .then(Change::patch_node("a2", labels(json!({ZONE: "b"}))))
            .best("a2"),
        Scenario::new("far: the one that did not want it goes", web("p"))
            .nodes([node("n1")])
            .running([affine(pod("shy"), "podAntiAffinity", HOSTNAME).on("n1")])
            .refused()
            .then(Change::delete_pod("shy"))
            .best("n1"),
        Scenario::new("far: the pod is no longer one that is not wanted", web("p"))
            .nodes([node("n1")])
            .running([affine(pod("shy"), "podAntiAffinity", HOSTNAME).on("n1")])
            .refused()
            .own(labels(json!({"app": "db"})))
            .best("n1"),
    ])
    .await
}

#[tokio::test]
async fn spreading() -> Result<()> {
    let spread = || {
        web("p").request("cpu", "1").spread(json!({
            "maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "web"}},
        }))
    };
    let full = || pod("full").request("cpu", "4").on("b1");
    let pair = || [zoned("a1", "a"), zoned("b1", "b")];
    play(vec![
        Scenario::new("spread: a pod comes where there are too few", spread())
            .nodes(pair())
            .running([web("w").on("a1"), full()])
            .refused()
            .then(Change::pod(pod("other").on("b1")))
            .same()
            .then(Change::pod(web("v").on("b1")))
            .best("a1"),
        Scenario::new("spread: a pod goes where there are too many", spread())
            .nodes(pair())
            .running([web("w").on("a1"), full()])
            .refused()
            .then(Change::delete_pod("w"))
            .best("a1"),
        Scenario::new("spread: a pod becomes one that counts", spread())
            .nodes(pair())
            .running([web("w").on("a1"), full(), pod("v").on("b1")])
            .refused()
            .then(Change::patch_pod("v", labels(json!({"app": "web"}))))
            .best("a1"),
        Scenario::new("spread: the zone with too few is gone", spread())
            .nodes([zoned("a1", "a"), zoned("b1", "b").capacity("cpu", "0")])
            .running([web("w").on("a1")])
            .refused()
            .then(Change::delete_node("b1"))
            .best("a1"),
        Scenario::new("spread: a node comes where there are too few", spread())
            .nodes(pair())
            .running([web("w").on("a1"), full()])
            .refused()
            .then(Change::node(zoned("b2", "b")))
            .best("b2"),
        Scenario::new("spread: a node gets the label", spread())
            .nodes([node("n1")])
            .refused()
            .then(Change::patch_node("n1", labels(json!({ZONE: "a"}))))
            .best("n1"),
        Scenario::new("spread: a node moves to another zone", spread())
            .nodes([
                zoned("a1", "a"),
                zoned("a2", "a"),
                zoned("b1", "b").capacity("cpu", "0"),
            ])
            .running([web("w").on("a1")])
            .refused()
            .then(Change::patch_node("a2", labels(json!({ZONE: "b"}))))
            .best("a2"),
        Scenario::new("spread: too few by name, too full by room", spread())
            .nodes(pair())
            .running([web("w").on("a1"), full()])
            .refused()
            .then(Change::delete_pod("full"))
            .best("b1"),
    ])
    .await
}
