//! Which event wakes whom, and that a pod that is gone is gone everywhere.

use super::*;

#[test]
fn a_group_is_asked_once_and_wakes_together() {
    let mut queue = queue();
    for key in 1..=6 {
        queue.add(
            PodKey(key),
            0,
            ClassId((key % 2) as u32),
            PluginSet::default(),
            Time::ZERO,
        );
    }
    drain(&mut queue, 0);
    for key in 1..=6 {
        let rejectors = if key < 5 { set(&[1]) } else { set(&[1, 3]) };
        reject(&mut queue, PodKey(key), rejectors, Time::from_secs(1));
    }
    let mut asked = Vec::new();
    node_comes(&mut queue, 60, |group| {
        asked.push((group.class, group.rejectors));
        group.class == ClassId(1) && group.rejectors == set(&[1])
    });
    asked.sort();
    let mut groups = vec![
        (ClassId(0), set(&[1])),
        (ClassId(0), set(&[1, 3])),
        (ClassId(1), set(&[1])),
        (ClassId(1), set(&[1, 3])),
    ];
    groups.sort();
    assert_eq!(asked, groups);
    assert_eq!(drain(&mut queue, 60), [1, 3]);
    queue.audit();
}

#[test]
fn events_wake_only_the_unschedulable() {
    let mut queue = queue();
    add(&mut queue, &[(1, 0, 0), (2, 0, 0)]);
    queue.add(PodKey(3), 0, ClassId(0), set(&[0]), Time::ZERO);
    assert_eq!(queue.pop(Time::ZERO), Some(PodKey(1)));
    assert_eq!(queue.pop(Time::ZERO), Some(PodKey(2)));
    queue.fail(PodKey(2), Time::ZERO);
    node_comes(&mut queue, 60, |_| true);
    for key in [1, 2, 3] {
        queue.wake_one(PodKey(key), Cause::PodAdd, Time::from_secs(60));
    }
    assert_eq!(queue.get(PodKey(1)).unwrap().state, State::InFlight);
    assert!(matches!(
        queue.get(PodKey(2)).unwrap().state,
        State::ErrorBackoff(_)
    ));
    assert_eq!(queue.get(PodKey(3)).unwrap().state, State::Gated);
}

#[test]
fn a_gated_pod_enters_when_its_gates_are_gone() {
    let mut queue = queue();
    queue.add(PodKey(1), 0, ClassId(0), set(&[0]), Time::from_secs(1));
    add(&mut queue, &[(2, 0, 2)]);
    assert_eq!(queue.get(PodKey(1)).unwrap().first_attempt, None);
    assert_eq!(drain(&mut queue, 3), [2]);
    queue.ungate(PodKey(2), Cause::PodAdd, Time::from_secs(3));
    assert_eq!(queue.get(PodKey(2)).unwrap().state, State::InFlight);
    queue.ungate(PodKey(1), Cause::PodAdd, Time::from_secs(4));
    let first = queue.get(PodKey(1)).unwrap().first_attempt;
    assert_eq!(first, Some(Time::from_secs(4)));
    assert_eq!(drain(&mut queue, 5), [1]);
}

#[test]
fn a_removed_pod_is_nowhere() {
    for place in 0..6 {
        let mut queue = queue();
        let held_by = if place == 5 { set(&[0]) } else { set(&[]) };
        queue.add(PodKey(1), 0, ClassId(0), held_by, Time::ZERO);
        if place > 0 {
            queue.pop(Time::ZERO);
        }
        match place {
            2 => queue.fail(PodKey(1), Time::ZERO),
            3 | 4 => reject(&mut queue, PodKey(1), set(&[2]), Time::ZERO),
            _ => {}
        }
        if place == 4 {
            queue.wake_one(PodKey(1), Cause::PodAdd, Time::ZERO);
        }
        let state = queue.get(PodKey(1)).unwrap().state;
        assert!(queue.remove(PodKey(1)).is_some());
        queue.audit();
        assert!(queue.is_empty() && !queue.has_next(), "{state:?}");
        queue.tick(Time::from_secs(1000));
        node_comes(&mut queue, 1000, |_| true);
        assert_eq!(queue.pop(Time::from_secs(1000)), None, "{state:?}");
        assert!(queue.remove(PodKey(1)).is_none());
    }
}

#[test]
fn a_new_class_moves_nobody() {
    let mut queue = queue();
    add(&mut queue, &[(1, 0, 0), (2, 0, 0)]);
    let set_class = |queue: &mut SchedulingQueue, key, class| {
        queue.set_class(PodKey(key), ClassId(class), PeerId::default(), |_| {
            vec![NODES]
        });
    };
    set_class(&mut queue, 1, 7);
    assert_eq!(drain(&mut queue, 0), [1, 2]);
    set_class(&mut queue, 2, 7);
    reject(&mut queue, PodKey(1), set(&[1]), Time::ZERO);
    set_class(&mut queue, 1, 8);
    queue.audit();
    node_comes(&mut queue, 9, |group| group.class == ClassId(8));
    assert_eq!(drain(&mut queue, 9), [1]);
}

