//! The same requests, one after the other, to both servers.

use anyhow::Result;
use e2e::pool::Lease;
use serde_json::{Map, Value, json};

use crate::world::{Demo, ask};

pub const PODS: &str = "/api/v1/namespaces/default/pods";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";
const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

pub fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": { "schedulerName": "nobody", "containers": [{ "name": "c", "image": "i:1" }] },
    });
    merge(&mut pod["spec"], spec);
    pod
}

pub fn with(mut object: Value, metadata: Value) -> Value {
    merge(&mut object["metadata"], metadata);
    object
}

pub fn merge(to: &mut Value, from: Value) {
    let from: Map<String, Value> = serde_json::from_value(from).unwrap();
    to.as_object_mut().unwrap().extend(from);
}

fn binding(name: &str, node: &str, metadata: Value) -> Value {
    let binding = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": { "name": name },
        "target": { "kind": "Node", "name": node },
    });
    with(binding, metadata)
}

fn budget(name: &str) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": { "name": name },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "web" } } },
    })
}

/// Terms and constraints with and without selectors, whose keys the pod's labels have and have not.
fn label_keys() -> Value {
    let term = json!({ "topologyKey": "zone", "labelSelector": { "matchLabels": { "a": "b" } },
        "matchLabelKeys": ["r", "none"], "mismatchLabelKeys": ["s"] });
    let no_keys = json!({ "topologyKey": "zone", "labelSelector": {} });
    let terms = json!({
        "requiredDuringSchedulingIgnoredDuringExecution": [no_keys, term],
        "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 1, "podAffinityTerm": term }],
    });
    let constraint = json!({ "topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": { "matchExpressions": [{ "key": "x", "operator": "Exists" }] },
        "matchLabelKeys": ["s"] });
    json!({
        "affinity": { "podAffinity": terms, "podAntiAffinity": terms },
        "topologySpreadConstraints": [constraint],
    })
}

