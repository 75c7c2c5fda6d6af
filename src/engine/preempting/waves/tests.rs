//! Who waits for whom.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::*;
use crate::engine::{EventKind, ObjectEvent};
use crate::model::PodRef;

const A: PodKey = PodKey(1);
const B: PodKey = PodKey(2);

fn uids(names: &[&str]) -> Vec<Box<str>> {
    names.iter().map(|name| (*name).into()).collect()
}

fn evict(waves: &mut Preemptions, uid: &str, eviction: EffectId) {
    let victim = Arc::new(PodRef {
        namespace: "default".into(),
        name: uid.into(),
        uid: uid.into(),
    });
    let event = ObjectEvent {
        kind: EventKind::Preempted,
        scheduler_name: "berth".into(),
        note: "".into(),
        related: None,
        resource_version: 0,
    };
    let under_way = UnderWay {
        preemptor: A,
        victim,
        event,
    };
    let execution = Execution {
        kind: Preemptor::Pod,
        sent: 0.0,
        unanswered: 0,
        failed: false,
    };
    waves.sent(eviction, under_way, execution);
}

#[test]
fn a_preemptor_comes_back_with_the_last_of_its_victims() {
    let mut waves = Preemptions::default();
    waves.begin(A, uids(&["x", "y"]), Time::ZERO);
    waves.begin(B, uids(&["y"]), Time::ZERO);
    assert!(waves.gone("z").is_empty());
    assert_eq!(waves.gone("x"), [(A, false)]);
    assert!(waves.waits(A) && waves.is_victim("y") && !waves.is_victim("x"));
    assert_eq!(waves.gone("y"), [(A, true), (B, true)]);
    assert!(!waves.waits(A) && !waves.waits(B));
    waves.audit(|_| true);
}

#[test]
fn who_is_forgotten_waits_for_nobody() {
    let mut waves = Preemptions::default();
    waves.begin(A, uids(&["x"]), Time::ZERO);
    waves.begin(B, uids(&["x"]), Time::ZERO);
    waves.forget(A);
    waves.audit(|key| key == B);
    assert_eq!(waves.gone("x"), [(B, true)]);
    assert_eq!(waves.next_deadline(), None);
}

#[test]
fn a_victim_that_stays_is_not_waited_for() {
    let mut waves = Preemptions::default();
    waves.begin(A, uids(&["x", "y"]), Time::ZERO);
    waves.begin(B, uids(&["x"]), Time::ZERO);
    let (first, second) = (EffectId(1), EffectId(2));
    evict(&mut waves, "x", first);
    evict(&mut waves, "x", second);
    assert!(!waves.stays("x", first), "it was evicted again");
    assert!(waves.stays("x", second) && waves.is_leaving("x"));
    assert_eq!(waves.gone("x"), [(A, false), (B, true)]);
    assert!(!waves.is_leaving("x") && !waves.stays("x", second));
    evict(&mut waves, "y", first);
    evict(&mut waves, "y", second);
    waves.leaves("y");
    assert!(!waves.stays("y", second), "the first one was carried out");
    assert!(waves.waits(A) && !waves.waits(B));
    waves.audit(|_| true);
}

#[test]
fn the_pause_doubles_and_after_many_waves_there_is_a_rest() {
    let mut waves = Preemptions::default();
    let mut now = Time::ZERO;
    assert_eq!(waves.allow(A, now), Ok(()));
    for wave in 1..=LIMIT {
        waves.begin(A, uids(&["x"]), now);
        waves.gone("x");
        let denied = waves.allow(A, now);
        if wave == 1 {
            assert_eq!(denied, Ok(()));
            continue;
        }
        if wave < LIMIT {
            assert_eq!(denied, Err(Denied::Recently), "{wave}");
        } else {
            let told = |told| Err(Denied::Often { waves: LIMIT, told });
            assert_eq!(denied, told(false));
            assert_eq!(waves.allow(A, now), told(true));
        }
        let next = waves.next_deadline().unwrap();
        let expected = if wave == LIMIT {
            REST
        } else {
            (PAUSE * 2_u32.pow(wave - 2)).min(LONGEST_PAUSE)
        };
        assert_eq!(next.since(now), expected, "{wave}");
        now = next;
        assert_eq!(waves.take_due(now), [A]);
        assert_eq!(waves.allow(A, now), Ok(()));
    }
}
