//! Schedulers as processes: Berth, and kube-scheduler as the one that shows what is right.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use kube::{Client, Config};
use serde_json::{Value, json};

use super::process::Process;
use super::{ControlPlane, POLL, READY_LIMIT, STOP_LIMIT, get, ports};

/// Which scheduler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchedulerKind {
    /// Ours.
    Berth,
    /// Kubernetes' own.
    KubeScheduler,
}

/// What a scheduler is started with beyond its kind and names.
#[derive(Debug, Clone, Default)]
pub struct SchedulerOptions {
    /// Further arguments.
    pub args: Vec<String>,
    /// Another kubeconfig than the control plane's.
    pub kubeconfig: Option<PathBuf>,
    /// Another port than a free one.
    pub port: Option<u16>,
    /// How much kube-scheduler logs; at 10 it tells the score of every node.
    pub verbosity: u8,
    /// Another executable than the usual one of its kind.
    pub binary: Option<PathBuf>,
    /// Fields of the KubeSchedulerConfiguration that take the place of those given otherwise; `profiles` then says the
    /// names. Berth runs with a configuration file only if there are some.
    pub configuration: Option<Value>,
}

/// A running scheduler; it is killed when this value is dropped.
#[derive(Debug)]
pub struct Scheduler {
    kind: SchedulerKind,
    process: Process,
    config: Config,
}

impl Scheduler {
    /// Starts Berth for these scheduler names and waits until it is ready.
    pub async fn berth(control_plane: &ControlPlane, names: &[&str]) -> Result<Self> {
        Self::start(SchedulerKind::Berth, control_plane, names).await
    }

    /// Starts kube-scheduler with one profile for each of these names and waits until it is ready.
    pub async fn kube_scheduler(control_plane: &ControlPlane, names: &[&str]) -> Result<Self> {
        Self::start(SchedulerKind::KubeScheduler, control_plane, names).await
    }

    /// Starts a scheduler of the given kind and waits until it is ready.
    pub async fn start(
        kind: SchedulerKind,
        control_plane: &ControlPlane,
        names: &[&str],
    ) -> Result<Self> {
        Self::start_with(kind, control_plane, names, SchedulerOptions::default()).await
    }

    /// Starts a scheduler with further options and waits until it is ready.
    pub async fn start_with(
        kind: SchedulerKind,
        control_plane: &ControlPlane,
        names: &[&str],
        options: SchedulerOptions,
    ) -> Result<Self> {
        let mut scheduler = Self::launch(kind, control_plane, names, options)?;
        scheduler.wait_until_ready().await?;
        Ok(scheduler)
    }

