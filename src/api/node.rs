//! core/v1 Node.

use serde::Deserialize;

use super::decode::or_default;
use super::{Kind, Meta, Pairs};

/// A node, as far as scheduling reads it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Metadata with labels.
    pub metadata: Meta,
    /// What was asked of the node.
    pub spec: NodeSpec,
    /// What the kubelet reported.
    pub status: NodeStatus,
}

/// Node spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeSpec {
    /// Cordoned.
    pub unschedulable: bool,
    /// Taints.
    #[serde(deserialize_with = "or_default")]
    pub taints: Vec<Taint>,
}

/// A taint.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Taint {
    /// Key.
    pub key: Box<str>,
    /// Value; may be empty.
    pub value: Box<str>,
    /// NoSchedule, PreferNoSchedule or NoExecute.
    pub effect: Box<str>,
}

/// Node status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeStatus {
    /// Resources that pods may request, as quantities.
    pub allocatable: Pairs,
    /// Features that the kubelet declares.
    #[serde(deserialize_with = "or_default")]
    pub declared_features: Vec<Box<str>>,
    /// Images present on the node.
    #[serde(deserialize_with = "or_default")]
    pub images: Vec<ContainerImage>,
}

/// A container image on a node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerImage {
    /// All the names it is known by.
    #[serde(deserialize_with = "or_default")]
    pub names: Vec<Box<str>>,
    /// Its size in bytes.
    pub size_bytes: i64,
}

impl Kind for Node {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Node";
    const PLURAL: &'static str = "nodes";

    fn meta(&self) -> &Meta {
        &self.metadata
    }
}
