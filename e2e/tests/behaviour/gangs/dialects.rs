//! APIs that are absent, appear and vanish, and objects that cannot be read.

use anyhow::Result;
use e2e::harness::Cluster;
use e2e::objects::node;
use e2e::pod_groups::{PodGroupApi, kubectl};
use serde_json::json;

use super::scene::{Scene, gang, gpu_nodes};

/// More lines than this about an API that is absent are a flood.
const FLOOD: usize = 60;

/// S12. Without any of the APIs the rest goes on; one that is installed later is found, without a restart.
#[tokio::test]
async fn berth_finds_a_definition_that_comes_late() -> Result<()> {
    let mut cluster = Cluster::for_disruption().await?;
    cluster.create_nodes(gpu_nodes(4, 1)).await?;
    cluster.start_scheduler().await?;
    let scene = Scene { cluster };
    let late = gang("late", 2, 2, 1).api(PodGroupApi::SchedulerPlugins);
    scene.pods(&late, 0..2).await?;
    scene
        .expect_waiting(&late, &["PodGroup default/late not found"])
        .await?;
    scene.expect_none_bound(&late).await?;
    // Without its feature gate the API server drops what pods say of their group, and they are pods like others.
    let dropped = gang("dropped", 2, 1, 1);
    scene.pods(&dropped, 0..1).await?;
    scene.expect_bound(&dropped, 1).await?;

    PodGroupApi::SchedulerPlugins.install(scene.cluster.control_plane())?;
    let group = late.api.create(&scene.cluster, late.name, late.min);
    group.await?;
    let mut scene = scene;
    scene.expect_bound(&late, 2).await?;
    let lines = scene.cluster.scheduler()?.output().lines().count();
    assert!(
        lines < FLOOD,
        "{lines} lines:\n{}",
        scene.cluster.scheduler()?.output()
    );
    Ok(())
}

/// S51. A group that cannot be read is set aside with its pods, and all others go on.
#[tokio::test]
async fn berth_sets_aside_a_group_that_it_cannot_read() -> Result<()> {
    let mut cluster = Cluster::for_disruption().await?;
    cluster.create_nodes([node("n0")]).await?;
    // A definition that takes whatever it is given, as those of other makers may.
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "podgroups.scheduling.volcano.sh"},
        "spec": {
            "group": "scheduling.volcano.sh",
            "scope": "Namespaced",
            "names": {"kind": "PodGroup", "listKind": "PodGroupList", "plural": "podgroups", "singular": "podgroup"},
            "versions": [{"name": "v1beta1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            }}}],
        },
    });
    let file = cluster.control_plane().directory().join("definition.json");
    std::fs::write(&file, definition.to_string())?;
    kubectl(
        cluster.control_plane(),
        &["create", "-f", &file.to_string_lossy()],
    )?;
    let (good, bad) = (gang("good", 2, 2, 0), gang("bad", 2, 2, 0));
    let (good, bad) = (
        good.api(PodGroupApi::Volcano),
        bad.api(PodGroupApi::Volcano),
    );
    let unreadable = bad.clone().more(json!({"spec": {"minMember": "many"}}));
    cluster
        .eventually("groups", async || {
            Ok(cluster.create_object(&unreadable.object()).await.ok())
        })
        .await?;
    cluster.start_scheduler().await?;
    let scene = Scene { cluster };
    scene.pods(&bad, 0..2).await?;
    scene.submit(&good).await?;
    scene.expect_bound(&good, 2).await?;
    let text = "the pod group cannot be read";
    scene
        .expect_texts(&bad, "SchedulerError", &[(2, text, &[])])
        .await?;
    scene.expect_none_bound(&bad).await?;
    scene
        .cluster
        .wait_event("bad-0", "FailedScheduling")
        .await?;
    scene.set_min(&bad, 2).await?;
    scene.expect_bound(&bad, 2).await.map(drop)
}

/// A pod that names several groups belongs to the first one in the order of the dialects.
#[tokio::test]
async fn berth_takes_one_of_several_groups() -> Result<()> {
    let scene = Scene::new(gpu_nodes(2, 1)).await?;
    let own = gang("own", 1, 1, 1);
    let torn = own
        .pod(0)
        .label("scheduling.x-k8s.io/pod-group", "absent")
        .metadata(
            "annotations",
            json!({"scheduling.k8s.io/group-name": "absent"}),
        );
    scene.object(&own).await?;
    scene.cluster.pod(torn).await?;
    scene.expect_bound(&own, 1).await.map(drop)
}
