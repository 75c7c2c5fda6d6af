//! Several replicas of Berth, of which one leads: what becomes of a steady stream of pods when it goes away.
//!
//! Each test prints how long nothing was bound (`make e2e ARGS='failover --nocapture'` shows it). None depends on how
//! fast the machine is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit;
mod gangs;
mod replicas;
mod stream;

use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::harness::Cluster;
use e2e::objects::pod;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use audit::Audit;
use replicas::{DEFAULT, LEASE, QUICK, Replicas, leases};
use stream::{Stream, nodes_for};

/// Time for the stream to be under way before something happens to the leader.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// The next one leads as soon as the lease is released, however long the lease is.
#[tokio::test]
async fn failover_when_the_leader_is_told_to_end() -> Result<()> {
    let cluster = Cluster::new().await?;
    let stream = Stream::of(1000);
    nodes_for(&cluster, &stream).await?;
    let mut audit = Audit::start(&cluster);
    let mut replicas = Replicas::start(&cluster, 2, &DEFAULT).await?;
    let pods = stream.run(&cluster);
    let first = replicas.wait_leader(&cluster).await?;
    audit.wait_bound(100).await?;
    tokio::time::sleep(UNDER_WAY).await;

    let told = Instant::now();
    assert_eq!(replicas.get(first).terminate().await?, 0);
    let ended = told.elapsed();
    let second = replicas.wait_leader(&cluster).await?;
    assert_ne!(first, second);
    let led = told.elapsed();
    pods.done().await?;
    let report = audit.finish(&stream).await?;
    eprintln!(
        "SIGTERM: ended after {ended:.2?}, the next one leads after {led:.2?}; {}",
        report.since(told)
    );
    assert_eq!(
        leases(&cluster)
            .get(LEASE)
            .await?
            .spec
            .unwrap()
            .lease_transitions,
        Some(1)
    );
    assert_eq!(replicas.get(second).terminate().await?, 0);
    Ok(())
}

/// Nobody releases the lease: the next one leads when it has expired.
#[tokio::test]
async fn failover_when_the_leader_is_killed() -> Result<()> {
    let cluster = Cluster::new().await?;
    let stream = Stream::of(1400);
    nodes_for(&cluster, &stream).await?;
    let mut audit = Audit::start(&cluster);
    let mut replicas = Replicas::start(&cluster, 2, &QUICK).await?;
    let pods = stream.run(&cluster);
    let first = replicas.wait_leader(&cluster).await?;
    audit.wait_bound(100).await?;
    tokio::time::sleep(UNDER_WAY).await;

    let killed = Instant::now();
    replicas.get(first).kill();
    let second = replicas.wait_leader(&cluster).await?;
    assert_ne!(first, second);
    let led = killed.elapsed();
    pods.done().await?;
    let report = audit.finish(&stream).await?;
    eprintln!(
        "SIGKILL: the next one leads after {led:.2?}; {}",
        report.since(killed)
    );
    Ok(())
}

/// A leader that is halted for longer than its lease finds itself replaced, binds nothing, and ends with 1.
#[tokio::test]
async fn failover_when_the_leader_is_halted() -> Result<()> {
    let cluster = Cluster::new().await?;
    let stream = Stream::of(1800);
    nodes_for(&cluster, &stream).await?;
    let mut audit = Audit::start(&cluster);
    let mut replicas = Replicas::start(&cluster, 2, &QUICK).await?;
    let pods = stream.run(&cluster);
    let first = replicas.wait_leader(&cluster).await?;
    audit.wait_bound(100).await?;
    tokio::time::sleep(UNDER_WAY).await;

    let halted = Instant::now();
    replicas.get(first).pause()?;
    let second = replicas.wait_other_holder(&cluster, first).await?;
    let led = halted.elapsed();
    // It wakes up in the middle of the other one's work.
    let bound = audit.bound();
    audit.wait_bound(bound + 100).await?;
    replicas.get(first).resume()?;
    assert_eq!(replicas.end_of(first).await?, 1);
    let output = replicas.get(first).output();
    assert!(
        output.contains("the lease kube-system/berth is lost"),
        "{output}"
    );
    pods.done().await?;
    let report = audit.finish(&stream).await?;
    eprintln!(
        "SIGSTOP: the next one leads after {led:.2?}; {}",
        report.since(halted)
    );
    assert_eq!(replicas.get(second).process().try_wait()?, None);
    Ok(())
}

/// Two that start at once agree on one; the other is as ready, and decides nothing.
#[tokio::test]
async fn one_of_two_leads() -> Result<()> {
    let cluster = Cluster::new().await?;
    let stream = Stream::of(600);
    nodes_for(&cluster, &stream).await?;
    let audit = Audit::start(&cluster);
    let mut replicas = Replicas::start(&cluster, 2, &QUICK).await?;
    let pods = stream.run(&cluster);
    let leader = replicas.wait_leader(&cluster).await?;
    pods.done().await?;
    audit.finish(&stream).await?;
    let standby = 1 - leader;
    let page = replicas.get(standby).metrics().await?;
    assert!(
        page.contains("leader_election_master_status{name=\"berth\"} 0"),
        "{page}"
    );
    assert!(
        !page.contains("scheduler_schedule_attempts_total{"),
        "{page}"
    );
    assert!(
        page.contains("berth_lane_requests_total{lane=\"bind\",result=\"success\"} 0"),
        "{page}"
    );
    let checks = replicas.get(standby).page("/readyz?verbose").await?;
    assert!(checks.contains("[+]leader-election ok"), "{checks}");
    // A standby that ends leaves the lease alone.
    assert_eq!(replicas.get(standby).terminate().await?, 0);
    let held = leases(&cluster).get(LEASE).await?.spec.unwrap();
    assert_ne!(held.holder_identity.as_deref(), Some(""));
    assert_eq!(replicas.get(leader).terminate().await?, 0);
    let released = leases(&cluster).get(LEASE).await?.spec.unwrap();
    assert_eq!(released.holder_identity.as_deref(), Some(""));
    assert_eq!(released.lease_duration_seconds, Some(1));
    Ok(())
}

/// Whoever writes another identity into the lease ends the leader; when that one does not renew, the standby leads.
#[tokio::test]
async fn a_stolen_lease_ends_the_leader() -> Result<()> {
    let cluster = Cluster::new().await?;
    cluster.node(e2e::objects::node("n1")).await?;
    let mut replicas = Replicas::start(&cluster, 2, &QUICK).await?;
    let first = replicas.wait_leader(&cluster).await?;
    cluster.pod(pod("before")).await?;
    cluster.wait_bound("before").await?;
    let theft = Patch::Merge(json!({"spec": {"holderIdentity": "somebody-else"}}));
    leases(&cluster)
        .patch(LEASE, &PatchParams::default(), &theft)
        .await?;
    let stolen = Instant::now();
    assert_eq!(replicas.end_of(first).await?, 1);
    let output = replicas.get(first).output();
    assert!(output.contains("somebody-else has taken it"), "{output}");
    eprintln!(
        "stolen lease: the leader ended after {:.2?}",
        stolen.elapsed()
    );
    cluster.pod(pod("after")).await?;
    cluster.wait_bound("after").await?;
    assert_eq!(replicas.wait_leader(&cluster).await?, 1 - first);
    Ok(())
}
