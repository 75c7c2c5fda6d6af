//! More gangs than room.

use anyhow::Result;
use e2e::objects::pod;
use e2e::pod_groups::PodGroupApi;
use serde_json::json;

use super::scene::{GPU, Gang, Scene, gang, gpu_node, gpu_nodes};

/// S1: ten nodes with a GPU, and two gangs of six.
async fn two_gangs_for_ten_gpus() -> Result<(Scene, Gang, Gang)> {
    let scene = Scene::new(gpu_nodes(10, 1)).await?;
    let both = [gang("a", 6, 6, 1), gang("b", 6, 6, 1)];
    for gang in &both {
        scene.object(gang).await?;
    }
    for number in 0..6 {
        for gang in &both {
            scene.pods(gang, number..number + 1).await?;
        }
    }
    let [a, b] = both;
    let winner = scene.cluster.eventually("whole gang", async || {
        let bound = (scene.nodes(&a).await?.len(), scene.nodes(&b).await?.len());
        Ok(match bound {
            (6, _) => Some(true),
            (_, 6) => Some(false),
            _ => None,
        })
    });
    let (winner, loser) = if winner.await? { (a, b) } else { (b, a) };
    Ok((scene, winner, loser))
}

/// S1. One of them is whole and the other holds nothing, not even what is left.
#[tokio::test]
async fn one_of_two_gangs_runs() -> Result<()> {
    let (scene, winner, loser) = two_gangs_for_ten_gpus().await?;
    let quorum = "minCount (6) cannot be satisfied: 4 scheduled, 1 remaining";
    let texts = [
        (4, "pod group is unschedulable, ", &[quorum][..]),
        (
            1,
            "0/10 nodes are available: 10 Insufficient nvidia.com/gpu.",
            &[],
        ),
        (1, quorum, &[]),
    ];
    scene.expect_texts(&loser, "Unschedulable", &texts).await?;
    scene.expect_condition(&winner, "True", "Scheduled").await?;
    let message = scene
        .expect_condition(&loser, "False", "Unschedulable")
        .await?;
    assert!(message.starts_with(quorum), "{message}");
    scene.expect_bound(&winner, 6).await?;
    scene.expect_none_bound(&loser).await?;
    scene.cluster.pod(pod("single").request(GPU, "1")).await?;
    scene.cluster.wait_bound("single").await?;
    scene.expect_none_bound(&loser).await
}

/// S2. The other one follows when the last GPU that it needs is free, and not before.
#[tokio::test]
async fn the_other_gang_follows() -> Result<()> {
    let (scene, _, loser) = two_gangs_for_ten_gpus().await?;
    let winner = if loser.name == "a" { "b" } else { "a" };
    scene.cluster.delete_pod(&format!("{winner}-0")).await?;
    let quorum = "minCount (6) cannot be satisfied: 5 scheduled, 0 remaining";
    let texts = [
        (5, "pod group is unschedulable, ", &[quorum][..]),
        (
            1,
            "0/10 nodes are available: 10 Insufficient nvidia.com/gpu.",
            &[],
        ),
    ];
    scene.expect_texts(&loser, "Unschedulable", &texts).await?;
    scene.expect_none_bound(&loser).await?;
    scene.cluster.delete_pod(&format!("{winner}-1")).await?;
    scene.expect_bound(&loser, 6).await.map(drop)
}

/// S5. A small one behind a large one that does not fit is placed, and the large one runs as soon as it fits.
#[tokio::test]
async fn a_small_gang_passes_a_large_one_that_waits() -> Result<()> {
    let scene = Scene::new(gpu_nodes(3, 8)).await?;
    scene.fill("filler", 1, "n0").await?;
    let (large, small) = (gang("large", 3, 3, 8), gang("small", 1, 1, 1));
    scene.submit(&large).await?;
    scene.expect_none_bound(&large).await?;
    scene.submit(&small).await?;
    scene.expect_bound(&small, 1).await?;
    scene.expect_none_bound(&large).await?;
    scene.cluster.delete_pod("small-0").await?;
    scene.expect_none_bound(&large).await?;
    scene.cluster.delete_pod("filler").await?;
    scene.expect_bound(&large, 3).await.map(drop)
}

/// S7. A gang that is larger than the cluster is told so, and waits for nodes.
#[tokio::test]
async fn berth_tells_a_gang_that_it_is_too_large() -> Result<()> {
    let scene = Scene::new(gpu_nodes(2, 8)).await?;
    let large = gang("large", 4, 4, 8);
    scene.submit(&large).await?;
    let tail = "gang needs 32 nvidia.com/gpu; the cluster has 16: cannot ever fit";
    let quorum = "minCount (4) cannot be satisfied: 2 scheduled, 1 remaining";
    let texts = [
        (2, "pod group is unschedulable, ", &[quorum][..]),
        (
            1,
            "0/2 nodes are available: 2 Insufficient nvidia.com/gpu.",
            &[],
        ),
        (1, quorum, &[]),
    ];
    scene.expect_texts(&large, "Unschedulable", &texts).await?;
    let message = scene
        .expect_condition(&large, "False", "Unschedulable")
        .await?;
    assert!(message.contains(tail), "{message}");
    scene.expect_none_bound(&large).await?;
    scene.cluster.create_nodes([gpu_node("n2", 8)]).await?;
    scene.expect_none_bound(&large).await?;
    scene.cluster.create_nodes([gpu_node("n3", 8)]).await?;
    scene.expect_bound(&large, 4).await.map(drop)
}

