//! What was asked of the API server, from its audit log.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::roles::Right;

/// An audit policy that writes down every request of one user, and nothing else.
pub fn policy(user: &str) -> String {
    // A watch is answered when it begins, and complete only when it ends.
    serde_json::json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata", "users": [user]}, {"level": "None"}],
    })
    .to_string()
}

/// A request.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// The right that it takes; of a page that is no resource, its path.
    pub right: Right,
    /// Whether the right was missing.
    pub denied: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

/// Reads the log, to which nobody may be writing any more.
pub fn read(path: &Path) -> Result<Vec<Asked>> {
    let text = std::fs::read_to_string(path)?;
    let event = |line: &str| {
        let event: Event = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let decision = event.annotations.get("authorization.k8s.io/decision");
        let some = |text: String| (!text.is_empty()).then_some(text);
        let object = event.object_ref;
        let resource = match (object.resource.as_str(), object.subresource.as_str()) {
            ("", _) => event.request_uri,
            (resource, "") => resource.to_owned(),
            (resource, subresource) => format!("{resource}/{subresource}"),
        };
        Ok(Asked {
            right: Right {
                group: object.api_group,
                resource,
                verb: event.verb,
                namespace: some(object.namespace),
                name: some(object.name),
            },
            denied: decision.is_none_or(|decision| decision != "allow"),
        })
    };
    text.lines().map(event).collect()
}
