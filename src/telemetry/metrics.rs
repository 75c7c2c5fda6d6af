//! Every metric, defined in one place: name, type, labels, buckets and help.
//!
//! The `scheduler_` ones are kube-scheduler's, with its names, types, labels and buckets
//! (`pkg/scheduler/metrics/metrics.go` of v1.37), so that its dashboards and alerts keep working.
//! The `berth_` ones tell what kube-scheduler has no counterpart for: the lanes towards the API
//! server, the watches, and what was dropped, quarantined or survived. The one about
//! leader election has the name that it has in all of Kubernetes.
//!
//! A label lookup hashes strings and takes a lock, which a decision must not pay for. So code that
//! is run per decision asks once for a typed handle ([`Metrics::profile`], [`Metrics::queue`] and
//! so on) and then names labels by enums, behind which are prebuilt metrics. A combination of
//! labels is created when it is first counted, as kube-scheduler does, except where a handle says
//! otherwise.

use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder, core::Collector, exponential_buckets,
};

mod edge;
mod gangs;
mod labels;
mod preemption;
mod scheduling;

#[cfg(test)]
mod tests;

pub use edge::{BindMetrics, LaneMetrics, LeaderMetrics, WatchMetrics};
pub use gangs::GangMetrics;
pub use labels::{
    AttemptResult, ExtensionPoint, GangResult, Hint, Lane, LaneResult, Preemptor, Queue,
    Resolution, Status, WatchEvent,
};
pub use preemption::PreemptionMetrics;
pub use scheduling::{
    EventMetrics, PluginMetrics, ProfileMetrics, QueueMetrics, QueueingHintMetrics,
    SchedulingMetrics,
};

/// The media type of [`Metrics::encode`].
pub const TEXT_FORMAT: &str = prometheus::TEXT_FORMAT;

/// All metrics of one scheduler. Shared between threads by reference; handles stay valid after it
/// is dropped.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    families: Families,
}

/// The registered metrics. Handles take clones of what they need, which are references to the same
/// numbers.
#[derive(Debug)]
struct Families {
    schedule_attempts: IntCounterVec,
    scheduling_attempt_duration: HistogramVec,
    scheduling_algorithm_duration: Histogram,
    extension_point_duration: HistogramVec,
    plugin_execution_duration: HistogramVec,
    plugin_evaluations: IntCounterVec,
    pod_scheduling_sli_duration: HistogramVec,
    pod_scheduling_attempts: Histogram,
    pod_scheduled_after_flush: IntCounter,
    pending_pods: IntGaugeVec,
    queue_incoming_pods: IntCounterVec,
    unschedulable_pods: IntGaugeVec,
    preemption_attempts: IntCounter,
    preemption_victims: Histogram,
    group_preemption_attempts: IntCounterVec,
    group_preemption_victims: Histogram,
    preemption_disruptions: HistogramVec,
    preemption_violations: IntCounterVec,
    preemption_evaluation: HistogramVec,
    preemption_execution: HistogramVec,
    preemption_goroutines: HistogramVec,
    preemption_goroutine_runs: IntCounterVec,
    preemptions_limited: IntCounter,
    event_handling_duration: HistogramVec,
    queueing_hint_execution_duration: HistogramVec,
    cache_size: IntGaugeVec,
    permit_wait_duration: HistogramVec,

    gang_attempts: IntCounterVec,
    gang_attempt_duration: HistogramVec,
    gang_waiting: Histogram,
    gang_size: Histogram,
    gang_partial_binds: IntCounter,
    gang_repairs: IntCounter,
    gang_overdue: IntCounter,
    gang_ambiguous: IntCounter,

    lane_queued: IntGaugeVec,
    lane_requests: IntCounterVec,
    lane_request_duration: HistogramVec,
    leader: IntGaugeVec,
    binds_in_flight: IntGauge,
    bind_window: IntGauge,
    unknown_bind_outcomes: IntCounterVec,
    events_dropped: IntCounter,
    status_patches_dropped: IntCounter,
    watch_events: IntCounterVec,
    watch_errors: IntCounterVec,
    watch_relists: IntCounterVec,
    watch_streaming_list_refused: IntCounterVec,
    watch_last_event: GaugeVec,
    quarantined_objects: IntGaugeVec,
    cycle_panics: IntCounter,
    counter_audits: IntCounter,
    counter_repairs: IntCounter,
}

