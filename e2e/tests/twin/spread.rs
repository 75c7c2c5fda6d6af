//! Pods that are to be spread over a topology.

use anyhow::Result;
use e2e::objects::{NodeBuilder, PodBuilder, node, pod, required_node_affinity};
use e2e::twin::Change;
use e2e::twin::scenario::Scenario;
use serde_json::{Value, json};

use super::{HOSTNAME, ZONE, play, zoned};

/// A constraint over pods with `app=web`, with further fields.
fn constraint(key: &str, skew: u32, when: &str, fields: Value) -> Value {
    let mut constraint = json!({
        "maxSkew": skew, "topologyKey": key, "whenUnsatisfiable": when,
        "labelSelector": {"matchLabels": {"app": "web"}},
    });
    for (field, value) in fields.as_object().unwrap() {
        constraint[field] = value.clone();
    }
    constraint
}

fn hard(fields: Value) -> Value {
    constraint(ZONE, 1, "DoNotSchedule", fields)
}

fn soft(fields: Value) -> Value {
    constraint(ZONE, 1, "ScheduleAnyway", fields)
}

fn web(name: &str) -> PodBuilder {
    pod(name).label("app", "web")
}

fn pair() -> [NodeBuilder; 2] {
    [zoned("a1", "a"), zoned("b1", "b")]
}

#[tokio::test]
async fn hard_constraints() -> Result<()> {
    let both = |first: Value, second: Value| web("p").spread(first).spread(second);
    let full = |on: &str| pod("full").request("cpu", "4").on(on);
    play(vec![
        Scenario::new(
            "hard: the zone with fewer",
            web("p").spread(hard(json!({}))),
        )
        .nodes(pair())
        .running([web("w").on("a1")])
        .best("b1"),
        Scenario::new(
            "hard: the zone with fewer is full",
            web("p").spread(hard(json!({}))).request("cpu", "1"),
        )
        .nodes(pair())
        .running([web("w").on("a1"), full("b1")])
        .refused(),
        Scenario::new(
            "hard: a larger skew",
            web("p")
                .spread(constraint(ZONE, 2, "DoNotSchedule", json!({})))
                .request("cpu", "1"),
        )
        .nodes(pair())
        .running([web("w").on("a1"), full("b1")])
        .best("a1"),
        Scenario::new(
            "hard: a node without the label",
            web("p").spread(hard(json!({}))),
        )
        .nodes([node("n1"), node("n2")])
        .refused(),
        Scenario::new(
            "hard: nodes without the label and a full zone",
            web("p").spread(hard(json!({}))).request("cpu", "1"),
        )
        .nodes([node("n1"), zoned("a1", "a"), zoned("b1", "b")])
        .running([web("w").on("a1"), full("b1")])
        .refused(),
        Scenario::new(
            "hard: by zone and by node",
            both(
                hard(json!({})),
                constraint(HOSTNAME, 1, "DoNotSchedule", json!({})),
            ),
        )
        .nodes([
            zoned("a1", "a"),
            zoned("a2", "a"),
            zoned("b1", "b"),
            zoned("b2", "b"),
        ])
        .running([web("u").on("a1"), web("v").on("a2"), web("w").on("b1")])
        .best("b2"),
        Scenario::new(
            "hard: pods that are not its own kind",
            pod("p").label("app", "db").spread(hard(json!({}))),
        )
        .nodes(pair())
        .running([web("v").on("a1"), web("w").on("a1")])
        .best("b1"),
        Scenario::new(
            "hard: other namespaces do not count",
            web("p").spread(hard(json!({}))).request("cpu", "1"),
        )
        .nodes(pair())
        .running([web("w").namespace("blue").on("a1"), full("b1")])
        .best("a1"),
        Scenario::new(
            "hard: a pod that is leaving does not count",
            web("p").spread(hard(json!({}))).request("cpu", "1"),
        )
        .nodes(pair())
        .running([web("w").on("a1"), full("b1")])
        .then(Change::Terminate(
            "/api/v1/namespaces/default/pods/w".to_owned(),
        ))
        .best("a1"),
        Scenario::new(
            "hard: fewer domains than wanted",
            web("p").spread(hard(json!({"minDomains": 3}))),
        )
        .nodes(pair())
        .running([web("v").on("a1"), web("w").on("b1")])
        .refused()
        .then(Change::node(zoned("c1", "c")))
        .best("c1"),
        Scenario::new(
            "hard: as many domains as wanted",
            web("p").spread(hard(json!({"minDomains": 2}))),
        )
        .nodes([
            zoned("a1", "a"),
            zoned("b1", "b")
                .capacity("cpu", "64")
                .capacity("memory", "256Gi"),
        ])
        .running([web("v").on("a1"), web("w").on("b1")])
        .best("b1"),
        Scenario::new(
            "hard: only its own version counts",
            web("p")
                .label("version", "2")
                .spread(hard(json!({"matchLabelKeys": ["version"]}))),
        )
        .nodes(pair())
        .running([
            web("u").label("version", "1").on("b1"),
            web("w").label("version", "2").on("a1"),
        ])
        .best("b1"),
        Scenario::new(
            "hard: a zone that affinity leaves out does not count",
            web("p")
                .spread(hard(json!({})))
                .affinity(required_node_affinity(&[(ZONE, "In", &["a", "c"])])),
        )
        .nodes([zoned("a1", "a"), zoned("b1", "b"), zoned("c1", "c")])
        .running([web("v").on("a1")])
        .best("c1"),
        Scenario::new(
            "hard: a zone that affinity leaves out counts if it is told to",
            web("p")
                .spread(hard(json!({"nodeAffinityPolicy": "Ignore"})))
                .affinity(required_node_affinity(&[(ZONE, "In", &["a"])])),
        )
        .nodes(pair())
        .running([web("v").on("a1")])
        .refused(),
        Scenario::new(
            "hard: a tainted zone counts",
            web("p").spread(hard(json!({}))),
        )
        .nodes([
            zoned("a1", "a"),
            zoned("b1", "b").taint("k", "v", "NoSchedule"),
        ])
        .running([web("v").on("a1")])
        .refused(),
        Scenario::new(
            "hard: a tainted zone does not count if it is told not to",
            web("p").spread(hard(json!({"nodeTaintsPolicy": "Honor"}))),
        )
        .nodes([
            zoned("a1", "a"),
            zoned("b1", "b").taint("k", "v", "NoSchedule"),
        ])
        .running([web("v").on("a1")])
        .best("a1"),
        Scenario::new(
            "hard: a cordoned zone counts",
            web("p").spread(hard(json!({}))),
        )
        .nodes([zoned("a1", "a"), zoned("b1", "b").unschedulable()])
        .running([web("v").on("a1")])
        .refused(),
        Scenario::new(
            "hard: an empty selector counts nobody",
            web("p")
                .spread(hard(json!({"labelSelector": {}})))
                .request("cpu", "1"),
        )
        .nodes(pair())
        .running([web("v").on("a1"), full("b1")])
        .best("a1"),
        Scenario::new(
            "hard: no selector counts nobody",
            web("p")
                .spread(hard(json!({"labelSelector": null})))
                .request("cpu", "1"),
        )
        .nodes(pair())
        .running([web("v").on("a1"), full("b1")])
        .best("a1"),
    ])
    .await
}

