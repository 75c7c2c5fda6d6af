//! Everybody but Berth: users, kubelets, administrators, another scheduler.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::world::{
    CLASSES, NAMESPACE, World, node_json, nodes, pod_json, pods, text, tolerations_json,
};
use crate::plugins::testing::plain::{PlainContainer, PlainNode, PlainPod, PlainToleration};
use crate::simulator::{Kind, Part, PatchType, Request, Verb};

/// Few names, so that they come again.
const POD_NAMES: u64 = 9;
const NODE_NAMES: u64 = 4;
const GIB: i64 = 1 << 30;

/// A pod as others see it.
struct Seen {
    name: String,
    uid: String,
    node: String,
    running: bool,
    gated: bool,
}

fn request(verb: Verb, kind: &'static Kind, name: &str) -> Request {
    let namespace = if kind.namespaced { NAMESPACE } else { "" };
    Request::new(verb, kind, namespace, name)
}

impl World {
    /// Somebody does something. `quiet`: nothing that takes room from under Berth's decisions.
    pub(super) fn meddle(&mut self, quiet: bool) {
        match self.dice.below(if quiet { 62 } else { 100 }) {
            0..24 => self.create_pod(),
            24..31 => self.delete_pod(),
            31..41 => self.recreate_pod(),
            41..49 => self.finish_pod(),
            49..52 => self.relabel_pod(),
            52..54 => self.tolerate(),
            54..56 => self.ungate(),
            56..60 => self.compact(),
            60..62 => self.create_node(),
            62..72 => self.bind_elsewhere(),
            72..76 => self.create_node(),
            76..92 => self.edit_node(),
            _ => self.delete_node(),
        }
    }

    fn seen(&self) -> Vec<Seen> {
        let see = |pod: &Value| Seen {
            name: text(pod, "/metadata/name").to_owned(),
            uid: text(pod, "/metadata/uid").to_owned(),
            node: text(pod, "/spec/nodeName").to_owned(),
            running: !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
                && text(pod, "/metadata/deletionTimestamp").is_empty(),
            gated: pod.pointer("/spec/schedulingGates/0").is_some(),
        };
        let pods = self.list(pods());
        pods.iter().map(|object| see(object.value())).collect()
    }

    fn some_pod(&mut self, which: impl Fn(&Seen) -> bool) -> Option<Seen> {
        let mut seen: Vec<_> = self.seen().into_iter().filter(which).collect();
        if seen.is_empty() {
            return None;
        }
        let index = self.dice.index(seen.len());
        Some(seen.swap_remove(index))
    }

    fn node_names(&self) -> Vec<String> {
        let nodes = self.list(nodes());
        let name = |node: &Value| text(node, "/metadata/name").to_owned();
        nodes.iter().map(|object| name(object.value())).collect()
    }

    // === Pods ===

    fn plain_pod(&mut self) -> PlainPod {
        let crowded = self.crowded;
        // What is there first is what others are more important than.
        let classified = match (crowded, self.lives) {
            (true, 0) => 0,
            (true, _) => 80,
            (false, _) => 50,
        };
        let dice = &mut self.dice;
        let amounts = [0, 100, 500, 500, 1000, 1000, 3000];
        let cpu = *dice.one_of(if crowded { &amounts[3..] } else { &amounts });
        let memory = *dice.one_of(&[0, GIB, GIB, 2 * GIB]);
        let mut pod = PlainPod {
            containers: vec![PlainContainer {
                requests: BTreeMap::from([("cpu".to_owned(), cpu), ("memory".to_owned(), memory)]),
                image: "app".to_owned(),
                ..PlainContainer::default()
            }],
            ..PlainPod::default()
        };
        if dice.chance(classified) {
            (_, pod.priority, _) = *dice.one_of(CLASSES);
        }
        if dice.chance(15) {
            let port = ("0.0.0.0".to_owned(), "TCP".to_owned(), 8080);
            pod.containers[0].ports.push(port);
        }
        if dice.chance(20) {
            let zone = dice.one_of(&["a", "b"]);
            pod.node_selector
                .insert("zone".to_owned(), (*zone).to_owned());
        }
        if dice.chance(8) {
            pod.gates.push("later".to_owned());
        }
        pod
    }

