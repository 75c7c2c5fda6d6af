#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::{Value, json};

use super::*;
use crate::plugins::testing::volumes::{Scene, asking, bound, made, named, near, node};

const MISSED: &str = "node(s) didn't match PersistentVolume's node affinity!";
const GONE: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)!";

/// Three nodes, volumes in zone a and zone b, one that can be reached from everywhere, and claims
/// that are named after what they are bound to.
fn scene() -> Scene {
    let mut scene = Scene::default();
    scene
        .node("a", json!({ "zone": "a" }))
        .node("b", json!({ "zone": "b" }))
        .node("none", json!({}))
        .class("waits", "WaitForFirstConsumer")
        .class("at-once", "Immediate")
        .volume("in-a", &near("zone", &["a", "nowhere"]))
        .volume("in-b", &near("zone", &["b"]))
        .volume("everywhere", &json!({}));
    for volume in ["in-a", "in-b", "everywhere", "lacking"] {
        scene.claim(volume, &bound(volume));
    }
    scene
}

#[track_caller]
fn check(scene: &Scene, volumes: &[Value], expected: &str) {
    assert_eq!(scene.answer(VolumeBinding, &asking(volumes)), expected);
}

#[test]
fn bound_claims_keep_the_pod_near_their_volumes() {
    let scene = scene();
    let check = |claims: &[&str], expected: &str| {
        let volumes: Vec<_> = claims.iter().map(|claim| named(claim)).collect();
        check(&scene, &volumes, expected);
    };
    check(&[], "skip");
    check(&["everywhere"], "a, b, none");
    check(&["in-a"], &format!("a, b: {MISSED}, none: {MISSED}"));
    check(
        &["everywhere", "in-b"],
        &format!("a: {MISSED}, b, none: {MISSED}"),
    );
    check(
        &["in-a", "in-b"],
        &format!("a: {MISSED}, b: {MISSED}, none: {MISSED}"),
    );
    // The first claim that fails gives the reason.
    check(&["lacking"], &format!("a: {GONE}, b: {GONE}, none: {GONE}"));
    check(
        &["in-a", "lacking"],
        &format!("a: {GONE}, b: {MISSED}, none: {MISSED}"),
    );
    check(
        &["lacking", "in-a"],
        &format!("a: {GONE}, b: {GONE}, none: {GONE}"),
    );
}

#[test]
fn claims_that_cannot_be_used_are_told() {
    let lost = json!({ "spec": { "volumeName": "v" }, "status": { "phase": "Lost" } });
    let deleted = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } });
    let unbound = "refused: pod has unbound immediate PersistentVolumeClaims";
    for (claim, expected) in [
        (None, "refused: persistentvolumeclaim \"x\" not found"),
        (
            Some(lost),
            "refused: persistentvolumeclaim \"x\" bound to non-existent persistentvolume \"v\"",
        ),
        (
            Some(deleted),
            "refused: persistentvolumeclaim \"x\" is being deleted",
        ),
        (Some(json!({})), unbound),
        (
            Some(json!({ "spec": { "storageClassName": "at-once" } })),
            unbound,
        ),
        (
            Some(json!({ "spec": { "storageClassName": "unknown" } })),
            unbound,
        ),
        // Bound to a volume by its writer, which is not complete yet.
        (
            Some(json!({ "spec": { "volumeName": "everywhere" } })),
            unbound,
        ),
        (
            Some(json!({ "spec": { "volumeName": "everywhere", "storageClassName": "waits" } })),
            unbound,
        ),
        (
            Some(json!({ "spec": { "storageClassName": "waits" } })),
            "refused: this version of Berth does not support volumes that need binding: \
             persistentvolumeclaim \"x\" waits for its first consumer",
        ),
    ] {
        let mut scene = scene();
        if let Some(claim) = &claim {
            scene.claim("x", claim);
        }
        check(&scene, &[named("x")], expected);
        check(&scene, &[named("everywhere"), named("x")], expected);
    }
    // A claim that should be bound is told of before one that waits.
    let mut scene = scene();
    scene.claim("waits", &json!({ "spec": { "storageClassName": "waits" } }));
    scene.claim("x", &json!({}));
    check(&scene, &[named("waits"), named("x")], unbound);
}

