//! A set of nodes as bits.

use super::NodeId;

const BITS: usize = 64;

/// A set of nodes: one bit each, with the span of words that may hold any, so that work on a set
/// of one node touches one word however large the cluster is.
#[derive(Clone, Debug, Default)]
pub struct NodeSet {
    words: Vec<u64>,
    /// Words outside `low..high` are zero.
    low: usize,
    high: usize,
}

impl NodeSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self {
            words: Vec::new(),
            low: 0,
            high: 0,
        }
    }

    /// The set of one node.
    pub fn single(node: NodeId) -> Self {
        let mut set = Self::new();
        set.insert(node);
        set
    }

    /// Adds a node; false if it was there.
    pub fn insert(&mut self, node: NodeId) -> bool {
        let (word, bit) = (node.index() / BITS, 1 << (node.index() % BITS));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if self.low == self.high {
            (self.low, self.high) = (word, word + 1);
        } else {
            self.low = self.low.min(word);
            self.high = self.high.max(word + 1);
        }
        let fresh = self.words[word] & bit == 0;
        self.words[word] |= bit;
        fresh
    }

    /// Removes a node; false if it was not there.
    pub fn remove(&mut self, node: NodeId) -> bool {
        let (word, bit) = (node.index() / BITS, 1 << (node.index() % BITS));
        match self.words.get_mut(word) {
            Some(bits) if *bits & bit != 0 => {
                *bits &= !bit;
                true
            }
            _ => false,
        }
    }

    /// Whether the node is in the set.
    pub fn contains(&self, node: NodeId) -> bool {
        self.words
            .get(node.index() / BITS)
            .is_some_and(|bits| bits & (1 << (node.index() % BITS)) != 0)
    }

    /// Whether all its nodes are in the other set too.
    pub fn is_subset(&self, other: &Self) -> bool {
        (self.low..self.high).all(|word| {
            let held = other.words.get(word).copied().unwrap_or(0);
            self.words[word] & !held == 0
        })
    }

    /// Whether no node is in the set.
    pub fn is_empty(&self) -> bool {
        self.span().iter().all(|&bits| bits == 0)
    }

    /// How many nodes are in the set.
    pub fn len(&self) -> usize {
        self.span()
            .iter()
            .map(|bits| bits.count_ones() as usize)
            .sum()
    }

    /// Whether the set has at most `limit` nodes; cheap when it has many more.
    pub fn is_at_most(&self, limit: usize) -> bool {
        let mut left = limit;
        for bits in self.span() {
            match left.checked_sub(bits.count_ones() as usize) {
                Some(rest) => left = rest,
                None => return false,
            }
        }
        true
    }

    /// Empties the set and keeps its memory.
    pub fn clear(&mut self) {
        let (low, high) = (self.low, self.high);
        if let Some(words) = self.words.get_mut(low..high) {
            words.fill(0);
        }
        (self.low, self.high) = (0, 0);
    }

    /// Makes this a copy of `other` and keeps the memory.
    pub fn assign(&mut self, other: &Self) {
        self.clear();
        self.union(other);
    }

    /// Adds every node of `other`.
    pub fn union(&mut self, other: &Self) {
        if other.low == other.high {
            return;
        }
        if self.words.len() < other.high {
            self.words.resize(other.high, 0);
        }
        for (mine, theirs) in self.words[other.low..other.high]
            .iter_mut()
            .zip(other.span())
        {
            *mine |= theirs;
        }
        if self.low == self.high {
            (self.low, self.high) = (other.low, other.high);
        } else {
            self.low = self.low.min(other.low);
            self.high = self.high.max(other.high);
        }
    }

    /// Removes every node of `other`.
    pub fn subtract(&mut self, other: &Self) {
        let (low, high) = (self.low.max(other.low), self.high.min(other.high));
        if low < high {
            for (mine, theirs) in self.words[low..high]
                .iter_mut()
                .zip(&other.words[low..high])
            {
                *mine &= !theirs;
            }
        }
    }

    /// Keeps only the nodes that `other` has too.
    pub fn intersect(&mut self, other: &Self) {
        let (low, high) = (self.low.max(other.low), self.high.min(other.high));
        if low >= high {
            self.clear();
            return;
        }
        self.words[self.low..low].fill(0);
        self.words[high..self.high].fill(0);
        (self.low, self.high) = (low, high);
        for (mine, theirs) in self.words[low..high]
            .iter_mut()
            .zip(&other.words[low..high])
        {
            *mine &= theirs;
        }
    }

    /// Whether the two sets share a node.
    pub fn intersects(&self, other: &Self) -> bool {
        let (low, high) = (self.low.max(other.low), self.high.min(other.high));
        low < high
            && (self.words[low..high].iter().zip(&other.words[low..high])).any(|(a, b)| a & b != 0)
    }

    /// The nodes in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.span().iter().enumerate().flat_map(|(offset, &bits)| {
            let base = (self.low + offset) * BITS;
            Bits(bits).map(move |bit| NodeId::new(base + bit))
        })
    }

    /// Keeps the nodes for which the mask of their word says so. `mask` gets the index of the first
    /// node of a word and the word's bits, and answers which of them stay; words without a node are
    /// not asked about. What was dropped is handed to `dropped` word by word.
    pub fn retain_words(
        &mut self,
        mut mask: impl FnMut(usize, u64) -> u64,
        mut dropped: impl FnMut(usize, u64),
    ) {
        for word in self.low..self.high {
            let bits = self.words[word];
            if bits != 0 {
                let kept = bits & mask(word * BITS, bits);
                self.words[word] = kept;
                if kept != bits {
                    dropped(word * BITS, bits & !kept);
                }
            }
        }
    }

    /// Adds the nodes whose bits are set in the word that begins at node index `first`, which must
    /// be a multiple of 64.
    pub fn insert_word(&mut self, first: usize, bits: u64) {
        if bits != 0 {
            self.insert(NodeId::new(first + bits.trailing_zeros() as usize));
            self.words[first / BITS] |= bits;
        }
    }

    /// Removes the nodes whose bits are set in the word that begins at node index `first`.
    pub fn remove_word(&mut self, first: usize, bits: u64) {
        if let Some(word) = self.words.get_mut(first / BITS) {
            *word &= !bits;
        }
    }

    fn span(&self) -> &[u64] {
        self.words.get(self.low..self.high).unwrap_or_default()
    }
}

impl PartialEq for NodeSet {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for NodeSet {}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Self {
        let mut set = Self::new();
        for node in nodes {
            set.insert(node);
        }
        set
    }
}

/// The positions of the ones in a word, ascending.
pub struct Bits(pub u64);

impl Iterator for Bits {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(bit)
    }
}

#[cfg(test)]
mod tests;
