//! Gangs that are not tried yet, and what they are told.

use serde_json::json;

use super::super::engine;
use super::scene::Scene;
use crate::engine::{Change, EventKind, GroupPhase};
use crate::model::{Dialect, GroupRef};

#[test]
fn a_gang_waits_until_enough_of_its_pods_exist() {
    let mut scene = Scene::new(4, 8);
    scene.gang("g", 4, 3, 1);
    scene.settle();
    assert_eq!(scene.bound("g"), 0);
    let text = "waiting for minCount pods from a gang to appear in scheduling queue: gang default/g has 3 of 4 pods";
    assert_eq!(scene.condition("g-0"), ("WaitingForPodGroup", text));
    assert_eq!(scene.attempts("g-0"), 0);
    assert_eq!(scene.phase("g"), Some(GroupPhase::Incomplete));
    let events = scene.take_events(EventKind::WaitingForPodGroup);
    assert_eq!(events, [format!("group g: {text}")]);
    scene.pod("g", "g-3", 1);
    scene.run();
    assert_eq!(scene.bound("g"), 4);
}

#[test]
fn pods_wait_for_their_group_and_are_never_placed_alone() {
    let mut scene = Scene::new(4, 8);
    scene.pod("g", "g-0", 1);
    scene.pod("g", "g-1", 1);
    scene.settle();
    assert_eq!(scene.bound("g"), 0);
    let text = "PodGroup default/g not found";
    assert_eq!(scene.condition("g-0"), ("WaitingForPodGroup", text));
    scene.group("g", 2);
    scene.run();
    assert_eq!(scene.bound("g"), 2);
}

#[test]
fn a_group_that_is_deleted_and_made_anew_counts_as_it_is_then() {
    let mut scene = Scene::new(1, 8);
    scene.gang("g", 9, 9, 1);
    scene.settle();
    scene.group_gone("g");
    scene.settle();
    assert_eq!(scene.condition("g-0").1, "PodGroup default/g not found");
    scene.node("more", 8, &[]);
    scene.settle();
    assert_eq!(scene.bound("g"), 0);
    let smaller = json!({"metadata": {"uid": "second"}, "spec": {"minMember": 2}});
    scene.object(Dialect::SchedulerPlugins, "g", smaller);
    scene.run();
    assert_eq!(scene.bound("g"), 9);
}

#[test]
fn a_minimum_that_is_raised_asks_for_a_quorum_again() {
    let mut scene = Scene::new(1, 5);
    scene.gang("g", 4, 4, 1);
    scene.settle();
    assert_eq!(scene.bound("g"), 4);
    scene.group("g", 6);
    scene.pod("g", "g-4", 1);
    scene.settle();
    assert_eq!(scene.bound("g"), 4);
    let text = scene.condition("g-4").1;
    assert!(text.ends_with("has 5 of 6 pods"), "{text}");
    // A sixth pod, but room for only one of both.
    scene.pod("g", "g-5", 1);
    scene.settle();
    assert_eq!(scene.bound("g"), 4);
    let text = "minCount (6) cannot be satisfied: 5 scheduled, 0 remaining";
    let messages = scene.messages("g");
    assert!(
        messages.keys().any(|message| message.contains(text)),
        "{messages:#?}"
    );
    scene.node("more", 1, &[]);
    scene.settle();
    assert_eq!(scene.bound("g"), 6);
}

#[test]
fn a_minimum_that_is_lowered_is_met_at_once() {
    let mut scene = Scene::new(1, 5);
    scene.gang("g", 6, 6, 1);
    scene.settle();
    assert_eq!(scene.bound("g"), 0);
    scene.group("g", 4);
    scene.run();
    assert_eq!(scene.bound("g"), 5);
}

