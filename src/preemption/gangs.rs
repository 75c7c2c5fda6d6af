//! Whom to evict so that a whole gang fits, or nobody.
//!
//! Members are placed one after another on one state: where there is room, or else on the node that
//! costs least to clear, with the victims gone and the members before it counted. What turns out not
//! to be needed in the end is given back. If that leads nowhere though it might go, everything that
//! may go is taken away, as upstream does (`framework/preemption/podgrouppreemption.go`), and given
//! back as far as the members still fit.

mod cost;
mod prices;
mod reprieve;
mod scene;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::budgets::Allowance;
use super::dry_run::Stock;
use super::known::Known;
use super::units::{Unit, nodes_of};
use super::{Memory, Preemptor, Progress, Surroundings, lowest_priority};
use crate::cluster::{Cluster, Keep, NodeId, NodeSet, PlacedId, PlacedRecord};
use crate::framework::{Incoming, Obstacle};
use crate::gang::{CandidateClass, Domain, GangId, Request, domains, order, plan};
pub(in crate::preemption) use cost::GangCost;
use prices::Prices;
use reprieve::{Skipped, can_be_taken, reprieve};
use scene::Scene;

/// Who wants room.
#[derive(Clone, Copy, Debug)]
pub struct GangPreemptor<'a> {
    /// The gang, of which no pod is a victim.
    pub gang: GangId,
    /// What has a lower priority may have to go.
    pub priority: i32,
    /// Whether pods may go that a budget protects.
    pub violate_pdb: bool,
    /// What it asks.
    pub request: &'a Request<'a>,
}

/// Whether anything can be done for a gang.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GangVerdict {
    /// Nothing, in these words.
    Hopeless {
        /// The words.
        why: String,
        /// Whether a budget is in the way, which may let go later.
        by_budget: bool,
    },
    /// If these go it fits.
    Candidate(GangCandidate),
    /// Nothing yet: the slice has ended.
    Unfinished,
}

/// Who has to go for a gang.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GangCandidate {
    /// The pods, the most important first.
    pub victims: Vec<PlacedId>,
    /// How many of them a budget protects.
    pub violations: usize,
    /// How many groups, or single pods of groups, are among them.
    pub groups: usize,
    /// Where which member goes then, by its place in the list of candidates.
    pub nodes: Vec<(usize, NodeId)>,
}

/// Finds the pods that have to go so that the gang fits. What clearing nodes costs while everybody is
/// where they are is remembered, so that it goes on there if it is begun again after a slice.
pub fn search_for_gang(
    cluster: &mut Cluster,
    preemptor: GangPreemptor<'_>,
    classes: &mut [CandidateClass],
    surroundings: Surroundings<'_>,
    (memory, progress): (&mut Memory, &mut Progress),
) -> GangVerdict {
    let gangs = surroundings.gangs;
    let lowest = lowest_priority(cluster, gangs);
    if lowest.is_none_or(|lowest| lowest >= preemptor.priority) {
        let why = "No preemption victims found for incoming preemptor";
        return GangVerdict::Hopeless {
            why: why.to_owned(),
            by_budget: false,
        };
    }
    let skipped = reprieve::skipped(cluster, preemptor.request, classes);
    memory.refresh(cluster, gangs);
    progress.expect(cluster.node_count() * classes.len() * ASKED);
    let mut own = NodeSet::new();
    for node in gangs
        .get(preemptor.gang)
        .into_iter()
        .flat_map(|gang| nodes_of(cluster, gang))
    {
        own.insert(node);
    }
    let mut search = Search {
        preemptor,
        surroundings,
        own,
        known: Vec::new(),
        memory,
        progress,
        classes,
        skipped,
        most: (0, 0),
    };
    let verdict = search.verdict(cluster);
    // What was tried is undone.
    memory.stands(cluster, gangs);
    verdict
}

/// How often it is asked for the least that has to go, with other limits: as the gang may evict, and
/// twice to tell what it would take.
const ASKED: usize = 3;

/// Who may be evicted.
#[derive(Clone, Copy, Debug)]
struct Limits {
    below: i32,
    violate_pdb: bool,
}

