//! The API server as the histories play it: what there is, what is on its way, and who does what.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::scene::{GPU, Scene};
use super::door::Door;
use crate::engine::tests::*;
use crate::engine::{About, Action, Effect, GroupPhase, GroupStatus};
use crate::framework::{GangPolicy, Plugin};
use crate::model::{Dialect, GroupRef};
use crate::plugins::defaults;
use crate::plugins::testing::dice::Dice;

pub(super) const RACKS: &[&str] = &["r1", "r2"];

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) gpus: i64,
    pub(super) cpu: i64,
    pub(super) rack: Option<&'static str>,
    pub(super) cordoned: bool,
    /// Only for pods that tolerate it.
    pub(super) tainted: bool,
}

/// The object of a group.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) uid: String,
    pub(super) generation: i64,
    pub(super) status: Option<GroupStatus>,
    /// Kubernetes: the generation of which the condition says that it was placed.
    placed: Option<i64>,
}

impl Object {
    /// Whether the status says that enough members ran together.
    pub(super) fn tells_that_it_ran(&self, dialect: Dialect) -> bool {
        if dialect == Dialect::Kubernetes {
            return self.placed == Some(self.generation);
        }
        let status = self.status.as_ref();
        status.is_some_and(|status| status.phase == GroupPhase::Scheduled)
    }
}

/// A decision for a gang: nothing that follows from it may be explained but by what is written here.
#[derive(Clone, Debug)]
pub(super) struct Commitment {
    pub(super) min: usize,
    /// Who was placed by it, or was there already.
    pub(super) members: BTreeSet<String>,
    /// Those of them that something happened to which is not Berth's doing.
    pub(super) lost: BTreeSet<String>,
}

/// A gang, with or without an object.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) dialect: Dialect,
    /// What its object says, or what its next pods will.
    pub(super) min: u32,
    pub(super) roles: Vec<(&'static str, u32)>,
    pub(super) required: Option<&'static str>,
    pub(super) preferred: Option<&'static str>,
    pub(super) sizes: &'static [i64],
    pub(super) object: Option<Object>,
    /// Whether its quorum may count as met, judged by what the server knows, and whether it must,
    /// judged by what Berth does.
    pub(super) may_be_met: bool,
    pub(super) is_met: bool,
    /// This life of Berth began with a status that says so.
    pub(super) inherited: bool,
    /// Whether some members counted when this was last looked at.
    pub(super) was_live: bool,
    pub(super) commitment: Option<Commitment>,
    /// Everybody whom any life of Berth's has placed: what was sent before it was killed may arrive
    /// when another one has decided anew.
    pub(super) decided: BTreeSet<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) gang: Option<usize>,
    pub(super) gpus: i64,
    pub(super) cpu: i64,
    pub(super) role: Option<&'static str>,
    pub(super) min: Option<u32>,
    pub(super) priority: i32,
    pub(super) ours: bool,
    pub(super) gated: bool,
    pub(super) terminating: bool,
    pub(super) image: u64,
    /// It may go to nodes with a taint, and only to those of a rack.
    pub(super) tolerates: bool,
    pub(super) selector: Option<&'static str>,
    /// It had a place before its bind left, and the node may be another by then.
    pub(super) was_held: bool,
    pub(super) node: Option<String>,
    /// Not Berth has bound it.
    pub(super) foreign: bool,
    /// The watch, or an answer, has said that it is bound.
    pub(super) told: bool,
    pub(super) answered: bool,
    pub(super) condition: Option<(String, String)>,
}

/// A bind that left and was not answered; its outcome when it has reached the server.
#[derive(Clone, Debug)]
pub(super) struct Flying {
    pub(super) effect: Effect,
    pub(super) uid: String,
    pub(super) node: String,
    pub(super) outcome: Option<Outcome>,
}

