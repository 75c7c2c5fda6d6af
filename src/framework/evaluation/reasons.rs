//! Why nodes do not fit: what is asked of an evaluation when a pod was refused.

use super::Evaluation;
use crate::cluster::{Cluster, NodeId, NodeSet};
use crate::framework::{PluginSet, Profile, Reason, ReasonCounts};

impl Evaluation {
    /// The nodes that filters rejected.
    pub fn rejected(&self) -> NodeSet {
        let mut rejected = self.diagnosis.rejected().clone();
        rejected.union(self.anew.rejected());
        rejected
    }

    /// The rejected nodes for which removing pods could help.
    pub fn resolvable(&self) -> NodeSet {
        let mut resolvable = self.kept_diagnosis().resolvable();
        resolvable.union(&self.anew.resolvable());
        resolvable
    }

    /// Whether the node was rejected and removing pods could not help.
    pub fn is_unresolvable(&self, node: NodeId) -> bool {
        let kept = !self.yielded.contains(node) && self.diagnosis.is_unresolvable(node);
        kept || self.anew.is_unresolvable(node)
    }

    /// The plugins to which the pod owes that it does not fit.
    pub fn rejectors(&self) -> PluginSet {
        if let Some(rejection) = &self.rejection {
            return rejection.plugins;
        }
        let mut plugins = self.kept_diagnosis().rejectors();
        for plugin in self.anew.rejectors().iter() {
            plugins.insert(plugin);
        }
        if let Some(narrowed) = &self.narrowed {
            for plugin in narrowed.plugins.iter() {
                plugins.insert(plugin);
            }
        }
        plugins
    }

    /// The text after `0/N nodes are available:` up to what PostFilter adds. Source:
    /// `framework.FitError.Error`.
    pub fn reasons(&self, profile: &Profile, cluster: &Cluster) -> Option<String> {
        self.reasons_in(None, profile, cluster)
    }

    /// The same, of these nodes only.
    pub fn reasons_in(
        &self,
        nodes: Option<&NodeSet>,
        profile: &Profile,
        cluster: &Cluster,
    ) -> Option<String> {
        if let Some(rejection) = &self.rejection {
            return Some(rejection.message.clone());
        }
        let mut counts: ReasonCounts = self.kept_diagnosis().count_in(nodes);
        counts.extend(self.anew.count_in(nodes));
        if let Some(narrowed) = &self.narrowed {
            let mut outside = nodes.unwrap_or(cluster.nodes()).clone();
            outside.subtract(&narrowed.nodes);
            outside.subtract(&self.yielded);
            let names = profile.names(narrowed.plugins);
            counts.add(
                format!("node(s) didn't satisfy plugin(s) {names}").into(),
                outside.len(),
            );
        }
        counts.text()
    }

    /// The reasons given for one node.
    pub fn reasons_for(&self, node: NodeId) -> impl Iterator<Item = &Reason> {
        let kept = (!self.yielded.contains(node)).then(|| self.diagnosis.reasons_for(node));
        (kept.into_iter().flatten()).chain(self.anew.reasons_for(node))
    }
}
