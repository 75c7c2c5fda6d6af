//! Pods with claims: near their volumes, and why not.

use anyhow::Result;
use e2e::harness::{Cluster, scheduled_condition};
use e2e::objects::{bound_claim, node, pod, unbound_claim, volume};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

const ZONE: &str = "topology.kubernetes.io/zone";

struct Storage {
    claims: Api<PersistentVolumeClaim>,
    volumes: Api<PersistentVolume>,
    classes: Api<StorageClass>,
}

impl Storage {
    fn of(cluster: &Cluster) -> Self {
        Self {
            claims: Api::namespaced(cluster.client(), "default"),
            volumes: Api::all(cluster.client()),
            classes: Api::all(cluster.client()),
        }
    }

    async fn claim(&self, claim: Value) -> Result<()> {
        let claim = serde_json::from_value(claim)?;
        self.claims.create(&PostParams::default(), &claim).await?;
        Ok(())
    }

    async fn volume(&self, volume: Value) -> Result<()> {
        let volume = serde_json::from_value(volume)?;
        self.volumes.create(&PostParams::default(), &volume).await?;
        Ok(())
    }

    async fn class(&self, name: &str, mode: &str) -> Result<()> {
        let class = json!({
            "metadata": {"name": name}, "provisioner": "disks.example", "volumeBindingMode": mode,
        });
        let class = serde_json::from_value(class)?;
        self.classes.create(&PostParams::default(), &class).await?;
        Ok(())
    }

    async fn patch_claim(&self, name: &str, patch: Value) -> Result<()> {
        let patch = Patch::Merge(patch);
        let parameters = PatchParams::default();
        self.claims.patch(name, &parameters, &patch).await?;
        Ok(())
    }
}

/// Two nodes in zones a and b, and the scheduler.
async fn cluster() -> Result<(Cluster, Storage)> {
    let mut cluster = Cluster::new().await?;
    for (name, zone) in [("n1", "a"), ("n2", "b")] {
        cluster.node(node(name).label(ZONE, zone)).await?;
    }
    cluster.start_scheduler().await?;
    let storage = Storage::of(&cluster);
    Ok((cluster, storage))
}

/// Waits until the pod is refused with this text. It may be tried before its claim was seen, and is tried again then.
async fn refused(cluster: &Cluster, pod: &str, text: &str) -> Result<()> {
    let is_told = |pod: &Pod| {
        let message = scheduled_condition(pod)?.message.as_deref()?;
        // The stray words of `messages.rs`.
        let bare = message.strip_suffix(". not found");
        let told = message == text || bare.is_some_and(|bare| format!("{bare}.") == text);
        told.then_some(())
    };
    (cluster.wait_pod(pod, &format!("refused with {text:?}"), is_told)).await
}

#[tokio::test]
async fn the_pod_goes_where_its_volume_is() -> Result<()> {
    let (cluster, storage) = cluster().await?;
    for (name, on) in [("one", "n1"), ("two", "n2")] {
        let terms = [("kubernetes.io/hostname", "In", &[on, "gone"][..])];
        storage.volume(volume(name, &terms)).await?;
        storage
            .claim(bound_claim(name, name, "ReadWriteMany"))
            .await?;
        for number in 0..3 {
            let pod = pod(&format!("{name}-{number}")).claim(name);
            cluster.pod(pod).await?;
        }
    }
    for number in 0..3 {
        assert_eq!(cluster.wait_bound(&format!("one-{number}")).await?, "n1");
        assert_eq!(cluster.wait_bound(&format!("two-{number}")).await?, "n2");
    }
    cluster.pod(pod("torn").claim("one").claim("two")).await?;
    refused(
        &cluster,
        "torn",
        "0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity. \
         preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
    )
    .await?;
    Ok(())
}

#[tokio::test]
async fn the_pod_waits_for_its_claim_to_be_bound() -> Result<()> {
    let (cluster, storage) = cluster().await?;
    cluster.pod(pod("p").claim("data")).await?;
    let message = "0/2 nodes are available: persistentvolumeclaim \"data\" not found.";
    refused(&cluster, "p", message).await?;
    storage
        .claim(unbound_claim("data", "", "ReadWriteMany"))
        .await?;
    let message = "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.";
    refused(&cluster, "p", message).await?;
    // What the controller does, in its order.
    storage
        .volume(volume("disk", &[(ZONE, "In", &["b"])]))
        .await?;
    let bound = json!({
        "metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {"volumeName": "disk"},
    });
    storage.patch_claim("data", bound).await?;
    assert_eq!(cluster.wait_bound("p").await?, "n2");
    Ok(())
}

