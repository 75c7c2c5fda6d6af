//! Making and changing objects: create, update, patch, and the binding of pods.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::admission::complete_all_resources;
use super::api_server::ApiServer;
use super::kinds::{Kind, find};
use super::request::{Body, Part, PatchType, Reply, Request};
use super::status::{Field, Status};
use super::store::Object;
use super::{delete, patch, value, views};

/// What only the server writes.
const OWNED: &[&str] = &[
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "name",
    "namespace",
    "uid",
];

/// How often a name is drawn before giving up.
const NAME_ATTEMPTS: u32 = 8;

impl ApiServer {
    pub(super) fn create(&mut self, request: &Request) -> Result<Arc<Object>, Status> {
        let kind = request.kind;
        let mut object = views::kept(kind, request.body.clone());
        check_kind(kind, &request.body)?;
        let namespace = value::text(&object, &["metadata", "namespace"]);
        if namespace != request.namespace && !(namespace.is_empty() && kind.namespaced) {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the \
                 request",
            ));
        }
        let version = value::text(&object, &["metadata", "resourceVersion"]);
        if !matches!(version, "" | "0") {
            return Err(Status::unknown(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        if kind.namespaced
            && let Some(namespaces) = find("", "v1", "namespaces")
        {
            self.existing(namespaces, &(String::new(), request.namespace.clone()))?;
        }
        let name = self.new_name(request, &object)?;
        let (uid, created) = (self.uid(), self.timestamp(self.now()));
        let metadata = value::object(&mut object, "metadata");
        for key in OWNED.iter().chain(&["managedFields", "resourceVersion"]) {
            metadata.remove(*key);
        }
        metadata.insert("name".to_owned(), json!(name));
        if kind.namespaced {
            metadata.insert("namespace".to_owned(), json!(request.namespace));
        }
        metadata.insert("uid".to_owned(), json!(uid));
        metadata.insert("creationTimestamp".to_owned(), json!(created));
        if kind.generation {
            metadata.insert("generation".to_owned(), json!(1));
        }
        self.admit(kind, &mut object)?;
        if self
            .table(kind)
            .get(&(request.namespace.clone(), name.clone()))
            .is_some()
        {
            return Err(Status::already_exists(kind, &name));
        }
        let map = value::as_object(&mut object);
        if !kind.is_view() {
            map.insert("apiVersion".to_owned(), json!(kind.api_version()));
        }
        map.insert("kind".to_owned(), json!(kind.kind));
        Ok(self.put(kind, object))
    }

    /// The name that a new object has or gets.
    fn new_name(&mut self, request: &Request, object: &Value) -> Result<String, Status> {
        let kind = request.kind;
        let name = value::text(object, &["metadata", "name"]).to_owned();
        let base = value::text(object, &["metadata", "generateName"]).to_owned();
        if !name.is_empty() {
            check_name(kind, &name)?;
            return Ok(name);
        }
        if base.is_empty() {
            let field = Field::required("metadata.name", "name or generateName is required");
            return Err(Status::invalid(kind, "", &field));
        }
        let mut name = String::new();
        for _ in 0..NAME_ATTEMPTS {
            name = format!("{base}{}", self.name_suffix());
            let key = (request.namespace.clone(), name.clone());
            if self.table(kind).get(&key).is_none() {
                break;
            }
        }
        check_name(kind, &name)?;
        Ok(name)
    }

    pub(super) fn update(&mut self, request: &Request) -> Result<Arc<Object>, Status> {
        let kind = request.kind;
        check_kind(kind, &request.body)?;
        let sent = views::kept(kind, request.body.clone());
        check_names(request, &sent)?;
        let existing = Arc::clone(self.existing(kind, &self.key(request))?);
        let uid = value::text(&sent, &["metadata", "uid"]);
        if !uid.is_empty() && uid != existing.uid() {
            let why = precondition(kind, &existing, "UID", uid, existing.uid());
            return Err(Status::conflict(kind, &request.name, &why));
        }
        if kind.versioned_updates && version_of(&sent).is_empty() {
            let why = "must be specified for an update";
            let field = Field::invalid("metadata.resourceVersion", &json!(0), why);
            return Err(Status::invalid(kind, &request.name, &field));
        }
        self.replace(request, &existing, sent)
    }

    pub(super) fn patch(
        &mut self,
        request: &Request,
        how: PatchType,
    ) -> Result<Arc<Object>, Status> {
        let kind = request.kind;
        if kind.custom && how == PatchType::Strategic {
            return Err(Status::no_such_patch());
        }
        if !request.body.is_object() {
            return Err(Status::bad_request("invalid JSON patch"));
        }
        let existing = Arc::clone(self.existing(kind, &self.key(request))?);
        let mut shown = views::shown(kind, existing.value());
        patch::apply(how, &mut shown, &request.body);
        let changed = views::kept(kind, shown);
        check_names(request, &changed)?;
        let uid = value::text(&changed, &["metadata", "uid"]);
        if !uid.is_empty() && uid != existing.uid() {
            let field = Field::invalid("metadata.uid", &json!(uid), "field is immutable");
            return Err(Status::invalid(kind, &request.name, &field));
        }
        self.replace(request, &existing, changed)
    }

    /// Puts a changed object in place of the one it was made from.
    fn replace(
        &mut self,
        request: &Request,
        existing: &Arc<Object>,
        mut changed: Value,
    ) -> Result<Arc<Object>, Status> {
        let kind = request.kind;
        let version = version_of(&changed);
        if !matches!(version, "" | "0") && version != existing.version().to_string() {
            return Err(Status::modified(kind, &request.name));
        }
        let old = existing.value();
        match request.part {
            Part::Whole if kind.status => value::copy(&mut changed, old, "status"),
            Part::Whole => {}
            Part::Status | Part::Binding => {
                let status = changed.get("status").cloned();
                let metadata = changed.get("metadata").cloned();
                changed = old.clone();
                let map = value::as_object(&mut changed);
                map.extend(metadata.map(|metadata| ("metadata".to_owned(), metadata)));
                map.extend(status.map(|status| ("status".to_owned(), status)));
            }
        }
        for key in ["apiVersion", "kind"] {
            value::copy(&mut changed, old, key);
        }
        let old_metadata = old.get("metadata").unwrap_or(&Value::Null);
        if let Some(metadata) = value::as_object(&mut changed).get_mut("metadata") {
            for key in OWNED.iter().chain(&["managedFields", "resourceVersion"]) {
                value::copy(metadata, old_metadata, key);
            }
            drop_empty(value::as_object(metadata));
        }
        if kind.is_pod() && request.part == Part::Whole {
            check_pod_update(kind, &request.name, old, &mut changed)?;
        }
        if changed == *old {
            return Ok(Arc::clone(existing));
        }
        if kind.generation && without_generation(old) != without_generation(&changed) {
            let generation = value::at(old, &["metadata", "generation"]).and_then(Value::as_u64);
            value::object(&mut changed, "metadata").insert(
                "generation".to_owned(),
                json!(generation.unwrap_or_default() + 1),
            );
        }
        if delete::has_ended(&changed) {
            self.remove(kind, &existing.key());
            return Ok(Arc::new(Object::new(changed, self.version())));
        }
        Ok(self.put(kind, changed))
    }

    /// Source: `pkg/registry/core/pod/storage/storage.go`, `BindingREST`.
    pub(super) fn bind(&mut self, request: &Request) -> Result<Reply, Status> {
        let kind = request.kind;
        let binding = &request.body;
        let name = value::text(binding, &["metadata", "name"]);
        if !request.name.is_empty() && name != request.name {
            return Err(Status::bad_request(
                "name in URL does not match name in Binding object",
            ));
        }
        let target_kind = value::text(binding, &["target", "kind"]);
        if !matches!(target_kind, "" | "Node") {
            return Err(Status::unknown(format!(
                "target.kind: Unsupported value: \"{target_kind}\": supported values: \"Node\", \
                 \"<empty>\""
            )));
        }
        let node = value::text(binding, &["target", "name"]);
        if node.is_empty() {
            return Err(Status::unknown("target.name: Required value"));
        }
        let key = (request.namespace.clone(), name.to_owned());
        let pod = Arc::clone(self.existing(kind, &key)?);
        let version = pod.version().to_string();
        for (what, wanted, found) in [
            ("UID", value::text(binding, &["metadata", "uid"]), pod.uid()),
            ("ResourceVersion", version_of(binding), &version),
        ] {
            if !wanted.is_empty() && wanted != found {
                let why = precondition(kind, &pod, what, wanted, found);
                return Err(Status::conflict(kind, name, &why));
            }
        }
        let refused = |why: String| {
            let details = json!({ "name": name, "kind": "pods/binding" });
            Err(Status::conflict_of("pods/binding", name, &why, details))
        };
        let held = value::text(pod.value(), &["spec", "nodeName"]);
        if !value::text(pod.value(), &["metadata", "deletionTimestamp"]).is_empty() {
            return refused(format!(
                "pod {name} is being deleted, cannot be assigned to a host"
            ));
        }
        if !held.is_empty() {
            return refused(format!("pod {name} is already assigned to node \"{held}\""));
        }
        if !value::list(pod.value(), &["spec", "schedulingGates"]).is_empty() {
            return refused(format!("pod {name} has non-empty .spec.schedulingGates"));
        }
        let mut bound = pod.value().clone();
        for kept in ["annotations", "labels"] {
            if let Some(Value::Object(added)) = value::at(binding, &["metadata", kept]) {
                let metadata = value::object(&mut bound, "metadata");
                let held = metadata.entry(kept).or_insert(Value::Null);
                value::as_object(held).extend(added.clone());
            }
        }
        value::object(&mut bound, "spec").insert("nodeName".to_owned(), json!(node));
        let condition = json!({
            "type": "PodScheduled",
            "status": "True",
            "lastProbeTime": null,
            "lastTransitionTime": self.timestamp(self.now()),
        });
        let status = value::object(&mut bound, "status");
        status.remove("nominatedNodeName");
        let conditions = status.entry("conditions").or_insert(json!([]));
        if let Value::Array(conditions) = conditions {
            let scheduled = |one: &Value| value::text(one, &["type"]) == "PodScheduled";
            match conditions.iter_mut().find(|one| scheduled(one)) {
                Some(held) => *held = condition,
                None => conditions.push(condition),
            }
        }
        self.put(kind, bound);
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
        });
        Ok(Reply {
            code: 201,
            body: Body::Value(body),
        })
    }
}