/// A member that has its place in the trial.
#[derive(Clone, Copy, Debug)]
struct Seat {
    candidate: usize,
    node: NodeId,
    placed: PlacedId,
}

/// Pods that are gone in the trial.
#[derive(Debug)]
struct Chosen {
    unit: Unit,
    records: Vec<PlacedRecord>,
}

struct Search<'a, 'b> {
    preemptor: GangPreemptor<'a>,
    surroundings: Surroundings<'a>,
    /// Where pods of the gang are, so that clearing the node costs it something else than others.
    own: NodeSet,
    /// What clearing nodes costs while everybody is where they are, for each class.
    known: Vec<Arc<Known<Option<GangCost>>>>,
    memory: &'b mut Memory,
    progress: &'b mut Progress,
    classes: &'b mut [CandidateClass],
    /// Which plugins have nothing to say while nobody is gone.
    skipped: Skipped,
    /// How many members were placed at most, and how many were not reached then.
    most: (usize, usize),
}

impl Search<'_, '_> {
    fn verdict(&mut self, cluster: &mut Cluster) -> GangVerdict {
        let limits = Limits {
            below: self.preemptor.priority,
            violate_pdb: self.preemptor.violate_pdb,
        };
        let kept = Limits {
            violate_pdb: false,
            ..limits
        };
        let mut found = self.cheapest(cluster, kept);
        let or_else = limits.violate_pdb && !self.surroundings.budgets.is_empty();
        if found.is_none() && or_else && !self.progress.has_ended() {
            found = self.cheapest(cluster, limits);
        }
        if let Some((_, found)) = found {
            return GangVerdict::Candidate(found);
        }
        if self.progress.has_ended() {
            return GangVerdict::Unfinished;
        }
        let (placed, left) = self.most;
        let mut why = format!(
            "minCount ({}) cannot be satisfied: {placed} scheduled, {left} remaining",
            self.preemptor.request.need.pods
        );
        let mut by_budget = false;
        if let Some((more, is_budget)) = self.what_it_would_take(cluster, limits) {
            why = format!("{why}; {more}");
            by_budget = is_budget;
        }
        if self.progress.has_ended() {
            return GangVerdict::Unfinished;
        }
        GangVerdict::Hopeless { why, by_budget }
    }

    /// The least that has to go, of all domains in question; nothing if the slice has ended before.
    fn cheapest(
        &mut self,
        cluster: &mut Cluster,
        limits: Limits,
    ) -> Option<(GangCost, GangCandidate)> {
        let request = self.preemptor.request;
        let domains = domains(cluster, request.topology, request.anchors);
        self.price(cluster, &domains, limits);
        if self.progress.has_ended() {
            return None;
        }
        let mut best: Option<(GangCost, GangCandidate)> = None;
        for domain in domains {
            let found = self.in_domain(cluster, &domain, limits);
            if let Some(found) = found
                && best.as_ref().is_none_or(|(held, _)| found.0 < *held)
            {
                best = Some(found);
            }
        }
        best
    }

    fn in_domain(
        &mut self,
        cluster: &mut Cluster,
        domain: &Domain,
        limits: Limits,
    ) -> Option<(GangCost, GangCandidate)> {
        let found =
            cluster.speculate(|cluster| (Keep::RollBack, self.one_by_one(cluster, domain, limits)));
        let good = (found.as_ref()).is_some_and(|(_, found)| found.violations == 0);
        if good || !self.may_fit(cluster, domain, limits) {
            return found;
        }
        let other = cluster.speculate(|cluster| {
            (
                Keep::RollBack,
                self.by_clearing_all(cluster, domain, limits),
            )
        });
        [found, other]
            .into_iter()
            .flatten()
            .min_by_key(|(cost, _)| *cost)
    }

