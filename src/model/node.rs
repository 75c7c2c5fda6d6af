//! A node, compiled.

use super::requests::CompileError;
use super::{LabelView, Quantity, Taint, is_scalar_resource};
use crate::api;

/// An image on a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Image {
    /// All the names it is known by.
    pub names: Box<[Box<str>]>,
    /// Size in bytes.
    pub size: i64,
}

/// What scheduling knows of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeModel {
    /// The node's name.
    pub name: Box<str>,
    /// The uid of this incarnation of the name.
    pub uid: Box<str>,
    /// Resource version, so that older news is ignored.
    pub version: u64,
    /// Labels, sorted by key.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// Taints, in the node's order.
    pub taints: Box<[Taint]>,
    /// Cordoned.
    pub unschedulable: bool,
    /// Resources by name, sorted: cpu in milli, the rest in units. `pods` is apart.
    pub allocatable: Box<[(Box<str>, i64)]>,
    /// How many pods the node takes.
    pub allowed_pods: i64,
    /// Features that the kubelet declares, in its order.
    pub declared_features: Box<[Box<str>]>,
    /// Images present.
    pub images: Box<[Image]>,
}

impl NodeModel {
    /// Compiles the API's form.
    ///
    /// # Errors
    ///
    /// When a quantity cannot be read; such a node must take no pods.
    pub fn compile(node: &api::Node) -> Result<Self, CompileError> {
        let mut labels: Vec<_> = node.metadata.labels.0.clone();
        labels.sort_unstable();
        let mut allocatable = Vec::with_capacity(node.status.allocatable.0.len());
        let mut allowed_pods = 0;
        for (name, text) in node.status.allocatable.iter() {
            let quantity = Quantity::parse(text).map_err(|source| CompileError::Quantity {
                path: "status.allocatable".into(),
                resource: name.to_owned(),
                source,
            })?;
            match name {
                "pods" => allowed_pods = quantity.value(),
                "cpu" => allocatable.push((name.into(), quantity.milli_value())),
                "memory" | "ephemeral-storage" => {
                    allocatable.push((name.into(), quantity.value()));
                }
                _ if is_scalar_resource(name) => allocatable.push((name.into(), quantity.value())),
                _ => {}
            }
        }
        allocatable.sort_unstable();
        Ok(Self {
            name: node.metadata.name.clone(),
            uid: node.metadata.uid.clone(),
            version: node.metadata.version(),
            labels: labels.into(),
            taints: node.spec.taints.iter().map(Taint::compile).collect(),
            unschedulable: node.spec.unschedulable,
            allocatable: allocatable.into(),
            allowed_pods,
            declared_features: node.status.declared_features.clone().into(),
            images: (node.status.images.iter())
                .map(|image| Image {
                    names: image.names.clone().into(),
                    size: image.size_bytes,
                })
                .collect(),
        })
    }

    /// The allocatable amount of a resource; 0 when the node has none.
    pub fn allocatable(&self, name: &str) -> i64 {
        (self
            .allocatable
            .binary_search_by(|(one, _)| (**one).cmp(name))
            .ok())
        .and_then(|index| self.allocatable.get(index))
        .map_or(0, |(_, amount)| *amount)
    }
}

impl LabelView for NodeModel {
    fn label(&self, key: &str) -> Option<&str> {
        let index = self
            .labels
            .binary_search_by(|(one, _)| (**one).cmp(key))
            .ok()?;
        self.labels.get(index).map(|(_, value)| &**value)
    }

    fn name(&self) -> &str {
        &self.name
    }
}