#[tokio::test]
async fn the_pod_waits_for_its_volume() -> Result<()> {
    let (cluster, storage) = cluster().await?;
    storage
        .claim(bound_claim("data", "disk", "ReadWriteMany"))
        .await?;
    cluster.pod(pod("p").claim("data")).await?;
    let message = "0/2 nodes are available: persistentvolume \"disk\" not found.";
    refused(&cluster, "p", message).await?;
    storage
        .volume(volume("disk", &[(ZONE, "In", &["a"])]))
        .await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    Ok(())
}

#[tokio::test]
async fn the_pod_goes_to_the_zone_of_its_volume() -> Result<()> {
    let (cluster, storage) = cluster().await?;
    for (name, zone) in [("near", "b"), ("far", "c")] {
        let mut volume = volume(name, &[]);
        volume["metadata"]["labels"][ZONE] = json!(zone);
        storage.volume(volume).await?;
        storage
            .claim(bound_claim(name, name, "ReadWriteMany"))
            .await?;
        cluster.pod(pod(name).claim(name)).await?;
    }
    assert_eq!(cluster.wait_bound("near").await?, "n2");
    refused(
        &cluster,
        "far",
        "0/2 nodes are available: 2 node(s) had no available volume zone. \
         preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
    )
    .await?;
    cluster
        .patch_node("n1", json!({"metadata": {"labels": {ZONE: "c"}}}))
        .await?;
    assert_eq!(cluster.wait_bound("far").await?, "n1");
    Ok(())
}

#[tokio::test]
async fn a_claim_for_one_pod_is_used_by_one() -> Result<()> {
    let (cluster, storage) = cluster().await?;
    storage.volume(volume("disk", &[])).await?;
    storage
        .claim(bound_claim("data", "disk", "ReadWriteOncePod"))
        .await?;
    cluster.pod(pod("first").claim("data")).await?;
    cluster.wait_bound("first").await?;
    cluster.pod(pod("second").claim("data")).await?;
    refused(&cluster, "second",
        "0/2 nodes are available: 2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access \
         mode already in-use by another pod. preemption: 0/2 nodes are available: 2 No preemption victims found for \
         incoming pod.")
.await?;
    cluster.delete_pod("first").await?;
    cluster.wait_bound("second").await?;
    Ok(())
}

#[tokio::test]
async fn a_claim_that_is_made_for_the_pod() -> Result<()> {
    let (cluster, storage) = cluster().await?;
    storage
        .volume(volume("disk", &[(ZONE, "In", &["b"])]))
        .await?;
    let template = unbound_claim("", "", "ReadWriteOnce")["spec"].clone();
    let volumes =
        json!([{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": template}}}]);
    let made = cluster.pod(pod("p").spec("volumes", volumes)).await?;
    refused(&cluster, "p",
        "0/2 nodes are available: waiting for ephemeral volume controller to create the persistentvolumeclaim \
         \"p-scratch\".")
.await?;
    let mut claim = bound_claim("p-scratch", "disk", "ReadWriteOnce");
    storage.claim(claim.clone()).await?;
    let foreign = "0/2 nodes are available: PVC default/p-scratch was not created for pod default/p (pod is not owner).";
    refused(&cluster, "p", foreign).await?;
    storage
        .claims
        .delete("p-scratch", &DeleteParams::default())
        .await?;
    claim["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": made.metadata.uid, "controller": true,
    }]);
    storage.claim(claim).await?;
    assert_eq!(cluster.wait_bound("p").await?, "n2");
    Ok(())
}

#[tokio::test]
async fn berth_refuses_claims_that_wait_for_their_first_consumer() -> Result<()> {
    let (cluster, storage) = cluster().await?;
    storage.class("waits", "WaitForFirstConsumer").await?;
    storage
        .claim(unbound_claim("data", "waits", "ReadWriteOnce"))
        .await?;
    cluster.pod(pod("p").claim("data")).await?;
    refused(&cluster, "p",
        "0/2 nodes are available: this version of Berth does not support volumes that need binding: \
         persistentvolumeclaim \"data\" waits for its first consumer.")
.await?;
    // Who else binds it helps.
    storage
        .volume(volume("disk", &[(ZONE, "In", &["b"])]))
        .await?;
    let bound = json!({
        "metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {"volumeName": "disk"},
    });
    storage.patch_claim("data", bound).await?;
    assert_eq!(cluster.wait_bound("p").await?, "n2");
    Ok(())
}