#[test]
fn gates_hold_members_and_not_what_can_do_without_them() {
    for (min, expected) in [(8, 0), (6, 6)] {
        let mut scene = Scene::new(1, 8);
        scene.group("g", min);
        for pod in 0..8 {
            let gates = if pod < 2 {
                json!([{"name": "kueue"}])
            } else {
                json!([])
            };
            let spec = json!({"schedulingGates": gates});
            scene.pod_with("g", &format!("g-{pod}"), 1, json!({}), spec);
        }
        scene.settle();
        assert_eq!(scene.bound("g"), expected, "min {min}");
        if min == 8 {
            let text = scene.condition("g-5").1;
            let tail = "has 6 of 8 pods; 2 members are scheduling-gated";
            assert!(text.ends_with(tail), "{text}");
        }
        for pod in 0..2 {
            scene.edit(&format!("g-{pod}"), |pod| {
                pod["spec"]["schedulingGates"] = json!([]);
            });
        }
        scene.settle();
        assert_eq!(scene.bound("g"), 8);
    }
}

#[test]
fn a_long_wait_is_told_of_once() {
    for (seconds, expected) in [(json!(0), 60), (json!(null), 60), (json!(30), 30)] {
        let mut scene = Scene::new(1, 1);
        let spec = json!({"spec": {"minMember": 2, "scheduleTimeoutSeconds": seconds}});
        scene.object(Dialect::SchedulerPlugins, "g", spec);
        scene.pod("g", "g-0", 1);
        scene.pod("g", "g-1", 1);
        scene.settle();
        scene.wait(expected - 2);
        scene.run();
        assert!(scene.take_events(EventKind::GangOverdue).is_empty());
        for _ in 0..100 {
            scene.settle();
        }
        let events = scene.take_events(EventKind::GangOverdue);
        assert_eq!(events.len(), 1, "{events:?}");
        let begin = format!("group g: waits for longer than {expected} s: ");
        assert!(events[0].starts_with(&begin), "{events:?}");
        // Nothing else follows from it.
        scene.node("more", 1, &[]);
        scene.run();
        assert_eq!(scene.bound("g"), 2);
    }
}

#[test]
fn an_indexed_job_goes_on_when_an_index_has_succeeded() {
    let mut scene = Scene::new(1, 4);
    scene.gang("job", 4, 4, 1);
    scene.settle();
    scene.edit("job-0", |pod| pod["status"]["phase"] = json!("Succeeded"));
    scene.edit("job-2", |pod| pod["status"]["phase"] = json!("Failed"));
    scene.pod("job", "job-2b", 1);
    scene.settle();
    assert!(scene.node_of("job-2b").is_some());
}

#[test]
fn a_name_in_another_namespace_or_dialect_is_another_gang() {
    let mut scene = Scene::new(1, 8);
    scene.group("g", 2);
    scene.pod("g", "a-0", 1);
    let elsewhere = json!({"namespace": "other"});
    scene.pod_with("g", "b-0", 1, elsewhere, json!({}));
    let volcano = json!({"annotations": {"scheduling.k8s.io/group-name": "g"}});
    scene.pod_with("", "c-0", 1, volcano, json!({}));
    let koordinator = json!({"annotations": {
        "gang.scheduling.koordinator.sh/name": "g", "gang.scheduling.koordinator.sh/min-available": "2"}});
    scene.pod_with("", "d-0", 1, koordinator.clone(), json!({}));
    scene.settle();
    let bound = |scene: &Scene| ["a", "b", "c", "d"].map(|gang| scene.bound(gang));
    assert_eq!(bound(&scene), [0; 4]);
    scene.pod_with("", "d-1", 1, koordinator, json!({}));
    scene.settle();
    assert_eq!(bound(&scene), [0, 0, 0, 2]);
    scene.pod("g", "a-1", 1);
    scene.settle();
    assert_eq!(bound(&scene), [2, 0, 0, 2]);
}

