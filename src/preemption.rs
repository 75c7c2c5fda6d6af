//! Preemption (DefaultPreemption): which pods have to go so that a pod, or a gang, that fits nowhere
//! gets room. Here it is only found out; the engine does it.
//!
//! Sources: `plugins/defaultpreemption`, `framework/preemption/{preemption,podgrouppreemption}.go`.

mod budgets;
mod choice;
mod dry_run;
mod gangs;
mod known;
mod memory;
mod progress;
mod units;

pub use budgets::Budgets;
pub use gangs::{GangCandidate, GangPreemptor, GangVerdict, search_for_gang};
pub use memory::Memory;
pub use progress::{Progress, SLICE};
pub use units::priority_of_preemptor;

use crate::cluster::{Cluster, NodeId, NodeSet, PlacedId};
use crate::config::MinCandidateNodes;
use crate::framework::{
    Evaluation, Incoming, Nominations, Obstacle, PluginSet, Profile, Reason, ReasonCounts,
};
use crate::gang::Gangs;
use budgets::Allowance;
use choice::Cost;
use dry_run::{Room, Stock, dry_run};
use units::{Finder, Taken};

const NOT_HELPFUL: &str = "Preemption is not helpful for scheduling";
const NO_VICTIMS: &str = "No preemption victims found for incoming pod";
/// Why a pod does not preempt whose preemptionPolicy is Never.
pub const NEVER: &str = "not eligible due to preemptionPolicy=Never.";
/// Why a pod does not preempt that has done so and waits for its victims to go.
pub const ONGOING: &str = "not eligible due to a terminating pod on the nominated node.";

/// How many candidates are enough before one of them is chosen, of so many nodes that come into
/// question. Source: `calculateNumCandidates`.
fn enough(limit: MinCandidateNodes, nodes: usize) -> usize {
    let at_least = |number: i32| usize::try_from(number).unwrap_or(0);
    let share = nodes.saturating_mul(at_least(limit.percentage)) / 100;
    share.max(at_least(limit.absolute)).min(nodes)
}

/// What upstream finds enough unless it is configured.
const DEFAULT_LIMIT: MinCandidateNodes = MinCandidateNodes {
    percentage: 10,
    absolute: 100,
};

/// What the search knows besides the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The groups, which are not to be torn apart.
    pub gangs: &'a Gangs,
    /// The budgets.
    pub budgets: &'a Budgets,
}

/// A pod that fits nowhere.
#[derive(Clone, Copy, Debug)]
pub struct Preemptor<'a> {
    /// What it asks.
    pub pod: Incoming<'a>,
    /// Pods of lower priority may have to go.
    pub priority: i32,
    /// The nominated pods that it yields to.
    pub nominated: &'a Nominations<'a>,
    /// Decides between nodes that cost the same.
    pub hash: u64,
}

/// Whether anything can be done for a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing, in these words.
    Hopeless(String),
    /// If these go it fits.
    Candidate(Candidate),
    /// Nothing yet: the slice has ended.
    Unfinished,
}

/// A node that is to be cleared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub node: NodeId,
    /// The pods that have to go, the most important first; not only from this node where the victim
    /// is a gang.
    pub victims: Vec<PlacedId>,
    /// How many of them a budget protects.
    pub violations: usize,
}

/// Whether a pod of a lower priority is leaving the node because it was evicted for another one.
pub fn has_leaving_victims(cluster: &Cluster, gangs: &Gangs, node: NodeId, priority: i32) -> bool {
    let mut records = (cluster.pods_on(node).iter()).filter_map(|pod| cluster.placed(*pod));
    records.any(|record| {
        record.terminating
            && record.eviction.preempted
            && units::priority_of(gangs, record) < priority
    })
}

