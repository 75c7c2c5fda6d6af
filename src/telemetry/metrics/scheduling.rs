//! Handles for what decides: attempts, plugins, queues.

use std::sync::OnceLock;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::labels::{AttemptResult, ExtensionPoint, Hint, PerLabel, Queue, Status};
use super::{Families, Metrics};

impl Metrics {
    /// What is not split by profile, plugin or event.
    #[must_use]
    pub fn scheduling(&self) -> SchedulingMetrics {
        SchedulingMetrics::new(&self.families)
    }

    /// What a profile counts, by its scheduler name.
    #[must_use]
    pub fn profile(&self, name: &str) -> ProfileMetrics {
        ProfileMetrics::new(&self.families, name)
    }

    /// The lengths of the queues; all are exported, as 0, from this call on.
    #[must_use]
    pub fn queue(&self) -> QueueMetrics {
        let gauge = |queue: &Queue| {
            let labels = [queue.as_str()];
            self.families.pending_pods.with_label_values(&labels)
        };
        QueueMetrics {
            pending: Queue::ALL.iter().map(gauge).collect(),
        }
    }

    /// What happens because of an event, by kube-scheduler's name for it, such as `NodeAdd`.
    #[must_use]
    pub fn event(&self, name: &str) -> EventMetrics {
        EventMetrics {
            name: name.to_owned(),
            incoming_family: self.families.queue_incoming_pods.clone(),
            incoming: PerLabel::new(),
            handling_family: self.families.event_handling_duration.clone(),
            handling: OnceLock::new(),
        }
    }

    /// How long a plugin's hint for an event takes.
    #[must_use]
    pub fn queueing_hint(&self, plugin: &str, event: &str) -> QueueingHintMetrics {
        QueueingHintMetrics {
            plugin: plugin.to_owned(),
            event: event.to_owned(),
            family: self.families.queueing_hint_execution_duration.clone(),
            durations: PerLabel::new(),
        }
    }
}

// === impl SchedulingMetrics ===

/// The last value of the label `attempts`: "15+".
const MOST_ATTEMPTS: usize = 15;

/// What is counted for the scheduler as a whole. All of it is exported from the start.
#[derive(Debug)]
pub struct SchedulingMetrics {
    algorithm: Histogram,
    sli: Vec<OnceLock<Histogram>>,
    sli_family: HistogramVec,
    attempts: Histogram,
    after_flush: IntCounter,
    permit_wait: PerLabel<Status, Histogram>,
    permit_wait_family: HistogramVec,
    nodes: IntGauge,
    pods: IntGauge,
    assumed_pods: IntGauge,
    cycle_panics: IntCounter,
    counter_audits: IntCounter,
    counter_repairs: IntCounter,
}

impl SchedulingMetrics {
    fn new(families: &Families) -> Self {
        let cache_size = |kind| families.cache_size.with_label_values(&[kind]);
        Self {
            algorithm: families.scheduling_algorithm_duration.clone(),
            sli: (0..MOST_ATTEMPTS).map(|_| Default::default()).collect(),
            sli_family: families.pod_scheduling_sli_duration.clone(),
            attempts: families.pod_scheduling_attempts.clone(),
            after_flush: families.pod_scheduled_after_flush.clone(),
            permit_wait: PerLabel::new(),
            permit_wait_family: families.permit_wait_duration.clone(),
            nodes: cache_size("nodes"),
            pods: cache_size("pods"),
            assumed_pods: cache_size("assumed_pods"),
            cycle_panics: families.cycle_panics.clone(),
            counter_audits: families.counter_audits.clone(),
            counter_repairs: families.counter_repairs.clone(),
        }
    }

    /// A decision alone took so long.
    pub fn algorithm(&self, seconds: f64) {
        self.algorithm.observe(seconds);
    }

