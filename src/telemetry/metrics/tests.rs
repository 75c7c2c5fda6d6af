#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use super::*;

/// Uses every handle once.
fn everything_counted() -> Metrics {
    let metrics = Metrics::new().unwrap();
    let scheduling = metrics.scheduling();
    scheduling.algorithm(0.1);
    scheduling.sli(1, 0.1);
    scheduling.scheduled_after_flush();
    let preemption = metrics.preemption();
    for preemptor in [Preemptor::Pod, Preemptor::PodGroup] {
        preemption.attempt(preemptor, Status::Success, 0.01);
        preemption.decided(preemptor, 3, 1, 2);
        preemption.executed(preemptor, true, 0.01);
    }
    scheduling.permit_wait(Status::Success, 0.1);
    scheduling.cache_size(5, 7, 1);
    scheduling.cycle_panicked();
    let profile = metrics.profile("berth");
    profile.attempt(AttemptResult::Scheduled, 0.1);
    profile.extension_point(ExtensionPoint::Filter, Status::Success, 0.1);
    let plugin = profile.plugin("NodeName");
    plugin.executed(ExtensionPoint::Filter, Status::Unschedulable, 0.1);
    plugin.evaluated(ExtensionPoint::PreFilter, 2);
    plugin.unschedulable(2);
    plugin.unschedulable(-1);
    metrics.queue().pending(Queue::Active, 4);
    let event = metrics.event("NodeAdd");
    event.incoming(Queue::Backoff, 2);
    event.handled(0.1);
    metrics
        .queueing_hint("NodeName", "NodeAdd")
        .executed(Hint::QueueSkip, 0.1);
    for lane in Lane::ALL {
        let lane = metrics.lane(*lane);
        lane.queued(3);
        lane.request(LaneResult::Throttled, 0.1);
        lane.dropped();
    }
    let binds = metrics.binds();
    binds.in_flight(2);
    binds.window(32);
    binds.unknown(Resolution::NotBound);
    let watch = metrics.watch("pods");
    watch.event(WatchEvent::Applied);
    watch.heard(1_700_000_000.5);
    watch.error();
    watch.relisted();
    watch.streaming_list_refused();
    watch.quarantined(1);
    metrics.leader("berth").leads(true);
    metrics
}

/// A histogram's samples: the bounds of its buckets as exported.
fn bounds(text: &str, name: &str) -> Vec<f64> {
    let mut bounds = Vec::new();
    for line in text
        .lines()
        .filter(|line| line.starts_with(&format!("{name}_bucket")))
    {
        let (_, rest) = line.rsplit_once("le=\"").expect(line);
        let (bound, _) = rest.split_once('"').expect(line);
        if bound != "+Inf" && !bounds.contains(&bound.parse().expect(bound)) {
            bounds.push(bound.parse().expect(bound));
        }
    }
    bounds
}

/// The names of a metric's labels, in the order of the alphabet, `le` left out.
fn labels(text: &str, name: &str) -> BTreeSet<String> {
    let metric = |line: &&str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']) || rest.starts_with("_bucket{"))
    };
    let line = text
        .lines()
        .find(metric)
        .unwrap_or_else(|| panic!("{name} is missing"));
    let Some((_, rest)) = line.split_once('{') else {
        return BTreeSet::new();
    };
    let names = rest
        .split("=\"")
        .map(|part| part.rsplit([',', '"', '{']).next().unwrap());
    let names: Vec<_> = names.collect();
    let (_last_value, names) = names.split_last().expect("a value after the last label");
    names
        .iter()
        .filter(|name| **name != "le")
        .map(|name| (*name).to_owned())
        .collect()
}

#[track_caller]
fn check(text: &str, name: &str, kind: &str, expected: &[&str], buckets: Option<Buckets>) {
    assert!(
        text.contains(&format!("# TYPE {name} {kind}\n")),
        "{name} is no {kind}"
    );
    assert!(
        text.contains(&format!("# HELP {name} ")),
        "{name} has no help"
    );
    let expected: BTreeSet<_> = expected.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(labels(text, name), expected, "{name}");
    assert_eq!(kind == "histogram", buckets.is_some(), "{name}");
    if let Some((start, factor, count)) = buckets {
        let found = bounds(text, name);
        assert_eq!(found.len(), count, "{name}: {found:?}");
        for (power, found) in (0..).zip(found) {
            let exact = start * f64::powi(factor, power);
            assert!(
                (found / exact - 1.0).abs() < 1e-9,
                "{name}: {found}, not {exact}"
            );
        }
    }
}

