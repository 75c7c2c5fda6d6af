//! A cluster with volumes, told as the API server would, and what a plugin says of a pod in it.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cluster::{Cluster, PlacedRecord};
use crate::framework::{
    AssignedPod, ClusterEvent, Diagnosis, Evaluation, EventKind, Incoming, Plugin, Profile, Topic,
};
use crate::model::{CompiledPod, NodeModel, PersistentVolume, PodShape, StorageClass, VolumeClaim};

fn read<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

/// A node with these labels.
pub(crate) fn node(name: &str, labels: Value) -> NodeModel {
    let value = json!({ "metadata": { "name": name, "labels": labels } });
    NodeModel::compile(&read(&value)).unwrap()
}

/// A claim that is bound to a volume.
pub(crate) fn bound(volume: &str) -> Value {
    json!({
        "metadata": { "annotations": { "pv.kubernetes.io/bind-completed": "yes" } },
        "spec": { "volumeName": volume },
    })
}

/// A volume that can be reached from nodes with this label.
pub(crate) fn near(key: &str, values: &[&str]) -> Value {
    json!({ "spec": { "nodeAffinity": { "required": { "nodeSelectorTerms": [{
        "matchExpressions": [{ "key": key, "operator": "In", "values": values }],
    }] } } } })
}

/// The volume of a pod that is this claim.
pub(crate) fn named(claim: &str) -> Value {
    json!({ "name": claim, "persistentVolumeClaim": { "claimName": claim } })
}

/// The volume of a pod for which a claim is made.
pub(crate) fn made(name: &str) -> Value {
    json!({ "name": name, "ephemeral": {} })
}

/// A pod of the namespace `ns` with these volumes, placed if the node has a name.
pub(crate) fn pod(name: &str, node: &str, volumes: &[Value]) -> CompiledPod {
    let value = json!({
        "metadata": { "name": name, "namespace": "ns", "uid": format!("uid-of-{name}") },
        "spec": { "nodeName": node, "volumes": volumes },
    });
    CompiledPod::compile(&read(&value)).unwrap()
}

/// What plugins see of a pod `p` with these volumes.
pub(crate) fn asking(volumes: &[Value]) -> PodShape {
    pod("p", "", volumes).waiting.unwrap().shape
}

/// A cluster; claims are in the namespace `ns`.
#[derive(Default)]
pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
}

impl Scene {
    pub(crate) fn node(&mut self, name: &str, labels: Value) -> &mut Self {
        self.cluster.upsert_node(node(name, labels));
        self
    }

    pub(crate) fn claim(&mut self, name: &str, value: &Value) -> &mut Self {
        let claim = VolumeClaim::compile(&read(value));
        self.cluster.set_claim("ns", name, Some(claim));
        self
    }

    pub(crate) fn volume(&mut self, name: &str, value: &Value) -> &mut Self {
        let volume = PersistentVolume::compile(&read(value));
        self.cluster.set_volume(name, Some(volume));
        self
    }

    pub(crate) fn class(&mut self, name: &str, mode: &str) -> &mut Self {
        let class = json!({ "volumeBindingMode": mode });
        let class = StorageClass::compile(&read(&class));
        self.cluster.set_storage_class(name, Some(class));
        self
    }

    pub(crate) fn placed(&mut self, name: &str, node: &str, volumes: &[Value]) -> &mut Self {
        self.cluster.confirm(&pod(name, node, volumes));
        self
    }

    pub(crate) fn gone(&mut self, name: &str) -> PlacedRecord {
        let uid = format!("uid-of-{name}");
        let id = self.cluster.placed_by_uid(&uid).unwrap();
        self.cluster.remove(id).unwrap()
    }

