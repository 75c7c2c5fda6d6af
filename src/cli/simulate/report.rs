//! What came of a simulation, for people and for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::IsTerminal;

use serde::{Serialize, Serializer};

use super::preemptions::{self, PreemptionLine};
use crate::cli::terminal;

/// Between two columns.
const GAP: &str = "   ";

/// The report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Report {
    /// The pods in the order in which they were decided; those that never were come last.
    pub(super) pods: Vec<Placement>,
    /// The nodes in the order of the files.
    pub(super) nodes: Vec<NodeUse>,
    /// The groups of pods in the order of their first pods; those without any come last.
    pub(super) gangs: Vec<GangLine>,
    /// Who would be evicted for whom, in the order in which it was decided.
    pub(super) preemptions: Vec<PreemptionLine>,
}

/// What became of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Placement {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) node: Option<String>,
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// The weighted score of each plugin; empty when nothing was compared.
    pub(super) scores: BTreeMap<&'static str, i64>,
    pub(super) total: i64,
    /// The node whose room is kept for it until its victims are gone.
    pub(super) nominated_node: Option<String>,
    /// What it would take to evict others for it, where nobody can be evicted.
    pub(super) would_take: Option<String>,
}

/// How full a node is. cpu is in thousandths, the rest in units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct NodeUse {
    pub(super) name: String,
    #[serde(serialize_with = "quantities")]
    pub(super) requested: BTreeMap<String, i128>,
    #[serde(serialize_with = "quantities")]
    pub(super) allocatable: BTreeMap<String, i128>,
}

/// What became of a gang.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct GangLine {
    pub(super) namespace: String,
    pub(super) name: String,
    /// The API by which it is described.
    pub(super) dialect: &'static str,
    /// How many of its pods must run together; None when its object is missing.
    pub(super) min: Option<u32>,
    /// How many pods it has.
    pub(super) pods: usize,
    /// How many of them are bound.
    pub(super) bound: usize,
    pub(super) phase: &'static str,
    /// Why; empty when it was placed.
    pub(super) message: String,
}

/// How the tables look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Colours,
}

impl Style {
    /// Colours only for people, and only for those who want them.
    pub(super) fn of(output: &impl IsTerminal) -> Self {
        if terminal::colours(output) {
            Self::Colours
        } else {
            Self::Plain
        }
    }

