//! The kinds of nodes and pods that a load consists of.

use bytes::Bytes;
use serde_json::{Value, json};

use super::NAMESPACE;
use super::fleet::Pace;
use super::gangs::{self, Gangs};
use super::preemption::{self, Preemption};

/// How many zones the nodes are in.
const ZONES: usize = 10;

/// Pods of the kinds with labels to match are in this many groups.
const GROUPS: usize = 20;

/// The label by which services select pods.
const SERVED: &str = "served";

/// How many pods a node has room for.
pub const PODS_PER_NODE: usize = 110;

/// How many GPUs a node has where pods ask for some.
pub const GPUS_PER_NODE: usize = 8;

const GPU: &str = "nvidia.com/gpu";

/// Where the name goes in a serialised object. No object has this text anywhere else.
const NAME: &str = "@name@";

/// Where the name of its gang goes in a serialised pod.
const GANG: &str = "@gang@";

/// A kind of pods.
#[derive(Debug)]
pub struct PodKind {
    /// What the command line calls it.
    pub name: &'static str,
    /// What it is, for the help.
    pub about: &'static str,
    /// Pods of a kind may differ; they take turns in this many variants.
    variants: usize,
    /// Whether services select the pods, which is what the default constraints of spreading look for.
    served: bool,
    /// How the pods are grouped, each of which then asks for a GPU.
    pub gangs: Option<Gangs>,
    /// Whether others have to go for pods of this kind.
    pub preemption: Option<Preemption>,
    /// What a variant adds to the spec.
    spec: fn(usize) -> Value,
}

/// All kinds of pods. Another one is another line here.
pub const POD_KINDS: &[PodKind] = &[
    PodKind {
        name: "basic",
        about: "requests of cpu and memory, nothing else",
        variants: 1,
        served: false,
        gangs: None,
        preemption: None,
        spec: |_| json!({}),
    },
    PodKind {
        name: "node-selector",
        about: "a node selector on one of ten zones",
        variants: ZONES,
        served: false,
        gangs: None,
        preemption: None,
        spec: |variant| json!({"nodeSelector": {"topology.kubernetes.io/zone": zone(variant)}}),
    },
    PodKind {
        name: "node-affinity",
        about: "required: one of two zones; preferred: the first of them",
        variants: ZONES,
        served: false,
        gangs: None,
        preemption: None,
        spec: node_affinity,
    },
    PodKind {
        name: "spread",
        about: "topology spread over zones, maxSkew 5, DoNotSchedule",
        variants: GROUPS,
        served: false,
        gangs: None,
        preemption: None,
        spec: |variant| {
            json!({"topologySpreadConstraints": [{
                "maxSkew": 5,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"group": group(variant)}},
            }]})
        },
    },
    PodKind {
        name: "soft-spread",
        about: "topology spread over zones and nodes, maxSkew 1, ScheduleAnyway",
        variants: GROUPS,
        served: false,
        gangs: None,
        preemption: None,
        spec: |variant| {
            let constraint = |key: &str| {
                json!({
                    "maxSkew": 1,
                    "topologyKey": key,
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": {"group": group(variant)}},
                })
            };
            json!({"topologySpreadConstraints": [
                constraint("topology.kubernetes.io/zone"),
                constraint("kubernetes.io/hostname"),
            ]})
        },
    },
    PodKind {
        name: "default-spread",
        about: "no constraint of its own, but services select the pods: spread by default",
        variants: GROUPS,
        served: true,
        gangs: None,
        preemption: None,
        spec: |_| json!({}),
    },
    PodKind {
        name: "pod-affinity",
        about: "required affinity to the own group, by zone",
        variants: GROUPS,
        served: false,
        gangs: None,
        preemption: None,
        spec: |variant| {
            json!({"affinity": {"podAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [term(variant, "topology.kubernetes.io/zone")],
            }}})
        },
    },
    PodKind {
        name: "pod-anti-affinity",
        about: "required anti-affinity to the own group (a twentieth of the pods), by node",
        variants: GROUPS,
        served: false,
        gangs: None,
        preemption: None,
        spec: |variant| {
            json!({"affinity": {"podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [term(variant, "kubernetes.io/hostname")],
            }}})
        },
    },
    PodKind {
        name: "pod-anti-affinity-namespaces",
        about: "the same over all namespaces, which a selector finds",
        variants: GROUPS,
        served: false,
        gangs: None,
        preemption: None,
        spec: |variant| {
            let mut term = term(variant, "kubernetes.io/hostname");
            term["namespaceSelector"] = json!({"matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "Exists"},
            ]});
            json!({"affinity": {"podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [term],
            }}})
        },
    },
    PodKind {
        name: "preferred-pod-affinity",
        about: "preferred affinity to the own group, by zone",
        variants: GROUPS,
        served: false,
        gangs: None,
        preemption: None,
        spec: |variant| {
            json!({"affinity": {"podAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 10, "podAffinityTerm": term(variant, "topology.kubernetes.io/zone")},
                ],
            }}})
        },
    },
    PodKind {
        name: "preferred-pod-anti-affinity",
        about: "preferred anti-affinity to the own group, by node",
        variants: GROUPS,
        served: false,
        gangs: None,
        preemption: None,
        spec: |variant| {
            json!({"affinity": {"podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 10, "podAffinityTerm": term(variant, "kubernetes.io/hostname")},
                ],
            }}})
        },
    },
    PodKind {
        name: "gang",
        about: "gangs of 16 pods with a GPU each, one gang after the other",
        variants: 1,
        served: false,
        gangs: Some(Gangs {
            size: 16,
            in_turn: false,
        }),
        preemption: None,
        spec: |_| json!({}),
    },
    PodKind {
        name: "gang-contention",
        about: "gangs of 60 pods with a GPU each, a pod of each gang in turn; more of them than GPUs is the idea",
        variants: 1,
        served: false,
        gangs: Some(Gangs {
            size: 60,
            in_turn: true,
        }),
        preemption: None,
        spec: |_| json!({}),
    },
    PodKind {
        name: "preemption",
        about: "pods of high priority in a cluster full of others: each takes half a node, from one that has to go",
        variants: 1,
        served: false,
        gangs: None,
        preemption: Some(Preemption::Alone),
        spec: |_| preemption::spec(),
    },
    PodKind {
        name: "preemption-ordinary",
        about: "basic pods with --rate, and beside them in the second half --preempt-rate pods of high priority per \
                second, which find their half of the nodes full",
        variants: 2,
        served: false,
        gangs: None,
        preemption: Some(Preemption::Beside),
        spec: |variant| {
            if variant == 0 {
                return json!({});
            }
            let mut spec = preemption::spec();
            let lower: Vec<String> = (0..ZONES / 2).map(zone).collect();
            spec["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "topology.kubernetes.io/zone", "operator": "In", "values": lower},
                ]}],
            }}});
            spec
        },
    },
];

