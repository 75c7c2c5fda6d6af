//! What comes after the choice: victims that leave slowly, at once or not at all, and pods that are nominated.

use anyhow::Result;
use e2e::objects::PodBuilder;
use e2e::twin::scenario::Scenario;
use e2e::twin::{Change, OWN};
use serde_json::json;

use super::super::play;
use super::{asking, scene};

/// A pod of the scheduler that is asked, which a gate holds and which is nominated to a node.
fn nominated(scenario: Scenario, pod: PodBuilder, name: &str, node: &str) -> Scenario {
    let nomination = json!({"status": {"nominatedNodeName": node}});
    scenario
        .then(Change::pod(pod.named(name).scheduler(OWN).gate("later")))
        .then(Change::patch_pod(name, nomination))
}

fn full(name: &str, class: &str, node: &str) -> PodBuilder {
    asking(name, "4", class).on(node)
}

#[tokio::test]
async fn victims() -> Result<()> {
    play(vec![
        scene("a victim goes and the pod comes", "2", "high", 2)
            .running([full("a", "low", "n1"), full("b", "middle", "n2")])
            .preempts("n1", &["a"])
            .then(Change::delete_pod("a"))
            .best("n1"),
        scene("one of two victims is not enough", "4", "high", 1)
            .running(["a", "b"].map(|name| asking(name, "2", "low").on("n1")))
            .preempts("n1", &["a", "b"])
            .then(Change::delete_pod("a"))
            .refused()
            .then(Change::delete_pod("b"))
            .best("n1"),
        scene("a victim with a long grace", "2", "high", 1)
            .running([full("a", "low", "n1").spec("terminationGracePeriodSeconds", json!(600))])
            .preempts("n1", &["a"]),
        scene(
            "a victim that was marked for another reason",
            "2",
            "high",
            1,
        )
        .running([full("a", "low", "n1")])
        .then(Change::patch_pod(
            "a",
            json!({"status": {"conditions": [{
                "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
                "message": "Eviction API: evicting", "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]}}),
        ))
        .preempts("n1", &["a"]),
        scene("victims without any grace", "4", "high", 1)
            .running(["a", "b"].map(|name| {
                asking(name, "2", "low")
                    .on("n1")
                    .spec("terminationGracePeriodSeconds", json!(0))
            }))
            .displaces("n1", &["a", "b"]),
        scene("a victim that a finalizer keeps", "2", "high", 2)
            .running([
                full("a", "low", "n1").metadata("finalizers", json!(["example.com/keep"])),
                full("b", "middle", "n2"),
            ])
            .preempts("n1", &["a"])
            .then(Change::delete_pod("a"))
            .same()
            .then(Change::patch_pod(
                "a",
                json!({"metadata": {"finalizers": null}}),
            ))
            .best("n1"),
        scene(
            "one that leaves already is no victim of ours",
            "2",
            "high",
            2,
        )
        .running([full("a", "low", "n1"), full("b", "middle", "n2")])
        .then(Change::Terminate(
            "/api/v1/namespaces/default/pods/a".to_owned(),
        ))
        .preempts_of("n1", 1, &[])
        .then(Change::delete_pod("a"))
        .best("n1"),
        scene(
            "one that leaves already and one that does not",
            "4",
            "high",
            1,
        )
        .running(["a", "b"].map(|name| asking(name, "2", "low").on("n1")))
        .then(Change::Terminate(
            "/api/v1/namespaces/default/pods/a".to_owned(),
        ))
        .preempts_of("n1", 2, &["b"]),
        scene("a pod elsewhere goes by itself meanwhile", "2", "high", 2)
            .running([full("a", "low", "n1"), full("b", "middle", "n2")])
            .preempts("n1", &["a"])
            .then(Change::finish_pod("b"))
            .best("n2"),
    ])
    .await
}

#[tokio::test]
async fn nominations() -> Result<()> {
    play(vec![
        scene("a victim still leaves the nominated node", "4", "high", 2)
            .running([
                full("a", "low", "n1"),
                asking("b", "3", "middle").on("n2"),
                asking("small", "500m", "top").on("n2"),
            ])
            .preempts("n1", &["a"])
            .then(Change::delete_pod("small"))
            .refused()
            .same(),
        nominated(
            scene(
                "a nominated pod of lower priority gives way",
                "4",
                "high",
                1,
            )
            .running([asking("a", "3", "low").on("n1")]),
            asking("", "1", "middle"),
            "waiting",
            "n1",
        )
        .preempts("n1", &["a"])
        .freeing("waiting"),
        nominated(
            scene("a nominated pod of the same priority stays", "2", "high", 1)
                .running([full("a", "low", "n1")]),
            asking("", "1", "high"),
            "waiting",
            "n1",
        )
        .preempts("n1", &["a"]),
        nominated(
            scene(
                "a nominated pod of higher priority is in the way",
                "4",
                "high",
                2,
            )
            .running([full("a", "low", "n1"), full("b", "middle", "n2")]),
            asking("", "1", "top"),
            "waiting",
            "n1",
        )
        .preempts("n2", &["b"]),
        nominated(
            scene("a nominated pod needs further victims", "2", "high", 1).running([
                asking("a", "1", "middle").on("n1"),
                asking("b", "1", "middle").on("n1"),
                asking("c", "1", "low").on("n1"),
            ]),
            asking("", "1", "high"),
            "waiting",
            "n1",
        )
        .started("a", 1)
        .started("b", 2)
        .preempts("n1", &["b", "c"]),
    ])
    .await
}
