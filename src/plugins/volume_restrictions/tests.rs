#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::json;

use super::*;
use crate::cluster::Keep;
use crate::plugins::testing::volumes::{Scene, asking, made, named, pod};

const NO: &str = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access \
                  mode already in-use by another pod";

fn scene() -> Scene {
    let mut scene = Scene::default();
    scene.node("m", json!({})).node("n", json!({}));
    for (name, mode) in [("single", "ReadWriteOncePod"), ("shared", "ReadWriteMany")] {
        scene.claim(name, &json!({ "spec": { "accessModes": [mode] } }));
    }
    scene
}

#[test]
fn a_claim_for_one_pod_is_used_by_one() {
    let mut scene = scene();
    let refused = format!("m: {NO}, n: {NO}");
    let check = |scene: &Scene, volumes: &[_], expected: &str| {
        assert_eq!(scene.answer(VolumeRestrictions, &asking(volumes)), expected);
    };
    check(&scene, &[named("single")], "skip");
    scene.placed("shares", "n", &[named("shared")]);
    check(&scene, &[named("shared"), named("single")], "skip");
    scene.placed("alone", "n", &[named("single"), named("single")]);
    check(&scene, &[named("shared"), named("single")], &refused);
    check(&scene, &[named("shared")], "skip");
    // Two that got past the schedulers.
    scene.placed("too", "elsewhere", &[named("single")]);
    scene.gone("alone");
    check(&scene, &[named("single")], &refused);
    scene.gone("too");
    check(&scene, &[named("single")], "skip");
}

#[test]
fn a_claim_has_to_be_there_unless_it_is_made_for_the_pod() {
    let scene = scene();
    let answer = |volumes: &[_]| scene.answer(VolumeRestrictions, &asking(volumes));
    let missing = "refused: persistentvolumeclaim \"x\" not found";
    assert_eq!(answer(&[named("shared"), named("x")]), missing);
    assert_eq!(answer(&[made("x")]), "skip");
    assert_eq!(answer(&[]), "skip");
    let disk = answer(&[json!({ "rbd": {} })]);
    let begin = "refused: this version of Berth does not support volumes that nodes cannot share";
    assert!(disk.starts_with(begin), "{disk}");
}

#[test]
fn without_the_pod_that_uses_the_claim_it_would_fit() {
    let mut scene = scene();
    scene.placed("alone", "n", &[named("single")]);
    let pod = asking(&[named("single")]);
    let before = scene.cluster.volumes().clone();
    let mut trial = Scene {
        cluster: std::mem::take(&mut scene.cluster),
    };
    let answer = trial.cluster.speculate(|cluster| {
        let id = cluster.placed_by_uid("uid-of-alone").unwrap();
        cluster.remove(id);
        (Keep::RollBack, conflicts(&pod, cluster))
    });
    assert_eq!(answer, Ok(false));
    assert_eq!(*trial.cluster.volumes(), before);
}

/// Access modes cannot be changed, but a claim can be deleted and made anew.
#[test]
fn a_claim_that_becomes_free_is_heard_of() {
    let mut scene = scene();
    scene.placed("alone", "n", &[named("single")]);
    let asks = asking(&[named("single")]);
    let changed = ClusterEvent::Claim(EventKind::ClaimUpdate, "ns", "single");
    assert!(!scene.hint(&VolumeRestrictions, &changed, &asks));
    scene.claim(
        "single",
        &json!({ "spec": { "accessModes": ["ReadWriteMany"] } }),
    );
    assert!(scene.hint(&VolumeRestrictions, &changed, &asks));
}

#[test]
fn hints() {
    let scene = scene();
    let asks = asking(&[named("single"), made("x")]);
    let plugin = &VolumeRestrictions;
    for (at, expected) in [
        (("ns", "single"), true),
        (("ns", "p-x"), false),
        (("ns", "shared"), false),
        (("other", "single"), false),
    ] {
        assert_eq!(scene.claim_helps(plugin, at, &asks), expected, "{at:?}");
    }
    for (volumes, expected) in [
        (vec![], false),
        (vec![named("shared")], false),
        (vec![named("shared"), named("single")], true),
    ] {
        let mut gone = pod("gone", "n", &volumes);
        assert_eq!(scene.leaving_helps(plugin, &gone, &asks), expected);
        gone.peers.namespace = "other".into();
        assert!(!scene.leaving_helps(plugin, &gone, &asks));
    }
}