    /// A pod was scheduled at this attempt, so long after it was first ready to be tried. Counts
    /// the attempts as well (`pod_scheduling_attempts`), as kube-scheduler does at the same moment.
    pub fn sli(&self, attempts: u32, seconds: f64) {
        self.attempts.observe(f64::from(attempts));
        let attempts = usize::try_from(attempts)
            .unwrap_or(usize::MAX)
            .clamp(1, MOST_ATTEMPTS);
        let create = || {
            let plus = if attempts == MOST_ATTEMPTS { "+" } else { "" };
            self.sli_family
                .with_label_values(&[format!("{attempts}{plus}")])
        };
        self.sli[attempts - 1].get_or_init(create).observe(seconds);
    }

    /// A pod was scheduled in an attempt that only the passing of time had caused.
    pub fn scheduled_after_flush(&self) {
        self.after_flush.inc();
    }

    /// A placed pod waited so long for permission, which ended so.
    pub fn permit_wait(&self, result: Status, seconds: f64) {
        let create = || {
            self.permit_wait_family
                .with_label_values(&[result.as_str()])
        };
        self.permit_wait.get(result, create).observe(seconds);
    }

    /// What the cluster holds now.
    pub fn cache_size(&self, nodes: usize, pods: usize, assumed_pods: usize) {
        set(&self.nodes, nodes);
        set(&self.pods, pods);
        set(&self.assumed_pods, assumed_pods);
    }

    /// A scheduling cycle panicked and was contained.
    pub fn cycle_panicked(&self) {
        self.cycle_panics.inc();
    }

    /// A sample of the counters was counted again, and was right or not.
    pub fn counters_audited(&self, right: bool) {
        self.counter_audits.inc();
        if !right {
            self.counter_repairs.inc();
        }
    }
}

// === impl ProfileMetrics ===

/// What a profile counts.
#[derive(Debug)]
pub struct ProfileMetrics {
    name: String,
    attempts: PerLabel<AttemptResult, (IntCounter, Histogram)>,
    attempts_family: IntCounterVec,
    attempt_durations_family: HistogramVec,
    extension_points: PerLabel<ExtensionPoint, PerLabel<Status, Histogram>>,
    extension_points_family: HistogramVec,
    plugin_executions_family: HistogramVec,
    plugin_evaluations_family: IntCounterVec,
    unschedulable_pods_family: IntGaugeVec,
}

impl ProfileMetrics {
    fn new(families: &Families, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            attempts: PerLabel::new(),
            attempts_family: families.schedule_attempts.clone(),
            attempt_durations_family: families.scheduling_attempt_duration.clone(),
            extension_points: PerLabel::new(),
            extension_points_family: families.extension_point_duration.clone(),
            plugin_executions_family: families.plugin_execution_duration.clone(),
            plugin_evaluations_family: families.plugin_evaluations.clone(),
            unschedulable_pods_family: families.unschedulable_pods.clone(),
        }
    }

    /// An attempt ended so, after so long (binding included when there was any).
    pub fn attempt(&self, result: AttemptResult, seconds: f64) {
        let (count, duration) = self.attempts.get(result, || {
            let labels = [result.as_str(), self.name.as_str()];
            (
                self.attempts_family.with_label_values(&labels),
                self.attempt_durations_family.with_label_values(&labels),
            )
        });
        count.inc();
        duration.observe(seconds);
    }

    /// All plugins of an extension point answered so, for one pod, after so long.
    pub fn extension_point(&self, point: ExtensionPoint, status: Status, seconds: f64) {
        let create = || {
            let labels = [point.as_str(), status.as_str(), self.name.as_str()];
            self.extension_points_family.with_label_values(&labels)
        };
        let by_status = self.extension_points.get(point, PerLabel::new);
        by_status.get(status, create).observe(seconds);
    }

    /// What a plugin of this profile counts. Keep it with the plugin.
    #[must_use]
    pub fn plugin(&self, plugin: &str) -> PluginMetrics {
        PluginMetrics {
            plugin: plugin.to_owned(),
            profile: self.name.clone(),
            executions: PerLabel::new(),
            executions_family: self.plugin_executions_family.clone(),
            evaluations: PerLabel::new(),
            evaluations_family: self.plugin_evaluations_family.clone(),
            unschedulable: Default::default(),
            unschedulable_family: self.unschedulable_pods_family.clone(),
        }
    }
}

