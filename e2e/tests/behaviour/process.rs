//! Berth as a process: how it starts, how it ends, and what it says if it cannot.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::controlplane::{STOP_LIMIT, SchedulerOptions};
use e2e::harness::{Cluster, NAME, node_of};
use e2e::objects::{node, pod};
use e2e::{Scheduler, SchedulerKind};
use kube::api::ListParams;

/// Starts Berth, which has to end by itself, and returns its exit code and what it wrote.
async fn run(cluster: &Cluster, options: SchedulerOptions) -> Result<(i32, String)> {
    let mut scheduler = Scheduler::launch(
        SchedulerKind::Berth,
        cluster.control_plane(),
        &[NAME],
        options,
    )?;
    let code = scheduler.process().wait(STOP_LIMIT).await?;
    Ok((code, scheduler.output()))
}

/// Fails unless the text tells about an error in one line that contains all of these words.
fn check_one_line(output: &str, words: &[&str]) {
    let errors: Vec<&str> = output
        .lines()
        .filter(|line| words.iter().all(|word| line.contains(word)))
        .collect();
    assert_eq!(
        errors.len(),
        1,
        "one line with {words:?} expected:\n{output}"
    );
    assert!(
        !output.contains("panicked") && !output.contains("stack backtrace"),
        "{output}"
    );
    assert_eq!(output.lines().last(), Some(errors[0]), "{output}");
}

#[tokio::test]
async fn berth_refuses_a_kubeconfig_that_is_not_there() -> Result<()> {
    let cluster = Cluster::new().await?;
    let options = SchedulerOptions {
        kubeconfig: Some(PathBuf::from("/no/such/kubeconfig")),
        ..SchedulerOptions::default()
    };
    let (code, output) = run(&cluster, options).await?;
    assert_eq!(code, 2, "{output}");
    check_one_line(&output, &["/no/such/kubeconfig"]);
    Ok(())
}

#[tokio::test]
async fn berth_refuses_a_kubeconfig_that_is_none() -> Result<()> {
    let cluster = Cluster::new().await?;
    let path = cluster
        .control_plane()
        .directory()
        .join("broken-kubeconfig");
    std::fs::write(&path, "clusters: [")?;
    let options = SchedulerOptions {
        kubeconfig: Some(path),
        ..SchedulerOptions::default()
    };
    let (code, output) = run(&cluster, options).await?;
    assert_eq!(code, 2, "{output}");
    check_one_line(&output, &["broken-kubeconfig"]);
    Ok(())
}

#[tokio::test]
async fn berth_refuses_a_port_in_use() -> Result<()> {
    let cluster = Cluster::new().await?;
    let taken = TcpListener::bind(("127.0.0.1", 0))?;
    let port = taken.local_addr()?.port();
    let options = SchedulerOptions {
        port: Some(port),
        ..SchedulerOptions::default()
    };
    let (code, output) = run(&cluster, options).await?;
    assert_eq!(code, 2, "{output}");
    check_one_line(&output, &[&port.to_string()]);
    Ok(())
}

#[tokio::test]
async fn berth_waits_for_the_api_server() -> Result<()> {
    let mut cluster = Cluster::for_disruption().await?;
    cluster.node(node("n1")).await?;
    cluster.control_plane_mut().stop_apiserver();
    let mut scheduler = Scheduler::launch(
        SchedulerKind::Berth,
        cluster.control_plane(),
        &[NAME],
        SchedulerOptions::default(),
    )?;
    // It serves its own pages, but is not ready.
    cluster
        .eventually("answer of /livez", async || {
            scheduler.page("/livez").await.map(Some)
        })
        .await?;
    assert!(scheduler.page("/readyz").await.is_err());
    assert_eq!(scheduler.process().try_wait()?, None);
    cluster.control_plane_mut().start_apiserver().await?;
    scheduler.wait_until_ready().await?;
    cluster.pod(pod("p")).await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    Ok(())
}

#[tokio::test]
async fn berth_ends_with_0_and_its_binds_are_done() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    let nodes = (0..4).map(|i| node(&format!("n{i}")).capacity("pods", "200"));
    cluster.create_nodes(nodes).await?;
    cluster.start_scheduler().await?;
    for i in 0..200 {
        let name = format!("p{i}");
        cluster.pod(pod(&name).label("app", "batch")).await?;
    }
    let code = cluster.scheduler()?.terminate().await?;
    assert_eq!(code, 0, "{}", cluster.scheduler()?.output());
    // Whatever it had decided was carried out before it ended; nothing changes afterwards.
    let bound = async || -> Result<Vec<Option<String>>> {
        let pods = cluster.pods().list(&ListParams::default()).await?;
        Ok(pods
            .iter()
            .map(|pod| node_of(pod).map(str::to_owned))
            .collect())
    };
    let at_the_end = bound().await?;
    cluster.node(node("later")).await?;
    assert_eq!(bound().await?, at_the_end);
    cluster.start_scheduler().await?;
    cluster.wait_all_bound("app=batch", 200).await?;
    Ok(())
}

/// Nothing to do is no reason to take long or to fail.
#[tokio::test]
async fn berth_ends_with_0_when_idle() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.start_scheduler().await?;
    assert_eq!(cluster.scheduler()?.terminate().await?, 0);
    Ok(())
}

/// A rate in the configuration file holds binds back. There is a lower bound for how long they take, and no upper one.
#[tokio::test]
async fn berth_keeps_to_the_rate_of_its_file() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.node(node("n1")).await?;
    let file = cluster.control_plane().directory().join("slow.yaml");
    let text = format!(
        "apiVersion: kubescheduler.config.k8s.io/v1\n\
         kind: KubeSchedulerConfiguration\n\
         clientConnection: {{qps: 10, burst: 1}}\n\
         profiles: [{{schedulerName: {NAME}}}]\n"
    );
    std::fs::write(&file, text)?;
    let options = SchedulerOptions {
        args: vec![
            format!("--config={}", file.display()),
            "--leader-elect=false".to_owned(),
        ],
        ..SchedulerOptions::default()
    };
    cluster
        .start_scheduler_of(SchedulerKind::Berth, &[], options)
        .await?;
    let start = Instant::now();
    for i in 0..16 {
        let name = format!("p{i}");
        cluster.pod(pod(&name).label("app", "batch")).await?;
    }
    cluster.wait_all_bound("app=batch", 16).await?;
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(1500), "{took:?}");
    Ok(())
}
