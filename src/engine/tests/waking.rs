//! Whom events reach, counted by the hints that were asked.

use serde_json::{Value, json};

use super::*;
use crate::queue::State;

const ZONE: &str = "topology.kubernetes.io/zone";

/// An engine with nodes in two zones, one pod of the app `guard` in each, and its metrics.
struct Scene {
    engine: Engine,
    metrics: Arc<Metrics>,
    version: u64,
}

impl Scene {
    fn new() -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        let engine = counted_engine_of(default_profile("berth"), 0, &metrics);
        let mut scene = Self {
            engine,
            metrics,
            version: 0,
        };
        scene.engine.apply(Change::Synced, Time::ZERO);
        for name in ["n0", "n1", "n2", "n3"] {
            scene.node(name, &json!({}));
        }
        for (name, node) in [("g0", "n0"), ("g1", "n1")] {
            scene.pod(
                name,
                &json!({ "app": "guard" }),
                json!({ "nodeName": node }),
            );
        }
        scene
    }

    fn meta(&mut self, name: &str, labels: &Value) -> Value {
        self.version += 1;
        let version = self.version.to_string();
        json!({
            "name": name, "uid": name, "namespace": "default",
            "labels": labels, "resourceVersion": version,
        })
    }

    /// A node of four cpu with more labels.
    fn node(&mut self, name: &str, more: &Value) {
        let zone = if name.ends_with(['0', '2']) { "a" } else { "b" };
        let mut labels = json!({ ZONE: zone, "kubernetes.io/hostname": name });
        let all = labels.as_object_mut().unwrap();
        all.extend(more.as_object().unwrap().clone());
        let node = json!({
            "metadata": self.meta(name, &labels),
            "status": { "allocatable": { "cpu": "4", "pods": "110" } },
        });
        let node = Box::new(serde_json::from_value(node).unwrap());
        self.engine.apply(Change::Node(node), Time::ZERO);
    }

    fn pod(&mut self, name: &str, labels: &Value, spec: Value) {
        self.nominated(name, labels, spec, "");
    }

    fn nominated(&mut self, name: &str, labels: &Value, mut spec: Value, node: &str) {
        spec["schedulerName"] = json!("berth");
        let containers = spec["containers"].take();
        spec["containers"] = if containers.is_null() {
            json!([])
        } else {
            containers
        };
        let pod = json!({
            "metadata": self.meta(name, labels),
            "spec": spec,
            "status": { "nominatedNodeName": node },
        });
        let pod = Box::new(serde_json::from_value(pod).unwrap());
        self.engine.apply(Change::Pod(pod), Time::ZERO);
    }

    fn gone(&mut self, name: &str) {
        self.engine.apply(Change::PodGone(name.into()), Time::ZERO);
    }

    fn namespace(&mut self, labels: &Value) {
        let namespace = json!({ "metadata": { "name": "default", "labels": labels } });
        let namespace = serde_json::from_value(namespace).unwrap();
        self.engine.apply(Change::Namespace(namespace), Time::ZERO);
    }

    /// How many hints were asked so far: of each group that is asked, one at least.
    fn asked(&self) -> u64 {
        let text = self.metrics.encode().unwrap();
        let counts = text.lines().filter_map(|line| {
            let line = line.strip_prefix("scheduler_queueing_hint_execution_duration_seconds")?;
            line.strip_prefix("_count{")?
                .rsplit(' ')
                .next()?
                .parse::<u64>()
                .ok()
        });
        counts.sum()
    }

    fn waits(&self, name: &str) -> bool {
        let key = self.engine.by_uid[name];
        self.engine.queue.get(key).unwrap().state == State::Unschedulable
    }

    fn all_wait(&mut self, pods: usize) {
        let effects = self.engine.run(Time::ZERO, pods);
        let binds = |effect: &&Effect| matches!(effect.action, Action::Bind { .. });
        assert_eq!(effects.iter().find(binds).and_then(Effect::pod), None);
        let waiting = self
            .engine
            .pods
            .keys()
            .filter(|key| self.engine.queue.get(**key).unwrap().state == State::Unschedulable);
        assert_eq!(waiting.count(), pods);
    }

    /// How many hints are asked because of this.
    fn asks(&mut self, what: impl FnOnce(&mut Self)) -> u64 {
        let before = self.asked();
        what(self);
        self.asked() - before
    }
}

fn cpu(amount: usize) -> Value {
    json!([{ "name": "c", "resources": { "requests": { "cpu": amount.to_string() } } }])
}

fn term(app: &str) -> Value {
    json!({ "requiredDuringSchedulingIgnoredDuringExecution": [
        { "labelSelector": { "matchLabels": { "app": app } }, "topologyKey": ZONE },
    ]})
}

