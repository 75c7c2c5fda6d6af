//! Clusters with pods to place, such that it is certain where each pod goes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use e2e::objects::{
    NodeBuilder, PodBuilder, bound_claim, node, pod, preferred_node_affinity,
    required_node_affinity, unbound_claim, volume,
};
use e2e::random::{Random, random_node, random_pod};
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::world::simulate;

/// The schedulerName for which the demonstration runs.
pub const NAME: &str = "berth";

/// Between equal nodes a scheduler chooses by the pod's uid, which is another one each time. Under so many uids a pod
/// has to go to the same node to show that no other is as good; two equal nodes would pass for one in 2^15 cases.
const UIDS: usize = 16;

/// What there is when the scheduler comes to see it.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    pub classes: Vec<Value>,
    /// Storage classes, volumes and claims, each with the path of its collection.
    pub storage: Vec<(&'static str, Value)>,
    pub nodes: Vec<Value>,
    /// Pods that are on their nodes.
    pub placed: Vec<Value>,
    /// Pods to place. Their names are in the order in which they stand here, which is the one in which a scheduler that
    /// starts gets to see them.
    pub waiting: Vec<Value>,
}

impl Scene {
    fn node(&mut self, node: NodeBuilder) -> Result<()> {
        self.nodes.push(serde_json::to_value(node.build()?)?);
        Ok(())
    }

    fn place(&mut self, pod: PodBuilder, node: &str) -> Result<()> {
        let pod = pod.scheduler("other").spec("nodeName", json!(node));
        self.placed.push(serde_json::to_value(pod.build()?)?);
        Ok(())
    }

    fn wait(&mut self, pod: PodBuilder) -> Result<()> {
        let name = format!("p{:02}", self.waiting.len());
        let pod = pod.scheduler(NAME).named(&name);
        self.waiting.push(serde_json::to_value(pod.build()?)?);
        Ok(())
    }

    fn class(&mut self, name: &str, value: i32, preemption_policy: &str) {
        self.classes.push(json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
            "value": value, "preemptionPolicy": preemption_policy,
        }));
    }

    /// All objects, for a simulation.
    pub fn objects(&self) -> Vec<Value> {
        let lists = [&self.classes, &self.nodes, &self.placed, &self.waiting];
        let storage = self.storage.iter().map(|(_, object)| object);
        (lists.into_iter().flatten().chain(storage))
            .cloned()
            .collect()
    }

    /// Leaves out pods for which several nodes are equally good, since any of them would be right.
    async fn without_ties(mut self) -> Result<Self> {
        loop {
            let answers = (0..UIDS).map(|number| {
                let mut objects = self.objects();
                for object in &mut objects {
                    if object["kind"] == "Pod" || object["kind"] == "PersistentVolumeClaim" {
                        object["metadata"]["namespace"] = json!(format!("n{number}"));
                    }
                }
                tokio::task::spawn_blocking(move || simulate(&objects))
            });
            let mut nodes: BTreeMap<String, BTreeSet<Option<String>>> = BTreeMap::new();
            for answer in try_join_all(answers).await? {
                for pod in answer?["pods"].as_array().context("no pods")? {
                    let name = pod["name"].as_str().context("no name")?.to_owned();
                    let node = pod["node"].as_str().map(str::to_owned);
                    nodes.entry(name).or_default().insert(node);
                }
            }
            let before = self.waiting.len();
            self.waiting.retain(|pod| {
                let name = pod["metadata"]["name"].as_str().unwrap_or_default();
                nodes.get(name).is_some_and(|nodes| nodes.len() == 1)
            });
            if self.waiting.len() == before {
                return Ok(self);
            }
        }
    }
}