    pub(super) fn create_pod(&mut self) {
        let names = if self.crowded {
            2 * POD_NAMES
        } else {
            POD_NAMES
        };
        let name = format!("p{}", self.dice.below(names));
        let plain = self.plain_pod();
        // Pods of another scheduler take room as well.
        let scheduler = if self.dice.chance(10) {
            "other"
        } else {
            "berth"
        };
        self.put_pod(&name, scheduler, plain);
    }

    fn put_pod(&mut self, name: &str, scheduler: &str, mut plain: PlainPod) {
        let body = pod_json(name, scheduler, &plain);
        let request = request(Verb::Create, pods(), "").with_body(body);
        // There may be one of this name.
        if let Ok(Some(made)) = self.ask(&request) {
            let uid = text(&made, "/metadata/uid").to_owned();
            self.note(format!(
                "{name} of {scheduler} is created, asks for {:?}, priority {}, uid {uid}",
                plain.containers[0].requests, plain.priority
            ));
            plain.uid.clone_from(&uid);
            self.pod_edited(&uid, plain);
        }
    }

    fn delete_pod(&mut self) {
        if let Some(pod) = self.some_pod(|_| true) {
            let grace = *self.dice.one_of(&[0, 0, 5, 30]);
            self.remove_pod(&pod.name, grace);
        }
    }

    fn remove_pod(&mut self, name: &str, grace: u64) {
        let mut request = request(Verb::Delete, pods(), name);
        request.delete.grace = Some(grace);
        self.ask(&request).unwrap();
        self.note(format!("{name} is deleted with a grace of {grace} s"));
    }

    /// The pod comes back under its name, perhaps as another one.
    fn recreate_pod(&mut self) {
        if let Some(pod) = self.some_pod(|_| true) {
            self.remove_pod(&pod.name, 0);
            let plain = self.plain_pod();
            self.put_pod(&pod.name, "berth", plain);
        }
    }

    fn patch(&mut self, kind: &'static Kind, part: Part, name: &str, body: Value) {
        let request = request(Verb::Patch(PatchType::Merge), kind, name).of(part);
        self.ask(&request.with_body(body)).unwrap();
    }

    fn finish_pod(&mut self) {
        if let Some(pod) = self.some_pod(|pod| pod.running && !pod.node.is_empty()) {
            let phase = *self.dice.one_of(&["Succeeded", "Failed"]);
            let status = json!({ "status": { "phase": phase } });
            self.patch(pods(), Part::Status, &pod.name, status);
            self.note(format!("{} has {phase}", pod.name));
        }
    }

    fn relabel_pod(&mut self) {
        if let Some(pod) = self.some_pod(|_| true) {
            let label = self.dice.below(1000).to_string();
            let labels = json!({ "metadata": { "labels": { "l": label } } });
            self.patch(pods(), Part::Whole, &pod.name, labels);
            self.note(format!("{} is relabelled", pod.name));
        }
    }

    fn tolerate(&mut self) {
        if let Some(pod) = self.some_pod(|pod| pod.node.is_empty()) {
            let mut plain = self.pod_now(&pod.uid).clone();
            plain.tolerations = vec![PlainToleration {
                operator: "Exists".to_owned(),
                ..PlainToleration::default()
            }];
            let spec = json!({ "spec": { "tolerations": tolerations_json(&plain) } });
            self.patch(pods(), Part::Whole, &pod.name, spec);
            self.pod_edited(&pod.uid, plain);
            self.note(format!("{} tolerates everything", pod.name));
        }
    }

    fn ungate(&mut self) {
        if let Some(pod) = self.some_pod(|pod| pod.gated) {
            let mut plain = self.pod_now(&pod.uid).clone();
            plain.gates.clear();
            let spec = json!({ "spec": { "schedulingGates": null } });
            self.patch(pods(), Part::Whole, &pod.name, spec);
            self.pod_edited(&pod.uid, plain);
            self.note(format!("the gates of {} are gone", pod.name));
        }
    }

