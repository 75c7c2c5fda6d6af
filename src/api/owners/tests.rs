//! What is read of services and controllers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::super::Watched;
use super::*;

const METADATA: &str = r#""metadata":{"name":"web","namespace":"shop","uid":"u","resourceVersion":"7",
    "labels":{"app":"web"},"ownerReferences":[{"kind":"Deployment","name":"web"}]}"#;

fn read<K: Kind>(spec: &str) -> K {
    let json = format!(r#"{{{METADATA},"spec":{spec},"status":{{"replicas":3}}}}"#);
    let watched = Watched::<K>::from_json(&json);
    let meta = watched.identity();
    assert_eq!(
        (&*meta.namespace, &*meta.name, &*meta.uid, meta.version()),
        ("shop", "web", "u", 7)
    );
    assert!(meta.labels.is_empty() && meta.owner_references.is_empty());
    watched.object.expect(spec)
}

#[test]
fn services_without_selector_differ_from_those_that_select_all() {
    let check = |spec: &str, expected: Option<&[(&str, &str)]>| {
        let selector = read::<Service>(spec).spec.selector;
        let expected = expected.map(|pairs| pairs.iter().copied().collect());
        assert_eq!(selector, expected, "{spec}");
    };
    check("null", None);
    check("{}", None);
    check(r#"{"selector":null,"ports":[{"port":80}]}"#, None);
    check(r#"{"selector":{}}"#, Some(&[]));
    check(
        r#"{"selector":{"app":"web","tier":""}}"#,
        Some(&[("app", "web"), ("tier", "")]),
    );
}

#[test]
fn controllers_are_read_by_their_selector() {
    let check = |spec: &str, labels: &[(&str, &str)], operators: &[&str]| {
        let of_set = read::<ReplicaSet>(spec).spec.selector.expect(spec);
        let of_stateful = read::<StatefulSet>(spec).spec.selector.expect(spec);
        for selector in [of_set, of_stateful] {
            let expected: Pairs = labels.iter().copied().collect();
            assert_eq!(selector.match_labels, expected, "{spec}");
            let found = selector.match_expressions.iter();
            let found: Vec<_> = found.map(|one| &*one.operator).collect();
            assert_eq!(found, operators, "{spec}");
        }
    };
    check(r#"{"replicas":3,"selector":{}}"#, &[], &[]);
    check(
        r#"{"selector":{"matchLabels":{"app":"web"}},"template":{"spec":{"containers":[{}]}}}"#,
        &[("app", "web")],
        &[],
    );
    check(
        r#"{"selector":{"matchLabels":null,"matchExpressions":[{"key":"a","operator":"Sometimes"}]}}"#,
        &[],
        &["Sometimes"],
    );
    assert!(read::<ReplicaSet>("{}").spec.selector.is_none());
    let labels = read::<ReplicationController>(r#"{"selector":{"app":"web"}}"#);
    assert_eq!(labels.spec.selector, [("app", "web")].into_iter().collect());
    let none = read::<ReplicationController>(r#"{"selector":null}"#);
    assert!(none.spec.selector.is_empty());
}
