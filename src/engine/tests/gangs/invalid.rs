//! Gangs whose pods contradict each other.

use serde_json::{Value, json};

use super::scene::Scene;
use crate::engine::{EventKind, GroupPhase};
use crate::model::Dialect;

#[track_caller]
fn check(odd: Value, group: Value, expected: &str) {
    let mut scene = Scene::new(1, 8);
    scene.object(Dialect::Kubernetes, "g", group);
    let member = |spec: Value| {
        let mut spec = spec;
        spec["schedulingGroup"] = json!({"podGroupName": "g"});
        spec
    };
    scene.pod_with("", "g-0", 1, json!({}), member(json!({})));
    scene.pod_with("", "g-1", 1, json!({}), member(odd));
    scene.settle();
    assert_eq!(scene.bound("g"), 0);
    assert_eq!(scene.condition("g-0"), ("SchedulerError", expected));
    assert_eq!(scene.phase("g"), Some(GroupPhase::Invalid));
    let events = scene.take_events(EventKind::FailedScheduling);
    assert!(
        events.contains(&format!("group g: {expected}")),
        "{events:?}"
    );
    assert!(events.contains(&format!("g-0: {expected}")), "{events:?}");
    assert_eq!(events.len(), 2, "{events:?}");
    // It recovers when the odd one is gone.
    scene.delete("g-1");
    scene.pod_with("", "g-2", 1, json!({}), member(json!({})));
    scene.settle();
    assert_eq!(scene.bound("g"), 2);
}

fn of_two() -> Value {
    json!({"spec": {"schedulingPolicy": {"gang": {"minCount": 2}}}})
}

#[test]
fn two_schedulers() {
    check(
        json!({"schedulerName": "default-scheduler"}),
        of_two(),
        "all pods in a single pod group should have the same .spec.schedulerName set, got: \"berth\" and \"default-scheduler\"",
    );
}

#[test]
fn two_priorities() {
    check(
        json!({"priority": 10}),
        of_two(),
        "all pods in a single pod group should have the same priority as the pod group's priority, got 10 and 0",
    );
}

#[test]
fn a_gang_whose_pods_have_resource_claims_is_refused_whole() {
    let mut scene = Scene::new(2, 8);
    scene.group("g", 2);
    scene.pod("g", "g-0", 1);
    let claims = json!({"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpu"}]});
    scene.pod_with("g", "g-1", 1, json!({}), claims);
    scene.settle();
    assert_eq!((scene.bound("g"), scene.binds), (0, 0));
    assert_eq!(scene.engine.cluster().placed_counts(), (0, 0));
    let (reason, text) = scene.condition("g-1");
    assert_eq!(reason, "Unschedulable");
    let words = "this version of Berth does not support resource claims (spec.resourceClaims)";
    assert!(text.contains(words), "{text}");
    assert!(
        scene
            .condition("g-0")
            .1
            .starts_with("pod group is unschedulable, minCount (2)")
    );
    // One more pod without claims is enough.
    scene.pod("g", "g-2", 1);
    scene.settle();
    assert_eq!(scene.bound("g"), 2);
    assert_eq!(scene.node_of("g-1"), None);
}
