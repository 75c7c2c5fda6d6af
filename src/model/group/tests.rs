#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;

fn membership(metadata: &Value, spec: &Value) -> Option<Membership> {
    let pod = json!({"metadata": metadata, "spec": spec});
    Membership::compile(&serde_json::from_value(pod).unwrap())
}

#[test]
fn a_pod_names_its_group_in_one_of_five_ways() {
    use Dialect::{Koordinator, Kubernetes, Lightweight, SchedulerPlugins, Volcano};
    let check = |labels: Value,
                 annotations: Value,
                 spec: Value,
                 expected: Option<(Dialect, &str, bool)>| {
        let metadata = json!({"namespace": "n", "labels": labels, "annotations": annotations});
        let found = membership(&metadata, &spec);
        let found = found.as_ref().map(|found| {
            (
                found.group.dialect,
                &*found.group.name,
                !found.ignored.is_empty(),
            )
        });
        assert_eq!(found, expected, "{metadata} {spec}");
    };
    let none = || json!({});
    check(none(), none(), none(), None);
    check(
        none(),
        none(),
        json!({"schedulingGroup": {"podGroupName": "g"}}),
        Some((Kubernetes, "g", false)),
    );
    check(none(), none(), json!({"schedulingGroup": null}), None);
    let plugins = json!({"scheduling.x-k8s.io/pod-group": "g"});
    check(
        plugins.clone(),
        none(),
        none(),
        Some((SchedulerPlugins, "g", false)),
    );
    check(
        json!({"scheduling.x-k8s.io/pod-group": ""}),
        none(),
        none(),
        None,
    );
    let volcano = json!({"scheduling.k8s.io/group-name": "g"});
    check(none(), volcano.clone(), none(), Some((Volcano, "g", false)));
    let alias = json!({"scheduling.volcano.sh/group-name": "g"});
    check(none(), alias.clone(), none(), Some((Volcano, "g", false)));
    check(alias, none(), none(), Some((Volcano, "g", false)));
    let koordinator = json!({"gang.scheduling.koordinator.sh/name": "g"});
    check(none(), koordinator, none(), Some((Koordinator, "g", false)));
    let lightweight = json!({"pod-group.scheduling.sigs.k8s.io/name": "g"});
    check(lightweight, none(), none(), Some((Lightweight, "g", false)));
    // The same name twice is what some controllers write, and no contradiction.
    check(
        plugins.clone(),
        volcano,
        none(),
        Some((SchedulerPlugins, "g", false)),
    );
    let other = json!({"scheduling.k8s.io/group-name": "h"});
    check(plugins, other, none(), Some((SchedulerPlugins, "g", true)));
}

#[test]
fn gangs_without_an_object_tell_their_size_and_topology_themselves() {
    let check = |annotations: Value, expected: (Option<u32>, Option<&str>, &[&str])| {
        let found = membership(&json!({"annotations": annotations}), &json!({})).unwrap();
        let preferred: Vec<_> = found.topology.preferred.iter().map(|key| &**key).collect();
        let found = (found.min, found.topology.required.as_deref(), &*preferred);
        assert_eq!(found, expected, "{annotations}");
    };
    let name = "gang.scheduling.koordinator.sh/name";
    let min = "gang.scheduling.koordinator.sh/min-available";
    check(json!({name: "g"}), (None, None, &[]));
    check(json!({name: "g", min: "3"}), (Some(3), None, &[]));
    check(json!({name: "g", min: " 3 "}), (Some(3), None, &[]));
    check(json!({name: "g", min: "many"}), (None, None, &[]));
    check(json!({name: "g", min: "-1"}), (None, None, &[]));
    check(
        json!({name: "g", "gang.berth.dev/required-topology": "rack", "gang.berth.dev/preferred-topology": "host, block,"}),
        (None, Some("rack"), &["host", "block"]),
    );
}

fn group(dialect: Dialect, object: &Value) -> PodGroup {
    PodGroup::compile(
        dialect,
        "v1",
        &serde_json::from_value(object.clone()).unwrap(),
    )
}

