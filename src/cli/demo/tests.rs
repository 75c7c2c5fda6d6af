//! The plan and the sums of the demonstration.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::report::histogram_quantile;
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