    /// Another scheduler binds a pod, its own or not, without looking.
    fn bind_elsewhere(&mut self) {
        let names = self.node_names();
        let pod = self.some_pod(|pod| pod.node.is_empty() && pod.running && !pod.gated);
        if let (Some(pod), Some(node)) = (pod, self.dice.maybe_one_of(&names)) {
            let body = json!({ "metadata": { "name": pod.name }, "target": { "name": node } });
            let request = request(Verb::Create, pods(), &pod.name).of(Part::Binding);
            self.ask(&request.with_body(body)).unwrap();
            self.node_burdened(node);
            self.note(format!("another scheduler binds {} to {node}", pod.name));
        }
    }

    /// The server forgets what it was, so that watches end in 410.
    fn compact(&mut self) {
        let kind = *self.dice.one_of(&[pods(), nodes()]);
        let back = self.dice.below(8);
        let version = self.server.version().saturating_sub(back);
        self.server.compact(kind, version);
        self.note(format!("{} up to {version} are forgotten", kind.plural));
    }

    // === Nodes ===

    pub(super) fn create_node(&mut self) {
        let dice = &mut self.dice;
        let name = format!("n{}", dice.below(NODE_NAMES));
        let plain = PlainNode {
            name: name.clone(),
            labels: BTreeMap::from([("zone".to_owned(), (*dice.one_of(&["a", "b"])).to_owned())]),
            unschedulable: dice.chance(5),
            pods: *dice.one_of(&[1, 3, 5, 110]),
            allocatable: BTreeMap::from([
                ("cpu".to_owned(), *dice.one_of(&[1000, 2000, 4000])),
                ("memory".to_owned(), *dice.one_of(&[2 * GIB, 4 * GIB])),
            ]),
            ..PlainNode::default()
        };
        let request = request(Verb::Create, nodes(), "").with_body(node_json(&plain));
        if self.ask(&request).is_ok() {
            self.note(format!(
                "{name} is created with {:?} and {} pods, cordoned: {}",
                plain.allocatable, plain.pods, plain.unschedulable
            ));
            self.node_edited(&name, Some(plain));
        }
    }

    fn edit_node(&mut self) {
        let names = self.node_names();
        let Some(name) = self.dice.maybe_one_of(&names) else {
            return;
        };
        let mut plain = self.node_at(name, u64::MAX).unwrap().clone();
        let dice = &mut self.dice;
        match dice.below(5) {
            0 => plain.unschedulable = !plain.unschedulable,
            1 => {
                let cpu = *dice.one_of(&[500, 1000, 2000, 4000]);
                plain.allocatable.insert("cpu".to_owned(), cpu);
            }
            2 => plain.pods = *dice.one_of(&[1, 2, 5]),
            3 => {
                let zone = *dice.one_of(&["a", "b", "c"]);
                plain.labels.insert("zone".to_owned(), zone.to_owned());
            }
            _ if plain.taints.is_empty() => {
                let effect = *dice.one_of(&["NoSchedule", "NoExecute", "PreferNoSchedule"]);
                let taint = ("flaky".to_owned(), String::new(), effect.to_owned());
                plain.taints.push(taint);
            }
            _ => plain.taints.clear(),
        }
        if Some(&plain) == self.node_at(name, u64::MAX) {
            return;
        }
        let json = node_json(&plain);
        // What only the kubelet writes is another request.
        let part = if json["status"] == node_json(self.node_at(name, u64::MAX).unwrap())["status"] {
            Part::Whole
        } else {
            Part::Status
        };
        self.patch(nodes(), part, name, json);
        self.note(format!("{name} is now {plain:?}"));
        self.node_edited(name, Some(plain));
    }

    fn delete_node(&mut self) {
        let names = self.node_names();
        if let Some(name) = self.dice.maybe_one_of(&names) {
            self.ask(&request(Verb::Delete, nodes(), name)).unwrap();
            self.note(format!("{name} is deleted"));
            self.node_edited(name, None);
        }
    }
}