pub(super) struct World {
    pub(super) scene: Scene,
    pub(super) metrics: Arc<Metrics>,
    pub(super) dice: Dice,
    pub(super) log: Vec<String>,
    pub(super) nodes: BTreeMap<String, Node>,
    pub(super) groups: Vec<Group>,
    /// By uid.
    pub(super) pods: BTreeMap<String, Pod>,
    pub(super) flying: Vec<Flying>,
    /// Binds of an earlier life that have not reached the server yet.
    pub(super) late: Vec<(String, String)>,
    /// Some status could not be written, and nobody has to write it again.
    pub(super) status_lost: bool,
    pub(super) door: Arc<Door>,
    /// How long a gang waits before it is the head of the line.
    pub(super) patience: Option<Duration>,
    made: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let (holds, refuses) = *dice.one_of(&[(0, 0), (0, 0), (30, 0), (10, 10)]);
        let patience = *dice.one_of(&[None, None, Some(2), Some(15)]);
        let mut world = Self {
            scene: Scene::new(0, 0),
            metrics: Arc::new(Metrics::new().unwrap()),
            dice,
            log: Vec::new(),
            nodes: BTreeMap::new(),
            groups: Vec::new(),
            pods: BTreeMap::new(),
            flying: Vec::new(),
            late: Vec::new(),
            status_lost: false,
            door: Arc::new(Door::new(seed, holds, refuses)),
            patience: patience.map(Duration::from_secs),
            made: 0,
        };
        world.born();
        for _ in 0..2 + world.dice.below(3) {
            world.create_node();
        }
        for place in 0..2 + world.dice.index(3) {
            let group = world.some_group(place);
            world.note(format_args!("{group:?}"));
            world.groups.push(group);
        }
        world.scene.apply(Change::Synced);
        world
    }

    fn some_group(&mut self, place: usize) -> Group {
        let dice = &mut self.dice;
        let dialect = *dice.one_of(&[
            Dialect::Kubernetes,
            Dialect::SchedulerPlugins,
            Dialect::SchedulerPlugins,
            Dialect::Volcano,
            Dialect::Koordinator,
            Dialect::Lightweight,
        ]);
        let roles = if dialect == Dialect::Volcano && dice.chance(60) {
            vec![("launcher", 1), ("worker", 1 + dice.below(2) as u32)]
        } else {
            Vec::new()
        };
        let of_roles: u32 = roles.iter().map(|(_, asked)| asked).sum();
        let label = *dice.one_of(&[None, None, Some("rack")]);
        let required = dice.chance(60);
        Group {
            name: format!("g{place}"),
            dialect,
            min: of_roles.max(1 + dice.below(5) as u32),
            roles,
            required: label.filter(|_| required),
            preferred: label.filter(|_| !required),
            sizes: dice.one_of::<&[i64]>(&[&[1], &[2], &[4], &[0], &[2, 1], &[4, 1], &[2, 0]]),
            object: None,
            may_be_met: false,
            is_met: false,
            inherited: false,
            was_live: false,
            commitment: None,
            decided: BTreeSet::new(),
        }
    }

    pub(super) fn note(&mut self, what: impl std::fmt::Display) {
        let at = self.scene.now.since(Time::ZERO).as_secs_f64();
        self.log.push(format!("{at:8.3}s {what}"));
    }

    fn made(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    /// A life of Berth begins.
    fn born(&mut self) {
        self.metrics = Arc::new(Metrics::new().unwrap());
        let mut plugins = defaults();
        plugins.push((Arc::clone(&self.door) as Arc<dyn Plugin>, 0));
        let mut profile = Profile::new("berth", plugins);
        profile.gangs = Some(GangPolicy {
            patience: self.patience,
        });
        self.scene.engine = counted_engine_of(profile, 1, &self.metrics);
    }
}

// === What there is ===

