//! Until when this replica may write.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Whether binds, status patches and events may leave: only while the lease is provably ours.
///
/// It closes by itself, by the clock, so that a process that was halted does nothing with what it
/// had decided before, even if the task that renews the lease has not run again yet. The clock is
/// the monotonic one, as in client-go. Clones are the same fence.
#[derive(Clone, Debug)]
pub(in crate::runtime) struct Fence(Option<Arc<State>>);

#[derive(Debug)]
struct State {
    /// What the deadline is counted from.
    start: Instant,
    /// In nanoseconds after `start`; open before it.
    deadline: AtomicU64,
}

impl Fence {
    /// Always open: there is no election.
    pub(in crate::runtime) const fn none() -> Self {
        Self(None)
    }

    /// Closed until it is opened.
    pub(in crate::runtime) fn closed() -> Self {
        Self(Some(Arc::new(State {
            start: Instant::now(),
            deadline: AtomicU64::new(0),
        })))
    }

    /// Whether something may be sent now.
    pub(in crate::runtime) fn is_open(&self) -> bool {
        match &self.0 {
            None => true,
            Some(state) => nanos(state.start.elapsed()) < state.deadline.load(Ordering::Acquire),
        }
    }

    /// Open until then.
    pub(super) fn open_until(&self, deadline: Instant) {
        if let Some(state) = &self.0 {
            let after = deadline.saturating_duration_since(state.start);
            state.deadline.store(nanos(after), Ordering::Release);
        }
    }

    /// Closes at once.
    pub(super) fn close(&self) {
        if let Some(state) = &self.0 {
            state.deadline.store(0, Ordering::Release);
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_open_before_its_deadline_only() {
        assert!(Fence::none().is_open());
        let fence = Fence::closed();
        let clone = fence.clone();
        assert!(!clone.is_open());
        fence.open_until(Instant::now() + Duration::from_secs(60));
        assert!(clone.is_open());
        fence.close();
        assert!(!clone.is_open());
        fence.open_until(Instant::now() + Duration::from_millis(5));
        std::thread::sleep(Duration::from_millis(6));
        assert!(!clone.is_open());
    }

    #[test]
    fn nothing_opens_a_fence_that_is_none() {
        let fence = Fence::none();
        fence.close();
        assert!(fence.is_open());
    }
}
