//! What the health pages are told from: a few atomics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Check;

/// The health of the process, written by who does the work and read by the server. Nothing in here
/// waits for anything.
#[derive(Debug)]
pub struct Health {
    /// What the heartbeat is counted from.
    start: Instant,
    /// The last heartbeat, in milliseconds after `start`.
    last_beat: AtomicU64,
    checks: Vec<(&'static str, &'static str, ReadyFlag)>,
    shutting_down: AtomicBool,
}

/// One thing that has to be there before the process is ready. Clones are the same flag.
#[derive(Clone, Debug, Default)]
pub struct ReadyFlag(Arc<AtomicBool>);

impl ReadyFlag {
    /// It is there, or not (any more).
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    /// Whether it is there.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// Alive from now on, ready as soon as all checks that are added say so.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            last_beat: AtomicU64::new(0),
            checks: Vec::new(),
            shutting_down: AtomicBool::new(false),
        }
    }

    /// Adds something to wait for: its name, such as `watch-pods`, and what to say until the flag
    /// is set, such as `not all pods are listed yet`.
    pub fn add_check(&mut self, name: &'static str, reason: &'static str) -> ReadyFlag {
        let flag = ReadyFlag::default();
        self.checks.push((name, reason, flag.clone()));
        flag
    }

    /// The engine makes progress. To be called at least every few seconds, also when there is
    /// nothing to do.
    pub fn beat(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_beat.store(now, Ordering::Relaxed);
    }

    /// How long ago the last heartbeat was; the beginning counts as one.
    #[must_use]
    pub fn age(&self) -> Duration {
        let last_beat = Duration::from_millis(self.last_beat.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(last_beat)
    }

    /// The process is about to stop: it is alive and not ready.
    pub fn shut_down(&self) {
        self.shutting_down.store(true, Ordering::Relaxed);
    }

    /// Whether all checks passed.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready().iter().all(|(_, result)| result.is_ok())
    }

    pub(super) fn live(&self, limit: Duration) -> Check {
        let age = self.age();
        let alive = if age <= limit {
            Ok(())
        } else {
            Err(format!("no heartbeat for {} seconds", age.as_secs()))
        };
        ("engine", alive)
    }

    pub(super) fn ready(&self) -> Vec<Check> {
        let pass = |passed: bool, reason: &str| {
            if passed {
                Ok(())
            } else {
                Err(reason.to_owned())
            }
        };
        let stays = !self.shutting_down.load(Ordering::Relaxed);
        let own = ("shutdown", pass(stays, "the process is shutting down"));
        let added = self.checks.iter();
        let added = added.map(|(name, reason, flag)| (*name, pass(flag.is_set(), reason)));
        added.chain([own]).collect()
    }
}
