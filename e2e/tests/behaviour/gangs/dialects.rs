//! APIs that are absent, appear and vanish, and objects that cannot be read.

use anyhow::Result;
use e2e::groups;
use e2e::harness::Cluster;
use e2e::objects::{node, pod};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::scene::{Dialect, Scene, gang, gpu_nodes};

/// More lines than this about an API that is absent are a flood.
const FLOOD: usize = 60;

/// S12. Without any of the APIs the rest goes on; one that is installed later is found, without a restart.
#[tokio::test]
async fn berth_finds_a_definition_that_comes_late() -> Result<()> {
    let mut cluster = Cluster::for_disruption().await?;
    cluster.create_nodes(gpu_nodes(4, 1)).await?;
    cluster.start_scheduler().await?;
    let scene = Scene { cluster };
    let late = gang("late", 2, 2, 1).dialect(Dialect::SchedulerPlugins);
    scene.pods(&late, 0..2).await?;
    scene
        .expect_waiting(&late, &["PodGroup default/late not found"])
        .await?;
    scene.expect_none_bound(&late).await?;
    // Without its feature gate the API server drops what pods say of their group, and they are pods like others.
    let dropped = gang("dropped", 2, 1, 1);
    scene.pods(&dropped, 0..1).await?;
    scene.expect_bound(&dropped, 1).await?;

    let definition = groups::scheduler_plugins_definition();
    groups::install(scene.cluster.control_plane(), &definition).await?;
    scene.object(&late).await?;
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
    groups::install(cluster.control_plane(), &file).await?;
    let (good, bad) = (gang("good", 2, 2, 0), gang("bad", 2, 2, 0));
    let (good, bad) = (
        good.dialect(Dialect::Volcano),
        bad.dialect(Dialect::Volcano),
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

/// The phases of scheduler-plugins and Volcano, which their users look at.
#[tokio::test]
async fn berth_writes_the_phases_of_each_dialect() -> Result<()> {
    let scene = Scene::new(gpu_nodes(2, 1)).await?;
    for (dialect, before, after) in [
        (Dialect::SchedulerPlugins, "Pending", "Running"),
        (Dialect::Volcano, "Pending", "Running"),
    ] {
        let pair = gang("pair", 2, 2, 1).dialect(dialect);
        scene.object(&pair).await?;
        scene.pods(&pair, 0..1).await?;
        let wait_phase = async |phase: &str| {
            let what = format!("phase {phase} of {dialect:?}");
            scene
                .cluster
                .eventually(&what, async || {
                    let object = scene.cluster.get_object(&pair.object()).await?;
                    Ok((object["status"]["phase"] == phase).then_some(()))
                })
                .await
        };
        wait_phase(before).await?;
        scene.pods(&pair, 1..2).await?;
        scene.expect_bound(&pair, 2).await?;
        for number in 0..2 {
            let name = pair.pod_name(number);
            let patch = Patch::Merge(json!({"status": {"phase": "Running"}}));
            let pods = scene.cluster.pods();
            pods.patch_status(&name, &PatchParams::default(), &patch)
                .await?;
        }
        wait_phase(after).await?;
        for number in 0..2 {
            scene.cluster.delete_pod(&pair.pod_name(number)).await?;
        }
        scene.cluster.delete_object(&pair.object()).await?;
    }
    scene.cluster.pod(pod("after")).await?;
    scene.cluster.wait_bound("after").await.map(drop)
}