fn requests() -> Vec<(&'static str, String, Value)> {
    let one = |rest: &str| format!("{PODS}/{rest}");
    let pods = |query: &str| format!("{PODS}?{query}");
    let none = Value::Null;
    let label = |value: &str| json!({ "metadata": { "labels": { "l": value } } });
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" },
        "status": { "capacity": { "cpu": "4", "nvidia.com/gpu": 1 } } });
    let lease = json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": "l" }, "spec": { "holderIdentity": "x" } });
    let event = json!({ "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": { "name": "e" }, "eventTime": "2026-01-01T00:00:00.000000Z",
        "type": "Normal", "reason": "R", "action": "A", "note": "N",
        "regarding": { "kind": "Pod", "namespace": "default", "name": "a" },
        "reportingController": "x", "reportingInstance": "y" });
    let limited = json!({ "containers": [{ "name": "c", "image": "i:1", "resources": {
        "limits": { "cpu": "1", "nvidia.com/gpu": 1 }, "requests": { "memory": "1Gi" } } }] });
    let limited_as_a_whole = json!({ "resources": {
        "limits": { "cpu": "2", "memory": "1Gi" }, "requests": { "memory": "512Mi" } } });
    let streamed = "watch=1&sendInitialEvents=true&timeoutSeconds=1";
    vec![
        // Creation.
        ("POST", PODS.into(), pod("a", json!({}))),
        ("POST", PODS.into(), pod("a", json!({}))),
        (
            "POST",
            PODS.into(),
            with(pod("b", json!({})), json!({ "namespace": "other" })),
        ),
        (
            "POST",
            "/api/v1/namespaces/none/pods".into(),
            pod("b", json!({})),
        ),
        ("POST", PODS.into(), pod("", json!({}))),
        ("POST", PODS.into(), pod("Bad_Name", json!({}))),
        (
            "POST",
            PODS.into(),
            with(pod("b", json!({})), json!({ "resourceVersion": "5" })),
        ),
        ("POST", PODS.into(), pod("b", json!({ "containers": [] }))),
        (
            "POST",
            PODS.into(),
            pod("b", json!({ "priorityClassName": "none" })),
        ),
        (
            "POST",
            PODS.into(),
            pod("b", json!({ "priorityClassName": "system-node-critical" })),
        ),
        ("POST", PODS.into(), pod("limited", limited)),
        (
            "POST",
            PODS.into(),
            pod("limited-as-a-whole", limited_as_a_whole),
        ),
        (
            "POST",
            PODS.into(),
            pod("gated", json!({ "schedulingGates": [{ "name": "g" }] })),
        ),
        (
            "POST",
            PODS.into(),
            with(pod("held", json!({})), json!({ "finalizers": ["x.io/y"] })),
        ),
        ("POST", PODS.into(), pod("d", json!({ "nodeName": "n1" }))),
        ("POST", one("a"), pod("a", json!({}))),
        ("PUT", PODS.into(), pod("a", json!({}))),
        // Binding.
        (
            "POST",
            one("none/binding"),
            binding("none", "n1", json!({})),
        ),
        (
            "POST",
            one("gated/binding"),
            binding("gated", "n1", json!({})),
        ),
        ("POST", one("a/binding"), binding("b", "n1", json!({}))),
        ("POST", one("a/binding"), binding("a", "", json!({}))),
        (
            "POST",
            one("a/binding"),
            binding("a", "n1", json!({ "uid": NOBODY })),
        ),
        (
            "POST",
            one("a/binding"),
            binding("a", "n1", json!({ "resourceVersion": "1" })),
        ),
        (
            "PATCH strategic-merge",
            one("a/status"),
            json!({ "status": {
            "nominatedNodeName": "n9",
            "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "R" }] } }),
        ),
        (
            "POST",
            one("a/binding"),
            binding("a", "n1", json!({ "annotations": { "k": "v" } })),
        ),
        ("GET", one("a"), none.clone()),
        ("POST", one("a/binding"), binding("a", "n1", json!({}))),
        ("POST", one("a/binding"), binding("a", "n2", json!({}))),
        // Patches.
        (
            "PATCH strategic-merge",
            one("a/status"),
            json!({ "metadata": { "uid": NOBODY }, "status": { "phase": "Running" } }),
        ),
        (
            "PATCH strategic-merge",
            one("a/status"),
            json!({ "spec": { "nodeName": "n7" },
            "status": { "phase": "Running", "conditions": [
                { "type": "Ready", "status": "True" }, { "type": "PodScheduled", "reason": "S" }] } }),
        ),
        (
            "PATCH merge",
            one("a/status"),
            json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }] } }),
        ),
        (
            "PATCH merge",
            one("a"),
            json!({ "status": { "phase": "Failed" }, "metadata": { "labels": { "l": "1" } } }),
        ),
        ("PATCH merge", one("none"), label("1")),
        (
            "PATCH merge",
            one("a"),
            with(label("2"), json!({ "resourceVersion": "1" })),
        ),
        (
            "PATCH merge",
            one("a"),
            json!({ "metadata": { "name": "other" } }),
        ),
        ("PATCH merge", one("a"), label("1")),
        ("PATCH none", one("a"), label("1")),
        (
            "PATCH merge",
            one("gated"),
            json!({ "spec": { "schedulingGates": null } }),
        ),
        (
            "PUT",
            one("d"),
            with(pod("d", json!({})), json!({ "resourceVersion": "1" })),
        ),
        (
            "PUT",
            one("d"),
            with(pod("d", json!({})), json!({ "uid": NOBODY })),
        ),
        ("PUT", one("d"), pod("e", json!({}))),
        ("PUT", one("none"), pod("none", json!({}))),
        ("POST", "/api/v1/nodes".into(), node),
        (
            "PATCH strategic-merge",
            "/api/v1/nodes/n1/status".into(),
            json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }] } }),
        ),
        (
            "PATCH strategic-merge",
            "/api/v1/nodes/n1/status".into(),
            json!({ "status": { "conditions": [{ "type": "Disk", "status": "True" },
                { "type": "Ready", "status": "False" }] } }),
        ),
        (
            "PATCH strategic-merge",
            "/api/v1/nodes/n1".into(),
            json!({ "spec": { "unschedulable": true, "taints": [{ "key": "a", "effect": "NoExecute" }] } }),
        ),
        (
            "PATCH strategic-merge",
            "/api/v1/nodes/n1".into(),
            json!({ "spec": { "unschedulable": null, "taints": [{ "key": "b", "effect": "NoExecute" }] } }),
        ),
        // Lists and watches.
        (
            "GET",
            pods("fieldSelector=spec.nodeName%3D,status.phase!%3DFailed"),
            none.clone(),
        ),
        ("GET", pods("labelSelector=l+in+(1,2)"), none.clone()),
        ("GET", pods("fieldSelector=spec.foo%3D1"), none.clone()),
        ("GET", pods("fieldSelector=foo"), none.clone()),
        ("GET", pods("resourceVersion=abc"), none.clone()),
        ("GET", pods("resourceVersionMatch=Exact"), none.clone()),
        (
            "GET",
            pods("resourceVersionMatch=Foo&resourceVersion=1"),
            none.clone(),
        ),
        ("GET", pods("sendInitialEvents=true"), none.clone()),
        ("GET", pods(streamed), none.clone()),
        (
            "GET",
            pods("watch=1&resourceVersionMatch=NotOlderThan&resourceVersion=1"),
            none.clone(),
        ),
        ("GET", pods("watch=1&resourceVersion=abc"), none.clone()),
        (
            "GET",
            pods(&format!(
                "{streamed}&resourceVersionMatch=NotOlderThan\
            &allowWatchBookmarks=true&fieldSelector=metadata.name%3Da"
            )),
            none.clone(),
        ),
        (
            "GET",
            pods(&format!(
                "{streamed}&resourceVersionMatch=NotOlderThan\
            &fieldSelector=metadata.name%3Dnone"
            )),
            none.clone(),
        ),
        // Deletion.
        (
            "DELETE",
            one("a"),
            json!({ "preconditions": { "uid": NOBODY } }),
        ),
        ("DELETE", one("a"), none.clone()),
        ("DELETE", one("a"), none.clone()),
        ("POST", one("a/binding"), binding("a", "n1", json!({}))),
        ("DELETE", one("a"), json!({ "gracePeriodSeconds": 0 })),
        ("GET", one("a"), none.clone()),
        ("DELETE", one("b"), none.clone()),
        ("DELETE", one("held"), none.clone()),
        ("DELETE", one("held"), none.clone()),
        (
            "POST",
            one("held/binding"),
            binding("held", "n1", json!({})),
        ),
        (
            "PATCH merge",
            one("held"),
            json!({ "metadata": { "finalizers": null } }),
        ),
        ("GET", one("held"), none.clone()),
        ("DELETE", one("none"), none.clone()),
        ("DELETE", "/api/v1/nodes/n1".into(), none.clone()),
        ("DELETE", "/api/v1/namespaces/default".into(), none.clone()),
        // Selectors of a pod that name labels of its own.
        (
            "POST",
            PODS.into(),
            with(
                pod("keys", label_keys()),
                json!({ "labels": { "r": "1", "s": "2" } }),
            ),
        ),
        ("DELETE", one("keys"), json!({ "gracePeriodSeconds": 0 })),
        // Budgets, of which a controller writes the status.
        ("POST", BUDGETS.into(), budget("pdb")),
        ("POST", BUDGETS.into(), budget("pdb")),
        (
            "PATCH merge",
            format!("{BUDGETS}/pdb"),
            json!({ "spec": { "minAvailable": 2 }, "status": { "disruptionsAllowed": 9 } }),
        ),
        (
            "PATCH merge",
            format!("{BUDGETS}/pdb/status"),
            json!({ "spec": { "minAvailable": 9 }, "status": {
                "observedGeneration": 2, "disruptionsAllowed": 1, "currentHealthy": 3,
                "desiredHealthy": 2, "expectedPods": 3,
                "disruptedPods": { "a": "2026-01-01T00:00:00Z" } } }),
        ),
        ("GET", format!("{BUDGETS}/pdb"), none.clone()),
        (
            "GET",
            "/apis/policy/v1/poddisruptionbudgets".into(),
            none.clone(),
        ),
        ("DELETE", format!("{BUDGETS}/pdb"), none.clone()),
        ("GET", format!("{BUDGETS}/pdb"), none.clone()),
        // Rights, which both users have.
        (
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".into(),
            json!({
                "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                "spec": { "resourceAttributes": { "verb": "delete", "resource": "pods" } },
            }),
        ),
        // Other kinds.
        ("POST", LEASES.into(), lease.clone()),
        ("PUT", format!("{LEASES}/l"), lease.clone()),
        (
            "PUT",
            format!("{LEASES}/l"),
            with(lease, json!({ "resourceVersion": "1" })),
        ),
        ("DELETE", format!("{LEASES}/l"), none.clone()),
        ("POST", EVENTS.into(), event),
        (
            "GET",
            "/api/v1/namespaces/default/events/e".into(),
            none.clone(),
        ),
        ("DELETE", format!("{EVENTS}/e"), none.clone()),
        (
            "GET",
            "/api/v1/namespaces/default/foos".into(),
            none.clone(),
        ),
        (
            "GET",
            "/apis/apps/v1/namespaces/default/statefulsets".into(),
            none.clone(),
        ),
        (
            "GET",
            "/api/v1/replicationcontrollers?fieldSelector=foo%3D1".into(),
            none.clone(),
        ),
        ("GET", "/api/v1/pods/a".into(), none),
    ]
}