#[test]
fn events_reach_only_those_that_they_may_help() {
    const PODS: usize = 5_000;
    let mut scene = Scene::new();
    for place in 0..PODS {
        let number = place.to_string();
        let spec = match place % 5 {
            0 => json!({ "affinity": { "podAffinity": term(&format!("absent-{place}")) } }),
            1 => json!({ "affinity": { "podAntiAffinity": term("guard") } }),
            2 => json!({ "topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": { "matchLabels": { "waits": number } },
            }]}),
            3 => json!({ "nodeSelector": { format!("wanted-{place}"): "yes" } }),
            _ => json!({ "containers": cpu(1_000 + place) }),
        };
        scene.pod(&number, &json!({ "waits": number }), spec);
    }
    scene.all_wait(PODS);
    scene.engine.audit();
    assert_eq!(scene.engine.classes_waiting(), PODS);

    let other = json!({ "app": "other" });
    let bound = || json!({ "nodeName": "n2", "affinity": { "podAntiAffinity": term("other") } });
    assert_eq!(scene.asks(|scene| scene.pod("x", &other, bound())), 0);
    let relabelled = json!({ "app": "other", "more": "1" });
    assert_eq!(scene.asks(|scene| scene.pod("x", &relabelled, bound())), 0);
    assert_eq!(scene.asks(|scene| scene.gone("x")), 0);
    assert_eq!(scene.asks(|scene| scene.node("n3", &json!({}))), 0);
    assert_eq!(
        scene.asks(|scene| scene.node("n3", &json!({ "note": "1" }))),
        0
    );
    assert_eq!(
        scene.asks(|scene| scene.namespace(&json!({ "team": "x" }))),
        0
    );
    scene.all_wait(PODS);

    let asked = scene.asks(|scene| {
        let labels = json!({ "app": "absent-10" });
        scene.pod("y", &labels, json!({ "nodeName": "n2" }));
    });
    assert_eq!((asked, scene.waits("10")), (1, false));
    let asked = scene.asks(|scene| scene.node("n3", &json!({ "wanted-13": "yes" })));
    assert_eq!((asked, scene.waits("13")), (1, false));
    let asked = scene.asks(|scene| scene.pod("z", &json!({ "waits": "17" }), bound()));
    assert_eq!((asked, scene.waits("17")), (1, false));
    assert_eq!(scene.asks(|scene| scene.gone("g0")), 1_000);
    let waiting = (0..PODS).filter(|place| scene.waits(&place.to_string()));
    assert_eq!(waiting.count(), PODS - 3 - 1_000);
    scene.engine.audit();
}

impl Engine {
    /// How many classes the waiting pods are of, counting those apart that others tell apart.
    fn classes_waiting(&self) -> usize {
        let classes = self.pods.values().map(|pod| (pod.class, pod.peers));
        classes.collect::<BTreeSet<_>>().len()
    }
}

#[test]
fn a_pod_that_others_keep_off_hears_when_they_go() {
    let guard = json!({ "app": "guard" });
    let shy =
        |node: &str| json!({ "nodeName": node, "affinity": { "podAntiAffinity": term("web") } });
    for how in 0..4 {
        let mut scene = Scene::new();
        scene.pod("g0", &guard, shy("n0"));
        for name in ["s0", "s1"] {
            scene.pod(name, &guard, shy(if name == "s0" { "n0" } else { "n1" }));
        }
        scene.pod("w", &json!({ "app": "web" }), json!({}));
        scene.pod(
            "q",
            &json!({ "app": "quiet" }),
            json!({ "nodeSelector": { "k": "v" } }),
        );
        scene.all_wait(2);
        match how {
            0 => scene.gone("s1"),
            1 => scene.node("n4", &json!({ ZONE: "c" })),
            2 => scene.node("n2", &json!({ ZONE: "c" })),
            _ => scene
                .engine
                .apply(Change::NodeGone("n1".into()), Time::ZERO),
        }
        assert_eq!((scene.waits("w"), scene.waits("q")), (false, true), "{how}");
    }
}

#[test]
fn namespaces_with_other_labels_are_heard_of() {
    let mut scene = Scene::new();
    let mut near = term("guard");
    let terms = &mut near["requiredDuringSchedulingIgnoredDuringExecution"];
    terms[0]["namespaceSelector"] = json!({ "matchLabels": { "team": "x" } });
    scene.pod(
        "w",
        &json!({}),
        json!({ "affinity": { "podAffinity": near } }),
    );
    scene.pod(
        "q",
        &json!({}),
        json!({ "affinity": { "podAffinity": term("absent") } }),
    );
    scene.all_wait(2);
    scene.namespace(&json!({ "team": "y" }));
    assert!(scene.waits("w"));
    scene.namespace(&json!({ "team": "x" }));
    assert_eq!((scene.waits("w"), scene.waits("q")), (false, true));
}

