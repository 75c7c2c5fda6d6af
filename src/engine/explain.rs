//! What each plugin thought of the node that was chosen, and who is evicted for whom, for who asks to
//! be told.

use std::sync::Arc;

use super::Engine;
use super::preempting::Beneficiary;
use crate::cluster::PlacedId;
use crate::framework::{Choice, Evaluation, Incoming};
use crate::model::{GroupRef, PodRef};
use crate::telemetry::metrics::Preemptor;

/// What is kept once somebody wants it.
#[derive(Debug, Default)]
pub(super) struct Explained {
    pub(super) wanted: bool,
    scores: Vec<(&'static str, i64)>,
    pub(super) findings: Vec<Finding>,
}

/// What was found out about a preemption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Pods are evicted for another one, or for a gang.
    Preempts(Preemption),
    /// Nobody can be evicted for a pod; what it would take, in words.
    WouldTake(Arc<PodRef>, String),
}

/// Who is evicted for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preemption {
    /// Pod or group.
    pub kind: Preemptor,
    /// Namespace of the preemptor.
    pub namespace: Box<str>,
    /// Name of the preemptor.
    pub name: Box<str>,
    /// The nodes that are cleared for it, by name, each once.
    pub nodes: Vec<Arc<str>>,
    /// The most important first.
    pub victims: Vec<Victim>,
    /// How many of them a budget protects.
    pub violations: usize,
}

/// A pod that is evicted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    /// Which.
    pub pod: Arc<PodRef>,
    /// Where it runs.
    pub node: Arc<str>,
    /// Its own priority.
    pub priority: i32,
    /// Its group, if it has one.
    pub group: Option<Arc<GroupRef>>,
}

impl Engine {
    /// Keeps the scores of each choice from now on, until the next one, and what is found out about
    /// preemptions, until it is taken. That takes work per pod, which a scheduler that nobody asks does
    /// not do.
    pub fn keep_findings(&mut self) {
        self.explained.wanted = true;
    }

    /// What was found out since this was asked last. Empty without [`Self::keep_findings`].
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.explained.findings)
    }

    /// Whoever was evicted stays, for those who only want to know.
    pub fn keep_victims(&mut self) {
        for uid in self.preemptions.take_leaving() {
            self.gangs.table.set_terminating(&uid, false);
        }
    }

    /// The node that a waiting pod is nominated to: others leave it the room there.
    pub fn nominated_node(&self, uid: &str) -> Option<&str> {
        self.nominator.node_of(*self.by_uid.get(uid)?)
    }

    /// The weighted score that each plugin gave the node chosen last, in the profile's order; their
    /// sum is what the node won with. Empty when nothing was compared, because a single node was
    /// feasible, the pod was nominated for the node or is a member of a gang, and without
    /// [`Self::keep_findings`].
    pub fn last_scores(&self) -> &[(&'static str, i64)] {
        &self.explained.scores
    }

    /// The members of a gang are chosen one after another, each on another state of the cluster, so
    /// that nothing is kept of them.
    pub(super) fn explain_nothing(&mut self) {
        self.explained.scores.clear();
    }

    pub(super) fn explain(
        &mut self,
        profile: usize,
        incoming: Incoming<'_>,
        evaluation: &Evaluation,
        choice: Choice,
    ) {
        if !self.explained.wanted {
            return;
        }
        self.explained.scores.clear();
        if choice.feasible > 1 {
            let profile = &self.profiles[profile].profile;
            let scores = evaluation.scores(profile, incoming, &self.cluster, choice.node);
            let named = |(plugin, score)| (profile.plugin(plugin).name(), score);
            self.explained.scores.extend(scores.into_iter().map(named));
        }
    }

    /// Pods are evicted for somebody.
    pub(super) fn explain_preemption(
        &mut self,
        preemptor: (&str, &str),
        beneficiary: &Beneficiary,
        victims: &[PlacedId],
        violations: usize,
    ) {
        if !self.explained.wanted {
            return;
        }
        let mut nodes: Vec<_> = (beneficiary.nodes.iter())
            .map(|(_, node)| Arc::clone(node))
            .collect();
        nodes.sort_unstable();
        nodes.dedup();
        let gangs = &self.gangs.table;
        let victims = victims.iter().filter_map(|victim| {
            let record = self.cluster.placed(*victim)?;
            let gang = gangs.of_member(&record.reference.uid);
            Some(Victim {
                pod: Arc::clone(&record.reference),
                node: Arc::from(self.cluster.node_name(record.node)),
                priority: record.priority,
                group: gang.and_then(|id| Some(Arc::clone(&gangs.get(id)?.reference))),
            })
        });
        let (namespace, name) = preemptor;
        let preemption = Preemption {
            kind: beneficiary.kind,
            namespace: namespace.into(),
            name: name.into(),
            nodes,
            victims: victims.collect(),
            violations,
        };
        (self.explained.findings).push(Finding::Preempts(preemption));
    }
}
