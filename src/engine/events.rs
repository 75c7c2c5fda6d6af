//! How long events took to take in.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::framework::EventKind;
use crate::telemetry::metrics::{EventMetrics, Metrics};

/// One handle per kind of event, made when it first happens.
pub(super) struct EventCounters {
    metrics: Arc<Metrics>,
    handles: FxHashMap<EventKind, EventMetrics>,
}

impl EventCounters {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            handles: FxHashMap::default(),
        }
    }

    pub(super) fn handled(&mut self, kind: EventKind, seconds: f64) {
        let make = || self.metrics.event(kind.label());
        self.handles
            .entry(kind)
            .or_insert_with(make)
            .handled(seconds);
    }
}
