//! The objects of the files, decoded and checked.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Input;
use super::admission::{
    Asked, AskedClass, AskedController, Classes, Wrong, admit, admit_controller, admit_group,
    admit_namespace, check_amounts,
};
use super::budgets::{self, AskedBudget};
use super::documents::{Kind, Raw, Undecoded, each};
use super::problems::{Place, Problems};
use crate::api;
use crate::model::{CompileError, CompiledPod, Dialect, NodeModel};

/// What there is to simulate, each kind in the order of the files.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) nodes: Vec<api::Node>,
    pub(super) pods: Vec<api::Pod>,
    /// Those of the files, and those in which there are pods.
    pub(super) namespaces: Vec<api::Namespace>,
    pub(super) services: Vec<api::Service>,
    pub(super) replication_controllers: Vec<api::ReplicationController>,
    pub(super) replica_sets: Vec<api::ReplicaSet>,
    pub(super) stateful_sets: Vec<api::StatefulSet>,
    pub(super) claims: Vec<api::PersistentVolumeClaim>,
    pub(super) volumes: Vec<api::PersistentVolume>,
    pub(super) storage_classes: Vec<api::StorageClass>,
    pub(super) priority_classes: Vec<api::PriorityClass>,
    pub(super) budgets: Vec<api::PodDisruptionBudget>,
    /// With the API and its version.
    pub(super) pod_groups: Vec<(Dialect, &'static str, api::PodGroup)>,
    /// How many there were of other kinds.
    pub(super) skipped: BTreeMap<String, usize>,
    /// How many pods had finished.
    pub(super) finished: usize,
}

#[derive(Debug, Default)]
struct Reader {
    objects: Objects,
    pods: Vec<(Place, api::Pod, Asked)>,
    /// The places of the pod groups.
    groups: Vec<Place>,
    /// What the budgets ask for.
    budgets: Vec<AskedBudget>,
    classes: Classes,
    /// Where each object was first seen, by kind, namespace and name.
    seen: HashMap<(&'static str, Box<str>, Box<str>), Place>,
}

/// Reads all inputs.
pub(super) fn read(inputs: &[Input], problems: &mut Problems) -> Objects {
    let mut reader = Reader::default();
    for input in inputs {
        each(input, problems, &mut |place, kind, raw, problems| {
            reader.object(place, kind, raw, problems);
        });
    }
    reader.finish(problems)
}

impl Objects {
    /// A pod cannot be in a namespace that does not exist.
    fn add_namespaces(&mut self) {
        let known: HashSet<&str> = (self.namespaces.iter())
            .map(|namespace| &*namespace.metadata.name)
            .collect();
        let missing: BTreeSet<Box<str>> = (self.pods.iter())
            .map(|pod| &pod.metadata.namespace)
            .filter(|name| !known.contains(&***name))
            .cloned()
            .collect();
        for name in missing {
            let mut namespace = api::Namespace::default();
            namespace.metadata.name = name;
            admit_namespace(&mut namespace);
            self.namespaces.push(namespace);
        }
    }
}

impl Reader {
    fn object(&mut self, place: &Place, kind: &Kind, raw: Raw<'_>, problems: &mut Problems) {
        let (group, version) =
            (kind.api_version.rsplit_once('/')).unwrap_or(("", &kind.api_version));
        let read = match (group, kind.kind.as_str()) {
            ("", "Pod") => self.pod(place, raw),
            ("", "Node") => self.node(place, raw),
            ("", "Namespace") => self.namespace(place, raw),
            ("", "Service") => self.service(place, raw),
            ("", "ReplicationController") => self.replication_controller(place, raw),
            ("apps", "ReplicaSet") => self.replica_set(place, raw),
            ("apps", "StatefulSet") => self.stateful_set(place, raw),
            ("", "PersistentVolumeClaim") => self.claim(place, raw),
            ("", "PersistentVolume") => self.volume(place, raw),
            ("storage.k8s.io", "StorageClass") => self.storage_class(place, raw),
            ("scheduling.k8s.io", "PriorityClass") => self.priority_class(place, raw),
            ("policy", "PodDisruptionBudget") => self.budget(place, raw),
            ("scheduling.k8s.io", "PodGroup") => {
                self.pod_group((Dialect::Kubernetes, version), place, raw)
            }
            ("scheduling.x-k8s.io", "PodGroup") => {
                self.pod_group((Dialect::SchedulerPlugins, version), place, raw)
            }
            ("scheduling.volcano.sh", "PodGroup") => {
                self.pod_group((Dialect::Volcano, version), place, raw)
            }
            _ => {
                *self.objects.skipped.entry(kind.kind.clone()).or_default() += 1;
                Ok(())
            }
        };
        if let Err((path, reason)) = read {
            problems.at(place, &path, reason);
        }
    }

