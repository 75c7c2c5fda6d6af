//! What is written for each dialect, and when nothing is.

#![allow(clippy::unwrap_used)]

use super::*;

const NOW: jiff::Timestamp = jiff::Timestamp::UNIX_EPOCH;
const THEN: &str = "1960-01-01T00:00:00Z";

fn group(dialect: Dialect, version: &'static str, status: &Value) -> PodGroup {
    let metadata = json!({ "namespace": "n", "name": "g", "uid": "u", "generation": 2 });
    let object = json!({ "metadata": metadata, "status": status });
    PodGroup::compile(dialect, version, &serde_json::from_value(object).unwrap())
}

/// What is written into the status.
fn written(dialect: Dialect, version: &'static str, stored: &Value, phase: GroupPhase) -> Value {
    let status = GroupStatus {
        phase,
        running: 3,
        message: match phase {
            GroupPhase::Scheduled => "".into(),
            _ => "why".into(),
        },
    };
    match body(&group(dialect, version, stored), &status, NOW) {
        Some(mut body) => {
            assert_eq!(body["metadata"], json!({ "uid": "u" }));
            body["status"].take()
        }
        None => Value::Null,
    }
}

const ALL: [GroupPhase; 5] = [
    GroupPhase::Incomplete,
    GroupPhase::Unschedulable,
    GroupPhase::Invalid,
    GroupPhase::Scheduled,
    GroupPhase::Degraded,
];

/// Nothing is written twice, whatever was there before.
#[test]
fn what_was_written_is_not_written_again() {
    for (dialect, version) in [
        (Dialect::Kubernetes, "v1beta1"),
        (Dialect::Kubernetes, "v1alpha2"),
        (Dialect::SchedulerPlugins, "v1alpha1"),
        (Dialect::Volcano, "v1beta1"),
    ] {
        for before in ALL {
            for after in ALL {
                let first = written(dialect, version, &json!({}), before);
                let mut stored = first.clone();
                let second = written(dialect, version, &stored, after);
                // As the server merges it.
                for (key, value) in second.as_object().into_iter().flatten() {
                    let merged = dialect == Dialect::Kubernetes && key == "conditions";
                    if !merged {
                        stored[key] = value.clone();
                        continue;
                    }
                    let held = stored[key].as_array_mut().unwrap();
                    for condition in value.as_array().unwrap() {
                        match held
                            .iter_mut()
                            .find(|held| held["type"] == condition["type"])
                        {
                            Some(held) => {
                                let fields = condition.as_object().unwrap().clone();
                                held.as_object_mut().unwrap().extend(fields);
                            }
                            None => held.push(condition.clone()),
                        }
                    }
                }
                let third = written(dialect, version, &stored, after);
                assert_eq!(
                    third,
                    Value::Null,
                    "{dialect:?} {before:?} {after:?} {stored}"
                );
            }
        }
    }
}

#[test]
fn kubernetes_groups_have_conditions() {
    let stored = |status: &str, reason: &str, message: &str, generation: i64| {
        json!({
            "type": "PodGroupInitiallyScheduled", "status": status, "reason": reason,
            "message": message, "observedGeneration": generation, "lastTransitionTime": THEN,
        })
    };
    let degraded = |status: &str| {
        json!({
            "type": "GangDegraded", "status": status, "reason": "TooFewMembers", "message": "why",
            "observedGeneration": 2, "lastTransitionTime": THEN,
        })
    };
    // A condition as type, status, reason, message, and whether its transition time is now.
    let check = |stored: &[Value], phase, expected: &[(&str, &str, &str, &str, bool)]| {
        let status = json!({ "conditions": stored });
        let written = written(Dialect::Kubernetes, "v1beta1", &status, phase);
        let expected: Vec<_> = (expected.iter())
            .map(|(kind, status, reason, message, now)| {
                let mut condition = json!({
                    "type": kind, "status": status, "reason": reason, "message": message,
                    "observedGeneration": 2,
                });
                if *now {
                    condition["lastTransitionTime"] = json!("1970-01-01T00:00:00Z");
                }
                condition
            })
            .collect();
        let expected = match expected.is_empty() {
            true => Value::Null,
            false => json!({ "conditions": expected }),
        };
        assert_eq!(written, expected, "{stored:?} {phase:?}");
    };
    const INITIALLY: &str = "PodGroupInitiallyScheduled";
    for (phase, reason) in [
        (GroupPhase::Incomplete, "Unschedulable"),
        (GroupPhase::Unschedulable, "Unschedulable"),
        (GroupPhase::Invalid, "SchedulerError"),
    ] {
        let refused = |now| (INITIALLY, "False", reason, "why", now);
        check(&[], phase, &[refused(true)]);
        // The time of the transition stays; a new generation is told.
        check(
            &[stored("False", reason, "old", 2)],
            phase,
            &[refused(false)],
        );
        check(
            &[stored("False", reason, "why", 1)],
            phase,
            &[refused(false)],
        );
        check(&[stored("False", reason, "why", 2)], phase, &[]);
        // Whatever becomes of the pods of a group that was placed once.
        check(&[stored("True", "Scheduled", "", 1)], phase, &[]);
        let recovered = ("GangDegraded", "False", "Unschedulable", "why", true);
        let once = stored("True", "Scheduled", "", 2);
        check(&[once.clone(), degraded("True")], phase, &[recovered]);
        check(&[once, degraded("False")], phase, &[]);
    }
    let placed = |now| (INITIALLY, "True", "Scheduled", "", now);
    check(&[], GroupPhase::Scheduled, &[placed(true)]);
    let refused = || stored("False", "Unschedulable", "why", 2);
    check(&[refused()], GroupPhase::Scheduled, &[placed(true)]);
    let once = || stored("True", "Scheduled", "", 2);
    check(&[once()], GroupPhase::Scheduled, &[]);
    let older = stored("True", "Scheduled", "", 1);
    check(&[older], GroupPhase::Scheduled, &[placed(false)]);
    let enough = ("GangDegraded", "False", "EnoughMembers", "", true);
    check(
        &[once(), degraded("True")],
        GroupPhase::Scheduled,
        &[enough],
    );
    let few = |now| ("GangDegraded", "True", "TooFewMembers", "why", now);
    check(&[once()], GroupPhase::Degraded, &[few(true)]);
    check(&[once(), degraded("True")], GroupPhase::Degraded, &[]);
    check(
        &[once(), degraded("False")],
        GroupPhase::Degraded,
        &[few(true)],
    );
    // A part was bound, and it never was whole.
    check(&[refused()], GroupPhase::Degraded, &[few(true)]);
}

