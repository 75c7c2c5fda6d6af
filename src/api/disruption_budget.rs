//! policy/v1 PodDisruptionBudget.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::decode::or_default;
use super::{Kind, LabelSelector, Meta};

/// A pod disruption budget, as far as preemption heeds it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodDisruptionBudget {
    /// Metadata.
    pub metadata: Meta,
    /// What was asked.
    #[serde(deserialize_with = "or_default")]
    pub spec: PodDisruptionBudgetSpec,
    /// What was reported.
    #[serde(deserialize_with = "or_default")]
    pub status: PodDisruptionBudgetStatus,
}

/// Pod disruption budget spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodDisruptionBudgetSpec {
    /// The pods that it protects.
    pub selector: Option<LabelSelector>,
}

/// Pod disruption budget status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodDisruptionBudgetStatus {
    /// How many more pods may be disrupted now.
    pub disruptions_allowed: i32,
    /// Pods by name whose eviction the API server has granted and that are not gone yet.
    #[serde(deserialize_with = "or_default")]
    pub disrupted_pods: BTreeMap<Box<str>, IgnoredAny>,
}

impl Kind for PodDisruptionBudget {
    const GROUP: &'static str = "policy";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "PodDisruptionBudget";
    const PLURAL: &'static str = "poddisruptionbudgets";

    fn meta(&self) -> &Meta {
        &self.metadata
    }
}
