//! `matchLabelKeys` and `mismatchLabelKeys`: what they ask of other pods becomes part of the selector
//! when a pod is made.
//!
//! Source: `pkg/registry/core/pod/strategy.go`, `mutatePodAffinity` and
//! `mutateTopologySpreadConstraints`.

use serde_json::{Value, json};

use super::value;

/// Merges them into the selectors of a pod's affinity terms and spread constraints.
pub(super) fn merge(pod: &mut Value) {
    let labels = value::at(pod, &["metadata", "labels"]).cloned();
    let labels = labels.unwrap_or_default();
    let Some(spec) = pod.get_mut("spec") else {
        return;
    };
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(affinity) = spec.pointer_mut(&format!("/affinity/{kind}")) else {
            continue;
        };
        for term in items(affinity, "requiredDuringSchedulingIgnoredDuringExecution") {
            extend(term, &labels);
        }
        for weighted in items(affinity, "preferredDuringSchedulingIgnoredDuringExecution") {
            if let Some(term) = weighted.get_mut("podAffinityTerm") {
                extend(term, &labels);
            }
        }
    }
    for constraint in items(spec, "topologySpreadConstraints") {
        extend(constraint, &labels);
    }
}

/// Adds the labels to the selector beside their keys. One that is absent matches nothing and stays so.
fn extend(term: &mut Value, labels: &Value) {
    let mut added = Vec::new();
    for (field, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        let keys = value::list(term, &[field]).iter();
        for key in keys.filter_map(Value::as_str) {
            if let Some(label) = labels.get(key) {
                added.push(json!({ "key": key, "operator": operator, "values": [label] }));
            }
        }
    }
    let selector = term.get_mut("labelSelector").and_then(Value::as_object_mut);
    if let (Some(selector), false) = (selector, added.is_empty()) {
        value::default(selector, "matchExpressions", json!([]));
        if let Some(Value::Array(expressions)) = selector.get_mut("matchExpressions") {
            expressions.append(&mut added);
        }
    }
}

fn items<'a>(value: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = value.get_mut(key).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

#[cfg(test)]
mod tests;
