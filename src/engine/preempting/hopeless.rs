//! What was found out for pods that nothing can be done for, so that a thousand pods alike are not
//! searched for a thousand times while nothing changes.

use crate::cluster::{LogPosition, PeerId};
use crate::queue::ClassId;

/// How many answers are kept.
const KEPT: usize = 16;

/// What an answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Question {
    pub(super) class: ClassId,
    pub(super) peers: PeerId,
    pub(super) priority: i32,
    /// Moves with every node and every placed pod.
    pub(super) position: LogPosition,
    /// Moves with every nomination.
    pub(super) nominations: u64,
    /// Moves with whatever else was heard.
    pub(super) news: u64,
}

/// The newest answers.
#[derive(Debug, Default)]
pub(in crate::engine) struct Hopeless(Vec<(Question, String)>);

impl Hopeless {
    pub(super) fn answer(&self, question: &Question) -> Option<&str> {
        let known = self.0.iter().find(|(known, _)| known == question);
        known.map(|(_, words)| &**words)
    }

    pub(super) fn keep(&mut self, question: Question, words: &str) {
        if self.0.len() >= KEPT {
            self.0.remove(0);
        }
        self.0.push((question, words.to_owned()));
    }
}
