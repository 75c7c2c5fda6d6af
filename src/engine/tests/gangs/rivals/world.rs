//! The API server as the histories of rivals play it: what there is, what the watches have not told
//! of yet, and what is on its way there and back.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::scene::GPU;
use super::check::Book;
use crate::engine::Effect;
use crate::engine::tests::*;
use crate::framework::GangPolicy;
use crate::model::{Dialect, GroupRef};
use crate::plugins::testing::dice::Dice;

pub(super) const PRIORITIES: &[i32] = &[0, 10, 20, 30];
const RACKS: &[&str] = &["r1", "r1", "r2"];
pub(super) const APPS: &[&str] = &["web", "db"];

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) gpus: i64,
    pub(super) rack: &'static str,
    pub(super) cordoned: bool,
}

/// A gang: what its object or its pods say, and how many pods its controller keeps alive.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) dialect: Dialect,
    pub(super) min: usize,
    pub(super) pods: usize,
    pub(super) gpus: i64,
    pub(super) priority: i32,
    /// Kubernetes: it is disrupted as a whole.
    pub(super) whole: bool,
    /// All of it in one rack.
    pub(super) in_rack: bool,
    pub(super) app: Option<&'static str>,
    /// The generation of its object; None while there is none.
    pub(super) object: Option<i64>,
    /// The status tells that it was placed, of this generation.
    pub(super) ran: Option<i64>,
}

#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) group: Option<usize>,
    pub(super) gpus: i64,
    pub(super) priority: i32,
    pub(super) never_preempts: bool,
    pub(super) app: Option<&'static str>,
    /// When it is deleted it stays for a while.
    pub(super) lingers: bool,
    pub(super) node: Option<String>,
    pub(super) nominated: String,
    pub(super) terminating: bool,
    pub(super) preempted: bool,
    pub(super) condition: Option<(&'static str, String)>,
    /// It is gone, which the watch has not told yet.
    pub(super) gone: bool,
}

/// A budget: so many pods of an app may be missing.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    pub(super) app: &'static str,
    pub(super) may_miss: i64,
    pub(super) exists: bool,
}

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) metrics: Arc<Metrics>,
    pub(super) dice: Dice,
    pub(super) now: Time,
    pub(super) log: Vec<String>,
    pub(super) nodes: BTreeMap<String, Node>,
    pub(super) groups: Vec<Group>,
    /// By uid, which is the name too.
    pub(super) pods: BTreeMap<String, Pod>,
    pub(super) budgets: Vec<Budget>,
    /// Pods that are not as the watch has told.
    pub(super) news: BTreeSet<String>,
    pub(super) lanes: Vec<Effect>,
    pub(super) answers: Vec<(EffectId, Outcome)>,
    pub(super) book: Book,
    version: u64,
    made: u64,
}

fn read<T: DeserializeOwned>(object: Value) -> Box<T> {
    Box::new(serde_json::from_value(object).unwrap())
}