impl World {
    pub(super) fn send_node(&mut self, name: &str) {
        let node = &self.nodes[name];
        let door = if self.dice.calm { "open" } else { "shut" };
        let mut labels = json!({"door": door});
        if let Some(rack) = node.rack {
            labels["rack"] = json!(rack);
        }
        let mut taints = Vec::new();
        if node.tainted {
            taints.push(json!({"key": "dedicated", "effect": "NoSchedule"}));
        }
        let version = self.scene.next().to_string();
        let object = json!({
            "metadata": {"name": name, "uid": name, "labels": labels, "resourceVersion": version},
            "spec": {"unschedulable": node.cordoned, "taints": taints},
            "status": {"allocatable": {
                "cpu": node.cpu.to_string(), "memory": "512Gi", "pods": "110", GPU: node.gpus.to_string()}},
        });
        let object = serde_json::from_value(object).unwrap();
        self.scene.apply(Change::Node(Box::new(object)));
    }

    pub(super) fn send_group(&mut self, place: usize) {
        let group = &self.groups[place];
        let Some(object) = &group.object else {
            return;
        };
        let mut value = json!({
            "metadata": {"uid": object.uid, "generation": object.generation, "annotations": {}},
            "spec": {}, "status": {},
        });
        if group.dialect == Dialect::Kubernetes {
            value["spec"]["schedulingPolicy"] = json!({"gang": {"minCount": group.min}});
            if let Some(key) = group.required {
                value["spec"]["schedulingConstraints"] = json!({"topology": [{"key": key}]});
            }
            if let Some(generation) = object.placed {
                value["status"]["conditions"] = json!([{
                    "type": "PodGroupInitiallyScheduled", "status": "True", "reason": "Scheduled",
                    "message": "", "observedGeneration": generation}]);
            }
        } else {
            value["spec"]["minMember"] = json!(group.min);
            if let Some(key) = group.required {
                value["metadata"]["annotations"]["gang.berth.dev/required-topology"] = json!(key);
            }
            let phase = match object.status.as_ref().map(|status| status.phase) {
                None => "",
                Some(GroupPhase::Scheduled) => "Running",
                Some(_) => "Pending",
            };
            value["status"]["phase"] = json!(phase);
        }
        if let Some(key) = group.preferred {
            value["metadata"]["annotations"]["gang.berth.dev/preferred-topology"] = json!(key);
        }
        if !group.roles.is_empty() {
            let roles: BTreeMap<_, _> = group.roles.iter().copied().collect();
            value["spec"]["minTaskMember"] = json!(roles);
        }
        let (dialect, name) = (group.dialect, group.name.clone());
        self.scene.object(dialect, &name, value);
    }

