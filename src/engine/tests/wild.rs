//! Whatever a pod or node says, deciding goes on: objects that the API server would accept, and
//! many that it would not, never stop the engine, and the pods beside them are placed.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};

use super::*;
use crate::api::{self, Watched};
use crate::plugins::testing::cases;

const NOW: Time = Time::from_secs(1);

/// A pod that says something everywhere where somebody listens.
fn rich_pod() -> Value {
    let selector = json!({
        "matchLabels": { "app": "web" },
        "matchExpressions": [{ "key": "tier", "operator": "In", "values": ["1", "2"] }],
    });
    let term = json!({
        "labelSelector": selector, "topologyKey": "zone", "namespaces": ["default"],
        "namespaceSelector": { "matchLabels": { "team": "x" } },
    });
    let affinity = json!({
        "requiredDuringSchedulingIgnoredDuringExecution": [term],
        "preferredDuringSchedulingIgnoredDuringExecution": [
            { "weight": 7, "podAffinityTerm": term }
        ],
    });
    let node_term = json!({
        "matchExpressions": [{ "key": "size", "operator": "Gt", "values": ["3"] }],
        "matchFields": [{ "key": "metadata.name", "operator": "NotIn", "values": ["n9"] }],
    });
    let container = json!({
        "name": "main", "image": "registry.example/app:1", "restartPolicy": "Always",
        "ports": [{ "hostPort": 80, "hostIP": "10.0.0.1", "protocol": "UDP" }],
        "resources": { "requests": { "cpu": "100m", "memory": "1Gi", "nvidia.com/gpu": "1" } },
        "volumeMounts": [{ "bindMountOptions": ["noexec"] }],
        "restartPolicyRules": [{ "action": "RestartAllContainers" }],
    });
    json!({
        "metadata": {
            "name": "wild", "namespace": "default", "uid": "wild", "resourceVersion": "7",
            "generation": 1, "labels": { "app": "web", "tier": "1" },
            "ownerReferences": [
                { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "controller": true }
            ],
            "deletionTimestamp": null,
        },
        "spec": {
            "schedulerName": "berth", "nodeName": "", "priority": 5,
            "preemptionPolicy": "Never", "nodeSelector": { "disk": "ssd" },
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution":
                        { "nodeSelectorTerms": [node_term] },
                    "preferredDuringSchedulingIgnoredDuringExecution":
                        [{ "weight": 3, "preference": node_term }],
                },
                "podAffinity": affinity, "podAntiAffinity": affinity,
            },
            "tolerations": [{ "key": "k", "operator": "Exists", "value": "", "effect": "" }],
            "containers": [container], "initContainers": [container],
            "overhead": { "cpu": "1" },
            "resources": { "requests": { "memory": "2Gi" } },
            "schedulingGates": [],
            "topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": selector, "minDomains": 2, "nodeAffinityPolicy": "Honor",
                "nodeTaintsPolicy": "Honor", "matchLabelKeys": ["tier"],
            }],
            "volumes": [
                { "image": { "reference": "registry.example/data" } },
                { "name": "v", "persistentVolumeClaim": { "claimName": "data" } },
            ],
            "resourceClaims": [], "hostNetwork": false, "hostUsers": false,
        },
        "status": {
            "phase": "Pending", "nominatedNodeName": "",
            "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "x", "message": "y" }],
            "containerStatuses": [{
                "name": "main", "allocatedResources": { "cpu": "1" },
                "resources": { "requests": { "cpu": "2" } },
            }],
            "allocatedResources": { "cpu": "1" },
        },
    })
}

fn rich_node() -> Value {
    json!({
        "metadata": {
            "name": "n1", "uid": "n1", "resourceVersion": "3",
            "labels": { "zone": "a", "size": "4", "disk": "ssd", "kubernetes.io/hostname": "n1" },
        },
        "spec": {
            "unschedulable": false,
            "taints": [{ "key": "k", "value": "v", "effect": "NoSchedule" }],
        },
        "status": {
            "allocatable": { "cpu": "8", "memory": "64Gi", "pods": "110", "nvidia.com/gpu": "8" },
            "images": [{ "names": ["registry.example/app:1"], "sizeBytes": 1_000_000_000 }],
            "declaredFeatures": ["VolumeBindMountOptions"],
        },
    })
}

