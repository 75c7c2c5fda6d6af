//! Random clusters, pods and changes, made so that much of it fits together: few values, few labels.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{Change, NAMESPACES};
use crate::objects::{
    NodeBuilder, PodBuilder, node, pod, preferred_node_affinity, required_node_affinity,
};
use crate::random::Random;

const ZONE: &str = "topology.kubernetes.io/zone";
const HOSTNAME: &str = "kubernetes.io/hostname";
/// What pods can be spread over or be near to each other in.
const TOPOLOGY_KEYS: [&str; 4] = [HOSTNAME, ZONE, ZONE, "rack"];
const ZONES: [&str; 3] = ["a", "b", "c"];
const APPS: [&str; 3] = ["web", "db", "cache"];
const TIERS: [&str; 2] = ["front", "back"];
const IMAGES: [(&str, i64); 3] = [("small:1", 30), ("large:2", 400), ("huge", 2000)];

/// Whether there are services, whose pods are spread by default: Berth does not watch them yet.
const SERVICES: bool = true;
/// The profiles of questions; most are for the first one.
const PROFILES: [&str; 9] = [
    "",
    "added",
    "list",
    "soft-list",
    "hard",
    "weightless",
    "ignoring",
    "packing",
    "ratio",
];

/// A random cluster of nodes and pods, as it is and as it changes.
#[derive(Debug)]
pub struct World {
    random: Random,
    /// Whether nodes have images. Then nodes do not come and go: kube-scheduler keeps counting the nodes that had an
    /// image when it last looked at a node (docs/compatibility.md).
    images: bool,
    /// The ports of nodes that pods have which were put there. None has the same as another, or kube-scheduler would take
    /// it for free when one of them goes (docs/compatibility.md).
    ports: HashSet<(u64, u16)>,
    /// Pods that were asked about are on nodes too, with ports of their own.
    asked: bool,
    nodes: u64,
    pods: u64,
    /// Namespace and name of the pods on nodes.
    running: Vec<(String, String)>,
}

