//! Claims, the volumes they are bound to, and storage classes.

use super::RequiredTerms;
use crate::api::{self, annotation};

/// The claims that a pod asks for. Two pods with equal ones get the same answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodClaims {
    /// The pod's namespace, in which the claims are.
    pub namespace: Box<str>,
    /// The claims, in the order of the pod's volumes.
    pub claims: Box<[PodClaim]>,
    /// The pod itself, if claims are made for it.
    pub owner: Option<ClaimOwner>,
}

/// A claim that a pod asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodClaim {
    /// Its name.
    pub name: Box<str>,
    /// Whether it is made for the pod (a generic ephemeral volume).
    pub ephemeral: bool,
}

/// The pod that claims are made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimOwner {
    /// Its name.
    pub name: Box<str>,
    /// Its uid.
    pub uid: Box<str>,
}

impl PodClaims {
    /// None for a pod without claims.
    pub(super) fn compile(pod: &api::Pod) -> Option<Box<Self>> {
        let meta = &pod.metadata;
        let claims = pod.spec.volumes.iter().filter_map(|volume| {
            match (&volume.persistent_volume_claim, &volume.ephemeral) {
                (Some(claim), _) => Some(PodClaim {
                    name: claim.claim_name.clone(),
                    ephemeral: false,
                }),
                (None, Some(_)) => Some(PodClaim {
                    name: format!("{}-{}", meta.name, volume.name).into(),
                    ephemeral: true,
                }),
                (None, None) => None,
            }
        });
        let claims: Box<[PodClaim]> = claims.collect();
        let ephemeral = claims.iter().any(|claim| claim.ephemeral);
        (!claims.is_empty()).then(|| {
            Box::new(Self {
                namespace: meta.namespace.clone(),
                owner: ephemeral.then(|| ClaimOwner {
                    name: meta.name.clone(),
                    uid: meta.uid.clone(),
                }),
                claims,
            })
        })
    }

    /// The claims that the pod names itself; others may use them too.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        let named = self.claims.iter().filter(|claim| !claim.ephemeral);
        named.map(|claim| &*claim.name)
    }

    /// Whether the pod itself names this claim.
    pub fn names(&self, namespace: &str, name: &str) -> bool {
        *self.namespace == *namespace && self.named().any(|own| own == name)
    }
}

/// The claims that a pod names itself, each once.
pub(super) fn named_claims(pod: &api::Pod) -> Box<[Box<str>]> {
    let claims = (pod.spec.volumes.iter()).filter_map(|one| one.persistent_volume_claim.as_ref());
    let mut names: Vec<Box<str>> = claims.map(|claim| claim.claim_name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names.into()
}

/// A persistent volume claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeClaim {
    /// The volume that it is bound to, or is to be; empty for none.
    pub volume: Box<str>,
    /// Binding is complete. Source: `volumebinding/binder.go`, isPVCFullyBound.
    pub bound: bool,
    /// Its volume is gone for good.
    pub lost: bool,
    /// Deletion was asked for.
    pub terminating: bool,
    /// The name of its storage class; empty for none.
    pub class: Box<str>,
    /// No two pods may use it at a time.
    pub read_write_once_pod: bool,
    /// The uid of the object that controls it; empty for none.
    pub controller: Box<str>,
}

impl VolumeClaim {
    /// Reads the API's form.
    pub fn compile(claim: &api::PersistentVolumeClaim) -> Self {
        let api::PersistentVolumeClaim {
            metadata,
            spec,
            status,
        } = claim;
        let annotated = |key| metadata.annotations.get(key);
        let class = annotated(annotation::CLAIM_CLASS);
        let mut owners = metadata.owner_references.iter();
        Self {
            volume: spec.volume_name.clone(),
            bound: !spec.volume_name.is_empty() && annotated(annotation::CLAIM_BOUND).is_some(),
            lost: &*status.phase == "Lost",
            terminating: metadata.deletion_timestamp.is_some(),
            class: class
                .or(spec.storage_class_name.as_deref())
                .unwrap_or("")
                .into(),
            read_write_once_pod: (spec.access_modes.iter())
                .any(|mode| &**mode == "ReadWriteOncePod"),
            controller: owners
                .find(|owner| owner.controller == Some(true))
                .map(|owner| owner.uid.clone())
                .unwrap_or_default(),
        }
    }
}

const ZONE: &str = "topology.kubernetes.io/zone";
const REGION: &str = "topology.kubernetes.io/region";
const OLD_ZONE: &str = "failure-domain.beta.kubernetes.io/zone";
const OLD_REGION: &str = "failure-domain.beta.kubernetes.io/region";

/// The labels that tell where nodes and volumes are, in the order in which VolumeZone reads them.
pub const PLACE_LABELS: [&str; 4] = [OLD_ZONE, OLD_REGION, ZONE, REGION];

/// A label of a volume that tells where it can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumePlace {
    /// The label, one of [`PLACE_LABELS`].
    pub key: &'static str,
    /// The values of that label that nodes may have.
    pub values: Box<[Box<str>]>,
}

impl VolumePlace {
    /// The newer name of the label, by which nodes are known that do not have it; the same if there
    /// is no newer one.
    pub fn newer_key(&self) -> &'static str {
        match self.key {
            OLD_ZONE => ZONE,
            OLD_REGION => REGION,
            key => key,
        }
    }
}

/// A persistent volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersistentVolume {
    /// The nodes from which it can be reached; None for all.
    pub affinity: Option<RequiredTerms>,
    /// Where its labels say it is. Source: `volumezone`, getPVTopologies.
    pub places: Box<[VolumePlace]>,
    /// It is of a driver that was built into Kubernetes, so that kube-scheduler reads its affinity
    /// as that driver's successor on each node would.
    pub translated: bool,
}

impl PersistentVolume {
    /// Reads the API's form.
    pub fn compile(volume: &api::PersistentVolume) -> Self {
        let api::PersistentVolume { metadata, spec } = volume;
        let places = PLACE_LABELS.into_iter().filter_map(|key| {
            let (_, value) = metadata.labels.iter().find(|(one, _)| *one == key)?;
            Some(VolumePlace {
                key,
                values: places(value)?,
            })
        });
        let in_tree = [
            &spec.aws_elastic_block_store,
            &spec.azure_disk,
            &spec.cinder,
            &spec.gce_persistent_disk,
            &spec.portworx_volume,
        ];
        Self {
            affinity: (spec.node_affinity.required.as_ref()).map(RequiredTerms::of_volume),
            places: places.collect(),
            translated: in_tree.iter().any(|source| source.is_some()),
        }
    }
}

/// The values that a label lists: None when one is empty. Source: cloud-provider
/// `volume/helpers.LabelZonesToSet`.
fn places(value: &str) -> Option<Box<[Box<str>]>> {
    let values = value.split("__").map(str::trim);
    (values.map(|value| (!value.is_empty()).then(|| value.into()))).collect()
}

/// A storage class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageClass {
    /// Claims are bound when the first pod that asks for them is placed.
    pub waits_for_consumer: bool,
}

impl StorageClass {
    /// Reads the API's form.
    pub fn compile(class: &api::StorageClass) -> Self {
        Self {
            waits_for_consumer: &*class.volume_binding_mode == "WaitForFirstConsumer",
        }
    }
}

#[cfg(test)]
mod tests;
