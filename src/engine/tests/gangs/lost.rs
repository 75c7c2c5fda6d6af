//! What a gang that waits must hear of, and what must not be forgotten about one that runs.

use serde_json::{Value, json};

use super::scene::Scene;
use crate::engine::{Change, EventKind, GroupPhase};
use crate::model::Dialect;

const NO_LABELS: &[(&str, &str)] = &[];

fn cordoned(scene: &mut Scene, name: &str, labels: &[(&str, &str)], cordoned: bool) {
    let spec = json!({"unschedulable": cordoned});
    scene.node_with(name, 8, labels, spec);
}

fn koordinator(min: u32) -> Value {
    json!({"annotations": {
        "gang.scheduling.koordinator.sh/name": "k",
        "gang.scheduling.koordinator.sh/min-available": min.to_string()}})
}

#[test]
fn a_member_that_goes_while_its_gang_waits_leaves_nothing_behind() {
    let mut scene = Scene::new(1, 1);
    scene.gang("g", 2, 3, 1);
    scene.settle();
    scene.delete("g-0");
    scene.settle();
    scene.delete("g-1");
    scene.delete("g-2");
    scene.settle();
    assert!(scene.engine.queue().is_empty());
}

#[test]
fn a_member_that_changes_its_group_listens_for_the_new_one_alone() {
    let mut scene = Scene::new(1, 1);
    scene.gang("g", 2, 3, 1);
    scene.gang("h", 2, 2, 1);
    scene.settle();
    scene.edit("g-0", |pod| {
        pod["metadata"]["labels"]["scheduling.x-k8s.io/pod-group"] = json!("h");
    });
    scene.settle();
    scene.edit("g-1", |pod| pod["metadata"]["labels"] = json!({}));
    scene.settle();
    assert!(scene.node_of("g-1").is_some());
}

#[test]
fn a_member_may_change_its_group_and_nothing_else() {
    let mut scene = Scene::new(1, 8);
    let of = |group: &str| json!({"annotations": {"scheduling.k8s.io/group-name": group}});
    let two = json!({"spec": {"minMember": 2}});
    scene.object(Dialect::Volcano, "g", two.clone());
    scene.object(Dialect::Volcano, "h", two);
    scene.pod_with("", "v-0", 1, of("g"), json!({}));
    scene.pod_with("", "v-1", 1, of("h"), json!({}));
    scene.settle();
    scene.edit("v-0", |pod| {
        pod["metadata"]["annotations"] = of("h")["annotations"].clone()
    });
    scene.settle();
    assert_eq!(scene.bound("v"), 2);
}

#[test]
fn members_with_new_images_go_on_listening() {
    let mut scene = Scene::new(1, 2);
    scene.pod("", "filler", 1);
    scene.settle();
    scene.gang("g", 2, 2, 1);
    scene.settle();
    for name in ["g-0", "g-1"] {
        scene.edit(name, |pod| {
            pod["spec"]["containers"][0]["image"] = json!("registry.example/app:2");
        });
    }
    scene.settle();
    scene.delete("filler");
    scene.settle();
    assert_eq!(scene.bound("g"), 2);
}

#[test]
fn room_that_is_as_small_as_before_may_be_lacking_for_another_reason() {
    let mut scene = Scene::new(0, 0);
    cordoned(&mut scene, "n", NO_LABELS, false);
    scene.pod("", "filler", 8);
    scene.settle();
    scene.gang("g", 1, 1, 8);
    scene.settle();
    cordoned(&mut scene, "n", NO_LABELS, true);
    scene.delete("filler");
    scene.settle();
    assert_eq!(scene.bound("g"), 0);
    cordoned(&mut scene, "n", NO_LABELS, false);
    scene.settle();
    assert_eq!(scene.bound("g"), 1);
}

#[test]
fn domains_that_were_not_worth_a_try_are_listened_for() {
    let mut scene = Scene::new(0, 0);
    for node in 0..3 {
        cordoned(&mut scene, &format!("r1-{node}"), &[("rack", "r1")], false);
    }
    for node in 0..4 {
        cordoned(&mut scene, &format!("r2-{node}"), &[("rack", "r2")], true);
    }
    let rack = json!({"metadata": {"annotations": {"gang.berth.dev/required-topology": "rack"}},
        "spec": {"minMember": 4}});
    scene.object(Dialect::SchedulerPlugins, "g", rack);
    for pod in 0..4 {
        scene.pod("g", &format!("g-{pod}"), 8);
    }
    scene.settle();
    assert_eq!(scene.bound("g"), 0);
    for node in 0..4 {
        cordoned(&mut scene, &format!("r2-{node}"), &[("rack", "r2")], false);
    }
    scene.settle();
    assert_eq!(scene.bound("g"), 4);
}

#[test]
fn a_gang_hears_of_nodes_for_the_members_that_fitted() {
    // The launcher may use the tainted node once its taint is gone, which leaves the other one to
    // the worker; that one is kept off the tainted node by something else.
    let mut scene = Scene::new(0, 0);
    let taint = json!({"taints": [{"key": "later", "effect": "NoSchedule"}]});
    scene.node_with("worker", 9, &[("kind", "worker")], json!({}));
    scene.node_with("other", 8, &[], taint);
    scene.group("g", 2);
    scene.pod("g", "g-0", 8);
    let worker = json!({"nodeSelector": {"kind": "worker"},
        "tolerations": [{"key": "later", "operator": "Exists"}]});
    scene.pod_with("g", "g-1", 2, json!({}), worker);
    scene.settle();
    assert_eq!(scene.bound("g"), 0);
    scene.node_with("other", 8, &[], json!({}));
    scene.settle();
    assert_eq!(scene.bound("g"), 2);
}

