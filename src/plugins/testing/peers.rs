//! What pods say about each other and about spreading, as plain values in the API's own words, and
//! naive models of the plugins that read it.
//!
//! Everything is written from the rules of kube-scheduler's plugins; `tests/peers.jsonl`, which
//! those plugins themselves have answered, proves it.

pub(crate) mod affinity;
pub(crate) mod arbitrary;
pub(crate) mod spread;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) type Labels = BTreeMap<String, String>;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Expression {
    pub(crate) key: String,
    pub(crate) operator: String,
    pub(crate) values: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Selector {
    pub(crate) match_labels: Labels,
    pub(crate) match_expressions: Vec<Expression>,
}

/// A term as the API server leaves it: matchLabelKeys and mismatchLabelKeys are in the selector.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodTerm {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) label_selector: Option<Selector>,
    pub(crate) topology_key: String,
    pub(crate) namespaces: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace_selector: Option<Selector>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct WeightedTerm {
    pub(crate) weight: i32,
    pub(crate) pod_affinity_term: PodTerm,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SpreadConstraint {
    pub(crate) max_skew: i32,
    pub(crate) topology_key: String,
    pub(crate) when_unsatisfiable: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) label_selector: Option<Selector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) min_domains: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node_affinity_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node_taints_policy: Option<String>,
    pub(crate) match_label_keys: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Owner {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) controller: bool,
}

/// What a pod tells about itself and wants of other pods.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Peers {
    pub(crate) namespace: String,
    pub(crate) labels: Labels,
    pub(crate) terminating: bool,
    pub(crate) owners: Vec<Owner>,
    pub(crate) affinity: Vec<PodTerm>,
    pub(crate) preferred_affinity: Vec<WeightedTerm>,
    pub(crate) anti_affinity: Vec<PodTerm>,
    pub(crate) preferred_anti_affinity: Vec<WeightedTerm>,
    pub(crate) spread: Vec<SpreadConstraint>,
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            namespace: "default".to_owned(),
            labels: Labels::new(),
            terminating: false,
            owners: Vec::new(),
            affinity: Vec::new(),
            preferred_affinity: Vec::new(),
            anti_affinity: Vec::new(),
            preferred_anti_affinity: Vec::new(),
            spread: Vec::new(),
        }
    }
}

/// The value, or the default where the object has none.
fn read<T: DeserializeOwned + Default>(value: &Value) -> T {
    match value {
        Value::Null => T::default(),
        _ => serde_json::from_value(value.clone()).unwrap(),
    }
}

impl Peers {
    /// From a pod as the API writes it.
    pub(crate) fn read(pod: &Value) -> Self {
        let meta = &pod["metadata"];
        let affinity = &pod["spec"]["affinity"];
        Self {
            namespace: read(&meta["namespace"]),
            labels: read(&meta["labels"]),
            terminating: !meta["deletionTimestamp"].is_null(),
            owners: read(&meta["ownerReferences"]),
            affinity: read(&affinity["podAffinity"][REQUIRED]),
            preferred_affinity: read(&affinity["podAffinity"][PREFERRED]),
            anti_affinity: read(&affinity["podAntiAffinity"][REQUIRED]),
            preferred_anti_affinity: read(&affinity["podAntiAffinity"][PREFERRED]),
            spread: read(&pod["spec"]["topologySpreadConstraints"]),
        }
    }

    /// This part of a pod as the API writes it.
    pub(crate) fn json(&self) -> Value {
        let mut pod = json!({
            "metadata": {
                "namespace": self.namespace,
                "labels": self.labels,
                "ownerReferences": self.owners,
            },
            "spec": {
                "affinity": {
                    "podAffinity": {
                        REQUIRED: self.affinity,
                        PREFERRED: self.preferred_affinity,
                    },
                    "podAntiAffinity": {
                        REQUIRED: self.anti_affinity,
                        PREFERRED: self.preferred_anti_affinity,
                    },
                },
                "topologySpreadConstraints": self.spread,
            },
        });
        if self.terminating {
            pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        pod
    }
}

/// A Service, ReplicationController, ReplicaSet or StatefulSet: who spreads pods by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Workload {
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The selector of the first two kinds, which is no more than labels.
    pub(crate) labels: Option<Labels>,
    /// The selector of the other two.
    pub(crate) selector: Option<Selector>,
}

impl Workload {
    fn by_labels(kind: &str) -> bool {
        matches!(kind, "Service" | "ReplicationController")
    }

