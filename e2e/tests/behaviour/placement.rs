//! Which node a pod gets, and which pods get one.

use anyhow::Result;
use e2e::controlplane::SchedulerOptions;
use e2e::harness::{Cluster, NAME};
use e2e::objects::{node, pod, preferred_node_affinity};
use serde_json::json;

#[tokio::test]
async fn the_emptiest_node_wins() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster
        .create_nodes([node("full"), node("empty"), node("half")])
        .await?;
    let filler = pod("filler").request("cpu", "3").request("memory", "12Gi");
    cluster.pod_on(filler, "full").await?;
    let filler = pod("half-filler")
        .request("cpu", "2")
        .request("memory", "8Gi");
    cluster.pod_on(filler, "half").await?;
    cluster.start_scheduler().await?;
    cluster
        .pod(pod("p").request("cpu", "500m").request("memory", "2Gi"))
        .await?;
    assert_eq!(cluster.wait_bound("p").await?, "empty");
    Ok(())
}

/// Both nodes have the same mean of free room; the pod evens out the use of one and skews that of the other.
#[tokio::test]
async fn the_node_that_becomes_more_balanced_wins() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    let ten = |name| node(name).capacity("cpu", "10").capacity("memory", "10Gi");
    cluster
        .create_nodes([ten("much-cpu-used"), ten("much-memory-used")])
        .await?;
    let filler = pod("x").request("cpu", "6").request("memory", "2Gi");
    cluster.pod_on(filler, "much-cpu-used").await?;
    let filler = pod("y").request("cpu", "2").request("memory", "6Gi");
    cluster.pod_on(filler, "much-memory-used").await?;
    cluster.start_scheduler().await?;
    cluster
        .pod(pod("p").request("cpu", "1").request("memory", "100Mi"))
        .await?;
    assert_eq!(cluster.wait_bound("p").await?, "much-memory-used");
    Ok(())
}

#[tokio::test]
async fn a_preferred_taint_loses_against_an_untainted_node() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster
        .create_nodes([
            node("tainted").taint("k", "v", "PreferNoSchedule"),
            node("clean"),
        ])
        .await?;
    let filler = pod("filler").request("cpu", "2").request("memory", "8Gi");
    cluster.pod_on(filler, "clean").await?;
    cluster.start_scheduler().await?;
    cluster.pod(pod("p").request("cpu", "1")).await?;
    assert_eq!(cluster.wait_bound("p").await?, "clean");
    // The one that tolerates the taint sees only that the other node is emptier.
    let toleration = json!({"key": "k", "operator": "Exists", "effect": "PreferNoSchedule"});
    cluster
        .pod(pod("q").request("cpu", "1").toleration(toleration))
        .await?;
    assert_eq!(cluster.wait_bound("q").await?, "tainted");
    Ok(())
}

#[tokio::test]
async fn preferred_node_affinity_draws_a_pod() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster
        .create_nodes([
            node("plain"),
            node("ssd").label("disk", "ssd"),
            node("other"),
        ])
        .await?;
    let filler = pod("filler").request("cpu", "2").request("memory", "8Gi");
    cluster.pod_on(filler, "ssd").await?;
    cluster.start_scheduler().await?;
    let drawn = pod("p")
        .request("cpu", "100m")
        .affinity(preferred_node_affinity(100, "disk", "ssd"));
    cluster.pod(drawn).await?;
    assert_eq!(cluster.wait_bound("p").await?, "ssd");
    Ok(())
}

#[tokio::test]
async fn the_node_that_has_the_image_wins() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    let image = "model-server:v1";
    cluster
        .create_nodes([
            node("n1"),
            node("n2").image(image, 900 * 1024 * 1024),
            node("n3"),
        ])
        .await?;
    cluster.start_scheduler().await?;
    cluster
        .pod(pod("p").request("cpu", "100m").image(image))
        .await?;
    assert_eq!(cluster.wait_bound("p").await?, "n2");
    Ok(())
}

#[tokio::test]
async fn a_node_is_chosen_by_selector_affinity_and_toleration() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster
        .create_nodes([
            node("n1").label("zone", "a"),
            node("n2").label("zone", "b").label("generation", "7"),
            node("n3")
                .label("zone", "b")
                .label("generation", "5")
                .taint("gpu", "yes", "NoSchedule"),
        ])
        .await?;
    cluster.start_scheduler().await?;
    cluster.pod(pod("selector").selector("zone", "a")).await?;
    assert_eq!(cluster.wait_bound("selector").await?, "n1");

    let newer = e2e::objects::required_node_affinity(&[
        ("zone", "NotIn", &["a"]),
        ("generation", "Gt", &["6"]),
    ]);
    cluster.pod(pod("affinity").affinity(newer)).await?;
    assert_eq!(cluster.wait_bound("affinity").await?, "n2");

    let older = e2e::objects::required_node_affinity(&[("generation", "Lt", &["6"])]);
    let toleration = json!({"key": "gpu", "operator": "Equal", "value": "yes"});
    cluster
        .pod(pod("toleration").affinity(older).toleration(toleration))
        .await?;
    assert_eq!(cluster.wait_bound("toleration").await?, "n3");

    let by_name = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]}],
    }}});
    cluster.pod(pod("field").affinity(by_name)).await?;
    assert_eq!(cluster.wait_bound("field").await?, "n2");
    Ok(())
}

