//! Groups of pods in the three APIs that have them, for tests that install and remove these APIs, and objects for which
//! the client library has no types.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};

use crate::ControlPlane;
use crate::harness::{Cluster, LIMIT};
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

    /// What objects say in apiVersion.
    pub fn api_version(self) -> String {
        format!("{}/{}", self.group(), self.version())
    }

    /// Installs the CRD. Groups can be made as soon as [`PodGroupApi::create`] returns.
    pub fn install(self, control_plane: &ControlPlane) -> Result<()> {
        let file = match self {
            Self::Kubernetes => bail!("this is not a custom resource"),
            Self::SchedulerPlugins => "deploy/podgroup-crd.yaml",
            Self::Volcano => "e2e/manifests/volcano-podgroup-crd.yaml",
        };
        let file = root().join(file);
        kubectl(control_plane, &["create", "-f", &file.to_string_lossy()])?;
        Ok(())
    }

    /// Waits until the API server knows of the groups, which is some moments after the CRD was installed.
    pub async fn wait_until_served(self, client: &Client) -> Result<()> {
        let version = self.api_version();
        let start = Instant::now();
        while list(client, &version, "podgroups").await?.is_none() {
            if start.elapsed() > LIMIT {
                bail!("groups of {version} are not served after {LIMIT:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Deletes the CRD, and with it all groups.
    pub fn remove(self, control_plane: &ControlPlane) -> Result<()> {
        let name = format!("podgroups.{}", self.group());
        kubectl(control_plane, &["delete", "crd", &name, "--wait=true"])?;
        Ok(())
    }

    /// What a group says that wants so many pods together.
    pub fn spec(self, min: u32) -> Value {
        match self {
            Self::Kubernetes => json!({"schedulingPolicy": {"gang": {"minCount": min}}}),
            Self::SchedulerPlugins | Self::Volcano => json!({"minMember": min}),
        }
    }

    /// A group in `default` that wants so many pods together.
    pub fn object(self, name: &str, min: u32) -> Value {
        json!({
            "apiVersion": self.api_version(),
            "kind": "PodGroup",
            "metadata": {"name": name},
            "spec": self.spec(min),
        })
    }

    /// Makes a group in `default` that wants so many pods together, once the API is there.
    pub async fn create(self, cluster: &Cluster, name: &str, min: u32) -> Result<Value> {
        let group = self.object(name, min);
        let what = format!("group {name} of {}", self.group());
        let made = async || cluster.create_object(&group).await.map(Some);
        cluster.eventually(&what, made).await
    }

    /// A group of `default`.
    pub async fn get(self, cluster: &Cluster, name: &str) -> Result<Value> {
        cluster.get_object(&self.object(name, 1)).await
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

/// The objects of a file, in their order, as the API server would be sent them.
pub fn read_manifest(control_plane: &ControlPlane, file: &Path) -> Result<Vec<Value>> {
    let file = file.to_string_lossy();
    let args = [
        "create",
        "-f",
        &file,
        "--dry-run=client",
        "-o",
        "json",
        "--validate=strict",
    ];
    let text = kubectl(control_plane, &args)?;
    let documents = serde_json::Deserializer::from_str(&text).into_iter();
    Ok(documents.collect::<Result<_, _>>()?)
}

/// Where the repository is.
pub fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// Deletes all groups.
pub async fn delete_all(client: &Client) -> Result<()> {
    let apis = PodGroupApi::ALL.map(|api| (api.api_version(), "podgroups"));
    let workloads = (PodGroupApi::Kubernetes.api_version(), "workloads");
    for (version, plural) in apis.into_iter().chain([workloads]) {
        for object in list(client, &version, plural).await?.unwrap_or_default() {
            let meta = &object["metadata"];
            let text = |field: &str| meta[field].as_str().unwrap_or_default().to_owned();
            let (namespace, name) = (text("namespace"), text("name"));
            let path = format!("/apis/{version}/namespaces/{namespace}/{plural}/{name}");
            send(client, Method::DELETE, &path, None).await?;
        }
    }
    Ok(())
}

/// All objects of a kind; None where there is no such kind.
async fn list(client: &Client, version: &str, plural: &str) -> Result<Option<Vec<Value>>> {
    let request = Request::get(format!("/apis/{version}/{plural}")).body(Vec::new())?;
    match client.request::<Value>(request).await {
        Ok(mut list) => match list["items"].take() {
            Value::Array(items) => Ok(Some(items)),
            _ => Ok(Some(Vec::new())),
        },
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn send(client: &Client, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
    let form = match method {
        Method::PATCH => "application/merge-patch+json",
        _ => "application/json",
    };
    let body = body.map(serde_json::to_vec).transpose()?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("Content-Type", form)
        .body(body.unwrap_or_default())?;
    Ok(client.request(request).await?)
}

/// Where the objects of the kind of this one are, in its namespace.
fn collection(object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
    let namespace = object["metadata"]["namespace"]
        .as_str()
        .unwrap_or("default");
    let prefix = match version.contains('/') {
        true => "apis",
        false => "api",
    };
    format!("/{prefix}/{version}/namespaces/{namespace}/{kind}s")
}

fn path(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    format!("{}/{name}", collection(object))
}

/// Objects of namespaces, named by their apiVersion, kind, name and namespace (`default` when there is none).
impl Cluster {
    /// Makes an object.
    pub async fn create_object(&self, object: &Value) -> Result<Value> {
        send(
            &self.client(),
            Method::POST,
            &collection(object),
            Some(object),
        )
        .await
    }

    /// The object as it is now.
    pub async fn get_object(&self, object: &Value) -> Result<Value> {
        send(&self.client(), Method::GET, &path(object), None).await
    }

    /// Changes the object with a merge patch.
    pub async fn patch_object(&self, object: &Value, patch: &Value) -> Result<Value> {
        send(&self.client(), Method::PATCH, &path(object), Some(patch)).await
    }

    /// Deletes the object.
    pub async fn delete_object(&self, object: &Value) -> Result<()> {
        send(&self.client(), Method::DELETE, &path(object), None)
            .await
            .map(drop)
    }
}
