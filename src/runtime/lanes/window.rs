//! How many binds may be in flight: more while the server keeps up, fewer when it says so.

use std::time::{Duration, Instant};

const MIN: usize = 4;
const START: usize = 64;
const MAX: usize = 256;
/// Above this mean the server is queueing, and more requests would only wait longer.
const SLOW: Duration = Duration::from_millis(250);
/// The window shrinks at most this often, so that one bad moment counts once.
const PAUSE: Duration = Duration::from_secs(1);

/// A window that grows additively and shrinks multiplicatively (AIMD).
#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    answers: usize,
    took: Duration,
    shrunk: Option<Instant>,
}

impl Window {
    pub(super) const fn new() -> Self {
        Self {
            size: START,
            answers: 0,
            took: Duration::ZERO,
            shrunk: None,
        }
    }

    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// A bind was answered after `took`, while `in_flight` were on their way.
    pub(super) fn answered(&mut self, took: Duration, in_flight: usize, now: Instant) {
        self.answers += 1;
        self.took += took;
        if self.answers < self.size {
            return;
        }
        let mean = self.took / u32::try_from(self.answers).unwrap_or(u32::MAX);
        self.answers = 0;
        self.took = Duration::ZERO;
        if mean > SLOW {
            self.shrink(0.9, now);
        } else if in_flight + 1 >= self.size {
            // Only a window that is used up says anything about a larger one.
            self.size = (self.size + 4).min(MAX);
        }
    }

    /// The server refused a request for being one too many, or did not answer.
    pub(super) fn overloaded(&mut self, now: Instant) {
        self.shrink(0.5, now);
    }

    fn shrink(&mut self, by: f64, now: Instant) {
        if self
            .shrunk
            .is_none_or(|last| now.duration_since(last) >= PAUSE)
        {
            self.size = ((self.size as f64 * by) as usize).max(MIN);
            self.shrunk = Some(now);
        }
    }
}

#[cfg(test)]
mod tests;