#[test]
fn a_claim_that_is_made_for_a_pod_has_to_be_its_own() {
    let mut scene = scene();
    check(
        &scene,
        &[made("v")],
        "refused: waiting for ephemeral volume controller to create the persistentvolumeclaim \"p-v\"",
    );
    let mut claim = bound("everywhere");
    for (owner, controls, expected) in [
        ("uid-of-p", true, "a, b, none"),
        ("uid-of-p", false, "foreign"),
        ("uid-of-another", true, "foreign"),
    ] {
        let foreign =
            "refused: PVC ns/p-v was not created for pod ns/p (pod is not owner)".to_owned();
        let expected = if expected == "foreign" {
            &foreign
        } else {
            expected
        };
        claim["metadata"]["ownerReferences"] = json!([{ "uid": owner, "controller": controls }]);
        scene.claim("p-v", &claim);
        check(&scene, &[made("v")], expected);
    }
    // Who names it may use it.
    check(&scene, &[named("p-v")], "a, b, none");
}

#[test]
fn volumes_of_old_drivers_are_refused() {
    let mut scene = scene();
    scene.volume("disk", &json!({ "spec": { "azureDisk": {} } }));
    scene.claim("disk", &bound("disk"));
    let answer = scene.answer(VolumeBinding, &asking(&[named("in-a"), named("disk")]));
    let begin = "refused: this version of Berth does not support volumes of drivers that were part \
                 of Kubernetes (awsElasticBlockStore, ";
    assert!(
        answer.starts_with(begin) && answer.ends_with(": persistentvolume \"disk\""),
        "{answer}"
    );
}

#[test]
fn what_changes_about_its_own_claims_and_volumes_is_heard() {
    let mut scene = scene();
    scene.claim("waits", &json!({ "spec": { "storageClassName": "waits" } }));
    let pod = asking(&[named("in-a"), named("waits"), made("v")]);
    let plugin = &VolumeBinding;
    for (at, expected) in [
        (("ns", "in-a"), true),
        (("ns", "p-v"), true),
        (("ns", "in-b"), false),
        (("other", "in-a"), false),
    ] {
        assert_eq!(scene.claim_helps(plugin, at, &pod), expected, "{at:?}");
    }
    for (name, expected) in [("in-a", true), ("in-b", false)] {
        for old in [None, Some(&json!({}))] {
            assert_eq!(
                scene.volume_helps(plugin, (name, old), &pod),
                expected,
                "{name}"
            );
        }
    }
    for (name, expected) in [("waits", true), ("at-once", false)] {
        let class = *scene.cluster.volumes().class(name).unwrap();
        let event = ClusterEvent::StorageClassAdd(name, class);
        assert_eq!(scene.hint(plugin, &event, &pod), expected, "{name}");
    }
}

#[test]
fn nodes_from_which_all_volumes_can_be_reached_are_heard_of() {
    let scene = scene();
    let (a, b) = (
        node("n", json!({ "zone": "a" })),
        node("n", json!({ "zone": "b" })),
    );
    for (claims, of_a, of_b) in [
        (&["in-a"][..], true, false),
        (&["in-a", "in-b"], false, false),
        (&["everywhere"], true, true),
        (&["lacking"], false, false),
        (&["unknown"], false, false),
    ] {
        let volumes: Vec<_> = claims.iter().map(|claim| named(claim)).collect();
        let pod = asking(&volumes);
        for (node, expected) in [(&a, of_a), (&b, of_b)] {
            let event = ClusterEvent::NodeAdd(node);
            assert_eq!(
                scene.hint(&VolumeBinding, &event, &pod),
                expected,
                "{claims:?}"
            );
        }
        for (old, new, expected) in [
            (&a, &b, of_b && !of_a),
            (&b, &a, of_a && !of_b),
            (&a, &a, false),
        ] {
            let event = ClusterEvent::NodeUpdate(EventKind::NodeLabel, old, new);
            assert_eq!(
                scene.hint(&VolumeBinding, &event, &pod),
                expected,
                "{claims:?}"
            );
        }
    }
}
