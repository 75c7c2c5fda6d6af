//! The pods of the demonstration.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::stream::FuturesUnordered;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::SCHEDULER;
use super::observer::Clock;

/// Requests in flight.
const IN_FLIGHT: usize = 16;

/// The label that tells the kind.
pub(super) const KIND: &str = "demo";

/// A kind of pods.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Whether they fit.
    pub(super) fits: bool,
    share: u32,
    spec: fn() -> Value,
}

/// The kinds, the placeable ones with their shares of a thousand; of each other there is one.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "web",
        fits: true,
        share: 600,
        spec: || container(json!({ "cpu": "500m", "memory": "512Mi" })),
    },
    Kind {
        name: "cache",
        fits: true,
        share: 220,
        spec: || {
            let mut spec = container(json!({ "cpu": "1", "memory": "4Gi" }));
            spec["nodeSelector"] = json!({ "topology.kubernetes.io/zone": "zone-b" });
            spec
        },
    },
    Kind {
        name: "sidecar",
        fits: true,
        share: 100,
        spec: || container(json!({})),
    },
    Kind {
        name: "training",
        fits: true,
        share: 80,
        spec: || gpus("1"),
    },
    Kind {
        name: "too-large",
        fits: false,
        share: 0,
        spec: || gpus("64"),
    },
    Kind {
        name: "no-such-zone",
        fits: false,
        share: 0,
        spec: || {
            let mut spec = container(json!({ "cpu": "100m" }));
            spec["nodeSelector"] = json!({ "topology.kubernetes.io/zone": "zone-z" });
            spec
        },
    },
    Kind {
        name: "gated",
        fits: false,
        share: 0,
        spec: || {
            let mut spec = container(json!({ "cpu": "100m" }));
            spec["schedulingGates"] = json!([{ "name": "example.com/quota" }]);
            spec
        },
    },
];

fn container(requests: Value) -> Value {
    json!({ "containers": [{
        "name": "main",
        "image": "registry.k8s.io/pause:3.10",
        "resources": { "requests": requests },
    }] })
}

fn gpus(count: &str) -> Value {
    let mut spec = container(json!({ "cpu": "8", "memory": "64Gi" }));
    spec["containers"][0]["resources"]["limits"] = json!({ "nvidia.com/gpu": count });
    spec["tolerations"] = json!([{ "key": "nvidia.com/gpu", "operator": "Exists" }]);
    spec
}

/// One pod that is to be created.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) kind: &'static Kind,
    pub(super) name: String,
}

/// The pods, so many of them placeable, the kinds mixed as in a cluster with many users.
pub(super) fn plan(count: u32) -> Vec<Planned> {
    let mut made = vec![0_u32; KINDS.len()];
    let mut pods = Vec::new();
    for index in 1..=count {
        // The kind that is furthest behind its share.
        let behind = |(kind, made): &(&Kind, &mut u32)| {
            i64::from(kind.share) * i64::from(index) - 1000 * i64::from(**made)
        };
        let next = KINDS
            .iter()
            .zip(made.iter_mut())
            .filter(|(kind, _)| kind.fits)
            .max_by_key(behind);
        if let Some((kind, made)) = next {
            *made += 1;
            let name = format!("{}-{made:05}", kind.name);
            pods.push(Planned { kind, name });
        }
    }
    for kind in KINDS.iter().filter(|kind| !kind.fits) {
        let name = format!("{}-00001", kind.name);
        // In the middle of the others.
        pods.insert(pods.len() / 2, Planned { kind, name });
    }
    pods
}

/// Creates the pods over some time.
pub(super) async fn create(
    client: Client,
    plan: Vec<Planned>,
    over: Duration,
    clock: Arc<Clock>,
) -> Result<(), anyhow::Error> {
    let pods: Api<Pod> = Api::default_namespaced(client);
    let start = Instant::now();
    let count = u32::try_from(plan.len()).unwrap_or(u32::MAX);
    let mut in_flight = FuturesUnordered::new();
    for (index, planned) in (0_u32..).zip(plan) {
        tokio::time::sleep_until(start + over * index / count).await;
        while in_flight.len() >= IN_FLIGHT {
            in_flight.try_next().await?;
        }
        let (pods, clock) = (pods.clone(), Arc::clone(&clock));
        in_flight.push(async move {
            let pod = serde_json::from_value(pod(&planned)).context("this is no pod")?;
            clock.created(&planned.name);
            let made = pods.create(&PostParams::default(), &pod).await;
            made.map(drop).context("cannot create a pod")
        });
        // What is in flight goes on while the next is waited for.
        while let Some(Some(done)) = futures::FutureExt::now_or_never(in_flight.next()) {
            done?;
        }
    }
    in_flight.try_collect().await
}

/// The spec of a pod that asks for so many GPUs.
pub(super) fn gpu_pod(count: &str) -> Value {
    ours(gpus(count))
}

fn ours(mut spec: Value) -> Value {
    spec["schedulerName"] = json!(SCHEDULER);
    spec["terminationGracePeriodSeconds"] = json!(1);
    spec
}

fn pod(planned: &Planned) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": planned.name,
            "labels": { KIND: planned.kind.name },
        },
        "spec": ours((planned.kind.spec)()),
    })
}
