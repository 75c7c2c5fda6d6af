//! Pods with claims while claims, volumes, storage classes, nodes and other pods come, change and go:
//! whoever could be placed is, nobody sleeps through what helps, and every refusal is the one that
//! plain loops over the API's objects come to.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::plugins::testing::cases;
use crate::queue::State;

const ZONE: &str = "topology.kubernetes.io/zone";
const OLD_ZONE: &str = "failure-domain.beta.kubernetes.io/zone";
const CLAIMS: [&str; 4] = ["c0", "c1", "p0-v", "p1-v"];
const VOLUMES: [&str; 3] = ["v0", "v1", "v2"];
const CLASSES: [&str; 2] = ["waits", "at-once"];
const NODES: [&str; 3] = ["n0", "n1", "n2"];

type Labels = BTreeMap<String, String>;

#[derive(Clone, Debug)]
struct Claim {
    volume: &'static str,
    complete: bool,
    phase: &'static str,
    terminating: bool,
    class: &'static str,
    alone: bool,
    owner: &'static str,
}

#[derive(Clone, Debug)]
struct Volume {
    /// Key, whether the node must have one of the values or none of them, values.
    affinity: Option<Vec<(&'static str, bool, Vec<&'static str>)>>,
    labels: Labels,
    in_tree: bool,
}

/// The volumes of a pod: a claim, or one that is made for it.
type Asked = Vec<Option<&'static str>>;

