//! A profile: which plugins run for a schedulerName, in which order, with which weights.

mod room;

pub use room::left_beside;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Diagnosis, EventSet, Incoming, PermitAnswer, PermitWait, Plugin, PreFilterAnswer, Topic,
};
use crate::cluster::{Cluster, NodeId, NodeSet, PeerId};
use crate::config::MinCandidateNodes;
use crate::model::{PodRef, PodShape};

/// A plugin's place in its profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginIndex(pub(super) u8);

impl PluginIndex {
    /// The place.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A set of a profile's plugins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginSet(u64);

impl PluginSet {
    /// Adds a plugin.
    pub const fn insert(&mut self, plugin: PluginIndex) {
        self.0 |= 1 << plugin.0;
    }

    /// Adds those of another set.
    pub const fn union(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Leaves out those that are not in another set.
    pub const fn intersect(&mut self, other: Self) {
        self.0 &= other.0;
    }

    /// Whether the plugin is in the set.
    pub const fn contains(self, plugin: PluginIndex) -> bool {
        self.0 & (1 << plugin.0) != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The plugins, in the profile's order.
    pub fn iter(self) -> impl Iterator<Item = PluginIndex> {
        (0..64)
            .filter(move |bit| self.0 & (1 << bit) != 0)
            .map(PluginIndex)
    }
}

/// The most plugins a profile can have.
const MAX_PLUGINS: usize = 64;

/// Where a plugin is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtensionPoint {
    /// Before a pod enters the queue.
    PreEnqueue,
    /// Before nodes are filtered.
    PreFilter,
    /// Taking out nodes.
    Filter,
    /// Rating the rest, with this weight; at least 1 counts.
    Score(i64),
    /// Booking.
    Reserve,
    /// The last word.
    Permit,
}

/// A profile.
#[derive(Clone)]
pub struct Profile {
    /// The schedulerName it serves.
    pub name: Arc<str>,
    /// What is done when no node was found.
    pub post_filter: PostFilter,
    /// How room is made, if DefaultPreemption is the one that has its say.
    pub preemption: PreemptionPolicy,
    /// How pods of a group are placed together (GangScheduling); None for each as if it were alone.
    pub gangs: Option<GangPolicy>,
    plugins: Vec<Arc<dyn Plugin>>,
    pre_enqueues: Vec<PluginIndex>,
    pre_filters: Vec<PluginIndex>,
    pub(super) filters: Vec<PluginIndex>,
    pub(super) scores: Vec<(PluginIndex, i64)>,
    reserves: Vec<PluginIndex>,
    permits: Vec<PluginIndex>,
    events: Vec<EventSet>,
}

/// How gangs get their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GangPolicy {
    /// After so long a gang that waits is served before all that is not of a higher priority and
    /// asks for the same devices; None for never.
    pub patience: Option<Duration>,
}

impl Default for GangPolicy {
    fn default() -> Self {
        Self {
            patience: Some(Duration::from_secs(5 * 60)),
        }
    }
}

/// What is done when no node was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PostFilter {
    /// DefaultPreemption has its say.
    #[default]
    Preemption,
    /// Something else has, which does not concern the pod; a nomination stays.
    Other,
    /// Nothing; a nomination ends.
    Nothing,
}

/// How DefaultPreemption makes room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PreemptionPolicy {
    /// How many candidates are enough; None for all that there are.
    pub min_candidates: Option<MinCandidateNodes>,
    /// Whether a gang may evict pods whose disruption budget does not allow it.
    pub violate_pdb: bool,
}

impl fmt::Debug for Profile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plugins: Vec<_> = self.plugins.iter().map(|plugin| plugin.name()).collect();
        formatter
            .debug_struct("Profile")
            .field("name", &self.name)
            .field("plugins", &plugins)
            .finish()
    }
}

/// What the PreFilters of a profile say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PreFiltered {
    /// Filter these nodes with these plugins.
    Nodes {
        /// None for all nodes.
        narrowed: Option<Narrowed>,
        /// Plugins whose Filter has nothing to say.
        skipped: PluginSet,
    },
    /// No node comes into question.
    Rejected(PreFilterRejection),
    /// A plugin cannot read the pod.
    Failed(String),
}

