//! Pod disruption budgets: what the disruption controller would have written into those that it has
//! not seen, and what becomes of them when pods are evicted. Source: `pkg/controller/disruption`.

use serde::Deserialize;

use super::admission::Wrong;
use crate::api;
use crate::cluster::Cluster;
use crate::model::{DisruptionBudget, LabelSelector, PodRef, labels};

/// What only the disruption controller reads of a budget.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AskedBudget {
    spec: AskedSpec,
    status: AskedStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AskedSpec {
    min_available: Option<Amount>,
    max_unavailable: Option<Amount>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AskedStatus {
    disruptions_allowed: Option<i32>,
}

/// So many pods, or a share of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a number of pods or a percentage")]
enum Amount {
    Pods(i32),
    Share(Box<str>),
}

impl Amount {
    fn percent(text: &str) -> Option<i64> {
        let number = text.strip_suffix('%')?;
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| number.parse().ok())?
    }

    fn is_valid(&self) -> bool {
        match self {
            Self::Pods(pods) => *pods >= 0,
            Self::Share(text) => Self::percent(text).is_some_and(|percent| percent <= 100),
        }
    }

    /// Shares are rounded up.
    fn of(&self, pods: i64) -> i64 {
        match self {
            Self::Pods(pods) => (*pods).into(),
            Self::Share(text) => (pods * Self::percent(text).unwrap_or(0) + 99) / 100,
        }
    }
}

impl AskedBudget {
    /// Fails when it asks for what is no amount.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        let AskedSpec {
            min_available,
            max_unavailable,
        } = &self.spec;
        let fields = [
            ("minAvailable", min_available),
            ("maxUnavailable", max_unavailable),
        ];
        for (field, amount) in fields {
            if amount.as_ref().is_some_and(|amount| !amount.is_valid()) {
                let reason = "expected a number of pods or a percentage up to 100%".to_owned();
                return Err((format!("spec.{field}"), reason));
            }
        }
        if min_available.is_some() && max_unavailable.is_some() {
            let reason = "minAvailable and maxUnavailable exclude each other; keep one of them";
            return Err(("spec".to_owned(), reason.to_owned()));
        }
        Ok(())
    }

    /// How many of its pods may be disrupted, of which so many exist and so many are healthy.
    fn allowed(&self, expected: i64, healthy: i64) -> i32 {
        let desired = match &self.spec {
            AskedSpec {
                max_unavailable: Some(most),
                ..
            } => (expected - most.of(expected)).max(0),
            AskedSpec {
                min_available: Some(least),
                ..
            } => least.of(expected),
            // Without either the controller protects nothing.
            _ => 0,
        };
        i32::try_from((healthy - desired).max(0)).unwrap_or(i32::MAX)
    }
}

/// Whether a pod counts as available: it is on a node, stays there, and nobody says that it is not
/// ready.
fn is_healthy(pod: &api::Pod) -> bool {
    let unready =
        |condition: &api::Condition| &*condition.kind == "Ready" && &*condition.status != "True";
    !pod.spec.node_name.is_empty()
        && pod.metadata.deletion_timestamp.is_none()
        && !pod.status.conditions.iter().any(unready)
}

/// Fills in how many disruptions the budgets without a status allow, with these pods.
pub(super) fn fill_in(
    budgets: &mut [api::PodDisruptionBudget],
    asked: &[AskedBudget],
    pods: &[api::Pod],
) {
    for (budget, asked) in budgets.iter_mut().zip(asked) {
        if asked.status.disruptions_allowed.is_some() {
            continue;
        }
        // One that cannot be read protects nothing, whatever it allows.
        let Ok(selector) = LabelSelector::compile(budget.spec.selector.as_ref()) else {
            continue;
        };
        let own = || {
            (pods.iter())
                .filter(|pod| pod.metadata.namespace == budget.metadata.namespace)
                .filter(|pod| selector.matches(&labels(&pod.metadata.labels)))
        };
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let (expected, healthy) = (own().count(), own().filter(|pod| is_healthy(pod)).count());
        budget.status.disruptions_allowed = asked.allowed(count(expected), count(healthy));
    }
}

/// Counts an eviction against the budgets of the pod, and answers those.
pub(super) fn charge(
    budgets: &mut [api::PodDisruptionBudget],
    cluster: &Cluster,
    pod: &PodRef,
) -> Vec<api::PodDisruptionBudget> {
    let placed = cluster.placed_by_uid(&pod.uid);
    let Some(record) = placed.and_then(|placed| cluster.placed(placed)) else {
        return Vec::new();
    };
    let labels = cluster.labels_of(record.peers);
    let mut charged = Vec::new();
    for budget in budgets {
        if DisruptionBudget::compile(budget).counts(pod, labels) {
            let allowed = &mut budget.status.disruptions_allowed;
            *allowed = allowed.saturating_sub(1).max(0);
            charged.push(budget.clone());
        }
    }
    charged
}
