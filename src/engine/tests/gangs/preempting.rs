//! Gangs that need room, and gangs that have it: who goes, and that nobody goes in vain.

use super::scene::Scene;
use crate::engine::Change;
use serde_json::{Value, json};

use crate::model::Dialect;

/// A gang of so many pods of one GPU each, of this priority.
pub(super) fn gang(scene: &mut Scene, name: &str, (min, pods): (i64, usize), priority: i32) {
    gang_of(scene, name, (min, pods), priority, 1);
}

fn gang_of(scene: &mut Scene, name: &str, (min, pods): (i64, usize), priority: i32, gpus: i64) {
    scene.group(name, min);
    for number in 0..pods {
        let spec = json!({"priority": priority});
        scene.pod_with(name, &format!("{name}-{number}"), gpus, json!({}), spec);
    }
    scene.settle();
}

pub(super) fn budget(scene: &mut Scene, name: &str, app: &str, allowed: i32) {
    let version = scene.next();
    let budget = json!({
        "metadata": {"namespace": "default", "name": name, "resourceVersion": version.to_string()},
        "spec": {"selector": {"matchLabels": {"app": app}}},
        "status": {"disruptionsAllowed": allowed},
    });
    let budget = serde_json::from_value(budget).unwrap();
    scene.apply(Change::DisruptionBudget(Box::new(budget)));
}

/// The victims, which then are gone.
pub(super) fn victims(scene: &mut Scene) -> Vec<String> {
    let mut victims = std::mem::take(&mut scene.evicted);
    victims.sort();
    for victim in &victims {
        scene.delete(victim);
    }
    scene.settle();
    victims
}

fn names(name: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{name}-{number}")).collect()
}

fn told(scene: &Scene, name: &str) -> String {
    scene.pods[name].condition.clone().unwrap().1
}

fn nominated(scene: &Scene, name: &str) -> Value {
    scene.pods[name].object["status"]["nominatedNodeName"].clone()
}

#[test]
fn a_running_gang_goes_as_a_whole() {
    let mut scene = Scene::new(1, 8);
    gang(&mut scene, "low", (8, 8), 0);
    gang(&mut scene, "high", (4, 4), 100);
    assert_eq!(scene.bound("high"), 0);
    assert_eq!(nominated(&scene, "high-0"), json!("node-0"));
    let text = told(&scene, "high-0");
    let words = "pod group preemption: found a placement for podgroup, preempting 8 victims";
    assert!(
        (0..4).any(|number| told(&scene, &format!("high-{number}")).contains(words))
            || scene.statuses["high"].message.contains(words),
        "{text}"
    );
    assert_eq!(victims(&mut scene), names("low", 0..8));
    assert_eq!(scene.bound("high"), 4);
    scene.engine.audit();
}

#[test]
fn what_a_gang_can_do_without_goes_first() {
    let mut scene = Scene::new(1, 8);
    gang(&mut scene, "low", (4, 8), 0);
    gang(&mut scene, "high", (4, 4), 100);
    assert_eq!(victims(&mut scene).len(), 4);
    assert_eq!((scene.bound("low"), scene.bound("high")), (4, 4));
    scene.engine.audit();
}

#[test]
fn nobody_goes_for_a_gang_that_would_not_fit_anyway() {
    let mut scene = Scene::new(2, 8);
    gang(&mut scene, "equal", (8, 8), 100);
    gang(&mut scene, "low", (8, 8), 0);
    gang(&mut scene, "high", (16, 16), 100);
    assert_eq!(victims(&mut scene), Vec::<String>::new());
    let status = &scene.statuses["high"].message;
    assert!(
        status.contains("would need 8 pods of priority >= 100"),
        "{status}"
    );
    assert_eq!((scene.bound("equal"), scene.bound("low")), (8, 8));
    scene.engine.audit();
}

#[test]
fn equals_are_never_evicted_for_each_other() {
    let mut scene = Scene::new(1, 8);
    gang(&mut scene, "first", (8, 8), 5);
    gang(&mut scene, "second", (8, 8), 5);
    assert_eq!(victims(&mut scene), Vec::<String>::new());
    let status = &scene.statuses["second"].message;
    let words = "pod group preemption: No preemption victims found for incoming preemptor";
    assert!(status.contains(words), "{status}");
}

