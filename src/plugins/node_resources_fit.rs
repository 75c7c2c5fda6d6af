//! NodeResourcesFit: whether what the pod asks for is free, and which node to prefer by how full it
//! is. Source: `plugins/noderesources/fit.go`.

use super::resource_score::{ResourceWeight, columns, percent};
use crate::cluster::{Cluster, NodeId, NodeSet};
use crate::framework::{
    ClusterEvent, Code, Diagnosis, EventKind, EventSet, Filter, Incoming, MAX_SCORE, Obstacle,
    Plugin, Reason, Score, Topic,
};
use crate::model::{NodeModel, PodShape, is_extended_resource};

/// A point of a requestedToCapacityRatio shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShapePoint {
    /// Utilisation in percent, 0 to 100; the points ascend.
    pub utilization: i64,
    /// Score at that utilisation, 0 to 10.
    pub score: i64,
}

/// How fullness becomes a score.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ScoringStrategy {
    /// The emptier the better.
    #[default]
    LeastAllocated,
    /// The fuller the better.
    MostAllocated,
    /// By a piecewise linear function of utilisation.
    RequestedToCapacityRatio(Vec<ShapePoint>),
}

/// Filters and scores by resources.
pub struct NodeResourcesFit {
    strategy: ScoringStrategy,
    resources: Vec<ResourceWeight>,
    ignored: Vec<Box<str>>,
    ignored_groups: Vec<Box<str>>,
}

impl Default for NodeResourcesFit {
    fn default() -> Self {
        Self::new(
            ScoringStrategy::default(),
            ResourceWeight::defaults(),
            Vec::new(),
            Vec::new(),
        )
    }
}

impl NodeResourcesFit {
    /// Scores these resources by this strategy; ignores extended resources by name or by group (the
    /// part before the slash) when filtering.
    pub fn new(
        strategy: ScoringStrategy,
        resources: Vec<ResourceWeight>,
        ignored: Vec<Box<str>>,
        ignored_groups: Vec<Box<str>>,
    ) -> Self {
        Self {
            strategy,
            resources,
            ignored,
            ignored_groups,
        }
    }

    fn ignores(&self, resource: &str) -> bool {
        if self.ignored.is_empty() && self.ignored_groups.is_empty() {
            return false;
        }
        let group = resource.split('/').next().unwrap_or(resource);
        is_extended_resource(resource)
            && (self.ignored.iter().any(|one| **one == *resource)
                || self.ignored_groups.iter().any(|one| **one == *group))
    }
}

impl Plugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn score(&self) -> Option<&dyn Score> {
        Some(self)
    }

    fn events(&self) -> EventSet {
        EventSet::of(&[
            EventKind::AssignedPodDelete,
            EventKind::AssignedPodScaleDown,
            EventKind::TargetPodScaleDown,
            EventKind::NodeAdd,
            EventKind::NodeAllocatable,
        ])
    }

    fn topics(&self, pod: Incoming<'_>, cluster: &Cluster) -> Vec<Topic> {
        // Where nothing would be enough for the pod, it helps nobody that pods go; once a node is
        // large enough, the pod is tried again and listens anew.
        let too_large = !some_node_fits(pod.shape, cluster);
        let frees = |kind: &EventKind| {
            matches!(
                kind,
                EventKind::AssignedPodDelete | EventKind::AssignedPodScaleDown
            )
        };
        let heard = self
            .events()
            .iter()
            .filter(|kind| !(too_large && frees(kind)));
        heard.map(Topic::Kind).collect()
    }

    fn hint(&self, event: &ClusterEvent<'_>, pod: Incoming<'_>, cluster: &Cluster) -> bool {
        let pod = pod.shape;
        // Upstream tries every pod again when a pod goes, though the node may be too small for it.
        let large_enough = |node| cluster.node(node).is_some_and(|node| fits_empty(pod, node));
        match event {
            ClusterEvent::NodeAdd(node) => fits_empty(pod, node),
            ClusterEvent::NodeUpdate(_, old, new) => fits_empty(pod, new) && grew(pod, old, new),
            ClusterEvent::AssignedPodDelete(gone) => large_enough(gone.node),
            ClusterEvent::AssignedPodUpdate(_, old, new) => {
                let shrank = |name| old.pod.held.get(name) > new.pod.held.get(name);
                large_enough(new.node)
                    && wanted(pod).any(|(name, amount)| amount != 0 && shrank(name))
            }
            _ => true,
        }
    }
}

