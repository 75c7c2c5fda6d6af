//! Gangs that have run: members that go and come, and a scheduler that begins anew.

use anyhow::Result;
use e2e::harness::node_of;
use e2e::objects::pod;
use e2e::pod_groups::PodGroupApi;
use kube::api::DeleteParams;

use super::scene::{GPU, Scene, gang, gpu_node, gpu_nodes};

/// Deletes a pod that is bound. No kubelet lets it go, so it stays until it is deleted without grace.
async fn terminate(scene: &Scene, pod: &str) -> Result<()> {
    let parameters = DeleteParams::default().grace_period(300);
    scene.cluster.pods().delete(pod, &parameters).await?;
    Ok(())
}

/// S16. What a node took with it is replaced ahead of what waits longer, and without a new quorum.
#[tokio::test]
async fn berth_repairs_a_gang_first() -> Result<()> {
    let scene = Scene::new(gpu_nodes(2, 2)).await?;
    let four = gang("four", 4, 4, 1);
    scene.submit(&four).await?;
    let nodes = scene.expect_bound(&four, 4).await?;
    scene.cluster.pod(pod("patient").request(GPU, "2")).await?;
    scene.cluster.wait_unschedulable("patient").await?;
    scene.cluster.delete_node("n1").await?;
    for (lost, _) in nodes.iter().filter(|(_, node)| *node == "n1") {
        scene.cluster.delete_pod(lost).await?;
    }
    scene.pods(&four, 4..6).await?;
    let nowhere = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.";
    scene
        .expect_texts(&four, "Unschedulable", &[(2, nowhere, &[])])
        .await?;
    scene.cluster.create_nodes([gpu_node("n2", 2)]).await?;
    let nodes = scene.expect_bound(&four, 4).await?;
    assert_eq!((&*nodes["four-4"], &*nodes["four-5"]), ("n2", "n2"));
    let patient = scene.cluster.pods().get("patient").await?;
    assert_eq!(node_of(&patient), None);
    Ok(())
}

/// S17. A member that has succeeded counts no more as a pod, and its gang's others are replaced all the same.
#[tokio::test]
async fn berth_replaces_a_member_when_another_has_succeeded() -> Result<()> {
    let scene = Scene::new(gpu_nodes(4, 1)).await?;
    let four = gang("four", 4, 4, 1);
    scene.submit(&four).await?;
    scene.expect_bound(&four, 4).await?;
    scene.cluster.finish_pod("four-0").await?;
    scene.cluster.delete_pod("four-2").await?;
    scene.pods(&four, 4..5).await?;
    scene.cluster.wait_bound("four-4").await.map(drop)
}

/// S18. A replacement waits for the room that the old pod still takes, and not for a quorum.
#[tokio::test]
async fn a_replacement_waits_for_room_only() -> Result<()> {
    let scene = Scene::new(gpu_nodes(2, 1)).await?;
    let pair = gang("pair", 2, 2, 1);
    scene.submit(&pair).await?;
    scene.expect_bound(&pair, 2).await?;
    terminate(&scene, "pair-1").await?;
    scene.pods(&pair, 2..3).await?;
    let nowhere = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu.";
    scene
        .expect_texts(&pair, "Unschedulable", &[(1, nowhere, &[])])
        .await?;
    scene.cluster.delete_pod("pair-1").await?;
    scene.cluster.wait_bound("pair-2").await.map(drop)
}

/// S19. Pods of a second try are a run of their own: none of them is bound before all of them fit.
#[tokio::test]
async fn berth_asks_for_a_quorum_of_the_next_run() -> Result<()> {
    let scene = Scene::new(gpu_nodes(4, 1)).await?;
    let four = gang("four", 4, 4, 1);
    scene.submit(&four).await?;
    scene.expect_bound(&four, 4).await?;
    for number in 0..4 {
        terminate(&scene, &four.pod_name(number)).await?;
    }
    scene.pods(&four, 4..8).await?;
    for number in 0..3 {
        scene.cluster.delete_pod(&four.pod_name(number)).await?;
    }
    let quorum = "minCount (4) cannot be satisfied: 3 scheduled, 0 remaining";
    let texts = [
        (3, "pod group is unschedulable, ", &[quorum][..]),
        (
            1,
            "0/4 nodes are available: 4 Insufficient nvidia.com/gpu.",
            &[],
        ),
    ];
    scene.expect_texts(&four, "Unschedulable", &texts).await?;
    // The one that is left is an old one.
    scene.expect_bound(&four, 1).await?;
    scene.cluster.delete_pod("four-3").await?;
    scene.expect_bound(&four, 4).await.map(drop)
}

/// S23. A scheduler that begins anew finds a gang half bound and completes it.
#[tokio::test]
async fn a_restart_completes_a_gang() -> Result<()> {
    let mut scene = Scene::new(gpu_nodes(4, 1)).await?;
    scene.cluster.scheduler()?.kill();
    let half = gang("half", 4, 4, 1);
    scene.submit(&half).await?;
    for (number, node) in ["n0", "n2"].into_iter().enumerate() {
        let pod = half.pod_name(number);
        scene.cluster.bind_as_other_scheduler(&pod, node).await?;
    }
    scene.cluster.start_scheduler().await?;
    let nodes = scene.expect_bound(&half, 4).await?;
    assert_eq!((&*nodes["half-0"], &*nodes["half-1"]), ("n0", "n2"));
    Ok(())
}

/// S23. Where the rest does not fit, what is bound stays, it is said, and the rest follows when it fits.
#[tokio::test]
async fn berth_tells_that_a_gang_is_degraded() -> Result<()> {
    for dialect in [
        PodGroupApi::Kubernetes,
        PodGroupApi::SchedulerPlugins,
        PodGroupApi::Volcano,
    ] {
        let mut scene = Scene::new(gpu_nodes(3, 1)).await?;
        scene.cluster.scheduler()?.kill();
        let half = gang("half", 4, 4, 1).api(dialect);
        scene.submit(&half).await?;
        for (number, node) in ["n0", "n2"].into_iter().enumerate() {
            let pod = half.pod_name(number);
            scene.cluster.bind_as_other_scheduler(&pod, node).await?;
        }
        scene.cluster.start_scheduler().await?;
        let note = scene.group_event(&half, "GangDegraded").await?;
        assert!(note.contains("2 of 4"), "{note}");
        scene.expect_bound(&half, 2).await?;
        scene.cluster.create_nodes([gpu_node("n3", 1)]).await?;
        scene.expect_bound(&half, 4).await?;
    }
    Ok(())
}

/// S42. What is more than must run together is placed as far as there is room, and nobody gives way for it.
#[tokio::test]
async fn a_gang_grows_as_far_as_there_is_room() -> Result<()> {
    let scene = Scene::new([gpu_node("n0", 6)]).await?;
    let elastic = gang("elastic", 4, 4, 1);
    scene.submit(&elastic).await?;
    scene.expect_bound(&elastic, 4).await?;
    scene.pods(&elastic, 4..8).await?;
    let nodes = scene.expect_bound(&elastic, 6).await?;
    for number in 0..4 {
        assert!(nodes.contains_key(&elastic.pod_name(number)), "{nodes:?}");
    }
    scene.cluster.create_nodes([gpu_node("n1", 1)]).await?;
    scene.expect_bound(&elastic, 7).await.map(drop)
}