/// The claim of [`rich_pod`].
fn rich_claim() -> Value {
    json!({
        "metadata": {
            "annotations": { "pv.kubernetes.io/bind-completed": "yes" },
            "ownerReferences": [{ "kind": "Pod", "name": "p", "uid": "u", "controller": true }],
        },
        "spec": {
            "volumeName": "disk", "storageClassName": "fast", "accessModes": ["ReadWriteMany"],
        },
        "status": { "phase": "Bound" },
    })
}

fn rich_volume() -> Value {
    let expression = json!({ "key": "disk", "operator": "In", "values": ["ssd"] });
    let field = json!({ "key": "metadata.name", "operator": "NotIn", "values": ["n9"] });
    let term = json!({ "matchExpressions": [expression], "matchFields": [field] });
    json!({
        "metadata": { "labels": { "topology.kubernetes.io/zone": "a__b" } },
        "spec": { "nodeAffinity": { "required": { "nodeSelectorTerms": [term] } } },
    })
}

/// A value where another one stood.
fn wild_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec![
            i64::MIN,
            i64::MAX,
            -1,
            0,
            1,
            100,
            i64::from(i32::MIN),
            i64::from(i32::MAX),
            i64::from(i32::MAX) + 1,
        ])
        .prop_map(Value::from),
        Just(json!(1e300)),
        prop::sample::select(vec![
            "",
            "0",
            "1",
            "-1",
            "1e30",
            "9223372036854775807",
            "-9223372036854775808",
            "1Ki",
            "99999999999Ei",
            "0.0000000001",
            "1n",
            "x",
            "-",
            "/",
            "a/b/c",
            "In",
            "Gt",
            "Honor",
            "zone",
            "n0",
            "n1",
            "default",
            "berth",
            "\u{1F980}",
            "\u{0}",
            "Succeeded",
        ])
        .prop_map(Value::from),
        ".{0,80}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([null])),
        Just(json!([{}])),
        Just(json!({ "": "" })),
    ]
}

/// What is done at one place of an object.
#[derive(Clone, Debug)]
enum Twist {
    Put(Value),
    Drop,
    /// Lists and objects only: what is there, twice and more.
    Repeat,
}

fn twists() -> impl Strategy<Value = Vec<(Index, Twist)>> {
    let twist = prop_oneof![
        6 => wild_value().prop_map(Twist::Put),
        1 => Just(Twist::Drop),
        2 => Just(Twist::Repeat),
    ];
    vec((any::<Index>(), twist), 0..6)
}

/// Mostly nothing, so that what comes afterwards is reached.
fn seldom<T: Clone + std::fmt::Debug + 'static>(
    some: impl Strategy<Value = Vec<T>> + 'static,
) -> impl Strategy<Value = Vec<T>> {
    prop_oneof![3 => Just(Vec::new()), 1 => some]
}

fn pointers(value: &Value, at: &str, into: &mut Vec<String>) {
    let mut visit = |key: &str, value: &Value| {
        let key = key.replace('~', "~0").replace('/', "~1");
        let pointer = format!("{at}/{key}");
        pointers(value, &pointer, into);
        into.push(pointer);
    };
    match value {
        Value::Array(values) => {
            for (place, value) in values.iter().enumerate() {
                visit(&place.to_string(), value);
            }
        }
        Value::Object(entries) => {
            for (key, value) in entries {
                visit(key, value);
            }
        }
        _ => {}
    }
}

fn twisted(mut object: Value, twists: Vec<(Index, Twist)>) -> Value {
    for (place, twist) in twists {
        let mut places = Vec::new();
        pointers(&object, "", &mut places);
        let pointer: &String = place.get(&places);
        let Some(value) = object.pointer_mut(pointer) else {
            continue;
        };
        match twist {
            Twist::Put(new) => *value = new,
            Twist::Drop => *value = Value::Null,
            Twist::Repeat => match value {
                Value::Array(values) => {
                    let again = values.clone();
                    values.extend(again);
                }
                Value::Object(entries) => {
                    let again: Map<String, Value> = (entries.iter())
                        .map(|(key, value)| (format!("{key}.again"), value.clone()))
                        .collect();
                    entries.extend(again);
                }
                _ => {}
            },
        }
    }
    object
}

