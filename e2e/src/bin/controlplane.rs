//! Builds and runs a control plane by hand: what the tests use, for a look with kubectl or for a scheduler under work.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use e2e::controlplane::Binaries;
use e2e::signals::interrupted;
use e2e::{ControlPlane, Options, Scheduler};

/// A real Kubernetes control plane on loopback: etcd, kube-apiserver, and more if asked.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  controlplane build
      Build the programs into the cache, or find that they are there.
  controlplane up
      Start etcd and kube-apiserver; prints a KUBECONFIG and stays until Ctrl-C.
  controlplane up --controller-manager --kube-scheduler default-scheduler
      Also run controllers, and kube-scheduler under its usual name.
  controlplane up --pod-groups
      With the PodGroup API (scheduling.k8s.io/v1beta1).")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make sure that the programs are there; builds them if not, which takes minutes.
    Build,
    /// Start a control plane and keep it until Ctrl-C.
    Up(Up),
}

#[derive(Debug, Args)]
struct Up {
    /// Also run kube-controller-manager (Jobs, ReplicaSets, service accounts, garbage collection).
    #[arg(long)]
    controller_manager: bool,
    /// Also run kube-scheduler for pods with this schedulerName; may be repeated.
    #[arg(long, value_name = "NAME")]
    kube_scheduler: Vec<String>,
    /// Feature gates for all programs, for example A=true,B=false.
    #[arg(long, value_name = "GATES")]
    feature_gates: Option<String>,
    /// Serve the PodGroup API (scheduling.k8s.io/v1beta1).
    #[arg(long, conflicts_with = "feature_gates")]
    pod_groups: bool,
    /// Let the API server work on many requests at once, as for load runs.
    #[arg(long)]
    load: bool,
    /// A further argument for kube-apiserver; may be repeated.
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    apiserver_arg: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Build => build(),
        Command::Up(up) => run(up).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<()> {
    let binaries = Binaries::ensure()?;
    println!("{}", binaries.directory().display());
    Ok(())
}

async fn run(up: Up) -> Result<()> {
    let mut options = Options {
        controller_manager: up.controller_manager,
        load: up.load,
        feature_gates: up.feature_gates,
        apiserver_args: up.apiserver_arg,
        ..Options::default()
    };
    if up.pod_groups {
        options = options.with_pod_groups();
    }
    let control_plane = ControlPlane::start(options).await?;
    let names: Vec<&str> = up.kube_scheduler.iter().map(String::as_str).collect();
    let scheduler = if names.is_empty() {
        None
    } else {
        Some(Scheduler::kube_scheduler(&control_plane, &names).await?)
    };
    println!("export KUBECONFIG={}", control_plane.kubeconfig().display());
    eprintln!(
        "ready; kubectl is {}; Ctrl-C ends everything",
        control_plane.binaries().kubectl().display()
    );
    interrupted().await?;
    drop(scheduler);
    control_plane.stop().await
}
