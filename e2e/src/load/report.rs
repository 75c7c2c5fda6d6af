//! Puts rounds together, as tables for people and as JSON for machines.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use super::contender::Contender;
use super::gangs::GangsMeasured;
use super::kinds::PodKind;
use super::options::Plan;
use super::preemption::PreemptionMeasured;
use super::quantiles::{Quantiles, count, median};
use super::round::{Attempt, Measured};
use super::usage::mebibytes;

/// A round of a scheduler and what came of it.
#[derive(Debug, Serialize)]
pub struct Round {
    /// Whose turn it was.
    pub scheduler: Contender,
    /// Which round it was, from 1.
    pub round: u32,
    /// How often it was repeated because other programs disturbed it; the least disturbed one counts.
    pub repeated: usize,
    /// What was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// Why nothing was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// The rounds with one number of nodes and one kind of pods.
#[derive(Debug)]
pub struct Section {
    /// How many nodes there were.
    pub nodes: usize,
    /// What kind of pods was created.
    pub kind: &'static PodKind,
    /// All rounds in their order.
    pub rounds: Vec<Round>,
}

/// The rounds of one scheduler in a section, put together.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    scheduler: Contender,
    rounds: usize,
    failed: usize,
    repeated: usize,
    pods_per_second: f64,
    pods_per_second_min: f64,
    middle_rate: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_to_null: Option<f64>,
    latency_ms: Quantiles,
    lag_p99_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt_ms: Option<Attempt>,
    cpu_seconds: f64,
    server_cpu_ms_per_pod: f64,
    peak_memory_bytes: u64,
    elsewhere_cores: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    gangs: Option<GangsSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preemption: Option<PreemptionMeasured>,
}

/// The gangs of one scheduler in a section, put together.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GangsSummary {
    gangs: usize,
    room: usize,
    whole_min: usize,
    whole_max: usize,
    partial_max: usize,
    /// None when some round did not come to it.
    seconds: Option<f64>,
    window_ms: Quantiles,
}

impl GangsSummary {
    fn of(rounds: &[GangsMeasured]) -> Option<Self> {
        let first = rounds.first()?;
        let whole = || rounds.iter().map(|round| round.whole);
        let seconds: Option<Vec<f64>> = rounds.iter().map(|round| round.seconds).collect();
        let windows: Vec<Quantiles> = rounds.iter().map(|round| round.window_ms).collect();
        Some(Self {
            gangs: first.gangs,
            room: first.room,
            whole_min: whole().min().unwrap_or_default(),
            whole_max: whole().max().unwrap_or_default(),
            partial_max: rounds
                .iter()
                .map(|round| round.partial)
                .max()
                .unwrap_or_default(),
            seconds: seconds.map(median),
            window_ms: Quantiles::over_rounds(&windows),
        })
    }
}

impl Section {
    fn measured(&self, scheduler: Contender) -> impl Iterator<Item = (u32, &Measured)> {
        self.rounds
            .iter()
            .filter(move |round| round.scheduler == scheduler)
            .filter_map(|round| Some((round.round, round.measured.as_ref()?)))
    }

    /// The median over rounds of the rate, divided by the null scheduler's in the same round: rounds that are
    /// neighbours in time share the machine's mood.
    fn ratio_to_null(&self, scheduler: Contender) -> Option<f64> {
        let ratios: Vec<f64> = self
            .measured(scheduler)
            .filter_map(|(round, measured)| {
                let (_, null) = self
                    .measured(Contender::Null)
                    .find(|(other, _)| *other == round)?;
                Some(measured.pods_per_second / null.pods_per_second)
            })
            .collect();
        (!ratios.is_empty()).then(|| median(ratios))
    }

