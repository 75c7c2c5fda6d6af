//! Reads values with their path, and collects what is wrong with them instead of giving up at the
//! first.

use std::cell::RefCell;
use std::fmt::Display;

use serde_json::{Map, Value};

use super::duration;

/// What is wrong, each with its path, in the order in which it was found.
#[derive(Debug, Default)]
pub(super) struct Problems(RefCell<Vec<String>>);

impl Problems {
    /// Notes one.
    pub(super) fn add(&self, path: &str, text: impl Display) {
        let mut all = self.0.borrow_mut();
        if path.is_empty() {
            all.push(text.to_string());
        } else {
            all.push(format!("{path}: {text}"));
        }
    }

    /// A value that is not allowed; it is shown as JSON.
    pub(super) fn invalid(&self, path: &str, value: impl Into<Value>, why: &str) {
        let value = value.into();
        self.add(path, format_args!("Invalid value: {value}: {why}"));
    }

    /// A value that is missing.
    pub(super) fn required(&self, path: &str, why: &str) {
        if why.is_empty() {
            self.add(path, "Required value");
        } else {
            self.add(path, format_args!("Required value: {why}"));
        }
    }

    /// A value that occurs twice.
    pub(super) fn duplicate(&self, path: &str, value: &str) {
        self.add(path, format_args!("Duplicate value: {value:?}"));
    }

    /// A value that may not be there.
    pub(super) fn forbidden(&self, path: &str, why: &str) {
        self.add(path, format_args!("Forbidden: {why}"));
    }

    /// A word that is none of the known ones.
    pub(super) fn unsupported(&self, path: &str, value: &str, known: &[&str]) {
        let known: Vec<_> = known.iter().map(|one| format!("{one:?}")).collect();
        let known = known.join(", ");
        let text = format_args!("Unsupported value: {value:?}: supported values: {known}");
        self.add(path, text);
    }

    /// All of them.
    pub(super) fn into_vec(self) -> Vec<String> {
        self.0.into_inner()
    }
}

/// A value, and where it stands.
pub(super) struct Reader<'a> {
    pub(super) path: String,
    value: &'a Value,
    pub(super) problems: &'a Problems,
}

impl<'a> Reader<'a> {
    /// The whole document.
    pub(super) fn root(value: &'a Value, problems: &'a Problems) -> Self {
        Self {
            path: String::new(),
            value,
            problems,
        }
    }

    /// The value as it was written.
    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    fn expected<T>(&self, what: &str) -> Option<T> {
        let found = match self.value {
            Value::Object(_) => "a mapping".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            other => other.to_string(),
        };
        let text = format_args!("must be {what}, not {found}");
        self.problems.add(&self.path, text);
        None
    }

    /// The fields of a mapping. Whoever has read them calls [`Fields::finish`].
    pub(super) fn fields(self) -> Option<Fields<'a>> {
        match self.value {
            Value::Object(map) => Some(Fields {
                path: self.path,
                map,
                known: Vec::new(),
                problems: self.problems,
            }),
            _ => self.expected("a mapping"),
        }
    }

    /// The entries of a list.
    pub(super) fn list(self) -> Vec<Self> {
        let Value::Array(entries) = self.value else {
            self.expected::<()>("a list");
            return Vec::new();
        };
        (entries.iter().enumerate())
            .map(|(place, value)| Self {
                path: format!("{}[{place}]", self.path),
                value,
                problems: self.problems,
            })
            .collect()
    }

    /// A string.
    pub(super) fn text(&self) -> Option<String> {
        match self.value {
            Value::String(text) => Some(text.clone()),
            _ => self.expected("a string"),
        }
    }

    /// A list of strings.
    pub(super) fn texts(self) -> Vec<String> {
        let entries = self.list();
        entries.iter().filter_map(Reader::text).collect()
    }

    /// A boolean.
    pub(super) fn boolean(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(*value),
            _ => self.expected("true or false"),
        }
    }

    /// An integer of 64 bits.
    pub(super) fn long(&self) -> Option<i64> {
        let integer = self.value.as_i64();
        integer.or_else(|| self.expected("an integer"))
    }

    /// An integer of 32 bits.
    pub(super) fn integer(&self) -> Option<i32> {
        let integer = self.value.as_i64().and_then(|value| value.try_into().ok());
        integer.or_else(|| self.expected("an integer of 32 bits"))
    }

    /// A number.
    pub(super) fn number(&self) -> Option<f64> {
        self.value.as_f64().or_else(|| self.expected("a number"))
    }

    /// A duration, in nanoseconds.
    pub(super) fn duration(&self) -> Option<i64> {
        let read = self.value.as_str().and_then(duration::parse);
        read.or_else(|| self.expected("a duration such as 15s or 1m30s"))
    }
}

/// The fields of a mapping.
pub(super) struct Fields<'a> {
    pub(super) path: String,
    map: &'a Map<String, Value>,
    known: Vec<&'static str>,
    pub(super) problems: &'a Problems,
}

impl<'a> Fields<'a> {
    /// Where the field of that name stands.
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// The field, if it is there and not null.
    pub(super) fn get(&mut self, name: &'static str) -> Option<Reader<'a>> {
        self.known.push(name);
        let value = self.map.get(name).filter(|value| !value.is_null())?;
        Some(Reader {
            path: self.path_of(name),
            value,
            problems: self.problems,
        })
    }

    /// A list of what `read` makes of its entries.
    pub(super) fn each<T>(
        &mut self,
        name: &'static str,
        read: impl FnMut(Reader<'a>) -> Option<T>,
    ) -> Vec<T> {
        let entries = self.get(name).map(Reader::list).unwrap_or_default();
        entries.into_iter().filter_map(read).collect()
    }

    /// A string; the empty one counts as missing, as with kube-scheduler.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        let text = self.get(name)?.text()?;
        (!text.is_empty()).then_some(text)
    }

    /// A list of strings.
    pub(super) fn texts(&mut self, name: &'static str) -> Vec<String> {
        self.get(name).map(Reader::texts).unwrap_or_default()
    }

    /// Complains about fields that nobody has asked for.
    pub(super) fn finish(self) {
        for name in self.map.keys() {
            if !self.known.contains(&name.as_str()) {
                let path = self.path_of(name);
                let similar = (self.known.iter()).find(|known| known.eq_ignore_ascii_case(name));
                match similar {
                    Some(known) => {
                        let text = format_args!("unknown field {name:?}; it is written {known:?}");
                        self.problems.add(&path, text);
                    }
                    None => self
                        .problems
                        .add(&path, format_args!("unknown field {name:?}")),
                }
            }
        }
    }
}
