//! Berth and kube-scheduler in one cluster, pod by pod: the same answers, word for word.
//!
//! With `E2E_SCHEDULER=kube-scheduler` the second one is another kube-scheduler, which proves that what is compared here
//! depends on nothing but the answers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod affinity;
mod filters;
mod owners;
mod questions;
mod resources;
mod scores;
mod spread;
mod terms;
mod wakeups;

use std::collections::BTreeSet;

use anyhow::Result;
use e2e::SchedulerKind;
use e2e::objects::{NodeBuilder, node};
use e2e::twin::Twins;
use e2e::twin::scenario::Scenario;

/// Nothing wakes pods that InterPodAffinity or PodTopologySpread rejected.
const HINTS: &str = "hints of InterPodAffinity and PodTopologySpread";

/// Services and controllers are not watched.
const OWNERS: &str = "services and controllers";

/// Scenarios that Berth cannot pass yet, with what it lacks. kube-scheduler passes them.
const NOT_YET: &[(&str, &str)] = &[
    ("default: the pods of a service", OWNERS),
    ("default: the pods of a ReplicaSet", OWNERS),
    ("default: the pods of a StatefulSet", OWNERS),
    ("default: the pods of a ReplicationController", OWNERS),
    ("default: hard ones of the profile", OWNERS),
    ("default: soft ones of the profile", OWNERS),
    ("hard: fewer domains than wanted", HINTS),
    ("a namespace comes to match", HINTS),
    ("spread: a pod comes where there are too few", HINTS),
    ("spread: a pod becomes one that counts", HINTS),
    ("spread: the zone with too few is gone", HINTS),
    ("spread: a node gets the label", HINTS),
    ("spread: a node moves to another zone", HINTS),
    ("near: such a pod comes", HINTS),
    ("near: a pod becomes such a one", HINTS),
    ("near: its node gets the label", HINTS),
    ("near: the pod becomes the first of its own kind", HINTS),
    ("far: the pod goes", HINTS),
    ("far: the pod finishes", HINTS),
    ("far: the pod becomes another one", HINTS),
    ("far: a node comes elsewhere", HINTS),
    ("far: its node moves to another zone", HINTS),
    ("far: the one that did not want it goes", HINTS),
    ("far: the pod is no longer one that is not wanted", HINTS),
];

const ZONE: &str = "topology.kubernetes.io/zone";
const HOSTNAME: &str = "kubernetes.io/hostname";

/// A node in a zone.
fn zoned(name: &str, zone: &str) -> NodeBuilder {
    node(name).label(ZONE, zone)
}

/// Plays scenarios one after the other and tells all that differ.
async fn play(scenarios: Vec<Scenario>) -> Result<()> {
    let names: BTreeSet<&str> = scenarios.iter().map(Scenario::name).collect();
    assert_eq!(names.len(), scenarios.len(), "two have the same name");
    let all = SchedulerKind::under_test()? == SchedulerKind::KubeScheduler;
    let mut twins = Twins::start().await?;
    let mut different = Vec::new();
    for scenario in &scenarios {
        let name = scenario.name();
        let not_yet = NOT_YET.iter().find(|(other, _)| *other == name);
        if let Some((_, lacks)) = not_yet.filter(|_| !all) {
            println!("left out: {name}: {lacks}");
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