fn pod_change(pod: &Value) -> Change {
    let seen = Watched::<api::Pod>::from_json(&pod.to_string());
    match seen.object {
        Ok(pod) => Change::Pod(Box::new(pod)),
        Err(reason) => Change::PodUnreadable(Box::new(seen.meta), reason),
    }
}

fn node_change(node: &Value) -> Change {
    let seen = Watched::<api::Node>::from_json(&node.to_string());
    match seen.object {
        Ok(node) => Change::Node(Box::new(node)),
        Err(reason) => Change::NodeUnreadable(seen.meta.name.clone(), reason),
    }
}

/// The claim and its volume, as far as they can be read.
fn storage_changes(claim: Value, volume: Value) -> Vec<Change> {
    let mut claim = named(claim, "data", "");
    claim["metadata"]["namespace"] = "default".into();
    let claim = Watched::<api::PersistentVolumeClaim>::from_json(&claim.to_string());
    let volume = named(volume, "disk", "");
    let volume = Watched::<api::PersistentVolume>::from_json(&volume.to_string());
    let claim = claim
        .object
        .ok()
        .map(|claim| VolumeChange::Claim(Box::new(claim)));
    let volume = volume
        .object
        .ok()
        .map(|volume| VolumeChange::Volume(Box::new(volume)));
    (claim.into_iter().chain(volume))
        .map(Change::Volumes)
        .collect()
}

fn plain_pod(name: &str, node: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "plain", "uid": name, "resourceVersion": "1" },
        "spec": {
            "schedulerName": "berth", "nodeName": node,
            "containers": [{ "name": "main", "resources": { "requests": { "cpu": "1m" } } }],
        },
    })
}

fn named(mut object: Value, name: &str, node: &str) -> Value {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["metadata"]["name"] = name.into();
    object["metadata"]["uid"] = name.into();
    if !node.is_empty() && object["spec"].is_object() {
        object["spec"]["nodeName"] = node.into();
    }
    object
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn nothing_stops_the_engine(
        waiting in vec(twists(), 1..4),
        placed in vec(twists(), 0..3),
        nodes in vec(twists(), 0..3),
        (claim, volume) in (seldom(twists()), seldom(twists())),
        later in twists(),
    ) {
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut engine = counted_engine_of(default_profile("berth"), 1, &metrics);
        for (place, twists) in nodes.into_iter().enumerate() {
            let node = named(twisted(rich_node(), twists), &format!("n{place}"), "");
            engine.apply(node_change(&node), NOW);
        }
        let good = json!({
            "metadata": { "name": "good", "uid": "good", "resourceVersion": "1" },
            "status": { "allocatable": { "cpu": "8", "memory": "8Gi", "pods": "110" } },
        });
        engine.apply(node_change(&good), NOW);
        for change in storage_changes(twisted(rich_claim(), claim), twisted(rich_volume(), volume)) {
            engine.apply(change, NOW);
        }
        for (place, twists) in placed.into_iter().enumerate() {
            let pod = named(twisted(rich_pod(), twists), &format!("placed-{place}"), "n0");
            engine.apply(pod_change(&pod), NOW);
        }
        for (place, twists) in waiting.into_iter().enumerate() {
            let name = format!("wild-{place}");
            let pod = named(twisted(rich_pod(), twists), &name, "");
            engine.apply(pod_change(&pod), NOW);
            // Seen again, changed.
            let pod = named(twisted(pod, later.clone()), &name, "");
            engine.apply(pod_change(&pod), NOW);
        }
        engine.apply(pod_change(&plain_pod("plain", "")), NOW);
        engine.apply(Change::Synced, NOW);
        let mut bound = false;
        for _ in 0..5 {
            for effect in engine.run(NOW, 100) {
                if matches!(effect.action, Action::Bind { .. }) {
                    bound |= effect.pod().is_some_and(|pod| &*pod.name == "plain");
                    engine.complete(effect.id, Outcome::Done, NOW);
                }
            }
        }
        prop_assert!(bound, "the plain pod was not placed");
        prop_assert!(engine.cluster.audit_peers().is_ok());
        let panics = metrics.encode().unwrap();
        let line = panics.lines().find(|line| line.starts_with("berth_cycle_panics_total"));
        prop_assert_eq!(line, Some("berth_cycle_panics_total 0"));
    }
}
