//! Where the members of a gang go: at least as many as must run together, or none.
//!
//! Members are placed one after another on one state, each as a pod by itself would be, with those
//! before it counted. It is greedy as upstream's: no member is moved again for a later one, but the
//! large ones go first. Where a topology is asked for, this is tried in one domain after another,
//! the tightest one first. Sources: `pkg/scheduler/schedule_one_podgroup.go`,
//! `plugins/topologyaware`.

mod domains;
mod order;
mod room;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

pub use domains::{Domain, domains};
pub use order::order;

use crate::cluster::{Cluster, Keep, NodeId, NodeSet, PeerId, PlacedId};
use crate::framework::{Choice, Evaluation, Incoming, Nominations, PermitWait, PluginSet, Profile};
use crate::model::{GangTopology, PlacedPod, PodRef, PodShape};

/// How many more members must be placed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// In all.
    pub pods: usize,
    /// Of these roles.
    pub roles: BTreeMap<Box<str>, usize>,
}

impl Need {
    /// Any member by itself is worth placing.
    pub fn one() -> Self {
        Self {
            pods: 1,
            roles: BTreeMap::new(),
        }
    }
}

/// A class of pods and what is kept of it.
#[derive(Debug)]
pub struct CandidateClass {
    /// What the pods ask of nodes.
    pub shape: Arc<PodShape>,
    /// What is known of the nodes.
    pub evaluation: Box<Evaluation>,
}

/// A member that is to be placed.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// Its class, by its place in the list of them.
    pub class: usize,
    /// Its class among other pods.
    pub peers: PeerId,
    /// Which pod.
    pub reference: &'a Arc<PodRef>,
    /// Priority.
    pub priority: i32,
    /// What it takes.
    pub placed: &'a PlacedPod,
    /// Decides between equal scores.
    pub hash: u64,
    /// The node that is kept for it.
    pub nominated: Option<NodeId>,
    /// Its role.
    pub role: Option<&'a str>,
}

/// A gang that is to be placed.
#[derive(Debug)]
pub struct Request<'a> {
    /// Who places it.
    pub profile: &'a Profile,
    /// The pods that it yields to.
    pub nominated: &'a Nominations<'a>,
    /// The members.
    pub candidates: &'a [Candidate<'a>],
    /// How many of them it must be.
    pub need: &'a Need,
    /// Where they must or should be together.
    pub topology: &'a GangTopology,
    /// Where the members are that run already.
    pub anchors: &'a [NodeId],
    /// What [`Refused::room`] was the last time. If it is the same again the answer is too.
    pub known_room: Option<usize>,
}

/// A member that was placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its place in the list of candidates.
    pub candidate: usize,
    /// Where.
    pub choice: Choice,
    /// As what it counts there.
    pub placed: PlacedId,
    /// The plugins whose permission it waits for.
    pub waits: Vec<PermitWait>,
}

/// A member that no node took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its place in the list of candidates.
    pub candidate: usize,
    /// How many nodes came into question.
    pub nodes: usize,
    /// Why not, as after `0/N nodes are available: `.
    pub reasons: Option<String>,
    /// Who refused it.
    pub rejectors: PluginSet,
    /// What went wrong if a plugin cannot read the pod, which is no refusal.
    pub error: Option<String>,
}

/// A gang that was placed. The cluster counts its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The members that fit.
    pub placed: Vec<Placed>,
    /// Members that did not, and that the gang can do without.
    pub refused: Vec<Refusal>,
    /// In which domain, if one was asked for.
    pub domain: Option<(Box<str>, Box<str>)>,
}

/// A gang that was not placed. Nothing is held for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// The members that would have fitted, where most of them do.
    pub fitted: Vec<usize>,
    /// Those that did not.
    pub refused: Vec<Refusal>,
    /// Those that were not looked at any more.
    pub not_reached: Vec<usize>,
    /// The domain that this is about.
    pub domain: Option<(Box<str>, Box<str>)>,
    /// Whether it would have been placed but for the topology that it must have.
    pub fits_elsewhere: bool,
    /// How many members there is room for at most, if that alone rules the gang out.
    pub room: Option<usize>,
    /// There is no more room than the last time: what is to be told is not filled in.
    pub unchanged: bool,
    /// Whoever keeps any of the members off any node, whether that was decisive or not: a member
    /// may fit once another one goes elsewhere, or in a domain that was not tried.
    pub rejectors: PluginSet,
}

