//! What it costs to clear each node for one more member of a class, kept until the node changes.

use super::cost::GangCost;
use super::scene::Scene;
use crate::cluster::{Cluster, NodeId, NodeSet, ResourceId};
use crate::framework::{PluginSet, Profile};
use crate::gang::Gangs;
use crate::preemption::Preemptor;
use crate::preemption::dry_run::{Room, Stock, dry_run};
use crate::preemption::known::Known;
use crate::preemption::units::{Unit, priority_of, started};

/// Of how many nodes the price is found out by trying each, before the cheapest is taken.
const ENOUGH: usize = 500;

/// The prices of nodes for one class.
#[derive(Debug, Default)]
pub(super) struct Prices(Known<GangCost>);

impl Prices {
    /// The price of a node may be another one.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.0.set(node, None);
    }

    /// All prices may be others.
    pub(super) fn forget_all(&mut self) {
        self.0.forget_all();
    }

    /// The cheapest of the nodes, and what has to go from it. `asked`: the room that is lacking, if
    /// nothing else is in the way.
    pub(super) fn cheapest(
        &mut self,
        cluster: &mut Cluster,
        scene: &mut Scene<'_>,
        (profile, preemptor, skipped): (&Profile, &Preemptor<'_>, PluginSet),
        asked: Option<Vec<(ResourceId, i64)>>,
        nodes: &NodeSet,
    ) -> Option<(NodeId, Vec<Unit>)> {
        let far = profile.looks_further(skipped);
        let mut stock = Stock::default();
        let by_trying = asked.is_none();
        let mut room = Room::new(asked.unwrap_or_default());
        if by_trying {
            // What pods ask of each other differs from member to member.
            self.forget_all();
        }
        self.0.refresh(cluster);
        let mut priced = 0;
        for node in nodes.iter() {
            if self.0.get(node).is_some() {
                continue;
            }
            if by_trying && priced >= ENOUGH {
                break;
            }
            scene.stock(cluster, node, &mut stock);
            let victims = if stock.units.is_empty() {
                None
            } else if by_trying {
                dry_run(cluster, profile, preemptor, (node, skipped, far), &stock).ok()
            } else {
                room.victims(cluster, preemptor, node, &stock).ok()
            };
            let price = victims.and_then(|victims| price(cluster, &stock, &victims));
            priced += usize::from(price.is_some());
            self.0.set(node, Some(price));
        }
        // What does not look at pods has not been asked yet, so that the best node may be none.
        loop {
            let of = |node: NodeId| Some((self.0.get(node)??, node));
            let (_, node) = nodes.iter().filter_map(of).min()?;
            scene.stock(cluster, node, &mut stock);
            if let Ok(victims) = dry_run(cluster, profile, preemptor, (node, skipped, far), &stock)
            {
                let units = stock.chosen(&victims).cloned().collect();
                return Some((node, units));
            }
            self.0.set(node, Some(None));
        }
    }
}

fn price(cluster: &Cluster, stock: &Stock, victims: &[usize]) -> Option<GangCost> {
    if victims.is_empty() {
        return None;
    }
    let mut cost = GangCost::of(std::iter::empty(), stock.violations(victims));
    for unit in stock.chosen(victims) {
        let records = unit.pods().iter().filter_map(|pod| cluster.placed(*pod));
        let (mut pods, mut first) = (0, None);
        for record in records {
            pods += 1;
            let started = started(record);
            first = Some(first.map_or(started, |first: i64| first.min(started)));
        }
        cost.add(unit, pods, first);
    }
    Some(cost)
}

/// How many pods that ask for so much the node could take if everybody of a lower priority were
/// gone, at most.
pub(super) fn room_without(
    cluster: &Cluster,
    gangs: &Gangs,
    node: NodeId,
    below: i32,
    asked: &[(ResourceId, i64)],
) -> usize {
    let at = |column: &[i64]| column.get(node.index()).copied().map_or(0, i128::from);
    let mut pods = at(cluster.allowed_pods()) - at(cluster.pod_counts());
    let mut free: Vec<i128> = (asked.iter())
        .map(|(resource, _)| at(cluster.resources().free(*resource)))
        .collect();
    for record in (cluster.pods_on(node).iter()).filter_map(|pod| cluster.placed(*pod)) {
        if priority_of(gangs, record) < below {
            pods += 1;
            for (free, (resource, _)) in free.iter_mut().zip(asked) {
                *free += i128::from(record.holds(*resource));
            }
        }
    }
    let room = (free.into_iter().zip(asked))
        .map(|(free, (_, amount))| free / i128::from((*amount).max(1)))
        .fold(pods, i128::min);
    usize::try_from(room.max(0)).unwrap_or(usize::MAX)
}
