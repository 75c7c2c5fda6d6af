//! Queries and bodies of requests.

use std::time::Duration;

use serde_json::Value;

use super::path::Target;
use crate::simulator::list::ListOptions;
use crate::simulator::request::{DeleteOptions, Request, Verb};
use crate::simulator::status::Status;
use crate::simulator::value;
use crate::simulator::watch::WatchOptions;

/// The parameters of a query.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(key), decode(value))
                })
                .collect(),
        )
    }

    pub(super) fn get(&self, key: &str) -> &str {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map_or("", |(_, value)| value)
    }

    /// As Kubernetes reads booleans: a parameter without a value counts.
    pub(super) fn is_true(&self, key: &str) -> bool {
        let present = self.0.iter().any(|(name, _)| name == key);
        present && !matches!(self.get(key), "false" | "0")
    }

    pub(super) fn request(
        &self,
        verb: Verb,
        target: Target,
        body: &[u8],
        content_type: &str,
    ) -> Result<Request, Status> {
        let deletes = matches!(verb, Verb::Delete | Verb::DeleteCollection);
        if !deletes && content_type.contains("protobuf") {
            return Err(Status::unsupported_media_type());
        }
        if !self.get("dryRun").is_empty() {
            return Err(Status::bad_request("dryRun is not possible on this server"));
        }
        let body = match verb {
            Verb::Get | Verb::List => Value::Null,
            _ if deletes && body.is_empty() => Value::Null,
            _ => serde_json::from_slice(body).map_err(|error| match verb {
                Verb::Patch(_) => Status::bad_request("invalid JSON patch"),
                _ => Status::bad_request(format!(
                    "the object provided is unrecognized (must be of type {}): couldn't get \
                     version/kind; json parse error: {error}",
                    target.kind.kind
                )),
            })?,
        };
        let delete = DeleteOptions {
            grace: match self.get("gracePeriodSeconds") {
                "" => value::at(&body, &["gracePeriodSeconds"]).and_then(Value::as_u64),
                seconds => Some(number(seconds)?),
            },
            uid: given(value::text(&body, &["preconditions", "uid"])),
            version: given(value::text(&body, &["preconditions", "resourceVersion"])),
        };
        Ok(Request {
            verb,
            kind: target.kind,
            part: target.part,
            namespace: target.namespace,
            name: target.name,
            list: self.list()?,
            delete,
            body,
        })
    }

    fn list(&self) -> Result<ListOptions, Status> {
        if !self.get("sendInitialEvents").is_empty() {
            return Err(Status::invalid_options(
                &crate::simulator::status::Field::forbidden(
                    "sendInitialEvents",
                    "sendInitialEvents is forbidden for list",
                ),
            ));
        }
        Ok(ListOptions {
            labels: self.get("labelSelector").to_owned(),
            fields: self.get("fieldSelector").to_owned(),
            version: self.get("resourceVersion").to_owned(),
            version_match: self.get("resourceVersionMatch").to_owned(),
            limit: match self.get("limit") {
                "" => 0,
                limit => usize::try_from(number(limit)?).unwrap_or(usize::MAX),
            },
            continue_token: self.get("continue").to_owned(),
        })
    }

    pub(super) fn watch(&self) -> Result<WatchOptions, Status> {
        let initial = "sendInitialEvents";
        Ok(WatchOptions {
            labels: self.get("labelSelector").to_owned(),
            fields: self.get("fieldSelector").to_owned(),
            version: self.get("resourceVersion").to_owned(),
            version_match: self.get("resourceVersionMatch").to_owned(),
            send_initial_events: (!self.get(initial).is_empty()).then(|| self.is_true(initial)),
            bookmarks: self.is_true("allowWatchBookmarks"),
            timeout: match self.get("timeoutSeconds") {
                "" | "0" => None,
                seconds => Some(Duration::from_secs(number(seconds)?)),
            },
        })
    }
}

fn number(text: &str) -> Result<u64, Status> {
    text.parse().map_err(|_| {
        Status::bad_request(format!(
            "strconv.ParseInt: parsing \"{text}\": invalid syntax"
        ))
    })
}

fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Takes percent signs and plus signs out.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let decoded = high.zip(low).map(|(high, low)| high * 16 + low);
                bytes.extend(decoded.and_then(|byte| u8::try_from(byte).ok()));
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
