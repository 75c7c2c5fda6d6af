//! `berth demo`: the scheduler at work on a cluster that exists only in this process.
//!
//! The API server is the simulator's, on a port of this machine; the scheduler is the one of
//! `berth run` and reaches it over HTTP, as it would any other.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, terminal};
use crate::plugins;
use crate::runtime::{Options, Scheduler};
use crate::simulator::http::Server;
use crate::simulator::{Config, KINDS};

mod cluster;
mod gangs;
mod observer;
mod report;
mod workload;

#[cfg(test)]
mod tests;

use gangs::Gangs;
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
    /// How many nodes there are, beside the racks of the gangs
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(12..=5000))]
    nodes: u32,

    /// How many pods are to be placed
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=20000))]
    pods: u32,

    /// How many gangs of eight GPU pods are to be placed, on racks that have room for two of them; 0
    /// for no gangs. One more asks for what no node has, and an urgent one comes when the racks are full
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(0..=40))]
    gangs: u32,

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
    // Before there is anything to clear away.
    let stop = stop_signal()
        .context("cannot wait for signals")
        .map_err(Failure::Input)?;
    let server = Server::bind(0, Config::default())
        .await
        .context("cannot listen on 127.0.0.1")
        .map_err(Failure::Input)?;
    let address = server
        .local_address()
        .context("cannot learn the port")
        .map_err(Failure::Input)?;
    // As if their CRDs were installed.
    server.handle().with(|cluster, _| {
        let groups = KINDS.iter().filter(|kind| kind.plural == "podgroups");
        groups.for_each(|kind| cluster.serve(kind, true));
    });
    let (stop_server, server_stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(async {
        // Also when the sender is dropped.
        let _ = server_stopped.await;
    }));
    let ended = fill(arguments, address, stop).await;
    let ended = ended.map_err(Failure::Running);
    let _ = stop_server.send(());
    let _ = tokio::time::timeout(STOP_GRACE, serving).await;
    ended
}

/// Done when somebody wants the process to end.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// What comes of the work, unless it is stopped before.
async fn unless_stopped<T>(
    stop: impl Future<Output = ()>,
    work: impl Future<Output = Result<T, anyhow::Error>>,
) -> Result<T, anyhow::Error> {
    tokio::select! {
        done = work => done,
        () = stop => Err(anyhow!("stopped before all pods were placed")),
    }
}

/// Everything but the server.
async fn fill(
    arguments: &Arguments,
    address: SocketAddr,
    stop: impl Future<Output = ()>,
) -> Result<(), anyhow::Error> {
    let mut stop = std::pin::pin!(stop);
    let url = format!("http://{address}");
    let uri: http::Uri = url.parse().context("the server's address is none")?;
    let config = kube::Config::new(uri);
    let client = kube::Client::try_from(config.clone()).context("cannot make a client")?;
    let kubeconfig = arguments
        .serve
        .then(|| Kubeconfig::write(&url))
        .transpose()?;

    let racks = arguments.gangs > 0;
    let of_gangs = if racks {
        format!(", {} racks for gangs", gangs::RACKS.len())
    } else {
        String::new()
    };
    say(&format!(
        "a cluster on {url}: {} nodes in {} zones{of_gangs}",
        arguments.nodes,
        cluster::ZONES.len()
    ));
    let scheduler = unless_stopped(stop.as_mut(), async {
        cluster::create(&client, arguments.nodes, racks).await?;
        let options = Options {
            http_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            shown_config: json!({}),
            ..Options::new(config, vec![plugins::default_profile(SCHEDULER)])
        };
        let started = Scheduler::start(options).await;
        started.context("cannot start the scheduler")
    })
    .await?;
    let line = StatusLine::new();
    let placing = watch_pods(arguments, &client, &scheduler, &line);
    let report = unless_stopped(stop.as_mut(), placing).await;
    line.clear();
    if let Ok(report) = &report {
        say("");
        let stdout = io::stdout();
        write_out(&report.text(terminal::colours(&stdout), terminal::columns(&stdout)));
        if let Some(kubeconfig) = &kubeconfig {
            write_out(&invitation(kubeconfig, scheduler.http_address()));
            stop.await;
        }
    }
    scheduler.stop(tokio::time::sleep(STOP_GRACE)).await;
    let report = report?;
    if report.failed() {
        return Err(anyhow!("{}", report.shortfall()));
    }
    Ok(())
}

/// What can be tried on a cluster that stays.
fn invitation(kubeconfig: &Kubeconfig, metrics: SocketAddr) -> String {
    format!(
        "\nThe cluster and the scheduler stay until Ctrl-C. In another terminal:\n\n  \
         export KUBECONFIG={}\n  \
         kubectl get nodes\n  \
         kubectl get pods -o wide\n  \
         kubectl describe pod too-large-00001\n  \
         kubectl get podgroups.scheduling.x-k8s.io\n  \
         kubectl apply -f pod.yaml     # with spec.schedulerName: {SCHEDULER}\n  \
         curl http://{metrics}/metrics\n",
        kubeconfig.0.display()
    )
}

/// Creates the pods and looks at them until there is nothing more to wait for.
async fn watch_pods(
    arguments: &Arguments,
    client: &kube::Client,
    scheduler: &Scheduler,
    line: &StatusLine,
) -> Result<Report, anyhow::Error> {
    let over = Duration::from_secs(arguments.over);
    let plan = workload::plan(arguments.pods);
    let gangs = Arc::new(Gangs::plan(arguments.gangs));
    let observer = Observer::start(client.clone(), &plan, Arc::clone(&gangs));
    let running = tokio::spawn(gangs.run(client.clone()));
    let created = tokio::spawn(workload::create(
        client.clone(),
        plan,
        over,
        observer.clock(),
    ));
    let start = Instant::now();
    let mut placed_at = None;
    loop {
        tokio::time::sleep(REFRESH).await;
        let progress = observer.progress();
        line.show(&progress.line(start.elapsed()));
        if created.is_finished() && progress.all_placed() {
            let since = *placed_at.get_or_insert_with(Instant::now);
            if progress.gangs_settled() && (progress.all_told() || since.elapsed() > VERDICTS) {
                break;
            }
        }
        if start.elapsed() > LIMIT {
            break;
        }
    }
    for task in [created, running] {
        task.abort();
        if let Ok(Err(error)) = task.await {
            return Err(error);
        }
    }
    let metrics = scheduler.metrics().encode().context("no metrics")?;
    Ok(Report::new(&observer, over, &metrics))
}

/// A line for whoever looks on; nobody is left to tell when it cannot be written.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// A line on a terminal that each new one takes the place of; nothing elsewhere.
struct StatusLine(bool);

impl StatusLine {
    fn new() -> Self {
        Self(io::stderr().is_terminal())
    }

    fn show(&self, text: &str) {
        if self.0 {
            // One that breaks could not be taken back. The last column is for the cursor.
            let columns = terminal::columns(&io::stderr()).unwrap_or(80);
            let text: String = text.chars().take(columns.saturating_sub(1)).collect();
            let _ = write!(io::stderr(), "\r\x1b[2K{text}");
            let _ = io::stderr().flush();
        }
    }

    fn clear(&self) {
        self.show("");
    }
}

fn write_out(text: &str) {
    let _ = write!(io::stdout(), "{text}");
    let _ = io::stdout().flush();
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
