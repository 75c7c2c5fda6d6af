//! What an object gets when it is made: defaults, and what admission adds or refuses.
//!
//! Only what a scheduler or a user of the demonstration sees.

use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use super::api_server::ApiServer;
use super::kinds::{Kind, find};
use super::label_keys;
use super::status::{Field, Status};
use super::value;
use crate::api;
use crate::model::CompiledPod;

/// The namespaces of every cluster.
pub(super) const NAMESPACES: &[&str] =
    &["default", "kube-system", "kube-public", "kube-node-lease"];

/// Those that cannot be deleted.
pub(super) const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// The priority classes of every cluster.
pub(super) const PRIORITY_CLASSES: &[(&str, i64)] = &[
    ("system-cluster-critical", 2_000_000_000),
    ("system-node-critical", 2_000_001_000),
];

const PREEMPT: &str = "PreemptLowerPriority";

impl ApiServer {
    /// Completes a new object, or says why it cannot be.
    pub(super) fn admit(&self, kind: &Kind, object: &mut Value) -> Result<(), Status> {
        match kind.plural {
            "pods" => self.admit_pod(kind, object)?,
            "nodes" => {
                value::object(object, "spec");
                let status = value::object(object, "status");
                if let Some(capacity) = status.get("capacity").cloned() {
                    value::default(status, "allocatable", capacity);
                }
                for list in ["capacity", "allocatable"] {
                    if let Some(Value::Object(quantities)) = status.get_mut(list) {
                        as_text(quantities);
                    }
                }
            }
            "namespaces" => {
                let name = value::text(object, &["metadata", "name"]).to_owned();
                let metadata = value::object(object, "metadata");
                let labels = metadata.entry("labels").or_insert(Value::Null);
                value::as_object(labels)
                    .insert("kubernetes.io/metadata.name".to_owned(), name.into());
                let spec = value::object(object, "spec");
                value::default(spec, "finalizers", json!(["kubernetes"]));
                value::default(value::object(object, "status"), "phase", "Active");
            }
            "replicationcontrollers" => {
                let labels = value::at(object, &["spec", "template", "metadata", "labels"]);
                if let Some(labels) = labels.cloned() {
                    let spec = value::object(object, "spec");
                    if spec.get("selector").is_none_or(is_empty) {
                        spec.insert("selector".to_owned(), labels);
                    }
                }
            }
            "podgroups" => self.admit_pod_group(kind, object)?,
            // Nothing may be disrupted until a controller has written how much may.
            "poddisruptionbudgets" => {
                let status = json!({
                    "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0,
                    "expectedPods": 0,
                });
                value::as_object(object).insert("status".to_owned(), status);
            }
            "priorityclasses" => {
                value::default(value::as_object(object), "preemptionPolicy", PREEMPT);
            }
            _ => {}
        }
        Ok(())
    }

    fn admit_pod(&self, kind: &Kind, pod: &mut Value) -> Result<(), Status> {
        let name = value::text(pod, &["metadata", "name"]).to_owned();
        if value::list(pod, &["spec", "containers"]).is_empty() {
            let field = Field::required("spec.containers", "");
            return Err(Status::invalid(kind, &name, &field));
        }
        let priority = self.priority(kind, &name, pod)?;
        let gated = !value::list(pod, &["spec", "schedulingGates"]).is_empty();
        label_keys::merge(pod);
        let spec = value::object(pod, "spec");
        spec.extend(priority);
        value::default(spec, "schedulerName", "default-scheduler");
        value::default(spec, "restartPolicy", "Always");
        value::default(spec, "dnsPolicy", "ClusterFirst");
        value::default(spec, "terminationGracePeriodSeconds", 30);
        value::default(spec, "enableServiceLinks", true);
        value::default(spec, "securityContext", json!({}));
        complete_all_resources(pod);
        let mut status = json!({ "phase": "Pending" });
        if gated {
            status["conditions"] = json!([{
                "type": "PodScheduled",
                "status": "False",
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
                "lastProbeTime": null,
                "lastTransitionTime": self.timestamp(self.now()),
            }]);
        }
        value::as_object(pod).insert("status".to_owned(), status);
        Ok(())
    }

    fn admit_pod_group(&self, kind: &Kind, group: &mut Value) -> Result<(), Status> {
        if kind.status {
            value::as_object(group).remove("status");
        }
        if !kind.custom {
            let name = value::text(group, &["metadata", "name"]).to_owned();
            let mut given = self.priority(kind, &name, group)?;
            // Only behind a gate of its own.
            given.remove("preemptionPolicy");
            let spec = value::object(group, "spec");
            spec.extend(given);
            value::default(spec, "disruptionMode", json!({ "single": {} }));
        }
        Ok(())
    }

