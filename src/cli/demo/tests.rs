//! The plan and the sums of the demonstration.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use super::gangs::{Gangs, Shown};
use super::report::{GangRow, Report, Row, histogram_quantile};
use super::workload::{KINDS, plan};

#[test]
fn the_plan_has_as_many_pods_as_asked_and_one_of_each_that_does_not_fit() {
    let pods = plan(2000);
    assert_eq!(pods.iter().filter(|pod| pod.kind.fits).count(), 2000);
    for kind in KINDS {
        let count = pods.iter().filter(|pod| pod.kind.name == kind.name).count();
        assert!(
            if kind.fits { count > 100 } else { count == 1 },
            "{count} {kind:?}"
        );
    }
}

#[test]
fn quantiles_lie_within_buckets() {
    let page = "\
h_bucket{attempts=\"1\",le=\"1\"} 50
h_bucket{attempts=\"1\",le=\"2\"} 90
h_bucket{attempts=\"1\",le=\"+Inf\"} 90
h_bucket{attempts=\"2\",le=\"1\"} 0
h_bucket{attempts=\"2\",le=\"2\"} 10
h_bucket{attempts=\"2\",le=\"+Inf\"} 10
h_sum 1
";
    assert_eq!(histogram_quantile(page, "h", 0.5), Some(1.0));
    assert_eq!(histogram_quantile(page, "h", 0.75), Some(1.5));
    assert_eq!(histogram_quantile("", "h", 0.5), None);
}

fn report() -> Report {
    let row = |kind, pods, placed, fits, why: &str| Row {
        kind,
        pods,
        placed,
        fits,
        why: why.to_owned(),
    };
    let refusal = "0/12 nodes are available: 12 Insufficient nvidia.com/gpu.";
    Report {
        rows: vec![
            row("web", 1200, 1200, true, ""),
            row("too-large", 1, 0, false, refusal),
        ],
        span: Duration::from_millis(2500),
        gangs: Vec::new(),
        over: Duration::from_secs(2),
        times: (1..=1200).map(Duration::from_millis).collect(),
        scheduler: [Some(0.0125), None],
    }
}

#[test]
fn the_report_keeps_to_the_width_of_a_terminal() {
    let head = "\
KIND             PODS  PLACED  PENDING
web              1200    1200
";
    let tail = "

                                 P50        P99
created to seen bound       600.0 ms  1188.0 ms
the scheduler's metric (*)   12.5 ms          -
(*) scheduler_pod_scheduling_sli_duration_seconds
";
    let narrow = "\
too-large           1       0  1: 0/12 nodes are available:
                               12 Insufficient
                               nvidia.com/gpu.

1200 pods placed in 2.50 s: 480 pods/s; they were created
over 2 s, see --over";
    assert_eq!(
        report().text(false, Some(60)),
        format!("{head}{narrow}{tail}")
    );
    let wide = "\
too-large           1       0  1: 0/12 nodes are available: 12 Insufficient nvidia.com/gpu.

1200 pods placed in 2.50 s: 480 pods/s; they were created over 2 s, see --over";
    assert_eq!(report().text(false, None), format!("{head}{wide}{tail}"));
    let coloured = report().text(true, None);
    assert!(
        coloured.contains("\x1b[32m      0\x1b[0m  1: 0/12"),
        "{coloured}"
    );
    assert!(!report().failed());
}

fn gang(name: &str, bound: usize, took: Option<u64>, why: &str) -> GangRow {
    GangRow {
        name: name.to_owned(),
        pods: 8,
        bound,
        fits: why.is_empty(),
        took: took.map(Duration::from_millis),
        after: None,
        preempted: false,
        ran: None,
        evicted_for: None,
        in_part: took.map(|_| Duration::from_millis(3)),
        why: why.to_owned(),
    }
}

#[test]
fn the_report_tells_of_gangs() {
    let refusal = "0/4 nodes are available: 4 Insufficient nvidia.com/gpu. gang default/huge: 0 of 8 members fit";
    let ended = GangRow {
        ran: Some(Duration::from_millis(400)),
        ..gang("one", 8, Some(40), "")
    };
    let follower = GangRow {
        after: Some("one".to_owned()),
        ran: Some(Duration::from_millis(50)),
        evicted_for: Some("urgent".to_owned()),
        ..gang("two", 8, Some(500), "")
    };
    let urgent = GangRow {
        after: Some("two".to_owned()),
        preempted: true,
        ..gang("urgent", 8, Some(1200), "")
    };
    let report = Report {
        gangs: vec![gang("huge", 0, None, refusal), ended, follower, urgent],
        ..report()
    };
    let expected = "
GANG             PODS   BOUND
huge                8       0  0/4 nodes are available: 4
                               Insufficient nvidia.com/gpu.
                               gang default/huge: 0 of 8
                               members fit
one                 8       -  whole after 0.04 s; ended
                               0.40 s later
two                 8       -  whole after 0.50 s, when one
                               had ended; evicted 0.05 s
                               later for urgent
urgent              8       8  whole after 1.20 s, when two
                               had been evicted for it

4 gangs: 3 whole, 0 in part, 1 waiting; the longest time
from a gang's first bind to its last was 3.0 ms

1200 pods placed";
    let text = report.text(false, Some(60));
    assert!(text.contains(expected), "{text}");
    assert!(!report.failed());
}

#[test]
fn a_gang_in_part_is_a_failure() {
    let report = Report {
        gangs: vec![gang("part", 7, None, ""), gang("whole", 8, Some(1), "")],
        ..report()
    };
    assert!(report.failed());
    let text = report.text(false, None);
    assert!(
        text.contains("2 gangs: 1 whole, 1 in part, 0 waiting"),
        "{text}"
    );
    let expected =
        "1200 of 1200 pods were placed that should have been, and 1 of 2 gangs; see the table";
    assert_eq!(report.shortfall(), expected);
}

#[test]
fn a_gang_is_whole_with_its_last_pod() {
    let gangs = Gangs::plan(1);
    let story = |gang: &str| {
        Some(format!(
            "0/4 nodes are available. gang default/{gang}: 0 of 8"
        ))
    };
    let bound = || Shown {
        bound: true,
        ..Shown::default()
    };
    let told = |why: Option<String>| Shown {
        why,
        ..Shown::default()
    };
    for pod in 0..8 {
        assert_eq!(gangs.whole(), (2, 0));
        gangs.note("train-1", &format!("train-1-{}", pod / 2), bound());
        gangs.note("train-1", &format!("train-1-{pod}"), bound());
    }
    assert_eq!(gangs.whole(), (2, 1));
    let other = Some("minCount (8)".to_owned());
    gangs.note("train-huge", "train-huge-0", told(other));
    gangs.note("train-huge", "train-huge-0", told(story("train-1")));
    assert!(!gangs.settled(), "it was not told why it waits");
    gangs.note("train-huge", "train-huge-0", told(story("train-huge")));
    assert!(gangs.settled());
    assert!(Gangs::plan(0).settled());
}

#[test]
fn a_gang_that_was_evicted_has_ended_for_whom_comes_next() {
    let gangs = Gangs::plan(2);
    let evicted = Shown {
        bound: true,
        evicted: true,
        why: None,
    };
    let bound = Shown {
        bound: true,
        ..Shown::default()
    };
    gangs.note("train-1", "train-1-0", bound.clone());
    gangs.note("train-2", "train-2-0", evicted);
    gangs.note("train-urgent", "train-urgent-0", bound);
    let seen = gangs.seen();
    let fates: Vec<_> = (seen.iter())
        .map(|gang| (&*gang.name, gang.evicted, gang.after.as_deref()))
        .collect();
    let expected = [
        ("train-huge", false, None),
        ("train-1", false, None),
        ("train-2", true, None),
        ("train-urgent", false, Some("train-2")),
    ];
    assert_eq!(fates, expected);
    assert!(!gangs.settled(), "the urgent gang is not whole yet");
}
