//! What a plugin is, and how a profile's plugins are run over sets of nodes.

mod diagnosis;
mod evaluation;
mod events;
mod nominated;
mod permit;
mod plugin;
mod profile;
mod topics;

pub use diagnosis::{Code, Diagnosis, Reason, ReasonCounts};
pub(crate) use evaluation::mix;
pub use evaluation::{Choice, Evaluation};
pub use events::{AssignedPod, ClusterEvent, EventKind, EventSet, node_changes};
pub use nominated::{Nominated, Nominations};
pub use permit::{MAX_PERMIT_WAIT, Permit, PermitAnswer, PermitWait, Verdict};
pub use plugin::{
    Filter, Incoming, Normalize, Obstacle, PeerFilter, PeerScore, Plugin, PreEnqueue, PreFilter,
    PreFilterAnswer, Reserve, Score,
};
pub use profile::{
    ExtensionPoint, GangPolicy, PluginIndex, PluginSet, PostFilter, PreFilterRejection,
    PreemptionPolicy, Profile, left_beside,
};
pub use topics::Topic;

/// The highest score a plugin gives after normalising.
pub const MAX_SCORE: i64 = 100;