// === impl PluginMetrics ===

/// What a plugin of a profile counts.
#[derive(Debug)]
pub struct PluginMetrics {
    plugin: String,
    profile: String,
    executions: PerLabel<ExtensionPoint, PerLabel<Status, Histogram>>,
    executions_family: HistogramVec,
    evaluations: PerLabel<ExtensionPoint, IntCounter>,
    evaluations_family: IntCounterVec,
    unschedulable: OnceLock<IntGauge>,
    unschedulable_family: IntGaugeVec,
}

impl PluginMetrics {
    /// The plugin answered so, for one pod, after so long.
    pub fn executed(&self, point: ExtensionPoint, status: Status, seconds: f64) {
        let create = || {
            let labels = [self.plugin.as_str(), point.as_str(), status.as_str()];
            self.executions_family.with_label_values(&labels)
        };
        let by_status = self.executions.get(point, PerLabel::new);
        by_status.get(status, create).observe(seconds);
    }

    /// The plugin was asked so many times; kube-scheduler counts PreFilter, Filter, PreScore and
    /// Score, and the first and third only when the plugin did not answer Skip.
    pub fn evaluated(&self, point: ExtensionPoint, times: u64) {
        let create = || {
            let labels = [self.plugin.as_str(), point.as_str(), self.profile.as_str()];
            self.evaluations_family.with_label_values(&labels)
        };
        self.evaluations.get(point, create).inc_by(times);
    }

    /// So many pods more (or, below zero, fewer) wait because of this plugin.
    pub fn unschedulable(&self, change: i64) {
        let create = || {
            let labels = [self.plugin.as_str(), self.profile.as_str()];
            self.unschedulable_family.with_label_values(&labels)
        };
        self.unschedulable.get_or_init(create).add(change);
    }
}

// === impl QueueMetrics ===

/// How many pods wait where.
#[derive(Debug)]
pub struct QueueMetrics {
    /// One for each of [`Queue::ALL`], in that order.
    pending: Vec<IntGauge>,
}

impl QueueMetrics {
    /// So many pods wait there now.
    pub fn pending(&self, queue: Queue, pods: usize) {
        set(&self.pending[queue as usize], pods);
    }
}

// === impl EventMetrics ===

/// What happens because of an event.
#[derive(Debug)]
pub struct EventMetrics {
    name: String,
    incoming: PerLabel<Queue, IntCounter>,
    incoming_family: IntCounterVec,
    handling: OnceLock<Histogram>,
    handling_family: HistogramVec,
}

impl EventMetrics {
    /// The event put so many pods into this queue.
    pub fn incoming(&self, queue: Queue, pods: u64) {
        let create = || {
            let labels = [queue.as_str(), self.name.as_str()];
            self.incoming_family.with_label_values(&labels)
        };
        self.incoming.get(queue, create).inc_by(pods);
    }

    /// Taking the event in took so long.
    pub fn handled(&self, seconds: f64) {
        let create = || self.handling_family.with_label_values(&[&self.name]);
        self.handling.get_or_init(create).observe(seconds);
    }
}

// === impl QueueingHintMetrics ===

/// How long a plugin's hint for an event takes.
#[derive(Debug)]
pub struct QueueingHintMetrics {
    plugin: String,
    event: String,
    durations: PerLabel<Hint, Histogram>,
    family: HistogramVec,
}

impl QueueingHintMetrics {
    /// The hint answered so after so long.
    pub fn executed(&self, hint: Hint, seconds: f64) {
        let create = || {
            let labels = [self.plugin.as_str(), self.event.as_str(), hint.as_str()];
            self.family.with_label_values(&labels)
        };
        self.durations.get(hint, create).observe(seconds);
    }
}

fn set(gauge: &IntGauge, count: usize) {
    gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
}
