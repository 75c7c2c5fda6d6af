//! A replica that becomes the leader decides nothing before it has listed everything anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use berth::config::LeaderElection;
use berth::plugins;
use berth::runtime::{Options, Scheduler};
use berth::simulator::http::Server;
use berth::simulator::{Config, FaultRates};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

/// Far more than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    match tokio::time::timeout(LIMIT, found).await {
        Ok(found) => found,
        Err(_) => panic!("no {what} in {LIMIT:?}"),
    }
}

fn pod(name: &str, spec: Value) -> Pod {
    let mut pod = json!({
        "metadata": { "name": name, "namespace": "default" },
        "spec": { "containers": [{ "name": "main", "image": "pause" }] },
    });
    for (field, value) in spec.as_object().unwrap() {
        pod["spec"][field] = value.clone();
    }
    serde_json::from_value(pod).unwrap()
}

/// The last place is taken by the old leader, which the new one has not heard of: its watches are
/// silent, as they are when the network or the server lags.
#[tokio::test]
async fn a_new_leader_lists_before_it_decides() {
    let server = Server::bind(0, Config::default()).await.unwrap();
    let handle = server.handle();
    let url = format!("http://{}", server.local_address().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(async {
        let _ = stopped.await;
    }));
    let client_config = kube::Config::new(url.parse().unwrap());
    let client = Client::try_from(client_config.clone()).unwrap();
    let nodes: Api<Node> = Api::all(client.clone());
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-system");
    let create = PostParams::default();

    let node = json!({
        "metadata": { "name": "n1" },
        "status": { "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "1" } },
    });
    let node = serde_json::from_value(node).unwrap();
    nodes.create(&create, &node).await.unwrap();
    let now = jiff::Timestamp::now();
    let now = now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    let lease = json!({
        "metadata": { "name": "berth", "namespace": "kube-system" },
        "spec": {
            "holderIdentity": "old", "leaseDurationSeconds": 3600, "leaseTransitions": 0,
            "acquireTime": now, "renewTime": now,
        },
    });
    let lease = serde_json::from_value(lease).unwrap();
    leases.create(&create, &lease).await.unwrap();
    let waiting = pod("waiting", json!({ "schedulerName": "berth" }));
    pods.create(&create, &waiting).await.unwrap();
    let profiles = vec![plugins::default_profile("berth")];
    let scheduler = Scheduler::start(Options {
        http_address: ([127, 0, 0, 1], 0).into(),
        leader_election: Some(LeaderElection {
            resource_name: "berth".to_owned(),
            retry_period: Duration::from_millis(50),
            ..LeaderElection::default()
        }),
        ..Options::new(client_config, profiles)
    })
    .await
    .unwrap();
    // The standby knows of the pod and of the node.
    for line in [
        "scheduler_pending_pods{queue=\"active\"} 1",
        "scheduler_cache_size{type=\"nodes\"} 1",
    ] {
        until(line, async || {
            let page = scheduler.metrics().encode().unwrap();
            page.lines().any(|one| one == line).then_some(())
        })
        .await;
    }

    let silence = FaultRates {
        delayed_watch: 1000,
        delay: Duration::from_secs(3600),
        ..FaultRates::default()
    };
    handle.with(|server, _| server.set_fault_rates(silence));
    let placed = pod(
        "placed",
        json!({ "schedulerName": "berth", "nodeName": "n1" }),
    );
    pods.create(&create, &placed).await.unwrap();
    let release = Patch::Merge(json!({
        "spec": { "holderIdentity": "", "leaseDurationSeconds": 1 },
    }));
    let parameters = PatchParams::default();
    let patched = leases.patch("berth", &parameters, &release).await;
    patched.unwrap();

    let (node, message) = until("decision", async || {
        let pod = pods.get("waiting").await.unwrap();
        let node = pod.spec.and_then(|spec| spec.node_name);
        let conditions = pod.status.and_then(|status| status.conditions);
        let message = conditions.into_iter().flatten().find_map(|one| one.message);
        (node.is_some() || message.is_some()).then_some((node, message))
    })
    .await;
    assert_eq!(node, None);
    let message = message.unwrap_or_default();
    assert!(
        message.starts_with("0/1 nodes are available: 1 Too many pods."),
        "{message}"
    );
    scheduler.stop(std::future::pending()).await;
    let _ = stop.send(());
    serving.await.unwrap();
}
