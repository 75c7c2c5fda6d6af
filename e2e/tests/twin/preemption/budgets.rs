//! PodDisruptionBudgets: they are kept if possible. In all scenarios one of two pods has to go, `a` with the higher
//! priority and `b` with the lower one, and `b` is the one that a budget may speak for.

use anyhow::Result;
use e2e::objects::PodBuilder;
use e2e::twin::scenario::Scenario;
use serde_json::{Value, json};

use super::super::play;
use super::{asking, budget, patch_budget, scene};

fn web() -> Value {
    json!({"matchLabels": {"app": "web"}})
}

/// The lower one of the two.
fn lower() -> PodBuilder {
    asking("b", "2", "low").on("n1").label("app", "web")
}

fn beside(name: &'static str, lower: PodBuilder) -> Scenario {
    let higher = asking("a", "2", "middle").on("n1").label("app", "db");
    scene(name, "2", "high", 1).running([higher, lower])
}

#[tokio::test]
async fn budgets() -> Result<()> {
    let no_labels = json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]});
    play(vec![
        budget(beside("budget: used up", lower()), "web", web(), 0).preempts("n1", &["a"]),
        budget(beside("budget: allows one", lower()), "web", web(), 1).preempts("n1", &["b"]),
        budget(
            beside("budget: of nobody's status", lower()),
            "web",
            web(),
            0,
        )
        .then(patch_budget("web", json!({"disruptionsAllowed": 0, "observedGeneration": 0})))
        .preempts("n1", &["a"]),
        budget(
            beside("budget: processed already", lower()),
            "web",
            web(),
            0,
        )
        .then(patch_budget(
            "web",
            json!({"disruptedPods": {"b": "2026-01-01T00:00:00Z"}}),
        ))
        .preempts("n1", &["b"]),
        budget(
            beside("budget: another one was processed", lower()),
            "web",
            web(),
            0,
        )
        .then(patch_budget(
            "web",
            json!({"disruptedPods": {"a": "2026-01-01T00:00:00Z"}}),
        ))
        .preempts("n1", &["a"]),
        budget(
            beside("budget: of an empty selector", lower()),
            "all",
            json!({}),
            0,
        )
        .preempts("n1", &["b"]),
        budget(
            beside("budget: without a selector", lower()),
            "all",
            Value::Null,
            0,
        )
        .preempts("n1", &["b"]),
        budget(
            beside(
                "budget: no pod without labels",
                asking("b", "2", "low").on("n1"),
            ),
            "bare",
            no_labels,
            0,
        )
        .preempts("n1", &["b"]),
        beside("budget: in another namespace", lower())
            .object(
                "/apis/policy/v1/namespaces/blue/poddisruptionbudgets",
                json!({"metadata": {"name": "web"}, "spec": {"minAvailable": 1, "selector": web()}}),
            )
            .preempts("n1", &["b"]),
        budget(
            budget(beside("budget: the second of two", lower()), "one", web(), 1),
            "two",
            json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
            1,
        )
        .preempts("n1", &["a"]),
        // The one that runs longer is asked first and uses the budget up; the other one then is the protected one.
        budget(
            scene("budget: it is used in the order of importance", "2", "high", 1),
            "web",
            web(),
            1,
        )
        .running(["a", "b"].map(|name| lower().named(name)))
        .started("a", 1)
        .started("b", 2)
        .preempts("n1", &["a"]),
        budget(
            scene("budget: a wish and no limit", "4", "high", 1),
            "web",
            web(),
            0,
        )
        .running(["a", "b"].map(|name| lower().named(name)))
        .preempts("n1", &["a", "b"]),
    ])
    .await
}
