//! All or nothing: quorum, order, rollback, repair.

use serde_json::json;

use super::scene::Scene;
use crate::engine::{Action, EventKind, GroupPhase};

#[test]
fn of_two_gangs_that_do_not_fit_together_one_runs_and_the_other_holds_nothing() {
    let mut scene = Scene::new(10, 1);
    scene.group("a", 6);
    scene.group("b", 6);
    for pod in 0..6 {
        scene.pod("a", &format!("a-{pod}"), 1);
        scene.pod("b", &format!("b-{pod}"), 1);
    }
    scene.settle();
    assert_eq!((scene.bound("a"), scene.bound("b")), (6, 0));
    let story = "gang default/b: 4 of 6 members fit; the cluster lacks 2 nvidia.com/gpu";
    let short = "minCount (6) cannot be satisfied: 4 scheduled, 1 remaining";
    let victims = "pod group preemption: No preemption victims found for incoming preemptor";
    let refused = format!("0/10 nodes are available: 10 Insufficient nvidia.com/gpu. {story}");
    let fitted = format!("pod group is unschedulable, {short}, {victims}");
    let messages = scene.messages("b");
    let expected = [(&*fitted, 4), (&*refused, 1), (short, 1)];
    assert_eq!(messages, expected.into_iter().collect());
    // One event for each text and one for the group, and not one for each pod.
    let mut events = scene.take_events(EventKind::FailedScheduling);
    events.sort();
    assert_eq!(events.len(), 4, "{events:#?}");
    assert!(
        events.contains(&format!("group b: {refused}")),
        "{events:#?}"
    );
    assert_eq!(scene.phase("b"), Some(GroupPhase::Unschedulable));
    assert_eq!(
        &*scene.statuses["b"].message,
        format!("{short}, {victims}. {story}")
    );
    // Nothing is reserved for the one that waits.
    scene.pod("", "single", 1);
    scene.settle();
    assert!(scene.node_of("single").is_some());
    // It is placed with the last deletion that it needs, and not before.
    for pod in 0..2 {
        scene.delete(&format!("a-{pod}"));
        scene.settle();
        assert_eq!(scene.bound("b"), 0);
    }
    scene.delete("a-2");
    scene.settle();
    assert_eq!(scene.bound("b"), 6);
    assert_eq!(scene.phase("b"), Some(GroupPhase::Scheduled));
}

#[test]
fn as_many_gangs_run_as_fit_whole_and_the_others_are_not_tried_again_for_nothing() {
    let mut scene = Scene::new(95, 1);
    for pod in 0..10 {
        for gang in 0..40 {
            let name = format!("g{gang:02}");
            if pod == 0 {
                scene.group(&name, 10);
            }
            scene.pod(&name, &format!("{name}-{pod}"), 1);
        }
    }
    scene.settle();
    let whole = |scene: &Scene| {
        let bound = (0..40).map(|gang| scene.bound(&format!("g{gang:02}")));
        bound.fold((0, 0), |(whole, none), bound| match bound {
            10 => (whole + 1, none),
            0 => (whole, none + 1),
            other => panic!("{other} of a gang are bound"),
        })
    };
    assert_eq!(whole(&scene), (9, 31));
    let attempts = scene.attempts("g39-0");
    for _ in 0..300 {
        scene.settle();
    }
    assert_eq!(whole(&scene), (9, 31));
    // The five minutes' flush alone tries them once more.
    assert!(scene.attempts("g39-0") <= attempts + 1);
}

#[test]
fn the_same_input_leads_to_the_same_gang() {
    for seed in 0..20 {
        let mut scene = Scene::seeded(1, 8, seed);
        scene.gang("a", 8, 8, 1);
        scene.gang("b", 8, 8, 1);
        scene.settle();
        assert_eq!((scene.bound("a"), scene.bound("b")), (8, 0));
    }
}

#[test]
fn a_large_gang_that_does_not_fit_stops_nobody_and_keeps_its_place() {
    let mut scene = Scene::new(2, 8);
    scene.pod("", "filler", 1);
    scene.settle();
    scene.gang("head", 2, 2, 8);
    scene.gang("small", 1, 1, 1);
    scene.settle();
    assert_eq!((scene.bound("head"), scene.bound("small")), (0, 1));
    // A gang that came later waits for the same room.
    scene.gang("later", 2, 2, 8);
    scene.settle();
    scene.delete("filler");
    scene.delete("small-0");
    scene.settle();
    assert_eq!((scene.bound("head"), scene.bound("later")), (2, 0));
}