impl PodKind {
    /// The kind of this name.
    pub fn find(name: &str) -> Result<&'static Self, String> {
        POD_KINDS
            .iter()
            .find(|kind| kind.name == name)
            .ok_or_else(|| {
                let names: Vec<&str> = POD_KINDS.iter().map(|kind| kind.name).collect();
                format!("there is no kind {name:?}; there are {}", names.join(", "))
            })
    }

    /// The pods of a round, ready to be sent. Where they are mixed, those that make room are the second variant.
    pub fn pods(&self, scheduler: &str, prefix: &str, count: usize, pace: Pace) -> Vec<Bytes> {
        let templates: Vec<String> = (0..self.variants)
            .map(|variant| self.template(scheduler, variant))
            .collect();
        (0..count)
            .map(|index| {
                let variant = match pace {
                    Pace::Mixed(mix) => usize::from(mix.preempts(index)),
                    Pace::AtOnce | Pace::PerSecond(_) => index % self.variants,
                };
                let mut pod = templates[variant].replace(NAME, &pod_name(prefix, index));
                if let Some(gangs) = self.gangs {
                    let gang = gangs::name(prefix, gangs.gang_of(index, count));
                    pod = pod.replace(GANG, &gang);
                }
                Bytes::from(pod)
            })
            .collect()
    }

    fn template(&self, scheduler: &str, variant: usize) -> String {
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": NAME,
                "namespace": NAMESPACE,
                "labels": {"app": "load", "group": group(variant)},
            },
            "spec": {
                "schedulerName": scheduler,
                "containers": [{
                    "name": "main",
                    "image": "registry.k8s.io/pause:3.10",
                    "resources": {"requests": {"cpu": "100m", "memory": "500Mi"}},
                }],
            },
        });
        if self.served {
            pod["metadata"]["labels"][SERVED] = json!(group(variant));
        }
        if self.gangs.is_some() {
            let resources = &mut pod["spec"]["containers"][0]["resources"];
            for list in ["requests", "limits"] {
                resources[list][GPU] = json!("1");
            }
            pod["spec"]["schedulingGroup"] = json!({"podGroupName": GANG});
        }
        if let Value::Object(more) = (self.spec)(variant) {
            for (field, value) in more {
                pod["spec"][field] = value;
            }
        }
        pod.to_string()
    }
}

