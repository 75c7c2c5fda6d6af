//! scheduling.k8s.io/v1 PriorityClass.

use serde::Deserialize;

use super::{Kind, Meta};

/// A priority class. Admission writes its value into each pod; Berth reads the class only to know
/// which priorities exist.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PriorityClass {
    /// Metadata.
    pub metadata: Meta,
    /// The priority of its pods.
    pub value: i32,
}

impl Kind for PriorityClass {
    const GROUP: &'static str = "scheduling.k8s.io";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "PriorityClass";
    const PLURAL: &'static str = "priorityclasses";

    fn meta(&self) -> &Meta {
        &self.metadata
    }
}