#[test]
fn the_end_of_a_nomination_is_told_to_those_that_left_room_for_it() {
    let gated = || json!({ "priority": 10, "schedulingGates": [{ "name": "later" }] });
    for deleted in [false, true] {
        let mut scene = Scene::new();
        for node in ["n0", "n1", "n2", "n3"] {
            let full = json!({ "nodeName": node, "containers": cpu(3), "priority": 100 });
            scene.pod(node, &json!({}), full);
        }
        scene.nominated("nominated", &json!({}), gated(), "n0");
        for (name, priority) in [("above", 11), ("alike", 10), ("below", 9)] {
            let spec = json!({ "priority": priority, "containers": cpu(2) });
            scene.pod(name, &json!({}), spec);
        }
        scene.engine.run(Time::ZERO, 10);
        assert!(
            ["above", "alike", "below"]
                .iter()
                .all(|name| scene.waits(name))
        );
        scene.nominated("nominated", &json!({ "some": "label" }), gated(), "n0");
        assert!(scene.waits("below"), "it is still nominated");
        if deleted {
            scene.gone("nominated");
        } else {
            scene.pod("nominated", &json!({}), gated());
        }
        let waiting = ["above", "alike", "below"].map(|name| scene.waits(name));
        assert_eq!(waiting, [true, false, false]);
    }
}

#[test]
fn a_pod_that_is_being_deleted_counts_no_more_in_spreading() {
    let mut scene = Scene::new();
    let web = json!({ "app": "web" });
    let spread = json!({
        "maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": { "matchLabels": web },
    });
    // Zone a has one pod more than b, and b has no node that the pod may go to.
    scene.pod("a", &web, json!({ "nodeName": "n0" }));
    let spec = json!({
        "topologySpreadConstraints": [spread],
        "tolerations": [],
    });
    for node in ["n1", "n3"] {
        scene.pod(
            &format!("full-{node}"),
            &json!({}),
            json!({ "nodeName": node, "containers": cpu(4) }),
        );
    }
    let mut spec = spec;
    spec["containers"] = cpu(1);
    scene.pod("w", &web, spec);
    scene.all_wait(1);
    let mut meta = scene.meta("a", &web);
    meta["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let pod = json!({ "metadata": meta, "spec": { "nodeName": "n0", "containers": [] } });
    let pod = Box::new(serde_json::from_value(pod).unwrap());
    scene.engine.apply(Change::Pod(pod), Time::ZERO);
    assert!(!scene.waits("w"));
}

/// Pods that upstream's hints would leave waiting for the flush.
#[test]
fn cures_that_upstream_forgets_are_heard_of() {
    let web = json!({ "app": "web" });
    // Nobody of its group is left, so that it may be the first; the zone of the group is closed.
    let mut scene = Scene::new();
    scene.pod("a", &web, json!({ "nodeName": "n0" }));
    let both = json!({ "podAffinity": term("web"), "podAntiAffinity": term("absent") });
    scene.pod(
        "w",
        &web,
        json!({ "affinity": both, "nodeSelector": { "free": "" } }),
    );
    for node in ["n1", "n3"] {
        scene.node(node, &json!({ "free": "" }));
    }
    scene.all_wait(1);
    scene.gone("a");
    assert!(!scene.waits("w"), "may be the first");

    // One of two terms no longer means the pod, which frees the rest of its zone.
    let mut scene = Scene::new();
    let mut away = term("guard");
    let second = json!({
        "labelSelector": { "matchLabels": { "tier": "x" } },
        "topologyKey": "kubernetes.io/hostname",
    });
    let terms = &mut away["requiredDuringSchedulingIgnoredDuringExecution"];
    terms.as_array_mut().unwrap().push(second);
    scene.gone("g1");
    scene.node("n1", &json!({ ZONE: "a" }));
    scene.node("n3", &json!({ ZONE: "a" }));
    let named = |app: &str| json!({ "app": app, "tier": "x" });
    scene.pod("g0", &named("guard"), json!({ "nodeName": "n0" }));
    scene.pod(
        "w",
        &web,
        json!({ "affinity": { "podAntiAffinity": away } }),
    );
    scene.all_wait(1);
    scene.pod("g0", &named("other"), json!({ "nodeName": "n0" }));
    assert!(!scene.waits("w"), "one term less");

    // The emptier zone counts no more, because the pod may not go there.
    let mut scene = Scene::new();
    for node in ["n0", "n1"] {
        scene.node(node, &json!({ "free": "" }));
    }
    scene.pod("a", &web, json!({ "nodeName": "n0" }));
    scene.pod(
        "full",
        &json!({}),
        json!({ "nodeName": "n1", "containers": cpu(4) }),
    );
    let spread = json!([{
        "maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": { "matchLabels": web },
    }]);
    let spec = json!({
        "topologySpreadConstraints": spread, "nodeSelector": { "free": "" },
        "containers": cpu(1),
    });
    scene.pod("w", &web, spec);
    scene.all_wait(1);
    scene.node("n1", &json!({}));
    assert!(!scene.waits("w"), "a zone less");
}
