//! A profile: which plugins run for a schedulerName, in which order, with which weights.

use std::fmt;
use std::sync::Arc;

use super::{Code, Diagnosis, EventSet, Plugin, PreFilterAnswer, Reason};
use crate::cluster::{Cluster, NodeSet};
use crate::model::PodShape;

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

/// A profile.
#[derive(Clone)]
pub struct Profile {
    /// The schedulerName it serves.
    pub name: Arc<str>,
    plugins: Vec<Arc<dyn Plugin>>,
    pub(super) filters: Vec<PluginIndex>,
    pub(super) scores: Vec<(PluginIndex, i64)>,
    events: Vec<EventSet>,
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
        let mut profile = Self {
            name: name.into(),
            plugins: Vec::new(),
            filters: Vec::new(),
            scores: Vec::new(),
            events: Vec::new(),
        };
        for (place, (plugin, weight)) in plugins.into_iter().take(MAX_PLUGINS).enumerate() {
            let index = PluginIndex(place as u8);
            if plugin.filter().is_some() {
                profile.filters.push(index);
            }
            if plugin.score().is_some() {
                profile.scores.push((index, weight.max(1)));
            }
            profile.events.push(plugin.events());
            profile.plugins.push(plugin);
        }
        profile
    }

    /// The plugins, in order.
    pub fn plugins(&self) -> impl Iterator<Item = (PluginIndex, &dyn Plugin)> {
        (self.plugins.iter().enumerate())
            .map(|(place, plugin)| (PluginIndex(place as u8), &**plugin))
    }

    /// A plugin.
    pub fn plugin(&self, index: PluginIndex) -> &dyn Plugin {
        &*self.plugins[index.index()]
    }

    /// The events a plugin registered for.
    pub fn events(&self, index: PluginIndex) -> EventSet {
        self.events[index.index()]
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
    pub(super) fn pre_filter(&self, pod: &PodShape, cluster: &Cluster) -> PreFiltered {
        let mut skipped = PluginSet::default();
        let mut narrowed: Option<Narrowed> = None;
        for (index, plugin) in self.plugins() {
            let Some(pre_filter) = plugin.pre_filter() else {
                continue;
            };
            match pre_filter.pre_filter(pod, cluster) {
                PreFilterAnswer::Proceed => {}
                PreFilterAnswer::Skip => skipped.insert(index),
                PreFilterAnswer::Reject(message) => {
                    let mut plugins = PluginSet::default();
                    plugins.insert(index);
                    return PreFiltered::Rejected(PreFilterRejection { plugins, message });
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

    /// Runs the Filters over `left`, in order.
    pub(super) fn filter(
        &self,
        pod: &PodShape,
        cluster: &Cluster,
        skipped: PluginSet,
        left: &mut NodeSet,
        why: &mut Diagnosis,
    ) {
        for &index in &self.filters {
            if skipped.contains(index) {
                continue;
            }
            if let Some(filter) = self.plugin(index).filter() {
                why.speak_for(index);
                filter.filter(pod, cluster, left, why);
            }
        }
    }

    /// Whether the pod fits these nodes as the cluster is now: removes from `left` those it does
    /// not fit, and says why. Nodes outside the PreFilters' narrowing are rejected too.
    pub fn revalidate(
        &self,
        pod: &PodShape,
        cluster: &Cluster,
        left: &mut NodeSet,
        why: &mut Diagnosis,
    ) {
        match self.pre_filter(pod, cluster) {
            PreFiltered::Rejected(_) => left.clear(),
            PreFiltered::Nodes { narrowed, skipped } => {
                if let Some(narrowed) = narrowed {
                    let mut outside = left.clone();
                    outside.subtract(&narrowed.nodes);
                    let reason = Reason::Text("node(s) didn't satisfy plugin(s)");
                    why.reject(left, &outside, reason, Code::Unresolvable);
                }
                left.intersect(cluster.nodes());
                self.filter(pod, cluster, skipped, left, why);
            }
        }
    }
}
