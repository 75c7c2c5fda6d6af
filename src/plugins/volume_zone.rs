//! VolumeZone: volumes that say by labels in which zone they are. Source: `plugins/volumezone`.

use crate::cluster::{Cluster, NodeSet, Volumes};
use crate::framework::{
    ClusterEvent, Code, Diagnosis, EventKind, EventSet, Incoming, PeerFilter, Plugin,
    PreFilterAnswer, Reason, Topic,
};
use crate::model::{
    LabelView, NodeModel, PLACE_LABELS, PersistentVolume, PodClaims, VolumeClaim, VolumePlace,
};

const REASON: Reason = Reason::Text("node(s) had no available volume zone");

/// Keeps pods in the zones of their volumes.
pub struct VolumeZone;

/// The volumes of the claims that the pod names, or why there is none. Source: getPVbyPod.
fn volumes_of<'a>(
    asked: &PodClaims,
    volumes: &'a Volumes,
) -> Result<Vec<&'a PersistentVolume>, String> {
    let mut found = Vec::new();
    for name in asked.named() {
        let claim = volumes.existing_claim(&asked.namespace, name)?;
        if claim.volume.is_empty() {
            unbound(claim, volumes)?;
            continue;
        }
        let volume = (volumes.volume(&claim.volume))
            .ok_or_else(|| format!("persistentvolume {:?} not found", claim.volume))?;
        found.push(volume);
    }
    Ok(found)
}

/// Whether a claim without a volume may be passed over.
fn unbound(claim: &VolumeClaim, volumes: &Volumes) -> Result<(), String> {
    let class = &claim.class;
    if class.is_empty() {
        return Err("PersistentVolumeClaim had no pv name and storageClass name".to_owned());
    }
    match volumes.class(class) {
        None => Err(format!("storageclass.storage.k8s.io {class:?} not found")),
        Some(class) if class.waits_for_consumer => Ok(()),
        Some(_) => Err("PersistentVolume had no name".to_owned()),
    }
}

fn places<'a>(asked: &PodClaims, volumes: &'a Volumes) -> impl Iterator<Item = &'a VolumePlace> {
    let found = volumes_of(asked, volumes).unwrap_or_default();
    found.into_iter().flat_map(|volume| &volume.places)
}

/// Whether the node is where the volumes are. One that does not say where it is will do.
fn in_place(asked: &PodClaims, node: &NodeModel, volumes: &Volumes) -> bool {
    let told = PLACE_LABELS.iter().any(|key| node.label(key).is_some());
    !told
        || places(asked, volumes).all(|place| {
            let value = node.label(place.key);
            let value = value.or_else(|| node.label(place.newer_key()));
            value.is_some_and(|value| place.values.iter().any(|one| **one == *value))
        })
}

/// The nodes that are at this place, by the indexes.
fn nodes_at(place: &VolumePlace, cluster: &Cluster) -> NodeSet {
    let labels = cluster.labels();
    let with = |key| {
        let mut nodes = NodeSet::new();
        for value in &place.values {
            labels.with_value(key, value, &mut nodes);
        }
        nodes
    };
    let mut nodes = with(place.key);
    let newer = place.newer_key();
    if newer != place.key {
        let mut others = with(newer);
        let mut labelled = NodeSet::new();
        labels.with_key(place.key, &mut labelled);
        others.subtract(&labelled);
        nodes.union(&others);
    }
    nodes
}

impl Plugin for VolumeZone {
    fn name(&self) -> &'static str {
        "VolumeZone"
    }

    fn peer_filter(&self) -> Option<&dyn PeerFilter> {
        Some(self)
    }

    fn events(&self) -> EventSet {
        EventSet::of(&[
            EventKind::StorageClassAdd,
            EventKind::NodeAdd,
            EventKind::NodeLabel,
            EventKind::ClaimAdd,
            EventKind::ClaimUpdate,
            EventKind::VolumeAdd,
            EventKind::VolumeUpdate,
        ])
    }

    fn topics(&self, pod: Incoming<'_>, cluster: &Cluster) -> Vec<Topic> {
        let kinds = [EventKind::StorageClassAdd, EventKind::NodeAdd].map(Topic::Kind);
        let labels = PLACE_LABELS.map(Topic::node_label);
        let mut topics: Vec<_> = kinds.into_iter().chain(labels).collect();
        if let Some(asked) = &pod.shape.claims {
            topics.extend(Topic::named_claims(asked));
            let claims = asked.named().filter_map(|name| {
                let claim = cluster.volumes().claim(&asked.namespace, name)?;
                Some(Topic::volume(&claim.volume))
            });
            topics.extend(claims);
        }
        topics
    }

    /// Upstream tries the pod again whenever any volume or node comes. Here it is the pod's own
    /// volumes, and nodes that are where those are.
    fn hint(&self, event: &ClusterEvent<'_>, pod: Incoming<'_>, cluster: &Cluster) -> bool {
        let Some(asked) = &pod.shape.claims else {
            return false;
        };
        let volumes = cluster.volumes();
        let mut claims = asked
            .named()
            .filter_map(|name| volumes.claim(&asked.namespace, name));
        match event {
            ClusterEvent::Claim(_, namespace, name) => asked.names(namespace, name),
            ClusterEvent::Volume(name, old, new) => {
                old.is_none_or(|old| old.places != new.places)
                    && claims.any(|claim| *claim.volume == **name)
            }
            ClusterEvent::StorageClassAdd(name, class) => {
                class.waits_for_consumer
                    && claims.any(|claim| claim.volume.is_empty() && *claim.class == **name)
            }
            ClusterEvent::NodeAdd(node) => in_place(asked, node, volumes),
            ClusterEvent::NodeUpdate(_, old, new) => {
                in_place(asked, new, volumes) && !in_place(asked, old, volumes)
            }
            _ => false,
        }
    }
}

impl PeerFilter for VolumeZone {
    fn pre_filter(&self, pod: Incoming<'_>, cluster: &Cluster) -> PreFilterAnswer {
        let Some(asked) = &pod.shape.claims else {
            return PreFilterAnswer::Skip;
        };
        match volumes_of(asked, cluster.volumes()) {
            Err(text) => PreFilterAnswer::Reject(text),
            Ok(volumes) if volumes.iter().all(|volume| volume.places.is_empty()) => {
                PreFilterAnswer::Skip
            }
            Ok(_) => PreFilterAnswer::Proceed,
        }
    }

    fn filter(
        &self,
        pod: Incoming<'_>,
        cluster: &Cluster,
        left: &mut NodeSet,
        why: &mut Diagnosis,
    ) {
        let Some(asked) = &pod.shape.claims else {
            return;
        };
        let mut told = NodeSet::new();
        for key in PLACE_LABELS {
            cluster.labels().with_key(key, &mut told);
        }
        for place in places(asked, cluster.volumes()) {
            let mut missed = told.clone();
            missed.subtract(&nodes_at(place, cluster));
            why.reject(left, &missed, REASON, Code::Unresolvable);
        }
    }
}

#[cfg(test)]
mod tests;
