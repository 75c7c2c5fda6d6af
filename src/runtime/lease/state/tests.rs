//! The election under a virtual clock.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

const TIMING: Timing = Timing {
    lease_duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry_period: Duration::from_secs(2),
};

fn at(seconds: f64) -> Now {
    let elapsed = Duration::from_secs_f64(seconds);
    Now {
        elapsed,
        // Calendars may run differently; nothing may depend on them.
        calendar: Timestamp::UNIX_EPOCH + elapsed * 3,
    }
}

fn elector() -> Elector {
    Elector::new("me".to_owned(), TIMING)
}

fn held_by(holder: &str, renewed: i64) -> Record {
    Record {
        holder: holder.to_owned(),
        duration: TIMING.lease_duration,
        acquired: Some(Timestamp::UNIX_EPOCH),
        renewed: Timestamp::from_second(renewed).ok(),
        transitions: 4,
    }
}

/// One that leads since this moment.
fn leader(seconds: f64) -> Elector {
    let mut elector = elector();
    assert_eq!(elector.begin(at(seconds)), Step::Read);
    let Step::Create(record) = elector.read(None, at(seconds)) else {
        panic!("nobody holds it");
    };
    let sent = at(seconds).elapsed;
    assert!(elector.wrote(record, sent, at(seconds)));
    elector
}

#[test]
fn creates_the_lease_when_there_is_none() {
    let mut elector = elector();
    assert_eq!(elector.begin(at(1.0)), Step::Read);
    let expected = Record {
        holder: "me".to_owned(),
        duration: Duration::from_secs(15),
        acquired: Some(at(1.0).calendar),
        renewed: Some(at(1.0).calendar),
        transitions: 0,
    };
    assert_eq!(elector.read(None, at(1.0)), Step::Create(expected.clone()));
    assert!(!elector.leads());
    assert!(elector.wrote(expected.clone(), at(1.0).elapsed, at(1.1)));
    assert!(elector.leads());
    // The next try is an update without reading, and keeps when it was acquired.
    let renewal = Record {
        renewed: Some(at(3.0).calendar),
        ..expected
    };
    assert_eq!(elector.begin(at(3.0)), Step::Update(renewal));
}

#[test]
fn a_free_lease_is_taken_at_once() {
    for holder in ["", "other"] {
        let mut elector = elector();
        let mut record = held_by(holder, 0);
        if !holder.is_empty() {
            record.duration = Duration::ZERO;
        }
        let Step::Update(taken) = elector.read(Some(record), at(5.0)) else {
            panic!("{holder:?} does not hold it");
        };
        assert_eq!((&*taken.holder, taken.transitions), ("me", 5));
        assert_eq!(taken.acquired, Some(at(5.0).calendar));
    }
}

#[test]
fn expiry_counts_from_when_the_change_was_seen() {
    let mut elector = elector();
    // However old the holder's own times are.
    assert_eq!(
        elector.read(Some(held_by("other", -9999)), at(100.0)),
        Step::Rest
    );
    assert_eq!(
        elector.read(Some(held_by("other", -9999)), at(114.9)),
        Step::Rest
    );
    // A renewal, by a clock that runs backwards.
    assert_eq!(
        elector.read(Some(held_by("other", -20_000)), at(114.95)),
        Step::Rest
    );
    assert_eq!(
        elector.read(Some(held_by("other", -20_000)), at(129.9)),
        Step::Rest
    );
    let step = elector.read(Some(held_by("other", -20_000)), at(129.95));
    assert!(
        matches!(&step, Step::Update(record) if record.holder == "me" && record.transitions == 5),
        "{step:?}"
    );
}

#[test]
fn a_standby_rests_until_the_lease_expires_and_no_longer() {
    let mut elector = elector();
    let rest = |elector: &Elector, now: f64, chance| {
        let until = elector.rest_until(at(now).elapsed, chance);
        until.as_secs_f64()
    };
    assert_eq!(rest(&elector, 1.0, 0.0), 3.0);
    assert_eq!(rest(&elector, 1.0, 1.0), 1.0 + 2.0 * 2.2);
    elector.read(Some(held_by("other", 0)), at(10.0));
    assert_eq!(rest(&elector, 10.0, 1.0), 14.4);
    assert_eq!(rest(&elector, 24.0, 1.0), 25.0);
    // It has expired and yet could not be taken: no hurry any more.
    assert_eq!(rest(&elector, 25.0, 0.0), 27.0);
    elector.read(Some(held_by("", 0)), at(26.0));
    assert_eq!(rest(&elector, 26.0, 0.0), 28.0);
}

#[test]
fn a_leader_gives_up_a_deadline_after_its_last_renewal_was_sent() {
    let mut elector = leader(0.0);
    assert_eq!(elector.deadline(), Some(Duration::from_secs(10)));
    let Step::Update(renewal) = elector.begin(at(2.0)) else {
        panic!("it is ours");
    };
    // The answer takes four seconds; what counts is when the request was sent.
    assert!(!elector.wrote(renewal, at(2.0).elapsed, at(6.0)));
    assert_eq!(elector.deadline(), Some(Duration::from_secs(12)));
    assert!(matches!(elector.begin(at(11.9)), Step::Update(_)));
    assert_eq!(elector.begin(at(12.0)), Step::Lost(Loss::NotRenewed));
    assert_eq!(elector.write_failed(at(12.0)), Step::Lost(Loss::NotRenewed));
    // Also when it turns out that nobody has taken it.
    let own = Some(held_by("me", 0));
    assert_eq!(elector.read(own, at(12.0)), Step::Lost(Loss::NotRenewed));
}

