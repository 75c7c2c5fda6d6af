//! Quantiles, medians and rates of raw samples.

use std::time::Duration;

use serde::Serialize;

/// The distribution of some durations, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quantiles {
    /// Half of the samples are at most this.
    pub p50: f64,
    /// Nine tenths are at most this.
    pub p90: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
    /// 999 of 1,000 are at most this.
    pub p999: f64,
    /// The largest sample.
    pub max: f64,
}

impl Quantiles {
    /// The distribution of these samples; all zero if there are none.
    pub fn of(samples: impl IntoIterator<Item = Duration>) -> Self {
        let mut sorted: Vec<Duration> = samples.into_iter().collect();
        sorted.sort_unstable();
        let at = |permille: usize| rank(&sorted, permille).map_or(0.0, milliseconds);
        Self {
            p50: at(500),
            p90: at(900),
            p99: at(990),
            p999: at(999),
            max: at(1000),
        }
    }

    /// Over several rounds: the median of each quantile, and the largest of all samples.
    pub fn over_rounds(rounds: &[Self]) -> Self {
        let middle = |quantile: fn(&Self) -> f64| median(rounds.iter().map(quantile));
        Self {
            p50: middle(|round| round.p50),
            p90: middle(|round| round.p90),
            p99: middle(|round| round.p99),
            p999: middle(|round| round.p999),
            max: rounds.iter().map(|round| round.max).fold(0.0, f64::max),
        }
    }
}

/// The smallest sample that at least so many of 1,000 do not exceed.
fn rank<T: Copy>(sorted: &[T], permille: usize) -> Option<T> {
    let position = (sorted.len() * permille).div_ceil(1000);
    sorted.get(position.saturating_sub(1)).copied()
}

/// The middle value, or the mean of the two in the middle; zero if there is none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match (sorted.get(half), sorted.len() % 2) {
        (Some(upper), 0) => sorted
            .get(half - 1)
            .map_or(*upper, |lower| f64::midpoint(*lower, *upper)),
        (Some(middle), _) => *middle,
        (None, _) => 0.0,
    }
}

/// Events per second between the moments when 10% and 90% of them had happened, which leaves out start and end.
pub fn middle_rate(moments: &[Duration]) -> f64 {
    let mut sorted = moments.to_vec();
    sorted.sort_unstable();
    let (first, last) = (sorted.len() / 10, sorted.len() * 9 / 10);
    match (sorted.get(first), sorted.get(last)) {
        (Some(start), Some(end)) if end > start => {
            count(last - first) / (*end - *start).as_secs_f64()
        }
        _ => 0.0,
    }
}

/// A count as a number to calculate with; exact for all counts that occur here.
pub fn count(count: usize) -> f64 {
    count as f64
}

/// A duration in milliseconds.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples_by_nearest_rank() {
        let samples = (1..=1000).rev().map(Duration::from_millis);
        let expected = Quantiles {
            p50: 500.0,
            p90: 900.0,
            p99: 990.0,
            p999: 999.0,
            max: 1000.0,
        };
        assert_eq!(Quantiles::of(samples), expected);
        let one = Quantiles::of([Duration::from_millis(7)]);
        assert_eq!((one.p50, one.p999, one.max), (7.0, 7.0, 7.0));
        assert_eq!(Quantiles::of([]), Quantiles::default());
    }

    #[test]
    fn medians() {
        assert_eq!(median([]), 0.0);
        assert_eq!(median([3.0]), 3.0);
        assert_eq!(median([4.0, 1.0]), 2.5);
        assert_eq!(median([9.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn the_middle_rate_ignores_a_slow_start() {
        // The first pod takes a second, the other 99 come every 10 ms.
        let moments: Vec<Duration> = (0..100)
            .map(|n| Duration::from_millis(1000 + n * 10))
            .collect();
        assert!((middle_rate(&moments) - 100.0).abs() < 1e-6);
        assert_eq!(middle_rate(&[]), 0.0);
    }
}