    /// The watch tells of a pod as it is.
    pub(super) fn send_pod(&mut self, uid: &str) {
        let version = self.scene.next().to_string();
        let Some(pod) = self.pods.get_mut(uid) else {
            return;
        };
        pod.told = pod.node.is_some();
        let mut labels = BTreeMap::new();
        let mut annotations = BTreeMap::new();
        let mut spec = json!({
            "schedulerName": if pod.ours { "berth" } else { "default-scheduler" },
            "priority": pod.priority, "nodeName": pod.node.clone().unwrap_or_default(),
        });
        let mut requests = json!({"cpu": pod.cpu.to_string(), "memory": "1Gi"});
        if pod.gpus > 0 {
            requests[GPU] = json!(pod.gpus.to_string());
        }
        let image = format!("registry.example/app:{}", pod.image);
        spec["containers"] =
            json!([{"name": "main", "image": image, "resources": {"requests": requests}}]);
        if pod.tolerates {
            spec["tolerations"] = json!([{"key": "dedicated", "operator": "Exists"}]);
        }
        if let Some(rack) = pod.selector {
            spec["nodeSelector"] = json!({"rack": rack});
        }
        if pod.gated {
            spec["schedulingGates"] = json!([{"name": "later"}]);
        }
        if let Some(group) = pod.gang.map(|place| &self.groups[place]) {
            let (name, min) = (group.name.clone(), pod.min.unwrap_or(1).to_string());
            match group.dialect {
                Dialect::Kubernetes => spec["schedulingGroup"] = json!({"podGroupName": name}),
                Dialect::SchedulerPlugins => {
                    labels.insert("scheduling.x-k8s.io/pod-group", name);
                }
                Dialect::Volcano => {
                    annotations.insert("scheduling.k8s.io/group-name", name);
                }
                Dialect::Koordinator => {
                    annotations.insert("gang.scheduling.koordinator.sh/name", name);
                    annotations.insert("gang.scheduling.koordinator.sh/min-available", min);
                }
                Dialect::Lightweight => {
                    labels.insert("pod-group.scheduling.sigs.k8s.io/name", name);
                    labels.insert("pod-group.scheduling.sigs.k8s.io/min-available", min);
                }
            }
            if !group.dialect.has_object() {
                for (key, label) in [("required", group.required), ("preferred", group.preferred)] {
                    if let (Some(label), "required") = (label, key) {
                        annotations.insert("gang.berth.dev/required-topology", label.to_owned());
                    } else if let Some(label) = label {
                        annotations.insert("gang.berth.dev/preferred-topology", label.to_owned());
                    }
                }
            }
        }
        if let Some(role) = pod.role {
            annotations.insert("volcano.sh/task-spec", role.to_owned());
        }
        let conditions = pod.condition.as_ref().map(|(reason, message)| {
            json!([{"type": "PodScheduled", "status": "False", "reason": reason, "message": message}])
        });
        let mut object = json!({
            "metadata": {
                "name": pod.name, "namespace": "default", "uid": uid, "resourceVersion": version,
                "labels": labels, "annotations": annotations,
            },
            "spec": spec,
            "status": {"phase": "Pending", "conditions": conditions.unwrap_or(Value::Array(Vec::new()))},
        });
        if pod.terminating {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let object = serde_json::from_value(object).unwrap();
        self.scene.apply(Change::Pod(Box::new(object)));
    }

    /// What happens to a pod is the reason why its gang lacks it.
    pub(super) fn lose(&mut self, uid: &str) {
        for group in &mut self.groups {
            if let Some(commitment) = &mut group.commitment
                && commitment.members.contains(uid)
            {
                commitment.lost.insert(uid.to_owned());
            }
        }
    }
}

// === Who does what ===

impl World {
    pub(super) fn create_node(&mut self) {
        let name = format!("n{}", self.made());
        let node = Node {
            gpus: *self.dice.one_of(&[0, 2, 4, 4, 8]),
            cpu: *self.dice.one_of(&[2, 8, 8]),
            rack: *self
                .dice
                .one_of(&[None, Some(RACKS[0]), Some(RACKS[0]), Some(RACKS[1])]),
            cordoned: self.dice.chance(10),
            tainted: self.dice.chance(15),
        };
        self.note(format_args!("node {name}: {node:?}"));
        self.nodes.insert(name.clone(), node);
        self.send_node(&name);
    }

    /// From now on the Permit plugin lets everybody pass, which a label of each node tells.
    pub(super) fn open_the_door(&mut self) {
        self.note("the door is open");
        self.door.open();
        for name in Vec::from_iter(self.nodes.keys().cloned()) {
            self.send_node(&name);
        }
    }

    pub(super) fn create_pod(&mut self, gang: Option<usize>) -> String {
        let number = self.made();
        // Names come again with other uids, and indexes are not in the order of creation.
        let stem = gang.map_or_else(|| "single".to_owned(), |place| format!("g{place}"));
        let name = format!("{stem}-{}", self.dice.below(12));
        let uid = format!("{name}-u{}", number * 7919 % 1000);
        let group = gang.map(|place| self.groups[place].clone());
        let sizes = group.as_ref().map_or(&[0, 1, 4][..], |group| group.sizes);
        let roles = group.as_ref().map_or(&[][..], |group| &group.roles);
        let role = self.dice.maybe_one_of(roles).map(|(role, _)| *role);
        let gpus = match role {
            Some("launcher") => *sizes.last().unwrap(),
            _ => *self.dice.one_of(sizes),
        };
        let pod = Pod {
            name,
            gang,
            gpus,
            cpu: 1,
            role,
            min: (group.filter(|group| !group.dialect.has_object())).map(|group| group.min),
            priority: if self.dice.chance(2) { 5 } else { 0 },
            ours: !self.dice.chance(2),
            gated: self.dice.chance(10),
            terminating: false,
            image: 0,
            tolerates: self.dice.chance(40),
            selector: *(self.dice).one_of(&[None, None, None, None, None, Some(RACKS[0])]),
            was_held: false,
            node: None,
            foreign: false,
            told: false,
            answered: false,
            condition: None,
        };
        self.note(format_args!("pod {uid}: {pod:?}"));
        self.pods.insert(uid.clone(), pod);
        self.send_pod(&uid);
        uid
    }

