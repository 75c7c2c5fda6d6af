//! Which nodes changed, in order, so that a cached evaluation looks again only at those.

use std::cell::Cell;

use super::NodeId;

/// A bounded log of changed nodes.
#[derive(Clone, Debug, Default)]
pub struct ChangeLog {
    nodes: Vec<NodeId>,
    /// The position of the first entry that is still there.
    base: u64,
    limit: usize,
    /// The furthest position that anybody was told.
    told: Cell<u64>,
}

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition(u64);

impl ChangeLog {
    pub(super) fn record(&mut self, node: NodeId) {
        // Whoever is further behind than this evaluates all nodes, which costs about the same.
        if self.nodes.len() >= 2 * self.limit.max(1024) {
            let dropped = self.nodes.len() / 2;
            self.nodes.drain(..dropped);
            self.base += dropped as u64;
        }
        self.nodes.push(node);
    }

    pub(super) fn set_node_count(&mut self, count: usize) {
        self.limit = count;
    }

    /// Where the log ends now.
    pub fn position(&self) -> LogPosition {
        let end = self.end();
        self.told.set(self.told.get().max(end));
        LogPosition(end)
    }

    pub(super) fn end(&self) -> u64 {
        self.base + self.nodes.len() as u64
    }

    /// Forgets what was written since `end`, because the nodes are again as they were then. Whoever
    /// looked in between must be told, so that then everything stays.
    pub(super) fn take_back(&mut self, end: u64) {
        if self.told.get() <= end
            && let Some(offset) = end.checked_sub(self.base)
        {
            self.nodes
                .truncate(usize::try_from(offset).unwrap_or(usize::MAX));
        }
    }

    /// What changed since; None when the log does not reach back that far.
    pub fn since(&self, position: LogPosition) -> Option<&[NodeId]> {
        let offset = position.0.checked_sub(self.base)?;
        self.nodes.get(usize::try_from(offset).ok()?..)
    }
}
