//! Gangs that make room for themselves, and schedulers that begin anew meanwhile.

use anyhow::Result;
use e2e::objects::pod;
use e2e::pod_groups::PodGroupApi;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::scene::{GPU, Gang, Scene, gang, gpu_nodes};

/// How a victim is kept from going at once.
#[derive(Debug, Clone, Copy)]
enum Stays {
    /// By its grace: no kubelet cuts that short.
    Grace,
    Finalizer,
}

fn leaves(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

fn nomination(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.nominated_node_name.as_deref()
}

/// Every pod that was evicted, as events and conditions tell.
async fn evicted(scene: &Scene) -> Result<Vec<String>> {
    let pods = scene.cluster.pods().list(&Default::default()).await?;
    let marked = |pod: &Pod| {
        let conditions = pod
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref());
        let mut conditions = conditions.into_iter().flatten();
        leaves(pod) || conditions.any(|condition| condition.type_ == "DisruptionTarget")
    };
    let names = pods.items.into_iter().filter(marked);
    let mut names: Vec<String> = names.filter_map(|pod| pod.metadata.name).collect();
    names.sort();
    Ok(names)
}

/// The gang's pods, of a high priority.
async fn submit(scene: &Scene, gang: &Gang) -> Result<()> {
    scene.object(gang).await?;
    for number in 0..gang.pods {
        let pod = gang.pod(number).priority_class("high");
        scene.cluster.pod(pod).await?;
    }
    Ok(())
}

/// Berth begins anew between the nomination of a gang and its binds. The room is kept for the gang, nobody else is
/// evicted for it, and it is bound whole when its victims are gone.
async fn restart_between_nomination_and_bind(
    api: PodGroupApi,
    more: Value,
    stays: Stays,
) -> Result<()> {
    let mut scene = Scene::new(gpu_nodes(3, 2)).await?;
    scene.cluster.priority_class("low", 10).await?;
    scene.cluster.priority_class("high", 1000).await?;
    // On the last node are others that could be evicted as well, but for more.
    for (number, node, gpus) in [(0, "n0", 2), (1, "n1", 2), (2, "n2", 1), (3, "n2", 1)] {
        let mut low = pod(&format!("low-{number}"))
            .request(GPU, &gpus.to_string())
            .priority_class("low");
        if let Stays::Finalizer = stays {
            low = low.metadata("finalizers", json!(["example.com/keep"]));
        }
        scene.cluster.pod_on(low, node).await?;
    }
    let high = gang("high", 4, 4, 1).api(api).more(more);
    submit(&scene, &high).await?;
    let victims = ["low-0", "low-1"];
    let nominated = async || {
        let members = scene.members(&high).await?;
        let all = members.values().all(|pod| nomination(pod).is_some());
        Ok((all && evicted(&scene).await? == victims).then_some(()))
    };
    (scene.cluster)
        .eventually(
            "nominations of all members, and victims that leave",
            nominated,
        )
        .await?;
    scene.cluster.take_scheduler()?.kill();
    // While nobody looks one of the two goes, and somebody comes for whom there would be room then.
    release(&scene, "low-0", stays).await?;
    let rival = pod("rival").request(GPU, "1").priority_class("low");
    scene.cluster.pod(rival).await?;
    scene.cluster.start_scheduler().await?;
    scene.cluster.wait_unschedulable("rival").await?;
    scene.expect_bound(&high, 0).await?;
    assert_eq!(evicted(&scene).await?, ["low-1"], "{api:?}, {stays:?}");
    release(&scene, "low-1", stays).await?;
    let nodes = scene.expect_bound(&high, 4).await?;
    assert!(nodes.values().all(|node| node != "n2"), "{nodes:?}");
    assert_eq!(
        evicted(&scene).await?,
        Vec::<String>::new(),
        "{api:?}, {stays:?}"
    );
    Ok(())
}

/// A victim goes at last.
async fn release(scene: &Scene, victim: &str, stays: Stays) -> Result<()> {
    if let Stays::Finalizer = stays {
        // Without a kubelet its grace has to be cut short as well.
        let now = DeleteParams::default().grace_period(0);
        scene.cluster.pods().delete(victim, &now).await?;
        let released = json!({"metadata": {"finalizers": null}});
        scene.cluster.patch_pod(victim, released).await?;
        return Ok(());
    }
    scene.cluster.delete_pod(victim).await
}

#[tokio::test]
async fn berth_begins_anew_while_victims_have_a_finalizer() -> Result<()> {
    let more = json!({"spec": {"priorityClassName": "high"}});
    restart_between_nomination_and_bind(PodGroupApi::Kubernetes, more, Stays::Finalizer).await
}

#[tokio::test]
async fn berth_begins_anew_in_the_grace_of_victims() -> Result<()> {
    let api = PodGroupApi::SchedulerPlugins;
    restart_between_nomination_and_bind(api, json!({}), Stays::Grace).await
}