impl World {
    /// Another cluster for each seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            images: random.one_in(2),
            random,
            ports: HashSet::new(),
            asked: false,
            nodes: 0,
            pods: 0,
            running: Vec::new(),
        }
    }

    /// What makes the cluster.
    pub fn build(&mut self) -> Vec<Change> {
        let nodes = 3 + self.random.below(8);
        let mut changes: Vec<Change> = (0..nodes).map(|_| Change::node(self.node())).collect();
        if SERVICES && self.random.one_in(2) {
            let app = self.random.pick(&APPS);
            let service = json!({
                "metadata": {"name": app}, "spec": {"selector": {"app": app}, "ports": [{"port": 80}]},
            });
            let path = "/api/v1/namespaces/default/services".to_owned();
            changes.push(Change::Create(path, service));
        }
        for _ in 0..self.random.below(26) {
            changes.extend(self.running());
        }
        changes
    }

    /// A further node.
    fn node(&mut self) -> NodeBuilder {
        let number = self.nodes;
        self.nodes += 1;
        self.node_numbered(number)
    }

    fn node_numbered(&mut self, number: u64) -> NodeBuilder {
        let random = &mut self.random;
        let mut node = node(&format!("n{number}"))
            .capacity("cpu", &format!("{}m", 1000 + 250 * random.below(30)))
            .capacity("memory", &format!("{}Mi", 2048 + 300 * random.below(60)))
            .capacity("pods", random.pick(&["3", "7", "110", "110", "110"]))
            .label("generation", &random.below(9).to_string());
        if !random.one_in(6) {
            node = node.label(ZONE, random.pick(&ZONES));
        }
        if !random.one_in(3) {
            node = node.label("rack", random.pick(&["x", "y"]));
        }
        if random.one_in(2) {
            node = node.label("disk", random.pick(&["ssd", "hdd"]));
        }
        if random.one_in(2) {
            node = node.label("pool", "batch");
        }
        if random.one_in(3) {
            node = node.capacity("nvidia.com/gpu", random.pick(&["2", "4", "8"]));
        }
        if random.one_in(8) {
            node = node.unschedulable();
        }
        for key in ["gpu", "team", "soft"] {
            if random.one_in(7) {
                let effect = if key == "soft" {
                    "PreferNoSchedule"
                } else {
                    random.pick(&["NoSchedule", "NoExecute"])
                };
                node = node.taint(key, random.pick(&["x", "y"]), effect);
            }
        }
        for (image, megabytes) in IMAGES {
            if random.one_in(2) && self.images {
                node = node.image(image, megabytes << 20);
            }
        }
        node
    }

    /// A further pod on a node, perhaps one that is leaving or has finished.
    fn running(&mut self) -> Vec<Change> {
        let name = format!("r{}", self.pods);
        self.pods += 1;
        let number = self.random.below(self.nodes);
        let on = format!("n{number}");
        let mut pod = self.labelled(&name).on(&on);
        if self.random.one_in(2) {
            pod = pod.request("cpu", &format!("{}m", 50 + 90 * self.random.below(9)));
        }
        let port = self.random.pick(&[8080, 9090]);
        if self.random.one_in(6) && !self.asked && self.ports.insert((number, port)) {
            pod = pod.host_port(port, "TCP");
        }
        for _ in 0..self.random.below(3) {
            pod = self.pod_term(pod);
        }
        let change = Change::pod(pod);
        let Change::Create(collection, _) = &change else {
            return Vec::new();
        };
        let path = format!("{collection}/{name}");
        let mut changes = vec![change.clone()];
        match self.random.below(12) {
            0 => changes.push(Change::Terminate(path)),
            1 => {
                let phase = self.random.pick(&["Succeeded", "Failed"]);
                changes.push(Change::Patch(path, json!({"status": {"phase": phase}})));
            }
            _ => self.running.push((collection.clone(), name)),
        }
        changes
    }

    /// A pod with random labels in a random namespace.
    fn labelled(&mut self, name: &str) -> PodBuilder {
        let random = &mut self.random;
        let mut pod = pod(name).label("app", random.pick(&APPS));
        if random.one_in(2) {
            pod = pod.label("tier", random.pick(&TIERS));
        }
        if random.one_in(2) {
            pod = pod.label("version", random.pick(&["1", "2"]));
        }
        if random.one_in(4) {
            pod = pod.namespace(random.pick(&NAMESPACES));
        }
        pod
    }

    /// A pod to ask about.
    pub fn question(&mut self) -> PodBuilder {
        let mut pod = self.labelled("q");
        pod = self.with_requests(pod);
        pod = self.with_wishes_of_nodes(pod);
        // Many pods that ask for nothing of other pods, many that ask for one thing, and few that ask for all.
        if self.random.one_in(2) {
            for _ in 0..=self.random.below(3) {
                pod = self.pod_term(pod);
            }
        }
        if self.random.one_in(2) {
            let mut keys = vec![HOSTNAME, ZONE, "rack"];
            for _ in 0..=self.random.below(2) {
                let key = keys.swap_remove(self.random.index(keys.len()));
                pod = self.spread(pod, key);
            }
        }
        pod
    }

    /// The profile that is asked.
    pub fn profile(&mut self) -> &'static str {
        if self.random.one_in(3) {
            self.random.pick(&PROFILES)
        } else {
            ""
        }
    }

    fn with_requests(&mut self, mut pod: PodBuilder) -> PodBuilder {
        let random = &mut self.random;
        if random.one_in(2) {
            pod = pod.request("cpu", &format!("{}m", 50 + 137 * random.below(20)));
        }
        if random.one_in(3) {
            pod = pod.request("memory", &format!("{}Mi", 10 + 211 * random.below(20)));
        }
        if random.one_in(10) {
            pod = pod.request("nvidia.com/gpu", random.pick(&["1", "2", "8"]));
        }
        if random.one_in(12) {
            pod = pod.request("ephemeral-storage", random.pick(&["10Gi", "200Gi"]));
        }
        if random.one_in(10) {
            pod = pod.init(random.one_in(2), "cpu", random.pick(&["300m", "4"]));
        }
        if random.one_in(12) {
            pod = pod
                .spec("runtimeClassName", json!("heavy"))
                .spec("overhead", json!({"cpu": "1"}));
        }
        if random.one_in(8) {
            pod = pod.host_port(random.pick(&[8080, 9090]), random.pick(&["TCP", "UDP"]));
        }
        if random.one_in(3) {
            let (image, _) = random.pick(&IMAGES);
            pod = pod.image(image);
        }
        if random.one_in(20) {
            pod = pod.priority_class("patient");
        }
        pod
    }

    fn with_wishes_of_nodes(&mut self, mut pod: PodBuilder) -> PodBuilder {
        let random = &mut self.random;
        if random.one_in(8) {
            pod = pod.selector("disk", random.pick(&["ssd", "hdd", "tape"]));
        }
        if random.one_in(4) {
            let zones = [random.pick(&ZONES)];
            pod = pod.affinity(match random.below(6) {
                0 => required_node_affinity(&[(ZONE, "In", &zones)]),
                1 => {
                    required_node_affinity(&[(ZONE, "NotIn", &zones), ("generation", "Gt", &["3"])])
                }
                2 => {
                    required_node_affinity(&[("disk", "Exists", &[]), ("generation", "Lt", &["7"])])
                }
                3 => required_node_affinity(&[("disk", "DoesNotExist", &[])]),
                4 => {
                    let name = format!("n{}", random.below(self.nodes));
                    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchFields": [
                            {"key": "metadata.name", "operator": "In", "values": [name]},
                        ]}],
                    }}})
                }
                _ => preferred_node_affinity(60, ZONE, zones[0]),
            });
        }
        for key in ["gpu", "team", "soft"] {
            if random.one_in(4) {
                pod = pod.toleration(match random.below(3) {
                    0 => json!({"key": key, "operator": "Exists"}),
                    1 => json!({"key": key, "operator": "Equal", "value": "x"}),
                    _ => json!({"key": key, "operator": "Equal", "value": "y", "effect": "NoSchedule"}),
                });
            }
        }
        if random.one_in(12) {
            pod = pod.toleration(json!({"operator": "Exists"}));
        }
        pod
    }

    /// Adds a random term of pod affinity or anti-affinity, required or preferred.
    fn pod_term(&mut self, pod: PodBuilder) -> PodBuilder {
        let kind = self.random.pick(&["podAffinity", "podAntiAffinity"]);
        let key = self.random.pick(&TOPOLOGY_KEYS);
        let mut term = Map::from_iter([("topologyKey".to_owned(), json!(key))]);
        let selector = self.selector();
        if selector.is_object() && self.random.one_in(4) {
            let field = self.random.pick(&["matchLabelKeys", "mismatchLabelKeys"]);
            term.insert(
                field.to_owned(),
                json!([self.random.pick(&["version", "stage"])]),
            );
        }
        term.insert("labelSelector".to_owned(), selector);
        if self.random.one_in(4) {
            let namespaces = [&["default"][..], &["blue"], &["blue", "green"]];
            term.insert(
                "namespaces".to_owned(),
                json!(self.random.pick(&namespaces)),
            );
        }
        if self.random.one_in(4) {
            let selector = match self.random.below(3) {
                0 => json!({}),
                1 => json!({"matchLabels": {"team": "blue"}}),
                _ => json!({"matchExpressions": [{"key": "extra", "operator": "Exists"}]}),
            };
            term.insert("namespaceSelector".to_owned(), selector);
        }
        let term = Value::Object(term);
        if self.random.one_in(2) {
            pod.affinity_term(kind, "requiredDuringSchedulingIgnoredDuringExecution", term)
        } else {
            let term = json!({"weight": 1 + self.random.below(100), "podAffinityTerm": term});
            pod.affinity_term(
                kind,
                "preferredDuringSchedulingIgnoredDuringExecution",
                term,
            )
        }
    }

    /// A selector of pods; none at all is one too.
    fn selector(&mut self) -> Value {
        let random = &mut self.random;
        let app = random.pick(&APPS);
        match random.below(9) {
            0 => json!({}),
            1 => Value::Null,
            2 => {
                json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": [app]}]})
            }
            3 => json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}),
            4 => json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}),
            5 => json!({"matchLabels": {"app": app, "tier": random.pick(&TIERS)}}),
            6 => {
                json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", app]}]})
            }
            _ => json!({"matchLabels": {"app": app}}),
        }
    }

    fn spread(&mut self, pod: PodBuilder, key: &str) -> PodBuilder {
        let hard = self.random.one_in(2);
        let selector = self.selector();
        let mut constraint = json!({
            "maxSkew": 1 + self.random.below(3),
            "topologyKey": key,
            "whenUnsatisfiable": if hard { "DoNotSchedule" } else { "ScheduleAnyway" },
        });
        if selector.is_object() && self.random.one_in(4) {
            constraint["matchLabelKeys"] = json!([self.random.pick(&["version", "stage"])]);
        }
        constraint["labelSelector"] = selector;
        if hard && self.random.one_in(3) {
            constraint["minDomains"] = json!(1 + self.random.below(4));
        }
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if self.random.one_in(3) {
                constraint[policy] = json!(self.random.pick(&["Honor", "Ignore"]));
            }
        }
        pod.spread(constraint)
    }

    /// A pod of this collection is there from now on.
    pub fn keep(&mut self, collection: &str, name: &str) {
        self.asked = true;
        self.running.push((collection.to_owned(), name.to_owned()));
    }

    /// Something that changes.
    pub fn change(&mut self) -> Vec<Change> {
        let number = self.random.below(self.nodes);
        let name = format!("n{number}");
        let random = &mut self.random;
        match random.below(12) {
            0 => {
                let cordon = random.one_in(2).then_some(true);
                vec![Change::patch_node(
                    &name,
                    json!({"spec": {"unschedulable": cordon}}),
                )]
            }
            1 => {
                let labels = json!({
                    "disk": random.pick(&[Some("ssd"), Some("hdd"), None]),
                    "rack": random.pick(&[Some("x"), Some("y"), Some("z"), None]),
                    ZONE: random.pick(&[Some("a"), Some("b"), Some("c"), None]),
                    HOSTNAME: (!random.one_in(6)).then_some(&name),
                });
                vec![Change::patch_node(
                    &name,
                    json!({"metadata": {"labels": labels}}),
                )]
            }
            2 => {
                let effect = random.pick(&["NoSchedule", "PreferNoSchedule"]);
                let taints = random
                    .one_in(2)
                    .then(|| json!([{"key": "gpu", "value": "x", "effect": effect}]));
                vec![Change::patch_node(
                    &name,
                    json!({"spec": {"taints": taints}}),
                )]
            }
            3 => {
                let allocatable = json!({
                    "cpu": format!("{}m", 500 + 250 * random.below(40)),
                    "nvidia.com/gpu": random.pick(&[None, Some("4"), Some("8")]),
                });
                let status = json!({"allocatable": allocatable, "capacity": allocatable});
                vec![Change::patch_node(&name, json!({"status": status}))]
            }
            // Pods on it stay, and are on the node that comes.
            4 | 5 if self.images => Vec::new(),
            4 => {
                let node = self.node_numbered(number);
                vec![Change::delete_node(&name), Change::node(node)]
            }
            5 => vec![Change::node(self.node())],
            6 => self.running(),
            7 => {
                let team = random.pick(&NAMESPACES);
                let extra = random.one_in(2).then_some("yes");
                let labels = json!({"extra": extra});
                vec![Change::label_namespace(team, labels)]
            }
            kind => {
                if self.running.is_empty() {
                    return Vec::new();
                }
                let index = random.index(self.running.len());
                let (collection, name) = self.running[index].clone();
                let path = format!("{collection}/{name}");
                if kind == 8 {
                    let labels = json!({
                        "app": random.pick(&APPS), "tier": random.pick(&[None, Some("front"), Some("back")]),
                    });
                    return vec![Change::Patch(path, json!({"metadata": {"labels": labels}}))];
                }
                self.running.swap_remove(index);
                vec![match kind {
                    9 => Change::Terminate(path),
                    10 => Change::Patch(path, json!({"status": {"phase": "Failed"}})),
                    _ => Change::Delete(path),
                }]
            }
        }
    }

    /// Whether something happens that does so once in so many times.
    pub fn one_in(&mut self, bound: u64) -> bool {
        self.random.one_in(bound)
    }
}