    /// What the priority class gives to a pod, or to a group of pods.
    ///
    /// Source: `plugin/pkg/admission/priority/admission.go`.
    fn priority(
        &self,
        kind: &Kind,
        pod: &str,
        object: &Value,
    ) -> Result<Map<String, Value>, Status> {
        let wanted = value::text(object, &["spec", "priorityClassName"]);
        let classes = find("scheduling.k8s.io", "v1", "priorityclasses");
        let classes = classes.map(|kind| self.table(kind).objects());
        let mut classes = classes.into_iter().flat_map(|objects| objects.values());
        let class = if wanted.is_empty() {
            classes.find(|class| class.value().get("globalDefault") == Some(&json!(true)))
        } else {
            let found = classes.find(|class| class.name() == wanted);
            if found.is_none() {
                let why = format!("no PriorityClass with name {wanted} was found");
                return Err(Status::forbidden(kind, pod, &why));
            }
            found
        };
        let of_class = |key: &str| class.and_then(|class| class.value().get(key)).cloned();
        let priority = of_class("value").unwrap_or_else(|| json!(0));
        let asked = value::at(object, &["spec", "priority"]).filter(|asked| !asked.is_null());
        if let Some(asked) = asked.filter(|asked| **asked != priority) {
            let why = if kind.is_pod() {
                format!(
                    "the integer value of priority ({asked}) must not be provided in pod spec; \
                     priority admission controller computed {priority} from the given \
                     PriorityClass name"
                )
            } else {
                format!(
                    "priority set in the pod group ({asked}) must match the priority computed \
                     ({priority}) based on the priority class set in the spec"
                )
            };
            return Err(Status::forbidden(kind, pod, &why));
        }
        let policy = value::at(object, &["spec", "preemptionPolicy"]).cloned();
        let policy = of_class("preemptionPolicy").or(policy);
        let mut given = Map::new();
        given.insert("priority".to_owned(), priority);
        given.insert(
            "preemptionPolicy".to_owned(),
            policy.unwrap_or_else(|| json!(PREEMPT)),
        );
        if let Some(class) = class {
            given.insert("priorityClassName".to_owned(), json!(class.name()));
        }
        Ok(given)
    }
}

/// Whether a map has no entries.
fn is_empty(map: &Value) -> bool {
    map.as_object().is_none_or(Map::is_empty)
}

/// Completes the requests of all containers, and of the pod as a whole.
pub(super) fn complete_all_resources(pod: &mut Value) {
    let spec = value::object(pod, "spec");
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        containers
            .into_iter()
            .flatten()
            .for_each(complete_resources);
    }
    complete_pod_resources(pod);
}

/// What is limited and not requested is requested up to the limit.
fn complete_resources(container: &mut Value) {
    let resources = value::object(container, "resources");
    let mut limits = match resources.get_mut("limits") {
        Some(Value::Object(limits)) => {
            as_text(limits);
            limits.clone()
        }
        _ => Map::new(),
    };
    let mut requests = match resources.remove("requests") {
        Some(Value::Object(requests)) => requests,
        _ => Map::new(),
    };
    as_text(&mut requests);
    limits.append(&mut requests);
    if !limits.is_empty() {
        resources.insert("requests".to_owned(), Value::Object(limits));
    }
}

/// The same for what is limited for the pod as a whole.
fn complete_pod_resources(pod: &mut Value) {
    let limits = value::at(pod, &["spec", "resources", "limits"]);
    let Some(limits) = limits.and_then(|limits| api::Pairs::deserialize(limits).ok()) else {
        return;
    };
    // What cannot be decoded is told by whoever schedules it.
    let Ok(decoded) = api::Pod::deserialize(&*pod) else {
        return;
    };
    let defaults = pod_requests(&decoded, &limits);
    if !defaults.is_empty() {
        let mut at = value::object(pod, "spec");
        for key in ["resources", "requests"] {
            at = value::as_object(at.entry(key).or_insert(Value::Null));
        }
        for (name, amount) in defaults.iter() {
            value::default(at, name, amount);
        }
    }
}

/// What a pod with limits as a whole requests as a whole, unless it says so itself: what its
/// containers request, else the limit.
///
/// Source: `pkg/apis/core/v1/defaults.go`, `defaultPodRequests`.
pub(crate) fn pod_requests(pod: &api::Pod, limits: &api::Pairs) -> api::Pairs {
    if limits.is_empty() {
        return api::Pairs::default();
    }
    let mut containers = pod.clone();
    containers.spec.node_name = Box::default();
    containers.spec.resources = api::Resources::default();
    containers.spec.overhead = api::Pairs::default();
    // What cannot be compiled is told to whoever checks the pod.
    let compiled = CompiledPod::compile(&containers).ok();
    let Some(waiting) = compiled.and_then(|pod| pod.waiting) else {
        return api::Pairs::default();
    };
    let wanted = &waiting.shape.wanted;
    let summed = [
        ("cpu", format!("{}m", wanted.cpu)),
        ("memory", wanted.memory.to_string()),
    ];
    let summed = (summed.iter())
        .map(|(name, text)| (*name, text.as_str()))
        .filter(|(_, text)| !matches!(*text, "0" | "0m"));
    let supported = |(name, _): &(&str, &str)| {
        matches!(*name, "cpu" | "memory") || name.starts_with("hugepages-")
    };
    // The first of a name counts.
    summed.chain(limits.iter().filter(supported)).collect()
}

/// Quantities may be sent as numbers and are always shown as texts.
fn as_text(quantities: &mut Map<String, Value>) {
    for quantity in quantities.values_mut() {
        if let Value::Number(number) = quantity {
            *quantity = Value::String(number.to_string());
        }
    }
}