#[test]
fn rejectors_are_forgotten_once_and_not_while_the_pod_waits() {
    let mut queue = queue();
    add(&mut queue, &[(1, 0, 0)]);
    drain(&mut queue, 0);
    reject(&mut queue, PodKey(1), set(&[1, 4]), Time::ZERO);
    assert_eq!(queue.take_rejectors(PodKey(1)), set(&[1, 4]));
    assert_eq!(
        queue.take_rejectors(PodKey(1)),
        set(&[1, 4]),
        "its group needs them"
    );
    queue.wake_one(PodKey(1), Cause::PodAdd, Time::from_secs(60));
    assert_eq!(drain(&mut queue, 60), [1]);
    assert_eq!(queue.take_rejectors(PodKey(1)), set(&[1, 4]));
    assert!(queue.take_rejectors(PodKey(1)).is_empty());
    assert_eq!(queue.get(PodKey(1)).unwrap().attempts, 2);
}

#[test]
fn only_groups_that_listen_are_asked() {
    let mut queue = queue();
    let heard = [
        vec![NODES],
        vec![NODES, Topic::node_label("zone")],
        vec![Topic::kept_off("app", "web")],
        vec![],
    ];
    for (key, topics) in (0..).zip(&heard) {
        queue.add(PodKey(key), 0, ClassId(key as u32), set(&[]), Time::ZERO);
        queue.pop(Time::ZERO);
        let peers = PeerId::default();
        queue.reject(PodKey(key), set(&[1]), peers, Time::ZERO, |_| {
            topics.clone()
        });
    }
    for (topics, listeners) in [
        (vec![NODES], vec![0, 1]),
        (vec![Topic::node_label("zone")], vec![1]),
        (vec![NODES, Topic::node_label("zone")], vec![0, 1]),
        (vec![Topic::kept_off("app", "db")], vec![]),
        (vec![Topic::kept_off("app", "web")], vec![2]),
        (vec![Topic::AnyKeptOff], vec![]),
    ] {
        let mut asked = Vec::new();
        queue.wake(
            EventKind::NodeAdd,
            &topics,
            Audience::up_to(i32::MAX),
            Time::ZERO,
            |group| {
                asked.push(group.class.0);
                false
            },
        );
        assert_eq!(asked, listeners, "{topics:?}");
    }
    queue.audit();
}

#[test]
fn an_event_may_be_for_lower_priorities_alone() {
    let mut queue = queue();
    add(&mut queue, &[(1, 5, 0), (2, 6, 0), (3, 4, 0)]);
    assert_eq!(drain(&mut queue, 0), [2, 1, 3]);
    for key in 1..=3 {
        reject(&mut queue, PodKey(key), set(&[1]), Time::ZERO);
    }
    let now = Time::from_secs(60);
    queue.wake(
        EventKind::AssignedPodDelete,
        &[NODES],
        Audience::up_to(5),
        now,
        |_| true,
    );
    assert_eq!(drain(&mut queue, 60), [1, 3]);
    assert_eq!(queue.get(PodKey(2)).unwrap().state, State::Unschedulable);
    queue.audit();
}

/// Who waits for victims of its own is spared the room of others', but not for ever.
#[test]
fn who_waits_for_victims_is_asked_later() {
    let mut queue = queue();
    add(&mut queue, &[(1, 0, 0), (2, 0, 0), (3, 0, 0)]);
    drain(&mut queue, 0);
    for key in 1..=3 {
        reject(&mut queue, PodKey(key), set(&[1]), Time::from_secs(1));
        queue.hold(PodKey(key), key > 1);
    }
    let but_held = Audience {
        but_held: true,
        ..Audience::up_to(i32::MAX)
    };
    for second in [60, 63] {
        let now = Time::from_secs(second);
        queue.wake(EventKind::NodeAdd, &[NODES], but_held, now, |_| true);
    }
    assert_eq!(drain(&mut queue, 63), [1]);
    // The second one's victims are gone in time, and nothing is left to ask it for.
    queue.hold(PodKey(2), false);
    queue.tick(Time::from_secs(64));
    assert_eq!(queue.next_deadline(), Some(Time::from_secs(65)));
    assert!(drain(&mut queue, 64).is_empty());
    queue.tick(Time::from_secs(65));
    assert_eq!(drain(&mut queue, 65), [3]);
    queue.audit();
}
