//! Control planes that tests take turns with, since starting one takes seconds and emptying one does not.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use futures::future::try_join_all;
use http::{Method, Request};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::coordination::v1::Lease as LeaderLease;
use k8s_openapi::api::core::v1::{
    Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, ResourceQuota, Service,
};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::resource::v1::ResourceClaim;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::pod_groups::{self, PodGroupApi};
use crate::{ControlPlane, Options};

/// As many control planes run at once as a small machine can carry.
const SIZE: usize = 2;

/// Waits for the right to run a control plane outside the pool; it lasts until the value is dropped.
pub async fn permit() -> Result<SemaphorePermit<'static>> {
    let permit = PERMITS.acquire().await?;
    // One that waits for its next test would be one too many now.
    let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    drop(idle);
    Ok(permit)
}

static PERMITS: Semaphore = Semaphore::const_new(SIZE);
static IDLE: Mutex<Vec<ControlPlane>> = Mutex::new(Vec::new());

/// What the control planes that are used again and again have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Equipment {
    /// What every cluster has.
    Plain,
    /// PodGroups of three APIs.
    PodGroups,
}

impl Equipment {
    fn of(control_plane: &ControlPlane) -> Self {
        match control_plane.options().feature_gates {
            None => Self::Plain,
            Some(_) => Self::PodGroups,
        }
    }

    /// One that waits for its next test. When there are only others, one of them ends to make room.
    fn idle(self) -> Option<ControlPlane> {
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = |control_plane: &ControlPlane| Self::of(control_plane) == self;
        match idle.iter().position(fitting) {
            Some(place) => Some(idle.swap_remove(place)),
            None => {
                idle.pop();
                None
            }
        }
    }

    async fn start(self) -> Result<ControlPlane> {
        let mut options = Options::default();
        if self == Self::PodGroups {
            options = options.with_pod_groups();
        }
        let control_plane = ControlPlane::start(options).await?;
        if self == Self::PodGroups {
            for api in PodGroupApi::CUSTOM {
                api.install(&control_plane)?;
                api.wait_until_served(&control_plane.client()?).await?;
            }
        }
        Ok(control_plane)
    }
}

/// A control plane with nothing in it, for one test. It can be used by the next test when this value is dropped.
#[derive(Debug)]
pub struct Lease {
    control_plane: Option<ControlPlane>,
    reusable: bool,
    // Given back last.
    _permit: SemaphorePermit<'static>,
}

impl Lease {
    /// Waits for a control plane that no other test uses.
    pub async fn take() -> Result<Self> {
        Self::acquire(true).await
    }

    /// Like [`Lease::take`], for tests that disrupt the control plane: nobody uses it afterwards.
    pub async fn take_for_disruption() -> Result<Self> {
        Self::acquire(false).await
    }

    /// Waits for a turn and starts a control plane with these options: nobody uses it afterwards.
    pub async fn take_with(options: Options) -> Result<Self> {
        let permit = permit().await?;
        Ok(Self {
            control_plane: Some(ControlPlane::start(options).await?),
            reusable: false,
            _permit: permit,
        })
    }

    /// Waits for two control planes at once, as tests that took one after the other could wait for each other.
    pub async fn take_pair() -> Result<[Self; 2]> {
        let mut both = PERMITS.acquire_many(2).await?;
        let one = both.split(1).context("there are two permits")?;
        Ok([
            Self::prepare(one, Equipment::Plain, true).await?,
            Self::prepare(both, Equipment::Plain, true).await?,
        ])
    }

    /// Like [`Lease::take`], of one that has PodGroups of Kubernetes, of scheduler-plugins and of Volcano.
    pub async fn take_with_pod_groups() -> Result<Self> {
        Self::prepare(PERMITS.acquire().await?, Equipment::PodGroups, true).await
    }

    async fn acquire(reusable: bool) -> Result<Self> {
        Self::prepare(PERMITS.acquire().await?, Equipment::Plain, reusable).await
    }

    async fn prepare(
        permit: SemaphorePermit<'static>,
        equipment: Equipment,
        reusable: bool,
    ) -> Result<Self> {
        // Tests that failed have left their objects too, so a control plane is emptied by whoever takes it.
        let idle = equipment.idle();
        let control_plane = match idle {
            Some(control_plane) => {
                empty(&control_plane.client()?)
                    .await
                    .context("cannot empty the control plane of an earlier test")?;
                control_plane
            }
            None => equipment.start().await?,
        };
        Ok(Self {
            control_plane: Some(control_plane),
            reusable,
            _permit: permit,
        })
    }
}