#[test]
fn a_budget_is_a_limit() {
    let mut scene = Scene::new(1, 8);
    for number in 0..8 {
        let meta = json!({"labels": {"app": "web"}});
        scene.pod_with("", &format!("web-{number}"), 1, meta, json!({}));
    }
    scene.settle();
    budget(&mut scene, "x", "web", 3);
    gang(&mut scene, "high", (8, 8), 100);
    assert_eq!(victims(&mut scene), Vec::<String>::new());
    let status = &scene.statuses["high"].message;
    let words = "preemption blocked by PodDisruptionBudget default/x (3 of 8): \
                 PDB default/x allows 3 disruptions";
    assert!(status.contains(words), "{status}");
    gang(&mut scene, "small", (3, 3), 100);
    assert_eq!(victims(&mut scene).len(), 3);
    assert_eq!(scene.bound("small"), 3);
    scene.engine.audit();
}

#[test]
fn the_room_is_kept_until_the_last_victim_is_gone() {
    let mut scene = Scene::new(1, 8);
    gang(&mut scene, "low", (1, 8), 0);
    gang(&mut scene, "high", (8, 8), 100);
    let evicted = std::mem::take(&mut scene.evicted);
    assert_eq!(evicted.len(), 8);
    for victim in &evicted[..7] {
        scene.delete(victim);
        scene.settle();
    }
    // Neither a lower pod nor an equal one gets what the gang has made free.
    scene.pod_with("", "low-pod", 1, json!({}), json!({"priority": 0}));
    scene.pod_with("", "equal-pod", 1, json!({}), json!({"priority": 100}));
    scene.settle();
    assert_eq!((scene.bound("high"), scene.evicted.len()), (0, 0));
    let bound = |scene: &Scene, name: &str| !scene.pods[name].object["spec"]["nodeName"].is_null();
    assert!(!bound(&scene, "low-pod") && !bound(&scene, "equal-pod"));
    scene.delete(&evicted[7]);
    scene.settle();
    assert_eq!(scene.bound("high"), 8);
    scene.engine.audit();
}

#[test]
fn a_gang_that_goes_away_leaves_its_room_to_others() {
    let mut scene = Scene::new(1, 8);
    gang(&mut scene, "low", (1, 8), 0);
    gang(&mut scene, "high", (8, 8), 100);
    let evicted = std::mem::take(&mut scene.evicted);
    for number in 0..8 {
        scene.delete(&format!("high-{number}"));
    }
    gang(&mut scene, "other", (8, 8), 0);
    for victim in &evicted {
        scene.delete(victim);
    }
    scene.settle();
    assert_eq!(scene.bound("other"), 8);
    scene.engine.audit();
}

#[test]
fn members_that_a_gang_can_do_without_evict_nobody() {
    let mut scene = Scene::new(1, 8);
    gang(&mut scene, "high", (4, 4), 100);
    gang(&mut scene, "low", (1, 2), 0);
    for number in 4..8 {
        let spec = json!({"priority": 100});
        scene.pod_with("high", &format!("high-{number}"), 1, json!({}), spec);
    }
    scene.settle();
    assert_eq!(scene.bound("high"), 6);
    assert_eq!(victims(&mut scene), Vec::<String>::new());
}

#[test]
fn a_single_pod_takes_a_whole_gang_or_leaves_it() {
    let mut scene = Scene::new(2, 8);
    gang(&mut scene, "low", (16, 16), 0);
    scene.pod_with("", "pod", 1, json!({}), json!({"priority": 100}));
    scene.settle();
    assert_eq!(victims(&mut scene).len(), 16);
    let mut scene = Scene::new(2, 8);
    gang(&mut scene, "wide", (15, 15), 0);
    scene.pod_with("", "single", 1, json!({}), json!({"priority": 1}));
    scene.settle();
    scene.pod_with("", "pod", 1, json!({}), json!({"priority": 100}));
    scene.settle();
    assert_eq!(
        victims(&mut scene).len(),
        15,
        "the lowest priority goes first"
    );
    scene.engine.audit();
}

