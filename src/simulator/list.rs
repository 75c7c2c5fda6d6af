//! Lists: of the newest state, of an exact one, and in pages.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Bound;
use std::sync::Arc;

use super::api_server::ApiServer;
use super::kinds::Kind;
use super::selector::Selector;
use super::status::{Field, Status};
use super::store::{Key, Object};

/// What is asked of a list, as its query has it; empty for what is not asked.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// The label selector.
    pub labels: String,
    /// The field selector.
    pub fields: String,
    /// The resource version.
    pub version: String,
    /// `Exact` or `NotOlderThan`.
    pub version_match: String,
    /// How many at most; 0 for all.
    pub limit: usize,
    /// Where the last page ended.
    pub continue_token: String,
}

/// A list of objects.
#[derive(Clone, Debug)]
pub struct List {
    kind: &'static Kind,
    /// The objects, by namespace and name.
    pub items: Vec<Arc<Object>>,
    /// The version of the state that it shows.
    pub version: u64,
    /// Where the next page begins, if there is one.
    pub continue_token: Option<String>,
    /// How many objects are on further pages, when that is known.
    pub remaining: Option<usize>,
}

impl List {
    /// The JSON text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(128 + self.items.len() * 1024);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            r#"{{"kind":"{}List","apiVersion":"{}","metadata":{{"resourceVersion":"{}""#,
            self.kind.kind,
            self.kind.api_version(),
            self.version
        );
        if let Some(token) = &self.continue_token {
            let _ = write!(text, r#","continue":"{token}""#);
        }
        if let Some(remaining) = self.remaining {
            let _ = write!(text, r#","remainingItemCount":{remaining}"#);
        }
        text.push_str(r#"},"items":["#);
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(&item.text(self.kind));
        }
        text.push_str("]}");
        text
    }
}

impl ApiServer {
    pub(super) fn list(
        &self,
        kind: &'static Kind,
        namespace: &str,
        options: &ListOptions,
        stale: u64,
    ) -> Result<List, Status> {
        check(options)?;
        let selector = Selector::parse(kind, &options.labels, &options.fields)?;
        let table = self.table(kind);
        let asked = parse_version(&options.version).map_err(|why| {
            Status::bad_request(format!("invalid resource version: resourceVersion: {why}"))
        })?;
        if asked > self.version() {
            return Err(Status::too_large_version(asked, self.version()));
        }
        let exact = options.version_match == "Exact";
        let (version, after) = if !options.continue_token.is_empty() {
            let (version, key) = parse_token(&options.continue_token).ok_or_else(|| {
                Status::bad_request("invalid continue token: continue key is not valid")
            })?;
            (version, Some(key))
        } else if exact {
            (asked, None)
        } else {
            let old = self.version().saturating_sub(stale);
            (old.max(table.compacted()).max(asked), None)
        };
        let then;
        let objects: &BTreeMap<Key, Arc<Object>> = if version == self.version() {
            table.objects()
        } else {
            let expired = || {
                Status::expired(if after.is_some() {
                    "The provided continue parameter is too old to display a consistent list \
                     result. You can start a new list without the continue parameter, or use the \
                     continue token in this response to retrieve the remainder of the results. \
                     Continuing with the provided token results in an inconsistent list - objects \
                     that were created, modified, or deleted between the time the first chunk was \
                     returned and now may show up in the list."
                } else {
                    "The resourceVersion for the provided list is too old."
                })
            };
            then = table.state_at(version).ok_or_else(expired)?;
            &then
        };
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut matching = objects
            .range((begin, Bound::Unbounded))
            .map(|(_, object)| object)
            .filter(|object| namespace.is_empty() || object.namespace() == namespace)
            .filter(|object| selector.matches(object.value()));
        let limit = match options.limit {
            0 => usize::MAX,
            limit => limit,
        };
        let items: Vec<_> = matching.by_ref().take(limit).cloned().collect();
        let left = matching.count();
        let last = items.last().filter(|_| left > 0);
        Ok(List {
            kind,
            version,
            continue_token: last
                .map(|object| format!("{version}.{}.{}", object.namespace(), object.name())),
            remaining: (left > 0 && selector.is_empty()).then_some(left),
            items,
        })
    }
}

/// What does not go together.
fn check(options: &ListOptions) -> Result<(), Status> {
    const PATH: &str = "resourceVersionMatch";
    let wrong = match (&*options.version_match, &*options.version) {
        ("", _) => return Ok(()),
        (_, "") => Field::forbidden(
            PATH,
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        _ if !options.continue_token.is_empty() => Field::forbidden(
            PATH,
            "resourceVersionMatch is forbidden when continue is provided",
        ),
        ("Exact", "0") => Field::forbidden(
            PATH,
            "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        ),
        ("Exact" | "NotOlderThan", _) => return Ok(()),
        (other, _) => Field::not_supported(PATH, other, "\"Exact\", \"NotOlderThan\", \"\""),
    };
    Err(Status::invalid_options(&wrong))
}

/// A version as it is written; empty stands for the newest and is 0, as any is.
pub(super) fn parse_version(text: &str) -> Result<u64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| {
        format!("Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": invalid syntax")
    })
}

fn parse_token(token: &str) -> Option<(u64, Key)> {
    let (version, rest) = token.split_once('.')?;
    let (namespace, name) = rest.split_once('.')?;
    Some((
        version.parse().ok()?,
        (namespace.to_owned(), name.to_owned()),
    ))
}