/// Places the gang. If it was placed the cluster counts it, and if not the cluster is as it was.
///
/// # Errors
///
/// Why it was not placed.
pub fn plan(
    cluster: &mut Cluster,
    request: &Request<'_>,
    classes: &mut [CandidateClass],
) -> Result<Plan, Box<Refused>> {
    Planner::new(request, classes).plan(cluster)
}

struct Planner<'a, 'b> {
    request: &'a Request<'b>,
    classes: &'a mut [CandidateClass],
    /// The candidates in the order in which they are placed.
    order: Vec<usize>,
    /// See [`Refused::rejectors`].
    rejectors: PluginSet,
}

/// Which of the nodes that take a member gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pick {
    /// The best one.
    Best,
    /// Any, where it is only asked how many fit.
    Any,
}

/// What came of one try.
#[derive(Default)]
struct Attempt {
    placed: Vec<Placed>,
    refused: Vec<Refusal>,
    not_reached: Vec<usize>,
}

impl<'a, 'b> Planner<'a, 'b> {
    fn new(request: &'a Request<'b>, classes: &'a mut [CandidateClass]) -> Self {
        let order = order(request, classes);
        Self {
            request,
            classes,
            order,
            rejectors: PluginSet::default(),
        }
    }

    fn plan(mut self, cluster: &mut Cluster) -> Result<Plan, Box<Refused>> {
        let topology = self.request.topology;
        if topology.required.is_none() && topology.preferred.is_empty() {
            return self.plan_anywhere(cluster);
        }
        let everyone = self.order.len();
        let levels = domains::levels(cluster, topology, self.request.anchors);
        let last = levels.len().saturating_sub(1);
        let mut best: Option<(Attempt, Domain)> = None;
        for (level, domains) in levels.into_iter().enumerate() {
            let must = level == last;
            let wanted = if must {
                self.request.need.pods
            } else {
                everyone
            };
            let ranked = self.rank(cluster, domains);
            // Where all domains are too small the largest one is tried, for the sake of its reasons.
            let worth = |room: usize| room >= wanted;
            let in_vain = must && best.is_none() && !ranked.iter().any(|(room, _)| worth(*room));
            let largest = (ranked.iter().enumerate())
                .max_by_key(|(place, (room, _))| (*room, Reverse(*place)))
                .map(|(place, _)| place);
            for (place, (room, domain)) in ranked.into_iter().enumerate() {
                if !(worth(room) || (in_vain && Some(place) == largest)) {
                    continue;
                }
                let pick = if worth(room) { Pick::Best } else { Pick::Any };
                let attempt = match self.try_in(cluster, Some(&domain), wanted, pick) {
                    Ok(attempt) => return Ok(self.planned(attempt, Some(domain))),
                    Err(attempt) => attempt,
                };
                let better =
                    |(held, _): &(Attempt, Domain)| attempt.placed.len() > held.placed.len();
                if must && best.as_ref().is_none_or(better) {
                    best = Some((attempt, domain));
                }
            }
        }
        let (attempt, domain) = match best {
            Some((attempt, domain)) => (attempt, Some(domain)),
            // There is no domain to try, which everybody has to be told.
            None => {
                let attempt = Attempt {
                    not_reached: self.order.clone(),
                    ..Attempt::default()
                };
                (attempt, None)
            }
        };
        let fits_elsewhere = topology.required.is_some() && self.fits_anywhere(cluster);
        Err(Box::new(Refused {
            domain: domain.and_then(|domain| domain.label),
            fits_elsewhere,
            ..self.refused(attempt)
        }))
    }

