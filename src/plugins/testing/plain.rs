//! Nodes and pods as plain values, from which both the API's form and the naive answers are made.

use std::collections::BTreeMap;

use super::peers::Peers;
use crate::api;
use crate::model::{CompiledPod, NodeModel};

/// Amounts by resource name: cpu in thousandths, the rest in units.
pub(crate) type Amounts = BTreeMap<String, i64>;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PlainNode {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// Key, value, effect.
    pub(crate) taints: Vec<(String, String, String)>,
    pub(crate) unschedulable: bool,
    pub(crate) pods: i64,
    pub(crate) allocatable: Amounts,
    /// Names of an image, and its size.
    pub(crate) images: Vec<(Vec<String>, i64)>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PlainContainer {
    pub(crate) requests: Amounts,
    /// Address, protocol, port.
    pub(crate) ports: Vec<(String, String, i32)>,
    pub(crate) image: String,
    /// Of init containers: keeps running.
    pub(crate) sidecar: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PlainToleration {
    pub(crate) key: String,
    pub(crate) operator: String,
    pub(crate) value: String,
    pub(crate) effect: String,
}

/// Key, operator, values.
pub(crate) type PlainRequirement = (String, String, Vec<String>);

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PlainTerm {
    pub(crate) expressions: Vec<PlainRequirement>,
    pub(crate) fields: Vec<PlainRequirement>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PlainPod {
    pub(crate) uid: String,
    pub(crate) priority: i32,
    pub(crate) containers: Vec<PlainContainer>,
    pub(crate) init: Vec<PlainContainer>,
    pub(crate) overhead: Amounts,
    pub(crate) pod_level: Option<Amounts>,
    pub(crate) tolerations: Vec<PlainToleration>,
    pub(crate) node_selector: BTreeMap<String, String>,
    pub(crate) required: Option<Vec<PlainTerm>>,
    pub(crate) preferred: Vec<(i32, PlainTerm)>,
    pub(crate) gates: Vec<String>,
    pub(crate) never_preempts: bool,
    pub(crate) peers: Peers,
}

fn pairs(amounts: &Amounts) -> api::Pairs {
    let text = |name: &str, amount: i64| match name {
        "cpu" => format!("{amount}m"),
        _ => amount.to_string(),
    };
    api::Pairs(
        (amounts.iter())
            .map(|(name, &amount)| ((**name).into(), text(name, amount).into()))
            .collect(),
    )
}

fn labels(map: &BTreeMap<String, String>) -> api::Pairs {
    map.iter().map(|(key, value)| (&**key, &**value)).collect()
}

impl PlainNode {
    pub(crate) fn api(&self, version: u64) -> api::Node {
        let mut node = api::Node::default();
        node.metadata.name = (*self.name).into();
        node.metadata.uid = format!("uid-of-{}", self.name).into();
        node.metadata.resource_version = version.to_string().into();
        node.metadata.labels = labels(&self.labels);
        node.spec.unschedulable = self.unschedulable;
        node.spec.taints = (self.taints.iter())
            .map(|(key, value, effect)| api::Taint {
                key: (**key).into(),
                value: (**value).into(),
                effect: (**effect).into(),
            })
            .collect();
        node.status.allocatable = pairs(&self.allocatable);
        (node.status.allocatable.0).push(("pods".into(), self.pods.to_string().into()));
        node.status.images = (self.images.iter())
            .map(|(names, size)| api::ContainerImage {
                names: names.iter().map(|name| (**name).into()).collect(),
                size_bytes: *size,
            })
            .collect();
        node
    }

    pub(crate) fn model(&self, version: u64) -> NodeModel {
        NodeModel::compile(&self.api(version)).unwrap()
    }
}

impl PlainContainer {
    fn api(&self, name: String) -> api::Container {
        api::Container {
            name: name.into(),
            image: (*self.image).into(),
            ports: (self.ports.iter())
                .map(|(ip, protocol, port)| api::ContainerPort {
                    host_port: *port,
                    host_ip: (**ip).into(),
                    protocol: (**protocol).into(),
                })
                .collect(),
            resources: api::Resources {
                requests: Some(pairs(&self.requests)),
            },
            restart_policy: if self.sidecar { "Always" } else { "" }.into(),
            ..api::Container::default()
        }
    }
}

impl PlainTerm {
    fn api(&self) -> api::NodeSelectorTerm {
        let requirements = |list: &[PlainRequirement]| {
            (list.iter())
                .map(|(key, operator, values)| api::Requirement {
                    key: (**key).into(),
                    operator: (**operator).into(),
                    values: values.iter().map(|value| (**value).into()).collect(),
                })
                .collect()
        };
        api::NodeSelectorTerm {
            match_expressions: requirements(&self.expressions),
            match_fields: requirements(&self.fields),
        }
    }
}

impl PlainPod {
    /// A pod of one container that asks for these amounts.
    pub(crate) fn asking(uid: &str, amounts: &[(&str, i64)]) -> Self {
        Self {
            uid: uid.to_owned(),
            containers: vec![PlainContainer {
                requests: (amounts.iter())
                    .map(|&(name, amount)| (name.to_owned(), amount))
                    .collect(),
                ..PlainContainer::default()
            }],
            ..Self::default()
        }
    }

    /// The API's form; `node` is empty while the pod waits.
    pub(crate) fn api(&self, node: &str, version: u64) -> api::Pod {
        let mut pod: api::Pod = serde_json::from_value(self.peers.json()).unwrap();
        pod.metadata.name = (*self.uid).into();
        pod.metadata.uid = (*self.uid).into();
        pod.metadata.resource_version = version.to_string().into();
        pod.spec.node_name = node.into();
        pod.spec.scheduler_name = "berth".into();
        pod.spec.priority = Some(self.priority);
        if self.never_preempts {
            pod.spec.preemption_policy = "Never".into();
        }
        pod.spec.node_selector = labels(&self.node_selector);
        pod.spec.containers = (self.containers.iter().enumerate())
            .map(|(place, container)| container.api(format!("main-{place}")))
            .collect();
        pod.spec.init_containers = (self.init.iter().enumerate())
            .map(|(place, container)| container.api(format!("init-{place}")))
            .collect();
        pod.spec.overhead = pairs(&self.overhead);
        pod.spec.resources.requests = self.pod_level.as_ref().map(pairs);
        pod.spec.tolerations = (self.tolerations.iter())
            .map(|toleration| api::Toleration {
                key: (*toleration.key).into(),
                operator: (*toleration.operator).into(),
                value: (*toleration.value).into(),
                effect: (*toleration.effect).into(),
            })
            .collect();
        if self.required.is_some() || !self.preferred.is_empty() {
            pod.spec.affinity.node_affinity = Some(api::NodeAffinity {
                required: self.required.as_ref().map(|terms| api::NodeSelector {
                    node_selector_terms: terms.iter().map(PlainTerm::api).collect(),
                }),
                preferred: (self.preferred.iter())
                    .map(|(weight, term)| api::PreferredTerm {
                        weight: *weight,
                        preference: term.api(),
                    })
                    .collect(),
            });
        }
        pod.spec.scheduling_gates = (self.gates.iter())
            .map(|gate| api::SchedulingGate {
                name: (**gate).into(),
            })
            .collect();
        pod
    }

    pub(crate) fn compiled(&self, node: &str, version: u64) -> CompiledPod {
        CompiledPod::compile(&self.api(node, version)).unwrap()
    }
}