#[tokio::test]
async fn pods_spread_over_equal_nodes() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster
        .create_nodes((0..4).map(|i| node(&format!("n{i}"))))
        .await?;
    cluster.start_scheduler().await?;
    for i in 0..8 {
        let name = format!("p{i}");
        cluster
            .pod(
                pod(&name)
                    .label("app", "spread")
                    .request("cpu", "1")
                    .request("memory", "4Gi"),
            )
            .await?;
    }
    let pods = cluster.wait_all_bound("app=spread", 8).await?;
    for i in 0..4 {
        let name = format!("n{i}");
        let count = pods
            .iter()
            .filter(|pod| e2e::harness::node_of(pod) == Some(&name))
            .count();
        assert_eq!(count, 2, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn only_pods_with_our_scheduler_name_are_touched() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.node(node("n1")).await?;
    cluster.start_scheduler().await?;
    cluster.pod(pod("theirs").scheduler("someone-else")).await?;
    let impossible = pod("theirs-too")
        .scheduler("default-scheduler")
        .selector("no", "where");
    cluster.pod(impossible).await?;
    cluster.pod(pod("ours")).await?;
    cluster.wait_bound("ours").await?;
    cluster.wait_event("ours", "Scheduled").await?;
    cluster.check_untouched("theirs").await?;
    cluster.check_untouched("theirs-too").await
}

#[tokio::test]
async fn one_process_serves_several_scheduler_names() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.node(node("n1")).await?;
    cluster.start_scheduler_as(&[NAME, "e2e-second"]).await?;
    cluster.pod(pod("theirs").scheduler("e2e-third")).await?;
    for (name, scheduler) in [("first", NAME), ("second", "e2e-second")] {
        cluster.pod(pod(name).scheduler(scheduler)).await?;
        assert_eq!(cluster.wait_bound(name).await?, "n1");
        let event = cluster.wait_event(name, "Scheduled").await?;
        assert_eq!(event.reporting_controller.as_deref(), Some(scheduler));
    }
    cluster.check_untouched("theirs").await
}

#[tokio::test]
async fn pods_of_all_namespaces_are_placed() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster
        .create_nodes([node("n1").capacity("cpu", "1")])
        .await?;
    cluster.namespace("team-a").await?;
    cluster.start_scheduler().await?;
    let team = pod("p").namespace("team-a").request("cpu", "600m");
    cluster.pod(team).await?;
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
        kube::Api::namespaced(cluster.client(), "team-a");
    cluster
        .eventually("node for team-a/p", async || {
            Ok(e2e::harness::node_of(&pods.get("p").await?).map(str::to_owned))
        })
        .await?;
    // A pod of the same name elsewhere is another pod, and sees the room that the first one took.
    cluster.pod(pod("p").request("cpu", "600m")).await?;
    cluster
        .wait_message(
            "p",
            "0/1 nodes are available: 1 Insufficient cpu. \
             preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
        )
        .await?;
    Ok(())
}

/// What Kubernetes allows to kube-scheduler is enough to place and to refuse pods, with all that is recorded of it.
#[tokio::test]
async fn the_rights_of_kube_scheduler_are_enough() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.node(node("n1")).await?;
    let options = SchedulerOptions {
        kubeconfig: Some(cluster.control_plane().scheduler_kubeconfig()),
        ..SchedulerOptions::default()
    };
    cluster.start_scheduler_with(&[NAME], options).await?;
    cluster.pod(pod("p")).await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    cluster.wait_event("p", "Scheduled").await?;
    cluster.pod(pod("q").selector("no", "where")).await?;
    cluster.wait_unschedulable("q").await?;
    cluster.wait_event("q", "FailedScheduling").await?;
    Ok(())
}

/// Of pods that wait together the one of the highest priority comes first, then the one that came first.
#[tokio::test]
async fn priority_and_age_decide_who_comes_first() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    let small = |name| node(name).capacity("pods", "1");
    cluster.create_nodes([small("n1"), small("n2")]).await?;
    for (name, value) in [("low", 10), ("middle", 100), ("high", 1000)] {
        cluster.priority_class(name, value).await?;
    }
    for (name, class) in [
        ("a", "low"),
        ("b", "middle"),
        ("c", "middle"),
        ("d", "high"),
        ("e", "low"),
    ] {
        cluster.pod(pod(name).priority_class(class)).await?;
    }
    cluster.start_scheduler().await?;
    for name in ["b", "d"] {
        cluster.wait_bound(name).await?;
    }
    for name in ["a", "c", "e"] {
        cluster.wait_unschedulable(name).await?;
    }
    Ok(())
}