#[test]
fn a_refused_renewal_is_looked_into_once_per_try() {
    let mut elector = leader(0.0);
    assert!(matches!(elector.begin(at(2.0)), Step::Update(_)));
    assert_eq!(elector.write_failed(at(2.0)), Step::Read);
    // Only a label was changed, say, or our own write was done without our hearing of it.
    let step = elector.read(Some(held_by("me", 1)), at(2.1));
    assert!(
        matches!(&step, Step::Update(record) if record.transitions == 4
            && record.acquired == Some(Timestamp::UNIX_EPOCH)),
        "{step:?}"
    );
    assert_eq!(elector.write_failed(at(2.2)), Step::Rest);
    let until = elector.rest_until(at(2.2).elapsed, 1.0);
    assert_eq!(until, at(4.2).elapsed);
    assert_eq!(
        elector.rest_until(at(9.0).elapsed, 1.0),
        at(10.0).elapsed,
        "not beyond the deadline"
    );
}

#[test]
fn a_leader_that_sees_another_holder_or_none_has_lost() {
    for holder in ["other", ""] {
        let mut elector = leader(0.0);
        let loss = Loss::Taken(holder.to_owned());
        assert_eq!(
            elector.read(Some(held_by(holder, 1)), at(3.0)),
            Step::Lost(loss)
        );
    }
}

#[test]
fn a_leader_whose_lease_was_deleted_creates_it() {
    let mut elector = leader(0.0);
    assert!(matches!(elector.read(None, at(3.0)), Step::Create(_)));
}

#[test]
fn two_that_try_at_once() {
    let mut elector = elector();
    let step = elector.read(Some(held_by("", 0)), at(1.0));
    assert!(matches!(step, Step::Update(_)));
    // A conflict: the other was faster.
    assert_eq!(elector.write_failed(at(1.1)), Step::Rest);
    assert!(!elector.leads());
    assert_eq!(elector.read(Some(held_by("other", 1)), at(1.2)), Step::Rest);
}

#[test]
fn an_acquisition_whose_answer_was_lost_is_found_out() {
    let mut elector = elector();
    assert!(matches!(elector.read(None, at(1.0)), Step::Create(_)));
    assert_eq!(elector.write_failed(at(6.0)), Step::Rest);
    let step = elector.read(Some(held_by("me", 1)), at(8.0));
    let Step::Update(record) = step else {
        panic!("{step:?}");
    };
    assert_eq!(record.transitions, 4);
    assert!(elector.wrote(record, at(8.0).elapsed, at(8.1)));
}

#[test]
fn releases_only_what_it_holds() {
    let elector = leader(0.0);
    assert_eq!(elector.release(&held_by("other", 0), at(1.0)), None);
    assert_eq!(elector.release(&held_by("", 0), at(1.0)), None);
    let released = Record {
        holder: String::new(),
        duration: Duration::from_secs(1),
        acquired: Some(at(1.0).calendar),
        renewed: Some(at(1.0).calendar),
        transitions: 4,
    };
    assert_eq!(elector.release(&held_by("me", 0), at(1.0)), Some(released));
}

/// Two candidates, one lease and any order of answers: no moment at which both may act.
#[test]
fn never_two_at_once() {
    for seed in 0..200_u64 {
        let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut roll = |sides: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % sides
        };
        let mut both = [elector(), Elector::new("other".to_owned(), TIMING)];
        let mut server: Option<(u64, Record)> = None;
        let mut version = 0;
        let mut halted = [0.0; 2];
        let mut seen = [0; 2];
        let mut ended = [false; 2];
        for tick in 0..600_u32 {
            let now = f64::from(tick) * 0.5;
            for (me, elector) in both.iter_mut().enumerate() {
                if ended[me] || now < halted[me] || roll(3) > 0 {
                    continue;
                }
                if roll(20) == 0 {
                    halted[me] = now + f64::from(u32::try_from(roll(30)).unwrap());
                }
                let mut step = elector.begin(at(now));
                for _ in 0..4 {
                    step = match step {
                        Step::Read => {
                            seen[me] = server.as_ref().map_or(0, |(version, _)| *version);
                            elector.read(server.clone().map(|(_, record)| record), at(now))
                        }
                        Step::Create(record) | Step::Update(record) => {
                            let current = server.as_ref().map_or(0, |(version, _)| *version);
                            if roll(10) == 0 || current != seen[me] {
                                elector.write_failed(at(now))
                            } else {
                                version += 1;
                                seen[me] = version;
                                server = Some((version, record.clone()));
                                // Sometimes the answer is lost, and sometimes late.
                                let late = f64::from(u32::try_from(roll(4)).unwrap());
                                if roll(10) == 0 {
                                    elector.write_failed(at(now))
                                } else {
                                    halted[me] = halted[me].max(now + late);
                                    elector.wrote(record, at(now).elapsed, at(now));
                                    Step::Rest
                                }
                            }
                        }
                        Step::Lost(_) => {
                            ended[me] = true;
                            break;
                        }
                        Step::Rest => break,
                    };
                }
            }
            let acts = |elector: &Elector| {
                let deadline = elector.deadline();
                deadline.is_some_and(|deadline| at(now).elapsed < deadline)
            };
            assert!(!(acts(&both[0]) && acts(&both[1])), "seed {seed}, {now} s");
            // Who has lost it comes back as a new process.
            for (me, elector) in both.iter_mut().enumerate() {
                if std::mem::take(&mut ended[me]) {
                    *elector = Elector::new(format!("{me}-{tick}"), TIMING);
                    seen[me] = 0;
                }
            }
        }
    }
}
