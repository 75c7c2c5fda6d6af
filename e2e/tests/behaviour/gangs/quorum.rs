//! When a gang may be tried at all.

use anyhow::Result;
use e2e::pod_groups::PodGroupApi;
use serde_json::json;

use super::scene::{OURS, Scene, gang, gpu_node, gpu_nodes};

/// S9. Nothing happens until enough pods exist; then all of them are bound.
#[tokio::test]
async fn a_gang_waits_for_its_last_pod() -> Result<()> {
    let scene = Scene::new(gpu_nodes(4, 1)).await?;
    let four = gang("four", 4, 4, 1);
    scene.object(&four).await?;
    scene.pods(&four, 0..3).await?;
    scene.expect_none_bound(&four).await?;
    scene.pods(&four, 3..4).await?;
    scene.expect_bound(&four, 4).await.map(drop)
}

/// S9. It is told how many are missing, in a way by which autoscalers do not add nodes yet.
#[tokio::test]
async fn berth_tells_how_many_pods_are_missing() -> Result<()> {
    let scene = Scene::new(gpu_nodes(1, 1)).await?;
    let dialects = [
        PodGroupApi::Kubernetes,
        PodGroupApi::SchedulerPlugins,
        PodGroupApi::Volcano,
    ];
    for (name, dialect) in ["kubernetes", "plugins", "volcano"]
        .into_iter()
        .zip(dialects)
    {
        let four = gang(name, 4, 3, 1).api(dialect);
        scene.submit(&four).await?;
        let upstream = "waiting for minCount pods from a gang to appear in scheduling queue";
        scene
            .expect_waiting(&four, &[upstream, "has 3 of 4 pods"])
            .await?;
        let note = scene.group_event(&four, "WaitingForPodGroup").await?;
        assert!(note.contains("has 3 of 4 pods"), "{note}");
        scene.expect_none_bound(&four).await?;
    }
    let four = gang("kubernetes", 4, 3, 1);
    let message = scene
        .expect_condition(&four, "False", "Unschedulable")
        .await?;
    assert!(message.contains("has 3 of 4 pods"), "{message}");
    Ok(())
}

/// S10. Pods whose group does not exist wait for it, and are never placed one by one.
#[tokio::test]
async fn a_gang_waits_for_its_object() -> Result<()> {
    let scene = Scene::new(gpu_nodes(4, 1)).await?;
    let early = gang("early", 2, 3, 1);
    scene.pods(&early, 0..3).await?;
    scene.expect_none_bound(&early).await?;
    scene.object(&early).await?;
    scene.expect_bound(&early, 3).await.map(drop)
}

#[tokio::test]
async fn berth_tells_that_the_object_is_missing() -> Result<()> {
    let scene = Scene::new(gpu_nodes(4, 1)).await?;
    let early = gang("early", 2, 2, 1).api(PodGroupApi::SchedulerPlugins);
    scene.pods(&early, 0..2).await?;
    scene
        .expect_waiting(&early, &["PodGroup default/early not found"])
        .await?;
    scene.expect_none_bound(&early).await?;
    scene.object(&early).await?;
    scene.expect_bound(&early, 2).await.map(drop)
}

/// S11. The object goes while its pods wait, and comes back with a smaller number.
#[tokio::test]
async fn berth_takes_an_object_that_was_made_anew() -> Result<()> {
    for dialect in [PodGroupApi::Kubernetes, PodGroupApi::SchedulerPlugins] {
        let scene = Scene::new(gpu_nodes(4, 1)).await?;
        let again = gang("again", 4, 3, 1).api(dialect);
        scene.submit(&again).await?;
        scene.expect_waiting(&again, &["has 3 of 4 pods"]).await?;
        scene.cluster.delete_object(&again.object()).await?;
        scene
            .expect_waiting(&again, &["PodGroup default/again not found"])
            .await?;
        scene.expect_none_bound(&again).await?;
        scene.object(&again.clone().min(3)).await?;
        scene.expect_bound(&again, 3).await?;
    }
    Ok(())
}

/// S13. A larger number asks for a quorum again, and the pods that run count for it.
#[tokio::test]
async fn berth_asks_for_a_larger_quorum() -> Result<()> {
    let scene = Scene::new([gpu_node("n0", 4)]).await?;
    let growing = gang("growing", 4, 5, 1);
    scene.submit(&growing).await?;
    scene.expect_bound(&growing, 4).await?;
    scene.set_min(&growing, 6).await?;
    scene.expect_waiting(&growing, &["has 5 of 6 pods"]).await?;
    scene.pods(&growing, 5..6).await?;
    scene.cluster.create_nodes([gpu_node("n1", 1)]).await?;
    let quorum = "minCount (6) cannot be satisfied: 5 scheduled, 0 remaining";
    let texts = [
        (1, "pod group is unschedulable, ", &[quorum][..]),
        (
            1,
            "0/2 nodes are available: 2 Insufficient nvidia.com/gpu.",
            &[],
        ),
    ];
    scene
        .expect_texts(&growing, "Unschedulable", &texts)
        .await?;
    scene.expect_bound(&growing, 4).await?;
    scene.cluster.create_nodes([gpu_node("n2", 1)]).await?;
    scene.expect_bound(&growing, 6).await.map(drop)
}

