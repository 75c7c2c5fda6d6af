//! Groups of pods in the three APIs that have them, for tests that install and remove these APIs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use http::{Method, Request};
use serde_json::{Value, json};

use crate::ControlPlane;
use crate::harness::Cluster;
use crate::objects::PodBuilder;

/// An API that has groups of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodGroupApi {
    /// Kubernetes' own, with [`Options::with_pod_groups`](crate::Options::with_pod_groups).
    Kubernetes,
    /// scheduler-plugins, with the CRD of `deploy/`.
    SchedulerPlugins,
    /// Volcano, with a CRD as far as a scheduler is concerned.
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

    fn path(self) -> String {
        let (group, version) = (self.group(), self.version());
        format!("/apis/{group}/{version}/namespaces/default/podgroups")
    }

    /// Installs the CRD. Groups can be made as soon as [`PodGroupApi::create`] returns.
    pub fn install(self, control_plane: &ControlPlane) -> Result<()> {
        let file = match self {
            Self::Kubernetes => bail!("this is not a custom resource"),
            Self::SchedulerPlugins => {
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/podgroup-crd.yaml")
            }
            Self::Volcano => write_volcano(control_plane)?,
        };
        kubectl(control_plane, &["create", "-f", &file.to_string_lossy()])?;
        Ok(())
    }

    /// Deletes the CRD, and with it all groups.
    pub fn remove(self, control_plane: &ControlPlane) -> Result<()> {
        let name = format!("podgroups.{}", self.group());
        kubectl(control_plane, &["delete", "crd", &name, "--wait=true"])?;
        Ok(())
    }

    /// Makes a group in `default` that wants so many pods together, once the API is there.
    pub async fn create(self, cluster: &Cluster, name: &str, min: u32) -> Result<Value> {
        let spec = match self {
            Self::Kubernetes => json!({"schedulingPolicy": {"gang": {"minCount": min}}}),
            Self::SchedulerPlugins | Self::Volcano => json!({"minMember": min}),
        };
        let group = json!({
            "apiVersion": format!("{}/{}", self.group(), self.version()),
            "kind": "PodGroup",
            "metadata": {"name": name},
            "spec": spec,
        });
        let what = format!("group {name} of {}", self.group());
        let made = async || {
            let made = call(cluster, Method::POST, &self.path(), Some(&group)).await?;
            Ok(Some(made))
        };
        cluster.eventually(&what, made).await
    }

    /// A group of `default`.
    pub async fn get(self, cluster: &Cluster, name: &str) -> Result<Value> {
        let path = format!("{}/{name}", self.path());
        call(cluster, Method::GET, &path, None).await
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

/// As Volcano's own, the resource has no status of its own, and its objects are not validated.
fn write_volcano(control_plane: &ControlPlane) -> Result<PathBuf> {
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "podgroups.scheduling.volcano.sh"},
        "spec": {
            "group": "scheduling.volcano.sh",
            "scope": "Namespaced",
            "names": {"kind": "PodGroup", "plural": "podgroups"},
            "versions": [{
                "name": "v1beta1",
                "served": true,
                "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {"spec": anything, "status": anything},
                }},
            }],
        },
    });
    let file = control_plane.directory().join("volcano-podgroups.json");
    std::fs::write(&file, definition.to_string())?;
    Ok(file)
}

async fn call(
    cluster: &Cluster,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Value> {
    let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("Content-Type", "application/json")
        .body(body)?;
    Ok(cluster.client().request(request).await?)
}

/// Runs kubectl as an administrator and returns what it prints.
pub fn kubectl(control_plane: &ControlPlane, arguments: &[&str]) -> Result<String> {
    let cache = control_plane.directory().join("kubectl");
    let output = Command::new(control_plane.binaries().kubectl())
        .arg("--kubeconfig")
        .arg(control_plane.kubeconfig())
        .arg("--cache-dir")
        .arg(cache)
        .args(arguments)
        .output()
        .context("cannot run kubectl")?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("kubectl {arguments:?}: {errors}");
    }
    Ok(String::from_utf8(output.stdout)?)
}
