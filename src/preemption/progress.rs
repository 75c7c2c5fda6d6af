//! How far a search has come. One that has to look at many nodes that nothing is known of ends before
//! it has an answer, so that others have their turn; what it has found out is in the
//! [`super::Memory`].
//!
//! [`super::search`] answers [`super::Verdict::Unfinished`] then, and the engine lets the attempt begin
//! again, with the [`Progress::slice`] that comes after the nodes that were looked at so far: what is
//! remembered costs next to nothing, and the search goes on with the first node that is not. Nodes that
//! are tried one after another, and what a gang tries once all prices are known, are no part of this.

/// How many pods are looked at in a slice, which takes about two milliseconds; one for which a gang or
/// the budgets are asked counts as several. Counted and not timed, so that it is the same each time.
pub const SLICE: usize = 12_000;

/// How far a search has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Nodes that were looked at, in all slices.
    looked: usize,
    /// Pods that may still be looked at in this slice, see [`SLICE`].
    left: usize,
    ended: bool,
}

impl Progress {
    /// A slice in which about so many pods are looked at; `looked` nodes were in those before.
    pub const fn slice(pods: usize, looked: usize) -> Self {
        Self {
            looked,
            left: pods,
            ended: false,
        }
    }

    /// All in one piece.
    pub const fn unlimited() -> Self {
        Self::slice(usize::MAX, 0)
    }

    /// Nodes that were looked at so far.
    pub const fn looked(&self) -> usize {
        self.looked
    }

    /// So many nodes are to be looked at. If they were twice already, they change faster than they are
    /// looked at: then it goes on to the end.
    pub(super) fn expect(&mut self, nodes: usize) {
        if self.looked >= nodes.saturating_mul(2) {
            self.left = usize::MAX;
        }
    }

    /// Whether one more node may be looked at; if not the slice has ended.
    pub(super) fn may_look(&mut self) -> bool {
        self.ended = self.left == 0;
        !self.ended
    }

    /// A node was looked at, and so many pods.
    pub(super) fn look(&mut self, pods: usize) {
        self.looked += 1;
        self.left = self.left.saturating_sub(pods);
    }

    /// Whether the slice ended before the search did.
    pub(super) const fn has_ended(&self) -> bool {
        self.ended
    }
}
