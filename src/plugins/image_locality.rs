//! ImageLocality: nodes that have the images already. Source: `plugins/imagelocality`.

use crate::cluster::{Cluster, NodeSet};
use crate::framework::{MAX_SCORE, Plugin, Score};
use crate::model::PodShape;

const MIB: i64 = 1024 * 1024;
/// Images smaller than this in sum are not worth moving a pod for.
const MIN_THRESHOLD: i64 = 23 * MIB;
/// A container's images above this count as this.
const MAX_CONTAINER_THRESHOLD: i64 = 1000 * MIB;

/// Prefers nodes that have the pod's images, weighted by how widely they are spread, so that one
/// node that has them all does not attract every pod.
pub struct ImageLocality;

impl Plugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn score(&self) -> Option<&dyn Score> {
        Some(self)
    }
}

impl Score for ImageLocality {
    fn score(&self, pod: &PodShape, cluster: &Cluster, nodes: &NodeSet, column: &mut [i64]) {
        for node in nodes.iter() {
            column[node.index()] = 0;
        }
        let mut found = false;
        for image in pod
            .images
            .iter()
            .filter_map(|name| cluster.images().get(name))
        {
            found = true;
            let spread = image.nodes.len() as f64 / cluster.node_count() as f64;
            let scaled = (image.size as f64 * spread) as i64;
            image.nodes.for_each(|node| {
                if nodes.contains(node) {
                    column[node.index()] += scaled;
                }
            });
        }
        if found {
            let max = MAX_CONTAINER_THRESHOLD * pod.images.len() as i64;
            for node in nodes.iter() {
                let sum = column[node.index()].max(MIN_THRESHOLD).min(max);
                column[node.index()] = MAX_SCORE * (sum - MIN_THRESHOLD) / (max - MIN_THRESHOLD);
            }
        }
    }

    fn epoch(&self, pod: &PodShape, cluster: &Cluster) -> u64 {
        let mut known = pod
            .images
            .iter()
            .filter_map(|name| cluster.images().get(name))
            .peekable();
        if known.peek().is_none() {
            return 0;
        }
        // Epochs only grow, so that the sum moves whenever one of them does; an image that
        // vanishes takes at least its own epoch out of it. The number of nodes is the other part.
        known.fold(cluster.node_count() as u64, |sum, image| {
            (sum << 1).wrapping_add(image.epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        })
    }
}

#[cfg(test)]
mod tests;