/// Random nodes and pods.
pub async fn random(seed: u64) -> Result<Scene> {
    let mut random = Random::new(seed);
    let mut scene = Scene::default();
    scene.class("high", 1000, "PreemptLowerPriority");
    scene.class("polite", 10, "Never");
    for number in 0..3 + random.below(10) {
        scene.node(random_node(&mut random, number))?;
    }
    for number in 0..random.below(6) {
        let node = format!("n{}", random.below(scene.nodes.len() as u64));
        // Nobody gives way to anybody, whatever the priority.
        let pod = random_pod(&mut random).priority_class("high");
        scene.place(pod.named(&format!("placed-{number}")), &node)?;
    }
    for _ in 0..24 {
        let mut pod = random_pod(&mut random);
        pod = match random.below(6) {
            0 => pod.priority_class("high"),
            1 => pod.priority_class("polite"),
            _ => pod,
        };
        if random.one_in(12) {
            pod = pod.gate("wait");
        }
        scene.wait(pod)?;
    }
    scene.without_ties().await
}

/// A cluster without a node.
pub fn empty() -> Result<Scene> {
    let mut scene = Scene::default();
    scene.wait(pod("plain"))?;
    scene.wait(pod("gated").gate("wait"))?;
    Ok(scene)
}

/// A cluster in which every plugin has something to say, and in which pods wait for every kind of reason.
pub async fn rich() -> Result<Scene> {
    let mut scene = Scene::default();
    scene.class("high", 1000, "PreemptLowerPriority");
    scene.class("polite", 10, "Never");
    for node in [
        node("large")
            .capacity("cpu", "16")
            .capacity("memory", "64Gi"),
        node("small").capacity("cpu", "2").label("disk", "ssd"),
        node("gpu")
            .capacity("cpu", "8")
            .capacity("example.com/gpu", "4")
            .taint("gpu", "", "NoSchedule"),
        node("avoided")
            .capacity("cpu", "9")
            .label("disk", "hdd")
            .label("generation", "5")
            .taint("old", "", "PreferNoSchedule"),
        node("images")
            .capacity("cpu", "5")
            .image("training:1", 900 << 20),
        node("full").capacity("pods", "1").label("disk", "full"),
        node("closed").unschedulable(),
        node("leaving")
            .capacity("cpu", "3")
            .capacity("memory", "30Gi")
            .taint("leaving", "", "NoExecute"),
    ] {
        scene.node(node)?;
    }
    scene.place(
        pod("running").request("cpu", "1").request("memory", "8Gi"),
        "gpu",
    )?;
    scene.place(pod("filling").host_port(9090, "TCP"), "full")?;
    scene.place(pod("serving").host_port(9090, "TCP"), "small")?;
    scene.storage = storage();
    for pod in placeable().into_iter().chain(refused()) {
        scene.wait(pod)?;
    }
    let certain = scene.clone().without_ties().await?.waiting;
    let tied: Vec<_> = (scene.waiting.iter())
        .filter(|pod| !certain.contains(pod))
        .collect();
    ensure!(tied.is_empty(), "several nodes are equally good: {tied:#?}");
    Ok(scene)
}

fn tolerant() -> PodBuilder {
    pod("p").toleration(json!({"key": "gpu", "operator": "Exists"}))
}

fn main_container(resources: &Value) -> Value {
    json!([{"name": "main", "image": "pause", "resources": resources}])
}

/// Claims of all sorts.
fn storage() -> Vec<(&'static str, Value)> {
    const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";
    const VOLUMES: &str = "/api/v1/persistentvolumes";
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "waits"},
        "provisioner": "disks.example", "volumeBindingMode": "WaitForFirstConsumer",
    });
    let mode = "ReadWriteMany";
    vec![
        ("/apis/storage.k8s.io/v1/storageclasses", class),
        (VOLUMES, volume("on-hdd", &[("disk", "In", &["hdd"])])),
        (VOLUMES, volume("on-tape", &[("disk", "In", &["tape"])])),
        (CLAIMS, bound_claim("near", "on-hdd", mode)),
        (CLAIMS, bound_claim("elsewhere", "on-tape", mode)),
        (CLAIMS, bound_claim("torn", "gone", mode)),
        (CLAIMS, unbound_claim("unbound", "", mode)),
        (CLAIMS, unbound_claim("waiting", "waits", mode)),
    ]
}

