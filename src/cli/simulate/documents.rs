//! Takes the text of a file apart into objects: documents, and the items of lists.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Input;
use super::problems::{Place, Problems};

/// How deeply lists may lie in lists.
const LIST_DEPTH: usize = 4;
/// The YAML parser's guards are meant for small files, these for dumps of large clusters. Those
/// against aliases that multiply stay as they are.
const YAML_EVENTS: usize = 1 << 30;
/// Where an empty value is an empty text and not an absent field.
const TEXTS: &[&str] = &["labels", "nodeSelector"];

/// An object, or something that should be one, as it stands in its document.
#[derive(Clone, Copy, Debug)]
pub(super) enum Raw<'a> {
    Json(&'a RawValue),
    Value(&'a Value),
}

/// Which kind of object it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) api_version: String,
    pub(super) kind: String,
}

/// Why an object could not be decoded, and where in it.
#[derive(Debug)]
pub(super) struct Undecoded {
    pub(super) path: String,
    pub(super) reason: String,
}

/// Calls `found` for each object of the text.
pub(super) fn each(
    input: &Input,
    problems: &mut Problems,
    found: &mut dyn FnMut(&Place, &Kind, Raw<'_>, &mut Problems),
) {
    let file: Arc<str> = input.name.as_str().into();
    let text = input.text.strip_prefix('\u{feff}').unwrap_or(&input.text);
    let place = |document| Place {
        file: Arc::clone(&file),
        document,
        path: String::new(),
    };
    let mut documents = 0;
    match json_documents(text) {
        Some(Ok(raws)) => {
            for raw in raws {
                documents += 1;
                object(
                    &place(documents),
                    Raw::Json(raw),
                    &Kind::default(),
                    0,
                    problems,
                    found,
                );
            }
        }
        Some(Err(error)) if error.truncated => {
            documents = error.document;
            problems.at(&place(error.document), "", error.reason);
        }
        json => {
            // A document that begins like JSON may still be YAML. If it is neither, what is wrong
            // with the JSON is what its writer wants to know.
            let mut found_problems = Problems::default();
            for (line, chunk) in yaml_documents(text) {
                documents += 1;
                match yaml(chunk, line) {
                    Ok(value) => {
                        let raw = Raw::Value(&value);
                        object(&place(documents), raw, &Kind::default(), 0, problems, found);
                    }
                    Err(reason) => match &json {
                        Some(Err(error)) => {
                            found_problems.at(&place(error.document), "", &error.reason);
                            break;
                        }
                        _ => problems.at(&place(documents), "", reason),
                    },
                }
            }
            problems.append(found_problems);
        }
    }
    if documents == 0 {
        problems.add(format!("{file}: it is empty"));
    }
}

/// What is wrong with a text that begins as JSON does.
struct NotJson {
    document: usize,
    reason: String,
    /// It ends too early, as YAML as well.
    truncated: bool,
}

/// The documents of a text that begins as JSON does.
fn json_documents(text: &str) -> Option<Result<Vec<&RawValue>, NotJson>> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut documents = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        match document {
            Ok(raw) => documents.push(raw),
            Err(error) => {
                return Some(Err(NotJson {
                    document: documents.len() + 1,
                    reason: format!("it is not JSON: {error}"),
                    truncated: error.is_eof(),
                }));
            }
        }
    }
    Some(Ok(documents))
}

/// The documents of YAML that are not empty, each with the lines before it. A line that begins with
/// `---` separates documents whatever the one before was, as kubectl has it.
fn yaml_documents(text: &str) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    let mut add = |line: usize, from: usize, to: usize| {
        let chunk = text.get(from..to).unwrap_or_default();
        let said = |line: &str| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with(['#', '%'])
        };
        if chunk.lines().any(said) {
            documents.push((line, chunk));
        }
    };
    let (mut begin, mut begin_line, mut at) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let marks = |mark: &str| {
            line.strip_prefix(mark)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        };
        if marks("---") || marks("...") {
            add(begin_line, begin, at);
            // What follows the mark on its line belongs to the document.
            (begin, begin_line) = (at + "---".len(), number);
        }
        at += line.len();
    }
    add(begin_line, begin, text.len());
    documents
}

fn yaml(chunk: &str, lines_before: usize) -> Result<Value, String> {
    let mut budget = serde_saphyr::Budget::default();
    budget.max_events = YAML_EVENTS;
    budget.max_nodes = YAML_EVENTS;
    budget.max_total_scalar_bytes = YAML_EVENTS;
    budget.max_total_comment_bytes = YAML_EVENTS;
    let mut options = serde_saphyr::Options::default();
    options.budget = Some(budget);
    options.with_snippet = false;
    serde_saphyr::from_str_with_options::<Value>(chunk, options)
        .map(|mut value| {
            drop_nulls(&mut value);
            value
        })
        .map_err(|error| {
            let place = error.location().map(|location| {
                let line = usize::try_from(location.line()).unwrap_or(usize::MAX);
                format!(" at line {}", line.saturating_add(lines_before))
            });
            let text = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
            // The parser counts lines from the beginning of the document.
            let text = text.lines().next().unwrap_or_default();
            let reason = text
                .rsplit_once(" at line ")
                .map_or(text, |(reason, _)| reason);
            format!("it is not YAML: {reason}{}", place.unwrap_or_default())
        })
}

