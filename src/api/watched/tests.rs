//! Lean decoding: what is read, what is skipped, and what must not stop a list.

#![allow(clippy::panic)]

use super::super::{Node, Pod};
use super::*;

#[test]
fn reads_what_scheduling_needs() {
    let pod = Watched::<Pod>::from_json(
        r#"{"metadata":{"name":"p","namespace":"a","uid":"u","resourceVersion":"12",
             "managedFields":[{"manager":"x"}],"deletionTimestamp":"2026-01-01T00:00:00Z"},
            "spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":1,"memory":"1Gi"}}}],
             "affinity":null,"tolerations":null},
            "status":{"phase":"Pending"}}"#,
    );
    assert_eq!(pod.identity().version(), 12);
    assert_eq!(
        kube::Resource::meta(&pod).resource_version.as_deref(),
        Some("12")
    );
    let pod = pod.object.unwrap_or_default();
    assert!(pod.metadata.deletion_timestamp.is_some());
    let requests = pod
        .spec
        .containers
        .first()
        .and_then(|one| one.resources.requests.clone());
    let expected = [("cpu", "1"), ("memory", "1Gi")].into_iter().collect();
    assert_eq!(requests, Some(expected));
}

#[test]
fn an_undecodable_object_keeps_its_identity() {
    let pod = Watched::<Pod>::from_json(
        r#"{"metadata":{"name":"p","namespace":"a","uid":"u","resourceVersion":"12"},
            "spec":{"nodeName":"n1","priority":"high"}}"#,
    );
    assert!(pod.object.is_err());
    assert_eq!(&*pod.identity().uid, "u");
    assert_eq!(&*pod.identity().node_name, "n1");
}

#[test]
fn one_undecodable_object_does_not_stop_a_list() {
    let list: kube::core::ObjectList<Watched<Node>> = serde_json::from_str(
        r#"{"apiVersion":"v1","kind":"NodeList","metadata":{"resourceVersion":"5"},"items":[
            {"metadata":{"name":"n1"}},
            {"metadata":{"name":"n2"},"spec":{"taints":7}},
            {"metadata":{"name":"n3"}}]}"#,
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let readable: Vec<_> = list.items.iter().map(|node| node.object.is_ok()).collect();
    assert_eq!(readable, [true, false, true]);
}

#[test]
fn watch_events_carry_it_too() {
    let event: kube::core::WatchEvent<Watched<Node>> = serde_json::from_str(
        r#"{"type":"MODIFIED","object":{"metadata":{"name":"n1","resourceVersion":"9"}}}"#,
    )
    .unwrap_or_else(|error| panic!("{error}"));
    assert!(matches!(event, kube::core::WatchEvent::Modified(node) if node.object.is_ok()));
}
