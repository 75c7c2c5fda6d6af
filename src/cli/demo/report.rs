//! What the demonstration tells at its end.

use std::fmt::Write as _;
use std::time::Duration;

use super::observer::Observer;
use super::workload::KINDS;
use crate::cli::terminal::wrap;

/// The histogram of the time from when a pod could first be tried until it was bound.
const HISTOGRAM: &str = "scheduler_pod_scheduling_sli_duration_seconds";

/// The column in which the table tells why pods are pending.
const PENDING: usize = 31;

/// The result.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) rows: Vec<Row>,
    pub(super) span: Duration,
    /// Over which time the pods were created.
    pub(super) over: Duration,
    /// How long the pods took that were placed, in order.
    pub(super) times: Vec<Duration>,
    /// The p50 and p99 of the scheduler's histogram, in seconds.
    pub(super) scheduler: [Option<f64>; 2],
}

/// The pods of one kind.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) kind: &'static str,
    pub(super) pods: usize,
    pub(super) placed: usize,
    pub(super) fits: bool,
    pub(super) why: String,
}

impl Report {
    pub(super) fn new(observer: &Observer, over: Duration, metrics: &str) -> Self {
        let pods = observer.pods();
        let rows = KINDS.iter().map(|kind| {
            let own = || pods.iter().filter(|(seen, _)| seen.kind.name == kind.name);
            let pending = own().find(|(seen, _)| seen.bound.is_none());
            Row {
                kind: kind.name,
                pods: own().count(),
                placed: own().filter(|(seen, _)| seen.bound.is_some()).count(),
                fits: kind.fits,
                why: pending.map_or_else(String::new, |(seen, _)| seen.why.clone()),
            }
        });
        let mut times: Vec<_> = pods.iter().filter_map(|(_, took)| *took).collect();
        times.sort_unstable();
        Self {
            rows: rows.collect(),
            span: observer.span(),
            over,
            times,
            scheduler: [0.5, 0.99].map(|part| histogram_quantile(metrics, HISTOGRAM, part)),
        }
    }

    /// Whether a pod was not placed that should have been, or the other way round.
    pub(super) fn failed(&self) -> bool {
        self.rows
            .iter()
            .any(|row| row.placed != if row.fits { row.pods } else { 0 })
    }

    /// What is missing, in one line.
    pub(super) fn shortfall(&self) -> String {
        let fitting = || self.rows.iter().filter(|row| row.fits);
        format!(
            "{} of {} pods were placed that should have been; see the table",
            fitting().map(|row| row.placed).sum::<usize>(),
            fitting().map(|row| row.pods).sum::<usize>()
        )
    }

    /// The report; columns are those of a terminal.
    pub(super) fn text(&self, colours: bool, columns: Option<usize>) -> String {
        let paint = |text: &str, colour: &str| {
            if colours {
                format!("\x1b[{colour}m{text}\x1b[0m")
            } else {
                text.to_owned()
            }
        };
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<14} {:>6} {:>7}  PENDING",
            "KIND", "PODS", "PLACED"
        );
        for row in &self.rows {
            let why = match (row.pods - row.placed, &*row.why) {
                (0, _) => String::new(),
                (pending, "") => format!("{pending}"),
                (pending, why) => format!("{pending}: {why}"),
            };
            let good = row.placed == if row.fits { row.pods } else { 0 };
            let placed = paint(
                &format!("{:>7}", row.placed),
                if good { "32" } else { "31" },
            );
            let why = wrap(&why, PENDING, columns);
            let line = format!("{:<14} {:>6} {placed}  {why}", row.kind, row.pods);
            let _ = writeln!(text, "{}", line.trim_end());
        }
        let seconds = self.span.as_secs_f64();
        let placed = self.times.len();
        let count = u32::try_from(placed).unwrap_or(u32::MAX);
        let over = match self.over.as_secs() {
            0 => String::new(),
            over => format!("; they were created over {over} s, see --over"),
        };
        let speed = f64::from(count) / seconds.max(f64::EPSILON);
        let sum = format!("{placed} pods placed in {seconds:.2} s: {speed:.0} pods/s{over}");
        let _ = writeln!(text, "\n{}", wrap(&sum, 0, columns));
        let _ = writeln!(text, "\n{:<26} {:>9} {:>10}", "", "P50", "P99");
        for (what, [median, worst]) in [
            (
                "created to seen bound",
                [self.quantile(50), self.quantile(99)],
            ),
            ("the scheduler's metric (*)", self.scheduler),
        ] {
            let (median, worst) = (milliseconds(median), milliseconds(worst));
            let _ = writeln!(text, "{what:<26} {median:>9} {worst:>10}");
        }
        let _ = writeln!(text, "(*) {HISTOGRAM}");
        text
    }

    fn quantile(&self, percent: usize) -> Option<f64> {
        let last = self.times.len().checked_sub(1)?;
        let time = self.times.get(last * percent / 100)?;
        Some(time.as_secs_f64())
    }
}

fn milliseconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(
        || "-".to_owned(),
        |seconds| format!("{:.1} ms", seconds * 1e3),
    )
}

/// A quantile from the buckets of a histogram, as Prometheus estimates it; the labels are summed
/// over.
pub(super) fn histogram_quantile(page: &str, name: &str, part: f64) -> Option<f64> {
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    for line in page.lines() {
        let bucket = line
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix("_bucket{"))
            .and_then(|rest| rest.split_once("le=\""))
            .and_then(|(_, rest)| rest.split_once('"'));
        let Some((limit, rest)) = bucket else {
            continue;
        };
        let limit = limit.replace("+Inf", "inf").parse().ok()?;
        let count: f64 = rest.rsplit(' ').next()?.parse().ok()?;
        match buckets.iter_mut().find(|(held, _)| *held == limit) {
            Some((_, sum)) => *sum += count,
            None => buckets.push((limit, count)),
        }
    }
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    let wanted = part * buckets.last()?.1;
    let (mut below, mut before) = (0.0, 0.0);
    for (limit, count) in buckets {
        if count >= wanted && count > before {
            let limit = if limit.is_finite() { limit } else { below };
            return Some(below + (limit - below) * (wanted - before) / (count - before));
        }
        (below, before) = (limit, count);
    }
    None
}
