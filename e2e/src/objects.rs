//! Builders for the nodes and pods of tests. What they leave out is what the API server would default.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Map, Value, json};

/// A node with 4 cpu, 16Gi of memory, 100Gi of ephemeral storage, room for 110 pods and the label of its name.
pub fn node(name: &str) -> NodeBuilder {
    NodeBuilder(json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {},
        "status": {
            "capacity": {},
            "allocatable": {},
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "KubeletReady",
                "message": "kubelet is posting ready status",
                "lastHeartbeatTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
        },
    }))
    .capacity("cpu", "4")
    .capacity("memory", "16Gi")
    .capacity("ephemeral-storage", "100Gi")
    .capacity("pods", "110")
}

/// A pod with one container and no requests.
pub fn pod(name: &str) -> PodBuilder {
    PodBuilder(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {}},
        "spec": {"containers": [{"name": "main", "image": "pause", "resources": {"requests": {}}}]},
    }))
}

/// A node under construction.
#[derive(Debug, Clone)]
pub struct NodeBuilder(Value);

impl NodeBuilder {
    /// Sets how much the node has of a resource, all of it allocatable.
    pub fn capacity(mut self, resource: &str, quantity: &str) -> Self {
        self.0["status"]["capacity"][resource] = json!(quantity);
        self.0["status"]["allocatable"][resource] = json!(quantity);
        self
    }

    /// Sets a label.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][key] = json!(value);
        self
    }

    /// Adds a taint.
    pub fn taint(mut self, key: &str, value: &str, effect: &str) -> Self {
        push(
            &mut self.0["spec"]["taints"],
            json!({"key": key, "value": value, "effect": effect}),
        );
        self
    }

    /// Marks the node as unschedulable (cordoned).
    pub fn unschedulable(mut self) -> Self {
        self.0["spec"]["unschedulable"] = json!(true);
        self
    }

    /// Adds the address under which the node is reached within the cluster.
    pub fn internal_ip(mut self, address: &str) -> Self {
        push(
            &mut self.0["status"]["addresses"],
            json!({"type": "InternalIP", "address": address}),
        );
        self
    }

    /// Adds an image that the node has.
    pub fn image(mut self, name: &str, bytes: i64) -> Self {
        push(
            &mut self.0["status"]["images"],
            json!({"names": [name], "sizeBytes": bytes}),
        );
        self
    }

    /// Declares features, as a kubelet does.
    pub fn declared_features(mut self, names: &[&str]) -> Self {
        self.0["status"]["declaredFeatures"] = json!(names);
        self
    }

    /// The node as JSON.
    pub fn value(self) -> Value {
        self.0
    }

    /// The node.
    pub fn build(self) -> Result<Node> {
        serde_json::from_value(self.0).context("this is no node")
    }
}

/// A pod under construction.
#[derive(Debug, Clone)]
pub struct PodBuilder(Value);

impl PodBuilder {
    /// Sets the scheduler that is to place the pod.
    pub fn scheduler(self, name: &str) -> Self {
        self.spec("schedulerName", json!(name))
    }

    /// Whether [`PodBuilder::scheduler`] was called.
    pub fn has_scheduler(&self) -> bool {
        self.0["spec"]["schedulerName"].is_string()
    }