    /// Places members one after another.
    fn one_by_one(
        &mut self,
        cluster: &mut Cluster,
        domain: &Domain,
        limits: Limits,
    ) -> Option<(GangCost, GangCandidate)> {
        let request = self.preemptor.request;
        let order = order(request, self.classes);
        let mut scene = Scene {
            prices: (self.known.iter())
                .map(|known| Prices::new(Arc::clone(known), &self.own, cluster))
                .collect(),
            ..self.scene(limits)
        };
        let mut missing: BTreeMap<&str, usize> = (request.need.roles.iter())
            .map(|(role, asked)| (&**role, *asked))
            .collect();
        let (mut seats, mut chosen): (Vec<Seat>, Vec<Chosen>) = (Vec::new(), Vec::new());
        // What is like a member that found no place finds none either, until something has changed.
        let mut in_vain = Vec::new();
        for (rank, &index) in order.iter().enumerate() {
            let wanted = request.need.pods.saturating_sub(seats.len());
            let of_roles: usize = missing.values().sum();
            if wanted == 0 && of_roles == 0 {
                break;
            }
            let left = order.len() - rank;
            if left < wanted.max(of_roles) {
                self.most = self.most.max((seats.len(), left));
                return None;
            }
            let candidate = request.candidates.get(index)?;
            let role = candidate
                .role
                .filter(|role| missing.get(role).is_some_and(|left| *left > 0));
            if role.is_none() && wanted <= of_roles {
                continue;
            }
            let kind = (candidate.class, candidate.peers, seats.len());
            if in_vain.contains(&kind) {
                continue;
            }
            let Some(node) = self.seat(cluster, domain, index, &mut scene, &mut chosen) else {
                in_vain.push(kind);
                continue;
            };
            let placed = cluster.assume(
                candidate.reference,
                candidate.priority,
                candidate.placed,
                candidate.peers,
                node,
            );
            seats.push(Seat {
                candidate: index,
                node,
                placed,
            });
            if let Some(left) = role.and_then(|role| missing.get_mut(role)) {
                *left -= 1;
            }
        }
        if seats.len() < request.need.pods || missing.values().any(|left| *left > 0) {
            self.most = self.most.max((seats.len(), 0));
            return None;
        }
        self.settle(cluster, seats, chosen)
    }

    /// Where a member goes: what has to go for it is gone then.
    fn seat(
        &mut self,
        cluster: &mut Cluster,
        domain: &Domain,
        index: usize,
        scene: &mut Scene<'_>,
        chosen: &mut Vec<Chosen>,
    ) -> Option<NodeId> {
        let request = self.preemptor.request;
        let profile = request.profile;
        let candidate = request.candidates.get(index)?;
        let class = self.classes.get_mut(candidate.class)?;
        let evaluation = &mut class.evaluation;
        let incoming = Incoming {
            shape: &class.shape,
            peers: candidate.peers,
        };
        evaluation.filter(profile, incoming, cluster);
        if evaluation.error().is_some() || evaluation.rejection().is_some() {
            return None;
        }
        if let Some(nodes) = &domain.nodes {
            evaluation.confine(nodes);
        }
        evaluation.yield_to(profile, incoming, cluster, request.nominated);
        if !evaluation.feasible().is_empty() {
            evaluation.score(profile, incoming, cluster);
            return Some(evaluation.choose(cluster, candidate.hash)?.node);
        }
        let mut nodes = evaluation.resolvable();
        if let Some(within) = &domain.nodes {
            nodes.intersect(within);
        }
        let preemptor = Preemptor {
            pod: incoming,
            priority: candidate.priority,
            nominated: request.nominated,
            hash: candidate.hash,
        };
        let skipped = evaluation.skipped();
        let prices = scene.prices.get_mut(candidate.class)?;
        let asked = match profile.obstacle(&class.shape, cluster, skipped) {
            Obstacle::Room(asked) => Some(asked),
            Obstacle::None | Obstacle::Pods => None,
        };
        let mut prices = std::mem::take(prices);
        let found = prices.cheapest(
            cluster,
            scene,
            (profile, &preemptor, skipped),
            asked,
            &nodes,
        );
        if let Some(slot) = scene.prices.get_mut(candidate.class) {
            *slot = prices;
        }
        let (node, units) = found?;
        for unit in units {
            self.evict(cluster, scene, unit, chosen);
        }
        Some(node)
    }

