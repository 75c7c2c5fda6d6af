//! The APIs that have groups of pods, for tests that do the same with each.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{install, kubectl, scheduler_plugins_definition, volcano_definition};
use crate::ControlPlane;
use crate::harness::Cluster;
use crate::objects::PodBuilder;

/// An API that has groups of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodGroupApi {
    /// Kubernetes' own, with [`Options::with_pod_groups`](crate::Options::with_pod_groups).
    Kubernetes,
    /// scheduler-plugins.
    SchedulerPlugins,
    /// Volcano.
    Volcano,
}

impl PodGroupApi {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kubernetes, Self::SchedulerPlugins, Self::Volcano];

    /// Those that are custom resources.
    pub const CUSTOM: [Self; 2] = [Self::SchedulerPlugins, Self::Volcano];

    /// The API group.
    pub fn group(self) -> &'static str {
        match self {
            Self::Kubernetes => "scheduling.k8s.io",
            Self::SchedulerPlugins => "scheduling.x-k8s.io",
            Self::Volcano => "scheduling.volcano.sh",
        }
    }

    /// The version.
    pub fn version(self) -> &'static str {
        match self {
            Self::Kubernetes | Self::Volcano => "v1beta1",
            Self::SchedulerPlugins => "v1alpha1",
        }
    }

    /// Installs the definition of a custom resource.
    pub async fn install(self, control_plane: &ControlPlane) -> Result<()> {
        let definition = match self {
            Self::Kubernetes => bail!("this is not a custom resource"),
            Self::SchedulerPlugins => scheduler_plugins_definition(),
            Self::Volcano => volcano_definition(),
        };
        install(control_plane, &definition).await
    }

    /// Deletes the definition of a custom resource, and with it all groups.
    pub fn remove(self, control_plane: &ControlPlane) -> Result<()> {
        let name = format!("podgroups.{}", self.group());
        kubectl(control_plane, &["delete", "crd", &name])?;
        Ok(())
    }

    fn object(self, name: &str) -> Value {
        json!({
            "apiVersion": format!("{}/{}", self.group(), self.version()),
            "kind": "PodGroup",
            "metadata": {"name": name},
        })
    }

    /// Makes a group in `default` that wants so many pods together, once the API is there.
    pub async fn create(self, cluster: &Cluster, name: &str, min: u32) -> Result<Value> {
        let mut group = self.object(name);
        group["spec"] = match self {
            Self::Kubernetes => json!({"schedulingPolicy": {"gang": {"minCount": min}}}),
            Self::SchedulerPlugins | Self::Volcano => json!({"minMember": min}),
        };
        let what = format!("group {name} of {}", self.group());
        let made = async || Ok(Some(cluster.create_object(&group).await?));
        cluster.eventually(&what, made).await
    }

    /// A group of `default`.
    pub async fn get(self, cluster: &Cluster, name: &str) -> Result<Value> {
        cluster.get_object(&self.object(name)).await
    }

    /// A pod of a group.
    pub fn member(self, pod: PodBuilder, group: &str) -> PodBuilder {
        match self {
            Self::Kubernetes => pod.spec("schedulingGroup", json!({"podGroupName": group})),
            Self::SchedulerPlugins => pod.label("scheduling.x-k8s.io/pod-group", group),
            Self::Volcano => {
                let annotations = json!({"scheduling.k8s.io/group-name": group});
                pod.metadata("annotations", annotations)
            }
        }
    }
}
