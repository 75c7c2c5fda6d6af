//! What each plugin thought of the node that was chosen, for who asks to be told.

use super::Engine;
use crate::framework::{Choice, Evaluation, Incoming};

/// The scores of the last choice, once somebody wants them.
#[derive(Debug, Default)]
pub(super) struct Explained {
    wanted: bool,
    scores: Vec<(&'static str, i64)>,
}

impl Engine {
    /// Keeps the scores of each choice from now on, until the next one. That takes work per pod,
    /// which a scheduler that nobody asks does not do.
    pub fn keep_scores(&mut self) {
        self.explained.wanted = true;
    }

    /// The weighted score that each plugin gave the node chosen last, in the profile's order; their
    /// sum is what the node won with. Empty when nothing was compared, because a single node was
    /// feasible, the pod was nominated for the node or is a member of a gang, and without
    /// [`Self::keep_scores`].
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
}
