//! Claims, volumes and storage classes that change.

use super::Engine;
use crate::api;
use crate::framework::{ClusterEvent, EventKind};
use crate::model::{PersistentVolume, StorageClass, Time, VolumeClaim};

/// What a watch saw of volumes.
#[derive(Clone, Debug)]
pub enum VolumeChange {
    /// A claim as it is now.
    Claim(Box<api::PersistentVolumeClaim>),
    /// The claim of this namespace and name is gone.
    ClaimGone(Box<str>, Box<str>),
    /// A volume as it is now.
    Volume(Box<api::PersistentVolume>),
    /// The volume of this name is gone.
    VolumeGone(Box<str>),
    /// A storage class as it is now.
    StorageClass(Box<api::StorageClass>),
    /// The storage class of this name is gone.
    StorageClassGone(Box<str>),
}

impl Engine {
    /// What is gone helps nobody.
    pub(super) fn volume_change(&mut self, change: VolumeChange, now: Time) {
        match change {
            VolumeChange::Claim(claim) => {
                let api::Meta {
                    namespace, name, ..
                } = &claim.metadata;
                let new = VolumeClaim::compile(&claim);
                if let Some(change) = self.cluster.set_claim(namespace, name, Some(new)) {
                    let kind = match change.old {
                        None => EventKind::ClaimAdd,
                        Some(_) => EventKind::ClaimUpdate,
                    };
                    self.wake(&ClusterEvent::Claim(kind, namespace, name), now);
                }
            }
            VolumeChange::ClaimGone(namespace, name) => {
                self.cluster.set_claim(&namespace, &name, None);
            }
            VolumeChange::Volume(volume) => {
                let name = &volume.metadata.name;
                let new = PersistentVolume::compile(&volume);
                if let Some(change) = self.cluster.set_volume(name, Some(new.clone())) {
                    let event = ClusterEvent::Volume(name, change.old.as_ref(), &new);
                    self.wake(&event, now);
                }
            }
            VolumeChange::VolumeGone(name) => {
                self.cluster.set_volume(&name, None);
            }
            VolumeChange::StorageClass(class) => {
                let name = &class.metadata.name;
                let new = StorageClass::compile(&class);
                // None can be changed: it may have been deleted and made anew between two looks.
                let change = self.cluster.set_storage_class(name, Some(new));
                if change.is_some() {
                    self.wake(&ClusterEvent::StorageClassAdd(name, new), now);
                }
            }
            VolumeChange::StorageClassGone(name) => {
                self.cluster.set_storage_class(&name, None);
            }
        }
    }
}