    fn plan_anywhere(mut self, cluster: &mut Cluster) -> Result<Plan, Box<Refused>> {
        let room = self.too_little_room(cluster);
        if room.is_some() && room == self.request.known_room {
            return Err(Box::new(Refused {
                room,
                unchanged: true,
                rejectors: self.rejectors,
                ..Refused::default()
            }));
        }
        // Where there is too little room it is only tried for the sake of the reasons.
        let pick = if room.is_some() {
            Pick::Any
        } else {
            Pick::Best
        };
        match self.try_in(cluster, None, self.request.need.pods, pick) {
            Ok(attempt) => Ok(self.planned(attempt, None)),
            Err(attempt) => Err(Box::new(Refused {
                room,
                ..self.refused(attempt)
            })),
        }
    }

    fn planned(&self, attempt: Attempt, domain: Option<Domain>) -> Plan {
        Plan {
            placed: attempt.placed,
            refused: attempt.refused,
            domain: domain.and_then(|domain| domain.label),
        }
    }

    fn refused(&self, attempt: Attempt) -> Refused {
        Refused {
            fitted: (attempt.placed.iter())
                .map(|placed| placed.candidate)
                .collect(),
            refused: attempt.refused,
            not_reached: attempt.not_reached,
            rejectors: self.rejectors,
            ..Refused::default()
        }
    }

    /// Whether the gang would fit without its topology.
    fn fits_anywhere(&mut self, cluster: &mut Cluster) -> bool {
        let need = self.request.need.pods;
        if self.too_little_room(cluster).is_some() {
            return false;
        }
        cluster.speculate(|cluster| {
            let attempt = self.place_all(cluster, None, need, Pick::Any);
            let fits = self.enough(&attempt, need);
            self.unreserve(&attempt, cluster);
            (Keep::RollBack, fits)
        })
    }

    /// Tries to place at least so many members in a domain.
    fn try_in(
        &mut self,
        cluster: &mut Cluster,
        domain: Option<&Domain>,
        wanted: usize,
        pick: Pick,
    ) -> Result<Attempt, Attempt> {
        cluster.speculate(|cluster| {
            let attempt = self.place_all(cluster, domain, wanted, pick);
            if self.enough(&attempt, wanted) {
                return (Keep::Commit, Ok(attempt));
            }
            self.unreserve(&attempt, cluster);
            (Keep::RollBack, Err(attempt))
        })
    }

    fn enough(&self, attempt: &Attempt, wanted: usize) -> bool {
        !attempt.placed.is_empty()
            && attempt.placed.len() >= wanted
            && self.missing_roles(&attempt.placed).next().is_none()
    }

