//! Objects of all dialects as their servers and writers send them.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;

fn read(object: Value) -> Result<PodGroup, String> {
    serde_json::from_str(&object.to_string()).map_err(|error| error.to_string())
}

#[test]
fn nothing_at_all_is_a_group() {
    for object in [json!({}), json!({ "spec": null, "status": null })] {
        let group = read(object).unwrap();
        assert_eq!(group.spec.min_member, None);
        assert!(group.spec.scheduling_policy.gang.is_none());
        assert!(group.status.conditions.is_empty());
    }
}

#[test]
fn kubernetes_versions_spell_disruption_differently() {
    let check = |mode: Value, expected: Option<&str>| {
        let group = read(json!({ "spec": { "disruptionMode": mode } })).ok();
        let found = group.map(|group| match group.spec.disruption_mode {
            Some(DisruptionMode::Text(text)) => text,
            Some(DisruptionMode::Union { all }) if all.is_some() => "all".into(),
            Some(DisruptionMode::Union { .. }) => "not all".into(),
            None => "none".into(),
        });
        assert_eq!(found.as_deref(), expected, "{mode}");
    };
    check(json!({ "all": {} }), Some("all"));
    check(json!({ "single": {} }), Some("not all"));
    check(json!("PodGroup"), Some("PodGroup"));
    check(json!(null), Some("none"));
    check(json!(3), None);
}

#[test]
fn what_tells_how_many_run_together_is_read_or_the_object_is_not() {
    let check = |spec: Value, expected: Option<(Option<i64>, Option<i64>)>| {
        let group = read(json!({ "spec": spec })).ok();
        let found = group.map(|group| {
            let gang = group.spec.scheduling_policy.gang;
            (group.spec.min_member, gang.map(|gang| gang.min_count))
        });
        assert_eq!(found, expected, "{spec}");
    };
    check(json!({ "minMember": 3 }), Some((Some(3), None)));
    check(json!({ "minMember": -3 }), Some((Some(-3), None)));
    check(json!({ "minMember": null }), Some((None, None)));
    check(json!({ "minMember": "3" }), None);
    check(json!({ "minMember": 3.5 }), None);
    check(json!({ "minMember": u64::MAX }), None);
    let policy = |policy: Value| json!({ "schedulingPolicy": policy });
    check(policy(json!({ "basic": {} })), Some((None, None)));
    check(
        policy(json!({ "gang": { "minCount": 4 } })),
        Some((None, Some(4))),
    );
    check(policy(json!(null)), Some((None, None)));
    // A version that says it in other words: its pods must not be placed one by one.
    check(policy(json!({ "gang": {} })), None);
    check(policy(json!({ "gang": { "minimum": 4 } })), None);
}

/// Go writes null for lists, maps and times that are not set.
#[test]
fn a_status_may_have_nulls() {
    let condition = json!({
        "type": "Scheduled", "status": "True", "lastTransitionTime": null, "transitionID": "u",
    });
    let group = json!({
        "metadata": { "name": "g", "annotations": null, "labels": null },
        "spec": { "minTaskMember": null, "minResources": null, "queue": "default" },
        "status": { "phase": "Running", "running": 2, "conditions": [condition] },
    });
    let status = read(group).unwrap().status;
    assert_eq!((&*status.phase, status.running), ("Running", 2));
    assert_eq!(&*status.conditions[0].last_transition_time, "");
    let empty = read(json!({ "status": { "conditions": null } })).unwrap();
    assert!(empty.status.conditions.is_empty());
}

#[test]
fn resources_are_texts_or_numbers() {
    let spec = json!({ "minResources": { "cpu": 4, "memory": "8Gi" } });
    let resources = read(json!({ "spec": spec })).unwrap().spec.min_resources;
    let resources: Vec<_> = resources.iter().collect();
    assert_eq!(resources, [("cpu", "4"), ("memory", "8Gi")]);
}
