//! Events are shown in two forms, of which that of `events.k8s.io` is kept.

use serde_json::{Map, Value};

use super::kinds::Kind;
use super::value;

/// The names of the same field in `events.k8s.io` and in the core.
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
    ("reportingController", "reportingComponent"),
];

/// What a kind shows of an object that is kept.
pub(super) fn shown(kind: &Kind, kept: &Value) -> Value {
    let mut value = kept.clone();
    if kind.is_view() {
        let map = value::as_object(&mut value);
        map.insert("apiVersion".to_owned(), kind.api_version().into());
        for (theirs, ours) in EVENT_FIELDS {
            rename(map, theirs, ours);
        }
    }
    value
}

/// What is kept of an object that a kind was sent.
pub(super) fn kept(kind: &Kind, mut value: Value) -> Value {
    if kind.is_view() {
        let map = value::as_object(&mut value);
        map.insert("apiVersion".to_owned(), "events.k8s.io/v1".into());
        for (theirs, ours) in EVENT_FIELDS {
            rename(map, ours, theirs);
        }
    }
    value
}

/// Where a field that a kind shows is kept.
pub(super) fn kept_path<'a>(kind: &Kind, path: &'a str) -> std::borrow::Cow<'a, str> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let renamed = EVENT_FIELDS.iter().find(|(_, ours)| *ours == first);
    match renamed {
        Some((_, "source")) if kind.is_view() => "deprecatedSource.component".into(),
        Some((theirs, _)) if kind.is_view() && rest.is_empty() => (*theirs).into(),
        Some((theirs, _)) if kind.is_view() => format!("{theirs}.{rest}").into(),
        _ => path.into(),
    }
}

fn rename(map: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = map.remove(from) {
        map.insert(to.to_owned(), value);
    }
}
