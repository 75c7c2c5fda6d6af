//! Berth and kube-scheduler in one cluster, pod by pod: the same answers, word for word.
//!
//! With `E2E_SCHEDULER=kube-scheduler` the second one is another kube-scheduler, which proves that what is compared here
//! depends on nothing but the answers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod affinity;
mod filters;
mod owners;
mod preemption;
mod questions;
mod resources;
mod scores;
mod spread;
mod terms;
mod volumes;
mod wakeups;

use std::collections::BTreeSet;

use anyhow::Result;
use e2e::SchedulerKind;
use e2e::objects::{NodeBuilder, node};
use e2e::twin::Twins;
use e2e::twin::scenario::Scenario;

const ZONE: &str = "topology.kubernetes.io/zone";
const HOSTNAME: &str = "kubernetes.io/hostname";

/// A node in a zone.
fn zoned(name: &str, zone: &str) -> NodeBuilder {
    node(name).label(ZONE, zone)
}

/// Scenarios with an event by which Berth wakes a pod while kube-scheduler leaves it for its flush
/// after five minutes, see docs/compatibility.md. Only kube-scheduler plays them.
const WOKEN_EARLIER: &[&str] = &["what the profile adds", "a namespace comes to match"];

/// Plays scenarios one after the other and tells all that differ.
async fn play(scenarios: Vec<Scenario>) -> Result<()> {
    let names: BTreeSet<&str> = scenarios.iter().map(Scenario::name).collect();
    assert_eq!(names.len(), scenarios.len(), "two have the same name");
    let waits = SchedulerKind::under_test()? == SchedulerKind::KubeScheduler;
    let mut twins = Twins::start().await?;
    let mut different = Vec::new();
    for scenario in &scenarios {
        let name = scenario.name();
        if WOKEN_EARLIER.contains(&name) && !waits {
            continue;
        }
        if let Some(difference) = twins.play(scenario).await? {
            different.push(format!("{name}: {difference}"));
        }
    }
    assert!(
        different.is_empty(),
        "{} of {} scenarios differ:\n{}",
        different.len(),
        scenarios.len(),
        different.join("\n")
    );
    Ok(())
}
