//! VolumeBinding: nodes from which the volumes of a pod's claims can be reached. Source:
//! `plugins/volumebinding`.
//!
//! Claims have to be bound. What kube-scheduler binds itself, claims of storage classes that wait for
//! their first consumer, is refused, and so are volumes whose node affinity it translates.

use crate::cluster::{Cluster, NodeSet, Volumes};
use crate::framework::{
    ClusterEvent, Code, Diagnosis, EventKind, EventSet, Incoming, PeerFilter, Plugin,
    PreFilterAnswer, Reason, Topic,
};
use crate::model::{NodeModel, PodClaim, PodClaims, RequiredTerms, VolumeClaim};

const AFFINITY: Reason = Reason::Text("node(s) didn't match PersistentVolume's node affinity");
const NO_VOLUME: Reason =
    Reason::Text("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)");

/// Keeps pods near their volumes.
pub struct VolumeBinding;

/// A claim that the pod can use. Source: podHasPVCs.
fn usable<'a>(
    asked: &PodClaims,
    claim: &PodClaim,
    volumes: &'a Volumes,
) -> Result<&'a VolumeClaim, String> {
    let (namespace, name) = (&*asked.namespace, &*claim.name);
    let found = volumes.existing_claim(namespace, name);
    let found = found.map_err(|text| {
        if claim.ephemeral {
            format!(
                "waiting for ephemeral volume controller to create the persistentvolumeclaim {name:?}"
            )
        } else {
            text
        }
    })?;
    if found.lost {
        let volume = &found.volume;
        return Err(format!(
            "persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"
        ));
    }
    if found.terminating {
        return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
    }
    let owner = asked.owner.as_ref().filter(|_| claim.ephemeral);
    if let Some(owner) = owner
        && found.controller != owner.uid
    {
        let pod = &owner.name;
        return Err(format!(
            "PVC {namespace}/{name} was not created for pod {namespace}/{pod} (pod is not owner)"
        ));
    }
    Ok(found)
}

/// Why the pod cannot be placed wherever it may go.
fn refused(asked: &PodClaims, volumes: &Volumes) -> Option<String> {
    let usable = asked
        .claims
        .iter()
        .map(|claim| Ok((&*claim.name, usable(asked, claim, volumes)?)))
        .collect::<Result<Vec<_>, String>>();
    let claims = match usable {
        Ok(claims) => claims,
        Err(text) => return Some(text),
    };
    let unbound = || claims.iter().filter(|(_, claim)| !claim.bound);
    let waits = |claim: &VolumeClaim| {
        // One that names its volume already is bound by somebody else.
        let class = volumes.class(&claim.class);
        claim.volume.is_empty() && class.is_some_and(|class| class.waits_for_consumer)
    };
    if unbound().any(|(_, claim)| !waits(claim)) {
        return Some("pod has unbound immediate PersistentVolumeClaims".to_owned());
    }
    if let Some((name, _)) = unbound().next() {
        return Some(format!(
            "this version of Berth does not support volumes that need binding: \
             persistentvolumeclaim {name:?} waits for its first consumer"
        ));
    }
    let translated = |(_, claim): &&(&str, &VolumeClaim)| {
        (volumes.volume(&claim.volume)).is_some_and(|volume| volume.translated)
    };
    claims.iter().find(translated).map(|(_, claim)| {
        format!(
            "this version of Berth does not support volumes of drivers that were part of Kubernetes \
             (awsElasticBlockStore, azureDisk, cinder, gcePersistentDisk, portworxVolume): \
             persistentvolume {:?}",
            claim.volume
        )
    })
}

/// The claims that the pod asks for, in order, as far as they are there.
fn claims<'a>(
    asked: &'a PodClaims,
    volumes: &'a Volumes,
) -> impl Iterator<Item = Option<&'a VolumeClaim>> {
    let claims = asked.claims.iter();
    claims.map(|claim| volumes.claim(&asked.namespace, &claim.name))
}

