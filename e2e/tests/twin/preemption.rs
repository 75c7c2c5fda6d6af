//! Room that is made for a pod: for whom, on which node, who has to go, and what is said about it.
//!
//! Nodes have 4 cpu. Every scenario has one answer only: where several nodes or pods would do, a rule decides.

mod budgets;
mod choice;
mod life;
mod plugins;

use e2e::objects::{PodBuilder, node, pod};
use e2e::twin::Change;
use e2e::twin::scenario::Scenario;
use serde_json::{Value, json};

const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";

/// A pod that asks for cpu with a priority class.
fn asking(name: &str, cpu: &str, class: &str) -> PodBuilder {
    pod(name).request("cpu", cpu).priority_class(class)
}

/// A pod that asks for this much cpu, in a cluster of so many nodes: n1, n2 and so on.
fn scene(name: &'static str, cpu: &str, class: &str, nodes: usize) -> Scenario {
    let nodes = (1..=nodes).map(|number| node(&format!("n{number}")));
    Scenario::new(name, asking("p", cpu, class)).nodes(nodes)
}

/// A budget that lets so many of the pods go that this selector finds. The controller that would compute that does not
/// run.
fn budget(scenario: Scenario, name: &str, selector: Value, allowed: u32) -> Scenario {
    let budget = json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"minAvailable": 1, "selector": selector},
    });
    let status = json!({
        "disruptionsAllowed": allowed, "currentHealthy": 4, "desiredHealthy": 1, "expectedPods": 4,
        "observedGeneration": 1,
    });
    scenario
        .object(BUDGETS, budget)
        .then(patch_budget(name, status))
}

/// Changes the status of a budget.
fn patch_budget(name: &str, status: Value) -> Change {
    Change::Patch(format!("{BUDGETS}/{name}"), json!({"status": status}))
}
