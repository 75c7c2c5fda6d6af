//! What the tests run against: a control plane with controllers, nodes that kwok plays, and one scheduler.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::Api;
use kube::api::{ListParams, PostParams};

use super::options::Plan;
use crate::controlplane::process::Process;
use crate::controlplane::{SchedulerOptions, binaries};
use crate::objects;
use crate::{ControlPlane, Options, Scheduler};

/// How many nodes there are: two in each of two zones.
const NODES: usize = 4;

/// The label of the namespaces that tests make.
const TEST_NAMESPACE: &str = "e2e-framework";

/// How long the namespaces of a test may take to go.
const EMPTY_LIMIT: Duration = Duration::from_secs(120);

/// How often they are looked for.
const POLL: Duration = Duration::from_millis(200);

/// A cluster for the tests. Everything ends with this value.
pub struct Cluster {
    // The order of the fields is the order of their ends.
    scheduler: Scheduler,
    kwok: Process,
    control_plane: ControlPlane,
}

impl Cluster {
    /// Starts everything and waits until it is ready.
    pub async fn start(plan: &Plan) -> Result<Self> {
        let mut options = Options {
            controller_manager: true,
            ..Options::default()
        };
        if plan.needs_pod_groups() {
            options = options.with_pod_groups();
        }
        let control_plane = ControlPlane::start(options).await?;
        let nodes: Api<Node> = Api::all(control_plane.client()?);
        for number in 1..=NODES {
            nodes.create(&PostParams::default(), &node(number)?).await?;
        }
        let kwok = start_kwok(&control_plane).await?;
        let options = SchedulerOptions {
            // It has to do with the rights that a cluster gives to its scheduler.
            kubeconfig: Some(control_plane.scheduler_kubeconfig()),
            ..SchedulerOptions::default()
        };
        let kind = plan.scheduler.kind();
        let names = ["default-scheduler"];
        let scheduler = Scheduler::start_with(kind, &control_plane, &names, options).await?;
        Ok(Self {
            scheduler,
            kwok,
            control_plane,
        })
    }

    /// The file with which the tests reach the API server.
    pub fn kubeconfig(&self) -> &Path {
        self.control_plane.kubeconfig()
    }

    /// A directory that goes away with the cluster.
    pub fn directory(&self) -> PathBuf {
        self.control_plane.directory().to_owned()
    }

    /// Waits until nothing is left of the tests before, which delete their namespaces and do not wait for that. A test
    /// would find the cluster fuller than it is going to be.
    pub async fn wait_until_empty(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.control_plane.client()?);
        let parameters = ListParams::default().labels(TEST_NAMESPACE);
        let start = Instant::now();
        loop {
            let left = namespaces.list_metadata(&parameters).await?.items;
            let Some(first) = left.first() else {
                return Ok(());
            };
            if start.elapsed() > EMPTY_LIMIT {
                let name = first.metadata.name.as_deref().unwrap_or_default();
                bail!("namespace {name} of an earlier test is still there after {EMPTY_LIMIT:?}");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Fails if the scheduler or kwok has ended, since nothing that a test says after that means anything.
    pub fn check_alive(&mut self) -> Result<()> {
        for process in [self.scheduler.process(), &mut self.kwok] {
            if let Some(code) = process.try_wait()? {
                bail!(
                    "{} ended with exit code {code}:\n{}",
                    process.name(),
                    process.tail(40)
                );
            }
        }
        Ok(())
    }

    /// Copies what the programs have written.
    pub fn keep_logs(&self, to: &Path) -> Result<()> {
        for entry in std::fs::read_dir(self.control_plane.directory())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log")
                && let Some(name) = path.file_name()
            {
                std::fs::copy(&path, to.join(name))
                    .with_context(|| format!("cannot copy {}", path.display()))?;
            }
        }
        Ok(())
    }
}

/// Tests ask for a zone, for local storage, and for an address whose ports pods can claim.
fn node(number: usize) -> Result<Node> {
    let zone = if number.is_multiple_of(2) { "b" } else { "a" };
    objects::node(&format!("node-{number}"))
        .capacity("cpu", "8")
        .capacity("memory", "32Gi")
        .label("kubernetes.io/os", "linux")
        .label("kubernetes.io/arch", "amd64")
        .label("topology.kubernetes.io/region", "region")
        .label("topology.kubernetes.io/zone", &format!("zone-{zone}"))
        .internal_ip(&format!("10.64.0.{number}"))
        .build()
}

async fn start_kwok(control_plane: &ControlPlane) -> Result<Process> {
    let program = binaries::search(binaries::kwok).await?;
    let stages = concat!(env!("CARGO_MANIFEST_DIR"), "/kwok/stages.yaml");
    let args = [
        format!("--kubeconfig={}", control_plane.kubeconfig().display()),
        format!("--config={stages}"),
        "--manage-all-nodes=true".to_owned(),
        // Nobody looks at the leases of the nodes.
        "--node-lease-duration-seconds=0".to_owned(),
    ];
    let log = control_plane.directory().join("kwok.log");
    Process::start("kwok", &program, args, &log)
}
