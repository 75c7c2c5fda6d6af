//! What the queue counts.

use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::framework::EventKind;
use crate::telemetry::metrics::{EventMetrics, Metrics, Queue as Place, QueueMetrics};

/// Why a pod came into a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It was created.
    PodAdd,
    /// Something happened in the cluster or to the pod.
    Event(EventKind),
    /// An attempt failed.
    ScheduleAttemptFailure,
    /// Its backoff is over.
    BackoffComplete,
    /// Nothing else was there to try.
    PopFromBackoffQ,
    /// It had been unschedulable for too long.
    UnschedulableTimeout,
}

impl Cause {
    /// kube-scheduler's name for it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::PodAdd => "UnscheduledPodAdd",
            Self::Event(event) => event.label(),
            Self::ScheduleAttemptFailure => "ScheduleAttemptFailure",
            Self::BackoffComplete => "BackoffComplete",
            Self::PopFromBackoffQ => "PopFromBackoffQ",
            Self::UnschedulableTimeout => "UnschedulableTimeout",
        }
    }
}

/// The metrics of the queue, with one handle per cause.
pub(super) struct Counters {
    metrics: Arc<Metrics>,
    queues: QueueMetrics,
    causes: FxHashMap<Cause, EventMetrics>,
}

impl fmt::Debug for Counters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Counters")
    }
}

impl Counters {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            queues: metrics.queue(),
            causes: FxHashMap::default(),
            metrics,
        }
    }

    pub(super) fn incoming(&mut self, place: Place, cause: Cause) {
        let handle = self
            .causes
            .entry(cause)
            .or_insert_with(|| self.metrics.event(cause.label()));
        handle.incoming(place, 1);
    }

    pub(super) fn pending(&self, place: Place, pods: usize) {
        self.queues.pending(place, pods);
    }
}
