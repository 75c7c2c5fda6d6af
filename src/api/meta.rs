//! The part of an object's metadata that is read.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::decode::or_default;
use super::{Annotations, Pairs};

/// Object metadata without what nobody reads (managedFields alone is often half of a pod).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Meta {
    /// The object's name.
    pub name: Box<str>,
    /// Its namespace; empty for cluster-scoped kinds.
    pub namespace: Box<str>,
    /// Unique over time, unlike the name.
    pub uid: Box<str>,
    /// The version of the object; a decimal number that grows with every write.
    pub resource_version: Box<str>,
    /// Grows with every change of the spec.
    pub generation: Option<i64>,
    /// Labels.
    pub labels: Pairs,
    /// The annotations that are read.
    pub annotations: Annotations,
    /// The objects it belongs to.
    #[serde(deserialize_with = "or_default")]
    pub owner_references: Vec<OwnerReference>,
    /// Where an undecodable pod stands; only filled when decoding failed.
    #[serde(skip)]
    pub node_name: Box<str>,
    /// Present once deletion was asked for.
    pub deletion_timestamp: Option<IgnoredAny>,
}

/// An object that another one belongs to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OwnerReference {
    /// Group and version.
    pub api_version: Box<str>,
    /// Kind.
    pub kind: Box<str>,
    /// Name.
    pub name: Box<str>,
    /// Uid.
    pub uid: Box<str>,
    /// Whether it is the one that manages the object.
    pub controller: Option<bool>,
}

impl Meta {
    /// The resource version as a number; 0 when it is none.
    pub fn version(&self) -> u64 {
        self.resource_version.parse().unwrap_or(0)
    }

    /// What kube's watcher asks of an object: names and the version to resume from.
    pub(super) fn to_object_meta(&self) -> ObjectMeta {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        ObjectMeta {
            name: some(&self.name),
            namespace: some(&self.namespace),
            uid: some(&self.uid),
            resource_version: some(&self.resource_version),
            ..ObjectMeta::default()
        }
    }
}

/// What tells an object from others, without the rest.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Names {
    name: Box<str>,
    namespace: Box<str>,
    uid: Box<str>,
    resource_version: Box<str>,
}

impl From<Names> for Meta {
    fn from(names: Names) -> Self {
        Self {
            name: names.name,
            namespace: names.namespace,
            uid: names.uid,
            resource_version: names.resource_version,
            ..Self::default()
        }
    }
}

/// Metadata of kinds of which no label is read.
pub(super) fn names_only<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Meta, D::Error> {
    Names::deserialize(deserializer).map(Meta::from)
}