/// What the pod asks for, by name.
fn wanted(pod: &PodShape) -> impl Iterator<Item = (&str, i64)> {
    let fixed = [
        ("cpu", pod.wanted.cpu),
        ("memory", pod.wanted.memory),
        ("ephemeral-storage", pod.wanted.ephemeral_storage),
    ];
    fixed.into_iter().chain(
        pod.wanted
            .scalars
            .iter()
            .map(|(name, amount)| (&**name, *amount)),
    )
}

fn fits_empty(pod: &PodShape, node: &NodeModel) -> bool {
    node.allowed_pods >= 1
        && wanted(pod).all(|(name, amount)| amount <= 0 || amount <= node.allocatable(name))
}

/// Whether the pod would fit some node without other pods.
fn some_node_fits(pod: &PodShape, cluster: &Cluster) -> bool {
    let resources = cluster.resources();
    let asked = wanted(pod).filter(|(_, amount)| *amount > 0);
    let columns: Option<Vec<_>> = asked
        .map(|(name, amount)| Some((resources.allocatable(resources.id(name)?), amount)))
        .collect();
    let Some(columns) = columns else {
        return false;
    };
    let mut pods = cluster.allowed_pods().iter().enumerate();
    pods.any(|(node, &pods)| {
        pods >= 1
            && columns
                .iter()
                .all(|(column, amount)| column[node] >= *amount)
    })
}

fn grew(pod: &PodShape, old: &NodeModel, new: &NodeModel) -> bool {
    new.allowed_pods > old.allowed_pods
        || wanted(pod)
            .any(|(name, amount)| amount > 0 && new.allocatable(name) > old.allocatable(name))
}

/// Which of the 64 values from `first` on satisfy the condition, as bits.
fn compare(column: &[i64], first: usize, condition: impl Fn(i64) -> bool) -> u64 {
    let mut bits = 0;
    for (bit, &value) in column[first..first + 64].iter().enumerate() {
        bits |= u64::from(condition(value)) << bit;
    }
    bits
}

impl Filter for NodeResourcesFit {
    fn filter(&self, pod: &PodShape, cluster: &Cluster, left: &mut NodeSet, why: &mut Diagnosis) {
        let asked = left.clone();
        let (allowed, counts) = (cluster.allowed_pods(), cluster.pod_counts());
        let full = Reason::Text("Too many pods");
        let check = |first: usize, bits: u64| {
            if bits.count_ones() == 1 {
                let node = first + bits.trailing_zeros() as usize;
                return if counts[node] < allowed[node] {
                    bits
                } else {
                    0
                };
            }
            let mut fits = 0;
            for bit in 0..64 {
                fits |= u64::from(counts[first + bit] < allowed[first + bit]) << bit;
            }
            fits
        };
        left.retain_words(check, |first, bits| {
            why.note_word(first, bits, &full, Code::Unschedulable);
        });
        if pod.wanted.is_empty() {
            return;
        }
        let table = cluster.resources();
        for (name, amount) in
            wanted(pod).filter(|&(name, amount)| amount > 0 && !self.ignores(name))
        {
            let reason = match name {
                "cpu" => Reason::Text("Insufficient cpu"),
                "memory" => Reason::Text("Insufficient memory"),
                "ephemeral-storage" => Reason::Text("Insufficient ephemeral-storage"),
                _ => Reason::Insufficient(name.into()),
            };
            let Some(id) = table.id(name) else {
                // No node has ever had any of it.
                asked.clone().retain_words(
                    |_, _| 0,
                    |first, bits| why.note_word(first, bits, &reason, Code::Unresolvable),
                );
                left.clear();
                continue;
            };
            let (free, allocatable) = (table.free(id), table.allocatable(id));
            // Every failing resource is named, so that all nodes are asked about each.
            asked.clone().retain_words(
                |first, bits| {
                    if bits.count_ones() == 1 {
                        let node = first + bits.trailing_zeros() as usize;
                        return if free[node] >= amount { bits } else { 0 };
                    }
                    compare(free, first, |free| free >= amount)
                },
                |first, bits| {
                    let too_small = bits & compare(allocatable, first, |all| all < amount);
                    why.note_word(first, too_small, &reason, Code::Unresolvable);
                    why.note_word(first, bits & !too_small, &reason, Code::Unschedulable);
                    left.remove_word(first, bits);
                },
            );
        }
    }