    fn node(&mut self, place: &Place, raw: Raw<'_>) -> Result<(), Wrong> {
        let mut node: api::Node = decode(raw)?;
        self.name("Node", &node.metadata, place)?;
        check_amounts("status.allocatable", &node.status.allocatable)?;
        NodeModel::compile(&node).map_err(uncompiled)?;
        // Versions of different dumps cannot be compared, and manifests have none.
        node.metadata.uid = node.metadata.name.clone();
        node.metadata.resource_version = Box::default();
        self.objects.nodes.push(node);
        Ok(())
    }

    fn namespace(&mut self, place: &Place, raw: Raw<'_>) -> Result<(), Wrong> {
        let mut namespace: api::Namespace = decode(raw)?;
        self.name("Namespace", &namespace.metadata, place)?;
        admit_namespace(&mut namespace);
        self.objects.namespaces.push(namespace);
        Ok(())
    }

    fn service(&mut self, place: &Place, raw: Raw<'_>) -> Result<(), Wrong> {
        let mut service: api::Service = decode(raw)?;
        self.name_within("Service", &mut service.metadata, place)?;
        self.objects.services.push(service);
        Ok(())
    }

    fn replication_controller(&mut self, place: &Place, raw: Raw<'_>) -> Result<(), Wrong> {
        let mut controller: api::ReplicationController = decode(raw)?;
        self.name_within("ReplicationController", &mut controller.metadata, place)?;
        admit_controller(&mut controller, decode::<AskedController>(raw)?);
        self.objects.replication_controllers.push(controller);
        Ok(())
    }

    fn replica_set(&mut self, place: &Place, raw: Raw<'_>) -> Result<(), Wrong> {
        let mut set: api::ReplicaSet = decode(raw)?;
        self.name_within("ReplicaSet", &mut set.metadata, place)?;
        self.objects.replica_sets.push(set);
        Ok(())
    }

    fn stateful_set(&mut self, place: &Place, raw: Raw<'_>) -> Result<(), Wrong> {
        let mut set: api::StatefulSet = decode(raw)?;
        self.name_within("StatefulSet", &mut set.metadata, place)?;
        self.objects.stateful_sets.push(set);
        Ok(())
    }

    fn claim(&mut self, place: &Place, raw: Raw<'_>) -> Result<(), Wrong> {
        let mut claim: api::PersistentVolumeClaim = decode(raw)?;
        self.name_within("PersistentVolumeClaim", &mut claim.metadata, place)?;
        let namespace = claim.metadata.namespace.clone();
        for owner in &mut claim.metadata.owner_references {
            if &*owner.kind == "Pod" {
                owner.uid = uid_of_pod(&namespace, &owner.name);
            }
        }
        self.objects.claims.push(claim);
        Ok(())
    }

    fn volume(&mut self, place: &Place, raw: Raw<'_>) -> Result<(), Wrong> {
        let volume: api::PersistentVolume = decode(raw)?;
        self.name("PersistentVolume", &volume.metadata, place)?;
        self.objects.volumes.push(volume);
        Ok(())
    }

    fn storage_class(&mut self, place: &Place, raw: Raw<'_>) -> Result<(), Wrong> {
        let class: api::StorageClass = decode(raw)?;
        self.name("StorageClass", &class.metadata, place)?;
        self.objects.storage_classes.push(class);
        Ok(())
    }

    fn priority_class(&mut self, place: &Place, raw: Raw<'_>) -> Result<(), Wrong> {
        let class: api::PriorityClass = decode(raw)?;
        self.name("PriorityClass", &class.metadata, place)?;
        self.classes.add(&class, decode::<AskedClass>(raw)?);
        self.objects.priority_classes.push(class);
        Ok(())
    }

    fn budget(&mut self, place: &Place, raw: Raw<'_>) -> Result<(), Wrong> {
        let mut budget: api::PodDisruptionBudget = decode(raw)?;
        let asked: AskedBudget = decode(raw)?;
        self.name_within("PodDisruptionBudget", &mut budget.metadata, place)?;
        asked.check()?;
        budget.metadata.resource_version = Box::default();
        self.objects.budgets.push(budget);
        self.budgets.push(asked);
        Ok(())
    }

    fn pod_group(
        &mut self,
        (dialect, version): (Dialect, &str),
        place: &Place,
        raw: Raw<'_>,
    ) -> Result<(), Wrong> {
        // The same name in two APIs is that of two groups.
        let kind = match dialect {
            Dialect::SchedulerPlugins => "PodGroup.scheduling.x-k8s.io",
            Dialect::Volcano => "PodGroup.scheduling.volcano.sh",
            _ => "PodGroup.scheduling.k8s.io",
        };
        let known = dialect.versions();
        let Some(version) = known.iter().find(|known| **known == version) else {
            let known = known.join(", ");
            let reason = format!("{version:?} of {kind} is not known; known are {known}");
            return Err(("apiVersion".to_owned(), reason));
        };
        let mut group: api::PodGroup = decode(raw)?;
        self.name_within(kind, &mut group.metadata, place)?;
        group.metadata.uid = uid_of_pod(&group.metadata.namespace, &group.metadata.name);
        group.metadata.resource_version = Box::default();
        self.groups.push(place.clone());
        self.objects.pod_groups.push((dialect, version, group));
        Ok(())
    }