#[test]
fn a_gang_of_higher_priority_comes_first() {
    let mut scene = Scene::new(1, 8);
    scene.pod_with("", "filler", 1, json!({}), json!({"priority": 7}));
    scene.settle();
    scene.gang("low", 1, 1, 8);
    scene.group("high", 1);
    scene.pod_with("high", "high-0", 8, json!({}), json!({"priority": 7}));
    scene.settle();
    scene.delete("filler");
    scene.settle();
    assert_eq!((scene.bound("low"), scene.bound("high")), (0, 1));
}

#[test]
fn a_gang_that_can_never_fit_is_told_so() {
    let mut scene = Scene::new(10, 8);
    scene.gang("big", 20, 20, 8);
    scene.settle();
    assert_eq!(scene.bound("big"), 0);
    let text = &*scene.statuses["big"].message;
    let tail = "; gang needs 160 nvidia.com/gpu; the cluster has 80: cannot ever fit";
    assert!(text.ends_with(tail), "{text}");

    scene.gang("wide", 2, 2, 16);
    scene.settle();
    let text = &*scene.statuses["wide"].message;
    assert!(
        text.ends_with("; no node has 16 nvidia.com/gpu (largest 8)"),
        "{text}"
    );
}

#[test]
fn members_beyond_the_minimum_follow_as_they_fit() {
    let mut scene = Scene::new(1, 6);
    scene.gang("e", 4, 8, 1);
    scene.settle();
    assert_eq!(scene.bound("e"), 6);
    let messages = scene.messages("e");
    let alone = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.";
    assert_eq!(messages.get(alone), Some(&2), "{messages:?}");
    scene.node("more", 1, &[]);
    scene.settle();
    assert_eq!(scene.bound("e"), 7);
    // Growth needs no quorum.
    scene.pod("e", "e-8", 1);
    scene.node("still-more", 2, &[]);
    scene.settle();
    assert_eq!(scene.bound("e"), 9);
}

#[test]
fn a_running_gang_replaces_its_members_before_others_are_served() {
    let mut scene = Scene::new(4, 8);
    scene.gang("run", 4, 4, 8);
    scene.settle();
    scene.gang("next", 1, 1, 8);
    scene.settle();
    assert_eq!((scene.bound("run"), scene.bound("next")), (4, 0));
    // Its replacement waits for room, not for a quorum, and comes before the one that waited longer.
    scene.terminate("run-1");
    scene.pod("run", "run-9", 8);
    scene.settle();
    assert!(scene.node_of("run-9").is_none());
    scene.delete("run-1");
    scene.settle();
    assert!(scene.node_of("run-9").is_some());
    assert_eq!(scene.bound("next"), 0);
    assert_eq!(scene.phase("run"), Some(GroupPhase::Scheduled));
}

#[test]
fn a_gang_below_its_minimum_is_told_of() {
    let mut scene = Scene::new(4, 8);
    scene.gang("run", 4, 4, 8);
    scene.settle();
    scene.delete("run-1");
    scene.settle();
    assert_eq!(scene.phase("run"), Some(GroupPhase::Degraded));
    let events = scene.take_events(EventKind::GangDegraded);
    assert_eq!(
        events,
        ["group run: gang default/run: 3 of 4 members are bound"]
    );
}

#[test]
fn a_retried_job_needs_its_quorum_again() {
    let mut scene = Scene::new(8, 1);
    scene.gang("job", 8, 8, 1);
    scene.settle();
    assert_eq!(scene.bound("job"), 8);
    for pod in 0..8 {
        scene.terminate(&format!("job-{pod}"));
    }
    for pod in 0..8 {
        let uid = json!({"uid": format!("again-{pod}")});
        scene.pod_with("job", &format!("job2-{pod}"), 1, uid, json!({}));
    }
    for pod in 0..8 {
        scene.settle();
        assert_eq!(scene.bound("job2"), 0, "after {pod} are gone");
        scene.delete(&format!("job-{pod}"));
    }
    scene.settle();
    assert_eq!(scene.bound("job2"), 8);
}

