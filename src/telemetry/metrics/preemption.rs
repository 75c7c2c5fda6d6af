//! What is counted of preemption.

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::labels::{PerLabel, Preemptor, Status};
use super::{Families, Metrics};

impl Metrics {
    /// The handle for preemption.
    pub fn preemption(&self) -> PreemptionMetrics {
        PreemptionMetrics::new(&self.families)
    }
}

/// What is counted of preemption.
#[derive(Debug)]
pub struct PreemptionMetrics {
    attempts: IntCounter,
    group_attempts: IntCounterVec,
    victims: Histogram,
    group_victims: Histogram,
    disruptions: HistogramVec,
    violations: IntCounterVec,
    evaluations: PerLabel<Preemptor, PerLabel<Status, Histogram>>,
    evaluations_family: HistogramVec,
    executions: HistogramVec,
    goroutines: HistogramVec,
    goroutine_runs: IntCounterVec,
    limited: IntCounter,
}

impl PreemptionMetrics {
    fn new(families: &Families) -> Self {
        Self {
            attempts: families.preemption_attempts.clone(),
            group_attempts: families.group_preemption_attempts.clone(),
            victims: families.preemption_victims.clone(),
            group_victims: families.group_preemption_victims.clone(),
            disruptions: families.preemption_disruptions.clone(),
            violations: families.preemption_violations.clone(),
            evaluations: PerLabel::new(),
            evaluations_family: families.preemption_evaluation.clone(),
            executions: families.preemption_execution.clone(),
            goroutines: families.preemption_goroutines.clone(),
            goroutine_runs: families.preemption_goroutine_runs.clone(),
            limited: families.preemptions_limited.clone(),
        }
    }

    /// Victims were looked for, which took so long and ended so.
    pub fn attempt(&self, preemptor: Preemptor, result: Status, seconds: f64) {
        match preemptor {
            Preemptor::Pod => self.attempts.inc(),
            Preemptor::PodGroup => {
                let labels = [result.as_str()];
                self.group_attempts.with_label_values(&labels).inc();
            }
        }
        let create = || {
            let labels = [preemptor.as_str(), result.as_str()];
            self.evaluations_family.with_label_values(&labels)
        };
        let of_preemptor = self.evaluations.get(preemptor, PerLabel::new);
        of_preemptor.get(result, create).observe(seconds);
    }

    /// So many pods are evicted, of which budgets protect so many, and so many groups lose pods.
    pub fn decided(&self, preemptor: Preemptor, victims: usize, violations: usize, groups: usize) {
        let histogram = match preemptor {
            Preemptor::Pod => &self.victims,
            Preemptor::PodGroup => &self.group_victims,
        };
        histogram.observe(victims as f64);
        let labels = [preemptor.as_str()];
        if groups > 0 {
            let disruptions = self.disruptions.with_label_values(&labels);
            disruptions.observe(groups as f64);
        }
        if violations > 0 {
            let counter = self.violations.with_label_values(&labels);
            counter.inc_by(violations as u64);
        }
    }

    /// The API server has answered all evictions of a preemption, so long after they were sent.
    pub fn executed(&self, preemptor: Preemptor, succeeded: bool, seconds: f64) {
        let result = if succeeded { "success" } else { "error" };
        let labels = [preemptor.as_str(), result];
        self.executions.with_label_values(&labels).observe(seconds);
        let labels = [result];
        self.goroutines.with_label_values(&labels).observe(seconds);
        self.goroutine_runs.with_label_values(&labels).inc();
    }

    /// A preemptor rests because it has evicted too often without being placed.
    pub fn limited(&self) {
        self.limited.inc();
    }
}
