//! The metrics page, under kube-scheduler's names.

use anyhow::Result;
use e2e::harness::{Cluster, metric};
use e2e::objects::{node, pod};

#[tokio::test]
async fn metrics_tell_what_happened() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.create_nodes([node("n1"), node("n2")]).await?;
    cluster.start_scheduler().await?;
    for i in 0..5 {
        let placed = pod(&format!("p{i}"))
            .label("app", "x")
            .request("cpu", "100m");
        cluster.pod(placed).await?;
    }
    cluster.wait_all_bound("app=x", 5).await?;
    for name in ["q0", "q1"] {
        cluster.pod(pod(name).selector("no", "where")).await?;
        cluster.wait_unschedulable(name).await?;
    }
    cluster.pod(pod("gated").gate("quota")).await?;

    let profile = "profile=\"e2e\"";
    let scheduled = "result=\"scheduled\"";
    let unschedulable = "result=\"unschedulable\"";
    let expected: &[(&str, &[&str], f64)] = &[
        (
            "scheduler_schedule_attempts_total",
            &[profile, scheduled],
            5.0,
        ),
        (
            "scheduler_schedule_attempts_total",
            &[profile, unschedulable],
            2.0,
        ),
        (
            "scheduler_scheduling_attempt_duration_seconds_count",
            &[profile, scheduled],
            5.0,
        ),
        (
            "scheduler_scheduling_attempt_duration_seconds_count",
            &[profile, unschedulable],
            2.0,
        ),
        ("scheduler_pod_scheduling_attempts_count", &[], 5.0),
        ("scheduler_pod_scheduling_attempts_sum", &[], 5.0),
        (
            "scheduler_pod_scheduling_sli_duration_seconds_count",
            &["attempts=\"1\""],
            5.0,
        ),
        (
            "scheduler_scheduling_algorithm_duration_seconds_count",
            &[],
            7.0,
        ),
        (
            "scheduler_framework_extension_point_duration_seconds_count",
            &["extension_point=\"Filter\"", profile],
            7.0,
        ),
        (
            "scheduler_framework_extension_point_duration_seconds_count",
            &["extension_point=\"Score\"", profile],
            5.0,
        ),
        (
            "scheduler_framework_extension_point_duration_seconds_count",
            &["extension_point=\"PostFilter\"", profile],
            2.0,
        ),
        ("scheduler_pending_pods", &["queue=\"active\""], 0.0),
        ("scheduler_pending_pods", &["queue=\"backoff\""], 0.0),
        ("scheduler_pending_pods", &["queue=\"unschedulable\""], 2.0),
        ("scheduler_pending_pods", &["queue=\"gated\""], 1.0),
        (
            "scheduler_unschedulable_pods",
            &["plugin=\"NodeAffinity\"", profile],
            2.0,
        ),
        (
            "scheduler_unschedulable_pods",
            &["plugin=\"SchedulingGates\"", profile],
            1.0,
        ),
        (
            "scheduler_queue_incoming_pods_total",
            &["queue=\"active\"", "event=\"UnscheduledPodAdd\""],
            7.0,
        ),
        (
            "scheduler_queue_incoming_pods_total",
            &[
                "queue=\"unschedulable\"",
                "event=\"ScheduleAttemptFailure\"",
            ],
            2.0,
        ),
        ("scheduler_preemption_attempts_total", &[], 2.0),
        ("scheduler_cache_size", &["type=\"nodes\""], 2.0),
        ("scheduler_cache_size", &["type=\"pods\""], 5.0),
        ("scheduler_cache_size", &["type=\"assumed_pods\""], 0.0),
    ];
    let scheduler = cluster.take_scheduler()?;
    let mut wrong = String::new();
    let result = cluster
        .eventually("page with all metrics", async || {
            let page = scheduler.metrics().await?;
            wrong.clear();
            for (name, labels, value) in expected {
                let found = metric(&page, name, labels);
                if found != Some(*value) {
                    wrong += &format!("\n{name}{labels:?}: {found:?} instead of {value}");
                }
            }
            Ok(wrong.is_empty().then_some(page))
        })
        .await;
    let Ok(page) = result else {
        panic!("the metrics are wrong:{wrong}");
    };

    let types = [
        ("scheduler_schedule_attempts_total", "counter"),
        ("scheduler_scheduling_attempt_duration_seconds", "histogram"),
        ("scheduler_pod_scheduling_attempts", "histogram"),
        ("scheduler_pod_scheduling_sli_duration_seconds", "histogram"),
        ("scheduler_pending_pods", "gauge"),
        ("scheduler_unschedulable_pods", "gauge"),
        ("scheduler_queue_incoming_pods_total", "counter"),
        ("scheduler_preemption_attempts_total", "counter"),
        ("scheduler_preemption_victims", "histogram"),
        ("scheduler_cache_size", "gauge"),
    ];
    for (name, kind) in types {
        let line = format!("# TYPE {name} {kind}");
        assert!(page.lines().any(|found| found == line), "no line {line:?}");
    }
    // No attempt takes no time, and none here takes minutes.
    let seconds = metric(
        &page,
        "scheduler_scheduling_attempt_duration_seconds_sum",
        &[profile],
    );
    assert!(seconds.is_some_and(|seconds| seconds > 0.0 && seconds < 300.0));
    Ok(())
}

#[tokio::test]
async fn health_pages_answer() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.start_scheduler().await?;
    let scheduler = cluster.scheduler()?;
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(scheduler.page(path).await?.trim(), "ok", "{path}");
    }
    Ok(())
}
