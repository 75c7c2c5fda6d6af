//! What a pod asks of other pods, and by what other pods know it.

use super::selector::{SelectorError, label, labels};
use super::{LabelSelector, Labels, PodSelector, Requirement};
use crate::api;

/// Which pods, and what counts as near them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AffinityTerm {
    /// The pods.
    pub pods: PodSelector,
    /// Nodes with the same value of this label are near each other.
    pub topology_key: Box<str>,
}

/// A preferred term: toward those pods when the weight is positive, away from them when negative.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WeightedTerm {
    /// -100 to 100.
    pub weight: i64,
    /// The term.
    pub term: AffinityTerm,
}

/// How pods like this one shall be spread.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpreadConstraint {
    /// Whether it must hold (DoNotSchedule).
    pub hard: bool,
    /// By how many pods domains may differ.
    pub max_skew: i64,
    /// Nodes with the same value of this label are one domain.
    pub topology_key: Box<str>,
    /// The pods of the same namespace that are counted, matchLabelKeys merged in.
    pub selector: LabelSelector,
    /// With fewer eligible domains the least count is taken as 0.
    pub min_domains: i64,
    /// Only nodes that the pod's node affinity allows are counted.
    pub honor_affinity: bool,
    /// Only nodes whose taints the pod tolerates are counted.
    pub honor_taints: bool,
}

/// The kinds of controllers that default spreading takes selectors from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ControllerKind {
    /// v1 ReplicationController.
    ReplicationController,
    /// apps/v1 ReplicaSet.
    ReplicaSet,
    /// apps/v1 StatefulSet.
    StatefulSet,
}

/// The controller of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Controller {
    /// Its kind.
    pub kind: ControllerKind,
    /// Its name; it is in the pod's namespace.
    pub name: Box<str>,
}

/// What a pod asks of other pods, and by what other pods know it. Pods with equal values get equal
/// answers from the plugins that look at other pods, if their shapes are equal too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodPeers {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its labels.
    pub labels: Labels,
    /// Being deleted: it keeps others off, but is not counted in spreading.
    pub terminating: bool,
    /// Required terms of podAffinity.
    pub affinity: Box<[AffinityTerm]>,
    /// Required terms of podAntiAffinity.
    pub anti_affinity: Box<[AffinityTerm]>,
    /// Preferred terms of both.
    pub preferred: Box<[WeightedTerm]>,
    /// topologySpreadConstraints.
    pub spread: Box<[SpreadConstraint]>,
    /// Who manages it.
    pub controller: Option<Controller>,
    /// Why a selector of an affinity term cannot be used.
    pub bad_affinity: Option<SelectorError>,
    /// Why a selector of a spread constraint cannot be used.
    pub bad_spread: Option<SelectorError>,
}

impl PodPeers {
    /// Compiles the API's form.
    pub fn compile(pod: &api::Pod) -> Self {
        let meta = &pod.metadata;
        let mut peers = Self {
            namespace: meta.namespace.clone(),
            labels: labels(&meta.labels),
            terminating: meta.deletion_timestamp.is_some(),
            controller: controller(meta),
            ..Self::default()
        };
        match affinity_terms(&peers.namespace, &pod.spec.affinity) {
            Ok((affinity, anti_affinity, preferred)) => {
                peers.affinity = affinity;
                peers.anti_affinity = anti_affinity;
                peers.preferred = preferred;
            }
            Err(error) => peers.bad_affinity = Some(error),
        }
        let constraints = pod.spec.topology_spread_constraints.iter();
        match constraints
            .map(|one| SpreadConstraint::compile(one, &peers.labels))
            .collect()
        {
            Ok(spread) => peers.spread = spread,
            Err(error) => peers.bad_spread = Some(error),
        }
        peers
    }
}

type Terms = (Box<[AffinityTerm]>, Box<[AffinityTerm]>, Box<[WeightedTerm]>);

fn affinity_terms(namespace: &str, affinity: &api::Affinity) -> Result<Terms, SelectorError> {
    let required = |terms: &[api::PodAffinityTerm]| {
        (terms.iter())
            .map(|term| AffinityTerm::compile(term, namespace))
            .collect::<Result<Box<[_]>, _>>()
    };
    let weighted = |terms: &[api::WeightedPodAffinityTerm], sign: i64| {
        (terms.iter())
            .map(|one| {
                Ok(WeightedTerm {
                    weight: sign * i64::from(one.weight),
                    term: AffinityTerm::compile(&one.pod_affinity_term, namespace)?,
                })
            })
            .collect::<Result<Vec<_>, _>>()
    };
    let (to, from) = (&affinity.pod_affinity, &affinity.pod_anti_affinity);
    let mut preferred = weighted(&to.preferred, 1)?;
    preferred.extend(weighted(&from.preferred, -1)?);
    Ok((
        required(&to.required)?,
        required(&from.required)?,
        preferred.into(),
    ))
}

impl AffinityTerm {
    /// Without namespaces and without a selector of them, the pod's own namespace is meant. Source:
    /// `getNamespacesFromPodAffinityTerm`.
    fn compile(term: &api::PodAffinityTerm, namespace: &str) -> Result<Self, SelectorError> {
        let mut namespaces = term.namespaces.clone();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.push(namespace.into());
        }
        namespaces.sort_unstable();
        namespaces.dedup();
        Ok(Self {
            pods: PodSelector {
                namespaces: namespaces.into(),
                namespace_selector: LabelSelector::compile(term.namespace_selector.as_ref())?,
                selector: LabelSelector::compile(term.label_selector.as_ref())?,
            },
            topology_key: term.topology_key.clone(),
        })
    }
}

impl SpreadConstraint {
    /// Source: `PodTopologySpread.filterTopologySpreadConstraints`.
    fn compile(
        constraint: &api::TopologySpreadConstraint,
        own: &[(Box<str>, Box<str>)],
    ) -> Result<Self, SelectorError> {
        let merged = (constraint.match_label_keys.iter())
            .filter_map(|key| Some(Requirement::equals(key, label(own, key)?)));
        let policy = |policy: &Option<Box<str>>, default: bool| match policy.as_deref() {
            Some("Honor") => true,
            Some(_) => false,
            None => default,
        };
        Ok(Self {
            hard: &*constraint.when_unsatisfiable == "DoNotSchedule",
            max_skew: constraint.max_skew.into(),
            topology_key: constraint.topology_key.clone(),
            selector: LabelSelector::compile(constraint.label_selector.as_ref())?.and(merged),
            min_domains: constraint.min_domains.unwrap_or(1).into(),
            honor_affinity: policy(&constraint.node_affinity_policy, true),
            honor_taints: policy(&constraint.node_taints_policy, false),
        })
    }
}

fn controller(meta: &api::Meta) -> Option<Controller> {
    let owner = (meta.owner_references.iter()).find(|owner| owner.controller == Some(true))?;
    let kind = match (&*owner.api_version, &*owner.kind) {
        ("v1", "ReplicationController") => ControllerKind::ReplicationController,
        ("apps/v1", "ReplicaSet") => ControllerKind::ReplicaSet,
        ("apps/v1", "StatefulSet") => ControllerKind::StatefulSet,
        _ => return None,
    };
    Some(Controller {
        kind,
        name: owner.name.clone(),
    })
}

#[cfg(test)]
mod tests;
