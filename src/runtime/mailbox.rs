//! The way into the engine: what the watches and lanes have to say, merged per object.
//!
//! The watches never wait for the engine, or the API server would cut them off; only the newest
//! state of an object is kept, so that memory is bounded by the number of objects.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indexmap::IndexMap;

use crate::engine::{Change, EffectId, Outcome};
use crate::framework::Verdict;
use crate::model::{ControllerKind, GroupRef};

/// Which object a change is about. Pods are told apart by uid, because a pod that comes back under
/// its name is another pod; everything else by name, with the namespace if there is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Pod(Box<str>),
    Node(Box<str>),
    Namespace(Box<str>),
    PriorityClass(Box<str>),
    Service(Box<str>),
    Controller(ControllerKind, Box<str>),
    PodGroup(GroupRef),
    Claim(Box<str>),
    Volume(Box<str>),
    StorageClass(Box<str>),
    DisruptionBudget(Box<str>),
    EvictionRights,
    Everything,
}

/// What has come in since the last look.
#[derive(Debug, Default)]
pub(super) struct Mail {
    pub(super) changes: IndexMap<Subject, Change>,
    pub(super) outcomes: Vec<(EffectId, Outcome)>,
    pub(super) verdicts: Vec<Verdict>,
    /// Whether the engine shall decide nothing more.
    pub(super) stopping: bool,
}

impl Mail {
    fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.outcomes.is_empty() && self.verdicts.is_empty()
    }
}

/// The mailbox of the engine's thread.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    mail: Mutex<Mail>,
    arrived: Condvar,
}

impl Mailbox {
    pub(super) fn change(&self, subject: Subject, change: Change) {
        self.lock().changes.insert(subject, change);
        self.arrived.notify_one();
    }

    pub(super) fn outcome(&self, id: EffectId, outcome: Outcome) {
        self.lock().outcomes.push((id, outcome));
        self.arrived.notify_one();
    }

    pub(super) fn verdict(&self, verdict: Verdict) {
        self.lock().verdicts.push(verdict);
        self.arrived.notify_one();
    }

    /// Nothing more is to be decided.
    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.arrived.notify_one();
    }

    /// Takes everything; waits up to `patience` when there is nothing.
    pub(super) fn take(&self, patience: Duration) -> Mail {
        let mut mail = self.lock();
        if mail.is_empty() && !patience.is_zero() {
            let waited = self.arrived.wait_timeout(mail, patience);
            mail = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(mail, _)| mail);
        }
        let stopping = mail.stopping;
        std::mem::replace(
            &mut *mail,
            Mail {
                stopping,
                ..Mail::default()
            },
        )
    }

    /// No code panics while it holds the lock, and if one did the mail would still be whole.
    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
