//! Who would be evicted for whom, in the report.

use std::fmt::Write as _;

use serde::Serialize;

use super::report::{Style, columns};
use crate::engine::Preemption;
use crate::telemetry::metrics::Preemptor;

/// A preemption.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PreemptionLine {
    pub(super) preemptor: PreemptorName,
    /// `pod` or `gang`.
    pub(super) kind: &'static str,
    /// The nodes that it is nominated to, each once.
    pub(super) nodes: Vec<String>,
    /// The most important first.
    pub(super) victims: Vec<VictimLine>,
    /// How many of them a budget protects.
    pub(super) budget_violations: usize,
}

/// The pod or the group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct PreemptorName {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// A pod that would be evicted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct VictimLine {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) node: String,
    pub(super) priority: i32,
    /// Its group, in its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gang: Option<String>,
}

impl PreemptionLine {
    pub(super) fn new(preemption: &Preemption) -> Self {
        let victims = preemption.victims.iter().map(|victim| VictimLine {
            namespace: (&*victim.pod.namespace).into(),
            name: (&*victim.pod.name).into(),
            node: (&*victim.node).into(),
            priority: victim.priority,
            gang: victim.group.as_ref().map(|group| (&*group.name).into()),
        });
        Self {
            preemptor: PreemptorName {
                namespace: (&*preemption.namespace).into(),
                name: (&*preemption.name).into(),
            },
            kind: match preemption.kind {
                Preemptor::Pod => "pod",
                Preemptor::PodGroup => "gang",
            },
            nodes: (preemption.nodes.iter())
                .map(|node| (**node).into())
                .collect(),
            victims: victims.collect(),
            budget_violations: preemption.violations,
        }
    }

    fn row(&self) -> Vec<String> {
        let victims: Vec<_> = self.victims.iter().map(VictimLine::text).collect();
        vec![
            format!("{}/{}", self.preemptor.namespace, self.preemptor.name),
            self.kind.to_owned(),
            self.nodes.join(","),
            victims.join(", "),
        ]
    }
}

impl VictimLine {
    fn text(&self) -> String {
        let of_gang = (self.gang.as_ref())
            .map(|gang| format!(", gang {gang}"))
            .unwrap_or_default();
        let (namespace, name) = (&self.namespace, &self.name);
        format!("{namespace}/{name} ({}{of_gang})", self.priority)
    }
}

/// The table of the preemptions, and what they come to.
pub(super) fn table(preemptions: &[PreemptionLine], style: Style, text: &mut String) {
    let head = ["PREEMPTOR", "KIND", "NODE", "VICTIMS (PRIORITY)"];
    let rows = preemptions.iter().map(PreemptionLine::row);
    let lines = columns(head.map(str::to_owned).into(), rows);
    for (index, line) in lines.into_iter().enumerate() {
        let line = if index == 0 {
            line
        } else {
            style.paint(line, "33")
        };
        let _ = writeln!(text, "{line}");
    }
    // Several may wait for the same pod to go.
    let mut victims: Vec<_> = (preemptions.iter())
        .flat_map(|preemption| &preemption.victims)
        .map(|victim| (&victim.namespace, &victim.name))
        .collect();
    victims.sort_unstable();
    victims.dedup();
    let noun =
        |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let _ = write!(text, "\n{} would be evicted", noun(victims.len(), "pod"));
    let protected: usize = (preemptions.iter())
        .map(|preemption| preemption.budget_violations)
        .sum();
    if protected > 0 {
        let _ = write!(text, ", {protected} of them against a PodDisruptionBudget");
    }
    let _ = writeln!(text, "\n");
}
