//! Errors in the words of Kubernetes (`k8s.io/apimachinery/pkg/api/errors`).

use serde_json::{Value, json};

use super::kinds::Kind;

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The HTTP status.
    pub code: u16,
    /// The word that programs look at; empty for errors that have none.
    pub reason: &'static str,
    /// The text.
    pub message: String,
    /// What it is about.
    pub details: Option<Value>,
    /// How long to wait before the next attempt, in seconds.
    pub retry_after: Option<u64>,
}

impl Status {
    pub(super) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
            retry_after: None,
        }
    }

    fn about(mut self, kind: &Kind, name: &str) -> Self {
        self.details = Some(details(kind, name));
        self
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// An error without a reason, which Kubernetes makes of errors that it has no type for.
    pub(super) fn unknown(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    pub(super) fn not_found(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", kind.resource());
        Self::new(404, "NotFound", message).about(kind, name)
    }

    pub(super) fn already_exists(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", kind.resource());
        Self::new(409, "AlreadyExists", message).about(kind, name)
    }

    pub(super) fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {why}", kind.resource());
        Self::new(403, "Forbidden", message).about(kind, name)
    }

    pub(super) fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        Self::conflict_of(&kind.resource(), name, why, details(kind, name))
    }

    pub(super) fn conflict_of(what: &str, name: &str, why: &str, details: Value) -> Self {
        let message = format!("Operation cannot be fulfilled on {what} \"{name}\": {why}");
        let mut status = Self::new(409, "Conflict", message);
        status.details = Some(details);
        status
    }

    pub(super) fn modified(kind: &Kind, name: &str) -> Self {
        Self::conflict(
            kind,
            name,
            "the object has been modified; please apply your changes to the latest version and \
             try again",
        )
    }

    /// One field of an object is wrong.
    pub(super) fn invalid(kind: &Kind, name: &str, field: &Field) -> Self {
        // The core's kinds go by their kind here, other groups' by group and resource or kind.
        let qualified = match (kind.group, kind.versioned_updates) {
            ("", _) => kind.kind.to_owned(),
            (_, true) => kind.resource(),
            (group, false) => format!("{}.{group}", kind.kind),
        };
        let mut details = if kind.group.is_empty() {
            json!({ "kind": kind.kind })
        } else if kind.versioned_updates {
            json!({ "group": kind.group, "kind": kind.plural })
        } else {
            json!({ "group": kind.group, "kind": kind.kind })
        };
        if !name.is_empty() {
            details["name"] = json!(name);
        }
        Self::invalid_of(&qualified, name, details, field)
    }

    /// What is asked of a list or watch does not go together.
    pub(super) fn invalid_options(field: &Field) -> Self {
        let details = json!({ "group": "meta.k8s.io", "kind": "ListOptions" });
        Self::invalid_of("ListOptions.meta.k8s.io", "", details, field)
    }

    fn invalid_of(what: &str, name: &str, mut details: Value, field: &Field) -> Self {
        let Field {
            path,
            reason,
            message,
        } = field;
        let text = format!("{what} \"{name}\" is invalid: {path}: {message}");
        details["causes"] = json!([{ "field": path, "message": message, "reason": reason }]);
        let mut status = Self::new(422, "Invalid", text);
        status.details = Some(details);
        status
    }

    /// What was asked for is older than what is remembered.
    pub(super) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    pub(super) fn no_such_resource() -> Self {
        let text = "the server could not find the requested resource";
        let mut status = Self::new(404, "NotFound", text);
        status.details = Some(json!({}));
        status
    }

    pub(super) fn method_not_allowed() -> Self {
        let text = "the server does not allow this method on the requested resource";
        let mut status = Self::new(405, "MethodNotAllowed", text);
        status.details = Some(json!({}));
        status
    }

    pub(super) fn unsupported_media_type() -> Self {
        let text = "415: Unsupported Media Type";
        let mut status = Self::new(415, "UnsupportedMediaType", text);
        status.details = Some(json!({}));
        status
    }

    /// A custom resource knows no strategic merge.
    pub(super) fn no_such_patch() -> Self {
        let text = "the body of the request was in an unknown format - accepted media types \
                    include: application/json-patch+json, application/merge-patch+json, \
                    application/apply-patch+yaml";
        Self::new(415, "UnsupportedMediaType", text)
    }

    /// The version lies in the future.
    pub(super) fn too_large_version(asked: u64, current: u64) -> Self {
        let text = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let mut status = Self::new(504, "Timeout", text);
        status.details = Some(json!({
            "causes": [{
                "message": "Too large resource version",
                "reason": "ResourceVersionTooLarge",
            }],
            "retryAfterSeconds": 1,
        }));
        status.retry_after = Some(1);
        status
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            body["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            body["details"] = details.clone();
        }
        body
    }
}

/// What is wrong with a field.
#[derive(Debug)]
pub(super) struct Field {
    path: &'static str,
    reason: &'static str,
    message: String,
}

impl Field {
    pub(super) fn required(path: &'static str, why: &str) -> Self {
        let message = if why.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {why}")
        };
        let reason = "FieldValueRequired";
        Self {
            path,
            reason,
            message,
        }
    }

    pub(super) fn invalid(path: &'static str, value: &Value, why: &str) -> Self {
        Self {
            path,
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {value}: {why}"),
        }
    }

    pub(super) fn forbidden(path: &'static str, why: &str) -> Self {
        Self {
            path,
            reason: "FieldValueForbidden",
            message: format!("Forbidden: {why}"),
        }
    }

    pub(super) fn not_supported(path: &'static str, value: &str, supported: &str) -> Self {
        Self {
            path,
            reason: "FieldValueNotSupported",
            message: format!("Unsupported value: \"{value}\": supported values: {supported}"),
        }
    }
}

/// What an error is about.
fn details(kind: &Kind, name: &str) -> Value {
    let mut details = json!({ "name": name, "kind": kind.plural });
    if kind.resource() != kind.plural {
        details["group"] = json!(kind.group);
    }
    details
}