    /// Starts a scheduler without waiting for it.
    pub fn launch(
        kind: SchedulerKind,
        control_plane: &ControlPlane,
        names: &[&str],
        options: SchedulerOptions,
    ) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = control_plane.directory();
        let port = match options.port {
            Some(port) => port,
            None => ports::free()?,
        };
        let kubeconfig = options
            .kubeconfig
            .clone()
            .unwrap_or_else(|| control_plane.kubeconfig().to_owned());
        let kubeconfig = kubeconfig.display().to_string();
        let configuration = configuration(names, &kubeconfig, options.configuration.as_ref());
        let administrator = control_plane.kubeconfig().display();
        let (name, program, mut args, mut config) = match kind {
            SchedulerKind::Berth => {
                let program = match options.binary {
                    Some(path) => path,
                    None => berth_binary()?,
                };
                let mut args = vec![
                    "run".to_owned(),
                    format!("--kubeconfig={kubeconfig}"),
                    format!("--http-address=127.0.0.1:{port}"),
                    "--leader-elect=false".to_owned(),
                ];
                if options.configuration.is_some() {
                    let file = directory.join(format!("berth-{number}.yaml"));
                    std::fs::write(&file, configuration)
                        .with_context(|| format!("cannot write {}", file.display()))?;
                    args.push(format!("--config={}", file.display()));
                } else {
                    args.extend(names.iter().map(|name| format!("--scheduler-name={name}")));
                }
                let config = Config::new(format!("http://127.0.0.1:{port}").parse()?);
                ("berth", program, args, config)
            }
            SchedulerKind::KubeScheduler => {
                let file = directory.join(format!("kube-scheduler-{number}.yaml"));
                std::fs::write(&file, configuration)
                    .with_context(|| format!("cannot write {}", file.display()))?;
                let args = vec![
                    format!("--config={}", file.display()),
                    format!("--authentication-kubeconfig={administrator}"),
                    format!("--authorization-kubeconfig={administrator}"),
                    // The control plane has no client certificates whose authority could be looked up.
                    "--authentication-skip-lookup=true".to_owned(),
                    "--bind-address=127.0.0.1".to_owned(),
                    format!("--secure-port={port}"),
                    format!("--v={}", options.verbosity),
                ];
                let mut config = control_plane.config();
                config.cluster_url = format!("https://127.0.0.1:{port}").parse()?;
                // Its certificate lives in its memory only.
                config.accept_invalid_certs = true;
                config.root_cert = None;
                let program = options
                    .binary
                    .unwrap_or_else(|| control_plane.binaries().scheduler());
                ("kube-scheduler", program, args, config)
            }
        };
        if kind == SchedulerKind::KubeScheduler
            && let Some(gates) = &control_plane.options().feature_gates
        {
            args.push(format!("--feature-gates={gates}"));
        }
        args.extend(options.args);
        // "Not ready" is an answer here and nothing that a client should try to outwait.
        config.default_retry = false;
        let log = directory.join(format!("{name}-{number}.log"));
        Ok(Self {
            kind,
            process: Process::start(name, &program, args, &log)?,
            config,
        })
    }

    /// Waits until the scheduler says that it is ready; fails at once if it ends instead.
    pub async fn wait_until_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        let client = self.client()?;
        loop {
            if let Some(code) = self.process.try_wait()? {
                bail!(
                    "{} ended with exit code {code} before it was ready:\n{}",
                    self.process.name(),
                    self.stderr_tail()
                );
            }
            match get(&client, "/readyz").await {
                Ok(_) => return Ok(()),
                Err(error) if start.elapsed() > READY_LIMIT => bail!(
                    "{} is not ready after {READY_LIMIT:?}: {error:#}; the end of its output:\n{}",
                    self.process.name(),
                    self.stderr_tail()
                ),
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// What kind of scheduler this is.
    pub fn kind(&self) -> SchedulerKind {
        self.kind
    }

    /// The process, to send it signals and to look at its pid.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A client for the scheduler's own HTTP pages.
    pub fn client(&self) -> Result<Client> {
        Client::try_from(self.config.clone()).context("cannot make a client")
    }

    /// One of the scheduler's own HTTP pages, for example `/healthz`.
    pub async fn page(&self, path: &str) -> Result<String> {
        get(&self.client()?, path).await
    }

    /// The metrics page.
    pub async fn metrics(&self) -> Result<String> {
        self.page("/metrics").await
    }

    /// Sends SIGTERM, waits for the end and returns the exit code.
    pub async fn terminate(&mut self) -> Result<i32> {
        self.process.terminate(STOP_LIMIT).await
    }

    /// Kills the scheduler without any warning.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Halts the process where it stands, until it is resumed.
    pub fn pause(&mut self) -> Result<()> {
        self.process.signal("STOP")
    }

    /// Lets a halted process go on.
    pub fn resume(&mut self) -> Result<()> {
        self.process.signal("CONT")
    }

    /// Everything that the scheduler has written to its standard streams.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// The file with [`Scheduler::output`].
    pub fn log(&self) -> &Path {
        self.process.log()
    }

    /// The last lines of what the scheduler has written.
    pub fn stderr_tail(&self) -> String {
        self.process.tail(40)
    }
}

/// A configuration under which kube-scheduler considers all nodes and is not held back by its client.
fn configuration(names: &[&str], kubeconfig: &str, fields: Option<&Value>) -> String {
    let profiles: Vec<_> = names
        .iter()
        .map(|name| json!({"schedulerName": name}))
        .collect();
    let mut configuration = json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": kubeconfig, "qps": 5000, "burst": 5000},
        "leaderElection": {"leaderElect": false},
        "percentageOfNodesToScore": 100,
        "profiles": profiles,
    });
    for (field, value) in fields.and_then(Value::as_object).into_iter().flatten() {
        configuration[field] = value.clone();
    }
    configuration.to_string()
}

/// The executable of Berth: `BERTH_BIN`, or the newer one of the debug and the release build in this workspace.
pub fn berth_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("BERTH_BIN").map(PathBuf::from) {
        if !path.is_file() {
            bail!("BERTH_BIN names {}, which is no file", path.display());
        }
        return Ok(path);
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = manifest.parent().unwrap_or(manifest);
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |directory| root.join(directory));
    ["debug", "release"]
        .iter()
        .map(|profile| target.join(profile).join("berth"))
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max()
        .map(|(_, path)| path)
        .with_context(|| {
            format!(
                "there is no berth executable in {}: run `make build` first",
                target.display()
            )
        })
}