/// S14. A smaller number is heeded at once.
#[tokio::test]
async fn a_smaller_quorum_is_enough() -> Result<()> {
    let scene = Scene::new([gpu_node("n0", 4)]).await?;
    let shrinking = gang("shrinking", 6, 6, 1);
    scene.submit(&shrinking).await?;
    scene.expect_none_bound(&shrinking).await?;
    scene.set_min(&shrinking, 4).await?;
    scene.expect_bound(&shrinking, 4).await.map(drop)
}

/// S28. Pods that are held by gates do not count, and do not hold the others when those are enough.
#[tokio::test]
async fn berth_places_a_gang_without_its_gated_pods() -> Result<()> {
    let scene = Scene::new([gpu_node("n0", 8)]).await?;
    let gated = gang("gated", 4, 4, 1);
    scene.object(&gated).await?;
    scene.pods(&gated, 0..2).await?;
    for number in 2..4 {
        scene
            .cluster
            .pod(gated.pod(number).gate("kueue.x-k8s.io/admission"))
            .await?;
    }
    scene
        .expect_waiting(&gated, &["2 members are scheduling-gated"])
        .await?;
    scene.expect_none_bound(&gated).await?;
    scene.set_min(&gated, 2).await?;
    scene.expect_bound(&gated, 2).await?;
    let open = json!({"spec": {"schedulingGates": []}});
    scene.cluster.patch_pod("gated-2", open).await?;
    scene.expect_bound(&gated, 3).await.map(drop)
}

/// S43. A gang whose pods are for two schedulers is refused, until it is of one mind.
#[tokio::test]
async fn berth_refuses_a_gang_of_two_schedulers() -> Result<()> {
    let scene = Scene::new([gpu_node("n0", 8)]).await?;
    let mixed = gang("mixed", 4, 5, 1);
    scene.object(&mixed).await?;
    scene
        .cluster
        .pod(mixed.pod(4).scheduler("other-scheduler"))
        .await?;
    scene.pods(&mixed, 0..4).await?;
    let text = format!(
        "all pods in a single pod group should have the same .spec.schedulerName set, got: {OURS:?} and \"other-scheduler\""
    );
    scene
        .expect_texts(&mixed, "SchedulerError", &[(4, &text, &[])])
        .await?;
    let message = scene
        .expect_condition(&mixed, "False", "SchedulerError")
        .await?;
    assert!(message.contains(&text), "{message}");
    scene.expect_bound(&mixed, 0).await?;
    scene.cluster.delete_pod("mixed-4").await?;
    scene.expect_bound(&mixed, 4).await.map(drop)
}

/// S43. The same with two priorities.
#[tokio::test]
async fn berth_refuses_a_gang_of_two_priorities() -> Result<()> {
    let scene = Scene::new([gpu_node("n0", 8)]).await?;
    scene.cluster.priority_class("high", 1000).await?;
    let mixed = gang("mixed", 4, 5, 1).api(PodGroupApi::SchedulerPlugins);
    scene.object(&mixed).await?;
    scene
        .cluster
        .pod(mixed.pod(4).priority_class("high"))
        .await?;
    scene.pods(&mixed, 0..4).await?;
    let text = "all pods in a single pod group should have the same priority as the pod group's priority, got 1000 and 0";
    scene
        .expect_texts(&mixed, "SchedulerError", &[(5, text, &[])])
        .await?;
    scene.expect_none_bound(&mixed).await?;
    scene.cluster.delete_pod("mixed-4").await?;
    scene.expect_bound(&mixed, 4).await.map(drop)
}

/// S50. How long a gang may wait changes nothing but that it is said once that it waits longer.
#[tokio::test]
async fn berth_tells_that_a_gang_is_overdue() -> Result<()> {
    let scene = Scene::new([gpu_node("n0", 1)]).await?;
    let with = |name, timeout| {
        gang(name, 2, 2, 1)
            .api(PodGroupApi::SchedulerPlugins)
            .more(json!({"spec": {"scheduleTimeoutSeconds": timeout}}))
    };
    let (absent, zero, soon) = (
        gang("absent", 2, 2, 1).api(PodGroupApi::SchedulerPlugins),
        with("zero", 0),
        with("soon", 1),
    );
    for gang in [&absent, &zero, &soon] {
        scene.submit(gang).await?;
    }
    scene.group_event(&soon, "GangOverdue").await?;
    for gang in [&absent, &zero] {
        let events = scene.group_events(gang).await?;
        let overdue = events
            .iter()
            .find(|event| event.reason.as_deref() == Some("GangOverdue"));
        assert!(overdue.is_none(), "{overdue:?}");
        scene.expect_none_bound(gang).await?;
    }
    scene.expect_none_bound(&soon).await?;
    scene.cluster.create_nodes([gpu_node("n1", 5)]).await?;
    for gang in [&absent, &zero, &soon] {
        scene.expect_bound(gang, 2).await?;
    }
    let events = scene.group_events(&soon).await?;
    let overdue = events
        .iter()
        .filter(|event| event.reason.as_deref() == Some("GangOverdue"));
    assert_eq!(overdue.count(), 1);
    Ok(())
}

/// A group of the policy `basic` is no gang.
#[tokio::test]
async fn a_basic_group_is_placed_as_far_as_it_fits() -> Result<()> {
    let scene = Scene::new([gpu_node("n0", 2)]).await?;
    let basic = gang("basic", 1, 3, 1);
    let mut object = basic.object();
    object["spec"]["schedulingPolicy"] = json!({"basic": {}});
    scene.cluster.create_object(&object).await?;
    scene.pods(&basic, 0..3).await?;
    scene.expect_bound(&basic, 2).await.map(drop)
}