#[test]
fn what_a_group_asks_is_read_from_each_dialect() {
    let check = |dialect, spec: Value, (min, seconds): (u32, u64)| {
        let group = group(dialect, &json!({"spec": spec}));
        assert_eq!(
            (group.min, group.timeout.as_secs()),
            (min, seconds),
            "{spec}"
        );
    };
    check(Dialect::SchedulerPlugins, json!({}), (1, 60));
    check(Dialect::SchedulerPlugins, json!(null), (1, 60));
    check(Dialect::SchedulerPlugins, json!({"minMember": 0}), (1, 60));
    check(Dialect::SchedulerPlugins, json!({"minMember": -3}), (1, 60));
    check(
        Dialect::SchedulerPlugins,
        json!({"minMember": 2_147_483_648_u64, "scheduleTimeoutSeconds": 0}),
        (2_147_483_648, 60),
    );
    check(
        Dialect::SchedulerPlugins,
        json!({"minMember": i64::MAX, "scheduleTimeoutSeconds": -5}),
        (u32::MAX, 60),
    );
    check(
        Dialect::SchedulerPlugins,
        json!({"minMember": 8, "scheduleTimeoutSeconds": 30}),
        (8, 30),
    );
    check(Dialect::Volcano, json!({"minMember": 4}), (4, 60));
    check(
        Dialect::Kubernetes,
        json!({"schedulingPolicy": {"gang": {"minCount": 6}}, "minMember": 3}),
        (6, 60),
    );
    check(
        Dialect::Kubernetes,
        json!({"schedulingPolicy": {"basic": {}}}),
        (1, 60),
    );
}

#[test]
fn roles_count_only_when_the_group_is_large_enough_for_them() {
    let check = |spec: Value, expected: &[(&str, u32)]| {
        let group = group(Dialect::Volcano, &json!({"spec": spec}));
        let roles: Vec<_> = group
            .roles
            .iter()
            .map(|(role, min)| (&**role, *min))
            .collect();
        assert_eq!(roles, expected, "{spec}");
    };
    check(json!({"minMember": 5}), &[]);
    let roles = json!({"worker": 4, "launcher": 1, "none": 0});
    check(
        json!({"minMember": 5, "minTaskMember": roles}),
        &[("launcher", 1), ("worker", 4)],
    );
    check(json!({"minMember": 4, "minTaskMember": roles}), &[]);
}

#[test]
fn the_rest_of_an_object() {
    let read = group(
        Dialect::Kubernetes,
        &json!({
            "metadata": {"namespace": "n", "name": "g", "uid": "u", "resourceVersion": "7", "generation": 2,
                "annotations": {"gang.berth.dev/preferred-topology": "block"}},
            "spec": {
                "priority": 5,
                "schedulingConstraints": {"topology": [{"key": "rack"}]},
                "disruptionMode": {"all": {}},
            },
            "status": {"conditions": [
                {"type": "DisruptionTarget", "status": "True"},
                {"type": "PodGroupInitiallyScheduled", "status": "True", "reason": "Scheduled", "observedGeneration": 1},
            ]},
        }),
    );
    assert_eq!(read.reference.to_string(), "n/g");
    assert_eq!(
        (read.version, read.generation, read.priority),
        (7, Some(2), Some(5))
    );
    assert_eq!(read.topology.required.as_deref(), Some("rack"));
    assert_eq!(&*read.topology.preferred, ["block".into()]);
    assert!(read.disrupted_whole);
    let scheduled = read.stored.scheduled.unwrap();
    assert_eq!(
        (scheduled.holds, scheduled.observed_generation),
        (true, Some(1))
    );

    let whole = |mode: Value| {
        let object = json!({"spec": {"disruptionMode": mode}});
        group(Dialect::Kubernetes, &object).disrupted_whole
    };
    assert!(whole(json!("PodGroup")));
    assert!(!whole(json!("Pod")));
    assert!(!whole(json!({"single": {}})));
    assert!(!whole(json!(null)));
}
