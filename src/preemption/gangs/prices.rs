//! What it costs to clear each node for one more member of a class: what is known of the cluster as it
//! is, and in a trial anew of the nodes where that has changed.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::cost::GangCost;
use super::scene::Scene;
use super::{Limits, Search};
use crate::cluster::{Cluster, LogPosition, NodeId, NodeSet, ResourceId};
use crate::framework::{Incoming, Obstacle, PluginSet, Profile};
use crate::gang::{Domain, Gangs};
use crate::preemption::Preemptor;
use crate::preemption::dry_run::{Room, Stock, dry_run};
use crate::preemption::known::Known;
use crate::preemption::memory::Kind;
use crate::preemption::units::{Unit, priority_of, started};

/// Of how many nodes the price is found out by trying each, before the cheapest is taken.
const ENOUGH: usize = 500;

impl Search<'_, '_> {
    /// Finds out what clearing nodes costs while everybody is where they are, for each class that lacks
    /// nothing but room, as far as it is not remembered and until the slice ends.
    pub(super) fn price(&mut self, cluster: &mut Cluster, domains: &[Domain], limits: Limits) {
        let request = self.preemptor.request;
        let mut scene = self.scene(limits);
        let everywhere = domains.iter().any(|domain| domain.nodes.is_none());
        let mut within = NodeSet::new();
        for nodes in domains.iter().filter_map(|domain| domain.nodes.as_ref()) {
            within.union(nodes);
        }
        self.known = vec![Arc::default(); self.classes.len()];
        let mut stock = Stock::default();
        for (place, class) in self.classes.iter_mut().enumerate() {
            let of_class = |held: &&crate::gang::Candidate<'_>| held.class == place;
            let Some(candidate) = request.candidates.iter().find(of_class) else {
                continue;
            };
            let incoming = Incoming {
                shape: &class.shape,
                peers: candidate.peers,
            };
            let evaluation = &mut class.evaluation;
            evaluation.filter(request.profile, incoming, cluster);
            if evaluation.error().is_some() || evaluation.rejection().is_some() {
                continue;
            }
            let obstacle = (request.profile).obstacle(&class.shape, cluster, evaluation.skipped());
            let Obstacle::Room(asked) = obstacle else {
                continue;
            };
            let preemptor = Preemptor {
                pod: incoming,
                priority: candidate.priority,
                nominated: request.nominated,
                hash: candidate.hash,
            };
            let known = self.memory.of_members(Kind {
                profile: &request.profile.name,
                shape: &class.shape,
                priority: limits.below,
                violate_pdb: limits.violate_pdb,
                budgets: self.surroundings.budgets.strict_revision(),
            });
            let prices = Arc::make_mut(known);
            let mut room = Room::new(asked);
            for node in evaluation.resolvable().iter() {
                if prices.get(node).is_some()
                    || self.own.contains(node)
                    || !request.nominated.on(node).is_empty()
                    || !everywhere && !within.contains(node)
                {
                    continue;
                }
                if !self.progress.may_look() {
                    return;
                }
                scene.stock(cluster, node, &mut stock);
                let victims = room.victims(cluster, &preemptor, node, &stock);
                let price = victims
                    .ok()
                    .and_then(|victims| price(cluster, &stock, &victims));
                prices.set(node, price);
                let budgets = !self.surroundings.budgets.is_empty();
                self.progress.look(stock.effort(cluster, node, budgets));
            }
            if let Some(slot) = self.known.get_mut(place) {
                *slot = Arc::clone(known);
            }
        }
    }
}

/// The prices of nodes for one class, in a trial.
#[derive(Debug, Default)]
pub(super) struct Prices {
    /// Before anybody was seated or evicted.
    before: Arc<Known<Option<GangCost>>>,
    /// Where the price may be another one now.
    changed: NodeSet,
    /// What it is there, as far as it is known.
    now: FxHashMap<NodeId, Option<GangCost>>,
    position: Option<LogPosition>,
}

impl Prices {
    /// Of a trial that begins, with what is known of all nodes but these.
    pub(super) fn new(
        before: Arc<Known<Option<GangCost>>>,
        but: &NodeSet,
        cluster: &Cluster,
    ) -> Self {
        Self {
            before,
            changed: but.clone(),
            now: FxHashMap::default(),
            position: Some(cluster.changes().position()),
        }
    }

    fn get(&self, node: NodeId) -> Option<Option<GangCost>> {
        if self.changed.contains(node) {
            self.now.get(&node).copied()
        } else {
            self.before.get(node)
        }
    }

    fn set(&mut self, node: NodeId, price: Option<GangCost>) {
        self.changed.insert(node);
        self.now.insert(node, price);
    }

    /// The price of a node may be another one.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.changed.insert(node);
        self.now.remove(&node);
    }

    /// All prices may be others.
    pub(super) fn forget_all(&mut self) {
        self.before = Arc::default();
        self.now.clear();
    }

    /// The price of what has changed in the trial may be another one.
    fn refresh(&mut self, cluster: &Cluster) {
        let changed = (self.position).and_then(|position| cluster.changes().since(position));
        match changed {
            Some(changed) => changed.iter().for_each(|node| self.forget(*node)),
            None => self.forget_all(),
        }
        self.position = Some(cluster.changes().position());
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
        self.refresh(cluster);
        let mut priced = 0;
        for node in nodes.iter() {
            if self.get(node).is_some() {
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
            self.set(node, price);
        }
        // What does not look at pods has not been asked yet, so that the best node may be none.
        loop {
            let of = |node: NodeId| Some((self.get(node)??, node));
            let (_, node) = nodes.iter().filter_map(of).min()?;
            scene.stock(cluster, node, &mut stock);
            if let Ok(victims) = dry_run(cluster, profile, preemptor, (node, skipped, far), &stock)
            {
                let units = stock.chosen(&victims).cloned().collect();
                return Some((node, units));
            }
            self.set(node, None);
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
