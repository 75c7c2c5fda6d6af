#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::{Value, json};

use super::*;
use crate::plugins::testing::volumes::{Scene, asking, bound, made, named, node};

const ZONE: &str = "topology.kubernetes.io/zone";
const REGION: &str = "topology.kubernetes.io/region";
const OLD_ZONE: &str = "failure-domain.beta.kubernetes.io/zone";
const NO: &str = "node(s) had no available volume zone!";

fn labelled(labels: Value) -> Value {
    json!({ "metadata": { "labels": labels } })
}

/// What is said of a node with these labels when the pod has a claim on a volume with those.
#[track_caller]
fn check(volume: Value, of_node: Value, expected: &str) {
    let mut scene = Scene::default();
    scene.node("n", of_node.clone());
    scene.volume("v", &labelled(volume));
    scene.claim("c", &bound("v"));
    let pod = asking(&[named("c")]);
    assert_eq!(scene.answer(VolumeZone, &pod), expected);
    // A node that would do helps when it comes.
    let node = node("n", of_node);
    let event = ClusterEvent::NodeAdd(&node);
    assert_eq!(
        scene.hint(&VolumeZone, &event, &pod),
        !expected.contains(NO)
    );
}

#[test]
fn a_volume_is_where_its_labels_say() {
    let no = &*format!("n: {NO}");
    check(json!({}), json!({ ZONE: "a" }), "skip");
    check(json!({ "zone": "a" }), json!({ ZONE: "b" }), "skip");
    check(json!({ ZONE: "a__" }), json!({ ZONE: "b" }), "skip");
    check(json!({ ZONE: "a" }), json!({ ZONE: "a" }), "n");
    check(json!({ ZONE: "a" }), json!({ ZONE: "b" }), no);
    check(json!({ ZONE: "b__a" }), json!({ ZONE: "a" }), "n");
    check(json!({ ZONE: "b__c" }), json!({ ZONE: "a" }), no);
    check(
        json!({ ZONE: "a", REGION: "r" }),
        json!({ ZONE: "a", REGION: "r" }),
        "n",
    );
    check(
        json!({ ZONE: "a", REGION: "r" }),
        json!({ ZONE: "a", REGION: "s" }),
        no,
    );
    // A node that says something of its place has to say all of it.
    check(json!({ ZONE: "a" }), json!({ REGION: "r" }), no);
    check(json!({ ZONE: "a" }), json!({ "zone": "b" }), "n");
    // An old label of the volume is compared with the newer one of a node that lacks the old one.
    check(json!({ OLD_ZONE: "a" }), json!({ OLD_ZONE: "a" }), "n");
    check(json!({ OLD_ZONE: "a" }), json!({ ZONE: "a" }), "n");
    check(
        json!({ OLD_ZONE: "a" }),
        json!({ OLD_ZONE: "b", ZONE: "a" }),
        no,
    );
    check(
        json!({ OLD_ZONE: "a" }),
        json!({ OLD_ZONE: "a", ZONE: "b" }),
        "n",
    );
    check(json!({ ZONE: "a" }), json!({ OLD_ZONE: "a" }), no);
}

#[test]
fn claims_without_a_volume_are_told() {
    let unbound = |class: &str| json!({ "spec": { "storageClassName": class } });
    for (claim, expected) in [
        (None, "refused: persistentvolumeclaim \"c\" not found"),
        (
            Some(bound("gone")),
            "refused: persistentvolume \"gone\" not found",
        ),
        (
            Some(json!({})),
            "refused: PersistentVolumeClaim had no pv name and storageClass name",
        ),
        (
            Some(unbound("unknown")),
            "refused: storageclass.storage.k8s.io \"unknown\" not found",
        ),
        (
            Some(unbound("at-once")),
            "refused: PersistentVolume had no name",
        ),
        (Some(unbound("waits")), "skip"),
    ] {
        let mut scene = Scene::default();
        scene.node("n", json!({ ZONE: "a" }));
        scene.class("waits", "WaitForFirstConsumer");
        scene.class("at-once", "Immediate");
        if let Some(claim) = &claim {
            scene.claim("c", claim);
        }
        assert_eq!(scene.answer(VolumeZone, &asking(&[named("c")])), expected);
    }
    // Claims that are made for the pod are not looked at.
    let scene = Scene::default();
    assert_eq!(scene.answer(VolumeZone, &asking(&[made("v")])), "skip");
}

#[test]
fn hints() {
    let mut scene = Scene::default();
    scene.node("n", json!({ ZONE: "b" }));
    scene.class("waits", "WaitForFirstConsumer");
    scene.class("at-once", "Immediate");
    for (claim, volume) in [("c", "v"), ("d", "w")] {
        scene.claim(claim, &bound(volume));
        scene.volume(volume, &labelled(json!({ ZONE: "a", "note": "new" })));
    }
    scene.claim("e", &json!({ "spec": { "storageClassName": "waits" } }));
    let pod = asking(&[named("c"), named("e"), made("x")]);
    let plugin = &VolumeZone;
    for (at, expected) in [
        (("ns", "c"), true),
        (("ns", "p-x"), false),
        (("ns", "d"), false),
        (("other", "c"), false),
    ] {
        assert_eq!(scene.claim_helps(plugin, at, &pod), expected, "{at:?}");
    }
    for (old, expected) in [
        (None, true),
        (Some(json!({ ZONE: "b" })), true),
        (Some(json!({ ZONE: "a", "note": "old" })), false),
    ] {
        let old = old.map(labelled);
        assert_eq!(
            scene.volume_helps(plugin, ("v", old.as_ref()), &pod),
            expected
        );
        assert!(!scene.volume_helps(plugin, ("w", old.as_ref()), &pod));
    }
    for (name, expected) in [("waits", true), ("at-once", false)] {
        let class = *scene.cluster.volumes().class(name).unwrap();
        let event = ClusterEvent::StorageClassAdd(name, class);
        assert_eq!(scene.hint(plugin, &event, &pod), expected, "{name}");
    }
    scene.claim("e", &bound("w"));
    let (a, b) = (
        node("n", json!({ ZONE: "a" })),
        node("n", json!({ ZONE: "b" })),
    );
    for (old, new, expected) in [(&b, &a, true), (&a, &b, false), (&a, &a, false)] {
        let event = ClusterEvent::NodeUpdate(EventKind::NodeLabel, old, new);
        assert_eq!(scene.hint(plugin, &event, &pod), expected);
    }
}