    fn pod(&mut self, place: &Place, raw: Raw<'_>) -> Result<(), Wrong> {
        let mut pod: api::Pod = decode(raw)?;
        let asked = decode(raw)?;
        self.name_within("Pod", &mut pod.metadata, place)?;
        let api::Meta {
            namespace, name, ..
        } = &pod.metadata;
        pod.metadata.uid = uid_of_pod(namespace, name);
        pod.metadata.resource_version = Box::default();
        // What some scheduler said earlier is not what is found now.
        (pod.status.conditions).retain(|condition| &*condition.kind != "PodScheduled");
        self.pods.push((place.clone(), pod, asked));
        Ok(())
    }

    /// The same as [`Self::name`] for an object that is in a namespace.
    fn name_within(
        &mut self,
        kind: &'static str,
        meta: &mut api::Meta,
        place: &Place,
    ) -> Result<(), Wrong> {
        if meta.namespace.is_empty() {
            meta.namespace = "default".into();
        }
        self.name(kind, meta, place)
    }

    /// Fails when the object has no name of its own.
    fn name(&mut self, kind: &'static str, meta: &api::Meta, place: &Place) -> Result<(), Wrong> {
        let fields = [("namespace", &meta.namespace), ("name", &meta.name)];
        for (field, name) in fields {
            let allowed = |byte: u8| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
            };
            let path = format!("metadata.{field}");
            if field == "name" && name.is_empty() {
                return Err((path, "it is missing".to_owned()));
            }
            if name.len() > 253 || !name.bytes().all(allowed) {
                let reason = format!(
                    "{name:?} is not a name: at most 253 lower case letters, digits, '-' and '.'"
                );
                return Err((path, reason));
            }
        }
        let key = (kind, meta.namespace.clone(), meta.name.clone());
        match self.seen.insert(key, place.clone()) {
            None => Ok(()),
            Some(first) => {
                let slash = if meta.namespace.is_empty() { "" } else { "/" };
                let name = format!("{}{slash}{}", meta.namespace, meta.name);
                Err((
                    String::new(),
                    format!("{kind} {name} is there already: {first}"),
                ))
            }
        }
    }

    fn finish(self, problems: &mut Problems) -> Objects {
        let Self {
            mut objects,
            pods,
            groups,
            budgets,
            classes,
            ..
        } = self;
        let groups = groups.into_iter().zip(&mut objects.pod_groups);
        for (place, (dialect, _, group)) in groups {
            if let Err((path, reason)) = admit_group(*dialect, group, &classes) {
                problems.at(&place, &path, reason);
            }
        }
        // A node that could not be read would make all its pods wrong.
        let complete = problems.is_empty();
        let nodes: HashSet<&str> = (objects.nodes.iter())
            .map(|node| &*node.metadata.name)
            .collect();
        for (place, mut pod, asked) in pods {
            if let Err((path, reason)) = admit(&mut pod, &asked, &classes) {
                problems.at(&place, &path, reason);
                continue;
            }
            match CompiledPod::compile(&pod) {
                Ok(compiled) if compiled.finished => {
                    objects.finished += 1;
                    continue;
                }
                Ok(_) => {}
                Err(error) => {
                    let (path, reason) = uncompiled(error);
                    problems.at(&place, &path, reason);
                    continue;
                }
            }
            let node = &*pod.spec.node_name;
            if complete && !node.is_empty() && !nodes.contains(node) {
                let reason = format!("there is no node {node:?} in the input; add it");
                problems.at(&place, "spec.nodeName", reason);
                continue;
            }
            objects.pods.push(pod);
        }
        objects.add_namespaces();
        budgets::fill_in(&mut objects.budgets, &budgets, &objects.pods);
        objects
    }
}

/// Pods of manifests have no uid, and those of several dumps may share one.
fn uid_of_pod(namespace: &str, name: &str) -> Box<str> {
    format!("{namespace}/{name}").into()
}

fn decode<T: serde::de::DeserializeOwned>(raw: Raw<'_>) -> Result<T, Wrong> {
    raw.decode()
        .map_err(|Undecoded { path, reason }| (path, reason))
}

fn uncompiled(error: CompileError) -> Wrong {
    let CompileError::Quantity {
        path,
        resource,
        source,
    } = error;
    (format!("{path}[{resource}]"), source.to_string())
}
