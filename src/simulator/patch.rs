//! Merge patches (RFC 7386) and strategic merge patches, which know that some lists have a key.
//!
//! Source: `k8s.io/apimachinery/pkg/util/strategicpatch/patch.go`.

use serde_json::{Map, Value};

use super::request::PatchType;
use super::value;

/// The lists that are merged, by the name of their field, and the key of their elements; an empty
/// key stands for lists of plain values. All others, as taints and tolerations, are replaced.
const MERGED: &[(&str, &str)] = &[
    ("addresses", "type"),
    ("conditions", "type"),
    ("containers", "name"),
    ("env", "name"),
    ("ephemeralContainers", "name"),
    ("finalizers", ""),
    ("hostAliases", "ip"),
    ("hostIPs", "ip"),
    ("imagePullSecrets", "name"),
    ("initContainers", "name"),
    ("ownerReferences", "uid"),
    ("podCIDRs", ""),
    ("podIPs", "ip"),
    ("resourceClaims", "name"),
    ("schedulingGates", "name"),
    ("topologySpreadConstraints", "topologyKey"),
    ("volumeDevices", "devicePath"),
    ("volumeMounts", "mountPath"),
    ("volumes", "name"),
];

const ORDER: &str = "$setElementOrder/";
const DELETE_VALUES: &str = "$deleteFromPrimitiveList/";
const RETAIN: &str = "$retainKeys";
const DIRECTIVE: &str = "$patch";

/// Changes a value as a patch says.
pub(super) fn apply(kind: PatchType, target: &mut Value, patch: &Value) {
    match kind {
        PatchType::Merge => merge(target, patch),
        PatchType::Strategic => strategic(target, patch),
    }
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    let target = value::as_object(target);
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.as_str()).or_insert(Value::Null), value);
        }
    }
}

fn strategic(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    match patch.get(DIRECTIVE).and_then(Value::as_str) {
        Some("replace") => {
            *target = Value::Object(without_directives(patch));
            return;
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return;
        }
        _ => {}
    }
    let target = value::as_object(target);
    if let Some(Value::Array(retained)) = patch.get(RETAIN) {
        target.retain(|key, _| retained.iter().any(|kept| kept == key));
    }
    for (key, gone) in patch {
        if let (Some(field), Value::Array(gone)) = (key.strip_prefix(DELETE_VALUES), gone)
            && let Some(Value::Array(values)) = target.get_mut(field)
        {
            values.retain(|value| !gone.contains(value));
        }
    }
    for (key, value) in without_directives(patch) {
        match &value {
            Value::Null => {
                target.remove(&key);
            }
            Value::Array(elements) => {
                let order = patch
                    .get(&format!("{ORDER}{key}"))
                    .and_then(Value::as_array);
                let held = target.entry(key.as_str()).or_insert(Value::Null);
                merge_list(&key, held, elements, order);
            }
            _ => strategic(target.entry(key).or_insert(Value::Null), &value),
        }
    }
    // An order without a change is a change of the order.
    for (key, order) in patch {
        if let (Some(field), Value::Array(order)) = (key.strip_prefix(ORDER), order)
            && !patch.contains_key(field)
            && let Some(held) = target.get_mut(field)
        {
            merge_list(field, held, &[], Some(order));
        }
    }
}

fn without_directives(patch: &Map<String, Value>) -> Map<String, Value> {
    let kept = patch.iter().filter(|(key, _)| !key.starts_with('$'));
    kept.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// What tells the elements of a list apart; none for lists that are replaced.
fn merge_key(field: &str, elements: &[Value]) -> Option<&'static str> {
    // The ports of containers and those of services have different keys.
    if field == "ports" {
        let of_container = elements
            .iter()
            .any(|port| port.get("containerPort").is_some());
        return Some(if of_container {
            "containerPort"
        } else {
            "port"
        });
    }
    let found = MERGED.iter().find(|(name, _)| *name == field);
    found.map(|(_, key)| *key)
}

fn merge_list(field: &str, held: &mut Value, patch: &[Value], order: Option<&Vec<Value>>) {
    let server = match held.take() {
        Value::Array(server) => server,
        _ => Vec::new(),
    };
    let key = merge_key(field, if patch.is_empty() { &server } else { patch });
    let directive = |element: &Value, word: &str| value::text(element, &[DIRECTIVE]) == word;
    let replaced = patch.iter().any(|element| directive(element, "replace"));
    let Some(key) = key.filter(|_| !replaced) else {
        let plain = patch
            .iter()
            .filter(|element| !directive(element, "replace"));
        *held = Value::Array(plain.cloned().collect());
        return;
    };
    let place = |list: &[Value], wanted: &Value| {
        let same = |element: &Value| identity(element, key) == identity(wanted, key);
        list.iter().position(same)
    };
    // The order in which the server has them decides between what is in the patch and what is not.
    let mut merged = server.clone();
    for element in patch {
        let at = place(&merged, element);
        match (at, directive(element, "delete")) {
            (Some(at), true) => {
                merged.remove(at);
            }
            (None, true) => {}
            (Some(at), false) => {
                if let Some(held) = merged.get_mut(at) {
                    strategic(held, element);
                }
            }
            (None, false) => {
                let mut new = Value::Null;
                strategic(&mut new, element);
                merged.push(new);
            }
        }
    }
    let order = order.map_or(patch, Vec::as_slice);
    let (mut named, others): (Vec<_>, Vec<_>) = merged
        .into_iter()
        .partition(|element| place(order, element).is_some());
    named.sort_by_key(|element| place(order, element));
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    let mut sorted = Vec::new();
    loop {
        let other_first = match (others.peek(), named.peek()) {
            (None, None) => break,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(other), Some(named)) => place(&server, named)
                .zip(place(&server, other))
                .is_some_and(|(named, other)| other < named),
        };
        sorted.extend(if other_first {
            others.next()
        } else {
            named.next()
        });
    }
    *held = Value::Array(sorted);
}

/// The value of an element's key; plain values are their own.
fn identity<'a>(element: &'a Value, key: &str) -> Option<&'a Value> {
    if key.is_empty() || !element.is_object() {
        Some(element)
    } else {
        element.get(key)
    }
}
