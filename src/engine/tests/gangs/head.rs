//! A gang that has waited for too long.

use std::time::Duration;

use serde_json::json;

use super::super::counted_engine_of;
use super::scene::Scene;
use crate::framework::GangPolicy;
use crate::plugins::default_profile;
use crate::telemetry::metrics::Metrics;

fn with_patience(seconds: Option<u64>, nodes: usize) -> Scene {
    let mut scene = Scene::new(0, 0);
    let mut profile = default_profile("berth");
    profile.gangs = Some(GangPolicy {
        patience: seconds.map(Duration::from_secs),
    });
    let metrics = std::sync::Arc::new(Metrics::new().unwrap());
    scene.engine = counted_engine_of(profile, 0, &metrics);
    for node in 0..nodes {
        scene.node(&format!("node-{node}"), 8, &[]);
    }
    scene.apply(crate::engine::Change::Synced);
    scene
}

/// Small pods come as fast as others end, so that there is never room for the large gang unless
/// somebody keeps it.
fn stream(scene: &mut Scene, rounds: usize) {
    for pod in 0..8 {
        scene.pod("", &format!("small-{pod}"), 2);
    }
    scene.settle();
    scene.gang("large", 2, 2, 8);
    scene.settle();
    for round in 0..rounds {
        scene.wait(1);
        scene.pod("", &format!("small-{}", 8 + round), 2);
        scene.delete(&format!("small-{round}"));
        scene.settle();
    }
}

#[test]
fn without_patience_small_pods_can_keep_a_large_gang_waiting() {
    let mut scene = with_patience(None, 2);
    stream(&mut scene, 40);
    assert_eq!(scene.bound("large"), 0);
    assert_eq!(scene.bound("small"), 8);
}

#[test]
fn a_gang_that_has_waited_for_too_long_is_served_first() {
    let mut scene = with_patience(Some(20), 2);
    stream(&mut scene, 40);
    assert_eq!(scene.bound("large"), 2);
    // Afterwards the others go on.
    scene.delete_gang("large");
    scene.settle();
    assert_eq!(scene.bound("small"), 8);
}

#[test]
fn who_asks_for_something_else_or_is_more_important_goes_on() {
    let mut scene = with_patience(Some(0), 1);
    scene.pod("", "filler", 1);
    scene.settle();
    scene.gang("large", 1, 1, 8);
    scene.settle();
    scene.pod("", "equal", 1);
    scene.pod("", "cpu", 0);
    scene.pod_with("", "high", 1, json!({}), json!({"priority": 1}));
    scene.gang("later", 1, 1, 1);
    scene.settle();
    let bound =
        |scene: &Scene| ["equal", "cpu", "high", "later-0"].map(|pod| scene.node_of(pod).is_some());
    assert_eq!(bound(&scene), [false, true, true, false]);
    let (_, text) = scene.condition("equal");
    assert_eq!(
        text,
        "gang default/large has waited for longer and is served first"
    );
    assert_eq!(scene.condition("later-0").1, text);
    // Its end ends it.
    scene.delete("large-0");
    scene.settle();
    assert_eq!(bound(&scene), [true; 4]);
}

#[test]
fn a_gang_that_can_never_fit_stops_nobody() {
    let mut scene = with_patience(Some(0), 1);
    scene.gang("never", 1, 1, 9);
    scene.settle();
    scene.wait(10);
    scene.settle();
    scene.pod("", "small", 1);
    scene.settle();
    assert!(scene.node_of("small").is_some());
}

#[test]
fn a_gang_that_may_not_be_tried_any_more_stops_nobody() {
    let lost = |scene: &mut Scene| scene.delete("large-1");
    let ungrouped = |scene: &mut Scene| scene.group_gone("large");
    let changes: [&dyn Fn(&mut Scene); 2] = [&lost, &ungrouped];
    for change in changes {
        let mut scene = with_patience(Some(0), 1);
        scene.pod("", "filler", 2);
        scene.settle();
        scene.gang("large", 2, 2, 4);
        scene.settle();
        scene.pod("", "small", 1);
        scene.settle();
        assert_eq!(scene.node_of("small"), None);
        change(&mut scene);
        scene.settle();
        assert!(scene.node_of("small").is_some());
    }
}

#[test]
fn a_gang_that_runs_keeps_nothing_for_its_further_pods() {
    let mut scene = with_patience(Some(0), 1);
    scene.gang("large", 1, 2, 6);
    scene.settle();
    scene.wait(10);
    scene.settle();
    assert_eq!(scene.bound("large"), 1);
    scene.pod("", "small", 1);
    scene.settle();
    assert!(scene.node_of("small").is_some());
}

#[test]
fn only_what_the_gang_asks_for_now_is_kept_for_it() {
    let mut scene = with_patience(Some(0), 1);
    let wide = json!({"containers": [{"name": "main", "resources": {"requests": {"cpu": "40"}}}]});
    scene.pod_with("", "filler", 0, json!({}), wide.clone());
    scene.pod("", "user", 1);
    scene.settle();
    scene.group("large", 1);
    scene.pod_with("large", "large-0", 0, json!({}), wide);
    scene.settle();
    scene.pod("", "small", 0);
    scene.settle();
    // Without devices everything is kept for it.
    assert_eq!(scene.node_of("small"), None);
    scene.pod("large", "large-1", 8);
    scene.settle();
    assert!(scene.node_of("small").is_some());
    scene.pod("", "device", 1);
    scene.settle();
    assert_eq!(scene.node_of("device"), None);
}

/// A gang that has waited for long enough to be served first, on one node with 8 GPUs, and a small
/// pod that could go there.
#[track_caller]
fn passes(expected: bool, submit: impl Fn(&mut Scene)) {
    let mut scene = with_patience(Some(0), 1);
    submit(&mut scene);
    scene.settle();
    scene.wait(10);
    scene.settle();
    assert_eq!(scene.bound("g"), 0);
    scene.pod("", "small", 1);
    scene.settle();
    assert_eq!(scene.node_of("small").is_some(), expected);
}

#[test]
fn only_what_may_fit_when_others_end_is_served_first() {
    let filled = |scene: &mut Scene| {
        scene.pod("", "filler", 2);
        scene.settle();
    };
    passes(false, |scene| {
        filled(scene);
        scene.gang("g", 2, 3, 4);
    });
    // Three of four must run, for which the cluster is too small.
    passes(true, |scene| scene.gang("g", 3, 4, 4));
    // Too few are left when those are left out that are too large.
    passes(true, |scene| {
        scene.gang("g", 2, 2, 9);
        scene.pod("g", "g-2", 1);
    });
    passes(false, |scene| {
        filled(scene);
        scene.gang("g", 2, 2, 4);
        scene.pod("g", "g-2", 9);
    });
    // Nobody who ends gives the node another label.
    passes(true, |scene| {
        scene.group("g", 1);
        let spec = json!({"nodeSelector": {"rack": "none"}});
        scene.pod_with("g", "g-0", 1, json!({}), spec);
    });
}
