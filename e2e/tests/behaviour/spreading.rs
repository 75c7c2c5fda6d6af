//! Pods without constraints of their own are spread by their services and controllers.

use anyhow::Result;
use e2e::controlplane::SchedulerOptions;
use e2e::harness::{Cluster, NAME, check_equal};
use e2e::objects::{PodBuilder, node, pod};
use e2e::{Scheduler, SchedulerKind};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Service;
use kube::api::PostParams;
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const TWIN: &str = "twin";

/// The nodes with their cpu: two for each of three zones, which begin their names. No two are ever equally good for the
/// pods below.
const NODES: [(&str, u32); 6] = [
    ("a1", 128),
    ("a2", 32),
    ("b1", 12),
    ("b2", 10),
    ("c1", 8),
    ("c2", 6),
];

/// How many pods are placed once there is an owner.
const PODS: usize = 6;

fn web(name: &str) -> PodBuilder {
    pod(name)
        .label("app", "web")
        .request("cpu", "1")
        .request("memory", "4Gi")
}

/// A pod of the replica set `web`.
fn replica(name: &str) -> PodBuilder {
    let owner = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "controller": true,
        "uid": "00000000-0000-0000-0000-000000000001",
    });
    web(name).metadata("ownerReferences", json!([owner]))
}

async fn create<K>(cluster: &Cluster, object: Value) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned,
{
    let api: Api<K> = Api::default_namespaced(cluster.client());
    api.create(&PostParams::default(), &serde_json::from_value(object)?)
        .await?;
    Ok(())
}

/// Has a scheduler place a pod, and deletes the pod.
async fn ask(cluster: &Cluster, pod: PodBuilder, name: &str) -> Result<String> {
    cluster.pod(pod.named(name)).await?;
    let node = cluster.wait_bound(name).await?;
    cluster.delete_pod(name).await?;
    Ok(node)
}

/// Places such pods with both schedulers, before `own` makes their owner and after it.
async fn compare(
    pod: fn(&str) -> PodBuilder,
    own: impl AsyncFn(&Cluster) -> Result<()>,
) -> Result<()> {
    let mut cluster = Cluster::new().await?;
    for (name, cpu) in NODES {
        let node = node(name)
            .label("topology.kubernetes.io/zone", &name[..1])
            .capacity("cpu", &cpu.to_string())
            .capacity("memory", &format!("{}Gi", 4 * cpu));
        cluster.node(node).await?;
    }
    let _twin = Scheduler::kube_scheduler(cluster.control_plane(), &[TWIN]).await?;
    cluster.start_scheduler().await?;
    // Nobody owns them: the largest node is the best.
    for name in [TWIN, NAME] {
        let found = ask(
            &cluster,
            pod("early").scheduler(name),
            &format!("early-{name}"),
        )
        .await?;
        check_equal(name, found.as_str(), "a1")?;
    }
    cluster.pod(pod("p0")).await?;
    check_equal("p0", cluster.wait_bound("p0").await?.as_str(), "a1")?;

    own(&cluster).await?;
    for name in [TWIN, NAME] {
        let mut probes = 0..;
        cluster
            .eventually(&format!("{name} that knows the owner"), async || {
                let probe = format!("probe-{name}-{}", probes.next().unwrap_or(0));
                let node = ask(&cluster, pod("").scheduler(name), &probe).await?;
                Ok((!node.starts_with('a')).then_some(()))
            })
            .await?;
    }
    let mut nodes = vec!["a1".to_owned()];
    for number in 1..=PODS {
        let expected = ask(&cluster, pod("").scheduler(TWIN), &format!("twin-{number}")).await?;
        let name = format!("p{number}");
        cluster.pod(pod(&name)).await?;
        let found = cluster.wait_bound(&name).await?;
        check_equal(&name, &found, &expected)?;
        nodes.push(found);
    }
    let zones =
        ["a", "b", "c"].map(|zone| nodes.iter().filter(|node| node.starts_with(zone)).count());
    check_equal("pods by zone", zones, [3, 2, 2])
}

#[tokio::test]
async fn pods_of_a_service_are_spread_over_zones() -> Result<()> {
    compare(web, async |cluster| {
        create::<Service>(
            cluster,
            json!({
                "metadata": {"name": "web"},
                "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
            }),
        )
        .await
    })
    .await
}

#[tokio::test]
async fn pods_of_a_replica_set_are_spread_over_zones() -> Result<()> {
    compare(replica, async |cluster| {
        create::<ReplicaSet>(cluster, json!({
            "metadata": {"name": "web"},
            "spec": {
                "selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "main", "image": "pause"}]},
                },
            },
        }))
        .await
    })
    .await
}

/// There may be very many replica sets: nobody lists them for nothing.
#[tokio::test]
async fn berth_watches_services_and_controllers_only_to_spread_by_them() -> Result<()> {
    let cluster = Cluster::new().await?;
    let watched = async |defaulting: &str| -> Result<Vec<bool>> {
        let file = cluster.control_plane().directory().join("spreading.yaml");
        let text = format!(
            "apiVersion: kubescheduler.config.k8s.io/v1\n\
             kind: KubeSchedulerConfiguration\n\
             profiles:\n\
             - schedulerName: {NAME}\n  \
               pluginConfig: [{{name: PodTopologySpread, args: {{defaultingType: {defaulting}}}}}]\n"
        );
        std::fs::write(&file, text)?;
        let options = SchedulerOptions {
            args: vec![
                format!("--config={}", file.display()),
                "--leader-elect=false".to_owned(),
            ],
            ..SchedulerOptions::default()
        };
        let control_plane = cluster.control_plane();
        let kind = SchedulerKind::Berth;
        let mut scheduler = Scheduler::start_with(kind, control_plane, &[], options).await?;
        let page = scheduler.page("/readyz?verbose").await?;
        check_equal("exit code", scheduler.terminate().await?, 0)?;
        let kinds = [
            "namespaces",
            "services",
            "replicationcontrollers",
            "replicasets",
            "statefulsets",
        ];
        Ok(kinds
            .map(|kind| page.contains(&format!("[+]watch-{kind} ok")))
            .into())
    };
    check_equal("System", watched("System").await?, vec![true; 5])?;
    let without = vec![true, false, false, false, false];
    check_equal("List", watched("List").await?, without)
}
