//! Pods that want to be near to other pods, or far from them.

use anyhow::Result;
use e2e::objects::{NodeBuilder, PodBuilder, node, pod};
use e2e::twin::Change;
use e2e::twin::scenario::Scenario;
use serde_json::{Value, json};

use super::{HOSTNAME, ZONE, play, zoned};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

fn term(app: &str, key: &str) -> Value {
    json!({"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key})
}

/// Requires to be with pods of an app.
fn near(pod: PodBuilder, app: &str, key: &str) -> PodBuilder {
    pod.affinity_term("podAffinity", REQUIRED, term(app, key))
}

/// Requires to be away from pods of an app.
fn far(pod: PodBuilder, app: &str, key: &str) -> PodBuilder {
    pod.affinity_term("podAntiAffinity", REQUIRED, term(app, key))
}

/// Would like to be with (`podAffinity`) or away from (`podAntiAffinity`) pods of an app.
fn likes(pod: PodBuilder, kind: &str, weight: i32, app: &str, key: &str) -> PodBuilder {
    let term = json!({"weight": weight, "podAffinityTerm": term(app, key)});
    pod.affinity_term(kind, PREFERRED, term)
}

fn web(name: &str) -> PodBuilder {
    pod(name).label("app", "web")
}

fn three_zones() -> [NodeBuilder; 3] {
    [zoned("a1", "a"), zoned("a2", "a"), zoned("b1", "b")]
}

#[tokio::test]
async fn required_affinity() -> Result<()> {
    let p = || pod("p");
    play(vec![
        Scenario::new("near: the pod is in one zone", near(p(), "web", ZONE))
            .nodes([zoned("a1", "a"), zoned("b1", "b")])
            .running([web("w").on("b1")])
            .best("b1"),
        Scenario::new("near: the pod is on one node", near(p(), "web", HOSTNAME))
            .nodes(three_zones())
            .running([web("w").on("a2")])
            .best("a2"),
        Scenario::new("near: there is no such pod", near(p(), "web", ZONE))
            .nodes(three_zones())
            .running([pod("other").label("app", "db").on("a1")])
            .refused(),
        Scenario::new("near: its node lacks the label", near(p(), "web", ZONE))
            .nodes([node("n1"), zoned("a1", "a")])
            .running([web("w").on("n1")])
            .refused(),
        Scenario::new(
            "near: two terms, one pod for both",
            near(near(p(), "web", ZONE), "web", HOSTNAME),
        )
        .nodes(three_zones())
        .running([web("w").on("a2")])
        .best("a2"),
        Scenario::new(
            "near: two terms, a pod for each",
            near(near(p(), "web", ZONE), "db", ZONE),
        )
        .nodes(three_zones())
        .running([web("w").on("a2"), pod("d").label("app", "db").on("a1")])
        .refused(),
        Scenario::new(
            "near: the first of its own kind",
            near(web("p"), "web", ZONE),
        )
        .nodes([zoned("a1", "a"), node("n1")])
        .best("a1"),
        Scenario::new(
            "near: the first of its own kind, where nothing has the label",
            near(web("p"), "web", ZONE),
        )
        .nodes([node("n1"), node("n2")])
        .refused(),
        Scenario::new(
            "near: not the first, but the others are where the label is not",
            near(web("p"), "web", ZONE),
        )
        .nodes([zoned("a1", "a"), node("n1")])
        .running([web("w").on("n1")])
        .best("a1"),
        Scenario::new(
            "near: the first of its own kind, with a second term",
            near(near(web("p"), "web", ZONE), "db", ZONE),
        )
        .nodes(three_zones())
        .refused(),
        Scenario::new("near: a pod that has finished", near(p(), "web", ZONE))
            .nodes(three_zones())
            .running([web("w").on("a1")])
            .then(Change::finish_pod("w"))
            .refused(),
        Scenario::new("near: a pod that is leaving", near(p(), "web", HOSTNAME))
            .nodes(three_zones())
            .running([web("w").on("a1")])
            .then(Change::Terminate(
                "/api/v1/namespaces/default/pods/w".to_owned(),
            ))
            .best("a1"),
        Scenario::new(
            "near: where it is, is no room",
            near(p().request("cpu", "2"), "web", HOSTNAME),
        )
        .nodes(three_zones())
        .running([web("w").request("cpu", "3").on("a1")])
        .refused(),
        Scenario::new(
            "near and far contradict each other",
            far(near(p(), "web", ZONE), "web", ZONE),
        )
        .nodes(three_zones())
        .running([web("w").on("a1")])
        .refused(),
    ])
    .await
}

#[tokio::test]
async fn required_anti_affinity() -> Result<()> {
    let p = || pod("p");
    play(vec![
        Scenario::new("far: another zone", far(p(), "web", ZONE))
            .nodes(three_zones())
            .running([web("w").on("a1")])
            .best("b1"),
        Scenario::new("far: no other node", far(p(), "web", HOSTNAME))
            .nodes([node("n1"), node("n2")])
            .running([web("v").on("n1"), web("w").on("n2")])
            .refused(),
        Scenario::new(
            "far: a node without the label is far from all",
            far(p(), "web", ZONE),
        )
        .nodes([zoned("a1", "a"), node("n1")])
        .running([web("w").on("a1")])
        .best("n1"),
        Scenario::new(
            "far: two terms in two zones",
            far(far(p(), "web", ZONE), "db", ZONE),
        )
        .nodes([zoned("a1", "a"), zoned("b1", "b"), zoned("c1", "c")])
        .running([web("w").on("a1"), pod("d").label("app", "db").on("b1")])
        .best("c1"),
        Scenario::new("far: the pods that are there do not want it", web("p"))
            .nodes([node("n1"), node("n2")])
            .running([far(pod("shy"), "web", HOSTNAME).on("n1")])
            .best("n2"),
        Scenario::new(
            "far: the pods that are there do not want it in their zone",
            web("p"),
        )
        .nodes([zoned("a1", "a"), zoned("a2", "a")])
        .running([
            far(pod("shy"), "web", ZONE).on("n1"),
            far(pod("shy2"), "web", ZONE).on("a1"),
        ])
        .refused(),
        Scenario::new(
            "far: both do not want each other",
            far(web("p"), "web", ZONE),
        )
        .nodes(three_zones())
        .running([far(web("v"), "web", ZONE).on("a1"), web("w").on("b1")])
        .refused(),
        Scenario::new(
            "far: a pod that is leaving still counts",
            far(p(), "web", ZONE),
        )
        .nodes([zoned("a1", "a")])
        .running([web("w").on("a1")])
        .then(Change::Terminate(
            "/api/v1/namespaces/default/pods/w".to_owned(),
        ))
        .refused(),
        Scenario::new(
            "far: a pod that has finished does not count",
            far(p(), "web", ZONE),
        )
        .nodes([zoned("a1", "a")])
        .running([web("w").on("a1")])
        .then(Change::finish_pod("w"))
        .best("a1"),
        Scenario::new(
            "far: all three reasons at once",
            far(near(web("p"), "db", ZONE), "cache", ZONE),
        )
        .nodes([zoned("a1", "a"), zoned("b1", "b"), zoned("c1", "c")])
        .running([
            pod("d1").label("app", "db").on("a1"),
            pod("c1").label("app", "cache").on("a1"),
            pod("d2").label("app", "db").on("b1"),
            far(pod("shy"), "web", ZONE).on("b1"),
        ])
        .refused(),
        Scenario::new("far: a pod on a node that is gone", far(p(), "web", ZONE))
            .nodes([zoned("a1", "a"), zoned("a2", "a")])
            .running([web("w").on("a1")])
            .then(Change::delete_node("a1"))
            .best("a2"),
    ])
    .await
}

#[tokio::test]
async fn preferences() -> Result<()> {
    let p = || pod("p");
    let pair = || [zoned("a1", "a"), zoned("b1", "b")];
    // What makes the other node the better one as long as nobody has a preference.
    let weight = || pod("weight").request("cpu", "1").request("memory", "4Gi");
    play(vec![
        Scenario::new(
            "likes: to be near",
            likes(p(), "podAffinity", 50, "web", ZONE),
        )
        .nodes(pair())
        .running([web("w").on("b1"), weight().on("b1")])
        .best("b1"),
        Scenario::new(
            "likes: to be far",
            likes(p(), "podAntiAffinity", 50, "web", ZONE),
        )
        .nodes(pair())
        .running([web("w").on("a1"), weight().on("b1")])
        .best("b1"),
        Scenario::new(
            "likes: the heavier wish",
            likes(
                likes(p(), "podAffinity", 10, "web", ZONE),
                "podAffinity",
                90,
                "db",
                ZONE,
            ),
        )
        .nodes(pair())
        .running([web("w").on("a1"), pod("d").label("app", "db").on("b1")])
        .best("b1"),
        Scenario::new(
            "likes: every pod counts",
            likes(p(), "podAffinity", 1, "web", ZONE),
        )
        .nodes(pair())
        .running([
            web("u").on("a1"),
            web("v").on("b1"),
            web("w").on("b1"),
            weight().on("b1"),
        ])
        .best("b1"),
        Scenario::new("likes: the pods that are there like it", web("p"))
            .nodes(pair())
            .running([
                likes(pod("fan"), "podAffinity", 100, "web", ZONE).on("b1"),
                weight().on("b1"),
            ])
            .best("b1"),
        Scenario::new("likes: the pods that are there dislike it", web("p"))
            .nodes(pair())
            .running([
                likes(pod("critic"), "podAntiAffinity", 100, "web", ZONE).on("a1"),
                weight().on("b1"),
            ])
            .best("b1"),
        Scenario::new("likes: the pods that are there need such a one", web("p"))
            .nodes(pair())
            .running([near(pod("needs"), "web", ZONE).on("b1"), weight().on("b1")])
            .best("b1"),
        Scenario::new("likes: that need weighs nothing", web("p"))
            .profile("weightless")
            .nodes(pair())
            .running([near(pod("needs"), "web", ZONE).on("b1"), weight().on("b1")])
            .best("a1"),
        Scenario::new("likes: that need weighs more than a dislike", web("p"))
            .profile("hard")
            .nodes(pair())
            .running([
                near(pod("needs"), "web", ZONE).on("b1"),
                likes(pod("critic"), "podAntiAffinity", 60, "web", ZONE).on("b1"),
                weight().on("b1"),
            ])
            .best("b1"),
        Scenario::new(
            "likes: what pods like is ignored if none of its own",
            web("p"),
        )
        .profile("ignoring")
        .nodes(pair())
        .running([
            likes(pod("fan"), "podAffinity", 100, "web", ZONE).on("b1"),
            weight().on("b1"),
        ])
        .best("a1"),
        Scenario::new("likes: the wish of a pod that has finished", web("p"))
            .nodes(pair())
            .running([
                likes(pod("fan"), "podAffinity", 100, "web", ZONE).on("b1"),
                weight().on("b1"),
            ])
            .then(Change::finish_pod("fan"))
            .best("a1"),
        Scenario::new(
            "likes: a node without the key",
            likes(p(), "podAntiAffinity", 50, "web", ZONE),
        )
        .nodes([zoned("a1", "a"), node("n1")])
        .running([web("w").on("a1"), weight().on("n1")])
        .best("n1"),
    ])
    .await
}
