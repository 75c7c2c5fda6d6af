//! core/v1 PersistentVolumeClaim and PersistentVolume, storage.k8s.io/v1 StorageClass.

use serde::Deserialize;

use super::decode::or_default;
use super::meta::names_only;
use super::{Kind, Meta, NodeSelector, Present};

/// A claim.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PersistentVolumeClaim {
    /// Metadata.
    pub metadata: Meta,
    /// What was asked.
    #[serde(deserialize_with = "or_default")]
    pub spec: PersistentVolumeClaimSpec,
    /// What was reported.
    #[serde(deserialize_with = "or_default")]
    pub status: PersistentVolumeClaimStatus,
}

/// Claim spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PersistentVolumeClaimSpec {
    /// The volume it is bound to, or is to be.
    pub volume_name: Box<str>,
    /// Where a volume for it comes from; None differs from empty for admission alone.
    pub storage_class_name: Option<Box<str>>,
    /// ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod.
    #[serde(deserialize_with = "or_default")]
    pub access_modes: Vec<Box<str>>,
}

/// Claim status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PersistentVolumeClaimStatus {
    /// Pending, Bound or Lost.
    pub phase: Box<str>,
}

/// A volume that claims are bound to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PersistentVolume {
    /// Metadata with labels.
    pub metadata: Meta,
    /// What it is.
    #[serde(deserialize_with = "or_default")]
    pub spec: PersistentVolumeSpec,
}

/// Volume spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PersistentVolumeSpec {
    /// From where it can be reached.
    #[serde(deserialize_with = "or_default")]
    pub node_affinity: VolumeNodeAffinity,
    /// A disk of a driver that was built into Kubernetes.
    pub aws_elastic_block_store: Present,
    /// A disk of a driver that was built into Kubernetes.
    pub azure_disk: Present,
    /// A disk of a driver that was built into Kubernetes.
    pub cinder: Present,
    /// A disk of a driver that was built into Kubernetes.
    pub gce_persistent_disk: Present,
    /// A disk of a driver that was built into Kubernetes.
    pub portworx_volume: Present,
}

/// From which nodes a volume can be reached.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct VolumeNodeAffinity {
    /// The nodes; None for all.
    pub required: Option<NodeSelector>,
}

/// A storage class.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StorageClass {
    /// Metadata, as far as it names the object.
    #[serde(deserialize_with = "names_only")]
    pub metadata: Meta,
    /// Immediate (also when empty) or WaitForFirstConsumer.
    pub volume_binding_mode: Box<str>,
}

impl Kind for PersistentVolumeClaim {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "PersistentVolumeClaim";
    const PLURAL: &'static str = "persistentvolumeclaims";

    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

impl Kind for PersistentVolume {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "PersistentVolume";
    const PLURAL: &'static str = "persistentvolumes";

    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

impl Kind for StorageClass {
    const GROUP: &'static str = "storage.k8s.io";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "StorageClass";
    const PLURAL: &'static str = "storageclasses";

    fn meta(&self) -> &Meta {
        &self.metadata
    }
}