/// Pods that find a place.
fn placeable() -> Vec<PodBuilder> {
    let limits = main_container(&json!({"limits": {"cpu": "1", "memory": "2Gi"}}));
    vec![
        pod("p").request("cpu", "500m").request("memory", "1Gi"),
        pod("p"),
        tolerant()
            .request("cpu", "2")
            .request("example.com/gpu", "3"),
        pod("p").spec("containers", limits),
        pod("p").spec(
            "resources",
            json!({"limits": {"cpu": "1", "memory": "1Gi"}}),
        ),
        pod("p")
            .request("cpu", "200m")
            .init(true, "cpu", "300m")
            .init(false, "memory", "3Gi"),
        pod("p")
            .request("cpu", "1")
            .affinity(preferred_node_affinity(100, "disk", "ssd")),
        pod("p")
            .request("cpu", "1")
            .affinity(required_node_affinity(&[
                ("disk", "Exists", &[]),
                ("generation", "Gt", &["3"]),
            ])),
        pod("p").selector("disk", "hdd").request("cpu", "100m"),
        pod("p").image("training:1").request("cpu", "100m"),
        pod("p").priority_class("high").request("cpu", "6"),
        pod("p").priority_class("polite").request("memory", "20Gi"),
        pod("p").host_port(8080, "TCP").selector("disk", "ssd"),
        pod("p")
            .toleration(json!({"operator": "Exists"}))
            .request("memory", "9Gi"),
        pod("p").request("ephemeral-storage", "10Gi"),
        pod("p").claim("near"),
    ]
}

/// Pods that wait. Nobody of lower priority is in their way.
fn refused() -> Vec<PodBuilder> {
    let term = json!({"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "kubernetes.io/hostname"});
    let required =
        |kind: &str| json!({kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
    let named = |names: &[&str]| {
        let fields: Vec<_> = names
            .iter()
            .map(|name| json!({"key": "metadata.name", "operator": "In", "values": [name]}))
            .collect();
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchFields": fields}],
        }}})
    };
    let spread = json!([{
        "maxSkew": 1, "topologyKey": "no-node-has-it", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "x"}},
    }]);
    // A pod runs there, and any pod is one too many.
    let alone_on = |node: &str| {
        let mut affinity = named(&[node]);
        affinity["podAntiAffinity"] = json!({"requiredDuringSchedulingIgnoredDuringExecution": [
            {"labelSelector": {}, "topologyKey": "kubernetes.io/hostname"},
        ]});
        affinity
    };
    let disk = json!([{"name": "data", "iscsi": {
        "targetPortal": "10.0.0.1:3260", "iqn": "iqn.2026-01.example:disk", "lun": 0,
    }}]);
    vec![
        pod("p").request("cpu", "64"),
        pod("p").request("memory", "900Gi").request("cpu", "100m"),
        pod("p").request("ephemeral-storage", "1Ti"),
        pod("p").request("example.com/gpu", "1"),
        tolerant().request("example.com/gpu", "2"),
        pod("p").priority_class("polite").request("cpu", "64"),
        pod("p").selector("disk", "tape"),
        pod("p").selector("disk", "full"),
        pod("p").selector("disk", "ssd").host_port(9090, "TCP"),
        pod("p").affinity(required_node_affinity(&[("disk", "In", &["tape"])])),
        pod("p").affinity(named(&["large"])).request("cpu", "64"),
        pod("p").affinity(named(&["gone"])),
        pod("p").affinity(named(&["large", "small"])),
        pod("p").affinity(required("podAffinity")),
        tolerant().affinity(alone_on("gpu")),
        pod("p").spec("topologySpreadConstraints", spread),
        pod("p").claim("absent"),
        pod("p").claim("unbound"),
        pod("p").claim("waiting"),
        pod("p").claim("elsewhere"),
        pod("p").claim("torn"),
        pod("p").spec("volumes", disk),
        pod("p").spec(
            "resourceClaims",
            json!([{"name": "gpu", "resourceClaimName": "gpu"}]),
        ),
        (0..40).fold(pod("p"), |pod, number| {
            pod.request(&format!("example.com/device-{number:02}"), "1")
        }),
        pod("p").gate("wait"),
    ]
}
