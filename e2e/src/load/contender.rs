//! The schedulers that are measured. Each is one process, started anew for each round.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;

use super::kinds::PodKind;
use super::null;
use super::usage;
use crate::controlplane::SchedulerOptions;
use crate::controlplane::process::Process;
use crate::{ControlPlane, Scheduler, SchedulerKind};

/// How long the null scheduler may take to list the nodes and open its connections.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// A scheduler has nothing left to do when it uses less than this much of a processor...
const IDLE: f64 = 0.05;

/// ...over this time.
const IDLE_PERIOD: Duration = Duration::from_millis(400);

/// Work that goes on longer than this after the last bind is not waited for.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// A scheduler to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contender {
    /// Binds round robin and decides nothing: what the API server can do.
    Null,
    /// Kubernetes' own, considering all nodes as Berth does, and with a client that is not held back.
    KubeScheduler,
    /// The same, but it stops looking when it has found enough nodes, which is its default: the larger the cluster, the
    /// smaller the part it considers.
    KubeSchedulerSampling,
    /// Ours.
    Berth,
}

impl Contender {
    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::KubeScheduler => "kube-scheduler",
            Self::KubeSchedulerSampling => "kube-scheduler-sampling",
            Self::Berth => "berth",
        }
    }

    /// The schedulerName of the pods that are for it.
    pub fn scheduler_name(self) -> String {
        format!("load-{}", self.name())
    }
}

/// A scheduler that runs.
#[derive(Debug)]
pub enum Running {
    /// The null scheduler.
    Null(Process),
    /// One of the real ones.
    Real(Box<Scheduler>),
}

impl Running {
    /// Starts a scheduler and waits until it is ready for pods.
    pub async fn start(
        contender: Contender,
        control_plane: &ControlPlane,
        kind: &PodKind,
        null_in_flight: u32,
        berth_args: &[String],
    ) -> Result<Self> {
        let name = contender.scheduler_name();
        let mut options = SchedulerOptions::default();
        let kind = match contender {
            Contender::Null => {
                return start_null(control_plane, kind, &name, null_in_flight).await;
            }
            Contender::KubeScheduler => SchedulerKind::KubeScheduler,
            Contender::KubeSchedulerSampling => {
                let file = sampling_configuration(control_plane, &name)?;
                // Of several files the last one counts.
                options.args = vec![format!("--config={}", file.display())];
                SchedulerKind::KubeScheduler
            }
            Contender::Berth => {
                options.binary = Some(berth_binary()?);
                options.args = berth_args.to_vec();
                SchedulerKind::Berth
            }
        };
        let scheduler = Scheduler::start_with(kind, control_plane, &[&name], options).await?;
        Ok(Self::Real(Box::new(scheduler)))
    }

    /// The pid of the scheduler.
    pub fn pid(&mut self) -> u32 {
        self.process().pid()
    }

    /// Fails if the scheduler has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        if let Some(code) = self.process().try_wait()? {
            bail!("it ended with exit code {code}");
        }
        Ok(())
    }

    /// The end of what the scheduler has written.
    pub fn tail(&mut self) -> String {
        self.process().tail(12)
    }

    /// The metrics page, of a scheduler that has one.
    pub async fn metrics(&self) -> Result<Option<String>> {
        match self {
            Self::Null(_) => Ok(None),
            Self::Real(scheduler) => scheduler.metrics().await.map(Some),
        }
    }

    /// Waits until the scheduler has done what it put off while there were pods to bind, such as writing events. That
    /// is part of its work, and must not disturb what is measured next.
    pub async fn wait_until_idle(&mut self) -> Result<()> {
        let pid = self.pid();
        let start = Instant::now();
        let mut before = usage::cpu_seconds(pid)?;
        while start.elapsed() < IDLE_LIMIT {
            tokio::time::sleep(IDLE_PERIOD).await;
            let now = usage::cpu_seconds(pid)?;
            if now - before < IDLE * IDLE_PERIOD.as_secs_f64() {
                break;
            }
            before = now;
        }
        Ok(())
    }

    fn process(&mut self) -> &mut Process {
        match self {
            Self::Null(process) => process,
            Self::Real(scheduler) => scheduler.process(),
        }
    }
}

/// Starts this program as the null scheduler.
async fn start_null(
    control_plane: &ControlPlane,
    kind: &PodKind,
    name: &str,
    in_flight: u32,
) -> Result<Running> {
    // Where there is this link, it leads to this program even if its file was replaced by a build meanwhile.
    let mut program = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    if !program.is_file() {
        program = std::env::current_exe().context("cannot find this program")?;
    }
    let log = control_plane.directory().join("null.log");
    // The sign of readiness is looked for in it.
    std::fs::write(&log, "").with_context(|| format!("cannot write {}", log.display()))?;
    let mut args = vec![
        "null".to_owned(),
        format!("--kubeconfig={}", control_plane.kubeconfig().display()),
        format!("--scheduler-name={name}"),
        format!("--in-flight={in_flight}"),
    ];
    if let Some(full) = kind.preemption.and_then(|full| full.to_possible_value()) {
        args.push(format!("--full={}", full.get_name()));
    }
    let mut process = Process::start("null", &program, args, &log)?;
    let start = Instant::now();
    while !process.output().lines().any(|line| line == null::READY) {
        if process.try_wait()?.is_some() || start.elapsed() > READY_LIMIT {
            bail!("the null scheduler is not ready: {}", process.tail(12));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(Running::Null(process))
}

/// Writes a configuration that differs from the launcher's only in leaving the share of nodes to kube-scheduler.
fn sampling_configuration(control_plane: &ControlPlane, name: &str) -> Result<PathBuf> {
    let file = control_plane
        .directory()
        .join("kube-scheduler-sampling.yaml");
    let configuration = json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": control_plane.kubeconfig(), "qps": 5000, "burst": 5000},
        "leaderElection": {"leaderElect": false},
        "profiles": [{"schedulerName": name}],
    });
    std::fs::write(&file, configuration.to_string())
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// The release build of Berth, or what `BERTH_BIN` names.
fn berth_binary() -> Result<PathBuf> {
    let path = match std::env::var_os("BERTH_BIN") {
        Some(path) => PathBuf::from(path),
        None => {
            let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
            let root = manifest.parent().unwrap_or(manifest);
            let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
            root.join(target).join("release/berth")
        }
    };
    if !path.is_file() {
        bail!(
            "there is no {}: build it with `cargo build --release --bin berth`, or name another one in BERTH_BIN",
            path.display()
        );
    }
    Ok(path)
}
