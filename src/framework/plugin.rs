//! The extension points, over sets of nodes.

use super::{ClusterEvent, Diagnosis, EventSet, MAX_SCORE, Permit, Topic};
use crate::cluster::{Cluster, NodeId, NodeSet, PeerId, ResourceId};
use crate::model::{PodShape, WaitingPod};

/// A plugin: a name, the extension points it serves, and what can cure its refusals.
pub trait Plugin: Send + Sync {
    /// The name, which configuration files, metrics and messages use.
    fn name(&self) -> &'static str;

    /// Holds pods back before they enter the queue.
    fn pre_enqueue(&self) -> Option<&dyn PreEnqueue> {
        None
    }

    /// Looks at the pod once before any node is filtered.
    fn pre_filter(&self) -> Option<&dyn PreFilter> {
        None
    }

    /// Takes out nodes that the pod cannot run on.
    fn filter(&self) -> Option<&dyn Filter> {
        None
    }

    /// Rates the nodes that are left.
    fn score(&self) -> Option<&dyn Score> {
        None
    }

    /// Takes out nodes because of pods or volumes elsewhere.
    fn peer_filter(&self) -> Option<&dyn PeerFilter> {
        None
    }

    /// Rates the nodes that are left by pods elsewhere.
    fn peer_score(&self) -> Option<&dyn PeerScore> {
        None
    }

    /// Books what the decision takes outside the cluster's own columns.
    fn reserve(&self) -> Option<&dyn Reserve> {
        None
    }

    /// Has the last word before the decision leaves.
    fn permit(&self) -> Option<&dyn Permit> {
        None
    }

    /// The labels by which it spreads pods that have no constraints of their own, so that those
    /// pods are counted by them.
    fn default_spread_keys(&self) -> Vec<Box<str>> {
        Vec::new()
    }

    /// The events that may cure a refusal of this plugin.
    fn events(&self) -> EventSet {
        EventSet::default()
    }

    /// Where a pod that the plugin rejected listens: under one of these topics each event has to be
    /// filed that [`Self::hint`] may say yes to. Unless a plugin knows better, all its events.
    fn topics(&self, pod: Incoming<'_>, cluster: &Cluster) -> Vec<Topic> {
        let _ = (pod, cluster);
        self.events().iter().map(Topic::Kind).collect()
    }

    /// Whether this event may cure this pod's refusal (upstream's queueing hint). Asked only for
    /// events of [`Self::events`], when the cluster has taken the event in. Who the pod is to other
    /// pods is known to plugins with a [`PeerFilter`]. A wrong no leaves the pod waiting; a wrong
    /// yes costs an attempt.
    fn hint(&self, event: &ClusterEvent<'_>, pod: Incoming<'_>, cluster: &Cluster) -> bool {
        let _ = (event, pod, cluster);
        true
    }
}

/// A pod that waits, as plugins see it that look at other pods.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// What it asks of nodes.
    pub shape: &'a PodShape,
    /// What it asks of other pods, and by what they know it: see [`Cluster::peers`].
    pub peers: PeerId,
}

impl<'a> From<&'a PodShape> for Incoming<'a> {
    /// A pod of which no other pod knows anything.
    fn from(shape: &'a PodShape) -> Self {
        let peers = PeerId::default();
        Self { shape, peers }
    }
}

/// Holds pods back before they enter the queue.
pub trait PreEnqueue {
    /// Why the pod must not be considered yet; None lets it in.
    fn pre_enqueue(&self, pod: &WaitingPod) -> Option<String>;
}

/// What a PreFilter says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreFilterAnswer {
    /// Filter as usual.
    Proceed,
    /// This plugin's Filter has nothing to say about the pod.
    Skip,
    /// Only these nodes come into question.
    Narrow(NodeSet),
    /// No node comes into question, whatever happens to other pods.
    Reject(String),
    /// The plugin cannot read the pod. That is no refusal: the attempt fails.
    Error(String),
}

/// Looks at the pod once before any node is filtered.
pub trait PreFilter {
    /// What it says about the pod.
    fn pre_filter(&self, pod: &PodShape, cluster: &Cluster) -> PreFilterAnswer;
}

/// Takes out nodes that the pod cannot run on.
///
/// Plugins run in the profile's order and each sees only what the ones before it left, so that
/// every node is rejected by its first failing plugin. What it says of a node may depend on that
/// node and on the pod's shape and on nothing else: the answer is kept until the node changes. A
/// plugin that looks further has a [`PeerFilter`].
pub trait Filter {
    /// Removes from `left` what must go and says why. The work must be in proportion to `left` or to
    /// an index, since sets of one node are asked about all the time.
    fn filter(&self, pod: &PodShape, cluster: &Cluster, left: &mut NodeSet, why: &mut Diagnosis);

