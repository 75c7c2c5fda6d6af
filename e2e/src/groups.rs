//! Pod groups: how clusters come to have those that are not Kubernetes' own, and objects for which the client library
//! has no types.

mod api;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use http::{Method, Request};
use kube::Client;
use serde_json::Value;

use crate::ControlPlane;
use crate::harness::{Cluster, LIMIT};
pub use api::PodGroupApi;

/// The kinds of objects that describe groups of pods: apiVersion and plural.
pub const KINDS: [(&str, &str); 4] = [
    ("scheduling.k8s.io/v1beta1", "podgroups"),
    ("scheduling.k8s.io/v1beta1", "workloads"),
    ("scheduling.x-k8s.io/v1alpha1", "podgroups"),
    ("scheduling.volcano.sh/v1beta1", "podgroups"),
];

/// The definition of scheduler-plugins' PodGroup.
pub fn scheduler_plugins_definition() -> PathBuf {
    root().join("deploy/podgroup-crd.yaml")
}

/// The definition of Volcano's PodGroup.
pub fn volcano_definition() -> PathBuf {
    root().join("e2e/manifests/volcano-podgroup-crd.yaml")
}

/// Where the repository is.
pub fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// Runs kubectl and returns what it printed.
pub fn kubectl(control_plane: &ControlPlane, args: &[&str]) -> Result<String> {
    let output = Command::new(control_plane.binaries().kubectl())
        .arg(format!(
            "--kubeconfig={}",
            control_plane.kubeconfig().display()
        ))
        // What it finds out about a server is gone with the server.
        .arg("--cache-dir")
        .arg(control_plane.directory().join("kubectl"))
        .args(args)
        .output()
        .context("cannot run kubectl")?;
    if !output.status.success() {
        bail!(
            "kubectl {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
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

/// Installs a definition of pod groups and waits until the API server serves them.
pub async fn install(control_plane: &ControlPlane, definition: &Path) -> Result<()> {
    kubectl(
        control_plane,
        &["create", "-f", &definition.to_string_lossy()],
    )?;
    kubectl(
        control_plane,
        &[
            "wait",
            "--for=condition=Established",
            "-f",
            &definition.to_string_lossy(),
        ],
    )?;
    let served = [scheduler_plugins_definition(), volcano_definition()]
        .iter()
        .position(|known| known == definition)
        .and_then(|place| KINDS.get(place + 2));
    let Some((version, plural)) = served else {
        return Ok(());
    };
    let client = control_plane.client()?;
    let start = Instant::now();
    while list(&client, version, plural).await?.is_none() {
        if start.elapsed() > LIMIT {
            bail!("{plural} of {version} are not served");
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Deletes all groups.
pub async fn delete_all(client: &Client) -> Result<()> {
    for (version, plural) in KINDS {
        for object in list(client, version, plural).await?.unwrap_or_default() {
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
