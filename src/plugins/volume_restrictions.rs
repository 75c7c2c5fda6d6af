//! VolumeRestrictions: claims that only one pod may use at a time. Source:
//! `plugins/volumerestrictions`.
//!
//! Disks that a pod names itself, and that nodes cannot share, are refused.

use crate::cluster::{Cluster, NodeSet};
use crate::framework::{
    ClusterEvent, Code, Diagnosis, EventKind, EventSet, Incoming, PeerFilter, Plugin,
    PreFilterAnswer, Reason, Topic,
};
use crate::model::PodShape;

const IN_USE: Reason = Reason::Text(
    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already \
     in-use by another pod",
);

const DISKS: &str = "this version of Berth does not support volumes that nodes cannot share \
                     (gcePersistentDisk, awsElasticBlockStore, iscsi, rbd)";

/// Keeps pods off claims that another pod uses for itself.
pub struct VolumeRestrictions;

/// Whether the pod names a claim for one pod alone that another one uses; an error when one of its
/// claims is not there.
fn conflicts(pod: &PodShape, cluster: &Cluster) -> Result<bool, String> {
    let Some(asked) = &pod.claims else {
        return Ok(false);
    };
    let (namespace, volumes) = (&asked.namespace, cluster.volumes());
    let mut conflict = false;
    for name in asked.named() {
        let claim = volumes.existing_claim(namespace, name)?;
        conflict |= claim.read_write_once_pod && volumes.is_used(namespace, name);
    }
    Ok(conflict)
}

impl Plugin for VolumeRestrictions {
    fn name(&self) -> &'static str {
        "VolumeRestrictions"
    }

    fn peer_filter(&self) -> Option<&dyn PeerFilter> {
        Some(self)
    }

    /// Upstream listens to new nodes too, for the sake of disks, and not to claims that change: but one
    /// that was deleted and made anew between two looks has changed.
    fn events(&self) -> EventSet {
        EventSet::of(&[
            EventKind::AssignedPodDelete,
            EventKind::ClaimAdd,
            EventKind::ClaimUpdate,
        ])
    }

    fn topics(&self, pod: Incoming<'_>, _: &Cluster) -> Vec<Topic> {
        let asked = pod.shape.claims.iter();
        asked.flat_map(|asked| Topic::named_claims(asked)).collect()
    }

    fn hint(&self, event: &ClusterEvent<'_>, pod: Incoming<'_>, cluster: &Cluster) -> bool {
        let Some(asked) = &pod.shape.claims else {
            return false;
        };
        match event {
            ClusterEvent::Claim(kind, namespace, name) => {
                asked.names(namespace, name)
                    && (*kind == EventKind::ClaimAdd || conflicts(pod.shape, cluster) == Ok(false))
            }
            ClusterEvent::AssignedPodDelete(gone) => {
                let mut freed = gone.pod.claims.iter();
                let of_it = &cluster.peers().class(gone.peers).spec().namespace;
                freed.any(|freed| asked.names(of_it, freed))
            }
            _ => false,
        }
    }
}

impl PeerFilter for VolumeRestrictions {
    fn pre_filter(&self, pod: Incoming<'_>, cluster: &Cluster) -> PreFilterAnswer {
        if pod.shape.exclusive_disks {
            return PreFilterAnswer::Reject(DISKS.to_owned());
        }
        match conflicts(pod.shape, cluster) {
            Err(text) => PreFilterAnswer::Reject(text),
            Ok(false) => PreFilterAnswer::Skip,
            Ok(true) => PreFilterAnswer::Proceed,
        }
    }

    /// The pod that uses the claim may be anywhere; without it every node will do.
    fn filter(
        &self,
        pod: Incoming<'_>,
        cluster: &Cluster,
        left: &mut NodeSet,
        why: &mut Diagnosis,
    ) {
        if conflicts(pod.shape, cluster) == Ok(true) {
            let all = left.clone();
            why.reject(left, &all, IN_USE, Code::Unschedulable);
        }
    }
}

#[cfg(test)]
mod tests;
