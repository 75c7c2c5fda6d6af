//! Which of several nodes is taken, and who may stay there.

use anyhow::Result;
use e2e::objects::{PodBuilder, node, pod};
use e2e::twin::scenario::Scenario;
use serde_json::json;

use super::super::play;
use super::{asking, budget, scene};

/// Pods of these names, on a node whose name is what the pod's begins with, with cpu and priority class.
fn fillers<const N: usize>(fillers: [(&str, &str, &str); N]) -> [PodBuilder; N] {
    fillers.map(|(name, cpu, class)| {
        let node = name.split('-').next().unwrap_or(name);
        asking(name, cpu, class).on(node)
    })
}

#[tokio::test]
async fn of_nodes() -> Result<()> {
    let protected = |scenario| budget(scenario, "web", json!({"matchLabels": {"app": "web"}}), 0);
    play(vec![
        scene("one node, one victim", "2", "high", 1)
            .running(fillers([("n1-a", "3", "low")]))
            .preempts("n1", &["n1-a"]),
        protected(scene("1: fewest budgets are broken", "4", "high", 2))
            .running([
                asking("n1-a", "4", "low").on("n1").label("app", "web"),
                asking("n2-a", "4", "middle").on("n2"),
            ])
            .preempts("n2", &["n2-a"]),
        protected(scene("1: one broken budget and not two", "4", "high", 2))
            .running([
                asking("n1-a", "2", "low").on("n1").label("app", "web"),
                asking("n1-b", "2", "low").on("n1").label("app", "web"),
                asking("n2-a", "2", "low").on("n2").label("app", "web"),
                asking("n2-b", "2", "middle").on("n2"),
            ])
            .preempts("n2", &["n2-a", "n2-b"]),
        scene("2: the lowest of the highest priorities", "4", "high", 2)
            .running(fillers([
                ("n1-a", "1", "low"),
                ("n1-b", "1", "low"),
                ("n1-c", "2", "low"),
                ("n2-a", "4", "middle"),
            ]))
            .preempts("n1", &["n1-a", "n1-b", "n1-c"]),
        scene("3: the lowest sum of priorities", "4", "high", 2)
            .running(fillers([
                ("n1-a", "2", "middle"),
                ("n1-b", "2", "middle"),
                ("n2-a", "2", "middle"),
                ("n2-b", "2", "low"),
            ]))
            .preempts("n2", &["n2-a", "n2-b"]),
        scene("3: a pod more is more, below zero too", "4", "high", 2)
            .running(fillers([
                ("n1-a", "2", "negative"),
                ("n1-b", "2", "negative"),
                ("n2-a", "4", "negative"),
            ]))
            .preempts("n2", &["n2-a"]),
        // The lowest priority there is adds nothing to the sum.
        scene("4: the fewest pods", "4", "high", 2)
            .running(fillers([
                ("n1-a", "4", "low"),
                ("n2-a", "2", "low"),
                ("n2-b", "2", "lowest"),
            ]))
            .preempts("n1", &["n1-a"]),
        scene("5: the latest start", "4", "high", 3)
            .running(fillers([
                ("n1-a", "4", "low"),
                ("n2-a", "4", "low"),
                ("n3-a", "4", "low"),
            ]))
            .started("n1-a", 1)
            .started("n2-a", 3)
            .started("n3-a", 2)
            .preempts("n2", &["n2-a"]),
        scene("5: the latest of the earliest starts", "4", "high", 2)
            .running(fillers([
                ("n1-a", "2", "low"),
                ("n1-b", "2", "low"),
                ("n2-a", "2", "low"),
                ("n2-b", "2", "low"),
            ]))
            .started("n1-a", 9)
            .started("n1-b", 1)
            .started("n2-a", 3)
            .started("n2-b", 2)
            .preempts("n2", &["n2-a", "n2-b"]),
        scene("5: starts of the highest priority only", "4", "high", 2)
            .running(fillers([
                ("n1-a", "2", "middle"),
                ("n1-b", "2", "low"),
                ("n2-a", "2", "middle"),
                ("n2-b", "2", "low"),
            ]))
            .started("n1-a", 5)
            .started("n1-b", 1)
            .started("n2-a", 4)
            .started("n2-b", 6)
            .preempts("n1", &["n1-a", "n1-b"]),
        scene("5: what has not started starts now", "4", "high", 2)
            .running(fillers([("n1-a", "4", "low"), ("n2-a", "4", "low")]))
            .started("n2-a", 23)
            .preempts("n1", &["n1-a"]),
        scene("as many nodes as kinds of reasons", "4", "middle", 4)
            .nodes([node("n5").capacity("cpu", "3")])
            .running(fillers([
                ("n1-a", "2", "high"),
                ("n2-a", "3", "middle"),
                ("n2-b", "1", "low"),
                ("n3-a", "1", "low"),
                ("n4-a", "1", "middle"),
                ("n5-a", "1", "lowest"),
            ]))
            .preempts("n3", &["n3-a"]),
    ])
    .await
}

#[tokio::test]
async fn of_victims() -> Result<()> {
    play(vec![
        scene("the higher priority stays", "2", "high", 1)
            .running(fillers([("n1-a", "2", "low"), ("n1-b", "2", "middle")]))
            .preempts("n1", &["n1-a"]),
        scene("the one that runs longer stays", "2", "high", 1)
            .running(fillers([("n1-a", "2", "low"), ("n1-b", "2", "low")]))
            .started("n1-a", 2)
            .started("n1-b", 1)
            .preempts("n1", &["n1-a"]),
        scene(
            "one that runs stays before one that has not started",
            "2",
            "high",
            1,
        )
        .running(fillers([("n1-a", "2", "low"), ("n1-b", "2", "low")]))
        .started("n1-b", 23)
        .preempts("n1", &["n1-a"]),
        scene(
            "a smaller one stays when a larger one cannot",
            "3",
            "high",
            1,
        )
        .running(fillers([
            ("n1-a", "2", "middle"),
            ("n1-b", "1", "low"),
            ("n1-c", "1", "low"),
        ]))
        .started("n1-b", 2)
        .started("n1-c", 1)
        .preempts("n1", &["n1-a", "n1-b"]),
        Scenario::new(
            "each of two resources needs another victim",
            asking("p", "2", "high").request("memory", "8Gi"),
        )
        .nodes([node("n1")])
        .running([
            asking("a", "1", "middle")
                .request("memory", "10Gi")
                .on("n1"),
            asking("b", "2500m", "low")
                .request("memory", "1Gi")
                .on("n1"),
            asking("c", "500m", "low").request("memory", "1Gi").on("n1"),
        ])
        .started("b", 2)
        .started("c", 3)
        .preempts("n1", &["a", "b"]),
        scene("an equal stays, and so nobody goes", "2", "middle", 1)
            .running(fillers([("n1-a", "3", "middle"), ("n1-b", "500m", "low")]))
            .refused(),
        scene("nobody below", "2", "middle", 2)
            .running(fillers([("n1-a", "3", "middle"), ("n2-a", "4", "high")]))
            .refused(),
        scene("below zero", "2", "negative", 2)
            .running(fillers([
                ("n1-a", "4", "negative"),
                ("n2-a", "4", "lowest"),
            ]))
            .preempts("n2", &["n2-a"]),
        Scenario::new(
            "no class ranks above a negative one",
            pod("p").request("cpu", "2"),
        )
        .nodes([node("n1")])
        .running(fillers([("n1-a", "4", "negative")]))
        .preempts("n1", &["n1-a"]),
    ])
    .await
}
