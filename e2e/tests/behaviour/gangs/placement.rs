//! Where a gang is placed, and which of its pods are.

use anyhow::Result;
use e2e::objects::{node, pod};
use e2e::pod_groups::PodGroupApi;
use serde_json::json;

use super::scene::{GPU, RACK, Scene, gang, gpu_node};

/// S35. All in one rack or not at all, and which rack misses what is said.
#[tokio::test]
async fn berth_keeps_a_gang_in_one_rack() -> Result<()> {
    let scene = Scene::new(
        [("n0", "r1"), ("n1", "r2")].map(|(name, rack)| gpu_node(name, 6).label(RACK, rack)),
    )
    .await?;
    let eight = gang("eight", 8, 8, 1)
        .api(PodGroupApi::SchedulerPlugins)
        .in_rack();
    scene.submit(&eight).await?;
    scene.expect_none_bound(&eight).await?;
    let note = scene.group_event(&eight, "FailedScheduling").await?;
    for part in [
        "6 of 8 members fit",
        "best domain rack=r1",
        "without the constraint it fits now",
    ] {
        assert!(note.contains(part), "{note}");
    }
    let gpus = json!({"allocatable": {GPU: "8"}, "capacity": {GPU: "8"}});
    scene.cluster.patch_node_status("n1", gpus).await?;
    let nodes = scene.expect_bound(&eight, 8).await?;
    assert!(nodes.values().all(|node| node == "n1"), "{nodes:?}");
    Ok(())
}

/// S36. Of several racks that one of which the least is left; of equal ones the first by name.
#[tokio::test]
async fn berth_takes_the_tightest_rack() -> Result<()> {
    let scene = Scene::new([]).await?;
    let dialects = [
        PodGroupApi::SchedulerPlugins,
        PodGroupApi::Kubernetes,
        PodGroupApi::Volcano,
    ];
    let cases = [
        (["r1", "r2", "r3"], [8, 4, 6], "r2"),
        (["r3", "r1", "r2"], [6, 6, 6], "r1"),
        (["r1", "r2", "r3"], [3, 7, 5], "r3"),
    ];
    for (dialect, (racks, gpus, expected)) in dialects.into_iter().zip(cases) {
        for (rack, gpus) in racks.into_iter().zip(gpus) {
            // The rack is of two nodes, so that it is the rack that counts and not the node.
            let half = gpus / 2;
            for (name, gpus) in [
                (format!("{rack}-a"), half),
                (format!("{rack}-b"), gpus - half),
            ] {
                scene
                    .cluster
                    .node(gpu_node(&name, gpus).label(RACK, rack))
                    .await?;
            }
        }
        let four = gang("four", 4, 4, 1).api(dialect).in_rack();
        scene.submit(&four).await?;
        let nodes = scene.expect_bound(&four, 4).await?;
        let inside = nodes.values().all(|node| node.starts_with(expected));
        assert!(inside, "{dialect:?}, {gpus:?} in {racks:?}: {nodes:?}");
        for number in 0..4 {
            scene.cluster.delete_pod(&four.pod_name(number)).await?;
        }
        scene.cluster.delete_object(&four.object()).await?;
        for rack in racks {
            for half in ["a", "b"] {
                scene.cluster.delete_node(&format!("{rack}-{half}")).await?;
            }
        }
    }
    Ok(())
}

/// S39. A launcher that fits nowhere keeps its workers waiting, and is the one that is blamed.
#[tokio::test]
async fn a_launcher_holds_its_workers() -> Result<()> {
    let workers = (0..4).map(|number| gpu_node(&format!("n{number}"), 8).capacity("cpu", "1"));
    let scene = Scene::new(workers.chain([node("cpu")])).await?;
    scene
        .cluster
        .pod_on(pod("filler").request("cpu", "3"), "cpu")
        .await?;
    let job = gang("job", 5, 5, 8);
    scene.object(&job).await?;
    scene.pods(&job, 0..4).await?;
    let launcher = gang("job", 5, 5, 0).pod(4).request("cpu", "2");
    scene.cluster.pod(launcher).await?;
    let texts = [
        (
            4,
            "pod group is unschedulable, ",
            &["4 scheduled, 0 remaining"][..],
        ),
        (1, "0/5 nodes are available: 5 Insufficient cpu.", &[]),
    ];
    scene.expect_texts(&job, "Unschedulable", &texts).await?;
    scene.expect_none_bound(&job).await?;
    scene.cluster.delete_pod("filler").await?;
    let nodes = scene.expect_bound(&job, 5).await?;
    assert_eq!(nodes["job-4"], "cpu");
    Ok(())
}

/// S40. Each role has a number of its own that must run together.
#[tokio::test]
async fn berth_heeds_roles() -> Result<()> {
    let scene = Scene::new([]).await?;
    for (name, room, workers) in [("six", 6, 5), ("five", 5, 4), ("four", 4, 0)] {
        scene.cluster.node(gpu_node("n0", room)).await?;
        let roles = json!({"spec": {"minTaskMember": {"launcher": 1, "worker": 4}}});
        let job = gang(name, 5, 7, 1).api(PodGroupApi::Volcano).more(roles);
        scene.object(&job).await?;
        // The workers come first, so that the launcher would be left out if its role did not count.
        for number in 0..6 {
            scene.cluster.pod(job.pod_of_role(number, "worker")).await?;
        }
        scene.expect_waiting(&job, &["launcher"]).await?;
        scene.cluster.pod(job.pod_of_role(6, "launcher")).await?;
        if workers == 0 {
            let note = scene.group_event(&job, "FailedScheduling").await?;
            assert!(note.contains("4 of 7 members fit"), "{note}");
            scene.expect_none_bound(&job).await?;
        } else {
            let nodes = scene.expect_bound(&job, workers + 1).await?;
            assert!(nodes.contains_key(&job.pod_name(6)), "{nodes:?}");
        }
        for number in 0..7 {
            scene.cluster.delete_pod(&job.pod_name(number)).await?;
        }
        scene.cluster.delete_object(&job.object()).await?;
        scene.cluster.delete_node("n0").await?;
    }
    Ok(())
}
