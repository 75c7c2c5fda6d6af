//! Claims, volumes and storage classes, and which claims placed pods use.

use std::collections::HashMap;

use super::{Cluster, PlacedRecord};
use crate::model::{PersistentVolume, StorageClass, VolumeClaim};

/// What is known of volumes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Volumes {
    /// By namespace and name.
    claims: HashMap<Box<str>, HashMap<Box<str>, VolumeClaim>>,
    volumes: HashMap<Box<str>, PersistentVolume>,
    classes: HashMap<Box<str>, StorageClass>,
    /// How many placed pods name a claim, by namespace and name.
    users: HashMap<Box<str>, HashMap<Box<str>, usize>>,
}

impl Volumes {
    /// The claim of this namespace and name.
    pub fn claim(&self, namespace: &str, name: &str) -> Option<&VolumeClaim> {
        self.claims.get(namespace)?.get(name)
    }

    /// The same of a claim that has to be there.
    ///
    /// # Errors
    ///
    /// Upstream's text when it is not.
    pub fn existing_claim(&self, namespace: &str, name: &str) -> Result<&VolumeClaim, String> {
        (self.claim(namespace, name))
            .ok_or_else(|| format!("persistentvolumeclaim {name:?} not found"))
    }

    /// The volume of this name.
    pub fn volume(&self, name: &str) -> Option<&PersistentVolume> {
        self.volumes.get(name)
    }

    /// The storage class of this name.
    pub fn class(&self, name: &str) -> Option<&StorageClass> {
        self.classes.get(name)
    }

    /// Whether a placed pod names this claim. Source: `StorageInfos().IsPVCUsedByPods`.
    pub fn is_used(&self, namespace: &str, claim: &str) -> bool {
        (self.users.get(namespace)).is_some_and(|claims| claims.contains_key(claim))
    }

    /// Counts a pod that came to its node, or left it.
    pub(super) fn account(&mut self, record: &PlacedRecord, sign: i64) {
        if record.pod.claims.is_empty() {
            return;
        }
        let namespace = &record.reference.namespace;
        let claims = self.users.entry(namespace.clone()).or_default();
        for claim in &record.pod.claims {
            let users = claims.entry(claim.clone()).or_default();
            *users = users.saturating_add_signed(sign as isize);
            if *users == 0 {
                claims.remove(claim);
            }
        }
        if claims.is_empty() {
            self.users.remove(namespace);
        }
    }
}

/// An object that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced<T> {
    /// As it was; None when it is new.
    pub old: Option<T>,
}

/// Puts a value in place, or takes it out. None when that changes nothing.
fn put<T: PartialEq>(
    map: &mut HashMap<Box<str>, T>,
    name: &str,
    value: Option<T>,
) -> Option<Replaced<T>> {
    if map.get(name) == value.as_ref() {
        return None;
    }
    let old = match value {
        Some(value) => map.insert(name.into(), value),
        None => map.remove(name),
    };
    Some(Replaced { old })
}

impl Cluster {
    /// What is known of volumes.
    pub fn volumes(&self) -> &Volumes {
        &self.volumes
    }

    /// Takes in a claim; None when it is gone. Answers what it was, if that changes anything.
    pub fn set_claim(
        &mut self,
        namespace: &str,
        name: &str,
        claim: Option<VolumeClaim>,
    ) -> Option<Replaced<VolumeClaim>> {
        let claims = (self.volumes.claims).entry(namespace.into()).or_default();
        let replaced = put(claims, name, claim);
        if claims.is_empty() {
            self.volumes.claims.remove(namespace);
        }
        replaced
    }

    /// The same for a volume.
    pub fn set_volume(
        &mut self,
        name: &str,
        volume: Option<PersistentVolume>,
    ) -> Option<Replaced<PersistentVolume>> {
        put(&mut self.volumes.volumes, name, volume)
    }

    /// The same for a storage class.
    pub fn set_storage_class(
        &mut self,
        name: &str,
        class: Option<StorageClass>,
    ) -> Option<Replaced<StorageClass>> {
        put(&mut self.volumes.classes, name, class)
    }
}