    fn obstacle(&self, pod: &PodShape, cluster: &Cluster) -> Obstacle {
        let table = cluster.resources();
        let asked = wanted(pod).filter(|&(name, amount)| amount > 0 && !self.ignores(name));
        let asked: Option<Vec<_>> = asked
            .map(|(name, amount)| Some((table.id(name)?, amount)))
            .collect();
        asked.map_or(Obstacle::Pods, Obstacle::Room)
    }

    fn room(&self, pod: &PodShape, cluster: &Cluster, nodes: &NodeSet, column: &mut [u32]) -> bool {
        let (allowed, counts) = (cluster.allowed_pods(), cluster.pod_counts());
        let mut lower = |node: NodeId, room: i64| {
            let room = u32::try_from(room.max(0)).unwrap_or(u32::MAX);
            let held = &mut column[node.index()];
            *held = room.min(*held);
        };
        for node in nodes.iter() {
            lower(node, allowed[node.index()] - counts[node.index()]);
        }
        let table = cluster.resources();
        for (name, amount) in
            wanted(pod).filter(|&(name, amount)| amount > 0 && !self.ignores(name))
        {
            if let Some(id) = table.id(name) {
                let free = table.free(id);
                for node in nodes.iter() {
                    lower(node, free[node.index()] / amount);
                }
            }
        }
        true
    }
}

impl Score for NodeResourcesFit {
    fn score(&self, pod: &PodShape, cluster: &Cluster, nodes: &NodeSet, column: &mut [i64]) {
        let resources = columns(&self.resources, &pod.scored, cluster, true);
        let mean = |node: usize, score: &dyn Fn(i64, i64) -> i64| {
            let (mut sum, mut weights) = (0, 0);
            for resource in &resources {
                let allocatable = resource.allocatable[node];
                if allocatable != 0 {
                    let requested = resource.requested[node].saturating_add(resource.pod);
                    sum += score(requested, allocatable) * resource.weight;
                    weights += resource.weight;
                }
            }
            if weights == 0 { 0 } else { sum / weights }
        };
        for node in nodes.iter() {
            let index = node.index();
            column[index] = match &self.strategy {
                ScoringStrategy::LeastAllocated => mean(index, &least_allocated),
                ScoringStrategy::MostAllocated => mean(index, &most_allocated),
                ScoringStrategy::RequestedToCapacityRatio(shape) => {
                    let (mut sum, mut weights) = (0, 0);
                    for resource in &resources {
                        let allocatable = resource.allocatable[index];
                        if allocatable == 0 {
                            continue;
                        }
                        let requested = resource.requested[index].saturating_add(resource.pod);
                        let score = by_shape(shape, requested, allocatable);
                        if score > 0 {
                            sum += score * resource.weight;
                            weights += resource.weight;
                        }
                    }
                    // Go's math.Round rounds halves away from zero, as f64::round does.
                    if weights == 0 {
                        0
                    } else {
                        (sum as f64 / weights as f64).round() as i64
                    }
                }
            };
        }
    }
}

fn least_allocated(requested: i64, allocatable: i64) -> i64 {
    if requested > allocatable {
        0
    } else {
        percent(allocatable - requested, allocatable)
    }
}

fn most_allocated(requested: i64, allocatable: i64) -> i64 {
    percent(requested.min(allocatable), allocatable)
}

/// Source: `helper.BuildBrokenLinearFunction`, scores scaled from 10 to 100.
fn by_shape(shape: &[ShapePoint], requested: i64, allocatable: i64) -> i64 {
    let utilization = if requested > allocatable {
        100
    } else {
        percent(requested, allocatable)
    };
    let scale = MAX_SCORE / 10;
    let mut before: Option<ShapePoint> = None;
    for &point in shape {
        if utilization <= point.utilization {
            return match before {
                None => point.score * scale,
                Some(from) => {
                    let rise = (point.score - from.score) * scale;
                    let run = point.utilization - from.utilization;
                    from.score * scale + rise * (utilization - from.utilization) / run
                }
            };
        }
        before = Some(point);
    }
    before.map_or(0, |last| last.score * scale)
}

#[cfg(test)]
mod tests;
