//! Gangs that evict others: evictions that fail or are not needed, for how many members it is done,
//! and another life of the scheduler in the middle of it.

use serde_json::json;

use super::preempting::{budget, gang, victims};
use super::scene::Scene;
use crate::engine::{Action, Effect, Outcome};
use crate::model::Dialect;

/// Decides and carries out everything but evictions.
fn evictions(scene: &mut Scene) -> Vec<Effect> {
    let mut evictions = Vec::new();
    for _ in 0..100 {
        let effects = scene.engine.run(scene.now, 64);
        if effects.is_empty() && !scene.engine.has_work() {
            break;
        }
        for effect in effects {
            match effect.action {
                Action::Evict(_) => evictions.push(effect),
                _ => scene.carry(effect),
            }
        }
    }
    evictions
}

/// A gang that has lost a member and got another one evicts the same pods again. That the first
/// eviction of one of them has failed says nothing about the second one.
#[test]
fn an_eviction_that_failed_is_not_a_later_one() {
    for failed_last in [false, true] {
        let mut scene = Scene::new(1, 2);
        for name in ["low-0", "low-1"] {
            scene.pod("", name, 1);
        }
        scene.settle();
        scene.group("high", 2);
        for name in ["high-0", "high-1"] {
            scene.pod_with("high", name, 1, json!({}), json!({"priority": 100}));
        }
        let first = evictions(&mut scene);
        scene.delete("high-1");
        scene.pod_with("high", "high-2", 1, json!({}), json!({"priority": 100}));
        let second = evictions(&mut scene);
        assert_eq!((first.len(), second.len()), (2, 2));
        let failed = Outcome::Failed("too many requests".to_owned());
        if failed_last {
            // One of the two was carried out, so that the other one does not matter.
            let done = first[0].id;
            scene.engine.complete(done, Outcome::Done, scene.now);
            scene.engine.complete(second[0].id, failed, scene.now);
        } else {
            scene.engine.complete(first[0].id, failed, scene.now);
        }
        let (_, gang) = scene.engine.gangs.table.iter().next().unwrap();
        let waits_for = scene.engine.preemptions.victims_of(gang.unit);
        assert_eq!(waits_for.len(), 2, "{failed_last}");
        for effect in second {
            scene.carry(effect);
        }
        assert_eq!(evictions(&mut scene), []);
        assert_eq!(victims(&mut scene).len(), 2);
        assert_eq!(scene.bound("high"), 2);
        scene.engine.audit();
    }
}

/// An eviction fails of a pod that somebody else deletes: it is still waited for.
#[test]
fn who_leaves_though_its_eviction_failed_is_waited_for() {
    let mut scene = Scene::new(2, 1);
    for name in ["low-0", "low-1"] {
        scene.pod("", name, 1);
    }
    scene.settle();
    scene.group("high", 1);
    scene.pod_with("high", "high-0", 1, json!({}), json!({"priority": 100}));
    let sent = evictions(&mut scene);
    let [eviction] = &*sent else {
        panic!("{sent:?}");
    };
    let victim = eviction.pod().unwrap().name.to_string();
    scene.terminate(&victim);
    let failed = Outcome::Failed("too many requests".to_owned());
    scene.engine.complete(eviction.id, failed, scene.now);
    scene.wait(60);
    assert_eq!(evictions(&mut scene), [], "nobody else goes");
    scene.delete(&victim);
    scene.settle();
    assert_eq!(scene.bound("high"), 1);
}

/// The gang fits as the search for victims seats it, which is not as it is packed: it is placed so,
/// and nobody is told of a preemption without victims.
#[test]
fn a_gang_that_fits_in_another_way_evicts_nobody() {
    let mut scene = Scene::new(2, 10);
    scene.pod("", "low", 0);
    scene.settle();
    scene.group("high", 6);
    for (number, gpus) in [4, 4, 3, 3, 3, 3].into_iter().enumerate() {
        let spec = json!({"priority": 100});
        scene.pod_with("high", &format!("high-{number}"), gpus, json!({}), spec);
    }
    let mut told = Vec::new();
    for _ in 0..100 {
        let effects = scene.engine.run(scene.now, 1);
        if effects.is_empty() && !scene.engine.has_work() {
            break;
        }
        for effect in effects {
            match &effect.action {
                Action::PatchStatus(patch) => told.push(patch.message().to_owned()),
                Action::Emit(event) => told.push(event.note.to_string()),
                _ => {}
            }
            scene.carry(effect);
        }
    }
    assert_eq!(scene.bound("high"), 6);
    assert!(
        told.iter()
            .all(|text| !text.contains("preempting 0 victims")),
        "{told:?}"
    );
    assert_eq!(victims(&mut scene), Vec::<String>::new());
}

