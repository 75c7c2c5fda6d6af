//! Replicas of Berth, and who of them leads.

use anyhow::{Context, Result};
use e2e::controlplane::{STOP_LIMIT, SchedulerOptions};
use e2e::harness::{Cluster, NAME};
use e2e::{Scheduler, SchedulerKind};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::Value;

/// The name of the lease.
pub const LEASE: &str = "berth";

/// The usual times.
pub const DEFAULT: [&str; 0] = [];

/// Times that keep a test short.
pub const QUICK: [&str; 3] = [
    "--leader-elect-lease-duration=3s",
    "--leader-elect-renew-deadline=2s",
    "--leader-elect-retry-period=500ms",
];

/// The leases among which the replicas' one is.
pub fn leases(cluster: &Cluster) -> Api<Lease> {
    Api::namespaced(cluster.client(), "kube-system")
}

/// Several replicas.
pub struct Replicas(Vec<Scheduler>);

impl Replicas {
    /// Starts all at once and waits until all are ready.
    pub async fn start(cluster: &Cluster, count: usize, times: &[&str]) -> Result<Self> {
        Self::start_with(cluster, count, times, None).await
    }

    /// The same, with fields of a configuration file.
    pub async fn start_with(
        cluster: &Cluster,
        count: usize,
        times: &[&str],
        configuration: Option<Value>,
    ) -> Result<Self> {
        let mut replicas = Vec::new();
        for _ in 0..count {
            let mut args = vec!["--leader-elect=true".to_owned()];
            args.extend(times.iter().map(|&time| time.to_owned()));
            let options = SchedulerOptions {
                args,
                configuration: configuration.clone(),
                ..SchedulerOptions::default()
            };
            let control_plane = cluster.control_plane();
            let kind = SchedulerKind::Berth;
            replicas.push(Scheduler::launch(kind, control_plane, &[NAME], options)?);
        }
        for replica in &mut replicas {
            replica.wait_until_ready().await?;
        }
        Ok(Self(replicas))
    }

    /// One of them.
    pub fn get(&mut self, replica: usize) -> &mut Scheduler {
        &mut self.0[replica]
    }

    /// Waits until one that runs says that it leads. None may be halted.
    pub async fn wait_leader(&mut self, cluster: &Cluster) -> Result<usize> {
        cluster
            .eventually("leader", async || {
                for (number, replica) in self.0.iter_mut().enumerate() {
                    if replica.process().try_wait()?.is_none() && leads(replica).await? {
                        return Ok(Some(number));
                    }
                }
                Ok(None)
            })
            .await
    }

    /// Waits until another one than this, which is halted, leads.
    pub async fn wait_other_holder(&mut self, cluster: &Cluster, halted: usize) -> Result<usize> {
        cluster
            .eventually("other leader", async || {
                for (number, replica) in self.0.iter().enumerate() {
                    if number != halted && leads(replica).await? {
                        return Ok(Some(number));
                    }
                }
                Ok(None)
            })
            .await
    }

    /// Waits for the end of one and returns its exit code.
    pub async fn end_of(&mut self, replica: usize) -> Result<i32> {
        self.0
            .get_mut(replica)
            .context("there is no such replica")?
            .process()
            .wait(STOP_LIMIT)
            .await
    }
}

async fn leads(replica: &Scheduler) -> Result<bool> {
    let page = replica.metrics().await?;
    Ok(page.contains("leader_election_master_status{name=\"berth\"} 1"))
}
