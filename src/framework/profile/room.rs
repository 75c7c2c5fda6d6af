//! How much room pods need, and what is in their way.

use super::{PluginSet, Profile};
use crate::cluster::{Cluster, NodeId, NodeSet, ResourceId};
use crate::framework::{Nominated, Obstacle};
use crate::model::PodShape;

/// What would be left on a node if a pod that asks for so much were there, and those that are nominated
/// to it: first of the number of pods, then of each amount. Less than zero is what is lacking.
pub fn left_beside<'a>(
    cluster: &'a Cluster,
    asked: &'a [(ResourceId, i64)],
    node: NodeId,
    nominated: &'a [Nominated<'_>],
) -> impl Iterator<Item = i128> + 'a {
    let at = move |column: &[i64]| column.get(node.index()).copied().map_or(0, i128::from);
    let pods = at(cluster.allowed_pods()) - at(cluster.pod_counts());
    let table = cluster.resources();
    let amounts = asked.iter().map(move |(resource, amount)| {
        let name = table.name(*resource);
        let held = nominated
            .iter()
            .map(|other| i128::from(other.placed.held.get(name)));
        at(table.free(*resource)) - i128::from(*amount) - held.sum::<i128>()
    });
    std::iter::once(pods - 1 - nominated.len() as i128).chain(amounts)
}

impl Profile {
    /// What of the pods on a node keeps this pod off it, as far as these filters tell that are not
    /// skipped.
    pub fn obstacle(&self, pod: &PodShape, cluster: &Cluster, skipped: PluginSet) -> Obstacle {
        let mut found = Obstacle::None;
        for &index in self
            .filters
            .iter()
            .filter(|&&index| !skipped.contains(index))
        {
            let plugin = self.plugin(index);
            let obstacle = match (plugin.filter(), plugin.peer_filter()) {
                (Some(filter), _) => filter.obstacle(pod, cluster),
                (None, Some(_)) => Obstacle::Pods,
                (None, None) => Obstacle::None,
            };
            found = match (found, obstacle) {
                (found, Obstacle::None) => found,
                (Obstacle::None, obstacle) => obstacle,
                (Obstacle::Room(mut held), Obstacle::Room(more)) => {
                    held.extend(more);
                    Obstacle::Room(held)
                }
                (_, Obstacle::Pods) | (Obstacle::Pods, _) => Obstacle::Pods,
            };
        }
        found
    }

    /// The room that the pod needs on its node, as far as its filters tell.
    pub fn asked_room(&self, pod: &PodShape, cluster: &Cluster) -> Vec<(ResourceId, i64)> {
        let filters = (self.filters.iter()).filter_map(|index| self.plugin(*index).filter());
        let mut asked = Vec::new();
        for filter in filters {
            if let Obstacle::Room(room) = filter.obstacle(pod, cluster) {
                asked.extend(room);
            }
        }
        asked
    }

    /// Whether pods on other nodes have a say, as far as these filters tell that are not skipped.
    pub fn looks_further(&self, skipped: PluginSet) -> bool {
        self.kept_filters(skipped) < self.filters.len()
    }

    /// Lowers the numbers of `nodes` in `column` to how many pods like this one each could take at
    /// most, see [`super::Filter::room`]. Answers which plugins limit them.
    pub fn room(
        &self,
        pod: &PodShape,
        cluster: &Cluster,
        nodes: &NodeSet,
        column: &mut [u32],
    ) -> PluginSet {
        let mut limits = PluginSet::default();
        for &index in &self.filters {
            if let Some(filter) = self.plugin(index).filter()
                && filter.room(pod, cluster, nodes, column)
            {
                limits.insert(index);
            }
        }
        limits
    }
}
