//! Giving back what is not needed after all.

use super::{Chosen, Seat};
use crate::cluster::{Cluster, NodeId};
use crate::framework::{Diagnosis, Incoming};
use crate::gang::{CandidateClass, Request};
use crate::preemption::Budgets;
use crate::preemption::budgets::Allowance;

/// Puts back what the members can be seated beside: first what budgets protect, then the rest, the
/// most important first. Answers what stays away.
pub(super) fn reprieve(
    cluster: &mut Cluster,
    request: &Request<'_>,
    classes: &[CandidateClass],
    budgets: &Budgets,
    seats: &mut [Seat],
    mut chosen: Vec<Chosen>,
) -> Vec<Chosen> {
    chosen.sort_by(|a, b| a.unit.by_importance(&b.unit));
    let mut allowance = Allowance::new(budgets);
    let (protected, rest): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|one| {
        let charged = |record: &crate::cluster::PlacedRecord| {
            let labels = &cluster.peers().class(record.peers).spec().labels;
            allowance.charge(&record.reference, labels).is_some()
        };
        one.records
            .iter()
            .map(charged)
            .fold(false, |any, one| any | one)
    });
    let mut away: Vec<Chosen> = Vec::new();
    for one in protected.into_iter().chain(rest) {
        // What goes with the core of a gang goes too.
        let dragged = one.unit.surplus.is_some_and(|gang| {
            let mut cores = away.iter().filter_map(|other| other.unit.core);
            cores.any(|core| core == gang)
        });
        if dragged || !put_back(cluster, request, classes, seats, &one) {
            away.push(one);
        }
    }
    away
}

fn put_back(
    cluster: &mut Cluster,
    request: &Request<'_>,
    classes: &[CandidateClass],
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
        let skipped = class.evaluation.skipped();
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