#[test]
fn names_types_labels_and_buckets_are_kube_schedulers() {
    let text = everything_counted().encode().unwrap();
    let scheduler = |name: &str, kind: &str, labels: &[&str], buckets: Option<Buckets>| {
        check(&text, &format!("scheduler_{name}"), kind, labels, buckets);
    };
    let long = Some((0.001, 2.0, 15));
    let short = Some((0.0001, 2.0, 12));
    let fine = Some((0.00001, 1.5, 20));
    for (name, labels) in [
        ("schedule_attempts_total", &["result", "profile"][..]),
        (
            "plugin_evaluation_total",
            &["plugin", "extension_point", "profile"],
        ),
        ("queue_incoming_pods_total", &["queue", "event"]),
        ("preemption_attempts_total", &[]),
        ("pod_scheduled_after_flush_total", &[]),
    ] {
        scheduler(name, "counter", labels, None);
    }
    for (name, labels) in [
        ("pending_pods", &["queue"][..]),
        ("unschedulable_pods", &["plugin", "profile"]),
        ("cache_size", &["type"]),
    ] {
        scheduler(name, "gauge", labels, None);
    }
    for (name, labels, buckets) in [
        (
            "scheduling_attempt_duration_seconds",
            &["result", "profile"][..],
            long,
        ),
        ("scheduling_algorithm_duration_seconds", &[], long),
        ("permit_wait_duration_seconds", &["result"], long),
        (
            "framework_extension_point_duration_seconds",
            &["extension_point", "status", "profile"],
            short,
        ),
        ("event_handling_duration_seconds", &["event"], short),
        (
            "plugin_execution_duration_seconds",
            &["plugin", "extension_point", "status"],
            fine,
        ),
        (
            "queueing_hint_execution_duration_seconds",
            &["plugin", "event", "hint"],
            fine,
        ),
        (
            "pod_scheduling_sli_duration_seconds",
            &["attempts"],
            Some((0.01, 2.0, 20)),
        ),
        ("pod_scheduling_attempts", &[], Some((1.0, 2.0, 5))),
        ("preemption_victims", &[], Some((1.0, 2.0, 7))),
    ] {
        scheduler(name, "histogram", labels, buckets);
    }
}

#[test]
fn our_own_have_our_prefix() {
    let text = everything_counted().encode().unwrap();
    for (name, kind, labels) in [
        ("build_info", "gauge", &["version"][..]),
        ("lane_queued", "gauge", &["lane"]),
        ("lane_requests_total", "counter", &["lane", "result"]),
        ("binds_in_flight", "gauge", &[]),
        ("bind_window", "gauge", &[]),
        ("unknown_bind_outcomes_total", "counter", &["resolved"]),
        ("events_dropped_total", "counter", &[]),
        ("status_patches_dropped_total", "counter", &[]),
        ("watch_events_total", "counter", &["kind", "type"]),
        ("watch_errors_total", "counter", &["kind"]),
        ("watch_relists_total", "counter", &["kind"]),
        ("watch_streaming_list_refused_total", "counter", &["kind"]),
        ("watch_last_event_timestamp_seconds", "gauge", &["kind"]),
        ("quarantined_objects", "gauge", &["kind"]),
        ("cycle_panics_total", "counter", &[]),
        ("counter_audits_total", "counter", &[]),
        ("counter_repairs_total", "counter", &[]),
    ] {
        check(&text, &format!("berth_{name}"), kind, labels, None);
    }
    let name = "leader_election_master_status";
    check(&text, name, "gauge", &["name"], None);
    let name = "berth_lane_request_duration_seconds";
    check(&text, name, "histogram", &["lane"], Some((0.001, 2.0, 15)));
    #[cfg(target_os = "linux")]
    check(&text, "process_resident_memory_bytes", "gauge", &[], None);
}

