//! What `kubectl get` shows: objects as rows of text.
//!
//! Source: `pkg/printers/internalversion/printers.go`, `apimachinery/pkg/util/duration`.

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::query::Query;
use crate::simulator::kinds::Kind;
use crate::simulator::list::List;
use crate::simulator::store::Object;
use crate::simulator::value::{at, list, text};
use crate::simulator::watch::Frame;

/// What kubectl asks for first.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
/// A cell with nothing in it.
const NONE: &str = "<none>";

/// In which form an answer shows objects.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// As they are.
    Objects,
    /// As rows of these columns.
    Table {
        columns: &'static [Column],
        /// Whether the whole object goes with its row, and not only its metadata.
        whole: bool,
    },
}

/// A column, and what stands in it for an object.
#[derive(Debug)]
pub(super) struct Column {
    name: &'static str,
    /// Whether it is for `-o wide` only.
    wide: bool,
    cell: fn(&Value, Timestamp) -> String,
}

const fn column(name: &'static str, cell: fn(&Value, Timestamp) -> String) -> Column {
    Column {
        name,
        wide: false,
        cell,
    }
}

const fn wide(name: &'static str, cell: fn(&Value, Timestamp) -> String) -> Column {
    Column {
        name,
        wide: true,
        cell,
    }
}

const PODS: &[Column] = &[
    column("Name", name),
    column("Ready", |pod, _| {
        let ready = list(pod, &["status", "containerStatuses"]).iter();
        let ready = ready.filter(|one| one["ready"] == true).count();
        let all = list(pod, &["spec", "containers"]).len();
        format!("{ready}/{all}")
    }),
    column("Status", pod_status),
    column("Restarts", |_, _| "0".to_owned()),
    column("Age", age),
    wide("IP", |pod, _| or_none(text(pod, &["status", "podIP"]))),
    wide("Node", |pod, _| or_none(text(pod, &["spec", "nodeName"]))),
    wide("Nominated Node", |pod, _| {
        or_none(text(pod, &["status", "nominatedNodeName"]))
    }),
];

const NODES: &[Column] = &[
    column("Name", name),
    column("Status", node_status),
    column("Roles", |node, _| {
        let labels = at(node, &["metadata", "labels"]).and_then(Value::as_object);
        let labels = labels.into_iter().flatten();
        let roles: Vec<&str> = labels
            .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
            .collect();
        or_none(&roles.join(","))
    }),
    column("Age", age),
    column("Version", |node, _| {
        text(node, &["status", "nodeInfo", "kubeletVersion"]).to_owned()
    }),
];

const EVENTS: &[Column] = &[
    column("Last Seen", |event, now| {
        let times = [
            text(event, &["series", "lastObservedTime"]),
            text(event, &["deprecatedLastTimestamp"]),
            text(event, &["eventTime"]),
        ];
        let seen = times.into_iter().find(|time| !time.is_empty());
        since(seen.unwrap_or_default(), now)
    }),
    column("Type", |event, _| text(event, &["type"]).to_owned()),
    column("Reason", |event, _| text(event, &["reason"]).to_owned()),
    column("Object", |event, _| {
        let kind = text(event, &["regarding", "kind"]).to_lowercase();
        format!("{kind}/{}", text(event, &["regarding", "name"]))
    }),
    wide("Source", |event, _| {
        text(event, &["reportingController"]).to_owned()
    }),
    column("Message", |event, _| {
        text(event, &["note"]).trim().to_owned()
    }),
];

const KUBERNETES_GROUPS: &[Column] = &[
    column("Name", name),
    column("Policy", |group, _| {
        let gang = at(group, &["spec", "schedulingPolicy", "gang"]);
        gang.map_or("Basic", |_| "Gang").to_owned()
    }),
    column("Workload", |group, _| {
        or_none(text(group, &["spec", "workloadRef", "workloadName"]))
    }),
    column("Status", group_status),
    column("Age", age),
];

const SCHEDULER_PLUGINS_GROUPS: &[Column] = &[
    column("Name", name),
    column("Phase", |group, _| {
        text(group, &["status", "phase"]).to_owned()
    }),
    column("MinMember", |group, _| {
        number(group, &["spec", "minMember"])
    }),
    column("Running", |group, _| number(group, &["status", "running"])),
    column("Succeeded", |group, _| {
        number(group, &["status", "succeeded"])
    }),
    column("Failed", |group, _| number(group, &["status", "failed"])),
    column("Age", age),
];

const VOLCANO_GROUPS: &[Column] = &[
    column("Name", name),
    column("STATUS", |group, _| {
        text(group, &["status", "phase"]).to_owned()
    }),
    column("minMember", |group, _| {
        number(group, &["spec", "minMember"])
    }),
    column("RUNNINGS", |group, _| number(group, &["status", "running"])),
    column("AGE", age),
];

fn columns(kind: &Kind) -> Option<&'static [Column]> {
    match kind.plural {
        "pods" => Some(PODS),
        "nodes" => Some(NODES),
        "events" => Some(EVENTS),
        "podgroups" => Some(match kind.group {
            "scheduling.k8s.io" => KUBERNETES_GROUPS,
            "scheduling.x-k8s.io" => SCHEDULER_PLUGINS_GROUPS,
            _ => VOLCANO_GROUPS,
        }),
        // kubectl makes a table of its own, of names and ages.
        _ => None,
    }
}