/// A field that is null is absent, as it is for the API server.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            for (name, field) in fields {
                if TEXTS.contains(&name.as_str()) {
                    empty_nulls(field);
                } else {
                    drop_nulls(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn empty_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        for (_, field) in fields {
            if field.is_null() {
                *field = Value::String(String::new());
            }
        }
    }
}

/// Tells `found` of the object, or of the items if it is a list.
fn object(
    place: &Place,
    raw: Raw<'_>,
    inherited: &Kind,
    depth: usize,
    problems: &mut Problems,
    found: &mut dyn FnMut(&Place, &Kind, Raw<'_>, &mut Problems),
) {
    if !raw.is_object() {
        problems.at(place, "", "expected an object with apiVersion and kind");
        return;
    }
    let head: Head = match raw.decode() {
        Ok(head) => head,
        Err(error) => {
            problems.at(place, &error.path, error.reason);
            return;
        }
    };
    // The items of a NodeList do not say what they are.
    let kind = Kind {
        api_version: head
            .api_version
            .unwrap_or_else(|| inherited.api_version.clone()),
        kind: head.kind.unwrap_or_else(|| inherited.kind.clone()),
    };
    for (field, value) in [("apiVersion", &kind.api_version), ("kind", &kind.kind)] {
        if value.is_empty() {
            problems.at(place, "", format!("{field} is missing"));
            return;
        }
    }
    let Some(item_kind) = kind.kind.strip_suffix("List") else {
        found(place, &kind, raw, problems);
        return;
    };
    if depth == LIST_DEPTH {
        problems.at(place, "", "too many lists within lists");
        return;
    }
    let inherited = Kind {
        api_version: if item_kind.is_empty() {
            String::new()
        } else {
            kind.api_version.clone()
        },
        kind: item_kind.to_owned(),
    };
    let mut item = |index: usize, raw: Raw<'_>| {
        let place = place.join(&format!("items[{index}]"));
        object(&place, raw, &inherited, depth + 1, problems, found);
    };
    let listed = match raw {
        Raw::Json(raw) => serde_json::from_str(raw.get()).map(|Items { items }| {
            for (index, raw) in items.unwrap_or_default().into_iter().enumerate() {
                item(index, Raw::Json(raw));
            }
        }),
        Raw::Value(value) => match value.get("items") {
            None => Ok(()),
            Some(items) => items.as_array().map_or_else(
                || Err(serde::de::Error::custom("expected a list")),
                |items| {
                    for (index, value) in items.iter().enumerate() {
                        item(index, Raw::Value(value));
                    }
                    Ok(())
                },
            ),
        },
    };
    if let Err(error) = listed {
        problems.at(place, "items", without_position(&error));
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    api_version: Option<String>,
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Items<'a> {
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

// === impl Raw ===

impl Raw<'_> {
    fn is_object(self) -> bool {
        match self {
            Self::Json(raw) => raw.get().starts_with('{'),
            Self::Value(value) => value.is_object(),
        }
    }

    /// The object as a `T`.
    pub(super) fn decode<T: DeserializeOwned>(self) -> Result<T, Undecoded> {
        let decoded = match self {
            Self::Json(raw) => serde_json::from_str(raw.get()),
            Self::Value(value) => T::deserialize(value),
        };
        match (decoded, self) {
            (Ok(decoded), _) => Ok(decoded),
            (Err(_), Self::Value(value)) => explained(value),
            // Nulls are rare in JSON and not looked for unless something is wrong.
            (Err(_), Self::Json(raw)) => match serde_json::from_str(raw.get()) {
                Ok(mut value) => {
                    drop_nulls(&mut value);
                    explained(&value)
                }
                Err(error) => Err(Undecoded {
                    path: String::new(),
                    reason: without_position(&error),
                }),
            },
        }
    }
}

/// Decodes again, slowly, to tell where it fails.
fn explained<T: DeserializeOwned>(value: &Value) -> Result<T, Undecoded> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        Undecoded {
            path: if path == "." { String::new() } else { path },
            reason: without_position(error.inner()),
        }
    })
}

/// The error without its line and column, which would count from the beginning of the item.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let reason = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(reason, _)| reason);
    let mismatch = ["invalid type: ", "invalid value: "]
        .iter()
        .find_map(|begin| reason.strip_prefix(begin)?.split_once(", expected "));
    match mismatch {
        Some((found, expected)) => {
            // Such as the name of a node that is called `on`.
            let scalar = ["integer ", "boolean ", "floating point "];
            let quotes =
                expected == "a string" && scalar.iter().any(|kind| found.starts_with(kind));
            let remedy = if quotes { "; put it in quotes" } else { "" };
            format!("expected {}, not {}{remedy}", plain(expected), plain(found))
        }
        None => reason.to_owned(),
    }
}

/// What the decoder calls a value, in words that do not suppose that one knows Rust.
fn plain(name: &str) -> &str {
    match name {
        "map" => "an object",
        "sequence" | "a sequence" => "a list",
        "a boolean" => "true or false",
        "a string" => "a text",
        "i32" => "an integer of 32 bits",
        "i64" => "an integer of 64 bits",
        "unit value" => "null",
        _ if name.starts_with("struct ") => "an object",
        // The value itself stands behind what it is.
        _ => ["string ", "integer ", "boolean ", "floating point "]
            .iter()
            .find_map(|kind| name.strip_prefix(kind))
            .map_or(name, |value| value.trim_matches('`')),
    }
}