/// Nodes that are left after narrowing, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Narrowed {
    pub(super) nodes: NodeSet,
    pub(super) plugins: PluginSet,
}

/// A refusal before any node was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreFilterRejection {
    /// Who refused.
    pub plugins: PluginSet,
    /// Why.
    pub message: String,
}

impl Profile {
    /// A profile of these plugins, in this order, each with its score weight.
    ///
    /// More plugins than a profile can have are left out; no configuration comes near.
    pub fn new(name: &str, plugins: impl IntoIterator<Item = (Arc<dyn Plugin>, i64)>) -> Self {
        let mut profile = Self::empty(name);
        for (plugin, weight) in plugins {
            let Some(index) = profile.add(plugin) else {
                break;
            };
            for point in [
                ExtensionPoint::PreEnqueue,
                ExtensionPoint::PreFilter,
                ExtensionPoint::Filter,
                ExtensionPoint::Score(weight),
                ExtensionPoint::Reserve,
                ExtensionPoint::Permit,
            ] {
                profile.enable(index, point);
            }
        }
        profile
    }

    /// A profile without plugins; [`Self::add`] and [`Self::enable`] fill it.
    pub fn empty(name: &str) -> Self {
        Self {
            name: name.into(),
            post_filter: PostFilter::default(),
            preemption: PreemptionPolicy::default(),
            gangs: Some(GangPolicy::default()),
            plugins: Vec::new(),
            pre_enqueues: Vec::new(),
            pre_filters: Vec::new(),
            filters: Vec::new(),
            scores: Vec::new(),
            reserves: Vec::new(),
            permits: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Adds a plugin, which is run nowhere yet. None when there are too many.
    pub fn add(&mut self, plugin: Arc<dyn Plugin>) -> Option<PluginIndex> {
        let place = self.plugins.len();
        if place >= MAX_PLUGINS {
            return None;
        }
        self.events.push(plugin.events());
        self.plugins.push(plugin);
        Some(PluginIndex(place as u8))
    }

    /// Runs the plugin at this extension point, after those that are run there already. A plugin
    /// that does not serve the point is left out.
    pub fn enable(&mut self, index: PluginIndex, point: ExtensionPoint) {
        let plugin = self.plugin(index);
        match point {
            ExtensionPoint::PreEnqueue if plugin.pre_enqueue().is_some() => {
                self.pre_enqueues.push(index);
            }
            ExtensionPoint::PreFilter
                if plugin.pre_filter().is_some() || plugin.peer_filter().is_some() =>
            {
                self.pre_filters.push(index);
            }
            ExtensionPoint::Filter
                if plugin.filter().is_some() || plugin.peer_filter().is_some() =>
            {
                self.filters.push(index);
            }
            ExtensionPoint::Score(weight)
                if plugin.score().is_some() || plugin.peer_score().is_some() =>
            {
                self.scores.push((index, weight.max(1)));
            }
            ExtensionPoint::Reserve if plugin.reserve().is_some() => self.reserves.push(index),
            ExtensionPoint::Permit if plugin.permit().is_some() => self.permits.push(index),
            _ => {}
        }
    }

    fn at<'a>(
        &'a self,
        indexes: &'a [PluginIndex],
    ) -> impl DoubleEndedIterator<Item = (PluginIndex, &'a dyn Plugin)> {
        indexes.iter().map(|&index| (index, self.plugin(index)))
    }

    /// The plugins that may hold pods back, in order.
    pub fn pre_enqueues(&self) -> impl DoubleEndedIterator<Item = (PluginIndex, &dyn Plugin)> {
        self.at(&self.pre_enqueues)
    }

    /// The plugins that filter, in order.
    pub fn filters(&self) -> impl DoubleEndedIterator<Item = (PluginIndex, &dyn Plugin)> {
        self.at(&self.filters)
    }

    /// The plugins that score, in order, with their weights.
    pub fn scores(&self) -> impl Iterator<Item = (PluginIndex, &dyn Plugin, i64)> {
        let scores = self.scores.iter();
        scores.map(|&(index, weight)| (index, self.plugin(index), weight))
    }

    /// The plugins that book, in order.
    pub fn reserves(&self) -> impl DoubleEndedIterator<Item = (PluginIndex, &dyn Plugin)> {
        self.at(&self.reserves)
    }

    /// The plugins that have the last word, in order.
    pub fn permits(&self) -> impl DoubleEndedIterator<Item = (PluginIndex, &dyn Plugin)> {
        self.at(&self.permits)
    }

    /// The plugins, in order.
    pub fn plugins(&self) -> impl Iterator<Item = (PluginIndex, &dyn Plugin)> {
        (self.plugins.iter().enumerate())
            .map(|(place, plugin)| (PluginIndex(place as u8), &**plugin))
    }

    /// Whether pods may be evicted for its pods, for which it has to know of disruption budgets.
    pub fn preempts(&self) -> bool {
        self.post_filter == PostFilter::Preemption
    }

    /// Whether it spreads pods that have no constraints of their own, for which it has to know of
    /// services and controllers.
    pub fn spreads_by_default(&self) -> bool {
        (self.plugins()).any(|(_, plugin)| !plugin.default_spread_keys().is_empty())
    }

    /// A plugin.
    pub fn plugin(&self, index: PluginIndex) -> &dyn Plugin {
        &*self.plugins[index.index()]
    }

    /// The events a plugin registered for.
    pub fn events(&self, index: PluginIndex) -> EventSet {
        self.events[index.index()]
    }

    /// Who a pod is to other pods, if one of these plugins, which rejected it, looks at those; the
    /// default if it is of no importance.
    pub fn known_to_others(&self, rejectors: PluginSet, peers: PeerId) -> PeerId {
        let mut rejectors = rejectors.iter();
        if rejectors.any(|index| self.plugin(index).peer_filter().is_some()) {
            peers
        } else {
            PeerId::default()
        }
    }

    /// What a pod listens to that these plugins rejected, each topic once.
    pub fn topics(&self, plugins: PluginSet, pod: Incoming<'_>, cluster: &Cluster) -> Vec<Topic> {
        let mut topics: Vec<_> = (plugins.iter())
            .flat_map(|index| self.plugin(index).topics(pod, cluster))
            .collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    /// The names of a set of plugins, sorted: `[A B]`.
    pub fn names(&self, plugins: PluginSet) -> String {
        let mut names: Vec<_> = plugins
            .iter()
            .map(|index| self.plugin(index).name())
            .collect();
        names.sort_unstable();
        format!("[{}]", names.join(" "))
    }

    /// Runs the PreFilters. Source: `framework/runtime.RunPreFilterPlugins`.
    pub(super) fn pre_filter(&self, pod: Incoming<'_>, cluster: &Cluster) -> PreFiltered {
        let mut skipped = PluginSet::default();
        let mut narrowed: Option<Narrowed> = None;
        for (index, plugin) in self.at(&self.pre_filters) {
            let answer = match (plugin.pre_filter(), plugin.peer_filter()) {
                (Some(point), _) => point.pre_filter(pod.shape, cluster),
                (None, Some(point)) => point.pre_filter(pod, cluster),
                (None, None) => continue,
            };
            match answer {
                PreFilterAnswer::Proceed => {}
                PreFilterAnswer::Skip => skipped.insert(index),
                PreFilterAnswer::Reject(message) => {
                    let mut plugins = PluginSet::default();
                    plugins.insert(index);
                    return PreFiltered::Rejected(PreFilterRejection { plugins, message });
                }
                PreFilterAnswer::Error(fault) => {
                    let name = plugin.name();
                    let error = format!("running PreFilter plugin {name:?}: {fault}");
                    return PreFiltered::Failed(error);
                }
                PreFilterAnswer::Narrow(nodes) => {
                    let all = narrowed.get_or_insert_with(|| Narrowed {
                        nodes: nodes.clone(),
                        plugins: PluginSet::default(),
                    });
                    all.nodes.intersect(&nodes);
                    all.plugins.insert(index);
                }
            }
        }
        PreFiltered::Nodes { narrowed, skipped }
    }

    /// The plugins whose Filter has nothing to say about the pod as the cluster is now.
    pub fn skipped(&self, pod: Incoming<'_>, cluster: &Cluster) -> PluginSet {
        match self.pre_filter(pod, cluster) {
            PreFiltered::Nodes { skipped, .. } => skipped,
            PreFiltered::Rejected(_) | PreFiltered::Failed(_) => PluginSet::default(),
        }
    }

    /// The error of the first plugin that cannot read the pod to score nodes for it. Source:
    /// `framework/runtime.RunPreScorePlugins`.
    pub(super) fn pre_score(&self, pod: Incoming<'_>, cluster: &Cluster) -> Result<(), String> {
        for (_, plugin, _) in self.scores() {
            let by_itself = plugin.score().and_then(|score| score.fault(pod.shape));
            let by_peers = || plugin.peer_score()?.fault(pod, cluster);
            if let Some(fault) = by_itself.or_else(by_peers) {
                let name = plugin.name();
                return Err(format!("running PreScore plugin {name:?}: {fault}"));
            }
        }
        Ok(())
    }

    /// How many of the filters can keep their answers until a node changes: those before the first
    /// that looks at other pods and is not skipped.
    pub(super) fn kept_filters(&self, skipped: PluginSet) -> usize {
        let looks_further = |index: &PluginIndex| {
            !skipped.contains(*index) && self.plugin(*index).peer_filter().is_some()
        };
        let kept = self.filters.iter().position(looks_further);
        kept.unwrap_or(self.filters.len())
    }

    /// Asks Reserve and Permit; what was reserved is given back when one of them refuses. Answers
    /// the plugins that let the pod wait.
    ///
    /// # Errors
    ///
    /// Who refused, and why.
    pub fn reserve_and_permit(
        &self,
        reference: &PodRef,
        pod: &PodShape,
        node: NodeId,
        cluster: &Cluster,
    ) -> Result<Vec<PermitWait>, (PluginSet, String)> {
        let mut waits = Vec::new();
        let refused = self.reserve(pod, node, cluster).or_else(|| {
            self.permits().find_map(|(plugin, point)| {
                match point.permit()?.permit(reference, pod, node, cluster) {
                    PermitAnswer::Allow => None,
                    PermitAnswer::Reject(reason) => Some((plugin, reason)),
                    PermitAnswer::Wait(limit) => {
                        waits.push(PermitWait { plugin, limit });
                        None
                    }
                }
            })
        });
        let Some((index, reason)) = refused else {
            return Ok(waits);
        };
        self.unreserve(pod, node, cluster);
        let mut plugins = PluginSet::default();
        plugins.insert(index);
        Err((plugins, reason))
    }

    fn reserve(
        &self,
        pod: &PodShape,
        node: NodeId,
        cluster: &Cluster,
    ) -> Option<(PluginIndex, String)> {
        self.reserves().find_map(|(index, plugin)| {
            let answer = plugin.reserve()?.reserve(pod, node, cluster);
            Some((index, answer.err()?))
        })
    }

    /// Gives back what was reserved, in the reverse order.
    pub fn unreserve(&self, pod: &PodShape, node: NodeId, cluster: &Cluster) {
        for (_, plugin) in self.reserves().rev() {
            if let Some(point) = plugin.reserve() {
                point.unreserve(pod, node, cluster);
            }
        }
    }

    /// Runs these of the filters over `left`, in order.
    pub(super) fn filter(
        &self,
        which: Range<usize>,
        pod: Incoming<'_>,
        cluster: &Cluster,
        skipped: PluginSet,
        left: &mut NodeSet,
        why: &mut Diagnosis,
    ) {
        for &index in self.filters.get(which).unwrap_or_default() {
            if skipped.contains(index) {
                continue;
            }
            let plugin = self.plugin(index);
            why.speak_for(index);
            if let Some(filter) = plugin.filter() {
                filter.filter(pod.shape, cluster, left, why);
            } else if let Some(filter) = plugin.peer_filter() {
                filter.filter(pod, cluster, left, why);
            }
        }
    }
}
