//! Gangs as operators write them: what is in examples/gangs is placed as it is.

use anyhow::{Context, Result};
use e2e::harness::{Cluster, node_of, scheduled_condition};
use e2e::pod_groups::{read_manifest, root};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use serde_json::Value;

use super::scene::gpu_nodes;

/// The names that the operators write into schedulerName.
const NAMES: [&str; 3] = ["berth", "scheduler-plugins-scheduler", "volcano"];

/// File, pods in it, and how many of them can run while the last one is missing.
const EXAMPLES: [(&str, usize, usize); 10] = [
    ("indexed-job-annotations.yaml", 3, 0),
    ("indexed-job-labels.yaml", 3, 0),
    ("indexed-job-podgroup.yaml", 3, 0),
    ("jobset.yaml", 4, 0),
    ("kuberay.yaml", 3, 0),
    ("leaderworkerset.yaml", 4, 2),
    ("mpi-operator.yaml", 3, 0),
    ("trainer.yaml", 3, 0),
    ("training-operator.yaml", 3, 0),
    ("volcano-job.yaml", 3, 0),
];

#[tokio::test]
async fn berth_places_what_operators_write() -> Result<()> {
    let mut cluster = Cluster::with_pod_groups().await?;
    cluster
        .create_nodes(
            gpu_nodes(4, 8)
                .into_iter()
                .map(|node| node.capacity("cpu", "16").capacity("memory", "64Gi")),
        )
        .await?;
    cluster.start_scheduler_as(&NAMES).await?;
    let directory = root().join("examples/gangs");
    let mut files: Vec<String> = std::fs::read_dir(&directory)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    files.sort();
    assert_eq!(files, EXAMPLES.map(|(file, ..)| file));
    for (file, pods, without_last) in EXAMPLES {
        let objects = read_manifest(cluster.control_plane(), &directory.join(file))?;
        check(&cluster, &objects, pods, without_last)
            .await
            .with_context(|| file.to_owned())?;
    }
    Ok(())
}

/// Nothing that needs the last pod is placed before it exists; then everything is.
async fn check(
    cluster: &Cluster,
    objects: &[Value],
    pods: usize,
    without_last: usize,
) -> Result<()> {
    let (last, before) = objects.split_last().context("no objects")?;
    for object in before {
        cluster.create_object(object).await?;
    }
    let bound = cluster.eventually("word about all pods", async || {
        let all = cluster.pods().list(&ListParams::default()).await?.items;
        let told = |pod: &Pod| node_of(pod).is_some() || scheduled_condition(pod).is_some();
        let bound = all.iter().filter(|pod| node_of(pod).is_some()).count();
        Ok(
            (all.iter().all(told) && all.len() == pods - 1 && bound >= without_last)
                .then_some(bound),
        )
    });
    assert_eq!(bound.await?, without_last, "without the last pod");
    cluster.create_object(last).await?;
    let all = cluster.eventually("all pods bound", async || {
        let all = cluster.pods().list(&ListParams::default()).await?.items;
        let bound = all.iter().filter(|pod| node_of(pod).is_some()).count();
        Ok((bound == pods).then_some(all))
    });
    for pod in all.await? {
        cluster
            .delete_pod(&pod.metadata.name.unwrap_or_default())
            .await?;
    }
    for object in objects.iter().filter(|object| object["kind"] != "Pod") {
        cluster.delete_object(object).await?;
    }
    Ok(())
}