/// What was to be evicted of a budget and was not is left of it.
#[test]
fn an_eviction_that_failed_spends_nothing() {
    let mut scene = Scene::new(1, 2);
    for name in ["web-0", "web-1"] {
        scene.pod_with("", name, 1, json!({"labels": {"app": "web"}}), json!({}));
    }
    scene.settle();
    budget(&mut scene, "x", "web", 2);
    scene.group("high", 2);
    for name in ["high-0", "high-1"] {
        scene.pod_with("high", name, 1, json!({}), json!({"priority": 100}));
    }
    for effect in evictions(&mut scene) {
        let failed = Outcome::Failed("too many requests".to_owned());
        scene.engine.complete(effect.id, failed, scene.now);
    }
    scene.wait(60);
    scene.settle();
    assert_eq!(victims(&mut scene).len(), 2);
    assert_eq!(scene.bound("high"), 2);
}

/// A gang that has what must run together evicts nobody for more, however often that is tried, but
/// for what it has lost it does.
#[test]
fn a_gang_that_runs_evicts_for_its_number_alone() {
    let mut scene = Scene::new(1, 8);
    gang(&mut scene, "high", (4, 4), 100);
    gang(&mut scene, "low", (1, 4), 0);
    let more = |scene: &mut Scene, number: usize| {
        let spec = json!({"priority": 100});
        scene.pod_with("high", &format!("high-{number}"), 1, json!({}), spec);
        scene.settle();
    };
    for number in 4..6 {
        more(&mut scene, number);
        assert_eq!((scene.bound("high"), scene.evicted.len()), (4, 0));
    }
    for number in 0..2 {
        let name = format!("high-{number}");
        scene.delete(&name);
        scene.pod("", &format!("takes-{number}"), 1);
        scene.settle();
    }
    assert_eq!((scene.bound("high"), scene.evicted.len()), (4, 0));
    // Of two that it lacks one fits.
    for number in 6..8 {
        more(&mut scene, number);
        assert_eq!((scene.bound("high"), scene.evicted.len()), (4, 0));
    }
    for number in 2..4 {
        scene.delete(&format!("high-{number}"));
    }
    let spec = json!({"priority": 200, "nodeName": "node-0"});
    scene.pod_with("", "foreign", 1, json!({}), spec);
    scene.settle();
    assert_eq!((scene.bound("high"), scene.evicted.len()), (3, 1));
    assert_eq!(victims(&mut scene).len(), 1);
    assert_eq!(scene.bound("high"), 4);
    scene.engine.audit();
}

/// A group of the policy `basic` is no gang: each of its pods evicts as a pod by itself would.
#[test]
fn each_pod_of_a_basic_group_makes_room() {
    let mut scene = Scene::new(1, 2);
    gang(&mut scene, "low", (1, 2), 0);
    let spec = json!({"spec": {"schedulingPolicy": {"basic": {}}, "priority": 100}});
    scene.object(Dialect::Kubernetes, "basic", spec);
    for number in 0..2 {
        let spec = json!({"schedulingGroup": {"podGroupName": "basic"}, "priority": 100});
        scene.pod_with("", &format!("basic-{number}"), 1, json!({}), spec);
    }
    scene.settle();
    for _ in 0..2 {
        assert_eq!(victims(&mut scene).len(), 1);
    }
    assert_eq!(scene.bound("basic"), 2);
}

