//! Permit plugins that let pods wait.

use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::json;

use super::gangs::scene::Scene;
use super::*;
use crate::cluster::NodeId;
use crate::engine::EventKind;
use crate::framework::{Permit, PermitAnswer, Plugin, Reserve, Verdict};
use crate::model::{PodRef, PodShape};
use crate::plugins::defaults;

/// Lets pods wait whose name begins with `slow`, and counts what is booked.
#[derive(Default)]
struct Waits {
    name: &'static str,
    seconds: u64,
    booked: AtomicI64,
}

impl Plugin for Waits {
    fn name(&self) -> &'static str {
        self.name
    }

    fn permit(&self) -> Option<&dyn Permit> {
        Some(self)
    }

    fn reserve(&self) -> Option<&dyn Reserve> {
        Some(self)
    }
}

impl Permit for Waits {
    fn permit(&self, pod: &PodRef, _: &PodShape, _: NodeId, _: &Cluster) -> PermitAnswer {
        if pod.name.contains("slow") {
            PermitAnswer::Wait(Duration::from_secs(self.seconds))
        } else {
            PermitAnswer::Allow
        }
    }
}

impl Reserve for Waits {
    fn reserve(&self, _: &PodShape, _: NodeId, _: &Cluster) -> Result<(), String> {
        self.booked.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn unreserve(&self, _: &PodShape, _: NodeId, _: &Cluster) {
        self.booked.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Setting {
    scene: Scene,
    plugins: Vec<Arc<Waits>>,
    metrics: Arc<Metrics>,
}

impl Setting {
    /// Plugins by name and the seconds that they let pods wait; 2 nodes of 2 GPUs.
    fn new(plugins: &[(&'static str, u64)]) -> Self {
        let plugins: Vec<Arc<Waits>> = (plugins.iter())
            .map(|&(name, seconds)| {
                Arc::new(Waits {
                    name,
                    seconds,
                    ..Waits::default()
                })
            })
            .collect();
        let mut all = defaults();
        for plugin in &plugins {
            all.push((Arc::clone(plugin) as Arc<dyn Plugin>, 0));
        }
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut scene = Scene::new(0, 0);
        scene.engine = counted_engine_of(Profile::new("berth", all), 0, &metrics);
        for node in ["a", "b"] {
            scene.node(node, 2, &[]);
        }
        scene.apply(Change::Synced);
        Self {
            scene,
            plugins,
            metrics,
        }
    }

    fn say(&mut self, pod: &str, plugin: &str, refusal: Option<&str>) {
        let verdict = Verdict {
            uid: pod.into(),
            plugin: plugin.into(),
            refusal: refusal.map(str::to_owned),
        };
        self.scene.engine.permit(&verdict, self.scene.now);
        self.scene.run();
    }

    fn is_bound(&self, pod: &str) -> bool {
        self.scene.node_of(pod).is_some()
    }

    fn booked(&self) -> Vec<i64> {
        let booked = |plugin: &Arc<Waits>| plugin.booked.load(Ordering::Relaxed);
        self.plugins.iter().map(booked).collect()
    }

    fn waits(&self, result: &str) -> u64 {
        self.metric(&format!(
            "scheduler_permit_wait_duration_seconds_count{{result=\"{result}\"}} "
        ))
    }

    /// How many pods wait because this plugin has refused them.
    fn refused_by(&self, plugin: &str) -> u64 {
        self.metric(&format!(
            "scheduler_unschedulable_pods{{plugin=\"{plugin}\",profile=\"berth\"}} "
        ))
    }

    /// The value in the line that begins so; 0 if there is none.
    fn metric(&self, line: &str) -> u64 {
        let text = self.metrics.encode().unwrap();
        let value = text.lines().find_map(|found| found.strip_prefix(line));
        value.map_or(0, |value| value.parse().unwrap())
    }
}

#[test]
fn a_pod_is_bound_when_every_plugin_has_allowed_it() {
    let mut setting = Setting::new(&[("One", 60), ("Two", 60)]);
    setting.scene.pod("", "slow", 2);
    setting.scene.pod("", "other", 2);
    setting.scene.pod("", "third", 1);
    setting.scene.run();
    // It takes its room meanwhile.
    assert!(!setting.is_bound("slow") && setting.is_bound("other") && !setting.is_bound("third"));
    setting.say("slow", "Nobody", None);
    setting.say("slow", "One", None);
    setting.say("slow", "One", None);
    assert!(!setting.is_bound("slow"));
    setting.say("slow", "Two", None);
    assert!(setting.is_bound("slow"));
    assert_eq!(
        (setting.waits("Success"), setting.booked()),
        (1, vec![2, 2])
    );
    // What comes too late is about nobody.
    setting.say("slow", "Two", Some("late"));
    assert!(setting.is_bound("slow"));
}

#[test]
fn a_refusal_gives_the_room_back() {
    let mut setting = Setting::new(&[("One", 60), ("Two", 60)]);
    setting.scene.pod("", "slow", 2);
    setting.scene.pod("", "other", 2);
    setting.scene.pod("", "third", 2);
    setting.scene.run();
    setting.say("slow", "Two", Some("not today"));
    assert!(!setting.is_bound("slow") && setting.is_bound("third"));
    let expected = ("Unschedulable", "0/1 nodes are available: 1 not today.");
    assert_eq!(setting.scene.condition("slow"), expected);
    assert_eq!(setting.refused_by("Two"), 1);
    assert_eq!(
        (setting.waits("Unschedulable"), setting.booked()),
        (1, vec![2, 2])
    );
}

#[test]
fn a_wait_has_an_end() {
    for (seconds, expected, text) in [(90, 90, "1m30s"), (100_000, 900, "15m0s")] {
        let mut setting = Setting::new(&[("One", seconds)]);
        setting.scene.pod("", "slow", 2);
        setting.scene.run();
        setting.scene.wait(expected - 1);
        setting.scene.run();
        assert_eq!(setting.scene.condition("slow").1, "");
        assert!(setting.scene.engine.next_deadline().is_some());
        setting.scene.wait(1);
        setting.scene.run();
        let text = format!(
            "0/1 nodes are available: 1 rejected due to timeout after waiting {text} at plugin One."
        );
        assert_eq!(setting.scene.condition("slow").1, text);
        assert_eq!(setting.booked(), [0]);
    }
}

#[test]
fn who_is_deleted_or_bound_by_another_waits_no_longer() {
    let mut setting = Setting::new(&[("One", 60)]);
    setting.scene.pod("", "slow", 2);
    setting.scene.pod("", "slow-too", 2);
    setting.scene.pod("", "third", 2);
    setting.scene.run();
    assert!(!setting.is_bound("third"));
    setting.scene.delete("slow");
    setting.scene.run();
    assert!(setting.is_bound("third"));
    setting
        .scene
        .edit("slow-too", |pod| pod["spec"]["nodeName"] = json!("b"));
    setting.scene.run();
    setting.say("slow-too", "One", None);
    assert_eq!(setting.scene.binds, 1);
    assert_eq!(setting.booked(), [1]);
}

#[test]
fn members_of_a_gang_wait_for_each_other() {
    let mut setting = Setting::new(&[("One", 60)]);
    setting.scene.group("g", 3);
    for pod in ["g-slow-0", "g-slow-1", "g-2"] {
        setting.scene.pod("g", pod, 1);
    }
    setting.scene.run();
    setting.say("g-slow-0", "One", None);
    assert_eq!(setting.scene.bound("g"), 0);
    setting.say("g-slow-1", "One", None);
    assert_eq!(setting.scene.bound("g"), 3);
    assert_eq!(setting.booked(), [3]);
}

/// Three members of which the first two wait for permission, and what becomes of the rest when one
/// of the two leaves in this way and the other is allowed.
#[track_caller]
fn leave(min: i64, leave: impl Fn(&mut Scene), expected: &[&str]) -> Setting {
    let mut setting = Setting::new(&[("One", 60)]);
    setting.scene.group("g", min);
    for pod in ["g-slow-0", "g-slow-1", "g-2"] {
        setting.scene.pod("g", pod, 1);
    }
    setting.scene.run();
    setting.say("g-slow-1", "One", None);
    leave(&mut setting.scene);
    setting.scene.run();
    let bound: Vec<&str> = (["g-slow-0", "g-slow-1", "g-2"].into_iter())
        .filter(|pod| setting.is_bound(pod))
        .collect();
    assert_eq!(bound, expected, "min {min}");
    assert_eq!(setting.booked(), [setting.scene.binds as i64]);
    setting
}

#[test]
fn a_gang_waits_for_permission_only_of_its_members() {
    // Of three the two that are left are enough, or too few; then they take no room.
    let gone = |scene: &mut Scene| scene.delete("g-slow-0");
    leave(2, gone, &["g-slow-1", "g-2"]);
    leave(3, gone, &[]);
    let ends = |scene: &mut Scene| scene.terminate("g-slow-0");
    leave(2, ends, &["g-slow-1", "g-2"]);
    leave(3, ends, &[]);
    let other = |scene: &mut Scene| {
        scene.edit("g-slow-0", |pod| {
            pod["metadata"]["labels"]["scheduling.x-k8s.io/pod-group"] = json!("h");
        });
    };
    leave(2, other, &["g-slow-1", "g-2"]);
    leave(3, other, &[]);
    let bound = |scene: &mut Scene| {
        scene.edit("g-slow-0", |pod| pod["spec"]["nodeName"] = json!("a"));
    };
    let mut setting = leave(3, bound, &["g-slow-0", "g-slow-1", "g-2"]);
    assert_eq!(setting.scene.binds, 2);
    setting.say("g-slow-0", "One", None);
    assert_eq!(setting.scene.binds, 2);
    // It may not be placed as it is now.
    leave(2, |scene| scene.group_gone("g"), &[]);
    leave(2, |scene| scene.group("g", 4), &[]);
    leave(
        2,
        |scene| scene.edit("g-slow-0", |pod| pod["spec"]["priority"] = json!(1)),
        &[],
    );
}

#[test]
fn who_comes_later_waits_with_the_gang_for_permission() {
    for koordinator in [false, true] {
        let mut setting = Setting::new(&[("One", 60)]);
        let scene = &mut setting.scene;
        let pod = |scene: &mut Scene, name| match koordinator {
            false => scene.pod("g", name, 1),
            true => {
                let annotations = json!({
                    "gang.scheduling.koordinator.sh/name": "g",
                    "gang.scheduling.koordinator.sh/min-available": "2",
                });
                scene.pod_with("", name, 1, json!({"annotations": annotations}), json!({}));
            }
        };
        scene.group("g", 2);
        pod(scene, "g-slow-0");
        pod(scene, "g-slow-1");
        scene.run();
        pod(scene, "g-2");
        scene.run();
        assert_eq!(
            scene.bound("g"),
            0,
            "one of a gang whose others may be refused"
        );
        setting.say("g-slow-0", "One", None);
        setting.say("g-slow-1", "One", None);
        assert_eq!(setting.scene.bound("g"), 3);
    }
}

#[test]
fn a_held_pod_that_is_updated_keeps_its_place() {
    let mut setting = Setting::new(&[("One", 60)]);
    setting.scene.gang("g", 1, 0, 1);
    setting.scene.pod("g", "g-slow", 1);
    setting.scene.pod("", "slow", 1);
    setting.scene.run();
    for name in ["g-slow", "slow"] {
        setting.scene.edit(name, |pod| {
            pod["spec"]["containers"][0]["image"] = json!("another");
            pod["metadata"]["labels"]["more"] = json!("yes");
        });
        setting.scene.run();
        setting.say(name, "One", None);
        assert!(setting.is_bound(name), "{name}");
    }
    assert_eq!(setting.booked(), [2]);
}

#[test]
fn without_a_member_that_was_refused_the_gang_goes_only_if_it_can() {
    for (min, bound) in [(3, 0), (2, 2)] {
        let mut setting = Setting::new(&[("One", 60)]);
        setting.scene.group("g", min);
        for pod in ["g-slow-0", "g-slow-1", "g-2"] {
            setting.scene.pod("g", pod, 1);
        }
        setting.scene.run();
        setting.say("g-slow-0", "One", Some("no"));
        setting.say("g-slow-1", "One", None);
        assert_eq!(setting.scene.bound("g"), bound, "min {min}");
        assert_eq!(setting.booked(), [bound as i64]);
        let events = setting.scene.take_events(EventKind::FailedScheduling);
        assert!(
            events.contains(&"g-slow-0: 0/1 nodes are available: 1 no.".to_owned()),
            "{events:?}"
        );
        if bound == 0 {
            // Nothing is held, and it is tried again after a while.
            setting.scene.pod("", "single", 1);
            setting.scene.run();
            assert!(setting.is_bound("single"));
            setting.scene.wait(2);
            setting.scene.run();
            for pod in ["g-slow-0", "g-slow-1"] {
                setting.say(pod, "One", None);
            }
            assert_eq!(setting.scene.bound("g"), 3);
            assert_eq!(setting.refused_by("One"), 0);
        }
    }
}

/// Where a pod has its place that is not bound yet.
fn place_of(scene: &Scene, pod: &str) -> String {
    let cluster = scene.engine.cluster();
    let placed = cluster.placed(cluster.placed_by_uid(pod).unwrap()).unwrap();
    cluster.node_name(placed.node).to_owned()
}

#[test]
fn who_waits_for_a_node_that_goes_is_tried_again() {
    let mut setting = Setting::new(&[("One", 60)]);
    setting.scene.pod("", "slow", 2);
    setting.scene.run();
    let first = place_of(&setting.scene, "slow");
    setting.scene.apply(Change::NodeGone((*first).into()));
    setting.say("slow", "One", None);
    assert!(!setting.is_bound("slow"), "to a node that is gone");
    let text = format!("nodeinfo not found for node name \"{first}\"");
    assert_eq!(setting.scene.condition("slow").1, text);
    setting.scene.wait(2);
    setting.scene.run();
    let second = place_of(&setting.scene, "slow");
    assert_ne!(second, first);
    setting.say("slow", "One", None);
    assert_eq!(setting.scene.node_of("slow"), Some(second));
    assert_eq!(setting.booked(), [1]);
}

#[test]
fn a_gang_does_not_go_where_a_node_is_gone() {
    // Two members have their place on one node and the third on the other, which is enough or not.
    for (min, bound) in [(3, 0), (2, 0), (1, 1)] {
        let mut setting = Setting::new(&[("One", 60)]);
        setting.scene.group("g", min);
        for pod in ["g-slow-0", "g-slow-1", "g-slow-2"] {
            setting.scene.pod("g", pod, 1);
        }
        setting.scene.run();
        let places = |scene: &Scene| {
            let pods = ["g-slow-0", "g-slow-1", "g-slow-2"];
            pods.map(|pod| (place_of(scene, pod), pod))
        };
        let places = places(&setting.scene);
        let on = |node: &str| places.iter().filter(|(place, _)| place == node).count();
        let gone = if on("a") == 2 { "a" } else { "b" };
        assert_eq!(on(gone), 2);
        for (_, pod) in places.iter().filter(|(place, _)| place != gone) {
            setting.say(pod, "One", None);
        }
        setting.scene.apply(Change::NodeGone(gone.into()));
        setting.scene.run();
        assert_eq!(setting.scene.bound("g"), bound, "min {min}");
        assert_eq!(setting.booked(), [bound as i64]);
        // When there is room again the rest follows.
        setting.scene.node("c", 2, &[]);
        setting.scene.wait(2);
        setting.scene.run();
        for (_, pod) in &places {
            setting.say(pod, "One", None);
        }
        assert_eq!(setting.scene.bound("g"), 3, "min {min}");
        assert_eq!(setting.booked(), [3]);
    }
}
