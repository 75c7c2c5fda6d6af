//! Which pod comes next, and when it comes back.

use super::*;

#[test]
fn priority_then_time_then_arrival() {
    let mut queue = queue();
    add(
        &mut queue,
        &[(1, 0, 5), (2, 10, 6), (3, 10, 4), (4, -1, 1), (5, 0, 5)],
    );
    assert_eq!(drain(&mut queue, 7), [3, 2, 1, 5, 4]);
}

#[test]
fn backoff_doubles_up_to_its_limit() {
    let times = Backoff::default();
    let mut pod = QueuedPod::new(PodKey(1), 0, ClassId(0), Time::from_secs(100));
    let mut waits = Vec::new();
    for failures in [0, 1, 2, 3, 4, 5, 6, 100, u32::MAX] {
        pod.rejections = failures;
        waits.push(pod.backoff_until(&times).since(pod.timestamp).as_secs());
    }
    assert_eq!(waits, [0, 1, 2, 4, 8, 10, 10, 10, 10]);
    // Consecutive errors count by themselves.
    pod.errors = 2;
    assert_eq!(pod.backoff_until(&times), Time::from_secs(102));
    // No limit no wait; an initial wait beyond the limit is the limit.
    let none = Backoff {
        max: Duration::ZERO,
        ..times
    };
    assert_eq!(pod.backoff_until(&none), pod.timestamp);
    let small = Backoff {
        max: Duration::from_millis(300),
        ..times
    };
    assert_eq!(pod.backoff_until(&small), pod.timestamp + small.max);
}

#[test]
fn errors_and_rejections_are_counted_apart() {
    let mut queue = queue();
    add(&mut queue, &[(1, 0, 0)]);
    let until = |queue: &SchedulingQueue| match queue.get(PodKey(1)).unwrap().state {
        State::ErrorBackoff(until) => until,
        other => panic!("{other:?}"),
    };
    drain(&mut queue, 0);
    queue.fail(PodKey(1), Time::from_secs(10));
    assert_eq!(until(&queue), Time::from_secs(11));
    pop_after(&mut queue, 12);
    queue.fail(PodKey(1), Time::from_secs(20));
    assert_eq!(until(&queue), Time::from_secs(22));
    pop_after(&mut queue, 24);
    // A rejection ends the row of errors.
    reject(&mut queue, PodKey(1), set(&[0]), Time::from_secs(30));
    queue.wake_one(PodKey(1), Cause::UnschedulableTimeout, Time::from_secs(40));
    assert_eq!(drain(&mut queue, 40), [1]);
    queue.fail(PodKey(1), Time::from_secs(50));
    assert_eq!(until(&queue), Time::from_secs(51));
    // No rejectors is an error.
    pop_after(&mut queue, 53);
    reject(
        &mut queue,
        PodKey(1),
        PluginSet::default(),
        Time::from_secs(60),
    );
    assert_eq!(until(&queue), Time::from_secs(62));
}

fn pop_after(queue: &mut SchedulingQueue, now: u64) {
    queue.tick(Time::from_secs(now));
    assert_eq!(drain(queue, now), [1]);
}

#[test]
fn pods_with_errors_wait_and_rejected_ones_come_early() {
    let mut queue = queue();
    add(&mut queue, &[(1, 100, 0), (2, 0, 0)]);
    drain(&mut queue, 0);
    queue.fail(PodKey(1), Time::from_secs(10));
    reject(&mut queue, PodKey(2), set(&[0]), Time::from_secs(10));
    assert!(
        !queue.has_next(),
        "one waits for an event, one for its time"
    );
    assert_eq!(queue.pop(Time::from_secs(10)), None);
    assert_eq!(queue.next_deadline(), Some(Time::from_secs(11)));
    queue.wake_one(PodKey(2), Cause::PodAdd, Time::from_secs(10));
    assert!(matches!(
        queue.get(PodKey(2)).unwrap().state,
        State::Backoff(_)
    ));
    assert!(
        queue.has_next(),
        "nothing is active, so that backoff is cut short"
    );
    assert_eq!(drain(&mut queue, 10), [2]);
    assert!(drain(&mut queue, 10).is_empty());
    queue.tick(Time::from_secs(12));
    assert_eq!(drain(&mut queue, 12), [1]);
}