    /// From an object as the API writes it.
    pub(crate) fn read(kind: &str, object: &Value) -> Self {
        let selector = &object["spec"]["selector"];
        let mut workload = Self {
            kind: kind.to_owned(),
            namespace: read(&object["metadata"]["namespace"]),
            name: read(&object["metadata"]["name"]),
            ..Self::default()
        };
        if Self::by_labels(kind) {
            workload.labels = read(selector);
        } else {
            workload.selector = read(selector);
        }
        workload
    }

    /// The object as the API writes it.
    pub(crate) fn json(&self) -> Value {
        let selector = if Self::by_labels(&self.kind) {
            json!(self.labels)
        } else {
            json!(self.selector)
        };
        json!({
            "kind": self.kind,
            "metadata": { "namespace": self.namespace, "name": self.name },
            "spec": { "selector": selector },
        })
    }
}

/// What PreFilter and Filter say of a pod.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Filtering {
    /// Nothing is to be filtered.
    Skip,
    /// PreFilter refuses, with this code and text.
    Refused(&'static str, String),
    /// The nodes that Filter rejects, each with code and reason.
    Rejects(BTreeMap<String, (&'static str, &'static str)>),
}

/// What PreScore, Score and NormalizeScore say of a pod.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scoring {
    /// Nothing is to be scored.
    Skip,
    /// PreScore fails with this text.
    Error(String),
    /// By node: the raw score and the normalised one.
    Scores(BTreeMap<String, (i64, i64)>),
}

/// Requirements that must all hold.
#[derive(Clone, Debug, Default)]
struct Matcher {
    nothing: bool,
    parts: Vec<Expression>,
}

fn equal(key: &str, value: &str) -> Expression {
    Expression {
        key: key.to_owned(),
        operator: "In".to_owned(),
        values: vec![value.to_owned()],
    }
}

impl Matcher {
    /// Without a selector nothing matches; with an empty one everything does.
    fn of(selector: Option<&Selector>) -> Result<Self, String> {
        let mut matcher = Self::default();
        let Some(selector) = selector else {
            matcher.nothing = true;
            return Ok(matcher);
        };
        for (key, value) in &selector.match_labels {
            matcher.parts.push(equal(key, value));
        }
        (matcher.parts).extend(selector.match_expressions.iter().cloned());
        for part in &matcher.parts {
            if let Some(fault) = fault(part) {
                return Err(fault);
            }
        }
        Ok(matcher)
    }

    fn is_empty(&self) -> bool {
        !self.nothing && self.parts.is_empty()
    }

    fn matches(&self, labels: &Labels) -> bool {
        let holds = |part: &Expression| {
            let held = labels.get(&part.key);
            let listed = held.is_some_and(|held| part.values.contains(held));
            match &*part.operator {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => held.is_some(),
                "DoesNotExist" => held.is_none(),
                other => panic!("{other} was let through"),
            }
        };
        !self.nothing && self.parts.iter().all(holds)
    }
}

const NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and \
    end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used \
    for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, \
    '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
    'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Whether it consists of what labels may consist of.
pub(crate) fn proper(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(word)
        && text.ends_with(word)
        && text.chars().all(|c| word(c) || "-_.".contains(c))
}

/// Why the requirement cannot be read. Of keys and values only their characters are looked at.
fn fault(part: &Expression) -> Option<String> {
    let Expression {
        key,
        operator,
        values,
    } = part;
    let mut faults = Vec::new();
    let name = key.rsplit('/').next().unwrap();
    if name.is_empty() {
        faults.push(format!(
            "key: Invalid value: {key:?}: name part must be non-empty; name part {NAME}"
        ));
    } else if !proper(name) {
        faults.push(format!("key: Invalid value: {key:?}: name part {NAME}"));
    }
    match &**operator {
        "In" | "NotIn" if values.is_empty() => faults.push(
            "values: Invalid value: null: for 'in', 'notin' operators, values set can't be empty"
                .to_owned(),
        ),
        "In" | "NotIn" => {}
        "Exists" | "DoesNotExist" if values.is_empty() => {}
        "Exists" | "DoesNotExist" => faults.push(format!(
            "values: Invalid value: {}: values set must be empty for exists and does not exist",
            json!(values)
        )),
        _ => {
            return Some(format!(
                "{operator:?} is not a valid label selector operator"
            ));
        }
    }
    for (place, value) in values.iter().enumerate() {
        if !value.is_empty() && !proper(value) {
            faults.push(format!(
                "values[{place}][{key}]: Invalid value: {value:?}: {VALUE}"
            ));
        }
    }
    together(faults)
}

/// One text of several errors, as Go's aggregates have it.
fn together(faults: Vec<String>) -> Option<String> {
    match faults.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("[{}]", many.join(", "))),
    }
}