impl Families {
    /// Defines everything.
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let define = Definer(registry);
        Ok(Self {
            schedule_attempts: define.counters(
                "scheduler_schedule_attempts_total",
                "Attempts to schedule a pod, by result: 'unschedulable' when no node took the pod, \
                 'error' when the attempt itself failed.",
                &["result", "profile"],
            )?,
            scheduling_attempt_duration: define.histograms(
                "scheduler_scheduling_attempt_duration_seconds",
                "How long an attempt took, from taking the pod off the queue until it was bound \
                 or given up.",
                &["result", "profile"],
                (0.001, 2.0, 15),
            )?,
            scheduling_algorithm_duration: define.histogram(
                "scheduler_scheduling_algorithm_duration_seconds",
                "How long the decision alone took, binding excluded.",
                (0.001, 2.0, 15),
            )?,
            extension_point_duration: define.histograms(
                "scheduler_framework_extension_point_duration_seconds",
                "How long all plugins of an extension point took together, for one pod.",
                &["extension_point", "status", "profile"],
                (0.0001, 2.0, 12),
            )?,
            plugin_execution_duration: define.histograms(
                "scheduler_plugin_execution_duration_seconds",
                "How long one plugin took at an extension point, for one pod (sampled).",
                &["plugin", "extension_point", "status"],
                (0.00001, 1.5, 20),
            )?,
            plugin_evaluations: define.counters(
                "scheduler_plugin_evaluation_total",
                "How often a plugin was asked, at PreFilter, Filter, PreScore and Score.",
                &["plugin", "extension_point", "profile"],
            )?,
            pod_scheduling_sli_duration: define.histograms(
                "scheduler_pod_scheduling_sli_duration_seconds",
                "How long it took to schedule a pod, from the moment it was first ready to be \
                 tried, over all attempts.",
                &["attempts"],
                (0.01, 2.0, 20),
            )?,
            pod_scheduling_attempts: define.histogram(
                "scheduler_pod_scheduling_attempts",
                "Attempts needed until a pod was scheduled.",
                (1.0, 2.0, 5),
            )?,
            pod_scheduled_after_flush: define.counter(
                "scheduler_pod_scheduled_after_flush_total",
                "Pods scheduled only after they were retried because they had waited long, and \
                 not because of an event: a growing number hints at a missed event.",
            )?,
            pending_pods: define.gauges(
                "scheduler_pending_pods",
                "Pods waiting, by where: 'active' are next, 'backoff' wait after a failed \
                 attempt, 'unschedulable' wait for a change in the cluster, 'gated' may not be \
                 tried yet, 'incomplete' and 'pending' wait for other pods of their group.",
                &["queue"],
            )?,
            queue_incoming_pods: define.counters(
                "scheduler_queue_incoming_pods_total",
                "Pods put into a queue, by queue and by the event that put them there.",
                &["queue", "event"],
            )?,
            unschedulable_pods: define.gauges(
                "scheduler_unschedulable_pods",
                "Pods that could not be scheduled, by plugin that said no. A pod counts once for \
                 each such plugin, so that sums over plugins mean nothing.",
                &["plugin", "profile"],
            )?,
            preemption_attempts: define.counter(
                "scheduler_preemption_attempts_total",
                "Searches for pods to evict in favour of a pod that fits nowhere.",
            )?,
            preemption_victims: define.histogram(
                "scheduler_preemption_victims",
                "Pods evicted by one preemption.",
                (1.0, 2.0, 7),
            )?,
            group_preemption_attempts: define.counters(
                "scheduler_workload_preemption_attempts_total",
                "Searches for pods to evict in favour of a gang that fits nowhere.",
                &["result"],
            )?,
            group_preemption_victims: define.histogram(
                "scheduler_workload_preemption_victims",
                "Pods evicted by one preemption for a gang.",
                (1.0, 2.0, 11),
            )?,
            preemption_disruptions: define.histograms(
                "scheduler_preemption_workload_disruptions",
                "Groups, and single pods of groups, that one preemption evicts pods of.",
                &["preemptor"],
                (1.0, 2.0, 11),
            )?,
            preemption_violations: define.counters(
                "scheduler_preemption_pdb_violations_total",
                "Pods evicted though a PodDisruptionBudget protects them.",
                &["preemptor"],
            )?,
            preemption_evaluation: define.histograms(
                "scheduler_preemption_evaluation_duration_seconds",
                "How long it took to find out whom to evict.",
                &["preemptor", "result"],
                (0.001, 2.0, 16),
            )?,
            preemption_execution: define.histograms(
                "scheduler_preemption_execution_duration_seconds",
                "How long it took until the API server had answered all evictions of a preemption.",
                &["preemptor", "result"],
                (0.001, 2.0, 16),
            )?,
            preemption_goroutines: define.histograms(
                "scheduler_preemption_goroutines_duration_seconds",
                "The same, under the name it had first.",
                &["result"],
                (0.01, 2.0, 20),
            )?,
            preemption_goroutine_runs: define.counters(
                "scheduler_preemption_goroutines_execution_total",
                "Preemptions whose evictions the API server has answered.",
                &["result"],
            )?,
            preemptions_limited: define.counter(
                "berth_preemptions_limited_total",
                "Preemptors that rest because they have evicted too often without being placed.",
            )?,
            event_handling_duration: define.histograms(
                "scheduler_event_handling_duration_seconds",
                "How long it took to take in a change of the cluster, queues included.",
                &["event"],
                (0.0001, 2.0, 12),
            )?,
            queueing_hint_execution_duration: define.histograms(
                "scheduler_queueing_hint_execution_duration_seconds",
                "How long a plugin took to tell whether an event makes a waiting pod worth \
                 another attempt.",
                &["plugin", "event", "hint"],
                (0.00001, 1.5, 20),
            )?,
            cache_size: define.gauges(
                "scheduler_cache_size",
                "Nodes, pods and assumed pods (placed, not yet confirmed) that are known.",
                &["type"],
            )?,
            permit_wait_duration: define.histograms(
                "scheduler_permit_wait_duration_seconds",
                "How long a placed pod waited for permission to be bound.",
                &["result"],
                (0.001, 2.0, 15),
            )?,

            leader: define.gauges(
                "leader_election_master_status",
                "Whether this replica holds the lease of that name: 1 for the leader, 0 for a \
                 standby.",
                &["name"],
            )?,
            gang_attempts: define.counters(
                "berth_gang_attempts_total",
                "Attempts to place a gang, by result.",
                &["result"],
            )?,
            gang_attempt_duration: define.histograms(
                "berth_gang_attempt_duration_seconds",
                "How long it took to plan a gang, binding excluded.",
                &["result"],
                (0.0001, 2.0, 16),
            )?,
            gang_waiting: define.histogram(
                "berth_gang_waiting_seconds",
                "How long members had waited when they were placed with their gang.",
                (0.01, 2.0, 20),
            )?,
            gang_size: define.histogram(
                "berth_gang_size",
                "Members that were placed together.",
                (1.0, 2.0, 14),
            )?,
            gang_partial_binds: define.counter(
                "berth_gang_partial_binds_total",
                "Times that fewer members than must run together were bound when all binds of \
                 the gang were answered.",
            )?,
            gang_repairs: define.counter(
                "berth_gang_repairs_total",
                "Members that running gangs had lost and that were replaced.",
            )?,
            gang_overdue: define.counter(
                "berth_gang_overdue_total",
                "Gangs that waited for longer than their timeout.",
            )?,
            gang_ambiguous: define.counter(
                "berth_gang_ambiguous_pods_total",
                "Pods that named several groups, of which the first counted.",
            )?,
            lane_queued: define.gauges(
                "berth_lane_queued",
                "Requests waiting to be sent to the API server, by lane.",
                &["lane"],
            )?,
            lane_requests: define.counters(
                "berth_lane_requests_total",
                "Requests to the API server that ended, by lane and result.",
                &["lane", "result"],
            )?,
            lane_request_duration: define.histograms(
                "berth_lane_request_duration_seconds",
                "How long a request to the API server took, by lane, whatever its result.",
                &["lane"],
                (0.001, 2.0, 15),
            )?,
            binds_in_flight: define
                .gauge("berth_binds_in_flight", "Binds sent and not yet answered.")?,
            bind_window: define.gauge(
                "berth_bind_window",
                "Binds that may be in flight at once; grows while the API server keeps up.",
            )?,
            unknown_bind_outcomes: define.counters(
                "berth_unknown_bind_outcomes_total",
                "Binds whose outcome the reply did not tell, by what reading the pod showed: \
                 'unread' when that failed as well.",
                &["resolved"],
            )?,
            events_dropped: define.counter(
                "berth_events_dropped_total",
                "Kubernetes events not sent because too many were waiting.",
            )?,
            status_patches_dropped: define.counter(
                "berth_status_patches_dropped_total",
                "Updates of a pod's status not sent because too many were waiting.",
            )?,
            watch_events: define.counters(
                "berth_watch_events_total",
                "Objects received, by kind and by type: 'listed' while (re)starting, then \
                 'applied' and 'deleted'.",
                &["kind", "type"],
            )?,
            watch_errors: define.counters(
                "berth_watch_errors_total",
                "Errors of a watch, including lists; it is retried after each.",
                &["kind"],
            )?,
            watch_relists: define.counters(
                "berth_watch_relists_total",
                "Times a watch had to fetch all objects again, the first time excluded.",
                &["kind"],
            )?,
            watch_streaming_list_refused: define.counters(
                "berth_watch_streaming_list_refused_total",
                "Times the API server refused a streaming list and a paged list was used.",
                &["kind"],
            )?,
            watch_last_event: define.times(
                "berth_watch_last_event_timestamp_seconds",
                "When a watch last received anything, in seconds since 1970.",
                &["kind"],
            )?,
            quarantined_objects: define.gauges(
                "berth_quarantined_objects",
                "Objects set aside because they could not be understood. A quarantined node \
                 takes no pods.",
                &["kind"],
            )?,
            cycle_panics: define.counter(
                "berth_cycle_panics_total",
                "Scheduling cycles that ended in a bug and were contained. Please report.",
            )?,
            counter_audits: define.counter(
                "berth_counter_audits_total",
                "Samples of the counters of pods relative to pods that were counted again.",
            )?,
            counter_repairs: define.counter(
                "berth_counter_repairs_total",
                "Samples that were found wrong, after which everything was counted again. Please \
                 report.",
            )?,
        })
    }
}

