//! core/v1 Namespace.

use serde::Deserialize;

use super::{Kind, Meta};

/// A namespace: its name and labels, which namespace selectors match.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// Metadata; the labels are what is read.
    pub metadata: Meta,
}

impl Kind for Namespace {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Namespace";
    const PLURAL: &'static str = "namespaces";

    fn meta(&self) -> &Meta {
        &self.metadata
    }
}
