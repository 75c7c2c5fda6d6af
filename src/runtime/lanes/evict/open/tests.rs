//! What is made of the answers to an eviction.

use http::StatusCode;

use super::*;
use crate::engine::EffectId;

const ALIVE: &str = r#"{"metadata":{"uid":"u"}}"#;
const ENDING: &str = r#"{"metadata":{"uid":"u","deletionTimestamp":"2026-01-01T00:00:00Z"}}"#;
const OTHER: &str = r#"{"metadata":{"uid":"other"}}"#;
const BECAUSE: &str = r#"{"message":"because"}"#;

fn eviction() -> OpenEviction {
    OpenEviction::new(EvictOrder {
        id: EffectId(1),
        pod: Arc::new(PodRef {
            namespace: "a".into(),
            name: "b".into(),
            uid: "u".into(),
        }),
        evict: Evict {
            message: "s: preempting to accommodate a higher priority pod".into(),
            observed_generation: Some(2),
        },
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

/// The step is answered once, and the pod then read once if that is asked for.
fn check(
    step: fn(&mut OpenEviction, &Result<Reply, Fault>) -> Next,
    status: u16,
    pod: (u16, &str),
    expected: Next,
) {
    let mut eviction = eviction();
    let mut next = step(&mut eviction, &answer(status, BECAUSE));
    if next == Next::Read(Duration::ZERO) {
        next = eviction.read(&answer(pod.0, pod.1));
    }
    assert_eq!(next, expected, "{status} {pod:?}");
}

const UNREAD: (u16, &str) = (500, "");

#[test]
fn a_pod_is_deleted_once_it_is_marked() {
    let check = |status, pod, expected| check(OpenEviction::marked, status, pod, expected);
    check(200, UNREAD, Next::Delete(Duration::ZERO));
    check(404, UNREAD, Next::End(Outcome::PodGone));
    check(403, UNREAD, failed("because"));
    for status in [0, 409, 429, 500, 504] {
        check(status, UNREAD, Next::Mark(FIRST_PAUSE));
    }
    check(422, (200, OTHER), Next::End(Outcome::PodGone));
    check(422, (404, "{}"), Next::End(Outcome::PodGone));
    check(422, (200, ENDING), Next::End(Outcome::Done));
    check(422, (200, ALIVE), failed("because"));
    check(422, UNREAD, Next::Read(FIRST_PAUSE));
}

#[test]
fn what_became_of_a_deletion_is_found_out() {
    let check = |status, pod, expected| check(OpenEviction::deleted, status, pod, expected);
    check(200, UNREAD, Next::End(Outcome::Done));
    check(202, UNREAD, Next::End(Outcome::Done));
    check(404, UNREAD, Next::End(Outcome::PodGone));
    check(403, UNREAD, failed("because"));
    check(422, UNREAD, failed("because"));
    check(429, UNREAD, Next::Delete(FIRST_PAUSE));
    for status in [0, 409, 500, 504] {
        check(status, (200, ENDING), Next::End(Outcome::Done));
        check(status, (200, OTHER), Next::End(Outcome::PodGone));
        check(status, (404, "{}"), Next::End(Outcome::PodGone));
        for unread in [(0, ""), (500, "{}"), (429, "{}"), (200, "not json")] {
            check(status, unread, Next::Read(FIRST_PAUSE));
        }
    }
    check(409, (200, ALIVE), failed("because"));
    for status in [0, 500, 504] {
        check(status, (200, ALIVE), Next::Delete(FIRST_PAUSE));
    }
}

#[test]
fn nothing_is_tried_again_behind_the_fence() {
    let fenced = failed(&Fault::Fenced.to_string());
    assert_eq!(eviction().marked(&Err(Fault::Fenced)), fenced);
    assert_eq!(eviction().deleted(&Err(Fault::Fenced)), fenced);
}

#[test]
fn attempts_are_counted_for_each_request_and_pauses_grow() {
    let mut eviction = eviction();
    let down = answer(500, r#"{"message":"down"}"#);
    for millis in [100, 400, 1600] {
        let pause = Duration::from_millis(millis);
        assert_eq!(eviction.marked(&down), Next::Mark(pause));
    }
    let marked = eviction.marked(&answer(200, "{}"));
    assert_eq!(marked, Next::Delete(Duration::ZERO));
    for millis in [100, 400, 1600] {
        eviction.deleted(&down);
        let pause = Duration::from_millis(millis);
        assert_eq!(eviction.read(&answer(200, ALIVE)), Next::Delete(pause));
    }
    eviction.deleted(&down);
    for millis in [100, 400, 1600, 5000, 5000] {
        let pause = Duration::from_millis(millis);
        assert_eq!(eviction.read(&answer(500, "")), Next::Read(pause));
    }
    assert_eq!(eviction.read(&answer(200, ALIVE)), failed("down"));
}

#[test]
fn the_server_may_name_the_pause() {
    let throttled = |seconds| {
        Ok(Reply {
            retry_after: Some(Duration::from_secs(seconds)),
            ..answer(429, "{}").unwrap_or_else(|fault| unreachable!("{fault}"))
        })
    };
    let mut eviction = eviction();
    let pause = Duration::from_secs;
    assert_eq!(eviction.marked(&throttled(2)), Next::Mark(pause(2)));
    assert_eq!(eviction.deleted(&throttled(60)), Next::Delete(pause(5)));
}

#[test]
fn the_requests_name_the_pod_by_its_uid() {
    let eviction = eviction();
    let expected = json!({
        "metadata": { "uid": "u" },
        "status": { "conditions": [{
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": "s: preempting to accommodate a higher priority pod",
            "observedGeneration": 2,
            "lastProbeTime": null,
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }] },
    });
    assert_eq!(eviction.mark(jiff::Timestamp::UNIX_EPOCH), expected);
    assert_eq!(
        eviction.delete_options()["preconditions"],
        json!({ "uid": "u" })
    );
}