/// Finds the pods that have to go so that this one fits. Whatever is found out about nodes is
/// remembered, so that it goes on there if it is begun again after a slice.
pub fn search(
    cluster: &mut Cluster,
    profile: &Profile,
    surroundings: Surroundings<'_>,
    preemptor: &Preemptor<'_>,
    evaluation: &Evaluation,
    (memory, progress): (&mut Memory, &mut Progress),
) -> Verdict {
    let candidates = evaluation.resolvable();
    let mut search = Search {
        profile,
        surroundings,
        preemptor,
        skipped: evaluation.skipped(),
        finder: Finder::new(surroundings.gangs, preemptor.priority),
        refusals: ReasonCounts::default(),
    };
    // Where nobody anywhere could be a victim no node needs looking at.
    let lowest = lowest_priority(cluster, surroundings.gangs);
    let found = if lowest.is_none_or(|lowest| lowest >= preemptor.priority) {
        search.refusals.add(NO_VICTIMS.into(), candidates.len());
        None
    } else {
        let obstacle = profile.obstacle(preemptor.pod.shape, cluster, search.skipped);
        match obstacle {
            Obstacle::Room(asked) => {
                let kept = (memory, &mut *progress);
                search.by_room(cluster, &candidates, Room::new(asked), kept)
            }
            Obstacle::None | Obstacle::Pods => search.one_by_one(cluster, &candidates),
        }
    };
    if progress.has_ended() {
        return Verdict::Unfinished;
    }
    if let Some(found) = found {
        return Verdict::Candidate(found);
    }
    let total = cluster.node_count();
    let mut counts = search.refusals;
    counts.add(NOT_HELPFUL.into(), total - candidates.len());
    let reasons = counts.text().unwrap_or_default();
    Verdict::Hopeless(format!("0/{total} nodes are available: {reasons}."))
}

/// What would have to be different for a pod to get room for which nobody can be evicted, in words.
pub fn what_it_would_take(
    cluster: &mut Cluster,
    profile: &Profile,
    surroundings: Surroundings<'_>,
    preemptor: &Preemptor<'_>,
    evaluation: &Evaluation,
) -> Option<String> {
    let over_everybody = Preemptor {
        priority: i32::MAX,
        ..*preemptor
    };
    let found = search(
        cluster,
        profile,
        surroundings,
        &over_everybody,
        evaluation,
        (&mut Memory::default(), &mut Progress::unlimited()),
    );
    match found {
        Verdict::Hopeless(_) | Verdict::Unfinished => None,
        Verdict::Candidate(found) => would_need(
            cluster,
            surroundings.gangs,
            &found.victims,
            preemptor.priority,
        ),
    }
}

/// How many of these pods have too high a priority to be evicted.
fn would_need(
    cluster: &Cluster,
    gangs: &Gangs,
    victims: &[PlacedId],
    below: i32,
) -> Option<String> {
    let higher = (victims.iter())
        .filter_map(|pod| cluster.placed(*pod))
        .filter(|record| units::priority_of(gangs, record) >= below);
    let (pods, noun) = match higher.count() {
        0 => return None,
        1 => (1, "pod"),
        pods => (pods, "pods"),
    };
    Some(format!("would need {pods} {noun} of priority >= {below}"))
}

/// The lowest priority that anything placed may have.
fn lowest_priority(cluster: &Cluster, gangs: &Gangs) -> Option<i32> {
    let of_pods = cluster.lowest_priority()?;
    Some(
        gangs
            .lowest_priority()
            .map_or(of_pods, |lowest| lowest.min(of_pods)),
    )
}

struct Search<'a> {
    profile: &'a Profile,
    surroundings: Surroundings<'a>,
    preemptor: &'a Preemptor<'a>,
    skipped: PluginSet,
    finder: Finder<'a>,
    /// Why clearing the nodes that were looked at does not help.
    refusals: ReasonCounts,
}