    pub(super) fn some_pod(&mut self, which: impl Fn(&Pod) -> bool) -> Option<String> {
        let found: Vec<String> = (self.pods.iter())
            .filter(|(_, pod)| which(pod))
            .map(|(uid, _)| uid.clone())
            .collect();
        self.dice.maybe_one_of(&found).cloned()
    }

    pub(super) fn some_node(&mut self) -> Option<String> {
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        self.dice.maybe_one_of(&names).cloned()
    }

    pub(super) fn edit_pod(&mut self, uid: &str, what: &str, edit: impl FnOnce(&mut Pod)) {
        self.note(format_args!("pod {uid} {what}"));
        self.pods.get_mut(uid).map(edit);
        self.send_pod(uid);
    }

    /// The pod is gone. One that has finished is told of first.
    pub(super) fn remove_pod(&mut self, uid: &str) {
        self.note(format_args!("pod {uid} is gone"));
        self.lose(uid);
        self.pods.remove(uid);
        self.scene.apply(Change::PodGone(uid.into()));
    }

    /// A bind reaches the server. Answers what became of it.
    pub(super) fn arrive(&mut self, uid: &str, node: &str, refused: bool) -> Outcome {
        let outcome = match self.pods.get_mut(uid) {
            None => Outcome::PodGone,
            Some(_) if refused => Outcome::Failed("quota".to_owned()),
            Some(pod) if pod.terminating => Outcome::Failed("is being deleted".to_owned()),
            Some(pod) if pod.node.is_some() => Outcome::Failed("is bound".to_owned()),
            Some(pod) => {
                pod.node = Some(node.to_owned());
                pod.condition = None;
                Outcome::Done
            }
        };
        if outcome != Outcome::Done {
            self.lose(uid);
        }
        self.note(format_args!("bind of {uid} to {node}: {outcome:?}"));
        outcome
    }

    pub(super) fn carry(&mut self, place: usize, refused: bool) {
        let Flying { uid, node, .. } = self.flying[place].clone();
        let outcome = self.arrive(&uid, &node, refused);
        self.flying[place].outcome = Some(outcome);
    }

    pub(super) fn answer(&mut self, place: usize) {
        let Flying {
            effect,
            uid,
            outcome,
            ..
        } = self.flying.remove(place);
        let outcome = outcome.unwrap();
        self.note(format_args!("the bind of {uid} is answered: {outcome:?}"));
        match (&outcome, self.pods.get_mut(&uid)) {
            (Outcome::Done, Some(pod)) => pod.answered = true,
            // It counted until now.
            _ => self.lose(&uid),
        }
        let now = self.scene.now;
        self.scene.engine.complete(effect.id, outcome, now);
    }

