//! Giving back what is not needed after all.

use std::collections::{BTreeMap, VecDeque};

use super::{Chosen, Seat};
use crate::cluster::{Cluster, Keep, NodeId, PeerId};
use crate::framework::{Diagnosis, Incoming, PluginSet};
use crate::gang::{CandidateClass, Request};
use crate::preemption::Budgets;
use crate::preemption::budgets::Allowance;

/// The plugins that have nothing to say about members, by class and class among other pods.
pub(super) type Skipped = BTreeMap<(usize, PeerId), PluginSet>;

/// Which plugins have nothing to say about the members as the cluster is now.
pub(super) fn skipped(
    cluster: &Cluster,
    request: &Request<'_>,
    classes: &[CandidateClass],
) -> Skipped {
    let mut skipped = Skipped::new();
    for candidate in request.candidates {
        let key = (candidate.class, candidate.peers);
        if let Some(class) = classes.get(candidate.class) {
            skipped.entry(key).or_insert_with(|| {
                let incoming = Incoming {
                    shape: &class.shape,
                    peers: candidate.peers,
                };
                request.profile.skipped(incoming, cluster)
            });
        }
    }
    skipped
}

/// Puts back what the members can be seated beside: first what budgets protect, then the rest, the
/// most important first, but the core of a gang before what the gang can do without. Answers what
/// stays away.
///
/// `before`: which plugins had nothing to say while nobody was gone. One that has nothing to say
/// about a member now may have when a pod is back that has a wish of its own.
pub(super) fn reprieve(
    cluster: &mut Cluster,
    request: &Request<'_>,
    classes: &[CandidateClass],
    (budgets, before): (&Budgets, &Skipped),
    seats: &mut [Seat],
    mut chosen: Vec<Chosen>,
) -> Vec<Chosen> {
    let mut skips = skipped(cluster, request, classes);
    for (kind, skipped) in &mut skips {
        skipped.intersect(before.get(kind).copied().unwrap_or_default());
    }
    chosen.sort_by(|a, b| a.unit.by_importance(&b.unit));
    let mut allowance = Allowance::strict(budgets);
    let (protected, rest): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|one| {
        let charged = |record: &crate::cluster::PlacedRecord| {
            let labels = cluster.labels_of(record.peers);
            allowance.charge(&record.reference, labels).is_some()
        };
        one.records
            .iter()
            .map(charged)
            .fold(false, |any, one| any | one)
    });
    let mut waiting: VecDeque<Chosen> = protected.into_iter().chain(rest).collect();
    let mut away: Vec<Chosen> = Vec::new();
    while let Some(one) = waiting.pop_front() {
        let core = one.unit.surplus.and_then(|gang| {
            let core = |other: &Chosen| other.unit.core == Some(gang);
            waiting.iter().position(core)
        });
        if let Some(core) = core.and_then(|place| waiting.remove(place)) {
            waiting.push_front(one);
            waiting.push_front(core);
            continue;
        }
        // What goes with the core of a gang goes too.
        let dragged = one.unit.surplus.is_some_and(|gang| {
            let mut cores = away.iter().filter_map(|other| other.unit.core);
            cores.any(|core| core == gang)
        });
        if dragged || !put_back(cluster, request, classes, &skips, seats, &one) {
            away.push(one);
        }
    }
    away
}

fn put_back(
    cluster: &mut Cluster,
    request: &Request<'_>,
    classes: &[CandidateClass],
    skips: &Skipped,
    seats: &mut [Seat],
    one: &Chosen,
) -> bool {
    let mut nodes: Vec<NodeId> = one.records.iter().map(|record| record.node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let back: Vec<_> = (one.records.iter())
        .map(|record| cluster.put_back(record.clone()))
        .collect();
    let sits = (seats.iter_mut()).all(|seat| {
        let Some(candidate) = request.candidates.get(seat.candidate) else {
            return true;
        };
        let Some(class) = classes.get(candidate.class) else {
            return true;
        };
        let kind = (candidate.class, candidate.peers);
        let skipped = skips.get(&kind).copied().unwrap_or_default();
        let near = nodes.binary_search(&seat.node).is_ok();
        if !near && !request.profile.looks_further(skipped) {
            return true;
        }
        // It is tried as if it came last.
        let Some(record) = cluster.remove(seat.placed) else {
            return true;
        };
        let incoming = Incoming {
            shape: &class.shape,
            peers: candidate.peers,
        };
        let yields = (request.nominated, skipped);
        let mut why = Diagnosis::default();
        let fits =
            (request.profile).fits_with_nominated(incoming, cluster, seat.node, yields, &mut why);
        seat.placed = cluster.put_back(record);
        fits
    });
    if !sits {
        for id in back {
            cluster.remove(id);
        }
    }
    sits
}

/// Whether the members can take their seats one after another, as they will. A member that looked
/// for another pod may have had it only while somebody was there who is gone in the end.
pub(super) fn can_be_taken(
    cluster: &mut Cluster,
    request: &Request<'_>,
    classes: &[CandidateClass],
    seats: &[Seat],
) -> bool {
    cluster.speculate(|cluster| {
        let standing: Vec<_> = (seats.iter())
            .filter_map(|seat| Some((seat, cluster.remove(seat.placed)?)))
            .collect();
        let taken = standing.into_iter().all(|(seat, record)| {
            let candidate = request.candidates.get(seat.candidate);
            let class = candidate.and_then(|candidate| classes.get(candidate.class));
            let fits = candidate.zip(class).is_some_and(|(candidate, class)| {
                let incoming = Incoming {
                    shape: &class.shape,
                    peers: candidate.peers,
                };
                let nominated = request.nominated;
                (request.profile).fits_own_nomination(incoming, cluster, seat.node, nominated)
            });
            cluster.put_back(record);
            fits
        });
        (Keep::RollBack, taken)
    })
}
