//! How a group fares, in the words of the API that describes it.
//!
//! | | Kubernetes | scheduler-plugins | Volcano |
//! |---|---|---|---|
//! | Incomplete | Unschedulable | Pending | Inqueue, NotEnoughTasks |
//! | Unschedulable | Unschedulable | Scheduling | Inqueue, NotEnoughResources |
//! | Invalid | SchedulerError | Scheduling | Inqueue, SchedulerError |
//! | Scheduled | Scheduled | Running | Running, Scheduled |
//! | Degraded | as it was, and GangDegraded | Scheduling | Unknown, NotEnoughResources |
//!
//! Controllers of Volcano make the pods of a group once it is Inqueue, so that it is that at once.

use serde_json::{Value, json};

use super::STRATEGIC;
use crate::api;
use crate::engine::{GroupPhase, GroupStatus};
use crate::model::{Dialect, PodGroup, StoredCondition, StoredGroupStatus};

/// Where the status is written. Volcano's resource has none of its own for it.
pub(super) fn path(group: &PodGroup) -> String {
    let reference = &group.reference;
    let status = match reference.dialect {
        Dialect::Volcano => "",
        _ => "/status",
    };
    format!(
        "/apis/{}/{}/namespaces/{}/podgroups/{}{status}",
        reference.dialect.api_group(),
        group.api_version,
        reference.namespace,
        reference.name,
    )
}

/// Custom resources know no strategic merge.
pub(super) fn content_type(group: &PodGroup) -> &'static str {
    match group.reference.dialect {
        Dialect::Kubernetes => STRATEGIC,
        _ => "application/merge-patch+json",
    }
}

/// The group as the server showed it when it answered.
pub(super) fn read(based_on: &PodGroup, answer: &[u8]) -> Option<PodGroup> {
    let group: api::PodGroup = serde_json::from_slice(answer).ok()?;
    let dialect = based_on.reference.dialect;
    Some(PodGroup::compile(dialect, based_on.api_version, &group))
}

/// The patch, with the uid so that it cannot hit another object; None when it would change nothing.
pub(super) fn body(group: &PodGroup, status: &GroupStatus, now: jiff::Timestamp) -> Option<Value> {
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let changed = match group.reference.dialect {
        Dialect::Kubernetes => kubernetes(group, status, &now),
        Dialect::SchedulerPlugins => counted(&group.stored, status, PLUGINS, None),
        Dialect::Volcano => {
            let conditions = volcano(&group.stored, status, &now);
            counted(&group.stored, status, VOLCANO, conditions)
        }
        Dialect::Koordinator | Dialect::Lightweight => None,
    }?;
    Some(json!({ "metadata": { "uid": &*group.uid }, "status": changed }))
}

/// Conditions that are merged by their type.
fn kubernetes(group: &PodGroup, status: &GroupStatus, now: &str) -> Option<Value> {
    let StoredGroupStatus {
        scheduled, trouble, ..
    } = &group.stored;
    let condition = |stored: &Option<StoredCondition>, kind, holds, reason, message: &str| {
        let same = stored.as_ref().is_some_and(|stored| {
            stored.holds == holds
                && &*stored.reason == reason
                && &*stored.message == message
                && stored.observed_generation == group.generation
        });
        if same {
            return None;
        }
        let mut condition = json!({
            "type": kind,
            "status": if holds { "True" } else { "False" },
            "reason": reason,
            "message": message,
        });
        if let Some(generation) = group.generation {
            condition["observedGeneration"] = json!(generation);
        }
        if (stored.as_ref()).is_none_or(|stored| stored.holds != holds) {
            condition["lastTransitionTime"] = json!(now);
        }
        Some(condition)
    };
    let kind = match group.api_version {
        "v1alpha2" => "PodGroupScheduled",
        _ => "PodGroupInitiallyScheduled",
    };
    let initially = match status.phase {
        GroupPhase::Scheduled => condition(scheduled, kind, true, "Scheduled", ""),
        // Once True it stays so, whatever becomes of the pods: so the API says.
        _ if scheduled.as_ref().is_some_and(|stored| stored.holds) => None,
        phase => {
            let reason = match phase {
                GroupPhase::Invalid => "SchedulerError",
                _ => "Unschedulable",
            };
            condition(scheduled, kind, false, reason, &status.message)
        }
    };
    const DEGRADED: &str = "GangDegraded";
    let degraded = match status.phase {
        GroupPhase::Degraded => {
            condition(trouble, DEGRADED, true, "TooFewMembers", &status.message)
        }
        _ if !trouble.as_ref().is_some_and(|stored| stored.holds) => None,
        GroupPhase::Scheduled => condition(trouble, DEGRADED, false, "EnoughMembers", ""),
        _ => condition(trouble, DEGRADED, false, "Unschedulable", &status.message),
    };
    let conditions: Vec<_> = [initially, degraded].into_iter().flatten().collect();
    (!conditions.is_empty()).then(|| json!({ "conditions": conditions }))
}