    fn summary(&self, scheduler: Contender, pods: usize) -> Summary {
        let rounds: Vec<&Measured> = self.measured(scheduler).map(|(_, round)| round).collect();
        let middle = |value: fn(&Measured) -> f64| median(rounds.iter().map(|round| value(round)));
        let latencies: Vec<Quantiles> = rounds.iter().map(|round| round.latency_ms).collect();
        let attempts: Vec<Attempt> = rounds.iter().filter_map(|round| round.attempt_ms).collect();
        let rates = rounds.iter().map(|round| round.pods_per_second);
        let gangs: Vec<GangsMeasured> = rounds.iter().filter_map(|round| round.gangs).collect();
        let preemption: Vec<PreemptionMeasured> =
            rounds.iter().filter_map(|round| round.preemption).collect();
        Summary {
            scheduler,
            rounds: rounds.len(),
            failed: self
                .rounds
                .iter()
                .filter(|round| round.scheduler == scheduler && round.failure.is_some())
                .count(),
            repeated: self
                .rounds
                .iter()
                .filter(|round| round.scheduler == scheduler)
                .map(|round| round.repeated)
                .sum(),
            pods_per_second: median(rates.clone()),
            pods_per_second_min: rates.reduce(f64::min).unwrap_or_default(),
            middle_rate: middle(|round| round.middle_rate),
            ratio_to_null: self.ratio_to_null(scheduler),
            latency_ms: Quantiles::over_rounds(&latencies),
            lag_p99_ms: middle(|round| round.lag_ms.p99),
            attempt_ms: (!attempts.is_empty()).then(|| Attempt {
                p50: median(attempts.iter().map(|attempt| attempt.p50)),
                p99: median(attempts.iter().map(|attempt| attempt.p99)),
            }),
            cpu_seconds: middle(|round| round.cpu_seconds.scheduler),
            server_cpu_ms_per_pod: middle(|round| {
                round.cpu_seconds.apiserver + round.cpu_seconds.etcd
            }) * 1e3
                / count(pods),
            peak_memory_bytes: rounds
                .iter()
                .map(|round| round.peak_memory_bytes)
                .max()
                .unwrap_or_default(),
            elsewhere_cores: middle(Measured::elsewhere_cores),
            gangs: GangsSummary::of(&gangs),
            preemption: PreemptionMeasured::over_rounds(&preemption),
        }
    }

    fn summaries(&self, plan: &Plan) -> Vec<Summary> {
        let has = |scheduler| self.rounds.iter().any(|round| round.scheduler == scheduler);
        plan.schedulers
            .iter()
            .filter(|scheduler| has(**scheduler))
            .map(|scheduler| self.summary(*scheduler, plan.pods(self.kind)))
            .collect()
    }
}

/// One line about a round that went well.
pub fn line(round: &Round) -> String {
    let Some(measured) = &round.measured else {
        return format!("{} failed", round.scheduler.name());
    };
    format!(
        "round {} {}: {:.0} pods/s, p50 {:.1} ms, p99 {:.1} ms, others used {:.2} cores",
        round.round,
        round.scheduler.name(),
        measured.pods_per_second,
        measured.latency_ms.p50,
        measured.latency_ms.p99,
        measured.elsewhere_cores()
    )
}

/// Everything as JSON.
pub fn json(plan: &Plan, sections: &[Section]) -> Value {
    let sections: Vec<Value> = sections
        .iter()
        .map(|section| {
            json!({
                "nodes": section.nodes,
                "kind": section.kind.name,
                "summary": section.summaries(plan),
                "rounds": section.rounds,
            })
        })
        .collect();
    json!({"plan": plan, "sections": sections})
}

