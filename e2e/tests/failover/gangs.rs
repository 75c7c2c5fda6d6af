//! A gang whose leader goes away while it is being bound.

use anyhow::Result;
use e2e::harness::{Cluster, NAME};
use e2e::objects::pod;
use e2e::pod_groups::PodGroupApi;
use serde_json::json;

use crate::audit::Audit;
use crate::replicas::{LEASE, QUICK, Replicas};
use crate::stream::{Stream, nodes_for};

/// So many pods are bound when something happens to the leader.
const HALF: usize = 20;

/// A gang of 60 pods on nodes that exactly hold them, and two replicas of which the first has begun to bind it. They
/// send so few requests in a second that it cannot have bound all.
async fn begun() -> Result<(Cluster, Stream, Audit, Replicas, usize)> {
    let cluster = Cluster::with_pod_groups().await?;
    let gang = Stream::of(60);
    nodes_for(&cluster, &gang).await?;
    let mut audit = Audit::start(&cluster);
    let slowly = json!({
        "clientConnection": {"qps": 20, "burst": 1},
        "leaderElection": {"leaderElect": true, "resourceName": LEASE},
    });
    let mut replicas = Replicas::start_with(&cluster, 2, &QUICK, Some(slowly)).await?;
    let api = PodGroupApi::Kubernetes;
    api.create(&cluster, "g", 60).await?;
    for number in 0..gang.pods {
        let member = pod(&format!("g-{number}"))
            .scheduler(NAME)
            .request("cpu", "100m");
        assert_eq!(audit.bound(), 0, "a pod of a gang that is not there yet");
        cluster.pod(api.member(member, "g")).await?;
    }
    let first = replicas.wait_leader(&cluster).await?;
    audit.wait_bound(HALF).await?;
    Ok((cluster, gang, audit, replicas, first))
}

#[tokio::test]
async fn a_gang_is_bound_whole_when_the_leader_is_killed() -> Result<()> {
    let (cluster, gang, audit, mut replicas, first) = begun().await?;
    replicas.get(first).kill();
    let bound = audit.bound();
    assert!(bound < gang.pods, "nothing was left to do");
    assert_eq!(replicas.wait_leader(&cluster).await?, 1 - first);
    audit.finish(&gang).await?;
    Ok(())
}

#[tokio::test]
async fn a_gang_is_bound_whole_when_the_leader_is_halted() -> Result<()> {
    let (cluster, gang, mut audit, mut replicas, first) = begun().await?;
    replicas.get(first).pause()?;
    let bound = audit.bound();
    assert!(bound < gang.pods, "nothing was left to do");
    replicas.wait_other_holder(&cluster, first).await?;
    // It wakes up when the other one has bound some, and sends nothing more.
    audit.wait_bound(bound + 2).await?;
    replicas.get(first).resume()?;
    assert_eq!(replicas.end_of(first).await?, 1);
    audit.finish(&gang).await?;
    Ok(())
}
