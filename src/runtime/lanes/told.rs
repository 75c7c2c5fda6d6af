//! Pods that are told why they wait while they are about to be bound.
//!
//! A bound pod must not be told afterwards that it is not scheduled, and need not be told so before.
//! A patch that has not been sent when its pod is to be bound is left out, and one that is under way
//! goes first.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// How long a bind waits for a patch of its pod that is under way.
const LIMIT: Duration = Duration::from_secs(5);

/// The patches of a pod.
#[derive(Clone, Copy, Debug, Default)]
struct Patches {
    /// Handed over and not answered.
    open: usize,
    /// One is under way.
    sent: bool,
    /// The pod is to be bound: what has not been sent is left out.
    outdated: bool,
}

/// The pods whose patches are not answered yet.
#[derive(Debug, Default)]
pub(in crate::runtime) struct Told {
    pods: Mutex<HashMap<Box<str>, Patches>>,
    answered: Notify,
}

impl Told {
    fn pods(&self) -> MutexGuard<'_, HashMap<Box<str>, Patches>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A patch of this pod is handed over.
    pub(super) fn ordered(&self, uid: &str) {
        let mut pods = self.pods();
        let patches = pods.entry(uid.into()).or_default();
        patches.open += 1;
        patches.outdated = false;
    }

    /// A patch of this pod is about to be sent. Answers whether it still may.
    pub(super) fn may_send(&self, uid: &str) -> bool {
        let mut pods = self.pods();
        let Some(patches) = pods.get_mut(uid) else {
            return true;
        };
        patches.sent = !patches.outdated;
        patches.sent
    }

    /// A patch of this pod is answered, or will not be sent.
    pub(super) fn ended(&self, uid: &str, was_sent: bool) {
        let mut pods = self.pods();
        if let Some(patches) = pods.get_mut(uid) {
            patches.open = patches.open.saturating_sub(1);
            patches.sent &= !was_sent;
            if patches.open == 0 {
                pods.remove(uid);
            }
        }
        drop(pods);
        if was_sent {
            self.answered.notify_waiters();
        }
    }

    /// The pod is to be bound. Returns when no patch of it is under way and none will be sent.
    pub(super) async fn settle(&self, uid: &str) {
        let limit = tokio::time::Instant::now() + LIMIT;
        loop {
            let answered = self.answered.notified();
            tokio::pin!(answered);
            // Registered before the look, so that no answer falls in between.
            answered.as_mut().enable();
            match self.pods().get_mut(uid) {
                Some(patches) => {
                    patches.outdated = true;
                    if !patches.sent {
                        return;
                    }
                }
                None => return,
            }
            if tokio::time::timeout_at(limit, answered).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
