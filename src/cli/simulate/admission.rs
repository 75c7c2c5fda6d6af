//! What an API server would have filled in before a scheduler sees a pod, as far as it matters for
//! where the pod goes. Source: `pkg/apis/core/v1/defaults.go`, `plugin/pkg/admission/priority`.
//!
//! A pod of a dump has been through this already: what it says stays.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::label_keys::{self, AskedAffinity};
use crate::api;
use crate::model::{Dialect, Quantity};
use crate::simulator::pod_requests;

/// The classes that every cluster has.
const SYSTEM_CLASSES: &[(&str, i32)] = &[
    ("system-cluster-critical", 2_000_000_000),
    ("system-node-critical", 2_000_001_000),
];

/// The fields that only admission reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    spec: AskedSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AskedSpec {
    priority_class_name: Box<str>,
    containers: Vec<AskedContainer>,
    init_containers: Vec<AskedContainer>,
    resources: AskedResources,
    affinity: AskedAffinity,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct AskedContainer {
    resources: AskedResources,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct AskedResources {
    limits: api::Pairs,
}

/// What admission reads of a replication controller beside its selector.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AskedController {
    spec: AskedControllerSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct AskedControllerSpec {
    template: AskedTemplate,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct AskedTemplate {
    metadata: AskedTemplateMeta,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct AskedTemplateMeta {
    labels: api::Pairs,
}

/// What admission reads of a priority class beside its value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct AskedClass {
    global_default: bool,
    preemption_policy: Box<str>,
}

#[derive(Clone, Debug, Default)]
struct Class {
    value: i32,
    preemption_policy: Box<str>,
}

/// The priority classes by name.
#[derive(Clone, Debug)]
pub(super) struct Classes {
    by_name: BTreeMap<Box<str>, Class>,
    /// The one of pods that name none.
    default: Option<Box<str>>,
}

/// What is wrong with a pod, and where.
pub(super) type Wrong = (String, String);

// === impl Classes ===

impl Default for Classes {
    fn default() -> Self {
        let class = |&(name, value): &(&str, i32)| {
            let class = Class {
                value,
                ..Class::default()
            };
            (name.into(), class)
        };
        Self {
            by_name: SYSTEM_CLASSES.iter().map(class).collect(),
            default: None,
        }
    }
}

impl Classes {
    /// Adds a class; false when there is one of this name. Dumps have the system classes in them.
    pub(super) fn add(&mut self, class: &api::PriorityClass, asked: AskedClass) -> bool {
        let name = &class.metadata.name;
        if SYSTEM_CLASSES.iter().any(|(system, _)| **system == **name) {
            return true;
        }
        // Of several defaults the smallest counts.
        let smallest = self
            .default
            .as_ref()
            .and_then(|name| self.by_name.get(name))
            .is_none_or(|held| class.value < held.value);
        if asked.global_default && smallest {
            self.default = Some(name.clone());
        }
        let entry = Class {
            value: class.value,
            preemption_policy: asked.preemption_policy,
        };
        self.by_name.insert(name.clone(), entry).is_none()
    }

    /// The class that something names, or the one of those that name none, if there is one.
    fn named(&self, name: &str) -> Result<Option<&Class>, Wrong> {
        let name = match (name, &self.default) {
            ("", None) => return Ok(None),
            ("", Some(default)) => default,
            (name, _) => name,
        };
        let class = self.by_name.get(name);
        let missing = || {
            let reason = format!("no PriorityClass with name {name} in the input; add it");
            ("spec.priorityClassName".to_owned(), reason)
        };
        class.ok_or_else(missing).map(Some)
    }
}

/// Fills in what is not said.
pub(super) fn admit(pod: &mut api::Pod, asked: &Asked, classes: &Classes) -> Result<(), Wrong> {
    let spec = &mut pod.spec;
    if spec.scheduler_name.is_empty() {
        spec.scheduler_name = "default-scheduler".into();
    }
    if pod.metadata.namespace.is_empty() {
        pod.metadata.namespace = "default".into();
    }
    prioritize(spec, &asked.spec.priority_class_name, classes)?;
    let lists = [
        ("containers", &mut spec.containers, &asked.spec.containers),
        (
            "initContainers",
            &mut spec.init_containers,
            &asked.spec.init_containers,
        ),
    ];
    for (list, containers, asked) in lists {
        for (index, (container, asked)) in containers.iter_mut().zip(asked).enumerate() {
            let path = format!("spec.{list}[{index}].resources");
            check(&path, &container.resources, &asked.resources)?;
            request_limits(&mut container.resources, &asked.resources.limits);
        }
    }
    check("spec.resources", &spec.resources, &asked.spec.resources)?;
    check_amounts("spec.overhead", &spec.overhead)?;
    request_pod_limits(pod, &asked.spec.resources.limits);
    label_keys::merge(pod, &asked.spec.affinity);
    Ok(())
}

/// A group of Kubernetes' own API has the priority of its class, which is 0 without one. The other
/// APIs have no admission.
pub(super) fn admit_group(
    dialect: Dialect,
    group: &mut api::PodGroup,
    classes: &Classes,
) -> Result<(), Wrong> {
    let spec = &mut group.spec;
    if dialect == Dialect::Kubernetes && spec.priority.is_none() {
        let class = classes.named(&spec.priority_class_name)?;
        spec.priority = Some(class.map_or(0, |class| class.value));
    }
    Ok(())
}

/// A namespace has its name as a label.
pub(super) fn admit_namespace(namespace: &mut api::Namespace) {
    let name = namespace.metadata.name.clone();
    let labels = &mut namespace.metadata.labels.0;
    labels.retain(|(key, _)| &**key != "kubernetes.io/metadata.name");
    labels.push(("kubernetes.io/metadata.name".into(), name));
}

/// A replication controller without a selector selects what it makes.
pub(super) fn admit_controller(
    controller: &mut api::ReplicationController,
    asked: AskedController,
) {
    if controller.spec.selector.is_empty() {
        controller.spec.selector = asked.spec.template.metadata.labels;
    }
}

fn prioritize(spec: &mut api::PodSpec, named: &str, classes: &Classes) -> Result<(), Wrong> {
    if spec.priority.is_some() {
        return Ok(());
    }
    let Some(class) = classes.named(named)? else {
        return Ok(());
    };
    spec.priority = Some(class.value);
    if spec.preemption_policy.is_empty() {
        spec.preemption_policy = class.preemption_policy.clone();
    }
    Ok(())
}

/// Fails when an amount is none, or less than nothing.
fn check(path: &str, resources: &api::Resources, asked: &AskedResources) -> Result<(), Wrong> {
    if let Some(requests) = &resources.requests {
        check_amounts(&format!("{path}.requests"), requests)?;
    }
    check_amounts(&format!("{path}.limits"), &asked.limits)
}

pub(super) fn check_amounts(path: &str, amounts: &api::Pairs) -> Result<(), Wrong> {
    for (name, text) in amounts.iter() {
        let place = || format!("{path}[{name}]");
        match Quantity::parse(text) {
            Ok(quantity) if quantity < Quantity::ZERO => {
                return Err((place(), format!("{text:?} is less than nothing")));
            }
            Ok(_) => {}
            Err(error) => return Err((place(), error.to_string())),
        }
    }
    Ok(())
}

/// A limit without a request is a request.
fn request_limits(resources: &mut api::Resources, limits: &api::Pairs) {
    if limits.is_empty() {
        return;
    }
    let requests = resources.requests.get_or_insert_default();
    add_missing(requests, limits.iter());
}

/// With a limit of the whole pod, the pod requests what its containers do, else the limit.
fn request_pod_limits(pod: &mut api::Pod, limits: &api::Pairs) {
    let defaults = pod_requests(pod, limits);
    if !defaults.is_empty() {
        let requests = pod.spec.resources.requests.get_or_insert_default();
        add_missing(requests, defaults.iter());
    }
}

fn add_missing<'a>(list: &mut api::Pairs, more: impl Iterator<Item = (&'a str, &'a str)>) {
    for (name, text) in more {
        if !list.iter().any(|(held, _)| held == name) {
            list.0.push((name.into(), text.into()));
        }
    }
}