#[test]
fn a_bind_that_fails_is_planned_again_for_the_missing_member_alone() {
    let mut scene = Scene::new(4, 8);
    scene.refuse.insert("g-2".to_owned(), "quota".to_owned());
    scene.gang("g", 4, 4, 8);
    scene.run();
    assert_eq!(scene.bound("g"), 3);
    assert_eq!(
        scene.condition("g-2"),
        (
            "SchedulerError",
            "running Bind plugin \"DefaultBinder\": quota"
        )
    );
    scene.wait(1);
    scene.run();
    scene.refuse.clear();
    scene.wait(3);
    scene.settle();
    assert_eq!(scene.bound("g"), 4);
    assert_eq!(scene.phase("g"), Some(GroupPhase::Scheduled));
}

#[test]
fn a_restart_amid_the_binds_goes_on_where_it_was() {
    for room in [8, 7] {
        let mut scene = Scene::new(1, 8);
        scene.hold = true;
        scene.gang("g", 8, 8, 1);
        scene.run();
        assert_eq!(scene.held.len(), 8);
        // Two of them have reached the server.
        scene.hold = false;
        for effect in std::mem::take(&mut scene.held).into_iter().take(2) {
            scene.carry(effect);
        }
        scene.restart(&[("g", 8)], &[("node-0", room)]);
        scene.settle();
        if room == 8 {
            assert_eq!(scene.bound("g"), 8);
        } else {
            assert_eq!(scene.bound("g"), 2);
            assert_eq!(scene.phase("g"), Some(GroupPhase::Degraded));
        }
    }
}

#[test]
fn a_member_that_is_deleted_between_plan_and_bind_takes_no_room() {
    let mut scene = Scene::new(1, 8);
    scene.hold = true;
    scene.gang("g", 4, 4, 2);
    scene.run();
    scene.delete("g-1");
    scene.hold = false;
    for effect in std::mem::take(&mut scene.held) {
        scene.carry(effect);
    }
    scene.settle();
    assert_eq!(scene.bound("g"), 3);
    assert_eq!(scene.phase("g"), Some(GroupPhase::Degraded));
    scene.pod("g", "g-7", 2);
    scene.settle();
    assert_eq!(scene.bound("g"), 4);
}

#[test]
fn who_binds_members_elsewhere_is_counted_there() {
    let mut scene = Scene::new(4, 8);
    scene.group("g", 4);
    for pod in 0..3 {
        scene.pod("g", &format!("g-{pod}"), 8);
    }
    let bound = json!({"nodeName": "node-0", "schedulerName": "berth"});
    scene.pod_with("g", "g-3", 8, json!({}), bound);
    scene.settle();
    assert_eq!(scene.bound("g"), 4);
}

#[test]
fn one_member_per_host() {
    let apart = |name: &str| {
        let term = json!({"labelSelector": {"matchLabels": {"job": name}}, "topologyKey": "kubernetes.io/hostname"});
        json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}})
    };
    for (nodes, bound) in [(8, 8), (7, 0)] {
        let mut scene = Scene::new(0, 0);
        for node in 0..nodes {
            let name = format!("n{node}");
            scene.node(&name, 8, &[("kubernetes.io/hostname", &name)]);
        }
        scene.group("g", 8);
        for pod in 0..8 {
            let labels = json!({"labels": {"job": "g"}});
            scene.pod_with("g", &format!("g-{pod}"), 1, labels, apart("g"));
        }
        scene.settle();
        assert_eq!(scene.bound("g"), bound);
        if bound == 0 {
            let text = "0/7 nodes are available: 7 node(s) didn't match pod anti-affinity rules. gang default/g: 7 of 8 members fit";
            let messages = scene.messages("g");
            assert!(
                messages.keys().any(|message| message.starts_with(text)),
                "{messages:#?}"
            );
        }
    }
}

#[test]
fn a_launcher_and_its_workers() {
    let mut scene = Scene::new(4, 8);
    let gpus = json!({"spec": {"minMember": 5}});
    scene.object(crate::model::Dialect::SchedulerPlugins, "mpi", gpus);
    for pod in 0..4 {
        scene.pod("mpi", &format!("mpi-worker-{pod}"), 8);
    }
    let large = json!({"containers": [{"name": "main", "resources": {"requests": {"cpu": "65"}}}]});
    scene.pod_with("mpi", "mpi-launcher", 0, json!({}), large);
    scene.settle();
    assert_eq!(scene.bound("mpi"), 0);
    // The launcher is to blame and the workers would fit.
    let (_, text) = scene.condition("mpi-launcher");
    assert!(
        text.starts_with("0/4 nodes are available: 4 Insufficient cpu."),
        "{text}"
    );
    assert!(text.ends_with("no node has 65 cpu (largest 64)"), "{text}");
    let (_, text) = scene.condition("mpi-worker-0");
    assert!(
        text.starts_with(
            "pod group is unschedulable, minCount (5) cannot be satisfied: 4 scheduled, 0 remaining"
        ),
        "{text}"
    );
}