impl Search<'_> {
    /// What may go from the node. False if there is nothing.
    fn stock(&mut self, cluster: &Cluster, node: NodeId, stock: &mut Stock) -> bool {
        stock.units.clear();
        let taken = Taken::default();
        self.finder.on(cluster, node, &taken, &mut stock.units);
        if stock.units.is_empty() {
            return false;
        }
        let budgets = self.surroundings.budgets;
        let allowance = (!budgets.is_empty()).then(|| Allowance::new(budgets));
        stock.arrange(cluster, allowance);
        true
    }

    fn refuse<'b>(&mut self, reasons: impl IntoIterator<Item = &'b Reason>) {
        for reason in reasons {
            self.refusals.add(reason.text(), 1);
        }
    }

    /// The nodes in an order of the pod's own, so that not all look at the same ones first.
    fn shuffled(&self, nodes: &NodeSet) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = nodes.iter().collect();
        if !nodes.is_empty() {
            let first = (self.preemptor.hash % nodes.len() as u64) as usize;
            nodes.rotate_left(first);
        }
        nodes
    }

    /// Decides between nodes that cost the same.
    fn tie(&self, cluster: &Cluster, node: NodeId) -> u64 {
        let name = cluster.name_hashes().get(node.index()).copied();
        crate::framework::mix(self.preemptor.hash ^ name.unwrap_or(0))
    }

    /// Tries each node.
    fn one_by_one(&mut self, cluster: &mut Cluster, nodes: &NodeSet) -> Option<Candidate> {
        let limit = self.profile.preemption.min_candidates;
        let enough = enough(limit.unwrap_or(DEFAULT_LIMIT), nodes.len());
        let mut best: Option<((Cost, u64), Candidate)> = None;
        let (mut found, mut kept) = (0, false);
        let mut stock = Stock::default();
        for node in self.shuffled(nodes) {
            if kept && found >= enough {
                break;
            }
            if !self.stock(cluster, node, &mut stock) {
                self.refusals.add(NO_VICTIMS.into(), 1);
                continue;
            }
            let Some((cost, candidate)) = self.try_node(cluster, node, &stock) else {
                continue;
            };
            found += 1;
            kept |= cost.violations == 0;
            let key = (cost, self.tie(cluster, node));
            if best.as_ref().is_none_or(|(held, _)| key < *held) {
                best = Some((key, candidate));
            }
        }
        best.map(|(_, candidate)| candidate)
    }

    fn try_node(
        &mut self,
        cluster: &mut Cluster,
        node: NodeId,
        stock: &Stock,
    ) -> Option<(Cost, Candidate)> {
        let far = self.profile.looks_further(self.skipped);
        let on = (node, self.skipped, far);
        let victims = match dry_run(cluster, self.profile, self.preemptor, on, stock) {
            Ok(victims) => victims,
            Err(why) => {
                self.refuse(why.reasons_for(node));
                return None;
            }
        };
        let violations = stock.violations(&victims);
        let cost = Cost::of(cluster, stock.chosen(&victims), violations)?;
        let mut pods = Vec::new();
        for unit in stock.chosen(&victims) {
            let standing = unit
                .pods()
                .iter()
                .filter(|pod| cluster.placed(**pod).is_some());
            pods.extend(standing.copied());
        }
        let candidate = Candidate {
            node,
            victims: pods,
            violations,
        };
        Some((cost, candidate))
    }

    /// Finds the best node by arithmetic, and tries it.
    fn by_room(
        &mut self,
        cluster: &mut Cluster,
        nodes: &NodeSet,
        mut room: Room,
        (memory, progress): (&mut Memory, &mut Progress),
    ) -> Option<Candidate> {
        let mut costs = match self.profile.preemption.min_candidates {
            None => self.remembered(cluster, nodes, &mut room, memory, progress),
            Some(limit) => self.reckoned(cluster, nodes, &mut room, enough(limit, nodes.len())),
        };
        // What does not look at pods has not been asked yet, so that the best node may be none.
        let mut stock = Stock::default();
        loop {
            let (place, _) = (costs.iter().enumerate()).min_by_key(|(_, (key, _))| *key)?;
            let (_, node) = costs.swap_remove(place);
            self.stock(cluster, node, &mut stock);
            if let Some((_, candidate)) = self.try_node(cluster, node, &stock) {
                return Some(candidate);
            }
        }
    }

    /// What clearing the nodes costs, until so many were found; why it does not help is counted.
    fn reckoned(
        &mut self,
        cluster: &Cluster,
        nodes: &NodeSet,
        room: &mut Room,
        enough: usize,
    ) -> Vec<((Cost, u64), NodeId)> {
        let mut costs = Vec::new();
        let mut kept = false;
        let mut stock = Stock::default();
        for node in self.shuffled(nodes) {
            if kept && costs.len() >= enough {
                break;
            }
            match self.cost_by_room(cluster, node, room, &mut stock) {
                Ok(cost) => {
                    kept |= cost.violations == 0;
                    costs.push(((cost, self.tie(cluster, node)), node));
                }
                Err(reasons) => self.refuse(&reasons),
            }
        }
        costs
    }

    /// The same of all nodes, as far as it is known from the last attempts without looking at them;
    /// nothing if the slice has ended before.
    fn remembered(
        &mut self,
        cluster: &Cluster,
        nodes: &NodeSet,
        room: &mut Room,
        memory: &mut Memory,
        progress: &mut Progress,
    ) -> Vec<((Cost, u64), NodeId)> {
        memory.refresh(cluster, self.surroundings.gangs);
        progress.expect(nodes.len());
        let (known, refusals) = memory.of_pods(memory::Kind {
            profile: &self.profile.name,
            shape: self.preemptor.pod.shape,
            priority: self.preemptor.priority,
            violate_pdb: true,
            budgets: self.surroundings.budgets.revision(),
        });
        let mut costs = Vec::new();
        let mut refused: Vec<usize> = Vec::new();
        let mut stock = Stock::default();
        for node in nodes.iter() {
            // Beside nominated pods it is found out anew each time, which is no progress.
            let alone = self.preemptor.nominated.on(node).is_empty();
            let answer = match known.get(node).filter(|_| alone) {
                Some(answer) => answer,
                None => {
                    if alone && !progress.may_look() {
                        return Vec::new();
                    }
                    let answer = (self.cost_by_room(cluster, node, room, &mut stock))
                        .map_err(|reasons| place_of(refusals, reasons));
                    if alone {
                        known.set(node, answer);
                        let budgets = !self.surroundings.budgets.is_empty();
                        progress.look(stock.effort(cluster, node, budgets));
                    }
                    answer
                }
            };
            match answer {
                Ok(cost) => costs.push(((cost, self.tie(cluster, node)), node)),
                Err(refusal) => {
                    refused.resize(refusals.len(), 0);
                    if let Some(nodes) = refused.get_mut(refusal) {
                        *nodes += 1;
                    }
                }
            }
        }
        for (reasons, nodes) in refusals.iter().zip(refused) {
            for reason in reasons {
                self.refusals.add(reason.text(), nodes);
            }
        }
        costs
    }

    /// What clearing the node costs, or why it does not help.
    fn cost_by_room(
        &mut self,
        cluster: &Cluster,
        node: NodeId,
        room: &mut Room,
        stock: &mut Stock,
    ) -> Result<Cost, Vec<Reason>> {
        if !self.stock(cluster, node, stock) {
            return Err(vec![Reason::Text(NO_VICTIMS)]);
        }
        let victims = room.victims(cluster, self.preemptor, node, stock)?;
        let violations = stock.violations(&victims);
        Cost::of(cluster, stock.chosen(&victims), violations).ok_or_else(Vec::new)
    }
}

/// The place of a refusal among those that were met.
fn place_of(refusals: &mut Vec<Box<[Reason]>>, reasons: Vec<Reason>) -> usize {
    let known = refusals.iter().position(|known| **known == *reasons);
    known.unwrap_or_else(|| {
        refusals.push(reasons.into());
        refusals.len() - 1
    })
}

#[cfg(test)]
mod tests;