#[test]
fn a_pod_that_names_several_groups_is_told_once_which_one_counts() {
    let mut scene = Scene::new(1, 8);
    scene.group("g", 2);
    let volcano = |name: &str| json!({"annotations": {"scheduling.k8s.io/group-name": name}});
    scene.pod_with("g", "g-0", 1, volcano("h"), json!({}));
    // The same name twice is no contradiction.
    scene.pod_with("g", "g-1", 1, volcano("g"), json!({}));
    scene.settle();
    assert_eq!(scene.bound("g"), 2);
    let text = |name: &str| {
        format!(
            "the pod names several groups: it belongs to default/g of scheduling.x-k8s.io, and not to default/{name} of scheduling.volcano.sh"
        )
    };
    let events = scene.take_events(EventKind::AmbiguousPodGroup);
    assert_eq!(events, [format!("g-0: {}", text("h"))]);
    // One that waits is told again when it says something else, and only then.
    scene.pod_with("g", "g-2", 9, json!({}), json!({}));
    scene.settle();
    assert!(scene.take_events(EventKind::AmbiguousPodGroup).is_empty());
    for name in ["h", "h", "i"] {
        scene.edit("g-2", |pod| {
            pod["metadata"]["annotations"] = volcano(name)["annotations"].clone();
        });
        scene.settle();
    }
    let events = scene.take_events(EventKind::AmbiguousPodGroup);
    assert_eq!(
        events,
        [text("h"), text("i")].map(|text| format!("g-2: {text}"))
    );
}

#[test]
fn a_replica_that_does_not_lead_tells_nothing_of_ambiguous_pods() {
    let mut scene = Scene::new(1, 8);
    scene.engine = engine(0);
    let volcano = json!({"annotations": {"scheduling.k8s.io/group-name": "h"}});
    scene.pod_with("g", "g-0", 1, volcano, json!({}));
    scene.settle();
    assert!(scene.events.is_empty(), "{:?}", scene.events);
    scene.apply(Change::Synced);
    scene.settle();
    assert_eq!(scene.take_events(EventKind::AmbiguousPodGroup).len(), 1);
}

#[test]
fn a_group_with_a_composite_parent_is_a_gang_by_itself() {
    let mut scene = Scene::new(1, 8);
    let group = json!({"spec": {
        "parentCompositePodGroupName": "training",
        "schedulingPolicy": {"gang": {"minCount": 2}},
    }});
    scene.object(Dialect::Kubernetes, "g", group);
    let member = json!({"schedulingGroup": {"podGroupName": "g"}});
    scene.pod_with("", "g-0", 1, json!({}), member.clone());
    scene.settle();
    assert_eq!(scene.bound("g"), 0);
    assert!(
        scene
            .condition("g-0")
            .1
            .ends_with("gang default/g has 1 of 2 pods")
    );
    scene.pod_with("", "g-1", 1, json!({}), member);
    scene.settle();
    assert_eq!(scene.bound("g"), 2);
}

#[test]
fn numbers_that_users_write_cost_nothing() {
    for min in [0, -1, 2_147_483_648, i64::MAX] {
        let mut scene = Scene::new(1, 8);
        scene.gang("g", min, 2, 1);
        scene.settle();
        let expected = if min < 1 { 2 } else { 0 };
        assert_eq!(scene.bound("g"), expected, "minMember {min}");
    }
}

#[test]
fn a_group_that_cannot_be_read_is_left_alone_and_the_others_are_not() {
    let mut scene = Scene::new(1, 8);
    scene.apply(Change::PodGroupUnreadable(
        GroupRef {
            dialect: Dialect::SchedulerPlugins,
            namespace: "default".into(),
            name: "bad".into(),
        },
        "spec.minMember: invalid type".to_owned(),
    ));
    scene.pod("bad", "bad-0", 1);
    scene.gang("good", 2, 2, 1);
    scene.settle();
    assert_eq!((scene.bound("bad"), scene.bound("good")), (0, 2));
    let (reason, text) = scene.condition("bad-0");
    let expected = "the pod group cannot be read: spec.minMember: invalid type";
    assert_eq!((reason, text), ("SchedulerError", expected));
    scene.group("bad", 1);
    scene.settle();
    assert_eq!(scene.bound("bad"), 1);
}
