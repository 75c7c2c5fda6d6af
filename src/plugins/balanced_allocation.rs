//! NodeResourcesBalancedAllocation: nodes whose resources are used evenly. Source:
//! `plugins/noderesources/balanced_allocation.go`.

use super::resource_score::{ResourceWeight, ScoredResource, columns};
use crate::cluster::{Cluster, NodeSet};
use crate::framework::{MAX_SCORE, Plugin, Score};
use crate::model::PodShape;

/// Prefers nodes that the pod leaves more evenly used than it found them.
pub struct BalancedAllocation {
    resources: Vec<ResourceWeight>,
}

impl Default for BalancedAllocation {
    fn default() -> Self {
        Self {
            resources: ResourceWeight::defaults(),
        }
    }
}

impl BalancedAllocation {
    /// Balances these resources.
    pub fn new(resources: Vec<ResourceWeight>) -> Self {
        Self { resources }
    }
}

impl Plugin for BalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn score(&self) -> Option<&dyn Score> {
        Some(self)
    }
}

impl Score for BalancedAllocation {
    fn skips(&self, pod: &PodShape) -> bool {
        // A pod that asks for none of the resources would draw all its kind to one node.
        self.resources
            .iter()
            .all(|resource| pod.wanted.get(&resource.name) == 0)
    }

    fn score(&self, pod: &PodShape, cluster: &Cluster, nodes: &NodeSet, column: &mut [i64]) {
        let resources = columns(&self.resources, &pod.wanted, cluster, false);
        for node in nodes.iter() {
            let index = node.index();
            let with = balance(&resources, index, true);
            let without = balance(&resources, index, false);
            column[index] = MAX_SCORE / 2 + (MAX_SCORE / 2 + with - without) / 2;
        }
    }
}

fn fraction(resource: &ScoredResource<'_>, node: usize, with_pod: bool) -> Option<f64> {
    let allocatable = resource.allocatable[node];
    let added = if with_pod { resource.pod } else { 0 };
    let requested = resource.requested[node].saturating_add(added);
    (allocatable != 0).then(|| (requested as f64 / allocatable as f64).min(1.0))
}

/// 100 minus the standard deviation of the used fractions, in percent.
fn balance(resources: &[ScoredResource<'_>], node: usize, with_pod: bool) -> i64 {
    let deviation = if let [one, other] = resources {
        match (
            fraction(one, node, with_pod),
            fraction(other, node, with_pod),
        ) {
            (Some(one), Some(other)) => ((one - other) / 2.0).abs(),
            _ => 0.0,
        }
    } else {
        let fractions: Vec<f64> = resources
            .iter()
            .filter_map(|resource| fraction(resource, node, with_pod))
            .collect();
        match fractions.as_slice() {
            [] | [_] => 0.0,
            [one, other] => ((one - other) / 2.0).abs(),
            many => {
                let mean = many.iter().sum::<f64>() / many.len() as f64;
                let squares: f64 = many.iter().map(|one| (one - mean) * (one - mean)).sum();
                (squares / many.len() as f64).sqrt()
            }
        }
    };
    ((1.0 - deviation) * MAX_SCORE as f64) as i64
}

#[cfg(test)]
mod tests;
