//! What a pod asks of other pods, and by what other pods know it.

use super::label_syntax::together;
use super::selector::{label, labels};
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
    /// topologySpreadConstraints, those that must hold first.
    pub spread: Box<[SpreadConstraint]>,
    /// Whether it has any, so that the defaults are not for it.
    pub has_spread: bool,
    /// Who manages it.
    pub controller: Option<Controller>,
    /// Why some selector of an affinity term cannot be used. The terms beside it are left out.
    pub bad_affinity: Option<Box<str>>,
    /// Why some selector of a spread constraint that must hold cannot be used. All that must hold
    /// are left out then.
    pub bad_spread: Option<Box<str>>,
    /// The same of the constraints that need not hold.
    pub bad_soft_spread: Option<Box<str>>,
}

impl PodPeers {
    /// Compiles the API's form.
    pub fn compile(pod: &api::Pod) -> Self {
        let meta = &pod.metadata;
        let labels = labels(&meta.labels);
        let mut peers = Self {
            namespace: meta.namespace.clone(),
            terminating: meta.deletion_timestamp.is_some(),
            controller: controller(meta),
            ..Self::default()
        };
        let (to, from) = (
            &pod.spec.affinity.pod_affinity,
            &pod.spec.affinity.pod_anti_affinity,
        );
        let mut faults = Vec::new();
        let namespace = &meta.namespace;
        let required = |terms: &[api::PodAffinityTerm]| {
            let terms = terms.iter();
            terms
                .map(|term| AffinityTerm::compile(term, namespace))
                .collect()
        };
        let preferred = |terms: &[api::WeightedPodAffinityTerm], sign| {
            let terms = terms.iter();
            terms
                .map(|term| WeightedTerm::compile(term, namespace, sign))
                .collect()
        };
        peers.affinity = good("requiredAffinityTerms", required(&to.required), &mut faults);
        peers.anti_affinity = good(
            "requiredAntiAffinityTerms",
            required(&from.required),
            &mut faults,
        );
        let toward = good(
            "preferredAffinityTerms",
            preferred(&to.preferred, 1),
            &mut faults,
        );
        let away = good(
            "preferredAntiAffinityTerms",
            preferred(&from.preferred, -1),
            &mut faults,
        );
        peers.preferred = toward.into_iter().chain(away).collect();
        peers.bad_affinity = together(faults).map(Into::into);
        let asked = &pod.spec.topology_spread_constraints;
        peers.has_spread = !asked.is_empty();
        // Those that must hold and those that need not are read apart, as upstream does.
        let of = |hard: bool| {
            (asked.iter())
                .filter(|one| (&*one.when_unsatisfiable == "DoNotSchedule") == hard)
                .map(|one| SpreadConstraint::compile(one, &labels))
                .collect::<Result<Vec<_>, _>>()
        };
        let hard = of(true).unwrap_or_else(|fault| {
            peers.bad_spread = Some(fault.into());
            Vec::new()
        });
        let soft = of(false).unwrap_or_else(|fault| {
            peers.bad_soft_spread = Some(fault.into());
            Vec::new()
        });
        peers.spread = hard.into_iter().chain(soft).collect();
        peers.labels = labels;
        peers
    }
}

/// The terms of a list; none, and a fault noted, when one of them cannot be used. Source:
/// `framework.PodInfo.Update`.
fn good<T>(name: &str, terms: Result<Box<[T]>, String>, faults: &mut Vec<String>) -> Box<[T]> {
    terms.unwrap_or_else(|fault| {
        faults.push(format!("{name}: {fault}"));
        Box::default()
    })
}

impl WeightedTerm {
    fn compile(
        weighted: &api::WeightedPodAffinityTerm,
        namespace: &str,
        sign: i64,
    ) -> Result<Self, String> {
        Ok(Self {
            weight: sign * i64::from(weighted.weight),
            term: AffinityTerm::compile(&weighted.pod_affinity_term, namespace)?,
        })
    }
}

impl AffinityTerm {
    /// Without namespaces and without a selector of them, the pod's own namespace is meant. Source:
    /// `getNamespacesFromPodAffinityTerm`.
    fn compile(term: &api::PodAffinityTerm, namespace: &str) -> Result<Self, String> {
        let mut namespaces = term.namespaces.clone();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.push(namespace.into());
        }
        namespaces.sort_unstable();
        namespaces.dedup();
        // Of two that cannot be used upstream names this one.
        let selector = LabelSelector::compile(term.label_selector.as_ref())?;
        Ok(Self {
            pods: PodSelector {
                namespaces: namespaces.into(),
                namespace_selector: LabelSelector::compile(term.namespace_selector.as_ref())?,
                selector,
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
    ) -> Result<Self, String> {
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
