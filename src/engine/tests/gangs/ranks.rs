//! Whose priority counts when gangs evict and are evicted.

use serde_json::json;

use super::scene::Scene;
use crate::model::Dialect;

/// A group of Kubernetes counts as of priority 0 unless it names one, whatever its pods say: where
/// it evicted by the priority of its pods, it would be evicted by whom it has evicted.
#[test]
fn who_counts_for_little_as_a_victim_counts_for_no_more_as_a_preemptor() {
    let mut scene = Scene::new(1, 4);
    for place in 0..2 {
        let spec = json!({"priority": 50});
        scene.pod_with("", &format!("low-{place}"), 2, json!({}), spec);
    }
    scene.settle();
    assert_eq!(scene.bound("low"), 2);
    let group = json!({"spec": {"schedulingPolicy": {"gang": {"minCount": 2}}}});
    scene.object(Dialect::Kubernetes, "g", group);
    for place in 0..2 {
        let spec = json!({"priority": 100, "schedulingGroup": {"podGroupName": "g"}});
        scene.pod_with("", &format!("g-{place}"), 2, json!({}), spec);
    }
    scene.settle();
    assert_eq!(scene.evicted, Vec::<String>::new());
    assert_eq!(scene.bound("g"), 0);
}