#[test]
fn values_arrive_where_they_belong() {
    let text = everything_counted().encode().unwrap();
    for line in [
        r#"scheduler_schedule_attempts_total{profile="berth",result="scheduled"} 1"#,
        r#"scheduler_scheduling_attempt_duration_seconds_count{profile="berth",result="scheduled"} 1"#,
        r#"scheduler_framework_extension_point_duration_seconds_count{extension_point="Filter",profile="berth",status="Success"} 1"#,
        r#"scheduler_plugin_execution_duration_seconds_count{extension_point="Filter",plugin="NodeName",status="Unschedulable"} 1"#,
        r#"scheduler_plugin_evaluation_total{extension_point="PreFilter",plugin="NodeName",profile="berth"} 2"#,
        r#"scheduler_unschedulable_pods{plugin="NodeName",profile="berth"} 1"#,
        r#"scheduler_pending_pods{queue="active"} 4"#,
        r#"scheduler_queue_incoming_pods_total{event="NodeAdd",queue="backoff"} 2"#,
        r#"scheduler_queueing_hint_execution_duration_seconds_count{event="NodeAdd",hint="QueueSkip",plugin="NodeName"} 1"#,
        r#"scheduler_cache_size{type="assumed_pods"} 1"#,
        r#"scheduler_cache_size{type="nodes"} 5"#,
        r#"scheduler_cache_size{type="pods"} 7"#,
        r#"scheduler_preemption_victims_sum 3"#,
        r#"scheduler_permit_wait_duration_seconds_count{result="Success"} 1"#,
        r#"berth_lane_requests_total{lane="bind",result="success"} 0"#,
        r#"berth_lane_requests_total{lane="bind",result="throttled"} 1"#,
        r#"berth_lane_queued{lane="event"} 3"#,
        r#"berth_events_dropped_total 1"#,
        r#"berth_status_patches_dropped_total 1"#,
        r#"berth_unknown_bind_outcomes_total{resolved="bound"} 0"#,
        r#"berth_unknown_bind_outcomes_total{resolved="not_bound"} 1"#,
        r#"berth_watch_events_total{kind="pods",type="applied"} 1"#,
        r#"berth_watch_last_event_timestamp_seconds{kind="pods"} 1700000000.5"#,
        concat!(
            "berth_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
    ] {
        assert!(
            text.lines().any(|have| have == line),
            "{line} is missing from:\n{text}"
        );
    }
}

#[test]
fn queues_are_there_from_the_start_and_unused_labels_are_not() {
    let metrics = Metrics::new().unwrap();
    let (_queue, _profile) = (metrics.queue(), metrics.profile("berth"));
    let text = metrics.encode().unwrap();
    for queue in [
        "active",
        "backoff",
        "unschedulable",
        "gated",
        "incomplete",
        "pending",
    ] {
        let line = format!("scheduler_pending_pods{{queue=\"{queue}\"}} 0\n");
        assert!(text.contains(&line), "{line}");
    }
    assert!(!text.contains("profile=\"berth\""), "{text}");
    assert!(
        !text.contains("scheduler_schedule_attempts_total"),
        "{text}"
    );
}

#[test]
fn attempts_beyond_fourteen_share_a_label() {
    let metrics = Metrics::new().unwrap();
    let scheduling = metrics.scheduling();
    for attempts in [0, 1, 2, 14, 15, 16, u32::MAX] {
        scheduling.sli(attempts, 0.5);
    }
    let text = metrics.encode().unwrap();
    let count = |label: &str| {
        let start =
            format!("scheduler_pod_scheduling_sli_duration_seconds_count{{attempts=\"{label}\"}} ");
        text.lines()
            .find_map(|line| line.strip_prefix(start.as_str()).map(str::to_owned))
    };
    let expected = [("1", "2"), ("2", "1"), ("14", "1"), ("15+", "3")];
    for (label, seen) in expected {
        assert_eq!(count(label).as_deref(), Some(seen), "{label}");
    }
    assert_eq!([count("0"), count("15"), count("3")], [None, None, None]);
    assert!(
        text.contains("scheduler_pod_scheduling_attempts_count 7\n"),
        "{text}"
    );
}

#[test]
fn handles_of_one_name_count_together() {
    let metrics = Metrics::new().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let profile = metrics.profile("berth");
                for _ in 0..100 {
                    profile.attempt(AttemptResult::Error, 0.1);
                }
            });
        }
    });
    let text = metrics.encode().unwrap();
    let line = r#"scheduler_schedule_attempts_total{profile="berth",result="error"} 400"#;
    assert!(text.lines().any(|have| have == line), "{text}");
}