#[test]
fn the_condition_had_another_name_before() {
    let written = written(
        Dialect::Kubernetes,
        "v1alpha2",
        &json!({}),
        GroupPhase::Scheduled,
    );
    assert_eq!(written["conditions"][0]["type"], "PodGroupScheduled");
}

#[test]
fn groups_of_scheduler_plugins_have_a_phase() {
    let check = |stored: &str, running: u32, phase, expected: Option<&str>| {
        let status = json!({ "phase": stored, "running": running });
        let written = written(Dialect::SchedulerPlugins, "v1alpha1", &status, phase);
        let expected = expected.map(|phase| json!({ "phase": phase, "running": 3 }));
        assert_eq!(written, expected.unwrap_or_default(), "{status} {phase:?}");
    };
    for (phase, name) in [
        (GroupPhase::Incomplete, "Pending"),
        (GroupPhase::Unschedulable, "Scheduling"),
        (GroupPhase::Invalid, "Scheduling"),
        (GroupPhase::Scheduled, "Running"),
        (GroupPhase::Degraded, "Scheduling"),
    ] {
        check("", 0, phase, Some(name));
        check(name, 3, phase, None);
        check(name, 2, phase, Some(name));
    }
    for ended in ["Finished", "Failed"] {
        check(ended, 1, GroupPhase::Incomplete, None);
        check(ended, 1, GroupPhase::Degraded, None);
        check(ended, 1, GroupPhase::Unschedulable, Some("Scheduling"));
        check(ended, 1, GroupPhase::Scheduled, Some("Running"));
    }
}

#[test]
fn groups_of_volcano_have_a_phase_and_conditions() {
    const READY: &str = "tasks in gang are ready to be scheduled";
    let condition = |kind: &str, reason: &str, message: &str, since: &str| {
        json!({
            "type": kind, "status": "True", "reason": reason, "message": message,
            "lastTransitionTime": since,
        })
    };
    let now = "1970-01-01T00:00:00Z";
    let scheduled = |since| condition("Scheduled", READY, "", since);
    let refused = |reason, since| condition("Unschedulable", reason, "why", since);
    let check = |stored: &[Value], phase, name: &str, expected: &[Value]| {
        let status = json!({ "phase": "Pending", "running": 3, "conditions": stored });
        let written = written(Dialect::Volcano, "v1beta1", &status, phase);
        let expected = json!({ "phase": name, "running": 3, "conditions": expected });
        assert_eq!(written, expected, "{stored:?} {phase:?}");
    };
    for (phase, reason) in [
        (GroupPhase::Incomplete, "NotEnoughTasks"),
        (GroupPhase::Unschedulable, "NotEnoughResources"),
        (GroupPhase::Invalid, "SchedulerError"),
    ] {
        check(&[], phase, "Inqueue", &[refused(reason, now)]);
        // A new run of pods needs to be whole again.
        check(
            &[scheduled(THEN)],
            phase,
            "Inqueue",
            &[refused(reason, now)],
        );
        let other = condition("Unschedulable", "other", "other", THEN);
        check(&[other], phase, "Inqueue", &[refused(reason, THEN)]);
    }
    let (resources, tasks) = ("NotEnoughResources", "NotEnoughTasks");
    check(&[], GroupPhase::Scheduled, "Running", &[scheduled(now)]);
    let before = [refused(tasks, THEN)];
    check(&before, GroupPhase::Scheduled, "Running", &[scheduled(now)]);
    let both = [scheduled(THEN), refused(resources, now)];
    check(&[scheduled(THEN)], GroupPhase::Degraded, "Unknown", &both);
    check(
        &[],
        GroupPhase::Degraded,
        "Unknown",
        &[refused(resources, now)],
    );
    // Volcano's own writer leaves times out as null.
    let mut timeless = scheduled(THEN);
    timeless["lastTransitionTime"] = Value::Null;
    check(
        &[timeless],
        GroupPhase::Degraded,
        "Unknown",
        &[scheduled(now), both[1].clone()],
    );

    let ended = json!({ "phase": "Completed", "running": 0 });
    let after = |phase| written(Dialect::Volcano, "v1beta1", &ended, phase);
    assert_eq!(after(GroupPhase::Incomplete), Value::Null);
    assert_eq!(after(GroupPhase::Unschedulable)["phase"], "Inqueue");
}
