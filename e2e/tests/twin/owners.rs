//! Spreading that the profile adds for pods of services and controllers.

use anyhow::Result;
use e2e::objects::{PodBuilder, pod};
use e2e::twin::scenario::Scenario;
use serde_json::{Value, json};

use super::{ZONE, play, zoned};

const SERVICES: &str = "/api/v1/namespaces/default/services";

fn service() -> Value {
    json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}})
}

fn template() -> Value {
    json!({
        "metadata": {"labels": {"app": "web", "set": "x"}},
        "spec": {"containers": [{"name": "main", "image": "pause"}]},
    })
}

/// What makes a pod one of a controller's.
fn owned(pod: PodBuilder, version: &str, kind: &str) -> PodBuilder {
    let owner =
        json!({"apiVersion": version, "kind": kind, "name": "web", "uid": "1", "controller": true});
    pod.metadata("ownerReferences", json!([owner]))
}

fn web(name: &str) -> PodBuilder {
    pod(name).label("app", "web")
}

#[tokio::test]
async fn default_constraints() -> Result<()> {
    let pair = || [zoned("a1", "a"), zoned("b1", "b")];
    let weight = || {
        pod("weight")
            .request("cpu", "1")
            .request("memory", "4Gi")
            .on("b1")
    };
    let replicas = || web("p").label("set", "x");
    let set = json!({"matchLabels": {"set": "x"}});
    play(vec![
        Scenario::new("default: no service, no spreading", web("p"))
            .nodes(pair())
            .running([web("v").on("a1"), weight()])
            .best("a1"),
        Scenario::new("default: the pods of a service", web("p"))
            .object(SERVICES, service())
            .nodes(pair())
            .running([web("v").on("a1"), web("w").on("a1"), weight()])
            .best("b1"),
        Scenario::new("default: the pods of a ReplicaSet", owned(replicas(), "apps/v1", "ReplicaSet"))
            .object(
                "/apis/apps/v1/namespaces/default/replicasets",
                json!({"metadata": {"name": "web"}, "spec": {"replicas": 0, "selector": set, "template": template()}}),
            )
            .nodes(pair())
            .running([replicas().named("v").on("a1"), replicas().named("w").on("a1"), weight()])
            .best("b1"),
        Scenario::new("default: the pods of a StatefulSet", owned(replicas(), "apps/v1", "StatefulSet"))
            .object(
                "/apis/apps/v1/namespaces/default/statefulsets",
                json!({"metadata": {"name": "web"}, "spec": {
                    "serviceName": "web", "replicas": 0, "selector": set, "template": template(),
                }}),
            )
            .nodes(pair())
            .running([replicas().named("v").on("a1"), replicas().named("w").on("a1"), weight()])
            .best("b1"),
        Scenario::new("default: the pods of a ReplicationController", owned(replicas(), "v1", "ReplicationController"))
            .object(
                "/api/v1/namespaces/default/replicationcontrollers",
                json!({"metadata": {"name": "web"}, "spec": {
                    "replicas": 0, "selector": {"set": "x"}, "template": template(),
                }}),
            )
            .nodes(pair())
            .running([replicas().named("v").on("a1"), replicas().named("w").on("a1"), weight()])
            .best("b1"),
        Scenario::new("default: hard ones of the profile", web("p").request("cpu", "1"))
            .profile("list")
            .object(SERVICES, service())
            .nodes(pair())
            .running([web("v").on("a1"), pod("full").request("cpu", "4").on("b1")])
            .refused(),
        Scenario::new("default: soft ones of the profile", web("p"))
            .profile("soft-list")
            .object(SERVICES, service())
            .nodes(pair())
            .running([web("v").on("a1"), weight()])
            .best("b1"),
        Scenario::new(
            "default: a constraint of its own takes their place",
            web("p").spread(json!({
                "maxSkew": 5, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app": "web"}},
            })),
        )
        .profile("list")
        .object(SERVICES, service())
        .nodes(pair())
        .running([web("v").on("a1"), weight()])
        .best("a1"),
    ])
    .await
}
