//! Preemption (DefaultPreemption): for now the words, so that every FailedScheduling text ends as
//! kube-scheduler's does. Nobody is evicted: where room could be made the part is left out.
//!
//! Source: `framework/preemption/preemption.go`, `plugins/defaultpreemption`.

mod budgets;

pub use budgets::Budgets;

use crate::cluster::{Cluster, Keep, NodeId, PlacedId};
use crate::framework::{Diagnosis, Evaluation, Incoming, Nominations, Profile, ReasonCounts};

const NOT_HELPFUL: &str = "Preemption is not helpful for scheduling";
const NO_VICTIMS: &str = "No preemption victims found for incoming pod";

/// What PostFilter adds to the message of a pod that fits nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing can be done, in these words.
    Hopeless(String),
    /// Removing pods of lower priority from some node would make room.
    Possible,
}

/// A pod that fits nowhere.
#[derive(Clone, Copy, Debug)]
pub struct Preemptor<'a> {
    /// What it asks.
    pub pod: Incoming<'a>,
    /// Pods of lower priority may have to go.
    pub priority: i32,
    /// `preemptionPolicy: Never`.
    pub never_preempts: bool,
    /// The nominated pods that it yields to.
    pub nominated: &'a Nominations<'a>,
}

/// Whether removing pods of lower priority could make room for the pod.
pub fn explain(
    cluster: &mut Cluster,
    profile: &Profile,
    preemptor: Preemptor<'_>,
    evaluation: &Evaluation,
) -> Verdict {
    let priority = preemptor.priority;
    if preemptor.never_preempts {
        return Verdict::Hopeless(
            "preemption: not eligible due to preemptionPolicy=Never.".to_owned(),
        );
    }
    let candidates = evaluation.resolvable();
    let mut counts = ReasonCounts::default();
    let asked = candidates.len();
    if cluster
        .lowest_priority()
        .is_none_or(|lowest| lowest >= priority)
    {
        // Nobody anywhere could be a victim, so that no node needs looking at.
        counts.add(NO_VICTIMS.into(), asked);
    } else {
        for node in candidates.iter() {
            let victims = victims_on(cluster, node, priority);
            if victims.is_empty() {
                counts.add(NO_VICTIMS.into(), 1);
                continue;
            }
            let mut why = Diagnosis::default();
            let yields = (preemptor.nominated, evaluation.skipped());
            let fits = cluster.speculate(|cluster| {
                for victim in victims {
                    cluster.remove(victim);
                }
                let fits =
                    profile.fits_with_nominated(preemptor.pod, cluster, node, yields, &mut why);
                (Keep::RollBack, fits)
            });
            if fits {
                return Verdict::Possible;
            }
            for reason in why.reasons_for(node) {
                counts.add(reason.text(), 1);
            }
        }
    }
    let total = cluster.node_count();
    counts.add(NOT_HELPFUL.into(), total - asked);
    let reasons = counts.text().unwrap_or_default();
    Verdict::Hopeless(format!(
        "preemption: 0/{total} nodes are available: {reasons}."
    ))
}

fn victims_on(cluster: &Cluster, node: NodeId, priority: i32) -> Vec<PlacedId> {
    (cluster.pods_on(node).iter().copied())
        .filter(|&id| {
            cluster
                .placed(id)
                .is_some_and(|pod| pod.priority < priority)
        })
        .collect()
}

#[cfg(test)]
mod tests;
