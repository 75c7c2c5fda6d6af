//! A steady stream of pods, and nodes that exactly hold them.

use std::time::Duration;

use anyhow::Result;
use e2e::harness::{Cluster, NAME};
use e2e::objects::{node, pod};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// Pods are made this far apart: 200 in a second.
const APART: Duration = Duration::from_millis(5);
/// How many the API server is asked to make at once, at most.
const AT_ONCE: usize = 32;
/// So many pods fit on a node.
pub const PER_NODE: usize = 20;

/// So many pods.
pub struct Stream {
    pub pods: usize,
}

/// Pods that are being made.
pub struct Running(JoinHandle<Result<()>>);

impl Stream {
    /// `pods` is a multiple of [`PER_NODE`].
    pub fn of(pods: usize) -> Self {
        assert_eq!(pods % PER_NODE, 0);
        Self { pods }
    }

    /// Begins to make them.
    pub fn run(&self, cluster: &Cluster) -> Running {
        let pods: Api<Pod> = cluster.pods();
        let count = self.pods;
        let make = move |number: usize| {
            let pods = pods.clone();
            async move {
                let one = pod(&format!("p{number}"))
                    .scheduler(NAME)
                    .request("cpu", "100m");
                pods.create(&PostParams::default(), &one.build()?).await?;
                Ok(())
            }
        };
        Running(tokio::spawn(async move {
            let mut ticks = interval(APART);
            // A machine that is busy for a moment catches up.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            futures::stream::unfold((0, ticks), move |(number, mut ticks)| async move {
                ticks.tick().await;
                (number < count).then_some((number, (number + 1, ticks)))
            })
            .map(make)
            .buffer_unordered(AT_ONCE)
            .try_for_each(async |()| Ok(()))
            .await
        }))
    }
}

impl Running {
    /// Waits until all are made.
    pub async fn done(self) -> Result<()> {
        self.0.await?
    }
}

/// As many nodes as it takes and not one more, so that each has to be filled and none may be filled twice.
pub async fn nodes_for(cluster: &Cluster, stream: &Stream) -> Result<()> {
    let cpu = format!("{}m", PER_NODE * 100);
    let nodes = stream.pods / PER_NODE;
    cluster
        .create_nodes((0..nodes).map(|number| node(&format!("n{number}")).capacity("cpu", &cpu)))
        .await
}