/// S8. One member is too large for every node, which is said about it and not about the others.
#[tokio::test]
async fn berth_blames_the_member_that_fits_nowhere() -> Result<()> {
    let scene = Scene::new(gpu_nodes(4, 8)).await?;
    let uneven = gang("uneven", 3, 3, 8);
    scene.object(&uneven).await?;
    scene.pods(&uneven, 0..2).await?;
    scene.cluster.pod(uneven.pod(2).request(GPU, "16")).await?;
    let too_large = "no node has 16 nvidia.com/gpu (largest 8)";
    scene
        .cluster
        .eventually("word about the large member", async || {
            let members = scene.members(&uneven).await?;
            let text = |name: &str| {
                let condition = e2e::harness::scheduled_condition(members.get(name)?)?;
                condition.message.clone()
            };
            let Some(large) = text("uneven-2") else {
                return Ok(None);
            };
            for name in ["uneven-0", "uneven-1"] {
                let Some(text) = text(name) else {
                    return Ok(None);
                };
                assert!(!text.starts_with("0/"), "{name} is blamed: {text}");
            }
            Ok(
                (large.starts_with("0/4 nodes are available: ") && large.contains(too_large))
                    .then_some(()),
            )
        })
        .await?;
    scene.expect_none_bound(&uneven).await
}

/// S26. While the scheduler does not look, others take a node and one of the gang's own pods. The rest follows.
#[tokio::test]
async fn what_others_bind_is_counted() -> Result<()> {
    let mut scene = Scene::new(gpu_nodes(3, 1)).await?;
    let pair = gang("pair", 2, 2, 1);
    scene.object(&pair).await?;
    scene.cluster.scheduler()?.pause()?;
    scene.fill("foreign", 1, "n0").await?;
    scene.pods(&pair, 0..2).await?;
    scene
        .cluster
        .bind_as_other_scheduler("pair-0", "n1")
        .await?;
    scene.cluster.scheduler()?.resume()?;
    let nodes = scene.expect_bound(&pair, 2).await?;
    assert_eq!(nodes["pair-0"], "n1");
    scene
        .expect_condition(&pair, "True", "Scheduled")
        .await
        .map(drop)
}

/// One event about the gang and one about a pod for each text, and no more while nothing changes.
#[tokio::test]
async fn berth_tells_each_text_once() -> Result<()> {
    let scene = Scene::new(gpu_nodes(2, 1)).await?;
    let large = gang("large", 16, 16, 1);
    scene.object(&large).await?;
    for number in 0..16 {
        scene
            .cluster
            .pod(large.pod(number).gate("e2e.example/later"))
            .await?;
    }
    for number in 0..16 {
        let open = json!({"spec": {"schedulingGates": []}});
        scene
            .cluster
            .patch_pod(&large.pod_name(number), open)
            .await?;
    }
    let quorum = "minCount (16) cannot be satisfied: 2 scheduled, 13 remaining";
    let texts = [
        (2, "pod group is unschedulable, ", &[quorum][..]),
        (
            1,
            "0/2 nodes are available: 2 Insufficient nvidia.com/gpu.",
            &[],
        ),
        (13, quorum, &[]),
    ];
    scene.expect_texts(&large, "Unschedulable", &texts).await?;
    scene.group_event(&large, "FailedScheduling").await?;
    scene.settle().await?;
    let mut notes = Vec::new();
    for number in 0..16 {
        for event in scene.cluster.events(&large.pod_name(number)).await? {
            if event.reason.as_deref() == Some("FailedScheduling") {
                notes.extend(event.note);
            }
        }
    }
    notes.sort();
    let told = notes.len();
    notes.dedup();
    assert_eq!((told, notes.len()), (3, 3), "{notes:#?}");
    Ok(())
}

/// S44. A name in another namespace, or in another dialect, is the name of another gang.
#[tokio::test]
async fn berth_keeps_gangs_of_one_name_apart() -> Result<()> {
    let scene = Scene::new(gpu_nodes(8, 1)).await?;
    scene.cluster.namespace("other").await?;
    let own = gang("twin", 2, 2, 1);
    let whole = [
        own.clone().namespace("other"),
        own.clone()
            .api(PodGroupApi::SchedulerPlugins)
            .namespace("other"),
    ];
    // In one namespace pods of two dialects need names of their own.
    let mut second = 2;
    for gang in &whole {
        scene.object(gang).await?;
        scene.pods(gang, second..second + 2).await?;
        second += 2;
    }
    let halves = [own.clone(), own.api(PodGroupApi::Volcano)];
    for (number, gang) in halves.iter().enumerate() {
        scene.object(gang).await?;
        scene.pods(gang, number..number + 1).await?;
    }
    for gang in &whole {
        scene.expect_bound(gang, 2).await?;
    }
    for gang in &halves {
        scene.expect_waiting(gang, &["has 1 of 2 pods"]).await?;
        scene.expect_none_bound(gang).await?;
    }
    Ok(())
}