/// A pod's spec may hardly be changed.
///
/// Source: `pkg/apis/core/validation/validation.go`, `ValidatePodUpdate`.
fn check_pod_update(kind: &Kind, name: &str, old: &Value, new: &mut Value) -> Result<(), Status> {
    /// The fields that may be changed, with some rules that are not checked here.
    const MUTABLE: &[&str] = &[
        "activeDeadlineSeconds",
        "schedulingGates",
        "terminationGracePeriodSeconds",
        "tolerations",
    ];
    let gates = |pod: &Value| -> Vec<String> {
        let gates = value::list(pod, &["spec", "schedulingGates"]).iter();
        gates
            .map(|gate| value::text(gate, &["name"]).to_owned())
            .collect()
    };
    let (held, wanted) = (gates(old), gates(new));
    if let Some(added) = wanted.iter().find(|gate| !held.contains(gate)) {
        let why = format!("only deletion is allowed, but found new scheduling gate '{added}'");
        let field = Field::forbidden("spec.schedulingGates", &why);
        return Err(Status::invalid(kind, name, &field));
    }
    let spec = value::object(new, "spec");
    if wanted.is_empty() {
        spec.remove("schedulingGates");
    }
    let frozen = |pod: &Value| {
        let mut spec = pod.get("spec").cloned().unwrap_or_default();
        let map = value::as_object(&mut spec);
        for key in MUTABLE {
            map.remove(*key);
        }
        if !held.is_empty() {
            // A gated pod may still be told where to go.
            map.remove("nodeSelector");
            map.remove("affinity");
        }
        for list in ["containers", "initContainers"] {
            let containers = map.get_mut(list).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                value::as_object(container).remove("image");
            }
        }
        value::prune(&mut spec);
        spec
    };
    // As kube-apiserver, which decodes both and so sees no difference between 1 and "1".
    complete_all_resources(new);
    if frozen(old) != frozen(new) {
        let field = Field::forbidden(
            "spec",
            "pod updates may not change fields other than \
             `spec.containers[*].image`,`spec.initContainers[*].image`,\
             `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
             tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
             previously negative)",
        );
        return Err(Status::invalid(kind, name, &field));
    }
    Ok(())
}

