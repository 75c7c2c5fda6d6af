//! What is made of the answers to a bind.

use http::StatusCode;

use super::*;
use crate::engine::EffectId;

const BOUND: &str = r#"{"metadata":{"uid":"u"},"spec":{"nodeName":"n1"}}"#;
const UNBOUND: &str = r#"{"metadata":{"uid":"u"},"spec":{}}"#;
const OTHER: &str = r#"{"metadata":{"uid":"other"},"spec":{"nodeName":"n1"}}"#;
const ELSEWHERE: &str = r#"{"metadata":{"uid":"u"},"spec":{"nodeName":"n2"}}"#;

fn bind() -> OpenBind {
    OpenBind::new(&BindOrder {
        id: EffectId(1),
        pod: Arc::new(PodRef {
            namespace: "a".into(),
            name: "b".into(),
            uid: "u".into(),
        }),
        node: "n1".into(),
    })
}

/// 0 stands for a broken connection.
fn answer(status: u16, body: &str) -> Result<Reply, Fault> {
    if status == 0 {
        return Err(Fault::Transport("broken".to_owned()));
    }
    Ok(Reply {
        status: StatusCode::from_u16(status).unwrap_or_default(),
        retry_after: None,
        body: body.into(),
    })
}

fn failed(text: &str) -> Next {
    Next::End(Outcome::Failed(text.to_owned()))
}

/// The bind is answered once, and the pod then read once if that is asked for.
fn check(status: u16, body: &str, pod: (u16, &str), expected: Next) {
    let mut bind = bind();
    let mut next = bind.answered(&answer(status, body));
    if next == Next::Read(Duration::ZERO) {
        next = bind.read(&answer(pod.0, pod.1)).1;
    }
    assert_eq!(next, expected, "{status} {body} {pod:?}");
}

#[test]
fn what_the_server_says_is_believed_when_it_is_certain() {
    const UNREAD: (u16, &str) = (500, "");
    let because = r#"{"message":"because"}"#;
    check(201, "{}", UNREAD, Next::End(Outcome::Done));
    check(404, "{}", UNREAD, Next::End(Outcome::PodGone));
    check(403, because, UNREAD, failed("because"));
    check(429, because, UNREAD, Next::Send(THROTTLED_PAUSE));
    let fenced = bind().answered(&Err(Fault::Fenced));
    assert_eq!(fenced, failed(&Fault::Fenced.to_string()));
}

#[test]
fn what_is_not_certain_is_read() {
    let elsewhere = "pod b is already assigned to node \"n2\"";
    for status in [0, 500, 504] {
        check(status, "", (200, BOUND), Next::End(Outcome::Done));
        check(status, "", (200, OTHER), Next::End(Outcome::PodGone));
        check(status, "", (404, "{}"), Next::End(Outcome::PodGone));
        check(status, "", (200, ELSEWHERE), failed(elsewhere));
        check(status, "", (200, UNBOUND), Next::Send(FIRST_PAUSE));
        for unread in [(0, ""), (500, "{}"), (429, "{}"), (200, "not json")] {
            check(status, "", unread, Next::Read(FIRST_PAUSE));
        }
    }
}

#[test]
fn a_conflict_is_not_sent_again() {
    let conflict = r#"{"message":"taken"}"#;
    check(409, conflict, (200, BOUND), Next::End(Outcome::Done));
    check(409, conflict, (200, OTHER), Next::End(Outcome::PodGone));
    check(409, conflict, (200, ELSEWHERE), failed("taken"));
    check(409, conflict, (200, UNBOUND), failed("taken"));
}

#[test]
fn attempts_are_counted_and_pauses_grow() {
    let mut bind = bind();
    for millis in [10, 50, 250] {
        bind.answered(&answer(500, r#"{"message":"down"}"#));
        let next = bind.read(&answer(200, UNBOUND)).1;
        assert_eq!(next, Next::Send(Duration::from_millis(millis)));
    }
    bind.answered(&answer(500, r#"{"message":"down"}"#));
    for millis in [10, 50, 250, 1250, 5000, 5000] {
        let next = bind.read(&answer(500, "")).1;
        assert_eq!(next, Next::Read(Duration::from_millis(millis)));
    }
    assert_eq!(bind.read(&answer(200, UNBOUND)).1, failed("down"));
}
