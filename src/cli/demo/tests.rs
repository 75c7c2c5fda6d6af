//! The plan and the sums of the demonstration.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use super::report::{Report, Row, histogram_quantile};
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
