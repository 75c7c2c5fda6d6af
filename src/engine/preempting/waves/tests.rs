//! Who waits for whom.

#![allow(clippy::unwrap_used)]

use super::*;

const A: PodKey = PodKey(1);
const B: PodKey = PodKey(2);

fn uids(names: &[&str]) -> Vec<Box<str>> {
    names.iter().map(|name| (*name).into()).collect()
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
    assert!(!waves.spare(A, "x") && !waves.spare(A, "x"));
    assert!(waves.waits(A) && waves.waits(B));
    waves.audit(|_| true);
    assert!(waves.spare(A, "y"));
    assert!(!waves.waits(A));
    assert!(!waves.spare(A, "y"), "it waits for nobody");
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