/// Where the volume of each claim can be reached from: None when it is not there, and its terms if
/// not all nodes will do.
fn affinities<'a>(
    asked: &'a PodClaims,
    volumes: &'a Volumes,
) -> impl Iterator<Item = Option<Option<&'a RequiredTerms>>> {
    claims(asked, volumes).map(|claim| {
        let volume = volumes.volume(&claim?.volume)?;
        Some(volume.affinity.as_ref())
    })
}

/// Whether all volumes can be reached from the node.
fn reached(asked: &PodClaims, node: &NodeModel, volumes: &Volumes) -> bool {
    affinities(asked, volumes)
        .all(|terms| terms.is_some_and(|terms| terms.is_none_or(|terms| terms.matches(node))))
}

impl Plugin for VolumeBinding {
    fn name(&self) -> &'static str {
        "VolumeBinding"
    }

    fn peer_filter(&self) -> Option<&dyn PeerFilter> {
        Some(self)
    }

    fn events(&self) -> EventSet {
        EventSet::of(&[
            EventKind::StorageClassAdd,
            EventKind::ClaimAdd,
            EventKind::ClaimUpdate,
            EventKind::VolumeAdd,
            EventKind::VolumeUpdate,
            EventKind::NodeAdd,
            EventKind::NodeLabel,
        ])
    }

    fn topics(&self, pod: Incoming<'_>, cluster: &Cluster) -> Vec<Topic> {
        let kinds = [EventKind::StorageClassAdd, EventKind::NodeAdd].map(Topic::Kind);
        let mut topics: Vec<_> = kinds.into();
        let Some(asked) = &pod.shape.claims else {
            return topics;
        };
        let volumes = cluster.volumes();
        let names = asked.claims.iter().map(|claim| &*claim.name);
        topics.extend(names.map(|name| Topic::claim(&asked.namespace, name)));
        let bound = claims(asked, volumes).flatten();
        topics.extend(bound.map(|claim| Topic::volume(&claim.volume)));
        let terms = affinities(asked, volumes).flatten().flatten();
        topics.extend(terms.flat_map(RequiredTerms::labels).map(Topic::node_label));
        topics
    }

    /// Upstream tries the pod again whenever any volume, node or storage class comes. Here it is
    /// those that are the pod's own, and nodes from which its volumes can be reached.
    fn hint(&self, event: &ClusterEvent<'_>, pod: Incoming<'_>, cluster: &Cluster) -> bool {
        let Some(asked) = &pod.shape.claims else {
            return false;
        };
        let volumes = cluster.volumes();
        match event {
            ClusterEvent::Claim(_, namespace, name) => {
                let mut claims = asked.claims.iter();
                *asked.namespace == **namespace && claims.any(|claim| *claim.name == **name)
            }
            ClusterEvent::Volume(name, ..) => {
                let mut bound = claims(asked, volumes).flatten();
                bound.any(|claim| *claim.volume == **name)
            }
            ClusterEvent::StorageClassAdd(name, _) => {
                let mut claims = claims(asked, volumes).flatten();
                claims.any(|claim| !claim.bound && *claim.class == **name)
            }
            ClusterEvent::NodeAdd(node) => reached(asked, node, volumes),
            ClusterEvent::NodeUpdate(_, old, new) => {
                reached(asked, new, volumes) && !reached(asked, old, volumes)
            }
            _ => false,
        }
    }
}

impl PeerFilter for VolumeBinding {
    fn pre_filter(&self, pod: Incoming<'_>, cluster: &Cluster) -> PreFilterAnswer {
        let Some(asked) = &pod.shape.claims else {
            return PreFilterAnswer::Skip;
        };
        match refused(asked, cluster.volumes()) {
            Some(text) => PreFilterAnswer::Reject(text),
            None => PreFilterAnswer::Proceed,
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
        for terms in affinities(asked, cluster.volumes()) {
            let mut missed = left.clone();
            match terms {
                None => why.reject(left, &missed, NO_VOLUME, Code::Unresolvable),
                Some(None) => {}
                Some(Some(terms)) => {
                    missed.subtract(&cluster.matching_any(terms, left));
                    why.reject(left, &missed, AFFINITY, Code::Unresolvable);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