#[test]
fn of_kubernetes_groups_the_disruption_mode_decides() {
    for (mode, expected) in [("single", 4), ("all", 8)] {
        let mut scene = Scene::new(1, 8);
        let spec = json!({"spec": {
            "schedulingPolicy": {"gang": {"minCount": 8}}, "disruptionMode": {mode: {}},
        }});
        scene.object(Dialect::Kubernetes, "low", spec);
        for number in 0..8 {
            let spec = json!({"schedulingGroup": {"podGroupName": "low"}});
            scene.pod_with("", &format!("low-{number}"), 1, json!({}), spec);
        }
        scene.settle();
        gang(&mut scene, "high", (4, 4), 100);
        assert_eq!(victims(&mut scene).len(), expected, "{mode}");
        assert_eq!(scene.bound("high"), 4);
        scene.engine.audit();
    }
}

#[test]
fn the_rack_that_costs_least_is_cleared() {
    let mut scene = Scene::new(0, 0);
    for (node, rack) in [("a0", "a"), ("a1", "a"), ("b0", "b"), ("b1", "b")] {
        scene.node(node, 4, &[("rack", rack)]);
    }
    let on = |node: &str, priority: i32| json!({"priority": priority, "nodeSelector": {"kubernetes.io/hostname": node}, "nodeName": node});
    for (number, node) in ["a0", "a1", "b0", "b1"].into_iter().enumerate() {
        let priority = if node.starts_with('a') { 5 } else { 1 };
        for place in 0..2 {
            let name = format!("pod-{number}-{place}");
            scene.pod_with("", &name, 2, json!({}), on(node, priority));
        }
    }
    scene.settle();
    let object = json!({
        "metadata": {"annotations": {"gang.berth.dev/required-topology": "rack"}},
        "spec": {"minMember": 3},
    });
    scene.object(Dialect::SchedulerPlugins, "high", object);
    for number in 0..3 {
        let spec = json!({"priority": 100});
        scene.pod_with("high", &format!("high-{number}"), 2, json!({}), spec);
    }
    scene.settle();
    let gone = victims(&mut scene);
    assert_eq!(gone.len(), 3);
    assert!(
        gone.iter()
            .all(|name| name.starts_with("pod-2") || name.starts_with("pod-3")),
        "{gone:?}"
    );
    assert_eq!(scene.bound("high"), 3);
    scene.engine.audit();
}

#[test]
fn two_preemptors_do_not_take_the_same_spare_member() {
    let mut scene = Scene::new(3, 1);
    gang(&mut scene, "low", (2, 3), 0);
    assert_eq!(scene.bound("low"), 3);
    // Both are decided before the watch has told of the first eviction.
    for (name, priority) in [("first", 10), ("second", 5)] {
        scene.pod_with("", name, 1, json!({}), json!({"priority": priority}));
    }
    scene.settle();
    let gone = victims(&mut scene).len();
    assert!(gone == 1 || gone == 3, "{gone} of 3 where 2 must run");
    scene.engine.audit();
}

#[test]
fn two_gangs_do_not_spend_a_budget_twice() {
    let mut scene = Scene::new(1, 4);
    for number in 0..4 {
        let meta = json!({"labels": {"app": "web"}});
        scene.pod_with("", &format!("web-{number}"), 1, meta, json!({}));
    }
    scene.settle();
    budget(&mut scene, "x", "web", 2);
    for name in ["a", "b"] {
        scene.group(name, 2);
        for number in 0..2 {
            let spec = json!({"priority": 100});
            scene.pod_with(name, &format!("{name}-{number}"), 1, json!({}), spec);
        }
    }
    scene.settle();
    assert_eq!(scene.evicted.len(), 2);
    budget(&mut scene, "x", "web", 0);
    assert_eq!(victims(&mut scene).len(), 2);
    assert_eq!(scene.bound("a") + scene.bound("b"), 2);
    scene.engine.audit();
}
