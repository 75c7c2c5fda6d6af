//! What the demonstration tells at its end.

use std::fmt::Write as _;
use std::time::Duration;

use super::gangs::Gang;
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
    pub(super) gangs: Vec<GangRow>,
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

/// A gang.
#[derive(Debug)]
pub(super) struct GangRow {
    pub(super) name: String,
    pub(super) pods: usize,
    pub(super) bound: usize,
    pub(super) fits: bool,
    /// How long it took until it was whole.
    pub(super) took: Option<Duration>,
    /// The gang whose end made room for it.
    pub(super) after: Option<String>,
    /// Whether that one was evicted for it.
    pub(super) preempted: bool,
    /// How long it ran until it ended, if it has.
    pub(super) ran: Option<Duration>,
    /// For which gang it was evicted.
    pub(super) evicted_for: Option<String>,
    /// How long it was seen bound in part.
    pub(super) in_part: Option<Duration>,
    pub(super) why: String,
}

impl GangRow {
    /// Whether it has become what it should.
    fn good(&self) -> bool {
        self.bound == if self.fits { self.pods } else { 0 }
    }

    fn story(&self) -> String {
        let Some(took) = self.took else {
            return self.why.clone();
        };
        let mut story = format!("whole after {:.2} s", took.as_secs_f64());
        if let Some(after) = &self.after {
            let how = if self.preempted {
                "been evicted for it"
            } else {
                "ended"
            };
            let _ = write!(story, ", when {after} had {how}");
        }
        if let Some(ran) = self.ran {
            let ran = ran.as_secs_f64();
            let _ = match &self.evicted_for {
                Some(preemptor) => write!(story, "; evicted {ran:.2} s later for {preemptor}"),
                None => write!(story, "; ended {ran:.2} s later"),
            };
        }
        story
    }
}

impl GangRow {
    fn of(gang: &Gang, all: &[Gang]) -> Self {
        let after = gang.after.clone();
        let ended = all.iter().find(|other| Some(&other.name) == after.as_ref());
        let preempted = ended.is_some_and(|other| other.evicted);
        let evicted_for = (all.iter())
            .find(|other| gang.evicted && other.after.as_ref() == Some(&gang.name))
            .map(|preemptor| preemptor.name.clone());
        Self {
            name: gang.name.clone(),
            pods: gang.pods(),
            bound: gang.bound(),
            fits: gang.fits,
            took: gang.took(),
            after,
            preempted,
            ran: gang.ran(),
            evicted_for,
            in_part: gang.in_part(),
            why: gang.why.clone(),
        }
    }
}

impl Report {
    pub(super) fn new(observer: &Observer, over: Duration, metrics: &str) -> Self {
        let (pods, gangs) = (observer.pods(), observer.gangs().seen());
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
            gangs: gangs.iter().map(|gang| GangRow::of(gang, &gangs)).collect(),
            span: observer.span(),
            over,
            times,
            scheduler: [0.5, 0.99].map(|part| histogram_quantile(metrics, HISTOGRAM, part)),
        }
    }

    /// Whether a pod was not placed that should have been, or the other way round; of a gang all or
    /// none should be.
    pub(super) fn failed(&self) -> bool {
        self.rows
            .iter()
            .any(|row| row.placed != if row.fits { row.pods } else { 0 })
            || !self.gangs.iter().all(GangRow::good)
    }

    /// What is missing, in one line.
    pub(super) fn shortfall(&self) -> String {
        let fitting = || self.rows.iter().filter(|row| row.fits);
        let gangs = || self.gangs.iter().filter(|gang| gang.fits);
        let of_gangs = if self.gangs.is_empty() {
            String::new()
        } else {
            let whole = gangs().filter(|gang| gang.good()).count();
            format!(", and {whole} of {} gangs", gangs().count())
        };
        format!(
            "{} of {} pods were placed that should have been{of_gangs}; see the table",
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
        self.gang_table(&mut text, &paint, columns);
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
        let _ = writeln!(
            text,
            "(*) {HISTOGRAM}{}",
            if self.gangs.is_empty() {
                ""
            } else {
                ", with the gangs that waited"
            }
        );
        text
    }

    fn gang_table(
        &self,
        text: &mut String,
        paint: &impl Fn(&str, &str) -> String,
        columns: Option<usize>,
    ) {
        if self.gangs.is_empty() {
            return;
        }
        let _ = writeln!(text, "\n{:<14} {:>6} {:>7}", "GANG", "PODS", "BOUND");
        for gang in &self.gangs {
            let bound = match gang.ran {
                Some(_) => "-".to_owned(),
                None => gang.bound.to_string(),
            };
            let bound = paint(
                &format!("{bound:>7}"),
                if gang.good() { "32" } else { "31" },
            );
            let story = wrap(&gang.story(), PENDING, columns);
            let line = format!("{:<14} {:>6} {bound}  {story}", gang.name, gang.pods);
            let _ = writeln!(text, "{}", line.trim_end());
        }
        let count =
            |wanted: fn(&GangRow) -> bool| self.gangs.iter().filter(|gang| wanted(gang)).count();
        let longest = self.gangs.iter().filter_map(|gang| gang.in_part).max();
        let sum = format!(
            "{} gangs: {} whole, {} in part, {} waiting; the longest time from a gang's first bind to \
             its last was {}",
            self.gangs.len(),
            count(|gang| gang.took.is_some()),
            count(|gang| gang.took.is_none() && gang.bound > 0),
            count(|gang| gang.bound == 0),
            milliseconds(longest.map(|longest| longest.as_secs_f64())),
        );
        let _ = writeln!(text, "\n{}", wrap(&sum, 0, columns));
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
