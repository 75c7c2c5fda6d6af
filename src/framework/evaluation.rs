//! What a profile's plugins say about a class of pods, kept up to date node by node.
//!
//! The first evaluation of a class looks at every node. After that only the nodes that changed are
//! filtered and scored again, which is what makes the thousandth pod of a job cheap. The answers
//! must always be those that a fresh evaluation would give.

mod reasons;
mod yielding;

use super::profile::{Narrowed, PreFiltered};
use super::{Diagnosis, Incoming, Normalize, PluginIndex, PluginSet, PreFilterRejection, Profile};
use crate::cluster::{Cluster, LogPosition, NodeId, NodeSet};
use crate::model::PodShape;

/// The node that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which.
    pub node: NodeId,
    /// Its weighted score.
    pub total: i64,
    /// How many nodes were feasible.
    pub feasible: usize,
}

/// A column of raw scores that is normalised over the feasible nodes when somebody asks.
#[derive(Clone, Debug)]
struct RawColumn {
    plugin: PluginIndex,
    weight: i64,
    normalize: Normalize,
    raw: Vec<i64>,
}

/// The cached answers for one class of pods.
///
/// What filters say of a node by itself is kept. From the first filter on that looks further, at pods
/// or volumes, everything is asked anew each time: one pod placed changes the answers of whole
/// domains. Nodes
/// with nominated pods are asked about once more with those, see [`Self::yield_to`].
#[derive(Clone, Debug, Default)]
pub struct Evaluation {
    position: Option<LogPosition>,
    narrowed: Option<Narrowed>,
    rejection: Option<PreFilterRejection>,
    error: Option<String>,
    skipped: PluginSet,
    /// How many of the profile's filters have kept answers.
    kept: usize,
    /// What those left, while `reduced`.
    left_by_kept: NodeSet,
    /// Whether others were asked after them, so that fewer nodes may be feasible.
    reduced: bool,
    feasible: NodeSet,
    diagnosis: Diagnosis,
    /// What the filters said that are asked anew.
    anew: Diagnosis,
    /// The nodes that nominations had a say in: the reasons are in `anew`, and what is known of
    /// them otherwise does not count.
    yielded: NodeSet,
    /// Nodes that were filtered again and still want scoring.
    unscored: NodeSet,
    /// Weighted sum of the scores that need no normalising, by node index.
    fixed: Vec<i64>,
    raw: Vec<RawColumn>,
    epochs: Vec<u64>,
    /// Weighted sum of the scores by other pods, by node index; stale unless `scored_anew`.
    anew_scores: Vec<i64>,
    scored_anew: bool,
    /// The plugins that had something to say when the nodes were scored last.
    scored: PluginSet,
    scratch: Vec<i64>,
    /// How many nodes were filtered, ever: what a decision costs, whatever the machine.
    touched: u64,
}