#[test]
fn a_gang_hears_that_it_needs_fewer_members() {
    // By the pod that asked for most being gone.
    let mut scene = Scene::new(1, 2);
    for (pod, min) in [2, 2, 3].into_iter().enumerate() {
        scene.pod_with("", &format!("k-{pod}"), 1, koordinator(min), json!({}));
    }
    scene.settle();
    assert_eq!(scene.bound("k"), 0);
    scene.delete("k-2");
    scene.settle();
    assert_eq!(scene.bound("k"), 2);
    // By somebody else's bind.
    let mut scene = Scene::new(2, 8);
    cordoned(&mut scene, "closed", NO_LABELS, true);
    scene.gang("g", 3, 3, 8);
    scene.settle();
    assert_eq!(scene.bound("g"), 0);
    scene.edit("g-0", |pod| pod["spec"]["nodeName"] = json!("closed"));
    scene.settle();
    assert_eq!(scene.bound("g"), 3);
}

#[test]
fn a_gang_hears_that_nothing_pins_it_any_more() {
    let mut scene = Scene::new(0, 0);
    for node in ["a", "b"] {
        scene.node_with(node, 8, &[("rack", "r1")], json!({}));
    }
    let rack = json!({"metadata": {"annotations": {"gang.berth.dev/required-topology": "rack"}},
        "spec": {"minMember": 1}});
    scene.object(Dialect::SchedulerPlugins, "g", rack);
    scene.pod("g", "g-0", 8);
    scene.pod("g", "g-1", 4);
    scene.settle();
    assert_eq!(scene.bound("g"), 2);
    let lost = scene.node_of("g-0").unwrap();
    scene.apply(Change::NodeGone(lost.into()));
    scene.pod("g", "g-2", 4);
    scene.settle();
    assert!(scene.node_of("g-2").is_none());
    scene.delete("g-0");
    scene.settle();
    assert!(scene.node_of("g-2").is_some());
}

#[test]
fn a_member_that_comes_to_a_gang_that_waits_is_told_so_too() {
    let mut scene = Scene::new(1, 3);
    scene.gang("g", 4, 4, 1);
    scene.settle();
    scene.pod("g", "g-4", 1);
    scene.settle();
    assert_eq!(scene.condition("g-4").0, "Unschedulable");
}

#[test]
fn a_status_of_an_earlier_life_counts_whatever_is_listed_first() {
    for group_first in [true, false] {
        let mut scene = Scene::new(1, 8);
        let ran = || json!({"spec": {"minMember": 4}, "status": {"phase": "Running"}});
        if group_first {
            scene.object(Dialect::SchedulerPlugins, "g", ran());
        }
        for pod in 0..2 {
            let bound = json!({"nodeName": "node-0"});
            scene.pod_with("g", &format!("g-{pod}"), 1, json!({}), bound);
        }
        scene.pod("g", "g-2", 1);
        if !group_first {
            scene.object(Dialect::SchedulerPlugins, "g", ran());
        }
        scene.settle();
        assert_eq!(scene.bound("g"), 3, "group first: {group_first}");
    }
}

#[test]
fn an_object_that_was_made_anew_is_told_of_the_gang_as_the_old_one_was() {
    let mut scene = Scene::new(1, 8);
    scene.gang("g", 2, 2, 1);
    scene.settle();
    assert_eq!(scene.phase("g"), Some(GroupPhase::Scheduled));
    scene.statuses.clear();
    let anew = json!({"metadata": {"uid": "second"}, "spec": {"minMember": 2}});
    scene.object(Dialect::SchedulerPlugins, "g", anew);
    scene.settle();
    assert_eq!(scene.phase("g"), Some(GroupPhase::Scheduled));
}

#[test]
fn a_member_that_cannot_be_read_is_an_error_and_is_not_placed() {
    let selector = json!({"matchExpressions": [{"key": "app", "operator": "Nonsense"}]});
    let spread = json!({"topologySpreadConstraints": [{"maxSkew": 1,
        "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}]});
    for (min, bound) in [(2, 0), (1, 1)] {
        let mut scene = Scene::new(1, 8);
        scene.group("g", min);
        scene.pod_with("g", "g-0", 1, json!({}), spread.clone());
        scene.pod("g", "g-1", 1);
        scene.settle();
        assert_eq!(scene.bound("g"), bound, "min {min}");
        let (reason, text) = scene.condition("g-0");
        assert_eq!(reason, "SchedulerError", "{text}");
        assert!(text.starts_with("running Pre"), "{text}");
        // It is tried again without an event, as what upstream calls an error.
        let attempts = scene.attempts("g-0");
        for _ in 0..15 {
            scene.settle();
        }
        assert!(scene.attempts("g-0") > attempts);
    }
}

#[test]
fn extras_that_are_told_the_same_make_one_event() {
    let mut scene = Scene::new(1, 2);
    scene.gang("g", 2, 8, 1);
    scene.settle();
    assert_eq!(scene.bound("g"), 2);
    let events = scene.take_events(EventKind::FailedScheduling);
    assert_eq!(events.len(), 1, "{events:#?}");
    let mut scene = Scene::new(0, 0);
    scene.gang("g", 2, 8, 1);
    scene.run();
    let events = scene.take_events(EventKind::FailedScheduling);
    assert_eq!(events.len(), 1, "{events:#?}");
}