/// The name of a pod of a round.
pub fn pod_name(prefix: &str, index: usize) -> String {
    format!("{prefix}-{index:06}")
}

/// Which pod of a round has this name, if any.
pub fn pod_index(prefix: &str, name: &str) -> Option<usize> {
    name.strip_prefix(prefix)?.strip_prefix('-')?.parse().ok()
}

/// The name of a node.
pub fn node_name(index: usize) -> String {
    format!("node-{index:05}")
}

/// Whether a node is in one of the last five of the ten zones.
pub fn is_in_upper_zones(node: usize) -> bool {
    node % ZONES >= ZONES / 2
}

/// Nodes, ready to be sent: 32 cpu, 256Gi, room for 110 pods, in ten zones; with `gpus` also 8 GPUs.
pub fn nodes(count: usize, gpus: bool) -> Vec<Bytes> {
    (0..count)
        .map(|index| {
            let name = node_name(index);
            let mut resources = json!({
                "cpu": "32",
                "memory": "256Gi",
                "ephemeral-storage": "500Gi",
                "pods": PODS_PER_NODE.to_string(),
            });
            if gpus {
                resources[GPU] = json!(GPUS_PER_NODE.to_string());
            }
            let node = json!({
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": {
                    "kubernetes.io/hostname": name,
                    "kubernetes.io/os": "linux",
                    "kubernetes.io/arch": "amd64",
                    "topology.kubernetes.io/region": "region-0",
                    "topology.kubernetes.io/zone": zone(index),
                }},
                "status": {
                    "capacity": resources,
                    "allocatable": resources,
                    "conditions": [{
                        "type": "Ready", "status": "True", "reason": "KubeletReady",
                        "message": "kubelet is posting ready status",
                        "lastHeartbeatTime": "2026-01-01T00:00:00Z",
                        "lastTransitionTime": "2026-01-01T00:00:00Z",
                    }],
                },
            });
            Bytes::from(node.to_string())
        })
        .collect()
}

/// A service for each group, ready to be sent. They select none but the pods of kinds that say so.
pub fn services() -> Vec<Bytes> {
    (0..GROUPS)
        .map(|variant| {
            let service = json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": group(variant), "namespace": NAMESPACE},
                "spec": {"clusterIP": "None", "selector": {SERVED: group(variant)}},
            });
            Bytes::from(service.to_string())
        })
        .collect()
}

fn zone(index: usize) -> String {
    format!("zone-{}", index % ZONES)
}

fn group(variant: usize) -> String {
    format!("group-{variant}")
}

/// A term of pod affinity or anti-affinity to the group of a variant.
fn term(variant: usize, topology_key: &str) -> Value {
    json!({"topologyKey": topology_key, "labelSelector": {"matchLabels": {"group": group(variant)}}})
}

fn node_affinity(variant: usize) -> Value {
    let expression = |zones: &[String]| json!([{"key": "topology.kubernetes.io/zone", "operator": "In", "values": zones}]);
    json!({"affinity": {"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": expression(&[zone(variant), zone(variant + 1)])}],
        },
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 10, "preference": {"matchExpressions": expression(&[zone(variant)])}},
        ],
    }}})
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use k8s_openapi::api::core::v1::{Node, Pod};

    use super::*;

    #[test]
    fn every_kind_makes_valid_pods_with_names_that_lead_back() {
        for kind in POD_KINDS {
            for (index, body) in kind.pods("s", "p1", 25, Pace::AtOnce).iter().enumerate() {
                let pod: Pod = serde_json::from_slice(body).unwrap();
                let name = pod.metadata.name.unwrap();
                assert_eq!(pod_index("p1", &name), Some(index), "{}", kind.name);
                assert_eq!(pod_index("p2", &name), None);
                assert_eq!(pod.spec.unwrap().scheduler_name.as_deref(), Some("s"));
            }
        }
    }

    #[test]
    fn nodes_are_valid() {
        for body in nodes(3, true) {
            let node: Node = serde_json::from_slice(&body).unwrap();
            assert!(node.metadata.labels.unwrap().len() > 3);
        }
    }
}
