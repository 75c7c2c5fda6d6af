//! What there is, for clients such as kubectl.

use axum::response::Response;
use serde_json::{Value, json};

use super::json as answer;
use crate::simulator::kinds::Kind;

/// The Kubernetes version whose API is shown.
const MINOR: &str = "37";

/// The page of a path that names no object, with the kinds that are there.
pub(super) fn page(path: &str, served: &[&Kind]) -> Option<Response> {
    let segments: Vec<_> = path.trim_matches('/').split('/').collect();
    let page = match segments.as_slice() {
        ["version"] => version(),
        ["api"] => json!({ "kind": "APIVersions", "versions": ["v1"] }),
        ["apis"] => groups(served),
        ["apis", name] => {
            let mut group = group(name, served)?;
            group["kind"] = json!("APIGroup");
            group["apiVersion"] = json!("v1");
            group
        }
        ["api", version] => resources("", version, served)?,
        ["apis", group, version] => resources(group, version, served)?,
        ["openapi", "v3"] => descriptions(served),
        ["openapi", "v3", "api", version] => description("", version, served),
        ["openapi", "v3", "apis", group, version] => description(group, version, served),
        ["livez" | "readyz" | "healthz"] => return Some(answer(200, "ok".to_owned())),
        _ => return None,
    };
    Some(answer(200, page.to_string()))
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": MINOR,
        "gitVersion": format!("v1.{MINOR}.0+berth-{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

fn groups(served: &[&Kind]) -> Value {
    let mut names: Vec<&str> = Vec::new();
    for kind in served.iter().filter(|kind| !kind.group.is_empty()) {
        if !names.contains(&kind.group) {
            names.push(kind.group);
        }
    }
    let groups: Vec<Value> = (names.iter())
        .filter_map(|name| group(name, served))
        .collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

fn group(name: &str, served: &[&Kind]) -> Option<Value> {
    let mut versions: Vec<Value> = Vec::new();
    for kind in served.iter().filter(|kind| kind.group == name) {
        let version = json!({ "groupVersion": kind.api_version(), "version": kind.version });
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    let preferred = versions.first().cloned()?;
    Some(json!({ "name": name, "versions": versions, "preferredVersion": preferred }))
}

fn resources(group: &str, version: &str, served: &[&Kind]) -> Option<Value> {
    let kinds = (served.iter()).filter(|kind| (kind.group, kind.version) == (group, version));
    let mut resources = Vec::new();
    let mut api_version = None;
    for kind in kinds {
        api_version = Some(kind.api_version());
        resources.push(json!({
            "name": kind.plural,
            "singularName": kind.singular(),
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "shortNames": kind.short,
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update",
                "watch"],
        }));
        if kind.status {
            resources.push(json!({
                "name": format!("{}/status", kind.plural),
                "singularName": "",
                "namespaced": kind.namespaced,
                "kind": kind.kind,
                "verbs": ["get", "patch", "update"],
            }));
        }
        if kind.is_pod() {
            resources.push(json!({
                "name": "pods/binding",
                "singularName": "",
                "namespaced": true,
                "kind": "Binding",
                "verbs": ["create"],
            }));
        }
    }
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version?,
        "resources": resources,
    }))
}

/// Where each group is described.
fn descriptions(served: &[&Kind]) -> Value {
    let mut paths = serde_json::Map::new();
    for kind in served {
        let path = match kind.group {
            "" => format!("api/{}", kind.version),
            group => format!("apis/{group}/{}", kind.version),
        };
        let url = json!({ "serverRelativeURL": format!("/openapi/v3/{path}") });
        paths.insert(path, url);
    }
    json!({ "paths": paths })
}

/// As little of OpenAPI as it takes for kubectl to leave the validation of fields to the server:
/// that a patch of each kind has the parameter for it.
fn description(group: &str, version: &str, served: &[&Kind]) -> Value {
    let mut paths = serde_json::Map::new();
    for kind in served {
        if (kind.group, kind.version) == (group, version) {
            let patch = json!({
                "parameters": [{
                    "name": "fieldValidation", "in": "query", "schema": { "type": "string" },
                }],
                "responses": {},
                "x-kubernetes-action": "patch",
                "x-kubernetes-group-version-kind": {
                    "group": kind.group, "version": kind.version, "kind": kind.kind,
                },
            });
            paths.insert(
                format!("/{}/{{name}}", kind.plural),
                json!({ "patch": patch }),
            );
        }
    }
    json!({
        "openapi": "3.0.0",
        "info": { "title": "Berth's demonstration", "version": "v1" },
        "paths": paths,
    })
}
