//! When decisions may begin.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::engine::Change;
use crate::runtime::http::ReadyFlag;
use crate::runtime::mailbox::{Mailbox, Subject};

/// Counts the kinds that have not been listed yet, by a list that decisions may be based on.
pub(in crate::runtime) struct Unsynced {
    left: AtomicUsize,
    mailbox: Arc<Mailbox>,
}

impl Unsynced {
    pub(in crate::runtime) fn new(kinds: usize, mailbox: &Arc<Mailbox>) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicUsize::new(kinds),
            mailbox: Arc::clone(mailbox),
        })
    }

    fn listed(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.mailbox.change(Subject::Everything, Change::Synced);
            tracing::info!("everything is listed; scheduling begins");
        }
    }
}

/// How far one kind is.
pub(in crate::runtime) struct Progress {
    unsynced: Arc<Unsynced>,
    ready: ReadyFlag,
    /// Whether it was said that everything was listed, or cannot be had.
    settled: bool,
    /// Whether what is asked for now may be the basis of decisions: this replica leads, or there is
    /// no election.
    counts: bool,
    /// Whether the answer to something of that sort was had.
    confirmed: bool,
}

impl Progress {
    /// `counts`: whether there is no election, so that the first answer counts.
    pub(in crate::runtime) fn new(unsynced: Arc<Unsynced>, ready: ReadyFlag, counts: bool) -> Self {
        Self {
            unsynced,
            ready,
            settled: false,
            counts,
            confirmed: false,
        }
    }

    /// Whether what is asked for now may be the basis of decisions.
    pub(super) fn counts(&self) -> bool {
        self.counts
    }

    /// This replica leads now: what is asked for from now on counts.
    pub(super) fn lead(&mut self) {
        self.counts = true;
    }

    /// Decisions need not wait for this kind any longer.
    pub(super) fn settle(&mut self) {
        if !std::mem::replace(&mut self.settled, true) {
            self.ready.set(true);
        }
        if self.counts && !std::mem::replace(&mut self.confirmed, true) {
            self.unsynced.listed();
        }
    }
}