impl Evaluation {
    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.position = None;
        self.narrowed = None;
        self.rejection = None;
        self.error = None;
        self.skipped = PluginSet::default();
        self.kept = 0;
        self.left_by_kept.clear();
        self.reduced = false;
        self.feasible.clear();
        self.diagnosis.clear();
        self.anew.clear();
        self.yielded.clear();
        self.unscored.clear();
        self.raw.clear();
        self.epochs.clear();
        self.touched = 0;
    }

    /// Filters the nodes that changed since the last time, or all of them.
    pub fn filter<'a>(
        &mut self,
        profile: &Profile,
        pod: impl Into<Incoming<'a>>,
        cluster: &Cluster,
    ) {
        let pod = pod.into();
        let (narrowed, skipped) = match profile.pre_filter(pod, cluster) {
            PreFiltered::Rejected(rejection) => {
                *self = Self::default();
                self.rejection = Some(rejection);
                return;
            }
            PreFiltered::Failed(error) => {
                *self = Self::default();
                self.error = Some(error);
                return;
            }
            PreFiltered::Nodes { narrowed, skipped } => (narrowed, skipped),
        };
        self.error = None;
        let kept = profile.kept_filters(skipped);
        let last = profile.filters.len();
        self.filter_kept(profile, pod, cluster, (narrowed, skipped), kept);
        self.anew.clear();
        self.yielded.clear();
        if kept == last {
            return;
        }
        self.reduce();
        self.touched += self.feasible.len() as u64;
        let mut left = std::mem::take(&mut self.feasible);
        profile.filter(kept..last, pod, cluster, skipped, &mut left, &mut self.anew);
        self.feasible = left;
    }

    /// From here on `feasible` gets smaller for this decision only: what the kept filters left
    /// stays as it is, for the next one.
    fn reduce(&mut self) {
        if !self.reduced {
            self.left_by_kept.assign(&self.feasible);
            self.reduced = true;
        }
    }

    /// The part of [`Self::filter`] that is kept until nodes change.
    fn filter_kept(
        &mut self,
        profile: &Profile,
        pod: Incoming<'_>,
        cluster: &Cluster,
        (narrowed, skipped): (Option<Narrowed>, PluginSet),
        kept: usize,
    ) {
        let changed = match self
            .position
            .and_then(|position| cluster.changes().since(position))
        {
            // Past this many changes a pass over all nodes is as cheap.
            Some(changed)
                if changed.len() <= cluster.node_slots() / 4 + 1
                    && self.rejection.is_none()
                    && self.narrowed == narrowed
                    && self.kept == kept
                    && self.skipped == skipped =>
            {
                Some(changed)
            }
            _ => None,
        };
        self.position = Some(cluster.changes().position());
        self.skipped = skipped;
        if changed.is_some() && self.reduced {
            self.feasible.assign(&self.left_by_kept);
        }
        self.reduced = false;
        let mut left = NodeSet::new();
        match changed {
            Some([]) => return,
            Some(changed) => {
                for &node in changed {
                    left.insert(node);
                }
                self.diagnosis.forget(&left);
                self.feasible.subtract(&left);
                self.unscored.subtract(&left);
                left.intersect(cluster.nodes());
            }
            None => {
                self.rejection = None;
                self.kept = kept;
                self.diagnosis.clear();
                self.feasible.clear();
                self.unscored.clear();
                left.assign(cluster.nodes());
                self.narrowed = narrowed;
            }
        }
        if let Some(narrowed) = &self.narrowed {
            left.intersect(&narrowed.nodes);
        }
        self.touched += left.len() as u64;
        profile.filter(
            0..kept,
            pod,
            cluster,
            self.skipped,
            &mut left,
            &mut self.diagnosis,
        );
        self.feasible.union(&left);
        self.unscored.union(&left);
    }

    /// Leaves out all other nodes, for this decision only. To be called after [`Self::filter`].
    pub fn confine(&mut self, nodes: &NodeSet) {
        self.reduce();
        self.feasible.intersect(nodes);
    }

    /// The nodes the pod fits. Current after [`Self::filter`].
    pub fn feasible(&self) -> &NodeSet {
        &self.feasible
    }

    /// The nodes that the kept filters let pass, whatever was left out since. Current after
    /// [`Self::filter`].
    pub fn kept_feasible(&self) -> &NodeSet {
        if self.reduced {
            &self.left_by_kept
        } else {
            &self.feasible
        }
    }

    /// The refusal of a PreFilter, if one refused.
    pub fn rejection(&self) -> Option<&PreFilterRejection> {
        self.rejection.as_ref()
    }

    /// What went wrong if a plugin cannot read the pod, so that nothing else that is said of it
    /// holds. Current after [`Self::filter`] and again after [`Self::score`].
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// The plugins whose Filter has nothing to say about the pod.
    pub fn skipped(&self) -> PluginSet {
        self.skipped
    }

    /// The plugins that had something to say when the nodes were scored last.
    pub fn scored(&self) -> PluginSet {
        self.scored
    }

    /// How many nodes were filtered so far.
    pub fn touched(&self) -> u64 {
        self.touched
    }

    /// Bytes of the columns, for bounding how many classes are kept.
    pub fn bytes(&self) -> usize {
        let columns = 1 + self.raw.len();
        self.fixed.capacity() * size_of::<i64>() * columns
    }

    /// Scores the feasible nodes: by itself each that was not scored since it changed, and all of
    /// them by the plugins that look at other pods.
    pub fn score<'a>(
        &mut self,
        profile: &Profile,
        pod: impl Into<Incoming<'a>>,
        cluster: &Cluster,
    ) {
        let pod = pod.into();
        self.scored = PluginSet::default();
        if let Err(error) = profile.pre_score(pod, cluster) {
            self.error = Some(error);
            return;
        }
        let slots = cluster.node_slots();
        if self.fixed.len() < slots {
            self.fixed.resize(slots, 0);
            self.scratch.resize(slots, 0);
        }
        self.score_kept(profile, pod.shape, cluster);
        self.scored_anew = false;
        for &(index, weight) in &profile.scores {
            let Some(score) = profile.plugin(index).peer_score() else {
                continue;
            };
            if !score.score(pod, cluster, &self.feasible, &mut self.scratch) {
                continue;
            }
            self.scored.insert(index);
            if !self.scored_anew {
                self.anew_scores.resize(slots, 0);
                self.anew_scores.fill(0);
                self.scored_anew = true;
            }
            for node in self.feasible.iter() {
                self.anew_scores[node.index()] += weight * self.scratch[node.index()];
            }
        }
    }

    fn score_kept(&mut self, profile: &Profile, pod: &PodShape, cluster: &Cluster) {
        let scores = || {
            profile.scores.iter().filter_map(|&(index, weight)| {
                let score = profile.plugin(index).score()?;
                (!score.skips(pod)).then_some((index, weight, score))
            })
        };
        let mut moved = self.epochs.len() != scores().count();
        if moved {
            self.epochs = vec![0; scores().count()];
            self.raw.clear();
        }
        for (held, (index, _, score)) in self.epochs.iter_mut().zip(scores()) {
            self.scored.insert(index);
            let epoch = score.epoch(pod, cluster);
            moved |= *held != epoch;
            *held = epoch;
        }
        let slots = cluster.node_slots();
        if moved {
            self.unscored.assign(&self.feasible);
            self.unscored.union(&self.left_by_kept);
        }
        let mut wanted = self.unscored.clone();
        wanted.intersect(&self.feasible);
        if wanted.is_empty() {
            return;
        }
        self.unscored.subtract(&wanted);
        for node in wanted.iter() {
            self.fixed[node.index()] = 0;
        }
        for (index, weight, score) in scores() {
            let normalize = score.normalize();
            if normalize == Normalize::Kept {
                score.score(pod, cluster, &wanted, &mut self.scratch);
                for node in wanted.iter() {
                    self.fixed[node.index()] += weight * self.scratch[node.index()];
                }
            } else {
                let known = self.raw.iter().position(|column| column.plugin == index);
                let place = known.unwrap_or_else(|| {
                    self.raw.push(RawColumn {
                        plugin: index,
                        weight,
                        normalize,
                        raw: Vec::new(),
                    });
                    self.raw.len() - 1
                });
                let column = &mut self.raw[place].raw;
                column.resize(slots.max(column.len()), 0);
                score.score(pod, cluster, &wanted, column);
            }
        }
    }

    /// The best node. Equal scores are decided by a hash of the pod and the node, so that load
    /// spreads as with kube-scheduler's arbitrary choice and yet every run can be replayed.
    pub fn choose(&self, cluster: &Cluster, tie_seed: u64) -> Option<Choice> {
        self.choose_first_by(cluster, tie_seed, |_| 0)
    }

    /// The best of the nodes that `first` gives the largest number.
    pub fn choose_first_by(
        &self,
        cluster: &Cluster,
        tie_seed: u64,
        first: impl Fn(NodeId) -> i64,
    ) -> Option<Choice> {
        let mut constant = 0;
        let mut varying: Vec<(&RawColumn, i64)> = Vec::new();
        for column in &self.raw {
            let max = self.max_raw(column);
            if max == 0 {
                constant += column.weight * column.normalize.apply(0, 0);
            } else {
                varying.push((column, max));
            }
        }
        let hashes = cluster.name_hashes();
        let mut best: Option<(NodeId, (i64, i64))> = None;
        let mut best_hash = None;
        let mut feasible = 0;
        for node in self.feasible.iter() {
            feasible += 1;
            let index = node.index();
            let mut total = self.fixed[index];
            if self.scored_anew {
                total += self.anew_scores[index];
            }
            for &(column, max) in &varying {
                total += column.weight * column.normalize.apply(column.raw[index], max);
            }
            let total = (first(node), total);
            match best {
                Some((_, held)) if total < held => {}
                Some((other, held)) if total == held => {
                    let hash_of = |node: NodeId| mix(tie_seed ^ hashes[node.index()]);
                    let held_hash = *best_hash.get_or_insert_with(|| hash_of(other));
                    let hash = hash_of(node);
                    if hash > held_hash {
                        best = Some((node, total));
                        best_hash = Some(hash);
                    }
                }
                _ => {
                    best = Some((node, total));
                    best_hash = None;
                }
            }
        }
        best.map(|(node, (_, total))| Choice {
            node,
            total: total + constant,
            feasible,
        })
    }

    /// The weighted score that each plugin gave a feasible node, with the plugin. Current after
    /// [`Self::score`]; meant for explaining, not for deciding.
    pub fn scores<'a>(
        &self,
        profile: &Profile,
        pod: impl Into<Incoming<'a>>,
        cluster: &Cluster,
        node: NodeId,
    ) -> Vec<(PluginIndex, i64)> {
        let pod = pod.into();
        let single = NodeSet::single(node);
        let mut column = vec![0; cluster.node_slots()];
        (profile.scores.iter())
            .filter_map(|&(index, weight)| {
                let plugin = profile.plugin(index);
                if let Some(score) = plugin.peer_score() {
                    let scored = score.score(pod, cluster, &self.feasible, &mut column);
                    return scored.then(|| (index, weight * column[node.index()]));
                }
                let score = plugin.score()?;
                if score.skips(pod.shape) {
                    return None;
                }
                if let Some(raw) = self.raw.iter().find(|column| column.plugin == index) {
                    let value = raw
                        .normalize
                        .apply(raw.raw[node.index()], self.max_raw(raw));
                    return Some((index, weight * value));
                }
                score.score(pod.shape, cluster, &single, &mut column);
                Some((index, weight * column[node.index()]))
            })
            .collect()
    }

    fn max_raw(&self, column: &RawColumn) -> i64 {
        self.feasible
            .iter()
            .map(|node| column.raw[node.index()])
            .max()
            .unwrap_or(0)
    }
}

/// The finaliser of splitmix64: every bit of the input reaches every bit of the output.
pub(crate) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests;