#[tokio::test]
async fn soft_constraints() -> Result<()> {
    let weight = |on: &str| {
        pod("weight")
            .request("cpu", "1")
            .request("memory", "4Gi")
            .on(on)
    };
    play(vec![
        Scenario::new(
            "soft: the zone with fewer",
            web("p").spread(soft(json!({}))),
        )
        .nodes(pair())
        .running([web("w").on("a1"), weight("b1")])
        .best("b1"),
        Scenario::new(
            "soft: the zone with fewer is full",
            web("p").spread(soft(json!({}))).request("cpu", "1"),
        )
        .nodes(pair())
        .running([web("w").on("a1"), pod("full").request("cpu", "4").on("b1")])
        .best("a1"),
        Scenario::new(
            "soft: the node with fewer",
            web("p").spread(constraint(HOSTNAME, 1, "ScheduleAnyway", json!({}))),
        )
        .nodes([node("n1"), node("n2"), node("n3")])
        .running([
            web("u").on("n1"),
            web("v").on("n1"),
            web("w").on("n2"),
            weight("n3"),
        ])
        .best("n3"),
        Scenario::new(
            "soft: by zone and by node",
            web("p").spread(soft(json!({}))).spread(constraint(
                HOSTNAME,
                1,
                "ScheduleAnyway",
                json!({}),
            )),
        )
        .nodes([
            zoned("a1", "a"),
            zoned("a2", "a"),
            zoned("b1", "b"),
            zoned("b2", "b"),
        ])
        .running([
            web("t").on("a1"),
            web("u").on("a1"),
            web("v").on("a2"),
            web("w").on("b1"),
        ])
        .best("b2"),
        Scenario::new(
            "soft: a node without the label comes last",
            web("p").spread(soft(json!({}))),
        )
        .nodes([zoned("a1", "a"), node("n1")])
        .running([web("w").on("a1"), weight("a1")])
        .best("a1"),
        Scenario::new(
            "soft: one large zone, one small",
            web("p").spread(soft(json!({}))),
        )
        .nodes([
            zoned("a1", "a"),
            zoned("a2", "a"),
            zoned("a3", "a"),
            zoned("b1", "b"),
        ])
        .running([
            web("u").on("a1"),
            web("v").on("a2"),
            web("w").on("b1"),
            weight("b1"),
        ])
        .best("b1"),
        Scenario::new(
            "soft: only its own version counts",
            web("p")
                .label("version", "2")
                .spread(soft(json!({"matchLabelKeys": ["version"]}))),
        )
        .nodes(pair())
        .running([
            web("u").label("version", "1").on("b1"),
            web("v").label("version", "1").on("b1"),
            web("w").label("version", "2").on("a1"),
        ])
        .best("b1"),
        Scenario::new(
            "soft: hard by node, soft by zone",
            web("p")
                .spread(constraint(HOSTNAME, 1, "DoNotSchedule", json!({})))
                .spread(soft(json!({}))),
        )
        .nodes([zoned("a1", "a"), zoned("a2", "a"), zoned("b1", "b")])
        .running([web("v").on("a1"), weight("b1")])
        .best("b1"),
        Scenario::new(
            "soft: a tainted node counts or not",
            web("p").spread(soft(json!({"nodeTaintsPolicy": "Honor"}))),
        )
        .nodes([
            zoned("a1", "a"),
            zoned("b1", "b"),
            zoned("b2", "b").taint("k", "v", "NoSchedule"),
        ])
        .running([
            web("u").on("b2"),
            web("v").on("b2"),
            web("w").on("a1"),
            weight("a1"),
        ])
        .best("b1"),
    ])
    .await
}
