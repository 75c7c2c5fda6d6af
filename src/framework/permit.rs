//! Permission: the last word before a decision leaves, which a plugin may keep to itself for a
//! while. Sources: `framework/runtime/waiting_pods_map.go`, `RunPermitPlugins`.

use std::time::Duration;

use super::PluginIndex;
use crate::cluster::{Cluster, NodeId};
use crate::model::{PodRef, PodShape};

/// The longest that a plugin can let a pod wait.
pub const MAX_PERMIT_WAIT: Duration = Duration::from_secs(15 * 60);

/// What Permit says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PermitAnswer {
    /// Bind it.
    Allow,
    /// Do not, for this reason.
    Reject(String),
    /// Hold it on its node until the plugin says more, at most for so long.
    Wait(Duration),
}

/// Has the last word before the decision leaves.
pub trait Permit: Send + Sync {
    /// What it says.
    fn permit(
        &self,
        pod: &PodRef,
        shape: &PodShape,
        node: NodeId,
        cluster: &Cluster,
    ) -> PermitAnswer;
}

/// A plugin that lets a pod wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermitWait {
    /// Which.
    pub plugin: PluginIndex,
    /// For how long at most.
    pub limit: Duration,
}

/// What a plugin says of a pod that it lets wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The pod's uid.
    pub uid: Box<str>,
    /// The plugin's name. Only those are heard that let the pod wait.
    pub plugin: Box<str>,
    /// The reason of a refusal; None for permission.
    pub refusal: Option<String>,
}