    /// Statuses are written at once, or not at all.
    pub(super) fn write(&mut self, effect: &Effect) {
        let fails = !self.dice.calm && self.dice.chance(3);
        let outcome = if fails {
            Outcome::Failed("busy".to_owned())
        } else {
            Outcome::Done
        };
        match (&effect.about, &effect.action) {
            (About::Pod(pod), Action::PatchStatus(patch)) => {
                self.status_lost |= fails;
                let uid = pod.uid.to_string();
                if let Some(pod) = self.pods.get_mut(&uid).filter(|_| !fails) {
                    pod.condition = (patch.reason())
                        .map(|reason| (reason.as_str().into(), patch.message().to_owned()));
                }
                self.note(format_args!("{uid} is told: {}", patch.message()));
            }
            (About::Group(object), Action::PatchGroup(status)) => {
                self.status_lost |= fails;
                let place = (self.groups.iter())
                    .position(|group| *group.name == *object.reference.name)
                    .unwrap();
                let group = &mut self.groups[place];
                let held =
                    (group.object.as_mut()).filter(|held| !fails && *held.uid == *object.uid);
                if let Some(held) = held {
                    held.status = Some(status.clone());
                    if status.phase == GroupPhase::Scheduled {
                        held.placed = object.generation;
                    }
                    let line = format!("status of {}: {status:?}", group.name);
                    self.note(line);
                    if self.dice.chance(70) {
                        self.send_group(place);
                    }
                }
            }
            (About::Pod(pod), Action::Evict(_)) => {
                let uid = pod.uid.to_string();
                if self.pods.contains_key(&uid) && !fails {
                    self.lose(&uid);
                    self.edit_pod(&uid, "is evicted", |pod| pod.terminating = true);
                }
            }
            _ => return,
        }
        let now = self.scene.now;
        self.scene.engine.complete(effect.id, outcome, now);
    }

    pub(super) fn set_object(&mut self, place: usize, min: u32) {
        let number = self.made();
        let group = &mut self.groups[place];
        group.min = min.max(group.roles.iter().map(|(_, asked)| asked).sum());
        if !group.dialect.has_object() {
            return;
        }
        group.object = Some(Object {
            uid: format!("group-{number}"),
            generation: 1,
            status: None,
            placed: None,
        });
        (group.may_be_met, group.is_met, group.inherited) = (false, false, false);
        let line = format!("object of {}, min {}", group.name, group.min);
        self.note(line);
        self.send_group(place);
    }

    pub(super) fn remove_object(&mut self, place: usize) {
        let group = &mut self.groups[place];
        if group.object.take().is_none() {
            return;
        }
        let reference = GroupRef {
            dialect: group.dialect,
            namespace: "default".into(),
            name: group.name.as_str().into(),
        };
        let line = format!("no object of {}", group.name);
        self.note(line);
        self.scene.apply(Change::PodGroupGone(reference));
    }

    pub(super) fn edit_min(&mut self, place: usize, min: u32) {
        let group = &mut self.groups[place];
        let min = min.max(group.roles.iter().map(|(_, asked)| asked).sum());
        if min > group.min {
            (group.may_be_met, group.is_met, group.inherited) = (false, false, false);
        }
        group.min = min;
        if let Some(object) = &mut group.object {
            object.generation += 1;
        }
        let line = format!("min of {} is {min}", group.name);
        self.note(line);
        self.send_group(place);
    }

    /// Berth dies, and another life of it sees what there is. Of the binds that were on their way
    /// some have arrived, some never will, and some come late.
    pub(super) fn restart(&mut self) {
        self.note("Berth is killed");
        for flying in std::mem::take(&mut self.flying) {
            if let Some(outcome) = flying.outcome {
                if outcome != Outcome::Done {
                    self.lose(&flying.uid);
                }
            } else {
                match self.dice.below(10) {
                    0..5 => drop(self.arrive(&flying.uid, &flying.node, false)),
                    5 => self.late.push((flying.uid, flying.node)),
                    _ => self.lose(&flying.uid),
                }
            }
        }
        self.born();
        self.list();
    }

    fn list(&mut self) {
        let mut kinds = [0, 1, 2];
        if self.dice.chance(50) {
            kinds.reverse();
        }
        for kind in kinds {
            match kind {
                0 => self
                    .nodes
                    .clone()
                    .keys()
                    .for_each(|name| self.send_node(name)),
                1 => (0..self.groups.len()).for_each(|place| self.send_group(place)),
                _ => self.pods.clone().keys().for_each(|uid| self.send_pod(uid)),
            }
        }
        for group in &mut self.groups {
            (group.is_met, group.was_live) = (false, false);
            group.inherited = (group.object.as_ref())
                .is_some_and(|object| object.tells_that_it_ran(group.dialect));
        }
        self.scene.apply(Change::Synced);
    }
}
