//! A limit to the requests of a second, if the configuration sets one. Source: client-go
//! `util/flowcontrol/throttle.go`, a token bucket that callers wait at in their order.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::RateLimit;

/// Lets so many requests pass in a second, and after a pause so many at once. Clones are the same
/// limit.
#[derive(Clone, Debug)]
pub(in crate::runtime) struct Pace(Arc<State>);

#[derive(Debug)]
struct State {
    /// What the bucket's time is counted from.
    start: Instant,
    bucket: Mutex<Bucket>,
}

impl Pace {
    pub(in crate::runtime) fn new(limit: RateLimit) -> Self {
        Self(Arc::new(State {
            start: Instant::now(),
            bucket: Mutex::new(Bucket::new(limit)),
        }))
    }

    /// Waits until one more request may leave.
    pub(super) async fn turn(&self) {
        let now = self.0.start.elapsed();
        let wait = {
            let mut bucket = self.0.bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.take(now)
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

/// The tokens, as the time when all of them would be back.
#[derive(Debug)]
struct Bucket {
    /// In which one token comes back.
    interval: Duration,
    /// In which all but one come back.
    slack: Duration,
    full: Duration,
}

impl Bucket {
    fn new(limit: RateLimit) -> Self {
        let interval = Duration::try_from_secs_f64(1.0 / limit.qps).unwrap_or(Duration::MAX);
        Self {
            interval,
            slack: interval.saturating_mul(limit.burst.saturating_sub(1)),
            full: Duration::ZERO,
        }
    }

    /// Takes a token and returns how long to wait until it is there.
    fn take(&mut self, now: Duration) -> Duration {
        let full = self.full.max(now);
        self.full = full.saturating_add(self.interval);
        (full.saturating_sub(self.slack)).saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests at these times wait so long; all in milliseconds.
    #[track_caller]
    fn check(qps: f64, burst: u32, requests: &[(u64, u64)]) {
        let mut bucket = Bucket::new(RateLimit { qps, burst });
        for (at, expected) in requests {
            let waited = bucket.take(Duration::from_millis(*at));
            assert_eq!(
                waited,
                Duration::from_millis(*expected),
                "{qps} {burst} {at}"
            );
        }
    }

    #[test]
    fn a_burst_passes_and_then_a_steady_stream() {
        check(10.0, 1, &[(0, 0), (0, 100), (0, 200), (250, 50), (1000, 0)]);
        check(10.0, 3, &[(0, 0), (0, 0), (0, 0), (0, 100), (0, 200)]);
        // Tokens come back one by one, and never more than there were.
        check(10.0, 3, &[(0, 0), (0, 0), (0, 0), (150, 0), (150, 50)]);
        check(10.0, 2, &[(60_000, 0), (60_000, 0), (60_000, 100)]);
        check(0.5, 1, &[(0, 0), (0, 2000)]);
        check(1000.0, 100, &[(0, 0), (1, 0), (2, 0)]);
    }

    #[test]
    fn a_rate_that_is_next_to_nothing_lets_one_pass() {
        let (qps, burst) = (1e-300, 1);
        let mut bucket = Bucket::new(RateLimit { qps, burst });
        assert_eq!(bucket.take(Duration::ZERO), Duration::ZERO);
        assert_eq!(bucket.take(Duration::ZERO), Duration::MAX);
    }

    #[tokio::test]
    async fn nobody_passes_before_his_turn() {
        let pace = Pace::new(RateLimit {
            qps: 100.0,
            burst: 2,
        });
        let start = Instant::now();
        let turns = (0..5).map(|_| {
            let pace = pace.clone();
            async move { pace.turn().await }
        });
        futures::future::join_all(turns).await;
        assert!(start.elapsed() >= Duration::from_millis(30));
    }
}
