//! What a path and a method ask for.

use axum::http::Method;

use crate::simulator::kinds::Kind;
use crate::simulator::request::{Part, PatchType, Verb};
use crate::simulator::status::Status;

/// What a path names.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) kind: &'static Kind,
    pub(super) namespace: String,
    /// Empty for all.
    pub(super) name: String,
    pub(super) part: Part,
}

/// Reads a path to one of the kinds that are there.
///
/// # Errors
///
/// A status, or none for paths of groups that are not there.
pub(super) fn parse(path: &str, served: &[&'static Kind]) -> Result<Target, Option<Status>> {
    let mut segments = path.trim_matches('/').split('/').collect::<Vec<_>>();
    segments.reverse();
    let mut next = || segments.pop();
    let (group, version) = match next() {
        Some("api") => ("", next()),
        Some("apis") => (next().unwrap_or_default(), next()),
        _ => return Err(None),
    };
    let version = version.unwrap_or_default();
    let of_this = |kind: &&&'static Kind| kind.group == group && kind.version == version;
    if !served.iter().any(|kind| of_this(&kind)) {
        return Err(None);
    }
    segments.reverse();
    let missing = || Some(Status::no_such_resource());
    let (namespace, rest) = match segments.as_slice() {
        // Below a namespace, unless it is the namespace itself that is meant.
        ["namespaces", name, plural, rest @ ..] if !matches!(*plural, "status" | "finalize") => {
            let mut inner = vec![*plural];
            inner.extend(rest);
            ((*name).to_owned(), inner)
        }
        rest => (String::new(), rest.to_vec()),
    };
    let (plural, name, part) = match rest.as_slice() {
        // What kubectl never sends and client libraries may.
        ["bindings"] if !namespace.is_empty() => ("pods", "", Part::Binding),
        [plural] => (*plural, "", Part::Whole),
        [plural, name] => (*plural, *name, Part::Whole),
        ["pods", name, "binding"] => ("pods", *name, Part::Binding),
        [plural, name, "status"] => (*plural, *name, Part::Status),
        _ => return Err(missing()),
    };
    let mut kinds = served.iter().filter(of_this);
    let kind = kinds.find(|kind| kind.plural == plural);
    let kind = *kind.ok_or_else(missing)?;
    let one = !name.is_empty() || part == Part::Binding;
    // Objects are reached in their namespace only.
    let misplaced = kind.namespaced == namespace.is_empty() && (one || !namespace.is_empty());
    if misplaced || (part == Part::Status && !kind.status) {
        return Err(missing());
    }
    Ok(Target {
        kind,
        namespace,
        name: name.to_owned(),
        part,
    })
}

/// What a method asks for.
pub(super) fn verb(method: &Method, target: &Target, content_type: &str) -> Result<Verb, Status> {
    let one = !target.name.is_empty();
    match (method, target.part) {
        (&Method::POST, Part::Binding) => Ok(Verb::Create),
        (&Method::GET, Part::Whole) if !one => Ok(Verb::List),
        (&Method::POST, Part::Whole) if !one && may_create(target) => Ok(Verb::Create),
        (&Method::DELETE, Part::Whole) if !one => Ok(Verb::DeleteCollection),
        (&Method::GET, Part::Whole | Part::Status) if one => Ok(Verb::Get),
        (&Method::PUT, Part::Whole | Part::Status) if one => Ok(Verb::Update),
        (&Method::DELETE, Part::Whole) if one => Ok(Verb::Delete),
        (&Method::PATCH, Part::Whole | Part::Status) if one => {
            let media = content_type.split(';').next().unwrap_or_default().trim();
            match media {
                "application/merge-patch+json" => Ok(Verb::Patch(PatchType::Merge)),
                "application/strategic-merge-patch+json" => Ok(Verb::Patch(PatchType::Strategic)),
                _ => Err(Status::unsupported_media_type()),
            }
        }
        _ => Err(Status::method_not_allowed()),
    }
}

/// Objects with a namespace are made in it.
fn may_create(target: &Target) -> bool {
    target.kind.namespaced != target.namespace.is_empty()
}