/// Everything as tables.
pub fn tables(plan: &Plan, sections: &[Section]) -> String {
    let mut text = String::new();
    for section in sections {
        let load = match plan.rate {
            Some(rate) => format!("{} pods at {rate} per second", plan.pods),
            None => format!("{} pods at once", plan.pods),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{} nodes, {load}, kind {}, {} clients",
            section.nodes, section.kind.name, plan.clients
        );
        let summaries = section.summaries(plan);
        let mut rows = vec![header(plan)];
        rows.extend(summaries.iter().map(|summary| row(plan, summary)));
        text.push_str(&aligned(&rows));
        text.push_str(&gangs_table(&summaries));
        text.push_str(&preemption_table(&summaries));
        for round in &section.rounds {
            if let Some(failure) = &round.failure {
                let _ = writeln!(text, "round {} failed: {failure}", round.round);
            }
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{NOTES}");
    text
}

const NOTES: &str = "\
Latencies are create to bound in ms, as seen by a watch of this program. Rates, p50 to p99.9 and CPU are medians over
the rounds, max and memory the largest; /null is the median of the ratios within each round. server: CPU of
kube-apiserver and etcd per pod in ms. others: cores used meanwhile by programs that have nothing to do with this.
With preemption, each pod for which another one has to go needs one victim; ordinary pods are told apart by whether they
came before the first of those, without the first two seconds, or beside them. Gangs are partly bound from the first to
the last of their pods, in ms; the null scheduler binds whatever comes.";

fn header(plan: &Plan) -> Vec<String> {
    let mut columns = vec!["scheduler", "rounds", "pods/s"];
    columns.extend(match plan.rate {
        None => ["min", "10-90%", "/null", "p50", "p99", "max"].as_slice(),
        Some(_) => &["p50", "p90", "p99", "p99.9", "max", "sent late p99"],
    });
    if plan.latency {
        columns.extend(["attempt p50", "attempt p99"]);
    }
    columns.extend(["CPU s", "peak MiB", "server", "others"]);
    columns.into_iter().map(str::to_owned).collect()
}

fn row(plan: &Plan, summary: &Summary) -> Vec<String> {
    let mut cells = vec![
        summary.scheduler.name().to_owned(),
        [(summary.repeated, "repeated"), (summary.failed, "failed")]
            .iter()
            .filter(|(number, _)| *number > 0)
            .fold(summary.rounds.to_string(), |text, (number, what)| {
                format!("{text}, {number} {what}")
            }),
    ];
    if summary.rounds == 0 {
        cells.resize(header(plan).len(), "-".to_owned());
        return cells;
    }
    let latency = &summary.latency_ms;
    match plan.rate {
        None => cells.extend([
            format!("{:.0}", summary.pods_per_second),
            format!("{:.0}", summary.pods_per_second_min),
            format!("{:.0}", summary.middle_rate),
            optional(summary.ratio_to_null, 2),
            format!("{:.0}", latency.p50),
            format!("{:.0}", latency.p99),
            format!("{:.0}", latency.max),
        ]),
        Some(_) => cells.extend([
            format!("{:.1}", summary.pods_per_second),
            format!("{:.1}", latency.p50),
            format!("{:.1}", latency.p90),
            format!("{:.1}", latency.p99),
            format!("{:.1}", latency.p999),
            format!("{:.1}", latency.max),
            format!("{:.1}", summary.lag_p99_ms),
        ]),
    }
    if plan.latency {
        let attempt = summary.attempt_ms;
        cells.push(optional(attempt.map(|attempt| attempt.p50), 3));
        cells.push(optional(attempt.map(|attempt| attempt.p99), 3));
    }
    cells.extend([
        format!("{:.2}", summary.cpu_seconds),
        format!("{:.0}", mebibytes(summary.peak_memory_bytes)),
        format!("{:.2}", summary.server_cpu_ms_per_pod),
        format!("{:.2}", summary.elsewhere_cores),
    ]);
    cells
}

/// How gangs fared; nothing when the pods form none.
fn gangs_table(summaries: &[Summary]) -> String {
    let mut text = String::new();
    let gangs = |summary: &Summary| {
        summary
            .gangs
            .as_ref()
            .map(|gangs| (gangs.gangs, gangs.room))
    };
    let Some((gangs, room)) = summaries.iter().find_map(gangs) else {
        return text;
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{gangs} gangs, room for {room}");
    let header = [
        "scheduler".to_owned(),
        "whole".to_owned(),
        "partial".to_owned(),
        format!("{room} whole after s"),
        "partly bound p50".to_owned(),
        "p99".to_owned(),
        "max".to_owned(),
    ];
    let mut rows = vec![header.to_vec()];
    rows.extend(summaries.iter().filter_map(|summary| {
        let gangs = summary.gangs.as_ref()?;
        let whole = if gangs.whole_min == gangs.whole_max {
            gangs.whole_min.to_string()
        } else {
            format!("{}-{}", gangs.whole_min, gangs.whole_max)
        };
        Some(vec![
            summary.scheduler.name().to_owned(),
            whole,
            gangs.partial_max.to_string(),
            optional(gangs.seconds, 2),
            format!("{:.0}", gangs.window_ms.p50),
            format!("{:.0}", gangs.window_ms.p99),
            format!("{:.0}", gangs.window_ms.max),
        ])
    }));
    text.push_str(&aligned(&rows));
    text
}

/// How those fared for which others had to go, and those beside them; nothing without preemption.
fn preemption_table(summaries: &[Summary]) -> String {
    let mut text = String::new();
    let Some(first) = summaries.iter().find_map(|summary| summary.preemption) else {
        return text;
    };
    let mut header = vec!["scheduler", "evicted", "preemptors p50", "p99"];
    if first.ordinary.is_some() {
        header.extend(["ordinary p99", "beside them p99", "ratio"]);
    }
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{} pods for which others have to go",
        first.preemptors
    );
    let mut rows = vec![header.into_iter().map(str::to_owned).collect()];
    rows.extend(summaries.iter().filter_map(|summary| {
        let preemption = summary.preemption?;
        let mut row = vec![
            summary.scheduler.name().to_owned(),
            preemption.evictions.to_string(),
            format!("{:.0}", preemption.preemptors_ms.p50),
            format!("{:.0}", preemption.preemptors_ms.p99),
        ];
        if let Some(ordinary) = preemption.ordinary {
            let (calm, beside) = (ordinary.calm_ms.p99, ordinary.beside_ms.p99);
            row.push(format!("{calm:.1}"));
            row.push(format!("{beside:.1}"));
            row.push(format!("{:.2}", beside / calm));
        }
        Some(row)
    }));
    text.push_str(&aligned(&rows));
    text
}

fn optional(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

/// Rows as columns: the first to the left, numbers to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