impl Form {
    /// The form that is asked for.
    pub(super) fn asked(kind: &Kind, headers: &HeaderMap, query: &Query) -> Self {
        let accept = headers.get(header::ACCEPT);
        let accept = accept.and_then(|accept| accept.to_str().ok());
        let wanted = accept.is_some_and(|accept| accept.contains(TABLE));
        match columns(kind).filter(|_| wanted) {
            Some(columns) => Self::Table {
                columns,
                whole: query.get("includeObject") == "Object",
            },
            None => Self::Objects,
        }
    }

    pub(super) fn object(self, kind: &Kind, object: &Object) -> String {
        match self {
            Self::Objects => object.text(kind).into_owned(),
            Self::Table { .. } => self.table(kind, [object], json!({})),
        }
    }

    pub(super) fn list(self, kind: &Kind, list: &List) -> String {
        match self {
            Self::Objects => list.text(),
            Self::Table { .. } => {
                let mut metadata = json!({ "resourceVersion": list.version.to_string() });
                if let Some(token) = &list.continue_token {
                    metadata["continue"] = json!(token);
                }
                if let Some(remaining) = list.remaining {
                    metadata["remainingItemCount"] = json!(remaining);
                }
                self.table(kind, list.items.iter().map(|item| &**item), metadata)
            }
        }
    }

    pub(super) fn frame(self, kind: &Kind, frame: &Frame) -> String {
        match (self, frame) {
            (Self::Table { .. }, Frame::Event(word, object)) => {
                let table = self.object(kind, object);
                format!("{{\"type\":\"{word}\",\"object\":{table}}}\n")
            }
            _ => frame.text(kind),
        }
    }

    fn table<'a>(
        self,
        kind: &Kind,
        objects: impl IntoIterator<Item = &'a Object>,
        metadata: Value,
    ) -> String {
        let Self::Table { columns, whole } = self else {
            return String::new();
        };
        let now = Timestamp::now();
        let rows = objects.into_iter().map(|object| {
            let value = object.value();
            let cells: Vec<_> = (columns.iter())
                .map(|column| (column.cell)(value, now))
                .collect();
            let shown = if whole {
                serde_json::from_str(&object.text(kind)).unwrap_or_default()
            } else {
                json!({
                    "kind": "PartialObjectMetadata",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": value.get("metadata"),
                })
            };
            json!({ "cells": cells, "object": shown })
        });
        let rows: Vec<Value> = rows.collect();
        let definitions = columns.iter().map(|column| {
            json!({
                "name": column.name,
                "type": "string",
                "format": if column.name == "Name" { "name" } else { "" },
                "description": "",
                "priority": u8::from(column.wide),
            })
        });
        let definitions: Vec<Value> = definitions.collect();
        let table = json!({
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "columnDefinitions": definitions,
            "rows": rows,
        });
        table.to_string()
    }
}

fn name(object: &Value, _: Timestamp) -> String {
    text(object, &["metadata", "name"]).to_owned()
}

fn or_none(text: &str) -> String {
    if text.is_empty() { NONE } else { text }.to_owned()
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let mut conditions = list(object, &["status", "conditions"]).iter();
    conditions.find(|one| one["type"] == kind)
}

fn pod_status(pod: &Value, _: Timestamp) -> String {
    if at(pod, &["metadata", "deletionTimestamp"]).is_some() {
        return "Terminating".to_owned();
    }
    let gated =
        condition(pod, "PodScheduled").is_some_and(|one| one["reason"] == "SchedulingGated");
    let reason = text(pod, &["status", "reason"]);
    match reason {
        "" if gated => "SchedulingGated".to_owned(),
        "" => text(pod, &["status", "phase"]).to_owned(),
        _ => reason.to_owned(),
    }
}

fn group_status(group: &Value, _: Timestamp) -> String {
    if let Some(disrupted) = condition(group, "DisruptionTarget") {
        return text(disrupted, &["reason"]).to_owned();
    }
    let status = match condition(group, "PodGroupInitiallyScheduled") {
        Some(condition) if condition["status"] == "True" => "Scheduled",
        Some(_) => "Unschedulable",
        None => "Pending",
    };
    status.to_owned()
}

fn number(object: &Value, path: &[&str]) -> String {
    at(object, path)
        .and_then(Value::as_i64)
        .map_or_else(String::new, |number| number.to_string())
}

fn node_status(node: &Value, _: Timestamp) -> String {
    let ready = match condition(node, "Ready") {
        Some(condition) if condition["status"] == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    match at(node, &["spec", "unschedulable"]) {
        Some(Value::Bool(true)) => format!("{ready},SchedulingDisabled"),
        _ => ready.to_owned(),
    }
}

fn age(object: &Value, now: Timestamp) -> String {
    since(text(object, &["metadata", "creationTimestamp"]), now)
}

fn since(time: &str, now: Timestamp) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => human(now.as_second() - time.as_second()),
        Err(_) => "<unknown>".to_owned(),
    }
}

/// A number of seconds in at most two units.
pub(super) fn human(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let two = |whole: i64, unit: char, part: i64, smaller: char| match part {
        0 => format!("{whole}{unit}"),
        _ => format!("{whole}{unit}{part}{smaller}"),
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..=0 => "0s".to_owned(),
        1..120 => format!("{seconds}s"),
        120..600 => two(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, 'd', hours % 24, 'h'),
        _ => format!("{days}d"),
    }
}