    pub(super) fn paint(self, text: String, code: &str) -> String {
        match self {
            Self::Plain => text,
            Self::Colours => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

impl Report {
    /// One JSON document.
    pub(super) fn json(&self) -> Result<String, anyhow::Error> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }

    /// Tables of the pods, the gangs, the preemptions and the nodes.
    pub(super) fn table(&self, style: Style) -> String {
        let mut text = String::new();
        if !self.pods.is_empty() {
            self.pod_table(style, &mut text);
            let placed = self.pods.iter().filter(|pod| pod.node.is_some()).count();
            let _ = writeln!(text, "\n{placed} of {} pods placed\n", self.pods.len());
        }
        if !self.gangs.is_empty() {
            self.gang_table(style, &mut text);
            let placed = self.gangs.iter().filter(|gang| gang.placed()).count();
            let _ = writeln!(text, "\n{placed} of {} gangs placed\n", self.gangs.len());
        }
        if !self.preemptions.is_empty() {
            preemptions::table(&self.preemptions, style, &mut text);
        }
        self.node_table(style, &mut text);
        text
    }

    fn gang_table(&self, style: Style, text: &mut String) {
        let head = [
            "NAMESPACE",
            "GANG",
            "DIALECT",
            "MIN",
            "PODS",
            "BOUND",
            "PHASE",
            "MESSAGE",
        ];
        let rows = self.gangs.iter().map(|gang| {
            vec![
                gang.namespace.clone(),
                gang.name.clone(),
                gang.dialect.to_owned(),
                gang.min
                    .map_or_else(|| "-".to_owned(), |min| min.to_string()),
                gang.pods.to_string(),
                gang.bound.to_string(),
                gang.phase.to_owned(),
                gang.message.clone(),
            ]
        });
        let lines = columns(head.map(str::to_owned).into(), rows);
        let placed = std::iter::once(true).chain(self.gangs.iter().map(GangLine::placed));
        for (line, placed) in lines.into_iter().zip(placed) {
            let line = if placed {
                line
            } else {
                style.paint(line, "31")
            };
            let _ = writeln!(text, "{line}");
        }
    }

    fn pod_table(&self, style: Style, text: &mut String) {
        let nominated = self.pods.iter().any(|pod| pod.nominated_node.is_some());
        let mut head = vec!["NAMESPACE", "NAME", "NODE", "SCORE", "REASON", "MESSAGE"];
        if nominated {
            head.insert(3, "NOMINATED");
        }
        let rows = self.pods.iter().map(|pod| {
            let dash = || "-".to_owned();
            let scored = !pod.scores.is_empty();
            let mut row = vec![
                pod.namespace.clone(),
                pod.name.clone(),
                pod.node.clone().unwrap_or_else(dash),
                if scored {
                    pod.total.to_string()
                } else {
                    dash()
                },
                pod.reason.to_owned(),
                pod.story(),
            ];
            if nominated {
                row.insert(3, pod.nominated_node.clone().unwrap_or_else(dash));
            }
            row
        });
        let head = head.into_iter().map(str::to_owned).collect();
        let lines = columns(head, rows);
        let refused = std::iter::once(false).chain(self.pods.iter().map(|pod| pod.node.is_none()));
        for (line, refused) in lines.into_iter().zip(refused) {
            let line = if refused {
                style.paint(line, "31")
            } else {
                line
            };
            let _ = writeln!(text, "{line}");
        }
    }

    fn node_table(&self, style: Style, text: &mut String) {
        let all: BTreeSet<&str> = (self.nodes.iter())
            .flat_map(|node| node.allocatable.keys().map(String::as_str))
            .filter(|name| !matches!(*name, "cpu" | "memory" | "pods" | "ephemeral-storage"))
            .collect();
        let resources: Vec<&str> = ["cpu", "memory", "pods"].into_iter().chain(all).collect();
        let head = std::iter::once("NODE".to_owned())
            .chain(resources.iter().map(|name| name.to_uppercase()))
            .collect();
        let rows = self.nodes.iter().map(|node| {
            let amounts = resources.iter().map(|name| {
                let (Some(requested), Some(allocatable)) =
                    (node.requested.get(*name), node.allocatable.get(*name))
                else {
                    return "-".to_owned();
                };
                let requested = quantity(name, *requested);
                format!("{requested}/{}", quantity(name, *allocatable))
            });
            std::iter::once(node.name.clone()).chain(amounts).collect()
        });
        for (index, line) in columns(head, rows).into_iter().enumerate() {
            let line = if index == 0 {
                style.paint(line, "1")
            } else {
                line
            };
            let _ = writeln!(text, "{line}");
        }
    }
}

impl Placement {
    /// Why it waits; where it went stands beside it.
    fn story(&self) -> String {
        match (&self.node, &self.would_take) {
            (Some(_), _) => String::new(),
            (None, None) => self.message.clone(),
            (None, Some(more)) => format!("{}; {more}", self.message.trim_end_matches('.')),
        }
    }
}

impl GangLine {
    fn placed(&self) -> bool {
        self.phase == "Scheduled"
    }
}

/// Lines of aligned columns; the last one may be as long as it likes.
pub(super) fn columns(head: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths);
            let padded: Vec<_> = cells
                .map(|(cell, &width)| format!("{cell:width$}"))
                .collect();
            padded.join(GAP).trim_end().to_owned()
        })
        .collect()
}

fn quantities<S: Serializer>(
    amounts: &BTreeMap<String, i128>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        amounts
            .iter()
            .map(|(name, amount)| (name, quantity(name, *amount))),
    )
}

/// An amount as Kubernetes writes it.
fn quantity(resource: &str, amount: i128) -> String {
    match resource {
        "cpu" if amount % 1000 == 0 => (amount / 1000).to_string(),
        "cpu" => format!("{amount}m"),
        "memory" | "ephemeral-storage" => bytes(amount),
        _ if resource.starts_with("hugepages-") => bytes(amount),
        _ => amount.to_string(),
    }
}

fn bytes(amount: i128) -> String {
    let mut amount = amount;
    let mut units = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while amount != 0 && amount % 1024 == 0 {
        let Some(next) = units.next() else {
            break;
        };
        amount /= 1024;
        unit = next;
    }
    format!("{amount}{unit}")
}