    /// Puts the pod in another namespace than `default`.
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.0["metadata"]["namespace"] = json!(namespace);
        self
    }

    /// Sets a request of the container; of an extended resource also the limit, which has to be equal.
    pub fn request(mut self, resource: &str, quantity: &str) -> Self {
        let resources = &mut self.0["spec"]["containers"][0]["resources"];
        resources["requests"][resource] = json!(quantity);
        if resource.contains('/') || resource.starts_with("hugepages-") {
            resources["limits"][resource] = json!(quantity);
        }
        self
    }

    /// Adds an init container with one request; one that keeps running if `sidecar`.
    pub fn init(mut self, sidecar: bool, resource: &str, quantity: &str) -> Self {
        let list = &mut self.0["spec"]["initContainers"];
        let name = format!("init-{}", list.as_array().map_or(0, Vec::len));
        let mut container = json!({"name": name, "image": "pause", "resources": {"requests": {resource: quantity}}});
        if sidecar {
            container["restartPolicy"] = json!("Always");
        }
        push(list, container);
        self
    }

    /// Sets a label.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][key] = json!(value);
        self
    }

    /// Requires a node label.
    pub fn selector(mut self, key: &str, value: &str) -> Self {
        self.0["spec"]["nodeSelector"][key] = json!(value);
        self
    }

    /// Adds a toleration as it stands in a pod.
    pub fn toleration(mut self, toleration: Value) -> Self {
        push(&mut self.0["spec"]["tolerations"], toleration);
        self
    }

    /// Sets the affinity as it stands in a pod.
    pub fn affinity(self, affinity: Value) -> Self {
        self.spec("affinity", affinity)
    }

    /// Asks for a port of the node.
    pub fn host_port(mut self, port: u16, protocol: &str) -> Self {
        push(
            &mut self.0["spec"]["containers"][0]["ports"],
            json!({"containerPort": port, "hostPort": port, "protocol": protocol}),
        );
        self
    }

    /// Adds a scheduling gate.
    pub fn gate(mut self, name: &str) -> Self {
        push(
            &mut self.0["spec"]["schedulingGates"],
            json!({"name": name}),
        );
        self
    }

    /// Sets the priority class.
    pub fn priority_class(self, name: &str) -> Self {
        self.spec("priorityClassName", json!(name))
    }

    /// Sets the image of the container.
    pub fn image(mut self, name: &str) -> Self {
        self.0["spec"]["containers"][0]["image"] = json!(name);
        self
    }

    /// Sets a field of the spec as it stands in a pod.
    pub fn spec(mut self, field: &str, value: Value) -> Self {
        self.0["spec"][field] = value;
        self
    }

    /// Sets a field of the metadata as it stands in a pod.
    pub fn metadata(mut self, field: &str, value: Value) -> Self {
        self.0["metadata"][field] = value;
        self
    }

    /// Mounts what this claim is bound to.
    pub fn claim(mut self, name: &str) -> Self {
        let volume = json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
        push(&mut self.0["spec"]["volumes"], volume);
        self
    }

    /// Puts the pod on a node, past every scheduler.
    pub fn on(self, node: &str) -> Self {
        self.spec("nodeName", json!(node))
    }

    /// Adds a topology spread constraint as it stands in a pod.
    pub fn spread(mut self, constraint: Value) -> Self {
        push(&mut self.0["spec"]["topologySpreadConstraints"], constraint);
        self
    }

    /// Adds a term to a list of the affinity, such as `podAffinity` and `preferredDuringSchedulingIgnoredDuringExecution`.
    pub fn affinity_term(mut self, kind: &str, list: &str, term: Value) -> Self {
        push(&mut self.0["spec"]["affinity"][kind][list], term);
        self
    }

    /// The same pod under another name.
    pub fn named(self, name: &str) -> Self {
        self.metadata("name", json!(name))
    }

    /// The pod as JSON.
    pub fn value(self) -> Value {
        self.0
    }

    /// The pod.
    pub fn build(self) -> Result<Pod> {
        serde_json::from_value(self.0).context("this is no pod")
    }
}

/// A claim of the namespace `default` that is bound to a volume, as the controller leaves it.
pub fn bound_claim(name: &str, volume: &str, mode: &str) -> Value {
    let mut claim = unbound_claim(name, "", mode);
    claim["metadata"]["annotations"] = json!({"pv.kubernetes.io/bind-completed": "yes"});
    claim["spec"]["volumeName"] = json!(volume);
    claim
}

/// A claim of the namespace `default` that is not bound yet.
pub fn unbound_claim(name: &str, class: &str, mode: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "accessModes": [mode], "storageClassName": class,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    })
}

/// A volume that can be reached from nodes with these labels, given as in [`required_node_affinity`]; from all without.
pub fn volume(name: &str, expressions: &[(&str, &str, &[&str])]) -> Value {
    let mut volume = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": {}},
        "spec": {
            "accessModes": ["ReadWriteMany"], "capacity": {"storage": "1Gi"},
            "nfs": {"server": "files.example", "path": "/"},
        },
    });
    if !expressions.is_empty() {
        let affinity = required_node_affinity(expressions);
        let required = &affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        volume["spec"]["nodeAffinity"] = json!({"required": required});
    }
    volume
}

/// Required node affinity with one term of match expressions, given as (key, operator, values).
pub fn required_node_affinity(expressions: &[(&str, &str, &[&str])]) -> Value {
    let expressions: Vec<Value> = expressions
        .iter()
        .map(|(key, operator, values)| {
            let mut expression = Map::new();
            expression.insert("key".to_owned(), json!(key));
            expression.insert("operator".to_owned(), json!(operator));
            if !values.is_empty() {
                expression.insert("values".to_owned(), json!(values));
            }
            Value::Object(expression)
        })
        .collect();
    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": expressions}],
    }}})
}

/// Preferred node affinity with one weighted expression.
pub fn preferred_node_affinity(weight: i32, key: &str, value: &str) -> Value {
    json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": weight,
        "preference": {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]},
    }]}})
}

fn push(list: &mut Value, item: Value) {
    match list {
        Value::Array(items) => items.push(item),
        other => *other = json!([item]),
    }
}
