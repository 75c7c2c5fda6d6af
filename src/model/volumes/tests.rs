#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::{Value, json};

use super::*;
use crate::model::{CompiledPod, LabelView};

fn pod(spec: Value) -> CompiledPod {
    let metadata = json!({ "name": "p", "namespace": "ns", "uid": "u" });
    let pod = json!({ "metadata": metadata, "spec": spec });
    CompiledPod::compile(&serde_json::from_value(pod).unwrap()).unwrap()
}

fn claim(value: Value) -> VolumeClaim {
    VolumeClaim::compile(&serde_json::from_value(value).unwrap())
}

fn volume(value: Value) -> PersistentVolume {
    PersistentVolume::compile(&serde_json::from_value(value).unwrap())
}

#[test]
fn the_claims_of_a_pod_are_part_of_its_shape() {
    let named = |name: &str| json!({ "name": "v", "persistentVolumeClaim": { "claimName": name } });
    let made = json!({ "name": "scratch", "ephemeral": {} });
    let other = json!({ "name": "cache", "emptyDir": {} });
    for (volumes, expected, owned) in [
        (json!([]), &[][..], false),
        (json!([other]), &[], false),
        (
            json!([named("b"), other, named("a")]),
            &[("b", false), ("a", false)],
            false,
        ),
        (
            json!([named("a"), made]),
            &[("a", false), ("p-scratch", true)],
            true,
        ),
    ] {
        let shape = pod(json!({ "volumes": volumes })).waiting.unwrap().shape;
        let Some(claims) = shape.claims else {
            assert!(expected.is_empty(), "{volumes}");
            continue;
        };
        let found = claims.claims.iter().map(|one| (&*one.name, one.ephemeral));
        assert!(found.eq(expected.iter().copied()), "{volumes}: {claims:?}");
        let owner = claims.owner.map(|owner| (owner.name, owner.uid));
        assert_eq!(owner, owned.then(|| ("p".into(), "u".into())), "{volumes}");
        assert_eq!(&*claims.namespace, "ns");
    }
}

#[test]
fn a_placed_pod_uses_the_claims_that_it_names() {
    let named = |name: &str| json!({ "persistentVolumeClaim": { "claimName": name } });
    let volumes = json!([named("b"), named("a"), { "name": "v", "ephemeral": {} }, named("b")]);
    let placed = pod(json!({ "nodeName": "n", "volumes": volumes })).placed;
    assert_eq!(*placed.claims, ["a".into(), "b".into()]);
}

#[test]
fn claims_are_read() {
    let empty = VolumeClaim::default;
    let completed = json!({ "pv.kubernetes.io/bind-completed": "yes" });
    for (value, expected) in [
        (json!({}), empty()),
        (
            // To be bound to a volume, and not yet.
            json!({ "spec": { "volumeName": "v" } }),
            VolumeClaim {
                volume: "v".into(),
                ..empty()
            },
        ),
        (
            json!({ "metadata": { "annotations": completed }, "spec": { "volumeName": "v" } }),
            VolumeClaim {
                volume: "v".into(),
                bound: true,
                ..empty()
            },
        ),
        (json!({ "metadata": { "annotations": completed } }), empty()),
        (
            json!({ "status": { "phase": "Lost" }, "metadata": { "deletionTimestamp": "now" } }),
            VolumeClaim {
                lost: true,
                terminating: true,
                ..empty()
            },
        ),
        (
            json!({ "spec": { "storageClassName": "fast", "accessModes": ["ReadWriteOncePod"] } }),
            VolumeClaim {
                class: "fast".into(),
                read_write_once_pod: true,
                ..empty()
            },
        ),
        (
            json!({
                "metadata": { "annotations": { "volume.beta.kubernetes.io/storage-class": "old" } },
                "spec": { "storageClassName": "new", "accessModes": ["ReadWriteOnce", "ReadWriteMany"] },
            }),
            VolumeClaim {
                class: "old".into(),
                ..empty()
            },
        ),
        (
            json!({ "metadata": { "ownerReferences": [
                { "uid": "a" }, { "uid": "b", "controller": false }, { "uid": "c", "controller": true },
            ] } }),
            VolumeClaim {
                controller: "c".into(),
                ..empty()
            },
        ),
    ] {
        assert_eq!(claim(value.clone()), expected, "{value}");
    }
}