/// The phases of a dialect.
struct Phases {
    incomplete: &'static str,
    unschedulable: &'static str,
    scheduled: &'static str,
    degraded: &'static str,
    /// Others write these, when the pods have ended. Only new pods lead out of them.
    ended: &'static [&'static str],
}

const PLUGINS: Phases = Phases {
    incomplete: "Pending",
    unschedulable: "Scheduling",
    scheduled: "Running",
    degraded: "Scheduling",
    ended: &["Finished", "Failed"],
};

const VOLCANO: Phases = Phases {
    incomplete: "Inqueue",
    unschedulable: "Inqueue",
    scheduled: "Running",
    degraded: "Unknown",
    ended: &["Completed"],
};

/// A phase, how many pods run, and perhaps conditions.
fn counted(
    stored: &StoredGroupStatus,
    status: &GroupStatus,
    phases: Phases,
    conditions: Option<Value>,
) -> Option<Value> {
    let phase = match status.phase {
        GroupPhase::Incomplete => phases.incomplete,
        GroupPhase::Unschedulable | GroupPhase::Invalid => phases.unschedulable,
        GroupPhase::Scheduled => phases.scheduled,
        GroupPhase::Degraded => phases.degraded,
    };
    let fewer = matches!(status.phase, GroupPhase::Incomplete | GroupPhase::Degraded);
    if fewer && phases.ended.contains(&&*stored.phase) {
        return None;
    }
    let same = &*stored.phase == phase && stored.running == i64::from(status.running);
    if same && conditions.is_none() {
        return None;
    }
    let mut changed = json!({ "phase": phase, "running": status.running });
    if let Some(conditions) = conditions {
        changed["conditions"] = conditions;
    }
    Some(changed)
}

/// Conditions that take the place of those that are there, since a merge patch replaces a list;
/// Volcano has no others. None when they are there already.
fn volcano(stored: &StoredGroupStatus, status: &GroupStatus, now: &str) -> Option<Value> {
    let wanted = |kind, stored: &Option<StoredCondition>, reason: &str, message: &str| {
        let held = stored.as_ref().filter(|stored| stored.holds);
        let same = held.is_some_and(|held| &*held.reason == reason && &*held.message == message);
        let since = held.map_or(now, |held| &*held.since);
        let condition = json!({
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": message,
            "lastTransitionTime": if since.is_empty() { now } else { since },
        });
        (condition, same)
    };
    let scheduled = || {
        let reason = "tasks in gang are ready to be scheduled";
        wanted("Scheduled", &stored.scheduled, reason, "")
    };
    let unschedulable = |reason| wanted("Unschedulable", &stored.trouble, reason, &status.message);
    let was_scheduled = stored.scheduled.as_ref().is_some_and(|stored| stored.holds);
    let conditions = match status.phase {
        GroupPhase::Scheduled => vec![scheduled()],
        GroupPhase::Incomplete => vec![unschedulable("NotEnoughTasks")],
        GroupPhase::Unschedulable => vec![unschedulable("NotEnoughResources")],
        GroupPhase::Invalid => vec![unschedulable("SchedulerError")],
        GroupPhase::Degraded if was_scheduled => {
            vec![scheduled(), unschedulable("NotEnoughResources")]
        }
        GroupPhase::Degraded => vec![unschedulable("NotEnoughResources")],
    };
    let held = usize::from(stored.scheduled.is_some()) + usize::from(stored.trouble.is_some());
    if held == conditions.len() && conditions.iter().all(|(_, same)| *same) {
        return None;
    }
    Some(
        conditions
            .into_iter()
            .map(|(condition, _)| condition)
            .collect(),
    )
}

#[cfg(test)]
mod tests;
