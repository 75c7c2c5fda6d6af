//! What changed, in order, so that whoever keeps something looks again only at that.

use std::cell::Cell;

use super::NodeId;

/// A bounded log of what changed: nodes, but for those that keep another one.
#[derive(Clone, Debug)]
pub struct ChangeLog<T = NodeId> {
    entries: Vec<T>,
    /// The position of the first entry that is still there.
    base: u64,
    limit: usize,
    /// The furthest position that anybody was told.
    told: Cell<u64>,
}

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition(u64);

impl<T> Default for ChangeLog<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            base: 0,
            limit: 0,
            told: Cell::default(),
        }
    }
}

impl<T> ChangeLog<T> {
    /// This one has changed.
    pub fn record(&mut self, changed: T) {
        // Whoever is further behind than this looks at all of them, which costs about the same.
        if self.entries.len() >= 2 * self.limit.max(1024) {
            let dropped = self.entries.len() / 2;
            self.entries.drain(..dropped);
            self.base += dropped as u64;
        }
        self.entries.push(changed);
    }

    /// There are so many that can change.
    pub fn set_count(&mut self, count: usize) {
        self.limit = count;
    }

    /// Where the log ends now.
    pub fn position(&self) -> LogPosition {
        let end = self.end();
        self.told.set(self.told.get().max(end));
        LogPosition(end)
    }

    pub(super) fn end(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    /// Forgets what was written since `end`, because everything is again as it was then. Whoever
    /// looked in between must be told, so that then everything stays.
    pub(super) fn take_back(&mut self, end: u64) {
        if self.told.get() <= end
            && let Some(offset) = end.checked_sub(self.base)
        {
            self.entries
                .truncate(usize::try_from(offset).unwrap_or(usize::MAX));
        }
    }

    /// What changed since; None when the log does not reach back that far.
    pub fn since(&self, position: LogPosition) -> Option<&[T]> {
        let offset = position.0.checked_sub(self.base)?;
        self.entries.get(usize::try_from(offset).ok()?..)
    }
}
