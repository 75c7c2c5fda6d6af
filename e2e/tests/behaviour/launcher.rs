//! What the tests stand on: a control plane ends with the process that started it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e::harness::LIMIT;
use e2e::{ControlPlane, Options, Scheduler};

/// Starts a control plane with kube-scheduler in a process of its own and returns that and its directory.
fn start() -> Result<(Child, PathBuf)> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_controlplane"))
        .args(["up", "--kube-scheduler", "e2e"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no pipe")?).read_line(&mut line)?;
    let kubeconfig = line
        .trim()
        .strip_prefix("export KUBECONFIG=")
        .with_context(|| format!("the first line is {line:?}"))?;
    let directory = Path::new(kubeconfig).parent().context("no directory")?;
    Ok((child, directory.to_owned()))
}

/// The command lines that mention the directory: the programs and the guards of all of them do.
fn processes(directory: &Path) -> Vec<String> {
    let output = Command::new("ps")
        .args(["-e", "-o", "pid=,args="])
        .output()
        .expect("ps runs");
    let directory = directory.to_str().expect("a readable path");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| line.contains(directory))
        .map(str::to_owned)
        .collect()
}

async fn wait_until_nothing_is_left(directory: &Path) {
    let start = Instant::now();
    while !processes(directory).is_empty() || directory.exists() {
        assert!(
            start.elapsed() < LIMIT,
            "left behind: {} exists: {}; processes: {:#?}",
            directory.display(),
            directory.exists(),
            processes(directory)
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn nothing_is_left_after_sigkill() -> Result<()> {
    let _permit = e2e::pool::permit().await?;
    let (mut child, directory) = start()?;
    let running = processes(&directory);
    for program in ["/etcd ", "/kube-apiserver ", "/kube-scheduler "] {
        assert!(
            running.iter().any(|line| line.contains(program)),
            "{program} is not among {running:#?}"
        );
    }
    child.kill()?;
    child.wait()?;
    wait_until_nothing_is_left(&directory).await;
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_after_a_stop_or_a_panic() -> Result<()> {
    let _permit = e2e::pool::permit().await?;
    let control_plane = ControlPlane::start(Options::default()).await?;
    let directory = control_plane.directory().to_owned();
    assert!(processes(&directory).len() >= 4);
    control_plane.stop().await?;
    // Here nothing has to be waited for.
    assert_eq!(processes(&directory), Vec::<String>::new());
    assert!(!directory.exists());

    let control_plane = ControlPlane::start(Options::default()).await?;
    let directory = control_plane.directory().to_owned();
    let result = tokio::spawn(async move {
        let _scheduler = Scheduler::kube_scheduler(&control_plane, &["e2e"]).await;
        panic!("this is expected: the test of what a panic leaves behind");
    })
    .await;
    assert!(result.is_err_and(|error| error.is_panic()));
    wait_until_nothing_is_left(&directory).await;
    Ok(())
}

#[tokio::test]
async fn an_api_server_restarts_on_its_port_with_its_data() -> Result<()> {
    let _permit = e2e::pool::permit().await?;
    let mut control_plane = ControlPlane::start(Options::default()).await?;
    let client = control_plane.client()?;
    let nodes: kube::Api<k8s_openapi::api::core::v1::Node> = kube::Api::all(client);
    let node = e2e::objects::node("n1").build()?;
    let made = nodes.create(&Default::default(), &node).await?;
    let pid = control_plane.apiserver().context("not running")?.pid();
    control_plane.restart_apiserver().await?;
    assert_ne!(control_plane.apiserver().context("not running")?.pid(), pid);
    assert_eq!(nodes.get("n1").await?.metadata.uid, made.metadata.uid);
    control_plane.stop().await
}

#[tokio::test]
async fn the_controller_manager_and_pod_groups_can_be_had() -> Result<()> {
    let _permit = e2e::pool::permit().await?;
    let options = Options {
        controller_manager: true,
        load: true,
        ..Options::default()
    };
    let control_plane = ControlPlane::start(options.with_pod_groups()).await?;
    let client = control_plane.client()?;
    let apis = e2e::controlplane::get(&client, "/apis/scheduling.k8s.io/v1beta1").await?;
    assert!(apis.contains("podgroups"), "{apis}");
    let mut scheduler = Scheduler::kube_scheduler(&control_plane, &["e2e"]).await?;
    scheduler.kill();
    control_plane.stop().await
}