#[tokio::test]
async fn both_servers_answer_alike() -> Result<()> {
    let lease = Lease::take().await?;
    let (real, demo) = (lease.client()?, Demo::start().await?);
    let mut different = Vec::new();
    for (method, path, body) in requests() {
        let expected = ask(&real, method, &path, body.clone()).await?;
        let found = ask(&demo.client, method, &path, body.clone()).await?;
        let expected = (expected.0, comparable(expected.1));
        let found = (found.0, comparable(found.1));
        if found != expected {
            different.push(format!(
                "{method} {path} {body}\n  real: {} {}\n  demo: {} {}",
                expected.0, expected.1, found.0, found.1
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    Ok(())
}

/// An answer without what differs from run to run, and without the defaults that nobody reads here.
pub fn comparable(value: Value) -> Value {
    /// Left out wherever they are.
    const IGNORED: &[&str] = &[
        "daemonEndpoints",
        "imagePullPolicy",
        "managedFields",
        "nodeInfo",
        "qosClass",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "tolerations",
    ];
    match value {
        Value::Object(map) => {
            let bookmark = map.get("type").is_some_and(|kind| kind == "BOOKMARK");
            let item = !map.contains_key("type") && map.contains_key("metadata");
            let kept = map.into_iter().filter_map(|(key, value)| {
                if IGNORED.contains(&key.as_str()) || key.starts_with("deprecated") {
                    return None;
                }
                // Objects in lists are shown with and without their kind.
                if item && matches!(key.as_str(), "kind" | "apiVersion") {
                    return None;
                }
                let value = match key.as_str() {
                    "uid" | "resourceVersion" => json!("set"),
                    _ if key.ends_with("Timestamp") || key.ends_with("Time") => match value {
                        Value::Null => Value::Null,
                        _ => json!("set"),
                    },
                    "object" if bookmark => json!(value["metadata"]["annotations"]),
                    _ => comparable(value),
                };
                let empty = match &value {
                    Value::Null => true,
                    Value::Object(map) => map.is_empty(),
                    Value::Array(list) => list.is_empty(),
                    _ => false,
                };
                (!empty).then_some((key, value))
            });
            Value::Object(kept.collect())
        }
        Value::Array(list) => list.into_iter().map(comparable).collect(),
        Value::String(text) => Value::String(masked(&text)),
        other => other,
    }
}

/// A text without uids and versions.
fn masked(text: &str) -> String {
    let word = |char: char| !(char.is_ascii_alphanumeric() || char == '-');
    let words = text.split_inclusive(word).map(|part| {
        let core = part.trim_end_matches(word);
        let uid = core.len() == 36 && core.matches('-').count() == 4;
        let version = core.len() > 1 && core.chars().all(|char| char.is_ascii_digit());
        if uid || version {
            part.replacen(core, "#", 1)
        } else {
            part.to_owned()
        }
    });
    words.collect()
}
