//! A cluster of GPU nodes, gangs in it, and what the engine does about them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::*;
use crate::api;
use crate::engine::{About, Action, Effect, EventKind, GroupPhase, GroupStatus, Nomination};
use crate::model::Dialect;

pub(in crate::engine::tests) const GPU: &str = "nvidia.com/gpu";

/// A pod as the API server has it.
#[derive(Clone, Debug)]
pub(in crate::engine::tests) struct ScenePod {
    pub(in crate::engine::tests) object: Value,
    pub(in crate::engine::tests) condition: Option<(String, String)>,
}

pub(in crate::engine::tests) struct Scene {
    pub(in crate::engine::tests) engine: Engine,
    pub(in crate::engine::tests) now: Time,
    pub(in crate::engine::tests) pods: BTreeMap<String, ScenePod>,
    version: u64,
    /// Binds that are answered no, by pod, and the server's words.
    pub(in crate::engine::tests) refuse: BTreeMap<String, String>,
    /// Binds are left unanswered.
    pub(in crate::engine::tests) hold: bool,
    pub(in crate::engine::tests) held: Vec<Effect>,
    pub(in crate::engine::tests) statuses: BTreeMap<String, GroupStatus>,
    /// Who, which, what.
    pub(in crate::engine::tests) events: Vec<(String, EventKind, String)>,
    pub(in crate::engine::tests) binds: usize,
    /// Who was evicted; they leave until somebody deletes them.
    pub(in crate::engine::tests) evicted: Vec<String>,
}

impl Scene {
    /// So many nodes with so many GPUs each.
    pub(in crate::engine::tests) fn new(nodes: usize, gpus: i64) -> Self {
        Self::seeded(nodes, gpus, 0)
    }

    pub(in crate::engine::tests) fn seeded(nodes: usize, gpus: i64, seed: u64) -> Self {
        let mut scene = Self {
            engine: engine(seed),
            now: Time::from_secs(1),
            pods: BTreeMap::new(),
            version: 1,
            refuse: BTreeMap::new(),
            hold: false,
            held: Vec::new(),
            statuses: BTreeMap::new(),
            events: Vec::new(),
            binds: 0,
            evicted: Vec::new(),
        };
        for node in 0..nodes {
            scene.node(&format!("node-{node}"), gpus, &[]);
        }
        scene.engine.apply(Change::Synced, scene.now);
        scene
    }

