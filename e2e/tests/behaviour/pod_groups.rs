//! The APIs that describe groups of pods: they come and go, and each is told in its own words how a group fares.

use anyhow::{Context, Result};
use e2e::Options;
use e2e::harness::{Cluster, metric};
use e2e::objects::{node, pod};
use e2e::pod_groups::PodGroupApi;
use k8s_openapi::api::events::v1::Event;
use serde_json::Value;

/// Waits until the status of a group looks so.
async fn wait_status(
    cluster: &Cluster,
    api: PodGroupApi,
    group: &str,
    what: &str,
    look: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let mut last = Value::Null;
    let found = cluster
        .eventually(&format!("{what} group of {}", api.group()), async || {
            let mut group = api.get(cluster, group).await?;
            last = group["status"].take();
            Ok(look(&last).then(|| last.clone()))
        })
        .await;
    found.with_context(|| format!("its status is {last}"))
}

/// Whether a condition has this status and reason.
fn has(status: &Value, kind: &str, value: &str, reason: &str) -> bool {
    let conditions = status["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| {
        condition["type"] == kind && condition["status"] == value && condition["reason"] == reason
    })
}

/// What the log says of groups of pods.
fn said(cluster: &mut Cluster) -> Result<Vec<String>> {
    let output = cluster.scheduler()?.output();
    let of_groups = output.lines().filter(|line| line.contains("PodGroup."));
    Ok(of_groups.map(str::to_owned).collect())
}

#[tokio::test]
async fn berth_follows_group_apis_that_come_and_go() -> Result<()> {
    let mut cluster = Cluster::with_options(Options::default()).await?;
    cluster.node(node("n1")).await?;
    cluster.start_scheduler().await?;
    // None of the APIs is there, which keeps nothing waiting and is not worth a word.
    cluster.pod(pod("plain")).await?;
    cluster.wait_bound("plain").await?;
    assert_eq!(said(&mut cluster)?, Vec::<String>::new());

    for round in ["a", "b"] {
        for api in PodGroupApi::CUSTOM {
            api.install(cluster.control_plane())?;
            api.create(&cluster, round, 2).await?;
        }
        for api in PodGroupApi::CUSTOM {
            for member in ["0", "1"] {
                let name = format!("{round}-{}-{member}", api.group());
                cluster.pod(api.member(pod(&name), round)).await?;
            }
            for member in ["0", "1"] {
                let name = format!("{round}-{}-{member}", api.group());
                cluster.wait_bound(&name).await?;
            }
        }
        for api in PodGroupApi::CUSTOM {
            api.remove(cluster.control_plane())?;
            let log = cluster.scheduler()?.log().to_owned();
            let line = format!("no longer served kind=\"PodGroup.{}\"", api.group());
            let rounds = if round == "a" { 1 } else { 2 };
            cluster
                .eventually("word of the end", async || {
                    let log = tokio::fs::read_to_string(&log).await?;
                    Ok((log.matches(&line).count() == rounds).then_some(()))
                })
                .await?;
        }
    }
    // Each time a word when it comes and a word when it goes.
    let said = said(&mut cluster)?;
    assert_eq!(said.len(), 8, "{said:#?}");
    let page = cluster.scheduler()?.metrics().await?;
    for api in PodGroupApi::CUSTOM {
        let kind = format!("kind=\"PodGroup.{}\"", api.group());
        let errors = metric(&page, "berth_watch_errors_total", &[&kind]);
        assert_eq!(errors, Some(0.0), "{kind}");
    }
    Ok(())
}

/// An API server that is starting does not know its custom resources yet, which is no word about them.
#[tokio::test]
async fn berth_keeps_groups_while_the_api_server_restarts() -> Result<()> {
    let options = Options::default().with_pod_groups();
    let mut cluster = Cluster::with_options(options).await?;
    cluster.node(node("n1")).await?;
    for api in PodGroupApi::CUSTOM {
        api.install(cluster.control_plane())?;
    }
    for api in PodGroupApi::ALL {
        api.create(&cluster, "g", 2).await?;
        let first = pod(&format!("{}-0", api.group()));
        cluster.pod(api.member(first, "g")).await?;
    }
    cluster.start_scheduler().await?;
    for api in PodGroupApi::ALL {
        cluster
            .wait_unschedulable(&format!("{}-0", api.group()))
            .await?;
    }
    for _ in 0..3 {
        cluster.control_plane_mut().restart_apiserver().await?;
    }
    for api in PodGroupApi::ALL {
        let name = format!("{}-1", api.group());
        cluster.pod(api.member(pod(&name), "g")).await?;
        cluster.wait_bound(&name).await?;
    }
    let said = said(&mut cluster)?;
    let gone = said.iter().filter(|line| line.contains("no longer served"));
    assert_eq!(gone.count(), 0, "{said:#?}");
    Ok(())
}

