//! Where it takes more than cpu: what else victims hold, and where nobody's leaving would help.

use anyhow::Result;
use e2e::objects::{PodBuilder, bound_claim, node, pod, required_node_affinity, volume};
use e2e::twin::scenario::Scenario;
use serde_json::{Value, json};

use super::super::{HOSTNAME, ZONE, play, zoned};
use super::{asking, scene};

fn term(app: &str, key: &str) -> Value {
    json!({"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key})
}

fn required(pod: PodBuilder, kind: &str, app: &str, key: &str) -> PodBuilder {
    let list = "requiredDuringSchedulingIgnoredDuringExecution";
    pod.affinity_term(kind, list, term(app, key))
}

fn spread(pod: PodBuilder, app: &str, key: &str) -> PodBuilder {
    pod.label("app", app).spread(json!({
        "maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": app}},
    }))
}

#[tokio::test]
async fn what_victims_hold() -> Result<()> {
    let small = |name: &str, class: &str, node: &str| asking(name, "100m", class).on(node);
    let gpu = "example.com/gpu";
    play(vec![
        Scenario::new(
            "host port: only who has it goes",
            asking("p", "1", "high").host_port(8080, "TCP"),
        )
        .nodes([node("n1")])
        .running([
            small("a", "middle", "n1").host_port(8080, "TCP"),
            small("b", "low", "n1").host_port(8080, "UDP"),
            small("c", "lowest", "n1"),
        ])
        .preempts("n1", &["a"]),
        Scenario::new(
            "extended resource: only who has it goes",
            asking("p", "1", "high").request(gpu, "3"),
        )
        .nodes([node("n1").capacity(gpu, "4"), node("n2")])
        .running([
            small("a", "middle", "n1").request(gpu, "2"),
            small("b", "low", "n1"),
            asking("c", "2", "low").on("n2"),
        ])
        .preempts("n1", &["a"]),
        Scenario::new("too many pods", pod("p").priority_class("high"))
            .nodes([node("n1").capacity("pods", "2")])
            .running(["a", "b"].map(|name| pod(name).priority_class("low").on("n1")))
            .started("a", 1)
            .started("b", 2)
            .preempts("n1", &["b"]),
        Scenario::new(
            "anti-affinity of the pod",
            required(asking("p", "1", "high"), "podAntiAffinity", "web", HOSTNAME),
        )
        .nodes([node("n1")])
        .running([
            small("a", "middle", "n1").label("app", "web"),
            small("b", "low", "n1"),
        ])
        .preempts("n1", &["a"]),
        Scenario::new(
            "anti-affinity of the victim",
            asking("p", "1", "high").label("app", "web"),
        )
        .nodes([node("n1")])
        .running([
            required(
                small("a", "middle", "n1"),
                "podAntiAffinity",
                "web",
                HOSTNAME,
            ),
            required(small("b", "low", "n1"), "podAntiAffinity", "db", HOSTNAME),
        ])
        .preempts("n1", &["a"]),
        // On the other node of the zone nobody could go for it.
        Scenario::new(
            "anti-affinity in a zone",
            required(asking("p", "1", "high"), "podAntiAffinity", "web", ZONE),
        )
        .nodes([zoned("a1", "a"), zoned("a2", "a")])
        .running([
            small("w", "middle", "a1").label("app", "web"),
            small("b", "low", "a2"),
        ])
        .preempts("a1", &["w"]),
        Scenario::new(
            "anti-affinity in a zone with two that are on two nodes",
            required(asking("p", "1", "high"), "podAntiAffinity", "web", ZONE),
        )
        .nodes([zoned("a1", "a"), zoned("a2", "a")])
        .running(["a1", "a2"].map(|on| small(&format!("w-{on}"), "low", on).label("app", "web")))
        .refused(),
        Scenario::new(
            "affinity to nobody but a victim",
            required(asking("p", "2", "high"), "podAffinity", "db", HOSTNAME),
        )
        .nodes([node("n1")])
        .running([asking("a", "3", "low").label("app", "db").on("n1")])
        .refused(),
        Scenario::new(
            "affinity to one that may stay",
            required(asking("p", "2", "high"), "podAffinity", "db", HOSTNAME),
        )
        .nodes([node("n1"), node("n2")])
        .running([
            asking("a", "500m", "low").label("app", "db").on("n1"),
            asking("b", "3", "top").on("n2"),
            asking("c", "3", "middle").on("n1"),
        ])
        .refused(),
        Scenario::new(
            "spread: as many go as are too many",
            spread(asking("p", "1", "high"), "web", ZONE),
        )
        .nodes([zoned("a1", "a"), zoned("b1", "b").capacity("cpu", "500m")])
        .running([
            small("w1", "middle", "a1").label("app", "web"),
            small("w2", "low", "a1").label("app", "web"),
            small("other", "lowest", "a1"),
        ])
        .preempts("a1", &["w1", "w2"]),
        Scenario::new(
            "spread: they are on the other node",
            spread(asking("p", "1", "high"), "web", ZONE),
        )
        .nodes([
            zoned("a1", "a").capacity("cpu", "500m"),
            zoned("a2", "a"),
            zoned("b1", "b").capacity("cpu", "500m"),
        ])
        .running([
            small("w1", "low", "a1").label("app", "web"),
            small("other", "low", "a2"),
        ])
        .refused(),
        Scenario::new(
            "claim of one pod only",
            asking("p", "1", "high").claim("data"),
        )
        .nodes([node("n1"), node("n2")])
        .object("/api/v1/persistentvolumes", {
            let mut volume = volume("disk", &[]);
            volume["spec"]["accessModes"] = json!(["ReadWriteOncePod"]);
            volume
        })
        .object(
            "/api/v1/namespaces/default/persistentvolumeclaims",
            bound_claim("data", "disk", "ReadWriteOncePod"),
        )
        .running([
            small("a", "low", "n1").claim("data"),
            small("b", "lowest", "n1"),
        ])
        .preempts("n1", &["a"]),
    ])
    .await
}