/// An engine where nobody waits because another one has waited for longer.
pub(super) fn born(seed: u64, metrics: &Arc<Metrics>) -> Engine {
    let mut profile = default_profile("berth");
    profile.gangs = Some(GangPolicy { patience: None });
    let mut engine = counted_engine_of(profile, seed, metrics);
    // In half of the histories a search looks at one node at a time.
    if seed.is_multiple_of(2) {
        engine.slice = 1;
    }
    engine
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut world = Self {
            engine: born(seed, &metrics),
            metrics,
            dice: Dice::new(seed),
            now: Time::from_secs(1),
            log: Vec::new(),
            nodes: BTreeMap::new(),
            groups: Vec::new(),
            pods: BTreeMap::new(),
            budgets: Vec::new(),
            news: BTreeSet::new(),
            lanes: Vec::new(),
            answers: Vec::new(),
            book: Book::default(),
            version: 1,
            made: 0,
        };
        for _ in 0..2 + world.dice.below(2) {
            world.create_node();
        }
        for place in 0..2 + world.dice.index(3) {
            let group = world.some_group(place);
            world.note(format_args!("{group:?}"));
            world.groups.push(group);
            world.set_object(place);
        }
        for &app in APPS {
            let exists = world.dice.chance(40);
            let may_miss = *world.dice.one_of(&[0, 1, 2, 4]);
            let budget = Budget {
                app,
                may_miss,
                exists,
            };
            world.note(format_args!("{budget:?}"));
            world.budgets.push(budget);
        }
        world.apply(Change::Synced);
        world
    }

    pub(super) fn some_group(&mut self, place: usize) -> Group {
        let dice = &mut self.dice;
        let min = 1 + dice.index(5);
        let priorities = if place == 0 {
            &PRIORITIES[..1]
        } else {
            PRIORITIES
        };
        Group {
            name: format!("g{place}"),
            dialect: *dice.one_of(&[
                Dialect::Kubernetes,
                Dialect::Kubernetes,
                Dialect::SchedulerPlugins,
                Dialect::SchedulerPlugins,
                Dialect::Koordinator,
            ]),
            min,
            pods: min + *dice.one_of(&[0, 0, 1, 3]),
            gpus: *dice.one_of(&[1, 1, 2]),
            priority: *dice.one_of(priorities),
            whole: dice.chance(50),
            in_rack: dice.chance(25),
            app: dice.chance(40).then(|| *dice.one_of(APPS)),
            object: None,
            ran: None,
        }
    }

    pub(super) fn note(&mut self, what: impl std::fmt::Display) {
        let at = self.now.since(Time::ZERO).as_secs_f64();
        self.log.push(format!("{at:8.3}s {what}"));
    }

    fn next(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    pub(super) fn apply(&mut self, change: Change) {
        self.engine.apply(change, self.now);
        self.who_gave_up();
    }

    // === What the watches tell ===

    pub(super) fn create_node(&mut self) {
        self.made += 1;
        let node = Node {
            gpus: *self.dice.one_of(&[2, 4, 4, 6]),
            rack: RACKS[self.dice.index(RACKS.len())],
            cordoned: self.dice.chance(10),
        };
        let name = format!("n{}", self.made);
        self.nodes.insert(name.clone(), node);
        self.tell_node(&name);
    }

    pub(super) fn tell_node(&mut self, name: &str) {
        let node = self.nodes[name].clone();
        self.note(format_args!("{name}: {node:?}"));
        let version = self.next();
        self.apply(Change::Node(read(json!({
            "metadata": {"name": name, "uid": name, "labels": {"rack": node.rack}, "resourceVersion": version},
            "spec": {"unschedulable": node.cordoned},
            "status": {"allocatable": {"cpu": "64", "memory": "512Gi", "pods": "110", GPU: node.gpus.to_string()}},
        }))));
    }

    pub(super) fn set_object(&mut self, place: usize) {
        let group = &mut self.groups[place];
        if group.dialect.has_object() {
            group.object = Some(group.object.unwrap_or(0) + 1);
            self.tell_group(place);
        }
    }

    pub(super) fn tell_group(&mut self, place: usize) {
        let version = self.next();
        let group = self.groups[place].clone();
        let Some(generation) = group.object else {
            return;
        };
        let (mut annotations, mut status) = (json!({}), json!({}));
        let mut spec = json!({"minMember": group.min});
        if group.dialect == Dialect::Kubernetes {
            let mode = if group.whole { "all" } else { "single" };
            spec = json!({
                "schedulingPolicy": {"gang": {"minCount": group.min}},
                "priority": group.priority, "disruptionMode": {mode: {}},
            });
            if group.in_rack {
                spec["schedulingConstraints"] = json!({"topology": [{"key": "rack"}]});
            }
            if let Some(ran) = group.ran {
                status["conditions"] = json!([{
                    "type": "PodGroupInitiallyScheduled", "status": "True", "reason": "Scheduled",
                    "message": "", "observedGeneration": ran}]);
            }
        } else {
            if group.in_rack {
                annotations["gang.berth.dev/required-topology"] = json!("rack");
            }
            if group.ran == group.object {
                status["phase"] = json!("Running");
            }
        }
        let object = read(json!({
            "metadata": {
                "name": group.name, "namespace": "default", "uid": group.name, "resourceVersion": version,
                "generation": generation, "annotations": annotations,
            },
            "spec": spec, "status": status,
        }));
        self.apply(Change::PodGroup(group.dialect, "v1", object));
    }

    pub(super) fn remove_object(&mut self, place: usize) {
        let group = &mut self.groups[place];
        group.ran = None;
        if group.object.take().is_some() {
            let reference = self.reference(place);
            self.apply(Change::PodGroupGone(reference));
        }
    }

    pub(super) fn reference(&self, place: usize) -> GroupRef {
        GroupRef {
            dialect: self.groups[place].dialect,
            namespace: "default".into(),
            name: self.groups[place].name.as_str().into(),
        }
    }

    /// The watch tells of a pod as it is.
    pub(super) fn tell_pod(&mut self, uid: &str) {
        self.news.remove(uid);
        if self.pods[uid].gone {
            self.note(format_args!("the watch tells that {uid} is gone"));
            self.pods.remove(uid);
            self.apply(Change::PodGone(uid.into()));
            return;
        }
        let object = self.pod_object(uid);
        self.apply(Change::Pod(read(object)));
    }

    fn pod_object(&mut self, uid: &str) -> Value {
        let version = self.next();
        let pod = &self.pods[uid];
        let (mut labels, mut annotations) = (json!({}), json!({}));
        if let Some(app) = pod.app {
            labels["app"] = json!(app);
        }
        let mut spec = json!({
            "schedulerName": "berth", "priority": pod.priority,
            "nodeName": pod.node.clone().unwrap_or_default(),
            "containers": [{"name": "main", "resources": {"requests": {
                "cpu": "1", "memory": "1Gi", GPU: pod.gpus.to_string()}}}],
        });
        if pod.never_preempts {
            spec["preemptionPolicy"] = json!("Never");
        }
        if let Some(group) = pod.group.map(|place| &self.groups[place]) {
            match group.dialect {
                Dialect::Kubernetes => {
                    spec["schedulingGroup"] = json!({"podGroupName": group.name});
                }
                Dialect::SchedulerPlugins => {
                    labels["scheduling.x-k8s.io/pod-group"] = json!(group.name);
                }
                _ => {
                    let min = group.min.to_string();
                    annotations["gang.scheduling.koordinator.sh/name"] = json!(group.name);
                    annotations["gang.scheduling.koordinator.sh/min-available"] = json!(min);
                    if group.in_rack {
                        annotations["gang.berth.dev/required-topology"] = json!("rack");
                    }
                }
            }
        }
        let mut conditions = Vec::new();
        if let Some((reason, message)) = &pod.condition {
            conditions.push(json!({
                "type": "PodScheduled", "status": "False", "reason": reason, "message": message}));
        }
        if pod.preempted {
            conditions.push(json!({
                "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}));
        }
        let mut metadata = json!({
            "name": uid, "namespace": "default", "uid": uid, "resourceVersion": version,
            "labels": labels, "annotations": annotations,
        });
        if pod.terminating {
            metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        json!({
            "metadata": metadata, "spec": spec,
            "status": {"conditions": conditions, "nominatedNodeName": pod.nominated},
        })
    }

    fn allowed(&self, place: usize) -> Option<i64> {
        let budget = &self.budgets[place];
        let of_app = self.pods.values().filter(|pod| pod.app == Some(budget.app));
        let missing = of_app.filter(|pod| pod.node.is_none() || pod.terminating || pod.gone);
        let allowed = (budget.may_miss - missing.count() as i64).max(0);
        budget.exists.then_some(allowed)
    }

    /// The controller of budgets counts, and tells what has changed.
    pub(super) fn count_budget(&mut self, place: usize) {
        if self.allowed(place) != self.book.allowed(self.budgets[place].app) {
            self.tell_budget(place);
        }
    }

    pub(super) fn tell_budget(&mut self, place: usize) {
        let (app, allowed) = (self.budgets[place].app, self.allowed(place));
        self.book.told_budget(app, allowed);
        let Some(allowed) = allowed else {
            self.apply(Change::DisruptionBudgetGone("default".into(), app.into()));
            return;
        };
        let version = self.next();
        self.apply(Change::DisruptionBudget(read(json!({
            "metadata": {"namespace": "default", "name": app, "resourceVersion": version},
            "spec": {"selector": {"matchLabels": {"app": app}}},
            "status": {"disruptionsAllowed": allowed},
        }))));
    }

    // === What happens at the server ===

    pub(super) fn create_pod(&mut self, group: Option<usize>) -> String {
        self.made += 1;
        let dice = &mut self.dice;
        let of_group = group.map(|place| self.groups[place].clone());
        let stem = of_group.as_ref().map_or("single", |group| &group.name);
        let uid = format!("{stem}-{}", self.made);
        let single = (
            *dice.one_of(&[1, 1, 2, 4]),
            *dice.one_of(&[0, 0, 10, 20, 30]),
        );
        let app = dice.chance(40).then(|| *dice.one_of(APPS));
        let asks = |group: &Group| (group.gpus, group.priority);
        let (gpus, priority) = of_group.as_ref().map_or(single, asks);
        let pod = Pod {
            group,
            gpus,
            priority,
            never_preempts: group.is_none() && dice.chance(10),
            app: of_group.map_or(app, |group| group.app),
            lingers: dice.chance(60),
            node: None,
            nominated: String::new(),
            terminating: false,
            preempted: false,
            condition: None,
            gone: false,
        };
        self.note(format_args!("{uid}: {pod:?}"));
        self.pods.insert(uid.clone(), pod);
        self.news.insert(uid.clone());
        uid
    }

    /// What a gang's controller does: it replaces who is gone or goes.
    pub(super) fn keep_alive(&mut self, place: usize) {
        let group = &self.groups[place];
        if group.dialect.has_object() && group.object.is_none() {
            self.set_object(place);
        }
        let stays = |pod: &&Pod| pod.group == Some(place) && !pod.gone && !pod.terminating;
        let there = self.pods.values().filter(stays).count();
        for _ in there..self.groups[place].pods {
            self.create_pod(Some(place));
        }
    }

    pub(super) fn some_pod(&mut self, which: impl Fn(&Pod) -> bool) -> Option<String> {
        let found: Vec<&String> = (self.pods.iter())
            .filter(|(_, pod)| !pod.gone && which(pod))
            .map(|(uid, _)| uid)
            .collect();
        self.dice.maybe_one_of(&found).map(|uid| (*uid).clone())
    }

    pub(super) fn some_node(&mut self) -> Option<String> {
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        self.dice.maybe_one_of(&names).cloned()
    }

    pub(super) fn edit(&mut self, uid: &str, what: &str, edit: impl FnOnce(&mut Pod)) {
        self.note(format_args!("{uid} {what}"));
        edit(self.pods.get_mut(uid).unwrap());
        self.news.insert(uid.to_owned());
    }

    /// Somebody deletes a pod, which may end later.
    pub(super) fn delete(&mut self, uid: &str) {
        self.edit(uid, "is deleted", |pod| {
            pod.terminating = true;
            pod.gone |= !pod.lingers || pod.node.is_none();
        });
    }
}
