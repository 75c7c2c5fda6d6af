//! `berth demo`: the scheduler at work on a cluster that exists only in this process.
//!
//! The API server is the simulator's, on a port of this machine; the scheduler is the one of
//! `berth run` and reaches it over HTTP, as it would any other.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use crate::plugins;
use crate::queue::Backoff;
use crate::runtime::{Options, Scheduler};
use crate::simulator::Config;
use crate::simulator::http::Server;

mod cluster;
mod observer;
mod report;
mod workload;

#[cfg(test)]
mod tests;

use observer::Observer;
use report::Report;

/// The schedulerName of the pods.
const SCHEDULER: &str = "berth";
/// How long placing the pods may take at most.
const LIMIT: Duration = Duration::from_secs(20);
/// How often the status line is written.
const REFRESH: Duration = Duration::from_millis(100);
/// How long pods that fit nowhere may take to be told so, after the others are placed.
const VERDICTS: Duration = Duration::from_secs(4);
/// How long tasks that do not end by themselves may hold up the end of the process.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// The flags of `berth demo`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// How many nodes there are
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(12..=5000))]
    nodes: u32,

    /// How many pods are to be placed
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=20000))]
    pods: u32,

    /// Over how many seconds the pods are created; 0 for as fast as possible
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=15))]
    over: u64,

    /// Keep the cluster and the scheduler after that, for kubectl, until Ctrl-C
    #[arg(long)]
    serve: bool,
}

/// Shows a cluster being filled.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start threads")
        .map_err(Failure::Input)?;
    let ended = runtime.block_on(demonstrate(arguments));
    runtime.shutdown_timeout(STOP_GRACE);
    ended
}

async fn demonstrate(arguments: &Arguments) -> Result<(), Failure> {
    let server = Server::bind(0, Config::default())
        .await
        .context("cannot listen on 127.0.0.1")
        .map_err(Failure::Input)?;
    let address = server
        .local_address()
        .context("cannot learn the port")
        .map_err(Failure::Input)?;
    let (stop_server, server_stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(async {
        // Also when the sender is dropped.
        let _ = server_stopped.await;
    }));
    let ended = fill(arguments, address).await.map_err(Failure::Running);
    let _ = stop_server.send(());
    let _ = tokio::time::timeout(STOP_GRACE, serving).await;
    ended
}

/// Everything but the server.
async fn fill(arguments: &Arguments, address: SocketAddr) -> Result<(), anyhow::Error> {
    let url = format!("http://{address}");
    let uri: http::Uri = url.parse().context("the server's address is none")?;
    let config = kube::Config::new(uri);
    let client = kube::Client::try_from(config.clone()).context("cannot make a client")?;
    let kubeconfig = arguments
        .serve
        .then(|| Kubeconfig::write(&url))
        .transpose()?;

    say(&format!(
        "a cluster on {url}: {} nodes in {} zones",
        arguments.nodes,
        cluster::ZONES.len()
    ));
    cluster::create(&client, arguments.nodes).await?;
    let scheduler = Scheduler::start(Options {
        client_config: config,
        profiles: vec![plugins::default_profile(SCHEDULER)],
        backoff: Backoff::default(),
        http_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        leader_election: None,
        rate_limit: None,
        shown_config: json!({}),
    })
    .await
    .context("cannot start the scheduler")?;

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupted = std::pin::pin!(async {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    });
    let report = tokio::select! {
        report = watch_pods(arguments, &client, &scheduler) => Some(report?),
        () = &mut interrupted => None,
    };
    if let Some(report) = &report {
        say("");
        write_out(&report.text(colours()));
    }
    if let (Some(kubeconfig), true) = (&kubeconfig, report.is_some()) {
        write_out(&format!(
            "\nThe cluster and the scheduler stay until Ctrl-C:\n\n  export KUBECONFIG={}\n  \
             kubectl get nodes\n  kubectl get events -w\n  kubectl create -f pod.yaml \
             --validate=false   # with spec.schedulerName: {SCHEDULER}\n\nscheduler: \
             http://{}/metrics\n",
            kubeconfig.0.display(),
            scheduler.http_address()
        ));
        interrupted.await;
    }
    scheduler.stop(tokio::time::sleep(STOP_GRACE)).await;
    match report {
        Some(report) if report.failed() => Err(anyhow!("{}", report.shortfall())),
        _ => Ok(()),
    }
}

/// Creates the pods and looks at them until there is nothing more to wait for.
async fn watch_pods(
    arguments: &Arguments,
    client: &kube::Client,
    scheduler: &Scheduler,
) -> Result<Report, anyhow::Error> {
    let over = Duration::from_secs(arguments.over);
    let plan = workload::plan(arguments.pods);
    let observer = Observer::start(client.clone(), &plan);
    let created = tokio::spawn(workload::create(
        client.clone(),
        plan,
        over,
        observer.clock(),
    ));
    let start = Instant::now();
    let line = io::stderr().is_terminal();
    let mut placed_at = None;
    loop {
        tokio::time::sleep(REFRESH).await;
        let progress = observer.progress();
        if line {
            say_line(&progress.line(start.elapsed()));
        }
        if created.is_finished() && progress.all_placed() {
            let since = *placed_at.get_or_insert_with(Instant::now);
            if progress.all_told() || since.elapsed() > VERDICTS {
                break;
            }
        }
        if start.elapsed() > LIMIT {
            break;
        }
    }
    if line {
        say_line("");
    }
    created.abort();
    if let Ok(Err(error)) = created.await {
        return Err(error);
    }
    let metrics = scheduler.metrics().encode().context("no metrics")?;
    Ok(Report::new(&observer, over, &metrics))
}

/// A line for whoever looks on; nobody is left to tell when it cannot be written.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// The status line, in place of the one before.
fn say_line(text: &str) {
    let _ = write!(io::stderr(), "\r\x1b[2K{text}");
    let _ = io::stderr().flush();
}

fn write_out(text: &str) {
    let _ = write!(io::stdout(), "{text}");
    let _ = io::stdout().flush();
}

/// Whether stdout is a terminal whose user has not asked for plain text (<https://no-color.org>).
fn colours() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let unable = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    io::stdout().is_terminal() && !unwanted && !unable
}

/// A kubeconfig file that goes away with this value.
struct Kubeconfig(PathBuf);

impl Kubeconfig {
    fn write(url: &str) -> Result<Self, anyhow::Error> {
        let name = format!("berth-demo-{}.kubeconfig", std::process::id());
        let path = std::env::temp_dir().join(name);
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "berth-demo", "cluster": { "server": url } }],
            "users": [{ "name": "berth-demo", "user": {} }],
            "contexts": [{
                "name": "berth-demo",
                "context": { "cluster": "berth-demo", "user": "berth-demo" },
            }],
            "current-context": "berth-demo",
        });
        // Only a new file: somebody else's link is not followed.
        std::fs::File::create_new(&path)
            .and_then(|mut file| write!(file, "{config:#}"))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Kubeconfig {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
