//! What became of a bind that may or may not have been done.

use http::StatusCode;

use super::*;
use crate::engine::EffectId;
use crate::model::PodRef;

fn check(status: u16, body: &str, expected: Option<Found>) {
    let order = BindOrder {
        id: EffectId(1),
        pod: Arc::new(PodRef {
            namespace: "a".into(),
            name: "b".into(),
            uid: "u".into(),
        }),
        node: "n1".into(),
    };
    let answer = Ok(Reply {
        status: StatusCode::from_u16(status).unwrap_or_default(),
        retry_after: None,
        body: body.into(),
    });
    assert_eq!(read(&answer, &order), expected, "{status} {body}");
}

#[test]
fn reads_the_pod() {
    let pod = r#"{"metadata":{"uid":"u"},"spec":{"nodeName":"n1"}}"#;
    check(200, pod, Some(Found::Bound));
    check(
        200,
        r#"{"metadata":{"uid":"u"},"spec":{}}"#,
        Some(Found::Unbound),
    );
    check(
        200,
        r#"{"metadata":{"uid":"other"},"spec":{"nodeName":"n1"}}"#,
        Some(Found::Gone),
    );
    check(
        200,
        r#"{"metadata":{"uid":"u"},"spec":{"nodeName":"n2"}}"#,
        Some(Found::Elsewhere(
            "pod b is already assigned to node \"n2\"".to_owned(),
        )),
    );
    check(404, "{}", Some(Found::Gone));
}

#[test]
fn is_not_certain_of_anything_else() {
    check(500, "{}", None);
    check(429, "{}", None);
    check(200, "not json", None);
}
