//! Pods that wait for a node they are nominated to: they count there already for pods that must
//! yield to them. Source: `runtime/framework.go`, RunFilterPluginsWithNominatedPods.

use std::sync::Arc;

use super::profile::PreFiltered;
use super::{Diagnosis, Incoming, PluginSet, Profile};
use crate::cluster::{Cluster, Keep, NodeId, NodeSet, PeerId};
use crate::model::{PlacedPod, PodRef};

/// A waiting pod as it would count on the node that it is nominated to.
#[derive(Clone, Copy, Debug)]
pub struct Nominated<'a> {
    /// Which pod.
    pub reference: &'a Arc<PodRef>,
    /// Priority.
    pub priority: i32,
    /// What it would take.
    pub placed: &'a PlacedPod,
    /// Its class among other pods.
    pub peers: PeerId,
}

/// The nominated pods that a pod has to yield to, by node: those of its own priority or a higher
/// one, without itself.
#[derive(Clone, Debug, Default)]
pub struct Nominations<'a>(Vec<(NodeId, Vec<Nominated<'a>>)>);

impl<'a> FromIterator<(NodeId, Vec<Nominated<'a>>)> for Nominations<'a> {
    fn from_iter<T: IntoIterator<Item = (NodeId, Vec<Nominated<'a>>)>>(nodes: T) -> Self {
        let mut nodes: Vec<_> = (nodes.into_iter())
            .filter(|(_, pods)| !pods.is_empty())
            .collect();
        nodes.sort_unstable_by_key(|(node, _)| *node);
        Self(nodes)
    }
}

impl<'a> Nominations<'a> {
    /// Whether there is nobody to yield to.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pods nominated to this node.
    pub fn on(&self, node: NodeId) -> &[Nominated<'a>] {
        let place = self.0.binary_search_by_key(&node, |(node, _)| *node);
        (place.ok().and_then(|place| self.0.get(place))).map_or(&[], |(_, pods)| pods)
    }

    /// The nodes that such pods are nominated to.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.0.iter().map(|(node, _)| *node)
    }
}

impl Profile {
    /// Whether the pod fits this node, as the cluster is now and also if the pods were there that
    /// are nominated to it. If not, `why` gets the reasons of the first of the two that fails.
    ///
    /// `skipped` are the plugins whose PreFilter had nothing to say about the pod. They are not
    /// asked again: a plugin that is left out stays so whatever is tried, as upstream.
    pub fn fits_with_nominated(
        &self,
        pod: Incoming<'_>,
        cluster: &mut Cluster,
        node: NodeId,
        (nominated, skipped): (&Nominations<'_>, PluginSet),
        why: &mut Diagnosis,
    ) -> bool {
        let nominated = nominated.on(node);
        let beside =
            nominated.is_empty() || self.fits_beside(pod, cluster, node, (nominated, skipped), why);
        beside && self.fits(pod, cluster, node, skipped, why)
    }

    /// Whether the pod fits the node that it is itself nominated to. As upstream the nodes that
    /// PreFilters narrowed to are not looked at here.
    pub fn fits_own_nomination(
        &self,
        pod: Incoming<'_>,
        cluster: &mut Cluster,
        node: NodeId,
        nominated: &Nominations<'_>,
    ) -> bool {
        let PreFiltered::Nodes { skipped, .. } = self.pre_filter(pod, cluster) else {
            return false;
        };
        let mut why = Diagnosis::default();
        self.fits_with_nominated(pod, cluster, node, (nominated, skipped), &mut why)
    }

    /// The first of the two passes: with the nominated pods on the node.
    pub(super) fn fits_beside(
        &self,
        pod: Incoming<'_>,
        cluster: &mut Cluster,
        node: NodeId,
        (nominated, skipped): (&[Nominated<'_>], PluginSet),
        why: &mut Diagnosis,
    ) -> bool {
        cluster.speculate(|cluster| {
            for one in nominated {
                cluster.assume(one.reference, one.priority, one.placed, one.peers, node);
            }
            let fits = self.fits(pod, cluster, node, skipped, why);
            (Keep::RollBack, fits)
        })
    }

    /// Whether the pod fits this node as the cluster is now; if not, `why` gets the reasons.
    /// `skipped` as with [`Self::fits_with_nominated`].
    pub fn fits(
        &self,
        pod: Incoming<'_>,
        cluster: &Cluster,
        node: NodeId,
        skipped: PluginSet,
        why: &mut Diagnosis,
    ) -> bool {
        let mut left = NodeSet::single(node);
        left.intersect(cluster.nodes());
        let all = 0..self.filters.len();
        self.filter(all, pod, cluster, skipped, &mut left, why);
        !left.is_empty()
    }
}