#[derive(Clone, Debug)]
enum Step {
    Claim(&'static str, Option<Claim>),
    Volume(&'static str, Option<Volume>),
    Class(&'static str, bool),
    Node(&'static str, Option<Labels>),
    Pod(Asked),
    PodGone(usize),
}

fn labels() -> impl Strategy<Value = Labels> {
    let key = select(&[ZONE, OLD_ZONE, "disk"][..]).prop_map(str::to_owned);
    btree_map(key, select(&["a", "b"][..]).prop_map(str::to_owned), 0..3)
}

fn claim() -> impl Strategy<Value = Claim> {
    let volume = select(&["", "v0", "v0", "v0", "v1", "v1", "v1", "v2", "v2", "gone"][..]);
    let class = select(&["", "waits", "at-once", "absent"][..]);
    let owner = select(&["", "p0", "p0", "p1", "p1"][..]);
    let rare = || prop::bool::weighted(0.04);
    (
        volume,
        prop::bool::weighted(0.9),
        rare(),
        rare(),
        class,
        any::<bool>(),
        owner,
    )
        .prop_map(
            |(volume, complete, lost, terminating, class, alone, owner)| Claim {
                volume,
                complete,
                phase: if lost { "Lost" } else { "Bound" },
                terminating,
                class,
                alone,
                owner,
            },
        )
}

fn volume() -> impl Strategy<Value = Volume> {
    let key = select(&[ZONE, "disk"][..]);
    let values = vec(select(&["a", "b"][..]), 1..3);
    let affinity = option::of(vec((key, any::<bool>(), values), 1..3));
    let key = select(&[ZONE, OLD_ZONE, "disk"][..]).prop_map(str::to_owned);
    let value = select(&["a", "b", "b", "a__b", "a__"][..]).prop_map(str::to_owned);
    let labels = prop_oneof![1 => Just(Labels::new()), 1 => btree_map(key, value, 1..3)];
    (affinity, labels, prop::bool::weighted(0.05)).prop_map(|(affinity, labels, in_tree)| Volume {
        affinity,
        labels,
        in_tree,
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    vec(
        prop_oneof![4 => select(&CLAIMS[..]).prop_map(Some), 1 => Just(None)],
        1..3,
    )
}

fn step() -> impl Strategy<Value = Step> {
    let mostly = |given| prop::bool::weighted(given);
    prop_oneof![
        4 => (select(&CLAIMS[..]), mostly(0.8), claim())
            .prop_map(|(name, there, claim)| Step::Claim(name, there.then_some(claim))),
        4 => (select(&VOLUMES[..]), mostly(0.8), volume())
            .prop_map(|(name, there, volume)| Step::Volume(name, there.then_some(volume))),
        1 => (select(&CLASSES[..]), any::<bool>()).prop_map(|(name, there)| Step::Class(name, there)),
        3 => (select(&NODES[..]), mostly(0.8), labels())
            .prop_map(|(name, there, labels)| Step::Node(name, there.then_some(labels))),
        2 => asked().prop_map(Step::Pod),
        1 => any::<usize>().prop_map(Step::PodGone),
    ]
}

fn read<T: DeserializeOwned>(value: Value) -> Box<T> {
    Box::new(serde_json::from_value(value).unwrap())
}

impl Claim {
    fn change(&self, name: &str) -> VolumeChange {
        let mut metadata = json!({
            "name": name, "namespace": "ns",
            "ownerReferences": [{ "uid": self.owner, "controller": !self.owner.is_empty() }],
        });
        if self.complete {
            metadata["annotations"] = json!({ "pv.kubernetes.io/bind-completed": "yes" });
        }
        if self.terminating {
            metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let mode = if self.alone {
            "ReadWriteOncePod"
        } else {
            "ReadWriteMany"
        };
        VolumeChange::Claim(read(json!({
            "metadata": metadata,
            "spec": {
                "volumeName": self.volume, "storageClassName": self.class, "accessModes": [mode],
            },
            "status": { "phase": self.phase },
        })))
    }
}

impl Volume {
    fn change(&self, name: &str) -> VolumeChange {
        let mut spec = json!({});
        if let Some(affinity) = &self.affinity {
            let expressions = affinity.iter().map(|(key, one_of, values)| {
                let operator = if *one_of { "In" } else { "NotIn" };
                json!({ "key": key, "operator": operator, "values": values })
            });
            let expressions: Vec<_> = expressions.collect();
            let terms = json!([{ "matchExpressions": expressions }]);
            spec["nodeAffinity"] = json!({ "required": { "nodeSelectorTerms": terms } });
        }
        if self.in_tree {
            spec["cinder"] = json!({ "volumeID": "v" });
        }
        let metadata = json!({ "name": name, "labels": self.labels });
        VolumeChange::Volume(read(json!({ "metadata": metadata, "spec": spec })))
    }

    fn reached_from(&self, node: &Labels) -> bool {
        (self.affinity.iter().flatten()).all(|(key, one_of, values)| {
            node.get(*key)
                .is_some_and(|value| values.contains(&value.as_str()))
                == *one_of
        })
    }

    /// The zones that each of its labels tells.
    fn places(&self) -> Vec<(&str, Vec<&str>)> {
        [OLD_ZONE, ZONE]
            .into_iter()
            .filter_map(|key| Some((key, self.labels.get(key)?.split("__").collect::<Vec<_>>())))
            .filter(|(_, zones)| !zones.contains(&""))
            .collect()
    }
}

/// The objects of the API server.
#[derive(Default)]
struct World {
    claims: BTreeMap<String, Claim>,
    volumes: BTreeMap<String, Volume>,
    classes: BTreeSet<&'static str>,
    nodes: BTreeMap<String, Labels>,
    /// By name, which is the uid too: what a pod asks for, and its node once it has one.
    pods: BTreeMap<String, (Asked, Option<String>)>,
}

/// The reason of a plugin for each node that it rejects, or one for all of them at once.
type Answer = Result<BTreeMap<String, Option<&'static str>>, String>;

impl World {
    fn answer(&self, pod: &str) -> Answer {
        let (asked, _) = &self.pods[pod];
        let named: Vec<&str> = asked.iter().flatten().copied().collect();
        let missing = |claim: &str| format!("persistentvolumeclaim {claim:?} not found");
        let mut in_use = false;
        for &name in &named {
            let claim = self.claims.get(name).ok_or_else(|| missing(name))?;
            let uses = |(asked, node): &(Asked, Option<String>)| {
                node.is_some() && asked.contains(&Some(CLAIMS[place(name)]))
            };
            in_use |= claim.alone && self.pods.values().any(uses);
        }
        let bound = self.bound(pod, asked)?;
        let mut zoned = Vec::new();
        for name in named {
            let volume = self.claims[name].volume;
            let found = self.volumes.get(volume);
            let found = found.ok_or_else(|| format!("persistentvolume {volume:?} not found"))?;
            zoned.push(found);
        }
        let verdict = |node: &Labels| {
            if in_use {
                return Some(
                    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access \
                     mode already in-use by another pod",
                );
            }
            for volume in &bound {
                match self.volumes.get(*volume) {
                    None => {
                        return Some(
                            "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
                        );
                    }
                    Some(volume) if !volume.reached_from(node) => {
                        return Some("node(s) didn't match PersistentVolume's node affinity");
                    }
                    Some(_) => {}
                }
            }
            if !node.contains_key(ZONE) && !node.contains_key(OLD_ZONE) {
                return None;
            }
            for (key, zones) in zoned.iter().flat_map(|volume| volume.places()) {
                let zone = node.get(key).or_else(|| node.get(ZONE));
                if !zone.is_some_and(|zone| zones.contains(&zone.as_str())) {
                    return Some("node(s) had no available volume zone");
                }
            }
            None
        };
        let nodes = self.nodes.iter();
        Ok(nodes
            .map(|(name, labels)| (name.clone(), verdict(labels)))
            .collect())
    }

    /// The volumes of the pod's claims, if all are bound.
    fn bound(&self, pod: &str, asked: &Asked) -> Result<Vec<&'static str>, String> {
        let mut found = Vec::new();
        for volume in asked {
            let name = volume.map_or_else(|| format!("{pod}-v"), str::to_owned);
            let Some(claim) = self.claims.get(&name) else {
                let text =
                    "waiting for ephemeral volume controller to create the persistentvolumeclaim";
                return Err(format!("{text} {name:?}"));
            };
            if claim.phase == "Lost" {
                let text = "bound to non-existent persistentvolume";
                return Err(format!(
                    "persistentvolumeclaim {name:?} {text} {:?}",
                    claim.volume
                ));
            }
            if claim.terminating {
                return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
            }
            if volume.is_none() && claim.owner != pod {
                return Err(format!(
                    "PVC ns/{name} was not created for pod ns/{pod} (pod is not owner)"
                ));
            }
            found.push((name, claim));
        }
        let waits = |claim: &Claim| {
            claim.volume.is_empty() && claim.class == "waits" && self.classes.contains("waits")
        };
        let unbound = |claim: &Claim| claim.volume.is_empty() || !claim.complete;
        if found
            .iter()
            .any(|(_, claim)| unbound(claim) && !waits(claim))
        {
            return Err("pod has unbound immediate PersistentVolumeClaims".to_owned());
        }
        for (name, claim) in &found {
            if unbound(claim) {
                return Err(format!(
                    "this version of Berth does not support volumes that need binding: \
                     persistentvolumeclaim {name:?} waits for its first consumer"
                ));
            }
        }
        for (_, claim) in &found {
            if self
                .volumes
                .get(claim.volume)
                .is_some_and(|volume| volume.in_tree)
            {
                return Err(format!(
                    "this version of Berth does not support volumes of drivers that were part of \
                     Kubernetes (awsElasticBlockStore, azureDisk, cinder, gcePersistentDisk, \
                     portworxVolume): persistentvolume {:?}",
                    claim.volume
                ));
            }
        }
        Ok(found.iter().map(|(_, claim)| claim.volume).collect())
    }

    fn message(&self, pod: &str) -> String {
        let begin = format!("0/{} nodes are available: ", self.nodes.len());
        if self.nodes.is_empty() {
            return "no nodes available to schedule pods".to_owned();
        }
        match self.answer(pod) {
            Err(text) => format!("{begin}{text}."),
            Ok(nodes) => {
                let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
                for reason in nodes.values() {
                    *counts.entry(reason.expect("the pod fits")).or_default() += 1;
                }
                let counts = counts
                    .iter()
                    .map(|(reason, count)| format!("{count} {reason}"));
                let mut reasons: Vec<_> = counts.collect();
                reasons.sort();
                format!("{begin}{}. preemption: ", reasons.join(", "))
            }
        }
    }

    fn pod(&self, name: &str) -> Change {
        let (asked, node) = &self.pods[name];
        let volumes = asked
            .iter()
            .enumerate()
            .map(|(place, volume)| match volume {
                Some(claim) => {
                    json!({ "name": place, "persistentVolumeClaim": { "claimName": claim } })
                }
                None => json!({ "name": "v", "ephemeral": {} }),
            });
        let mut volumes: Vec<_> = volumes.collect();
        for volume in &mut volumes {
            volume["name"] = json!(volume["name"].as_str().unwrap_or("named"));
        }
        Change::Pod(read(json!({
            "metadata": { "name": name, "namespace": "ns", "uid": name },
            "spec": {
                "schedulerName": "berth", "containers": [], "volumes": volumes,
                "nodeName": node.as_deref().unwrap_or(""),
            },
        })))
    }
}

fn place(claim: &str) -> usize {
    CLAIMS.iter().position(|one| *one == claim).unwrap()
}

struct Scene {
    engine: Engine,
    world: World,
    now: Time,
    made: usize,
}

impl Scene {
    fn tell(&mut self, change: Change) {
        self.engine.apply(change, self.now);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Claim(name, Some(claim)) => {
                self.tell(Change::Volumes(claim.change(name)));
                self.world.claims.insert(name.to_owned(), claim);
            }
            Step::Claim(name, None) => {
                self.tell(Change::Volumes(VolumeChange::ClaimGone(
                    "ns".into(),
                    name.into(),
                )));
                self.world.claims.remove(name);
            }
            Step::Volume(name, Some(volume)) => {
                self.tell(Change::Volumes(volume.change(name)));
                self.world.volumes.insert(name.to_owned(), volume);
            }
            Step::Volume(name, None) => {
                self.tell(Change::Volumes(VolumeChange::VolumeGone(name.into())));
                self.world.volumes.remove(name);
            }
            Step::Class(name, true) => {
                let mode = if name == "waits" {
                    "WaitForFirstConsumer"
                } else {
                    "Immediate"
                };
                let class = json!({ "metadata": { "name": name }, "volumeBindingMode": mode });
                self.tell(Change::Volumes(VolumeChange::StorageClass(read(class))));
                self.world.classes.insert(name);
            }
            Step::Class(name, false) => {
                self.tell(Change::Volumes(VolumeChange::StorageClassGone(name.into())));
                self.world.classes.remove(name);
            }
            Step::Node(name, Some(labels)) => {
                let metadata = json!({ "name": name, "labels": labels });
                let status = json!({ "allocatable": { "pods": 110 } });
                let node = json!({ "metadata": metadata, "status": status });
                self.tell(Change::Node(read(node)));
                self.world.nodes.insert(name.to_owned(), labels);
            }
            Step::Node(name, None) => {
                self.tell(Change::NodeGone(name.into()));
                self.world.nodes.remove(name);
            }
            Step::Pod(mut asked) => {
                // No two volumes of a pod have the same name.
                if let Some(first) = asked.iter().position(Option::is_none) {
                    let mut place = 0..;
                    asked.retain(|volume| volume.is_some() | (place.next() == Some(first)));
                }
                let name = format!("p{}", self.made);
                self.made += 1;
                self.world.pods.insert(name.clone(), (asked, None));
                self.tell(self.world.pod(&name));
            }
            Step::PodGone(at) => {
                let count = self.world.pods.len().max(1);
                if let Some(name) = self.world.pods.keys().nth(at % count).cloned() {
                    self.world.pods.remove(&name);
                    self.tell(Change::PodGone(name.into()));
                }
            }
        }
        self.now = self.now + 12 * SECOND;
        self.decide();
    }

    /// Decides until nobody is left to be tried.
    fn decide(&mut self) {
        loop {
            let effects = self.engine.run(self.now, 1);
            self.engine.audit();
            for effect in &effects {
                let pod = &*effect.pod().unwrap().name;
                match &effect.action {
                    Action::Bind { node } => {
                        let answer = self.world.answer(pod).expect("it is refused");
                        assert_eq!(answer[&**node], None, "{pod} does not fit {node}");
                        self.world.pods.get_mut(pod).unwrap().1 = Some(node.to_string());
                        self.engine.complete(effect.id, Outcome::Done, self.now);
                        self.tell(self.world.pod(pod));
                    }
                    Action::PatchStatus(_) => {
                        self.engine.complete(effect.id, Outcome::Done, self.now);
                    }
                    Action::Emit(event) if event.kind == EventKind::FailedScheduling => {
                        let expected = self.world.message(pod);
                        let exact = !expected.ends_with("preemption: ");
                        let alike = match exact {
                            true => *event.note == *expected,
                            false => event.note.starts_with(&expected),
                        };
                        assert!(alike, "{pod}: {:?} instead of {expected:?}", event.note);
                    }
                    Action::Emit(_) | Action::PatchGroup(_) | Action::Evict(_) => {}
                }
            }
            if effects.is_empty() && !self.engine.has_work() {
                break;
            }
        }
        for (name, (_, node)) in &self.world.pods {
            if node.is_none() {
                let key = self.engine.by_uid[&**name];
                let state = self.engine.queue.get(key).unwrap().state;
                let fits = |nodes: BTreeMap<_, Option<_>>| nodes.values().any(Option::is_none);
                let sleeps =
                    state == State::Unschedulable && self.world.answer(name).is_ok_and(fits);
                assert!(!sleeps, "{name} sleeps, though it could be placed");
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(800))]

    #[test]
    fn pods_with_claims_in_a_changing_world(
        nodes in vec(labels(), NODES.len()),
        volumes in vec(volume(), VOLUMES.len()),
        claims in vec(claim(), CLAIMS.len()),
        pods in vec(asked(), 2..6),
        then in vec(step(), 4..16),
    ) {
        let mut scene = Scene {
            engine: engine(0),
            world: World::default(),
            now: Time::ZERO,
            made: 0,
        };
        let nodes = NODES.into_iter().zip(nodes);
        let volumes = VOLUMES.into_iter().zip(volumes);
        let claims = CLAIMS.into_iter().zip(claims);
        let first = (nodes.map(|(name, one)| Step::Node(name, Some(one))))
            .chain(volumes.map(|(name, one)| Step::Volume(name, Some(one))))
            .chain(claims.map(|(name, one)| Step::Claim(name, Some(one))))
            .chain(CLASSES.map(|name| Step::Class(name, true)));
        for one in first {
            scene.step(one);
        }
        // What was there when the scheduler started took no time: nobody is to be tried again just
        // because he has waited for long.
        scene.now = Time::ZERO;
        scene.tell(Change::Synced);
        let pods = pods.into_iter().map(Step::Pod);
        for one in pods.chain(then) {
            scene.step(one);
        }
    }
}