impl Deref for Lease {
    type Target = ControlPlane;

    #[expect(clippy::expect_used, reason = "it is only taken out by drop")]
    fn deref(&self) -> &ControlPlane {
        self.control_plane.as_ref().expect("held until dropped")
    }
}

impl DerefMut for Lease {
    #[expect(clippy::expect_used, reason = "it is only taken out by drop")]
    fn deref_mut(&mut self) -> &mut ControlPlane {
        self.control_plane.as_mut().expect("held until dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(control_plane) = self.control_plane.take()
            && self.reusable
        {
            IDLE.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(control_plane);
        }
    }
}

/// Deletes everything that a test may have made, without any grace.
pub async fn empty(client: &Client) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let names: Vec<String> = namespaces
        .list(&ListParams::default())
        .await?
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    try_join_all(names.iter().map(|name| empty_namespace(client, name))).await?;
    let extra = names
        .iter()
        .filter(|name| *name != "default" && !name.starts_with("kube-"));
    try_join_all(extra.map(|name| remove_namespace(client, name))).await?;

    pod_groups::delete_all(client).await?;
    delete_all::<Node>(&Api::all(client.clone())).await?;
    delete_all::<PersistentVolume>(&Api::all(client.clone())).await?;
    delete_all::<StorageClass>(&Api::all(client.clone())).await?;
    delete_all::<RuntimeClass>(&Api::all(client.clone())).await?;
    let classes: Api<PriorityClass> = Api::all(client.clone());
    for class in classes.list(&ListParams::default()).await? {
        if !class.name_any().starts_with("system-") {
            classes
                .delete(&class.name_any(), &DeleteParams::default())
                .await?;
        }
    }
    Ok(())
}

async fn empty_namespace(client: &Client, name: &str) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), name);
    delete_all(&pods).await?;
    for held in pods.list_metadata(&ListParams::default()).await? {
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        pods.patch_metadata(&held.name_any(), &PatchParams::default(), &patch)
            .await?;
    }
    delete_all::<PersistentVolumeClaim>(&Api::namespaced(client.clone(), name)).await?;
    delete_all::<PodDisruptionBudget>(&Api::namespaced(client.clone(), name)).await?;
    delete_all::<ResourceClaim>(&Api::namespaced(client.clone(), name)).await?;
    delete_all::<ResourceQuota>(&Api::namespaced(client.clone(), name)).await?;
    delete_all::<ReplicaSet>(&Api::namespaced(client.clone(), name)).await?;
    delete_all::<Event>(&Api::namespaced(client.clone(), name)).await?;
    let services: Api<Service> = Api::namespaced(client.clone(), name);
    for service in services.list_metadata(&ListParams::default()).await? {
        // The API server keeps one of itself.
        if service.name_any() != "kubernetes" {
            services
                .delete(&service.name_any(), &DeleteParams::default())
                .await?;
        }
    }
    let leases: Api<LeaderLease> = Api::namespaced(client.clone(), name);
    for lease in leases.list(&ListParams::default()).await? {
        // The API server keeps one for itself.
        if !lease.name_any().starts_with("apiserver-") {
            leases
                .delete(&lease.name_any(), &DeleteParams::default())
                .await?;
        }
    }
    Ok(())
}

/// Deletes a namespace in the place of the controller that does not run.
async fn remove_namespace(client: &Client, name: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.delete(name, &DeleteParams::default()).await?;
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {"finalizers": []}});
    let request = Request::builder()
        .method(Method::PUT)
        .uri(format!("/api/v1/namespaces/{name}/finalize"))
        .header("Content-Type", "application/json")
        .body(serde_json::to_vec(&body)?)?;
    client.request_text(request).await?;
    Ok(())
}

async fn delete_all<K>(api: &Api<K>) -> Result<()>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    // Deleting costs much more than looking, and most kinds have no objects.
    if api
        .list_metadata(&ListParams::default().limit(1))
        .await?
        .items
        .is_empty()
    {
        return Ok(());
    }
    let parameters = DeleteParams {
        grace_period_seconds: Some(0),
        ..DeleteParams::default()
    };
    api.delete_collection(&parameters, &ListParams::default())
        .await?;
    Ok(())
}
