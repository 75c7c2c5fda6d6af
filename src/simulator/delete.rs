//! Deletions: with grace for pods that run, and not before the last finalizer is gone.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::admission::IMMORTAL;
use super::api_server::ApiServer;
use super::kinds::{KINDS, Kind};
use super::request::{Body, DeleteOptions, Reply, Request};
use super::status::Status;
use super::store::{Key, Object};
use super::value;

impl ApiServer {
    pub(super) fn delete(&mut self, request: &Request) -> Result<Reply, Status> {
        let kind = request.kind;
        let key = self.key(request);
        let object = Arc::clone(self.existing(kind, &key)?);
        check_preconditions(kind, &object, &request.delete)?;
        if kind.is_namespace() {
            return self.delete_namespace(kind, &key, &object);
        }
        let (object, gone) = self.delete_object(kind, &object, request.delete.grace);
        // Pods are shown as they were left; of others it is only said that they are gone.
        let body = if kind.is_pod() || !gone {
            Body::Object(object)
        } else {
            let mut details = json!({
                "name": object.name(), "kind": kind.plural, "uid": object.uid(),
            });
            if !kind.group.is_empty() {
                details["group"] = json!(kind.group);
            }
            Body::Value(json!({
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "details": details,
            }))
        };
        Ok(Reply { code: 200, body })
    }

    pub(super) fn delete_collection(&mut self, request: &Request) -> Result<Reply, Status> {
        let list = self.list(request.kind, &request.namespace, &request.list, 0)?;
        for object in &list.items {
            self.delete_object(request.kind, object, request.delete.grace);
        }
        Ok(Reply {
            code: 200,
            body: Body::List(list),
        })
    }

    /// The object as it is left, and whether it is gone.
    fn delete_object(
        &mut self,
        kind: &Kind,
        object: &Arc<Object>,
        grace: Option<u64>,
    ) -> (Arc<Object>, bool) {
        let old = object.value();
        let grace = grace_of(kind, old, grace);
        let deleting = value::at(old, &["metadata", "deletionGracePeriodSeconds"]);
        let held = deleting.and_then(Value::as_u64);
        let finalized = !value::list(old, &["metadata", "finalizers"]).is_empty();
        if held.is_some_and(|held| grace > held || (grace == held && (grace > 0 || finalized))) {
            return (Arc::clone(object), false);
        }
        let ends = self.now() + Duration::from_secs(grace);
        let mut marked = old.clone();
        let metadata = value::object(&mut marked, "metadata");
        metadata.insert("deletionTimestamp".to_owned(), json!(self.timestamp(ends)));
        metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(grace));
        if held.is_none()
            && let Some(generation) = metadata.get("generation").and_then(Value::as_u64)
        {
            metadata.insert("generation".to_owned(), json!(generation + 1));
        }
        if grace == 0 && !finalized {
            self.remove(kind, &object.key());
            return (Arc::new(Object::new(marked, self.version())), true);
        }
        let object = self.put(kind, marked);
        if grace > 0 {
            self.end_later(ends, object.key());
        }
        (object, false)
    }

    /// What the kubelet does when a pod has ended.
    pub(super) fn end_pod(&mut self, key: &Key) {
        let Some(kind) = KINDS.iter().find(|kind| kind.is_pod()) else {
            return;
        };
        let Some(pod) = self.table(kind).get(key).cloned() else {
            return;
        };
        // Another pod may have come under the name, or the grace have been cut.
        let ends = value::text(pod.value(), &["metadata", "deletionTimestamp"]);
        if ends.is_empty() || *ends > *self.timestamp(self.now()) {
            return;
        }
        self.delete_object(kind, &pod, Some(0));
    }

    /// Nobody else empties namespaces here, so that is done at once.
    fn delete_namespace(
        &mut self,
        kind: &Kind,
        key: &Key,
        object: &Arc<Object>,
    ) -> Result<Reply, Status> {
        let name = object.name();
        if IMMORTAL.contains(&name) {
            let why = "this namespace may not be deleted";
            return Err(Status::forbidden(kind, name, why));
        }
        for kind in KINDS
            .iter()
            .filter(|kind| kind.namespaced && !kind.is_view())
        {
            let keys = self.table(kind).objects().keys();
            let inside: Vec<_> = keys.filter(|key| key.0 == name).cloned().collect();
            for key in inside {
                self.remove(kind, &key);
            }
        }
        let mut marked = object.value().clone();
        let now = self.timestamp(self.now());
        value::object(&mut marked, "metadata").insert("deletionTimestamp".to_owned(), json!(now));
        value::object(&mut marked, "status").insert("phase".to_owned(), json!("Terminating"));
        let marked = self.put(kind, marked);
        self.remove(kind, key);
        Ok(Reply {
            code: 200,
            body: Body::Object(marked),
        })
    }
}

/// How long an object may take to end: only pods that were placed and have not finished may.
fn grace_of(kind: &Kind, object: &Value, asked: Option<u64>) -> u64 {
    let phase = value::text(object, &["status", "phase"]);
    let placed = !value::text(object, &["spec", "nodeName"]).is_empty();
    if !kind.is_pod() || !placed || matches!(phase, "Succeeded" | "Failed") {
        return 0;
    }
    let own = value::at(object, &["spec", "terminationGracePeriodSeconds"]);
    asked.or(own.and_then(Value::as_u64)).unwrap_or(30)
}

fn check_preconditions(
    kind: &Kind,
    object: &Object,
    options: &DeleteOptions,
) -> Result<(), Status> {
    let name = object.name();
    let refused = |why: String| {
        let details = json!({ "name": name, "kind": kind.kind });
        Err(Status::conflict_of(kind.kind, name, &why, details))
    };
    if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != object.uid()) {
        return refused(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object \
             might have been deleted and then recreated",
            object.uid()
        ));
    }
    let version = object.version().to_string();
    if let Some(wanted) = options
        .version
        .as_deref()
        .filter(|wanted| *wanted != version)
    {
        return refused(format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the \
             ResourceVersion in record ({version}). The object might have been modified"
        ));
    }
    Ok(())
}

/// Whether an object waited only for its finalizers, and they are gone.
pub(super) fn has_ended(object: &Value) -> bool {
    let grace = value::at(object, &["metadata", "deletionGracePeriodSeconds"]);
    grace.and_then(Value::as_u64) == Some(0)
        && value::list(object, &["metadata", "finalizers"]).is_empty()
}