    /// `skip`, `refused: ` and why, or what is said of each node; `!` where no pod that goes helps.
    pub(crate) fn answer(&self, plugin: impl Plugin + 'static, pod: &PodShape) -> String {
        let profile = Profile::new("berth", [(Arc::new(plugin) as Arc<dyn Plugin>, 0)]);
        let mut evaluation = Evaluation::default();
        evaluation.filter(&profile, pod, &self.cluster);
        if let Some(rejection) = evaluation.rejection() {
            return format!("refused: {}", rejection.message);
        }
        if !evaluation.skipped().is_empty() {
            return "skip".to_owned();
        }
        let nodes = self.cluster.nodes().iter().map(|node| {
            let reasons: Vec<_> = (evaluation.reasons_for(node))
                .map(|reason| reason.text())
                .collect();
            // Asked about it alone the answer is the same.
            let mut why = Diagnosis::default();
            let skipped = evaluation.skipped();
            let fits = profile.fits(pod.into(), &self.cluster, node, skipped, &mut why);
            assert!(
                why.reasons_for(node)
                    .map(|one| one.text())
                    .eq(reasons.iter().cloned())
            );
            assert_eq!(fits, evaluation.feasible().contains(node));
            assert_eq!(fits, reasons.is_empty());
            let name = self.cluster.node_name(node);
            let hopeless = if evaluation.is_unresolvable(node) {
                "!"
            } else {
                ""
            };
            match reasons.as_slice() {
                [] => name.to_owned(),
                reasons => format!("{name}: {}{hopeless}", reasons.join(" and ")),
            }
        });
        nodes.collect::<Vec<_>>().join(", ")
    }

    /// Whether the event helps the pod. Who is helped listens.
    pub(crate) fn hint(
        &self,
        plugin: &dyn Plugin,
        event: &ClusterEvent<'_>,
        pod: &PodShape,
    ) -> bool {
        let pod = Incoming::from(pod);
        let listens = {
            let own = plugin.topics(pod, &self.cluster);
            let about = Topic::of(event, &self.cluster);
            about.iter().any(|topic| own.contains(topic))
        };
        assert!(plugin.events().contains(event.kind()), "{event:?}");
        let helps = plugin.hint(event, pod, &self.cluster);
        assert!(listens || !helps, "deaf to {event:?}");
        helps
    }

    /// The same when the claim of this name came or changed.
    pub(crate) fn claim_helps(
        &self,
        plugin: &dyn Plugin,
        at: (&str, &str),
        pod: &PodShape,
    ) -> bool {
        let kinds = [EventKind::ClaimAdd, EventKind::ClaimUpdate];
        let heard = kinds
            .into_iter()
            .filter(|kind| plugin.events().contains(*kind));
        let answers: Vec<_> = heard
            .map(|kind| self.hint(plugin, &ClusterEvent::Claim(kind, at.0, at.1), pod))
            .collect();
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
        answers[0]
    }

    /// The same when the volume of this name came, or was another one before.
    pub(crate) fn volume_helps(
        &self,
        plugin: &dyn Plugin,
        (name, old): (&str, Option<&Value>),
        pod: &PodShape,
    ) -> bool {
        let old = old.map(|old| PersistentVolume::compile(&read(old)));
        let new = self.cluster.volume(name);
        self.hint(plugin, &ClusterEvent::Volume(name, old.as_ref(), new), pod)
    }

    /// The same when a pod went.
    pub(crate) fn leaving_helps(
        &self,
        plugin: &dyn Plugin,
        gone: &CompiledPod,
        pod: &PodShape,
    ) -> bool {
        let mut cluster = self.cluster.clone();
        let peers = cluster.adopt(&gone.peers);
        let node = cluster.nodes().iter().next().unwrap();
        let gone = AssignedPod {
            pod: &gone.placed,
            peers,
            node,
        };
        let scene = Self { cluster };
        scene.hint(plugin, &ClusterEvent::AssignedPodDelete(gone), pod)
    }
}

impl Cluster {
    fn volume(&self, name: &str) -> &PersistentVolume {
        self.volumes().volume(name).unwrap()
    }
}