    /// What of the pods on a node keeps this pod off it. [`Obstacle::Pods`] is always right and costs
    /// the search for victims time.
    fn obstacle(&self, pod: &PodShape, cluster: &Cluster) -> Obstacle {
        let _ = (pod, cluster);
        Obstacle::Pods
    }

    /// Lowers the numbers of `nodes` in `column` to how many pods like this one each could take at
    /// most. `nodes` are such as this filter lets pass. A number that is too large costs time; one
    /// that is too small would refuse gangs that fit. Answers whether it limits them at all.
    fn room(&self, pod: &PodShape, cluster: &Cluster, nodes: &NodeSet, column: &mut [u32]) -> bool {
        let _ = (pod, cluster, nodes, column);
        false
    }
}

/// What of the pods on a node a filter's answer about the node depends on: what has to go so that a
/// pod it refused fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It does not depend on them.
    None,
    /// Only on how many they are and on what they hold of these resources: the pod fits if it is not
    /// one too many and so much is left of each.
    Room(Vec<(ResourceId, i64)>),
    /// On whatever they are.
    Pods,
}

/// How raw scores become scores of 0 to 100 over the feasible nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalize {
    /// The raw score is the score.
    Kept,
    /// In proportion to the largest; all 0 when that is 0 (helper.DefaultNormalizeScore).
    ByMax,
    /// 100 minus that; all 100 when the largest is 0.
    ByMaxReversed,
}

impl Normalize {
    /// The score of a raw score, given the largest one.
    pub fn apply(self, raw: i64, max: i64) -> i64 {
        match self {
            Self::Kept => raw,
            Self::ByMax if max == 0 => 0,
            Self::ByMax => raw * MAX_SCORE / max,
            Self::ByMaxReversed if max == 0 => MAX_SCORE,
            Self::ByMaxReversed => MAX_SCORE - raw * MAX_SCORE / max,
        }
    }
}

/// Rates nodes.
pub trait Score {
    /// Whether the plugin has nothing to say about the pod (PreScore answers Skip).
    fn skips(&self, pod: &PodShape) -> bool {
        let _ = pod;
        false
    }

    /// Why the plugin cannot read the pod (PreScore answers Error), so that the attempt fails.
    fn fault(&self, pod: &PodShape) -> Option<String> {
        let _ = pod;
        None
    }

    /// Writes a raw score for each node of `nodes` into `column`, by node index.
    fn score(&self, pod: &PodShape, cluster: &Cluster, nodes: &NodeSet, column: &mut [i64]);

    /// How raw scores are normalised.
    fn normalize(&self) -> Normalize {
        Normalize::Kept
    }

    /// A number that moves whenever scores of nodes may have changed that did not change themselves.
    fn epoch(&self, pod: &PodShape, cluster: &Cluster) -> u64 {
        let _ = (pod, cluster);
        0
    }
}

/// Takes out nodes because of pods or volumes elsewhere; asked anew for every decision.
pub trait PeerFilter {
    /// What it says before any node is filtered.
    fn pre_filter(&self, pod: Incoming<'_>, cluster: &Cluster) -> PreFilterAnswer;

    /// Removes from `left` what must go and says why. `left` holds only nodes that the plugins
    /// before it left, but what is counted elsewhere is counted over all nodes. The work should be
    /// in proportion to the number of domains, and never to that of pods.
    fn filter(&self, pod: Incoming<'_>, cluster: &Cluster, left: &mut NodeSet, why: &mut Diagnosis);
}

/// Rates nodes by pods elsewhere; asked anew for every decision.
pub trait PeerScore {
    /// Why the plugin cannot read the pod (PreScore answers Error), so that the attempt fails.
    fn fault(&self, pod: Incoming<'_>, cluster: &Cluster) -> Option<String> {
        let _ = (pod, cluster);
        None
    }

    /// Writes the score, 0 to 100, of each node of `feasible` into `column`, by node index.
    /// `feasible` is all nodes that were left, so that the plugin normalises itself. Answers
    /// whether it had something to say about the pod; if not (PreScore answers Skip), `column` is
    /// not to be read.
    fn score(
        &self,
        pod: Incoming<'_>,
        cluster: &Cluster,
        feasible: &NodeSet,
        column: &mut [i64],
    ) -> bool;
}

/// Books what a decision takes outside the cluster's own columns.
pub trait Reserve: Send + Sync {
    /// Books it; an error is a refusal.
    ///
    /// # Errors
    ///
    /// The reason why the node cannot be had after all.
    fn reserve(&self, pod: &PodShape, node: NodeId, cluster: &Cluster) -> Result<(), String>;

    /// Gives it back. Also called for a reservation that failed; must bear being called twice.
    fn unreserve(&self, pod: &PodShape, node: NodeId, cluster: &Cluster);
}
