//! What a scheduler sees: objects compiled into exact integers and small vectors.
//!
//! The API's text is read here once; nothing above this room parses quantities or operators.

mod affinity;
mod disruption_budget;
mod group;
mod label_syntax;
mod node;
mod peers;
mod pod;
pub mod quantity;
mod requests;
mod selector;
mod taint;
mod time;
mod volumes;

pub use affinity::{LabelView, NodeTerm, Operator, PreferredTerm, RequiredTerms, Requirement};
pub use disruption_budget::DisruptionBudget;
pub use group::{
    DEFAULT_TIMEOUT, Dialect, GangTopology, GroupRef, Membership, PodGroup, StoredCondition,
    StoredGroupStatus,
};
pub use node::{Image, NodeModel};
pub use peers::{
    AffinityTerm, Controller, ControllerKind, PodPeers, SpreadConstraint, WeightedTerm,
};
pub use pod::{
    CompiledPod, Eviction, HostPort, PlacedPod, PodCondition, PodRef, PodShape, Protocol,
    WaitingPod,
};
pub use quantity::Quantity;
pub use requests::{CompileError, Requests, is_extended_resource, is_scalar_resource};
pub use selector::{LabelSelector, Labels, PodSelector, label, labels};
pub use taint::{Effect, Taint, Toleration, TolerationOperator, find_untolerated};
pub use time::Time;
pub use volumes::{
    ClaimOwner, PLACE_LABELS, PersistentVolume, PodClaim, PodClaims, StorageClass, VolumeClaim,
    VolumePlace,
};