/// Another life of the scheduler keeps the room that was made for a gang, whatever it hears of first,
/// and evicts nobody else for it.
#[test]
fn a_restart_keeps_the_room_of_a_gang() {
    for group_first in [true, false] {
        let mut scene = Scene::new(3, 2);
        for (number, node, gpus) in [(0, 0, 2), (1, 1, 2), (2, 2, 1), (3, 2, 1)] {
            let spec = json!({"nodeName": format!("node-{node}")});
            scene.pod_with("", &format!("low-{number}"), gpus, json!({}), spec);
        }
        gang(&mut scene, "high", (4, 4), 100);
        assert_eq!(scene.evicted, ["low-0", "low-1"]);
        scene.delete("low-0");
        let nodes = [("node-0", 2), ("node-1", 2), ("node-2", 2)];
        let groups = [("high", 4)];
        scene.pod("", "rival", 1);
        if group_first {
            scene.restart(&groups, &nodes);
        } else {
            scene.restart(&[], &nodes);
            scene.group("high", 4);
        }
        scene.settle();
        assert_eq!(scene.node_of("rival"), None, "{group_first}");
        assert_eq!(scene.evicted, ["low-0", "low-1"]);
        scene.delete("low-1");
        scene.settle();
        assert_eq!((scene.bound("high"), scene.evicted.len()), (4, 2));
        scene.engine.audit();
    }
}

/// A budget that allows more lets a gang try again that it has kept from its room.
#[test]
fn a_gang_hears_of_the_budget_that_blocks_it() {
    let mut scene = Scene::new(1, 2);
    for name in ["web-0", "web-1"] {
        scene.pod_with("", name, 1, json!({"labels": {"app": "web"}}), json!({}));
    }
    scene.settle();
    budget(&mut scene, "x", "web", 0);
    gang(&mut scene, "high", (2, 2), 100);
    budget(&mut scene, "x", "web", 1);
    scene.run();
    assert_eq!(scene.evicted.len(), 0);
    budget(&mut scene, "x", "web", 2);
    scene.run();
    assert_eq!(victims(&mut scene).len(), 2);
    assert_eq!(scene.bound("high"), 2);
}

/// Where there are no nodes any more no room is kept on any.
#[test]
fn a_gang_without_nodes_keeps_no_room() {
    let mut scene = Scene::new(1, 2);
    gang(&mut scene, "low", (1, 2), 0);
    gang(&mut scene, "high", (2, 2), 100);
    assert_eq!(scene.engine.nominator.on("node-0").len(), 2);
    scene.apply(crate::engine::Change::NodeGone("node-0".into()));
    victims(&mut scene);
    assert_eq!(scene.engine.nominator.on("node-0").len(), 0);
}

/// A gang lacks two members, and evicts somebody for one of them. The other one has found room by
/// then: what is being made free is for the one that is left, and nobody else goes.
#[test]
fn what_is_made_free_is_for_the_rest_of_the_gang() {
    let mut scene = Scene::new(1, 3);
    gang(&mut scene, "high", (3, 3), 100);
    for number in 1..3 {
        let node = format!("node-{number}");
        scene.node(&node, 1, &[]);
        scene.pod_with(
            "",
            &format!("low-{number}"),
            1,
            json!({}),
            json!({"nodeName": node}),
        );
    }
    for number in 0..2 {
        scene.delete(&format!("high-{number}"));
        let spec = json!({"priority": 200, "nodeName": "node-0"});
        scene.pod_with("", &format!("foreign-{number}"), 1, json!({}), spec);
    }
    for name in ["high-3", "high-4"] {
        scene.pod_with("high", name, 1, json!({}), json!({"priority": 100}));
    }
    scene.settle();
    assert_eq!((scene.bound("high"), scene.evicted.len()), (1, 1));
    scene.node("node-3", 1, &[]);
    scene.node("node-4", 1, &[]);
    let spec = json!({"priority": -5, "nodeName": "node-4"});
    scene.pod_with("", "lower", 1, json!({}), spec);
    scene.settle();
    assert_eq!((scene.bound("high"), scene.evicted.len()), (2, 1));
    assert_eq!(victims(&mut scene).len(), 1);
    assert_eq!((scene.bound("high"), scene.evicted.len()), (3, 0));
    scene.engine.audit();
}
