//! What is sent for a failed attempt.

use serde_json::json;

use super::*;
use crate::engine::ConditionReason;

fn pod() -> PodRef {
    PodRef {
        namespace: "a".into(),
        name: "b".into(),
        uid: "u".into(),
    }
}

fn patch() -> StatusPatch {
    StatusPatch {
        reason: ConditionReason::Unschedulable,
        message: "0/1 nodes are available: 1 Too many pods.".into(),
        observed_generation: Some(3),
        transition: true,
        clear_nomination: false,
    }
}

fn at() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH
}

#[test]
fn the_first_failure_sets_the_transition_time() {
    let expected = json!({
        "metadata": { "uid": "u" },
        "status": { "conditions": [{
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Too many pods.",
            "observedGeneration": 3,
            "lastProbeTime": null,
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }] },
    });
    assert_eq!(body(&pod(), &patch(), at()), expected);
}

#[test]
fn later_ones_leave_it() {
    let sent = body(
        &pod(),
        &StatusPatch {
            transition: false,
            ..patch()
        },
        at(),
    );
    assert_eq!(
        sent["status"]["conditions"][0].get("lastTransitionTime"),
        None
    );
}

#[test]
fn a_nomination_is_cleared_by_null() {
    let sent = body(
        &pod(),
        &StatusPatch {
            clear_nomination: true,
            ..patch()
        },
        at(),
    );
    assert_eq!(sent["status"].get("nominatedNodeName"), Some(&Value::Null));
    assert_eq!(
        body(&pod(), &patch(), at())["status"].get("nominatedNodeName"),
        None
    );
}