    /// The roles of which more must be placed, and how many more.
    fn missing_roles<'c>(&'c self, placed: &'c [Placed]) -> impl Iterator<Item = (&'c str, usize)> {
        let request = self.request;
        (request.need.roles.iter()).filter_map(move |(role, asked)| {
            let of_role =
                |placed: &&Placed| request.candidates[placed.candidate].role == Some(&**role);
            let missing = asked.saturating_sub(placed.iter().filter(of_role).count());
            (missing > 0).then_some((&**role, missing))
        })
    }

    /// Whether enough members are left to reach what is wanted.
    fn reachable(&self, attempt: &Attempt, wanted: usize, left: &[usize]) -> bool {
        let in_role = |role: &str| {
            let of_role = |index: &&usize| self.request.candidates[**index].role == Some(role);
            left.iter().filter(of_role).count()
        };
        attempt.placed.len() + left.len() >= wanted
            && (self.missing_roles(&attempt.placed)).all(|(role, missing)| in_role(role) >= missing)
    }

    fn place_all(
        &mut self,
        cluster: &mut Cluster,
        domain: Option<&Domain>,
        wanted: usize,
        pick: Pick,
    ) -> Attempt {
        let mut attempt = Attempt::default();
        // A member like one that was refused is refused too, until another one was placed.
        let mut alike: FxHashMap<(usize, PeerId), (usize, Refusal)> = FxHashMap::default();
        for rank in 0..self.order.len() {
            let left = &self.order[rank..];
            if !self.reachable(&attempt, wanted, left) {
                attempt.not_reached = left.to_vec();
                break;
            }
            let index = self.order[rank];
            let candidate = &self.request.candidates[index];
            let kind = (candidate.class, candidate.peers);
            if let Some((placed, refusal)) = alike.get(&kind)
                && *placed == attempt.placed.len()
            {
                attempt.refused.push(Refusal {
                    candidate: index,
                    ..refusal.clone()
                });
                continue;
            }
            match self.place(cluster, index, domain, pick) {
                Ok(placed) => attempt.placed.push(placed),
                Err(refusal) => {
                    alike.insert(kind, (attempt.placed.len(), refusal.clone()));
                    attempt.refused.push(refusal);
                }
            }
        }
        attempt
    }

    /// Places one member.
    fn place(
        &mut self,
        cluster: &mut Cluster,
        index: usize,
        domain: Option<&Domain>,
        pick: Pick,
    ) -> Result<Placed, Refusal> {
        let profile = self.request.profile;
        let candidate = &self.request.candidates[index];
        let class = &mut self.classes[candidate.class];
        let evaluation = &mut class.evaluation;
        let incoming = Incoming {
            shape: &class.shape,
            peers: candidate.peers,
        };
        let nodes = domain.and_then(|domain| domain.nodes.as_ref());
        let asked = nodes.map_or_else(|| cluster.node_count(), NodeSet::len);
        let refused = |reasons, rejectors| Refusal {
            candidate: index,
            nodes: asked,
            reasons,
            rejectors,
            error: None,
        };
        let unreadable = |error: &str| Refusal {
            error: Some(error.to_owned()),
            ..refused(None, PluginSet::default())
        };
        evaluation.filter(profile, incoming, cluster);
        if let Some(error) = evaluation.error() {
            return Err(unreadable(error));
        }
        if let Some(nodes) = nodes {
            evaluation.confine(nodes);
        }
        evaluation.yield_to(profile, incoming, cluster, self.request.nominated);
        let rejectors = evaluation.rejectors();
        self.rejectors.union(rejectors);
        let Some(any) = evaluation.feasible().iter().next() else {
            let reasons = evaluation.reasons_in(nodes, profile, cluster);
            return Err(refused(reasons, rejectors));
        };
        let kept = candidate.nominated;
        let kept = kept.filter(|node| evaluation.feasible().contains(*node));
        let choice = match pick {
            _ if let Some(node) = kept => Choice {
                node,
                total: 0,
                feasible: 1,
            },
            Pick::Any => Choice {
                node: any,
                total: 0,
                feasible: 1,
            },
            Pick::Best => {
                evaluation.score(profile, incoming, cluster);
                if let Some(error) = evaluation.error() {
                    return Err(unreadable(error));
                }
                let packed = room::packed_resource(&class.shape, cluster);
                let free = packed.map(|resource| cluster.resources().free(resource));
                // Whole nodes stay whole: the node with the least of it left is taken.
                let first = |node: NodeId| free.map_or(0, |free| -free[node.index()]);
                (evaluation.choose_first_by(cluster, candidate.hash, first))
                    .ok_or_else(|| refused(None, PluginSet::default()))?
            }
        };
        let permitted =
            profile.reserve_and_permit(candidate.reference, &class.shape, choice.node, cluster);
        let waits = match permitted {
            Ok(waits) => waits,
            Err((plugins, reason)) => {
                let refusal = Refusal {
                    nodes: 1,
                    ..refused(Some(format!("1 {reason}")), plugins)
                };
                self.rejectors.union(plugins);
                return Err(refusal);
            }
        };
        let placed = cluster.assume(
            candidate.reference,
            candidate.priority,
            candidate.placed,
            candidate.peers,
            choice.node,
        );
        Ok(Placed {
            candidate: index,
            choice,
            placed,
            waits,
        })
    }

    fn unreserve(&self, attempt: &Attempt, cluster: &Cluster) {
        for placed in attempt.placed.iter().rev() {
            let candidate = &self.request.candidates[placed.candidate];
            let shape = &self.classes[candidate.class].shape;
            self.request
                .profile
                .unreserve(shape, placed.choice.node, cluster);
        }
    }
}

#[cfg(test)]
mod tests;