fn check_kind(kind: &Kind, sent: &Value) -> Result<(), Status> {
    let word = value::text(sent, &["kind"]);
    let version = value::text(sent, &["apiVersion"]);
    if !sent.is_object() {
        return Err(Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {})",
            kind.kind
        )));
    }
    if !word.is_empty() && word != kind.kind {
        return Err(Status::bad_request(format!(
            "{word} in version \"{version}\" cannot be handled as a {}: converting (v1.{word}) to \
             (core.{}): unknown conversion",
            kind.kind, kind.kind
        )));
    }
    let own = kind.api_version();
    if !version.is_empty() && version != own {
        return Err(Status::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version \
             ({own})"
        )));
    }
    Ok(())
}

/// The name in an object has to be that of the path.
fn check_names(request: &Request, sent: &Value) -> Result<(), Status> {
    let name = value::text(sent, &["metadata", "name"]);
    if name != request.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            request.name
        )));
    }
    let namespace = value::text(sent, &["metadata", "namespace"]);
    if !namespace.is_empty() && namespace != request.namespace {
        return Err(Status::bad_request(format!(
            "the namespace of the object ({namespace}) does not match the namespace on the URL \
             ({})",
            request.namespace
        )));
    }
    Ok(())
}

/// A DNS-1123 subdomain.
fn check_name(kind: &Kind, name: &str) -> Result<(), Status> {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.first().copied().is_some_and(letter)
            && bytes.last().copied().is_some_and(letter)
            && bytes.iter().all(|byte| letter(*byte) || *byte == b'-')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        return Ok(());
    }
    let field = Field::invalid(
        "metadata.name",
        &json!(name),
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' \
         or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex \
         used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    );
    Err(Status::invalid(kind, name, &field))
}

/// The text of the store when an object is not the one that was meant.
fn precondition(kind: &Kind, object: &Object, what: &str, wanted: &str, found: &str) -> String {
    let (namespace, name) = object.key();
    let separator = if namespace.is_empty() { "" } else { "/" };
    format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{}/{namespace}{separator}{name}, \
         ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: {what} in precondition: \
         {wanted}, {what} in object meta: {found}",
        kind.plural
    )
}

fn version_of(object: &Value) -> &str {
    value::text(object, &["metadata", "resourceVersion"])
}

/// What the generation counts.
fn without_generation(object: &Value) -> Map<String, Value> {
    let mut counted = object.as_object().cloned().unwrap_or_default();
    counted.remove("metadata");
    counted.remove("status");
    counted
}

/// Maps and lists without content are not kept, as in Kubernetes.
fn drop_empty(metadata: &mut Map<String, Value>) {
    metadata.retain(|_, value| match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    });
}
