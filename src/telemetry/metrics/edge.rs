//! Handles for what talks to the API server: lanes, binds, watches, the election.

use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, IntGauge};

use super::Metrics;
use super::labels::{Lane, LaneResult, PerLabel, Resolution, WatchEvent};

impl Metrics {
    /// What a lane counts. Its length and its successes are exported, as 0, from this call on.
    #[must_use]
    pub fn lane(&self, lane: Lane) -> LaneMetrics {
        let families = &self.families;
        let metrics = LaneMetrics {
            lane,
            queued: families.lane_queued.with_label_values(&[lane.as_str()]),
            requests: PerLabel::new(),
            requests_family: families.lane_requests.clone(),
            duration: families
                .lane_request_duration
                .with_label_values(&[lane.as_str()]),
            dropped: match lane {
                Lane::Status => Some(families.status_patches_dropped.clone()),
                Lane::Event => Some(families.events_dropped.clone()),
                // Binds and evictions wait as long as it takes.
                Lane::Bind | Lane::Evict => None,
            },
        };
        metrics.requests(LaneResult::Success);
        metrics
    }

    /// Whether this replica holds the lease of this name; exported, as 0, from this call on.
    #[must_use]
    pub fn leader(&self, lease: &str) -> LeaderMetrics {
        LeaderMetrics(self.families.leader.with_label_values(&[lease]))
    }

    /// What is counted about binds beyond their lane; all of it is exported from this call on.
    #[must_use]
    pub fn binds(&self) -> BindMetrics {
        let counter = |resolution: &Resolution| {
            let labels = [resolution.as_str()];
            self.families
                .unknown_bind_outcomes
                .with_label_values(&labels)
        };
        BindMetrics {
            in_flight: self.families.binds_in_flight.clone(),
            window: self.families.bind_window.clone(),
            unknown: Resolution::ALL.iter().map(counter).collect(),
        }
    }

    /// What the watch of a kind (`Pod`, `Node`) counts; all of it is exported from this call on.
    #[must_use]
    pub fn watch(&self, kind: &str) -> WatchMetrics {
        let families = &self.families;
        let events = |event: &WatchEvent| {
            let labels = [kind, event.as_str()];
            families.watch_events.with_label_values(&labels)
        };
        WatchMetrics {
            events: WatchEvent::ALL.iter().map(events).collect(),
            errors: families.watch_errors.with_label_values(&[kind]),
            relists: families.watch_relists.with_label_values(&[kind]),
            refused: families
                .watch_streaming_list_refused
                .with_label_values(&[kind]),
            last_event: families.watch_last_event.with_label_values(&[kind]),
            quarantined: families.quarantined_objects.with_label_values(&[kind]),
        }
    }
}

// === impl LaneMetrics ===

/// What a lane towards the API server counts.
#[derive(Debug)]
pub struct LaneMetrics {
    lane: Lane,
    queued: IntGauge,
    requests: PerLabel<LaneResult, IntCounter>,
    requests_family: IntCounterVec,
    duration: Histogram,
    dropped: Option<IntCounter>,
}

impl LaneMetrics {
    /// So many requests wait to be sent.
    pub fn queued(&self, requests: usize) {
        set(&self.queued, requests);
    }

    /// A request ended so, after so long.
    pub fn request(&self, result: LaneResult, seconds: f64) {
        self.requests(result).inc();
        self.duration.observe(seconds);
    }

    /// A request was not sent because too many were waiting. Only the status and event lanes drop
    /// anything; on others this does nothing.
    pub fn dropped(&self) {
        if let Some(dropped) = &self.dropped {
            dropped.inc();
        }
    }

    fn requests(&self, result: LaneResult) -> &IntCounter {
        self.requests.get(result, || {
            let labels = [self.lane.as_str(), result.as_str()];
            self.requests_family.with_label_values(&labels)
        })
    }
}

// === impl LeaderMetrics ===

/// Whether this replica leads.
#[derive(Debug)]
pub struct LeaderMetrics(IntGauge);

impl LeaderMetrics {
    /// It does, or not.
    pub fn leads(&self, leads: bool) {
        self.0.set(i64::from(leads));
    }
}

// === impl BindMetrics ===

/// What is counted about binds beyond their lane.
#[derive(Debug)]
pub struct BindMetrics {
    in_flight: IntGauge,
    window: IntGauge,
    /// One for each of [`Resolution::ALL`], in that order.
    unknown: Vec<IntCounter>,
}

impl BindMetrics {
    /// So many binds are sent and not yet answered.
    pub fn in_flight(&self, binds: usize) {
        set(&self.in_flight, binds);
    }

    /// So many may be.
    pub fn window(&self, binds: usize) {
        set(&self.window, binds);
    }

    /// A bind's reply did not tell its outcome; this is what reading the pod showed.
    pub fn unknown(&self, resolution: Resolution) {
        self.unknown[resolution as usize].inc();
    }
}

// === impl WatchMetrics ===

/// What a watch counts.
#[derive(Debug)]
pub struct WatchMetrics {
    /// One for each of [`WatchEvent::ALL`], in that order.
    events: Vec<IntCounter>,
    errors: IntCounter,
    relists: IntCounter,
    refused: IntCounter,
    last_event: Gauge,
    quarantined: IntGauge,
}

impl WatchMetrics {
    /// An object was received.
    pub fn event(&self, event: WatchEvent) {
        self.events[event as usize].inc();
    }

    /// Something was received, even if only a bookmark, at this time (seconds since 1970).
    pub fn heard(&self, unix_seconds: f64) {
        self.last_event.set(unix_seconds);
    }

    /// The watch or its list failed.
    pub fn error(&self) {
        self.errors.inc();
    }

    /// All objects are fetched again, and not for the first time.
    pub fn relisted(&self) {
        self.relists.inc();
    }

    /// The API server refused a streaming list.
    pub fn streaming_list_refused(&self) {
        self.refused.inc();
    }

    /// So many objects of the kind are in quarantine.
    pub fn quarantined(&self, objects: usize) {
        set(&self.quarantined, objects);
    }
}

fn set(gauge: &IntGauge, count: usize) {
    gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
}
