//! Whose pods a term of pod affinity means: namespaces and further labels.

use anyhow::Result;
use e2e::objects::{PodBuilder, pod};
use e2e::twin::Change;
use e2e::twin::scenario::Scenario;
use serde_json::{Value, json};

use super::{ZONE, play, zoned};

/// A required term about pods with `app=web` by zone, with further fields.
fn term(kind: &str, fields: Value) -> PodBuilder {
    let mut term = json!({"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": ZONE});
    for (field, value) in fields.as_object().unwrap() {
        term[field] = value.clone();
    }
    pod("p").affinity_term(kind, "requiredDuringSchedulingIgnoredDuringExecution", term)
}

fn web(name: &str) -> PodBuilder {
    pod(name).label("app", "web")
}

#[tokio::test]
async fn namespaces() -> Result<()> {
    let pair = || [zoned("a1", "a"), zoned("b1", "b")];
    let near = |fields| term("podAffinity", fields);
    let far = |fields| term("podAntiAffinity", fields);
    let blue = || json!({"namespaceSelector": {"matchLabels": {"team": "blue"}}});
    play(vec![
        Scenario::new("only its own namespace", far(json!({})))
            .nodes([zoned("a1", "a")])
            .running([web("w").namespace("blue").on("a1")])
            .best("a1"),
        Scenario::new("other namespaces by name", far(json!({"namespaces": ["blue"]})))
            .nodes(pair())
            .running([web("v").on("b1"), web("w").namespace("blue").on("a1")])
            .best("b1"),
        Scenario::new("namespaces by label", near(blue()))
            .nodes(pair())
            .running([web("w").namespace("blue").on("b1"), web("v").namespace("green").on("a1")])
            .best("b1"),
        Scenario::new("all namespaces", far(json!({"namespaceSelector": {}})))
            .nodes(pair())
            .running([web("w").namespace("green").on("a1"), web("v").namespace("blue").on("b1")])
            .refused(),
        Scenario::new(
            "namespaces by name and by label",
            far(json!({"namespaces": ["green"], "namespaceSelector": {"matchLabels": {"team": "blue"}}})),
        )
        .nodes([zoned("a1", "a"), zoned("b1", "b"), zoned("c1", "c")])
        .running([
            web("u").on("c1"),
            web("v").namespace("blue").on("a1"),
            web("w").namespace("green").on("b1"),
        ])
        .best("c1"),
        Scenario::new("a namespace comes to match", near(json!({"namespaceSelector": {"matchLabels": {"extra": "yes"}}})))
            .nodes(pair())
            .running([web("w").namespace("blue").on("b1")])
            .refused()
            // What wakes the pod is not the namespace but the node.
            .then(Change::label_namespace("blue", json!({"extra": "yes"})))
            .same()
            .then(Change::node(zoned("b2", "b").capacity("cpu", "64").capacity("memory", "256Gi")))
            .best("b2"),
        Scenario::new(
            "a namespace has come to match",
            near(json!({"namespaceSelector": {"matchExpressions": [{"key": "extra", "operator": "Exists"}]}})),
        )
        .then(Change::label_namespace("green", json!({"extra": "yes"})))
        .nodes(pair())
        .running([web("w").namespace("green").on("a1")])
        .best("a1"),
        Scenario::new("a pod there does not want those of other namespaces", web("p").namespace("green"))
            .nodes(pair())
            .running([far(json!({"namespaceSelector": {"matchLabels": {"team": "green"}}})).named("shy").on("a1")])
            .best("b1"),
        Scenario::new("a pod there means its own namespace", web("p").namespace("green"))
            .nodes([zoned("a1", "a")])
            .running([far(json!({})).named("shy").on("a1")])
            .best("a1"),
        Scenario::new("a pod there lists another namespace than its own", web("p"))
            .nodes([zoned("a1", "a")])
            .running([far(json!({"namespaces": ["blue"]})).named("shy").on("a1")])
            .best("a1"),
    ])
    .await
}

#[tokio::test]
async fn label_keys() -> Result<()> {
    let pair = || [zoned("a1", "a"), zoned("b1", "b")];
    let keys =
        |kind: &str, field: &str| term(kind, json!({field: ["version"]})).label("version", "2");
    play(vec![
        Scenario::new(
            "matchLabelKeys: far from its own version",
            keys("podAntiAffinity", "matchLabelKeys"),
        )
        .nodes(pair())
        .running([
            web("v").label("version", "1").on("a1"),
            web("w").label("version", "2").on("b1"),
        ])
        .best("a1"),
        Scenario::new(
            "matchLabelKeys: near to its own version",
            keys("podAffinity", "matchLabelKeys"),
        )
        .nodes(pair())
        .running([
            web("v").label("version", "1").on("a1"),
            web("w").label("version", "2").on("b1"),
        ])
        .best("b1"),
        Scenario::new(
            "mismatchLabelKeys: far from other versions",
            keys("podAntiAffinity", "mismatchLabelKeys"),
        )
        .nodes(pair())
        .running([
            web("v").label("version", "1").on("a1"),
            web("w").label("version", "2").on("b1"),
        ])
        .best("b1"),
        Scenario::new(
            "mismatchLabelKeys: pods without the label are others",
            keys("podAntiAffinity", "mismatchLabelKeys"),
        )
        .nodes([zoned("a1", "a")])
        .running([web("v").on("a1")])
        .refused(),
        Scenario::new(
            "matchLabelKeys: a label that the pod lacks",
            term("podAntiAffinity", json!({"matchLabelKeys": ["stage"]})),
        )
        .nodes([zoned("a1", "a")])
        .running([web("w").on("a1")])
        .refused(),
        Scenario::new(
            "matchLabelKeys: of a pod that is there",
            web("p").label("version", "2"),
        )
        .nodes(pair())
        .running([keys("podAntiAffinity", "matchLabelKeys")
            .named("shy")
            .on("a1")])
        .best("b1"),
        Scenario::new(
            "no selector means no pod",
            term("podAntiAffinity", json!({"labelSelector": null})),
        )
        .nodes([zoned("a1", "a")])
        .running([web("w").on("a1")])
        .best("a1"),
        Scenario::new(
            "an empty selector means all pods",
            term("podAntiAffinity", json!({"labelSelector": {}})),
        )
        .nodes([zoned("a1", "a")])
        .running([pod("w").on("a1")])
        .refused(),
        Scenario::new(
            "expressions",
            term(
                "podAntiAffinity",
                json!({"labelSelector": {"matchExpressions": [
                    {"key": "app", "operator": "In", "values": ["web", "db"]},
                    {"key": "stage", "operator": "NotIn", "values": ["test"]},
                    {"key": "old", "operator": "DoesNotExist"},
                    {"key": "app", "operator": "Exists"},
                ]}}),
            ),
        )
        .nodes([zoned("a1", "a"), zoned("b1", "b"), zoned("c1", "c")])
        .running([
            web("w").on("a1"),
            web("v").label("stage", "test").on("b1"),
            web("u").on("c1"),
        ])
        .best("b1"),
    ])
    .await
}