// === impl Metrics ===

impl Metrics {
    /// Defines all metrics in a registry of their own.
    ///
    /// # Errors
    ///
    /// When two definitions clash, which is a mistake in this file and not in any input.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        #[cfg(target_os = "linux")]
        registry.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
        let families = Families::register(&registry)?;
        Definer(&registry)
            .gauges(
                "berth_build_info",
                "Always 1; the label tells the version.",
                &["version"],
            )?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        Ok(Self { registry, families })
    }

    /// All metrics as text, for Prometheus to scrape ([`TEXT_FORMAT`]).
    ///
    /// # Errors
    ///
    /// When a metric cannot be written, which is a mistake in the definitions.
    pub fn encode(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

// === impl Definer ===

/// The first bucket's upper bound, the factor to each next one, and how many there are.
type Buckets = (f64, f64, usize);

/// Creates metrics and registers them.
struct Definer<'a>(&'a Registry);

impl Definer<'_> {
    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.registered(IntCounter::new(name, help)?)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.registered(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.registered(IntGauge::new(name, help)?)
    }

    fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, prometheus::Error> {
        self.registered(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// Gauges that hold points in time, which integers would cut to seconds.
    fn times(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<GaugeVec, prometheus::Error> {
        self.registered(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        buckets: Buckets,
    ) -> Result<Histogram, prometheus::Error> {
        self.registered(Histogram::with_opts(histogram(name, help, buckets)?)?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: Buckets,
    ) -> Result<HistogramVec, prometheus::Error> {
        self.registered(HistogramVec::new(histogram(name, help, buckets)?, labels)?)
    }

    fn registered<C>(&self, metric: C) -> Result<C, prometheus::Error>
    where
        C: Collector + Clone + 'static,
    {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

fn histogram(
    name: &str,
    help: &str,
    (start, factor, count): Buckets,
) -> Result<HistogramOpts, prometheus::Error> {
    let bounds = exponential_buckets(start, factor, count)?;
    Ok(HistogramOpts::new(name, help).buckets(bounds))
}