    pub(in crate::engine::tests) fn next(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    pub(in crate::engine::tests) fn apply(&mut self, change: Change) {
        self.engine.apply(change, self.now);
    }

    pub(in crate::engine::tests) fn node(
        &mut self,
        name: &str,
        gpus: i64,
        labels: &[(&str, &str)],
    ) {
        self.node_with(name, gpus, labels, json!({}));
    }

    pub(in crate::engine::tests) fn node_with(
        &mut self,
        name: &str,
        gpus: i64,
        labels: &[(&str, &str)],
        spec: Value,
    ) {
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        let node = json!({
            "metadata": {"name": name, "uid": name, "labels": labels, "resourceVersion": self.next().to_string()},
            "spec": spec,
            "status": {"allocatable": {"cpu": "64", "memory": "512Gi", "pods": "110", GPU: gpus.to_string()}},
        });
        let node: api::Node = serde_json::from_value(node).unwrap();
        self.apply(Change::Node(Box::new(node)));
    }

    pub(in crate::engine::tests) fn object(
        &mut self,
        dialect: Dialect,
        name: &str,
        mut object: Value,
    ) {
        object["metadata"]["name"] = json!(name);
        object["metadata"]["namespace"] = json!("default");
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("uid-{name}"));
        }
        object["metadata"]["resourceVersion"] = json!(self.next().to_string());
        let object: api::PodGroup = serde_json::from_value(object).unwrap();
        self.apply(Change::PodGroup(dialect, "v1", Box::new(object)));
    }

    /// A PodGroup of scheduler-plugins.
    pub(in crate::engine::tests) fn group(&mut self, name: &str, min: i64) {
        let spec = json!({"spec": {"minMember": min}});
        self.object(Dialect::SchedulerPlugins, name, spec);
    }

    pub(in crate::engine::tests) fn group_gone(&mut self, name: &str) {
        self.apply(Change::PodGroupGone(crate::model::GroupRef {
            dialect: Dialect::SchedulerPlugins,
            namespace: "default".into(),
            name: name.into(),
        }));
    }

    /// A pod of a group of scheduler-plugins, or of none, that asks for GPUs.
    pub(in crate::engine::tests) fn pod(&mut self, group: &str, name: &str, gpus: i64) {
        self.pod_with(group, name, gpus, json!({}), json!({}));
    }

    pub(in crate::engine::tests) fn pod_with(
        &mut self,
        group: &str,
        name: &str,
        gpus: i64,
        metadata: Value,
        spec: Value,
    ) {
        let mut requests = json!({"cpu": "1", "memory": "1Gi"});
        if gpus > 0 {
            requests[GPU] = json!(gpus.to_string());
        }
        let mut object = json!({
            "metadata": {"name": name, "namespace": "default", "uid": name, "labels": {}},
            "spec": {
                "schedulerName": "berth",
                "containers": [{"name": "main", "resources": {"requests": requests}}],
            },
            "status": {"phase": "Pending"},
        });
        if !group.is_empty() {
            object["metadata"]["labels"]["scheduling.x-k8s.io/pod-group"] = json!(group);
        }
        merge(&mut object["metadata"], metadata);
        merge(&mut object["spec"], spec);
        self.pods.insert(
            name.to_owned(),
            ScenePod {
                object,
                condition: None,
            },
        );
        self.send(name);
    }

    /// A whole gang: its object and its pods `name-0` to `name-n`.
    pub(in crate::engine::tests) fn gang(&mut self, name: &str, min: i64, pods: usize, gpus: i64) {
        self.group(name, min);
        for pod in 0..pods {
            self.pod(name, &format!("{name}-{pod}"), gpus);
        }
    }

    /// The watch tells of a pod as it is.
    pub(in crate::engine::tests) fn send(&mut self, name: &str) {
        let version = self.next();
        if let Some(pod) = self.pods.get_mut(name) {
            pod.object["metadata"]["resourceVersion"] = json!(version.to_string());
            let object: api::Pod = serde_json::from_value(pod.object.clone()).unwrap();
            self.engine.apply(Change::Pod(Box::new(object)), self.now);
        }
    }

    pub(in crate::engine::tests) fn edit(&mut self, name: &str, edit: impl FnOnce(&mut Value)) {
        edit(&mut self.pods.get_mut(name).unwrap().object);
        self.send(name);
    }

    pub(in crate::engine::tests) fn terminate(&mut self, name: &str) {
        self.edit(name, |pod| {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        });
    }

    pub(in crate::engine::tests) fn delete(&mut self, name: &str) {
        if let Some(pod) = self.pods.remove(name) {
            let uid = pod.object["metadata"]["uid"].as_str().unwrap().into();
            self.apply(Change::PodGone(uid));
        }
    }

    pub(in crate::engine::tests) fn delete_gang(&mut self, gang: &str) {
        for name in self.of(gang) {
            self.delete(&name);
        }
    }

    fn of(&self, gang: &str) -> Vec<String> {
        let prefix = format!("{gang}-");
        let names = self.pods.keys().filter(|name| name.starts_with(&prefix));
        names.cloned().collect()
    }

    pub(in crate::engine::tests) fn node_of(&self, pod: &str) -> Option<String> {
        self.pods.get(pod)?.object["spec"]["nodeName"]
            .as_str()
            .map(str::to_owned)
    }

    /// How many pods of a gang are bound.
    pub(in crate::engine::tests) fn bound(&self, gang: &str) -> usize {
        let names = self.of(gang);
        names
            .iter()
            .filter(|name| self.node_of(name).is_some())
            .count()
    }

    /// On which nodes the pods of a gang are.
    pub(in crate::engine::tests) fn nodes_of(&self, gang: &str) -> BTreeSet<String> {
        self.of(gang)
            .iter()
            .filter_map(|name| self.node_of(name))
            .collect()
    }

    pub(in crate::engine::tests) fn condition(&self, pod: &str) -> (&str, &str) {
        let condition = self.pods.get(pod).and_then(|pod| pod.condition.as_ref());
        condition.map_or(("", ""), |(reason, message)| (reason, message))
    }

    /// The conditions' messages of a gang, and how many pods have each.
    pub(in crate::engine::tests) fn messages(&self, gang: &str) -> BTreeMap<&str, usize> {
        let mut messages = BTreeMap::new();
        for pod in self
            .pods
            .keys()
            .filter(|name| name.starts_with(&format!("{gang}-")))
        {
            *messages.entry(self.condition(pod).1).or_default() += 1;
        }
        messages
    }

    pub(in crate::engine::tests) fn phase(&self, gang: &str) -> Option<GroupPhase> {
        self.statuses.get(gang).map(|status| status.phase)
    }

    pub(in crate::engine::tests) fn attempts(&self, pod: &str) -> u32 {
        let key = self.engine.by_uid[pod];
        self.engine.queue.get(key).unwrap().attempts
    }

    pub(in crate::engine::tests) fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    /// Lets the engine decide until it has nothing to do, and carries everything out.
    pub(in crate::engine::tests) fn run(&mut self) {
        for _ in 0..1000 {
            let effects = self.engine.run(self.now, 64);
            self.engine.audit();
            if effects.is_empty() && !self.engine.has_work() {
                return;
            }
            for effect in effects {
                self.carry(effect);
            }
        }
        panic!("it never ends");
    }

    /// The same, and what is told after a while.
    pub(in crate::engine::tests) fn settle(&mut self) {
        self.run();
        self.wait(1);
        self.run();
    }

    pub(in crate::engine::tests) fn carry(&mut self, effect: Effect) {
        match (&effect.about, &effect.action) {
            (About::Pod(pod), Action::Bind { node }) => {
                self.binds += 1;
                if self.hold {
                    self.held.push(effect);
                    return;
                }
                let name = pod.name.to_string();
                if let Some(words) = self.refuse.get(&name) {
                    let outcome = Outcome::Failed(words.clone());
                    self.engine.complete(effect.id, outcome, self.now);
                    return;
                }
                let Some(held) = self.pods.get_mut(&name) else {
                    self.engine.complete(effect.id, Outcome::PodGone, self.now);
                    return;
                };
                assert!(
                    held.object["spec"]["nodeName"].is_null(),
                    "{name} is bound twice"
                );
                held.object["spec"]["nodeName"] = json!(&**node);
                self.engine.complete(effect.id, Outcome::Done, self.now);
                self.send(&name);
            }
            (About::Pod(pod), Action::PatchStatus(patch)) => {
                let name = pod.name.to_string();
                if let Some(pod) = self.pods.get_mut(&name) {
                    if let Some(reason) = patch.reason() {
                        let words = patch.message().to_owned();
                        pod.condition = Some((reason.as_str().to_owned(), words));
                    }
                    let nominated = match &patch.nomination {
                        Nomination::Keep => None,
                        Nomination::Clear => Some(json!("")),
                        Nomination::Set(node) => Some(json!(&**node)),
                    };
                    if let Some(nominated) = nominated {
                        pod.object["status"]["nominatedNodeName"] = nominated;
                    }
                }
                self.engine.complete(effect.id, Outcome::Done, self.now);
            }
            (About::Pod(pod), Action::Evict(_)) => {
                let name = pod.name.to_string();
                self.evicted.push(name.clone());
                if let Some(pod) = self.pods.get_mut(&name) {
                    let target = json!([{
                        "type": "DisruptionTarget", "status": "True",
                        "reason": "PreemptionByScheduler",
                    }]);
                    pod.object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                    pod.object["status"]["conditions"] = target;
                }
                self.engine.complete(effect.id, Outcome::Done, self.now);
                self.send(&name);
            }
            (About::Group(group), Action::PatchGroup(status)) => {
                self.statuses
                    .insert(group.reference.name.to_string(), status.clone());
                self.engine.complete(effect.id, Outcome::Done, self.now);
            }
            (About::Pod(pod), Action::Emit(event)) => {
                self.event(&pod.name, event.kind, &event.note);
            }
            (About::Group(group), Action::Emit(event)) => {
                let name = format!("group {}", group.reference.name);
                self.event(&name, event.kind, &event.note);
            }
            other => panic!("{other:?}"),
        }
    }

    fn event(&mut self, about: &str, kind: EventKind, note: &str) {
        self.events.push((about.to_owned(), kind, note.to_owned()));
    }

    /// The events of a kind since the last look, as `about: note`.
    pub(in crate::engine::tests) fn take_events(&mut self, kind: EventKind) -> Vec<String> {
        let (found, rest) = std::mem::take(&mut self.events)
            .into_iter()
            .partition(|(_, other, _)| *other == kind);
        self.events = rest;
        let found: Vec<(String, EventKind, String)> = found;
        found
            .into_iter()
            .map(|(about, _, note)| format!("{about}: {note}"))
            .collect()
    }

    /// Another life of the scheduler, which sees what there is.
    pub(in crate::engine::tests) fn restart(
        &mut self,
        groups: &[(&str, i64)],
        nodes: &[(&str, i64)],
    ) {
        self.engine = engine(0);
        for (name, gpus) in nodes {
            self.node(name, *gpus, &[]);
        }
        for (name, min) in groups {
            self.group(name, *min);
        }
        for name in self.pods.keys().cloned().collect::<Vec<_>>() {
            self.send(&name);
        }
        self.apply(Change::Synced);
    }
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
