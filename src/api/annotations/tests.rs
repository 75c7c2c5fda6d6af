//! Only what is read is kept, whatever else there is.

#![allow(clippy::unwrap_used)]

use super::*;

const NAME: &str = annotation::KOORDINATOR_GANG;
const MIN: &str = annotation::KOORDINATOR_MIN;

#[test]
fn what_is_not_read_is_skipped_whatever_it_is() {
    let check = |json: &str, expected: &[(&str, &str)]| {
        let read: Annotations = serde_json::from_str(json).unwrap();
        let held: Vec<_> = read.0.iter().map(|(key, value)| (*key, &**value)).collect();
        assert_eq!(held, expected, "{json}");
        for (key, value) in expected {
            assert_eq!(read.get(key), Some(*value));
        }
        assert_eq!(read.get("example.com/other"), None);
    };
    check("null", &[]);
    check("{}", &[]);
    check(&format!(r#"{{"{NAME}": "g"}}"#), &[(NAME, "g")]);
    // Escapes stand for what they stand for, in keys as well.
    let escaped = r#"{"gang.scheduling.koordinator.sh\/name": "\u0067"}"#;
    check(escaped, &[(NAME, "g")]);
    for other in ["3", "null", "[1]", r#"{"a": {"b": "c"}}"#, r#""text""#] {
        let json = format!(
            r#"{{"{NAME}": "g", "example.com/other": {other}, "gang.other": {other}, "{MIN}": "3"}}"#
        );
        check(&json, &[(NAME, "g"), (MIN, "3")]);
    }
    let applied = "x".repeat(1 << 18);
    let json = format!(
        r#"{{"kubectl.kubernetes.io/last-applied-configuration": "{applied}", "{NAME}": "g"}}"#
    );
    check(&json, &[(NAME, "g")]);
}

/// As with kube-apiserver, the values of annotations are texts.
#[test]
fn what_is_read_is_text() {
    for value in ["3", "null", "true", "[]", "{}"] {
        let json = format!(r#"{{"{MIN}": {value}}}"#);
        assert!(
            serde_json::from_str::<Annotations>(&json).is_err(),
            "{json}"
        );
    }
    for json in ["[]", "3", r#""text""#] {
        assert!(serde_json::from_str::<Annotations>(json).is_err(), "{json}");
    }
}
