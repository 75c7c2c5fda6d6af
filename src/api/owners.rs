//! Services and controllers: core/v1 Service and ReplicationController, apps/v1 ReplicaSet and
//! StatefulSet.
//!
//! Default spreading takes the pods that these select to be of one kind. There may be many
//! ReplicaSets, of which most are old revisions, so nothing but names and selector is decoded.

use serde::Deserialize;

use super::decode::or_default;
use super::meta::names_only;
use super::{Kind, LabelSelector, Meta, Pairs};

/// A service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Metadata, as far as it names the object.
    #[serde(deserialize_with = "names_only")]
    pub metadata: Meta,
    /// What it is.
    #[serde(deserialize_with = "or_default")]
    pub spec: ServiceSpec,
}

/// Service spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServiceSpec {
    /// Labels of its pods; a service without it selects none, one with an empty one selects all.
    pub selector: Option<Pairs>,
}

/// A replication controller.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ReplicationController {
    /// Metadata, as far as it names the object.
    #[serde(deserialize_with = "names_only")]
    pub metadata: Meta,
    /// What it is.
    #[serde(deserialize_with = "or_default")]
    pub spec: ReplicationControllerSpec,
}

/// Replication controller spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ReplicationControllerSpec {
    /// Labels of its pods.
    pub selector: Pairs,
}

/// A replica set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ReplicaSet {
    /// Metadata, as far as it names the object.
    #[serde(deserialize_with = "names_only")]
    pub metadata: Meta,
    /// What it is.
    #[serde(deserialize_with = "or_default")]
    pub spec: ControllerSpec,
}

/// A stateful set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct StatefulSet {
    /// Metadata, as far as it names the object.
    #[serde(deserialize_with = "names_only")]
    pub metadata: Meta,
    /// What it is.
    #[serde(deserialize_with = "or_default")]
    pub spec: ControllerSpec,
}

/// The spec of a replica set or stateful set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ControllerSpec {
    /// Its pods; without it, none.
    pub selector: Option<LabelSelector>,
}

impl Kind for Service {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Service";
    const PLURAL: &'static str = "services";

    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

impl Kind for ReplicationController {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "ReplicationController";
    const PLURAL: &'static str = "replicationcontrollers";

    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

impl Kind for ReplicaSet {
    const GROUP: &'static str = "apps";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "ReplicaSet";
    const PLURAL: &'static str = "replicasets";

    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

impl Kind for StatefulSet {
    const GROUP: &'static str = "apps";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "StatefulSet";
    const PLURAL: &'static str = "statefulsets";

    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

#[cfg(test)]
mod tests;
