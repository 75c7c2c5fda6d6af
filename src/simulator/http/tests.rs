//! Paths and queries.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::path;
use crate::simulator::request::Part;

#[test]
fn paths_name_objects() {
    for (text, expected) in [
        ("/api/v1/pods", Some(("pods", "", "", Part::Whole))),
        (
            "/api/v1/namespaces/a/pods",
            Some(("pods", "a", "", Part::Whole)),
        ),
        (
            "/api/v1/namespaces/a/pods/b",
            Some(("pods", "a", "b", Part::Whole)),
        ),
        (
            "/api/v1/namespaces/a/pods/b/binding",
            Some(("pods", "a", "b", Part::Binding)),
        ),
        (
            "/api/v1/namespaces/a/pods/b/status",
            Some(("pods", "a", "b", Part::Status)),
        ),
        (
            "/api/v1/namespaces/a/bindings",
            Some(("pods", "a", "", Part::Binding)),
        ),
        (
            "/api/v1/namespaces/a",
            Some(("namespaces", "", "a", Part::Whole)),
        ),
        (
            "/api/v1/namespaces/a/status",
            Some(("namespaces", "", "a", Part::Status)),
        ),
        ("/api/v1/nodes/n", Some(("nodes", "", "n", Part::Whole))),
        ("/api/v1/namespaces/a/nodes/n", None),
        ("/api/v1/pods/b", None),
        ("/api/v1/foos", None),
        ("/apis/none/v1/foos", None),
        (
            "/apis/coordination.k8s.io/v1/namespaces/a/leases/l/status",
            None,
        ),
        ("/", None),
    ] {
        let found = path::parse(text).ok();
        let found = found.as_ref().map(|target| {
            let (namespace, name) = (target.namespace.as_str(), target.name.as_str());
            (target.kind.plural, namespace, name, target.part)
        });
        assert_eq!(found, expected, "{text}");
    }
}