#[test]
fn active_pods_come_before_those_in_backoff() {
    let mut queue = queue();
    add(&mut queue, &[(1, 100, 0)]);
    drain(&mut queue, 0);
    reject(&mut queue, PodKey(1), set(&[0]), Time::from_secs(10));
    queue.wake_one(PodKey(1), Cause::PodAdd, Time::from_secs(10));
    add(&mut queue, &[(2, 0, 10)]);
    assert_eq!(drain(&mut queue, 10), [2, 1]);
}

#[test]
fn backoff_ends_with_the_second_in_which_it_expires() {
    // Upstream flushes once a second, all that expired in the seconds before.
    let mut queue = queue();
    add(&mut queue, &[(1, 0, 0), (2, 5, 0), (3, 0, 0)]);
    drain(&mut queue, 0);
    let millis = |millis: u64| Time::from_nanos(millis * 1_000_000);
    for (key, at) in [(1, 10_100), (2, 10_900), (3, 11_100)] {
        reject(&mut queue, PodKey(key), set(&[0]), millis(at));
        queue.wake_one(PodKey(key), Cause::PodAdd, millis(at));
    }
    let backing_off = |queue: &SchedulingQueue| {
        [1, 2, 3].map(|key| matches!(queue.get(PodKey(key)).unwrap().state, State::Backoff(_)))
    };
    for (now, expected) in [
        (11_150, [true, true, true]),
        (11_999, [true, true, true]),
        (12_000, [false, false, true]),
        (12_999, [false, false, true]),
        (13_000, [false, false, false]),
    ] {
        queue.tick(millis(now));
        assert_eq!(backing_off(&queue), expected, "at {now} ms");
    }
}

#[test]
fn whoever_is_woken_in_the_second_in_which_its_backoff_ends_still_waits() {
    let mut queue = queue();
    add(&mut queue, &[(1, 0, 0)]);
    drain(&mut queue, 0);
    let millis = |millis: u64| Time::from_nanos(millis * 1_000_000);
    reject(&mut queue, PodKey(1), set(&[0]), millis(10_100));
    queue.wake_one(PodKey(1), Cause::PodAdd, millis(11_500));
    let state = queue.get(PodKey(1)).unwrap().state;
    assert_eq!(state, State::Backoff(Time::from_secs(11)));
    drain(&mut queue, 11);
    reject(&mut queue, PodKey(1), set(&[0]), millis(12_000));
    queue.wake_one(PodKey(1), Cause::PodAdd, millis(15_000));
    assert_eq!(queue.get(PodKey(1)).unwrap().state, State::Active);
}

#[test]
fn within_a_second_backoff_is_left_by_priority() {
    let mut queue = queue();
    add(&mut queue, &[(1, 0, 0), (2, 5, 0), (3, 9, 0)]);
    drain(&mut queue, 0);
    for (key, at) in [(1, 10_100), (2, 10_900), (3, 11_100)] {
        let at = Time::from_nanos(at * 1_000_000);
        reject(&mut queue, PodKey(key), set(&[0]), at);
        queue.wake_one(PodKey(key), Cause::PodAdd, at);
    }
    assert_eq!(drain(&mut queue, 11), [2, 1, 3]);
}

#[test]
fn after_five_minutes_a_pod_is_tried_again() {
    let mut queue = queue();
    add(&mut queue, &[(1, 0, 0), (2, 0, 0)]);
    drain(&mut queue, 0);
    reject(&mut queue, PodKey(1), set(&[0]), Time::from_secs(10));
    reject(&mut queue, PodKey(2), set(&[0]), Time::from_secs(40));
    assert_eq!(
        queue.next_deadline(),
        Some(Time::from_secs(40)),
        "looks every 30 s"
    );
    let mut times = Vec::new();
    for now in 11..400 {
        queue.tick(Time::from_secs(now));
        for key in drain(&mut queue, now) {
            assert!(queue.get(PodKey(key)).unwrap().flushed);
            times.push((key, now));
        }
        queue.audit();
    }
    // More than five minutes, seen at the next look.
    assert_eq!(times, [(1, 340), (2, 370)]);
}