/// A node, as far as node affinity looks at it.
struct Node(&'static str);

impl LabelView for Node {
    fn label(&self, key: &str) -> Option<&str> {
        (key == "zone").then_some(self.0)
    }

    fn name(&self) -> &str {
        "n"
    }
}

#[test]
fn the_affinity_of_volumes_is_read() {
    let zone = json!([{ "key": "zone", "operator": "In", "values": ["a"] }]);
    let name =
        |operator: &str| json!([{ "key": "metadata.name", "operator": operator, "values": ["n"] }]);
    for (terms, expected) in [
        (json!(null), [true, true]),
        (json!([]), [false, false]),
        (json!([{ "matchExpressions": zone }]), [true, false]),
        (json!([{}, { "matchExpressions": zone }]), [true, false]),
        (
            json!([{ "matchExpressions": [{ "key": "zone", "operator": "Is" }] }]),
            [false, false],
        ),
        // Volumes know nodes by labels alone.
        (json!([{ "matchFields": name("In") }]), [false, false]),
        (json!([{ "matchFields": name("NotIn") }]), [true, true]),
        (
            json!([{ "matchExpressions": zone, "matchFields": name("NotIn") }]),
            [true, false],
        ),
    ] {
        let required = match &terms {
            Value::Null => Value::Null,
            terms => json!({ "nodeSelectorTerms": terms }),
        };
        let volume = volume(json!({ "spec": { "nodeAffinity": { "required": required } } }));
        let matches = |node| (volume.affinity.as_ref()).is_none_or(|terms| terms.matches(&node));
        assert_eq!(
            ["a", "b"].map(|zone| matches(Node(zone))),
            expected,
            "{terms}"
        );
    }
    assert_eq!(volume(json!({ "spec": {} })).affinity, None);
    assert_eq!(
        volume(json!({ "spec": { "nodeAffinity": null } })).affinity,
        None
    );
}

#[test]
fn the_place_of_volumes_is_read() {
    for (labels, expected) in [
        (json!({}), &[][..]),
        (json!({ "zone": "a" }), &[]),
        (json!({ ZONE: "a" }), &[(ZONE, &["a"][..])]),
        (
            json!({ REGION: "r", ZONE: "a__b", OLD_ZONE: "c" }),
            &[(OLD_ZONE, &["c"]), (ZONE, &["a", "b"]), (REGION, &["r"])],
        ),
        // Upstream leaves out a label that it cannot read.
        (json!({ ZONE: "a__", REGION: "" }), &[]),
    ] {
        let volume = volume(json!({ "metadata": { "labels": labels } }));
        let expected = expected.iter().map(|(key, values)| VolumePlace {
            key,
            values: values.iter().map(|&value| value.into()).collect(),
        });
        assert!(
            volume.places.iter().cloned().eq(expected),
            "{labels}: {volume:?}"
        );
    }
}

#[test]
fn drivers_that_were_part_of_kubernetes_are_seen() {
    for (spec, expected) in [
        (json!({ "csi": { "driver": "d" } }), false),
        (json!({ "nfs": {}, "local": null, "hostPath": {} }), false),
        (json!({ "awsElasticBlockStore": { "volumeID": "v" } }), true),
        (json!({ "azureDisk": {} }), true),
        (json!({ "cinder": {} }), true),
        (json!({ "gcePersistentDisk": {} }), true),
        (json!({ "portworxVolume": {} }), true),
    ] {
        assert_eq!(
            volume(json!({ "spec": spec })).translated,
            expected,
            "{spec}"
        );
    }
}

#[test]
fn storage_classes_are_read() {
    for (value, expected) in [
        (json!({}), false),
        (json!({ "volumeBindingMode": "Immediate" }), false),
        (json!({ "volumeBindingMode": "WaitForFirstConsumer" }), true),
    ] {
        let class = StorageClass::compile(&serde_json::from_value(value.clone()).unwrap());
        assert_eq!(class.waits_for_consumer, expected, "{value}");
    }
}