    /// Whether there could be room for enough members if all were gone that may go: a bound that is
    /// cheap to come by.
    fn may_fit(&self, cluster: &Cluster, domain: &Domain, limits: Limits) -> bool {
        let request = self.preemptor.request;
        let mut members = vec![0_usize; self.classes.len()];
        for candidate in request.candidates {
            if let Some(count) = members.get_mut(candidate.class) {
                *count += 1;
            }
        }
        let nodes = domain.nodes.as_ref().unwrap_or(cluster.nodes());
        let mut room = 0_usize;
        for (class, members) in self.classes.iter().zip(members) {
            let asked = request.profile.asked_room(&class.shape, cluster);
            let of_class: usize = (nodes.iter())
                .map(|node| {
                    prices::room_without(
                        cluster,
                        self.surroundings.gangs,
                        node,
                        limits.below,
                        &asked,
                    )
                })
                .fold(0, usize::saturating_add);
            room = room.saturating_add(of_class.min(members));
        }
        room >= request.need.pods
    }

    /// Takes everything away that may go, and plans the gang as if there were nothing else.
    fn by_clearing_all(
        &mut self,
        cluster: &mut Cluster,
        domain: &Domain,
        limits: Limits,
    ) -> Option<(GangCost, GangCandidate)> {
        let mut scene = self.scene(limits);
        let nodes: Vec<NodeId> = domain
            .nodes
            .as_ref()
            .unwrap_or(cluster.nodes())
            .iter()
            .collect();
        let mut chosen = Vec::new();
        let mut stock = Stock::default();
        for node in nodes {
            scene.stock(cluster, node, &mut stock);
            for unit in std::mem::take(&mut stock.units) {
                self.evict(cluster, &mut scene, unit, &mut chosen);
            }
        }
        let request = self.preemptor.request;
        let trial = Request {
            known_room: None,
            ..*request
        };
        let planned = plan(cluster, &trial, self.classes);
        let planned = match planned {
            Ok(planned) => planned,
            Err(refused) => {
                self.most = (refused.fitted.len(), refused.not_reached.len());
                return None;
            }
        };
        for placed in &planned.placed {
            let class = request
                .candidates
                .get(placed.candidate)
                .map(|held| held.class);
            if let Some(class) = class.and_then(|class| self.classes.get(class)) {
                request
                    .profile
                    .unreserve(&class.shape, placed.choice.node, cluster);
            }
        }
        let seats = planned.placed.iter().map(|placed| Seat {
            candidate: placed.candidate,
            node: placed.choice.node,
            placed: placed.placed,
        });
        self.settle(cluster, seats.collect(), chosen)
    }

    /// Gives back what is not needed, and tells what is. None if the members do not fit in the end.
    fn settle(
        &mut self,
        cluster: &mut Cluster,
        mut seats: Vec<Seat>,
        chosen: Vec<Chosen>,
    ) -> Option<(GangCost, GangCandidate)> {
        let budgets = self.surroundings.budgets;
        let request = self.preemptor.request;
        let known = (budgets, &self.skipped);
        let mut chosen = reprieve(cluster, request, self.classes, known, &mut seats, chosen);
        if !can_be_taken(cluster, request, self.classes, &seats) {
            return None;
        }
        chosen.sort_by(|a, b| a.unit.by_importance(&b.unit));
        let mut allowance = Allowance::strict(budgets);
        let mut victims = Vec::new();
        let mut violations = 0;
        for one in &chosen {
            for record in &one.records {
                let labels = cluster.labels_of(record.peers);
                violations += usize::from(allowance.charge(&record.reference, labels).is_some());
            }
            for pod in one.unit.pods() {
                if !victims.contains(pod) {
                    victims.push(*pod);
                }
            }
        }
        let cost = GangCost::of(
            chosen.iter().map(|one| (&one.unit, &*one.records)),
            violations,
        );
        let candidate = GangCandidate {
            groups: (chosen.iter()).filter(|one| one.unit.is_grouped()).count(),
            victims,
            violations,
            nodes: (seats.iter())
                .map(|seat| (seat.candidate, seat.node))
                .collect(),
        };
        Some((cost, candidate))
    }
}
