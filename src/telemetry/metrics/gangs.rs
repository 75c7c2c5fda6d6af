//! What is counted of gangs.

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::labels::{GangResult, PerLabel};
use super::{Families, Metrics};

impl Metrics {
    /// The handle for gangs.
    pub fn gangs(&self) -> GangMetrics {
        GangMetrics::new(&self.families)
    }
}

/// What is counted of gangs.
#[derive(Debug)]
pub struct GangMetrics {
    attempts: PerLabel<GangResult, (IntCounter, Histogram)>,
    attempts_family: IntCounterVec,
    durations_family: HistogramVec,
    waiting: Histogram,
    size: Histogram,
    partial_binds: IntCounter,
    repairs: IntCounter,
    overdue: IntCounter,
    ambiguous: IntCounter,
}

impl GangMetrics {
    fn new(families: &Families) -> Self {
        Self {
            attempts: PerLabel::new(),
            attempts_family: families.gang_attempts.clone(),
            durations_family: families.gang_attempt_duration.clone(),
            waiting: families.gang_waiting.clone(),
            size: families.gang_size.clone(),
            partial_binds: families.gang_partial_binds.clone(),
            repairs: families.gang_repairs.clone(),
            overdue: families.gang_overdue.clone(),
            ambiguous: families.gang_ambiguous.clone(),
        }
    }

    /// A gang was tried, which took so long and ended so.
    pub fn attempt(&self, result: GangResult, seconds: f64) {
        let labels = [result.as_str()];
        let create = || {
            (
                self.attempts_family.with_label_values(&labels),
                self.durations_family.with_label_values(&labels),
            )
        };
        let (count, duration) = self.attempts.get(result, create);
        count.inc();
        duration.observe(seconds);
    }

    /// So many members of a gang were placed together, so long after they began to wait.
    pub fn placed(&self, members: usize, waited_seconds: f64) {
        self.size.observe(members as f64);
        self.waiting.observe(waited_seconds);
    }

    /// Fewer members than must run together were bound when all binds were answered.
    pub fn partly_bound(&self) {
        self.partial_binds.inc();
    }

    /// A member that a running gang had lost was replaced.
    pub fn repaired(&self) {
        self.repairs.inc();
    }

    /// A gang waits for longer than its timeout.
    pub fn overdue(&self) {
        self.overdue.inc();
    }

    /// A pod names several groups.
    pub fn ambiguous(&self) {
        self.ambiguous.inc();
    }
}