#[test]
fn large_members_go_first_where_small_ones_would_be_in_their_way() {
    let mut scene = Scene::new(0, 0);
    scene.node("large", 8, &[]);
    scene.node("small", 4, &[]);
    scene.group("g", 5);
    for pod in 0..4 {
        scene.pod("g", &format!("g-a{pod}"), 1);
    }
    scene.pod("g", "g-z", 8);
    scene.settle();
    assert_eq!(scene.bound("g"), 5);
}

#[test]
fn roles_have_minimums_of_their_own() {
    for (room, bound) in [(6, 6), (5, 5), (4, 0)] {
        let mut scene = Scene::new(1, room);
        let spec = json!({"spec": {"minMember": 5, "minTaskMember": {"launcher": 1, "worker": 4}}});
        scene.object(crate::model::Dialect::Volcano, "v", spec);
        let member = |role: &str| json!({"annotations": {"scheduling.k8s.io/group-name": "v", "volcano.sh/task-spec": role}});
        for pod in 0..6 {
            scene.pod_with("", &format!("v-{pod}"), 1, member("worker"), json!({}));
        }
        scene.settle();
        assert_eq!(scene.bound("v"), 0);
        let (reason, text) = scene.condition("v-0");
        assert_eq!(reason, "WaitingForPodGroup");
        assert!(text.ends_with("; missing role launcher"), "{text}");
        scene.pod_with("", "v-launcher", 1, member("launcher"), json!({}));
        scene.settle();
        assert_eq!(scene.bound("v"), bound, "room for {room}");
        assert_eq!(scene.node_of("v-launcher").is_some(), bound > 0);
    }
}

/// As large as a build for development decides in half a second; the bench plans five times as many.
#[test]
fn a_gang_of_thousands_is_placed_in_one_cycle() {
    const PODS: usize = 2000;
    let mut scene = Scene::new(1000, 2);
    scene.gang("g", PODS as i64, PODS, 1);
    let effects = scene.engine.run(scene.now, 1);
    let binds = effects
        .iter()
        .filter(|effect| matches!(effect.action, Action::Bind { .. }));
    assert_eq!(binds.count(), PODS);
    assert_eq!(scene.engine.binds_in_flight(), PODS);
    scene.engine.audit();
    for effect in effects {
        scene.carry(effect);
    }
    assert_eq!((scene.bound("g"), scene.nodes_of("g").len()), (PODS, 1000));
}

#[test]
fn whole_nodes_stay_whole() {
    let mut scene = Scene::new(4, 8);
    scene.gang("g", 4, 4, 2);
    scene.settle();
    assert_eq!(scene.nodes_of("g").len(), 1);
    scene.gang("h", 3, 3, 8);
    scene.settle();
    assert_eq!(scene.bound("h"), 3);
}

#[test]
fn a_sentence_of_the_status_ends_once() {
    let mut scene = Scene::new(1, 1);
    scene.group("g", 2);
    for pod in ["g-0", "g-1"] {
        scene.pod_with("g", pod, 1, json!({}), json!({"preemptionPolicy": "Never"}));
    }
    scene.settle();
    let text = &*scene.statuses["g"].message;
    let end = "preemption: not eligible due to preemptionPolicy=Never. gang default/g: ";
    assert!(text.contains(end), "{text}");
}

#[test]
fn an_outage_of_the_server_leaves_nothing_behind() {
    let mut scene = Scene::new(8, 8);
    for pod in 0..8 {
        let words = "etcdserver: request timed out".to_owned();
        scene.refuse.insert(format!("g-{pod}"), words);
    }
    scene.gang("g", 8, 8, 8);
    for _ in 0..20 {
        scene.settle();
        assert_eq!(scene.bound("g"), 0);
    }
    // Nothing is held meanwhile.
    scene.pod("", "single", 8);
    scene.settle();
    assert!(scene.node_of("single").is_some());
    scene.delete("single");
    scene.refuse.clear();
    for _ in 0..20 {
        scene.settle();
    }
    assert_eq!(scene.bound("g"), 8);
    assert_eq!(scene.nodes_of("g").len(), 8);
}
