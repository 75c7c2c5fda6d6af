//! Label and field selectors as they are written in queries.

use std::borrow::Cow;

use serde_json::Value;

use super::kinds::Kind;
use super::status::Status;
use super::{value, views};

/// Which objects are meant.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    labels: Vec<LabelRequirement>,
    fields: Vec<FieldRequirement>,
}

#[derive(Clone, Debug)]
struct LabelRequirement {
    key: String,
    /// Whether the value has to be one of these, or may not be; none asks for the key alone.
    values: Option<Vec<String>>,
    wanted: bool,
}

#[derive(Clone, Debug)]
struct FieldRequirement {
    path: Vec<String>,
    value: String,
    wanted: bool,
}

impl Selector {
    pub(super) fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Self, Status> {
        Ok(Self {
            labels: parse_labels(labels)?,
            fields: parse_fields(kind, fields)?,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        let labels = value::at(object, &["metadata", "labels"]);
        let label = |key: &str| labels.and_then(|labels| labels.get(key)?.as_str());
        self.labels.iter().all(|requirement| {
            let found = label(&requirement.key);
            let met = match (&requirement.values, found) {
                (None, found) => found.is_some(),
                (Some(values), found) => {
                    found.is_some_and(|found| values.iter().any(|value| value == found))
                }
            };
            met == requirement.wanted
        }) && self
            .fields
            .iter()
            .all(|field| (field_value(object, &field.path) == field.value) == field.wanted)
    }
}

fn field_value<'a>(object: &'a Value, path: &[String]) -> Cow<'a, str> {
    let found = path
        .iter()
        .try_fold(object, |value, key| value.get(key.as_str()));
    match found {
        Some(Value::String(text)) => text.as_str().into(),
        Some(Value::Bool(set)) => set.to_string().into(),
        Some(Value::Number(number)) => number.to_string().into(),
        // A boolean that is not set is false.
        _ if matches!(
            path.last().map(String::as_str),
            Some("unschedulable" | "hostNetwork")
        ) =>
        {
            "false".into()
        }
        _ => "".into(),
    }
}

fn parse_fields(kind: &Kind, text: &str) -> Result<Vec<FieldRequirement>, Status> {
    let parts = text.split(',').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (path, wanted, value) = if let Some((path, value)) = part.split_once("!=") {
                (path, false, value)
            } else if let Some((path, value)) = part.split_once('=') {
                (path, true, value.strip_prefix('=').unwrap_or(value))
            } else {
                return Err(Status::bad_request(format!(
                    "invalid selector: '{text}'; can't understand '{part}'"
                )));
            };
            let known = path == "metadata.name"
                || (path == "metadata.namespace" && kind.namespaced)
                || kind.fields.contains(&path);
            if !known {
                return Err(Status::bad_request(format!(
                    "field label not supported: {path}"
                )));
            }
            let path = views::kept_path(kind, path);
            Ok(FieldRequirement {
                path: path.split('.').map(str::to_owned).collect(),
                value: value.to_owned(),
                wanted,
            })
        })
        .collect()
}

fn parse_labels(text: &str) -> Result<Vec<LabelRequirement>, Status> {
    split_requirements(text)
        .filter(|part| !part.trim().is_empty())
        .map(|part| parse_label(part.trim()))
        .collect()
}

/// Splits at commas that are not within parentheses.
fn split_requirements(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    text.split(move |char| {
        match char {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        char == ',' && depth == 0
    })
}

fn parse_label(part: &str) -> Result<LabelRequirement, Status> {
    let requirement = |key: &str, values: Option<Vec<String>>, wanted| {
        let key = key.trim();
        let letter = |char: char| char.is_ascii_alphanumeric() || "-_./".contains(char);
        if key.is_empty() || !key.chars().all(letter) {
            return Err(Status::bad_request(format!(
                "unable to parse requirement: found '{part}', expected: identifier"
            )));
        }
        Ok(LabelRequirement {
            key: key.to_owned(),
            values,
            wanted,
        })
    };
    let one = |value: &str| Some(vec![value.trim().to_owned()]);
    if let Some((key, value)) = part.split_once("!=") {
        return requirement(key, one(value), false);
    }
    if let Some((key, value)) = part.split_once('=') {
        return requirement(key, one(value.strip_prefix('=').unwrap_or(value)), true);
    }
    if let Some(key) = part.strip_prefix('!') {
        return requirement(key, None, false);
    }
    let Some((key, rest)) = part.split_once(char::is_whitespace) else {
        return requirement(part, None, true);
    };
    let (wanted, set) = match rest.trim() {
        rest if rest.starts_with("notin") => (false, rest.trim_start_matches("notin")),
        rest if rest.starts_with("in") => (true, rest.trim_start_matches("in")),
        rest => {
            return Err(Status::bad_request(format!(
                "unable to parse requirement: found '{rest}', expected: in, notin, =, ==, !=, gt, lt"
            )));
        }
    };
    let inside = set
        .trim()
        .strip_prefix('(')
        .and_then(|set| set.strip_suffix(')'));
    let Some(inside) = inside else {
        return Err(Status::bad_request(format!(
            "unable to parse requirement: found '{}' expected: '('",
            set.trim()
        )));
    };
    let values = inside
        .split(',')
        .map(|value| value.trim().to_owned())
        .collect();
    requirement(key, Some(values), wanted)
}
