//! Services and controllers as the watches tell of them, and whom pods are spread with by default.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::model::ControllerKind;

fn read<T: DeserializeOwned>(value: Value) -> Box<T> {
    Box::new(serde_json::from_value(value).unwrap())
}

/// A node that has the more room the better it is.
fn node(name: &str, cpu: u32) -> Change {
    Change::Node(read(json!({
        "metadata": { "name": name, "labels": {
            "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": name,
        } },
        "status": { "allocatable": { "cpu": cpu, "memory": "64Gi", "pods": 110 } },
    })))
}

fn pod(name: &str, node: &str) -> Change {
    Change::Pod(read(json!({
        "metadata": {
            "name": name, "uid": name, "namespace": "shop", "labels": { "app": "web" },
            "ownerReferences": [
                { "apiVersion": "v1", "kind": "Node", "name": "web" },
                { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "controller": true },
            ],
        },
        "spec": {
            "schedulerName": "berth", "nodeName": node,
            "containers": [{ "name": "c", "resources": { "requests": { "cpu": "1" } } }],
        },
    })))
}

fn service(selector: Value) -> Change {
    let metadata = json!({ "namespace": "shop", "name": "web" });
    Change::Service(read(
        json!({ "metadata": metadata, "spec": { "selector": selector } }),
    ))
}

fn replica_set(selector: Value) -> Change {
    let metadata = json!({ "namespace": "shop", "name": "web" });
    Change::ReplicaSet(read(
        json!({ "metadata": metadata, "spec": { "selector": selector } }),
    ))
}

/// Where a pod goes beside one that stands on the better node, after these changes.
#[track_caller]
fn check(changes: Vec<Change>, expected: &str) {
    let told = format!("{changes:?}");
    let mut engine = engine(0);
    let scene = [node("better", 16), node("other", 8), pod("first", "better")];
    for change in scene.into_iter().chain(changes) {
        engine.apply(change, Time::ZERO);
    }
    engine.apply(pod("second", ""), Time::ZERO);
    engine.apply(Change::Synced, Time::ZERO);
    let effects = engine.run(Time::from_secs(1), 1);
    engine.audit();
    let binds: Vec<&str> = (effects.iter())
        .filter_map(|effect| match &effect.action {
            Action::Bind { node } => Some(&**node),
            _ => None,
        })
        .collect();
    assert_eq!(binds, [expected], "{told}");
}

#[test]
fn pods_are_spread_by_their_services() {
    let web = || service(json!({ "app": "web" }));
    check(vec![], "better");
    check(vec![web()], "other");
    check(vec![service(json!({ "app": "db" }))], "better");
    check(
        vec![service(json!({ "app": "web", "tier": "x" }))],
        "better",
    );
    // One that selects everything adds no label by which pods could be counted.
    check(vec![service(json!({}))], "better");
    check(vec![service(Value::Null)], "better");
    check(vec![web(), service(Value::Null)], "better");
    let gone = || Change::ServiceGone("shop".into(), "web".into());
    check(vec![web(), gone()], "better");
    check(vec![web(), gone(), web()], "other");
    check(
        vec![web(), Change::ServiceGone("other".into(), "web".into())],
        "other",
    );
}

#[test]
fn pods_are_spread_by_their_controller() {
    let web = || replica_set(json!({ "matchLabels": { "app": "web" } }));
    let expression = |operator: &str| {
        replica_set(json!({ "matchExpressions": [{ "key": "app", "operator": operator }] }))
    };
    check(vec![web()], "other");
    check(vec![expression("Exists")], "other");
    check(vec![expression("DoesNotExist")], "better");
    check(vec![expression("Sometimes")], "better");
    check(vec![web(), expression("Sometimes")], "better");
    check(vec![replica_set(Value::Null)], "better");
    check(vec![replica_set(json!({}))], "better");
    let gone = |kind| Change::ControllerGone(kind, "shop".into(), "web".into());
    check(vec![web(), gone(ControllerKind::ReplicaSet)], "better");
    check(vec![web(), gone(ControllerKind::StatefulSet)], "other");
    // The pod's controller is none of these.
    let metadata = json!({ "namespace": "shop", "name": "web" });
    let labels = json!({ "matchLabels": { "app": "web" } });
    let set = json!({ "metadata": metadata, "spec": { "selector": labels } });
    check(vec![Change::StatefulSet(read(set))], "better");
    let controller = json!({ "metadata": metadata, "spec": { "selector": { "app": "web" } } });
    check(
        vec![Change::ReplicationController(read(controller))],
        "better",
    );
}