/// An API that the server is started without, and then with again.
#[tokio::test]
async fn berth_follows_the_feature_of_pod_groups() -> Result<()> {
    const ON: PodGroupApi = PodGroupApi::Kubernetes;
    const OTHER: PodGroupApi = PodGroupApi::SchedulerPlugins;
    let options = || Options::default().with_pod_groups();
    let mut cluster = Cluster::with_options(options()).await?;
    cluster.node(node("n1")).await?;
    OTHER.install(cluster.control_plane())?;
    ON.create(&cluster, "waits", 2).await?;
    cluster.start_scheduler().await?;
    cluster.pod(ON.member(pod("waits-0"), "waits")).await?;
    cluster.wait_unschedulable("waits-0").await?;

    let without = Options::default();
    (cluster.control_plane_mut().restart_apiserver_with(without)).await?;
    cluster
        .wait_message("waits-0", "PodGroup default/waits not found")
        .await?;
    OTHER.create(&cluster, "other", 2).await?;
    for name in ["other-0", "other-1"] {
        cluster.pod(OTHER.member(pod(name), "other")).await?;
    }
    cluster.pod(pod("plain")).await?;
    for name in ["other-0", "other-1", "plain"] {
        cluster.wait_bound(name).await?;
    }

    (cluster
        .control_plane_mut()
        .restart_apiserver_with(options()))
    .await?;
    ON.wait_until_served(&cluster.client()).await?;
    cluster.pod(ON.member(pod("waits-1"), "waits")).await?;
    for name in ["waits-0", "waits-1"] {
        cluster.wait_bound(name).await?;
    }
    // A word each time it comes or goes, one when the other comes, and little of lost connections.
    let said = said(&mut cluster)?;
    let of = |api: PodGroupApi| {
        let kind = format!("\"PodGroup.{}\"", api.group());
        let words = said.iter().filter(|line| line.contains("served kind="));
        words.filter(|line| line.contains(&kind)).count()
    };
    assert_eq!((of(ON), of(OTHER)), (3, 1), "{said:#?}");
    assert!(said.len() < 30, "{said:#?}");
    Ok(())
}

/// How a group of three pods fares, of which one comes late and one is lost again.
#[tokio::test]
async fn berth_tells_groups_how_they_fare() -> Result<()> {
    let options = Options::default().with_pod_groups();
    let mut cluster = Cluster::with_options(options).await?;
    cluster.node(node("n1")).await?;
    for api in PodGroupApi::CUSTOM {
        api.install(cluster.control_plane())?;
    }
    for api in PodGroupApi::ALL {
        api.create(&cluster, "g", 3).await?;
    }
    // All are there when it starts.
    cluster.start_scheduler().await?;
    let name = |api: PodGroupApi, member: u32| format!("{}-{member}", api.group());
    let initially = "PodGroupInitiallyScheduled";
    for api in PodGroupApi::ALL {
        for member in 0..2 {
            cluster
                .pod(api.member(pod(&name(api, member)), "g"))
                .await?;
        }
        let told = |status: &Value| match api {
            PodGroupApi::Kubernetes => has(status, initially, "False", "Unschedulable"),
            PodGroupApi::SchedulerPlugins => status["phase"] == "Pending",
            PodGroupApi::Volcano => {
                status["phase"] == "Inqueue"
                    && has(status, "Unschedulable", "True", "NotEnoughTasks")
            }
        };
        wait_status(&cluster, api, "g", "incomplete", told).await?;
        cluster
            .eventually(
                &format!("event about a group of {}", api.group()),
                async || {
                    let events = cluster.events("g").await?;
                    let version = format!("{}/{}", api.group(), api.version());
                    let is_meant = |event: &Event| {
                        let regarding = event.regarding.as_ref();
                        event.reason.as_deref() == Some("WaitingForPodGroup")
                            && regarding.is_some_and(|group| {
                                group.kind.as_deref() == Some("PodGroup")
                                    && group.api_version.as_ref() == Some(&version)
                            })
                    };
                    Ok(events.iter().any(is_meant).then_some(()))
                },
            )
            .await?;

        cluster.pod(api.member(pod(&name(api, 2)), "g")).await?;
        for member in 0..3 {
            cluster.wait_bound(&name(api, member)).await?;
        }
        let told = |status: &Value| match api {
            PodGroupApi::Kubernetes => has(status, initially, "True", "Scheduled"),
            PodGroupApi::SchedulerPlugins => status["phase"] == "Running",
            PodGroupApi::Volcano => {
                let reason = "tasks in gang are ready to be scheduled";
                status["phase"] == "Running" && has(status, "Scheduled", "True", reason)
            }
        };
        wait_status(&cluster, api, "g", "scheduled", told).await?;

        cluster.delete_pod(&name(api, 1)).await?;
        let told = |status: &Value| match api {
            PodGroupApi::Kubernetes => {
                has(status, initially, "True", "Scheduled")
                    && has(status, "GangDegraded", "True", "TooFewMembers")
            }
            PodGroupApi::SchedulerPlugins => status["phase"] == "Scheduling",
            PodGroupApi::Volcano => {
                status["phase"] == "Unknown"
                    && has(status, "Unschedulable", "True", "NotEnoughResources")
            }
        };
        wait_status(&cluster, api, "g", "degraded", told).await?;

        cluster.pod(api.member(pod(&name(api, 3)), "g")).await?;
        let told = |status: &Value| match api {
            PodGroupApi::Kubernetes => has(status, "GangDegraded", "False", "EnoughMembers"),
            _ => status["phase"] == "Running",
        };
        wait_status(&cluster, api, "g", "repaired", told).await?;
    }
    Ok(())
}
