//! Gangs that must or should be together.

use serde_json::json;

use super::scene::Scene;
use crate::model::Dialect;

/// Racks with nodes of 8 GPUs each.
fn racks(scene: &mut Scene, racks: &[(&str, usize)]) {
    for (rack, nodes) in racks {
        for node in 0..*nodes {
            scene.node(
                &format!("{rack}-{node}"),
                8,
                &[("rack", rack), ("block", "b")],
            );
        }
    }
}

fn group(scene: &mut Scene, name: &str, min: i64, annotations: &[(&str, &str)]) {
    let annotations: serde_json::Map<_, _> = (annotations.iter())
        .map(|(key, value)| (format!("gang.berth.dev/{key}-topology"), json!(value)))
        .collect();
    let object = json!({"metadata": {"annotations": annotations}, "spec": {"minMember": min}});
    scene.object(Dialect::SchedulerPlugins, name, object);
}

fn members(scene: &mut Scene, name: &str, pods: usize, gpus: i64) {
    for pod in 0..pods {
        scene.pod(name, &format!("{name}-{pod}"), gpus);
    }
}

#[test]
fn a_gang_is_placed_in_one_domain_or_not_at_all() {
    let mut scene = Scene::new(0, 0);
    racks(&mut scene, &[("r1", 6), ("r2", 6)]);
    group(&mut scene, "g", 8, &[("required", "rack")]);
    members(&mut scene, "g", 8, 8);
    scene.settle();
    assert_eq!(scene.bound("g"), 0);
    let text = &*scene.statuses["g"].message;
    let tail = "gang default/g: 6 of 8 members fit; best domain rack=r1 lacks 16 nvidia.com/gpu; without the constraint it fits now";
    assert!(text.ends_with(tail), "{text}");
    let messages = scene.messages("g");
    let refused = "0/6 nodes are available: 6 Insufficient nvidia.com/gpu. gang default/g";
    assert!(
        messages.keys().any(|message| message.starts_with(refused)),
        "{messages:#?}"
    );
    for node in 6..8 {
        scene.node(&format!("r2-{node}"), 8, &[("rack", "r2")]);
    }
    scene.settle();
    assert_eq!(scene.bound("g"), 8);
    assert!(
        scene
            .nodes_of("g")
            .iter()
            .all(|node| node.starts_with("r2-"))
    );
}

#[test]
fn the_tightest_domain_is_taken() {
    let mut scene = Scene::new(0, 0);
    racks(&mut scene, &[("r1", 5), ("r2", 3), ("r3", 4)]);
    group(&mut scene, "g", 3, &[("required", "rack")]);
    members(&mut scene, "g", 3, 8);
    scene.settle();
    assert!(
        scene
            .nodes_of("g")
            .iter()
            .all(|node| node.starts_with("r2-"))
    );
    // Of two that are as tight the first by name.
    group(&mut scene, "h", 1, &[("required", "rack")]);
    members(&mut scene, "h", 4, 8);
    scene.settle();
    assert!(
        scene
            .nodes_of("h")
            .iter()
            .all(|node| node.starts_with("r3-"))
    );
}

#[test]
fn what_is_preferred_is_tried_first_and_given_up_when_it_must_be() {
    for (rack_size, expected) in [(4, 1), (3, 2)] {
        let mut scene = Scene::new(0, 0);
        racks(&mut scene, &[("r1", rack_size), ("r2", 2)]);
        group(&mut scene, "g", 4, &[("preferred", "rack,block")]);
        members(&mut scene, "g", 4, 8);
        scene.settle();
        assert_eq!(scene.bound("g"), 4);
        let racks: std::collections::BTreeSet<String> = (scene.nodes_of("g").iter())
            .map(|node| node[..2].to_owned())
            .collect();
        assert_eq!(racks.len(), expected);
    }
}

#[test]
fn a_replacement_goes_where_its_gang_is() {
    let mut scene = Scene::new(0, 0);
    racks(&mut scene, &[("r1", 2), ("r2", 4)]);
    group(&mut scene, "g", 2, &[("required", "rack")]);
    members(&mut scene, "g", 2, 8);
    scene.settle();
    assert!(
        scene
            .nodes_of("g")
            .iter()
            .all(|node| node.starts_with("r1-"))
    );
    scene.delete("g-1");
    scene.pod_with(
        "",
        "filler",
        8,
        json!({}),
        json!({"nodeSelector": {"rack": "r1"}}),
    );
    scene.settle();
    scene.pod("g", "g-2", 8);
    scene.settle();
    assert!(scene.node_of("g-2").is_none());
    scene.delete("filler");
    scene.settle();
    assert!(scene.node_of("g-2").unwrap().starts_with("r1-"));
}

#[test]
fn a_label_that_no_node_has_is_named_and_waited_for() {
    let mut scene = Scene::new(2, 8);
    group(&mut scene, "g", 2, &[("required", "rack")]);
    members(&mut scene, "g", 2, 8);
    scene.settle();
    assert_eq!(scene.bound("g"), 0);
    let text = &*scene.statuses["g"].message;
    assert!(
        text.contains("no node in question has the label rack"),
        "{text}"
    );
    let short = "minCount (2) cannot be satisfied: 0 scheduled, 2 remaining";
    assert_eq!(scene.condition("g-0"), ("Unschedulable", short));
    for node in 0..2 {
        scene.node(&format!("node-{node}"), 8, &[("rack", "r1")]);
    }
    scene.settle();
    assert_eq!(scene.bound("g"), 2);
}

#[test]
fn nodes_without_the_label_are_told_of() {
    let mut scene = Scene::new(0, 0);
    racks(&mut scene, &[("r1", 2)]);
    for node in 0..4 {
        scene.node(&format!("bare-{node}"), 8, &[]);
    }
    scene.node("cpu", 0, &[]);
    group(&mut scene, "g", 3, &[("required", "rack")]);
    members(&mut scene, "g", 3, 8);
    scene.settle();
    assert_eq!(scene.bound("g"), 0);
    let text = &*scene.statuses["g"].message;
    let tail = "best domain rack=r1 lacks 8 nvidia.com/gpu; 4 nodes with nvidia.com/gpu lack the label rack; without the constraint it fits now";
    assert!(text.ends_with(tail), "{text}");
}