#[tokio::test]
async fn where_it_is_no_help() -> Result<()> {
    let full = |name: &str, node: &str| asking(name, "4", "low").on(node);
    play(vec![
        Scenario::new(
            "no help: everywhere, each in its way",
            asking("p", "3", "high").selector("disk", "ssd"),
        )
        .nodes([
            node("n1").label("disk", "ssd").unschedulable(),
            node("n2")
                .label("disk", "ssd")
                .taint("team", "x", "NoSchedule"),
            node("n3"),
            node("n4").label("disk", "ssd").capacity("cpu", "2"),
        ])
        .running(["n1", "n2", "n3"].map(|node| full(&format!("v-{node}"), node)))
        .refused(),
        Scenario::new(
            "no help: nodes with taints, so a dearer one",
            asking("p", "3", "high"),
        )
        .nodes([node("n1").taint("team", "x", "NoExecute"), node("n2")])
        .running([full("a", "n1"), asking("b", "4", "middle").on("n2")])
        .preempts("n2", &["b"]),
        Scenario::new(
            "no help: outside the zone, so a dearer one",
            asking("p", "3", "high").affinity(required_node_affinity(&[(ZONE, "In", &["b"])])),
        )
        .nodes([zoned("a1", "a"), zoned("b1", "b")])
        .running([full("a", "a1"), asking("b", "4", "middle").on("b1")])
        .preempts("b1", &["b"]),
        scene("no help: beside one that may stay", "3", "middle", 2)
            .nodes([node("n3").capacity("cpu", "2")])
            .running([
                asking("a", "2", "high").on("n1"),
                asking("b", "2", "low").on("n1"),
                asking("c", "3", "top").on("n2"),
                asking("d", "1", "low").on("n3"),
            ])
            .refused(),
        Scenario::new(
            "no help: never by its own wish",
            asking("p", "2", "patient"),
        )
        .nodes([node("n1")])
        .running([full("a", "n1")])
        .refused(),
    ])
    .await
}
