//! `matchLabelKeys` and `mismatchLabelKeys` of affinity terms, which the API server merges into the
//! selector beside them. Source: `pkg/registry/core/pod/strategy.go`, `mutatePodAffinity`. Those of
//! spread constraints the scheduler itself reads.

use serde::Deserialize;

use crate::api;
use crate::model::{label, labels};

/// The keys of a pod's terms.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct AskedAffinity {
    pod_affinity: AskedTerms,
    pod_anti_affinity: AskedTerms,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct AskedTerms {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    required: Vec<Keys>,
    #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution")]
    preferred: Vec<AskedWeightedTerm>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AskedWeightedTerm {
    pod_affinity_term: Keys,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Keys {
    match_label_keys: Vec<Box<str>>,
    mismatch_label_keys: Vec<Box<str>>,
}

/// Merges the keys into the selectors of the pod.
pub(super) fn merge(pod: &mut api::Pod, asked: &AskedAffinity) {
    let own = labels(&pod.metadata.labels);
    let affinity = &mut pod.spec.affinity;
    for (terms, asked) in [
        (&mut affinity.pod_affinity, &asked.pod_affinity),
        (&mut affinity.pod_anti_affinity, &asked.pod_anti_affinity),
    ] {
        for (term, keys) in terms.required.iter_mut().zip(&asked.required) {
            keys.merge(term, &own);
        }
        for (weighted, asked) in terms.preferred.iter_mut().zip(&asked.preferred) {
            (asked.pod_affinity_term).merge(&mut weighted.pod_affinity_term, &own);
        }
    }
}

impl Keys {
    /// A selector that is absent matches nothing and stays so. What a dump has merged already is not
    /// merged again, since the pod's labels may be others now.
    fn merge(&self, term: &mut api::PodAffinityTerm, own: &[(Box<str>, Box<str>)]) {
        let Some(selector) = &mut term.label_selector else {
            return;
        };
        for (operator, keys) in [
            ("In", &self.match_label_keys),
            ("NotIn", &self.mismatch_label_keys),
        ] {
            for key in keys {
                let merged = (selector.match_expressions.iter())
                    .any(|one| one.key == *key && &*one.operator == operator);
                if let (Some(value), false) = (label(own, key), merged) {
                    selector.match_expressions.push(api::Requirement {
                        key: key.clone(),
                        operator: operator.into(),
                        values: vec![value.into()],
                    });
                }
            }
        }
    }
}
