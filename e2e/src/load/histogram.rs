//! Quantiles from the histogram on a scheduler's metrics page, as Prometheus' `histogram_quantile` computes them.

use std::collections::BTreeMap;

/// The metric that is read.
const BUCKET: &str = "scheduler_scheduling_attempt_duration_seconds_bucket{";

/// The cumulative buckets of successful scheduling attempts, summed over profiles, by upper bound.
fn buckets(page: &str) -> Vec<(f64, f64)> {
    // Bounds are compared as they are printed; they sort by value below.
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for line in page.lines() {
        let Some((labels, value)) = line
            .strip_prefix(BUCKET)
            .and_then(|rest| rest.rsplit_once("} "))
        else {
            continue;
        };
        if !labels.contains(r#"result="scheduled""#) {
            continue;
        }
        let bound = labels
            .split(',')
            .find_map(|label| label.strip_prefix(r#"le=""#)?.strip_suffix('"'));
        // A timestamp may follow the value.
        let value: Option<f64> = value.split(' ').next().and_then(|text| text.parse().ok());
        if let (Some(bound), Some(value)) = (bound, value) {
            *sums.entry(bound).or_insert(0.0) += value;
        }
    }
    let mut buckets: Vec<(f64, f64)> = sums
        .into_iter()
        .filter_map(|(bound, sum)| Some((bound.parse().ok()?, sum)))
        .collect();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    buckets
}

/// A quantile in seconds, interpolated within its bucket; none if the page has no successful attempt.
pub fn quantile(page: &str, quantile: f64) -> Option<f64> {
    let buckets = buckets(page);
    let total = buckets.last()?.1;
    if total == 0.0 {
        return None;
    }
    let rank = quantile * total;
    let index = buckets.iter().position(|(_, sum)| *sum >= rank)?;
    let (bound, sum) = *buckets.get(index)?;
    let (start, below) = match index.checked_sub(1) {
        Some(previous) => *buckets.get(previous)?,
        None => (0.0, 0.0),
    };
    if bound.is_infinite() {
        return Some(start);
    }
    Some(start + (bound - start) * (rank - below) / (sum - below))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PAGE: &str = r#"
# TYPE scheduler_scheduling_attempt_duration_seconds histogram
scheduler_scheduling_attempt_duration_seconds_bucket{profile="a",result="scheduled",le="0.001"} 50
scheduler_scheduling_attempt_duration_seconds_bucket{profile="a",result="scheduled",le="0.002"} 80
scheduler_scheduling_attempt_duration_seconds_bucket{profile="a",result="scheduled",le="+Inf"} 90
scheduler_scheduling_attempt_duration_seconds_bucket{profile="b",result="scheduled",le="0.001"} 0
scheduler_scheduling_attempt_duration_seconds_bucket{profile="b",result="scheduled",le="0.002"} 10
scheduler_scheduling_attempt_duration_seconds_bucket{profile="b",result="scheduled",le="+Inf"} 10
scheduler_scheduling_attempt_duration_seconds_bucket{profile="a",result="error",le="0.001"} 1000
scheduler_scheduling_attempt_duration_seconds_sum{profile="a",result="scheduled"} 1
"#;

    #[test]
    fn interpolates_within_a_bucket() {
        assert_eq!(quantile(PAGE, 0.5), Some(0.001));
        assert_eq!(quantile(PAGE, 0.25), Some(0.0005));
        assert!((quantile(PAGE, 0.7).unwrap() - 0.0015).abs() < 1e-9);
        // Beyond the last bound nothing is known but that bound.
        assert_eq!(quantile(PAGE, 0.99), Some(0.002));
    }

    #[test]
    fn a_page_without_attempts_has_no_quantile() {
        assert_eq!(quantile("", 0.5), None);
    }
}
