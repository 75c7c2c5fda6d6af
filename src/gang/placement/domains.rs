//! The parts of the cluster in one of which a gang is to be placed.

use crate::cluster::{Cluster, NodeId, NodeSet};
use crate::model::GangTopology;

/// Nodes with one value of a label.
#[derive(Clone, Debug)]
pub struct Domain {
    /// The label and its value; None for the whole cluster.
    pub label: Option<(Box<str>, Box<str>)>,
    /// The nodes; None for the whole cluster.
    pub nodes: Option<NodeSet>,
}

impl Domain {
    const EVERYWHERE: Self = Self {
        label: None,
        nodes: None,
    };

    /// The sum of a column over its nodes.
    pub(super) fn sum(&self, column: &[u32]) -> usize {
        let value = |node: NodeId| column.get(node.index()).copied().unwrap_or(0) as usize;
        match &self.nodes {
            Some(nodes) => nodes.iter().map(value).fold(0, usize::saturating_add),
            None => {
                (column.iter()).fold(0, |sum: usize, value| sum.saturating_add(*value as usize))
            }
        }
    }

    fn holds(&self, anchors: &[NodeId]) -> bool {
        let nodes = self.nodes.as_ref();
        nodes.is_none_or(|nodes| anchors.iter().all(|anchor| nodes.contains(*anchor)))
    }
}

/// The domains in one of which the gang must be; one for the whole cluster if it may be anywhere.
/// Members that run already pin it to where they are.
pub fn domains(cluster: &Cluster, topology: &GangTopology, anchors: &[NodeId]) -> Vec<Domain> {
    let required = GangTopology {
        required: topology.required.clone(),
        preferred: Box::default(),
    };
    levels(cluster, &required, anchors)
        .pop()
        .unwrap_or_default()
}

/// The domains in question, first those of the label that is preferred most, and in the end those
/// that will do. Members that run already pin the gang to where they are.
pub(super) fn levels(
    cluster: &Cluster,
    topology: &GangTopology,
    anchors: &[NodeId],
) -> Vec<Vec<Domain>> {
    let bases: Vec<Domain> = match &topology.required {
        Some(key) => domains_of(cluster, key)
            .filter(|domain| domain.holds(anchors))
            .collect(),
        None => vec![Domain::EVERYWHERE],
    };
    let mut levels: Vec<Vec<Domain>> = (topology.preferred.iter())
        .map(|key| {
            let within = bases.iter().flat_map(|base| {
                domains_of(cluster, key).filter_map(move |mut domain| {
                    if let (Some(nodes), Some(base)) = (&mut domain.nodes, &base.nodes) {
                        nodes.intersect(base);
                    }
                    let empty = domain.nodes.as_ref().is_some_and(NodeSet::is_empty);
                    (!empty && domain.holds(anchors)).then_some(domain)
                })
            });
            within.collect()
        })
        .collect();
    levels.push(bases);
    levels
}

fn domains_of<'a>(cluster: &'a Cluster, key: &'a str) -> impl Iterator<Item = Domain> + 'a {
    cluster
        .labels()
        .values(key)
        .into_iter()
        .map(move |(value, holders)| {
            let mut nodes = NodeSet::new();
            holders.add_to(&mut nodes);
            nodes.intersect(cluster.nodes());
            Domain {
                label: Some((key.into(), value.into())),
                nodes: Some(nodes),
            }
        })
}
