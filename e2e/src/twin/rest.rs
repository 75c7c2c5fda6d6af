//! Objects by their paths at the API server, so that one form serves all kinds.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};

use crate::objects::{NodeBuilder, PodBuilder};

/// How long admission may need to learn of namespaces and classes that were made just before.
const ADMISSION_LIMIT: Duration = Duration::from_secs(30);

/// The schedulerName of pods that are for the scheduler whose turn it is.
pub const OWN: &str = "own";

/// A change of the cluster.
#[derive(Debug, Clone)]
pub enum Change {
    /// Makes an object in the collection of this path.
    Create(String, Value),
    /// Changes the object of this path with a merge patch; what is under `status` goes to its status.
    Patch(String, Value),
    /// Deletes the object of this path, without grace.
    Delete(String),
    /// Deletes the pod of this path, which then waits for a kubelet to end it.
    Terminate(String),
    /// Changes the pod that is asked about.
    Own(Value),
}

impl Change {
    /// Makes a node.
    pub fn node(node: NodeBuilder) -> Self {
        Self::Create("/api/v1/nodes".to_owned(), node.value())
    }

    /// Makes a pod; one with `spec.nodeName` is there at once.
    pub fn pod(pod: PodBuilder) -> Self {
        let pod = pod.value();
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or("default");
        Self::Create(format!("/api/v1/namespaces/{namespace}/pods"), pod)
    }

    /// Changes a node.
    pub fn patch_node(name: &str, patch: Value) -> Self {
        Self::Patch(format!("/api/v1/nodes/{name}"), patch)
    }

    /// Changes a pod of the namespace `default`.
    pub fn patch_pod(name: &str, patch: Value) -> Self {
        Self::Patch(pod_path("default", name), patch)
    }

    /// Deletes a pod of the namespace `default`.
    pub fn delete_pod(name: &str) -> Self {
        Self::Delete(pod_path("default", name))
    }

    /// Deletes a node.
    pub fn delete_node(name: &str) -> Self {
        Self::Delete(format!("/api/v1/nodes/{name}"))
    }

    /// Lets a pod of the namespace `default` end with success.
    pub fn finish_pod(name: &str) -> Self {
        Self::patch_pod(name, json!({"status": {"phase": "Succeeded"}}))
    }

    /// Sets labels of a namespace; null takes one away.
    pub fn label_namespace(name: &str, labels: Value) -> Self {
        let patch = json!({"metadata": {"labels": labels}});
        Self::Patch(format!("/api/v1/namespaces/{name}"), patch)
    }

    /// The same, with pods of [`OWN`] for this scheduler.
    pub fn told(&self, scheduler: &str) -> Self {
        let mut change = self.clone();
        if let Self::Create(_, object) = &mut change
            && object["spec"]["schedulerName"] == OWN
        {
            object["spec"]["schedulerName"] = json!(scheduler);
        }
        change
    }

    /// Whether it makes a pod that is for the scheduler whose turn it is.
    pub fn is_told(&self) -> bool {
        matches!(self, Self::Create(_, object) if object["spec"]["schedulerName"] == OWN)
    }

    /// Whether it makes an object that stays until its finalizers are taken away.
    pub fn has_finalizers(&self) -> bool {
        matches!(self, Self::Create(_, object) if object["metadata"]["finalizers"].is_array())
    }

    /// Whether it changes neither nodes nor pods, so that one scheduler may know of it a moment before the other.
    pub fn is_aside(&self) -> bool {
        match self {
            Self::Create(path, _) | Self::Patch(path, _) | Self::Delete(path) => {
                !path.contains("/nodes") && !path.contains("/pods")
            }
            Self::Terminate(_) | Self::Own(_) => false,
        }
    }

    /// Whether it changes nodes.
    pub fn is_about_nodes(&self) -> bool {
        match self {
            Self::Create(path, _) | Self::Patch(path, _) | Self::Delete(path) => {
                path.starts_with("/api/v1/nodes")
            }
            Self::Terminate(_) | Self::Own(_) => false,
        }
    }
}

/// The path of a pod.
pub fn pod_path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods/{name}")
}

/// A client for paths.
#[derive(Clone)]
pub struct Rest(pub Client);

impl Rest {
    /// Does it, and returns the path of what was made.
    pub async fn apply(&self, change: &Change, own: &str) -> Result<Option<String>> {
        match change {
            Change::Create(path, object) => {
                self.create(path, object).await?;
                let name = object["metadata"]["name"].as_str();
                return Ok(Some(format!(
                    "{path}/{}",
                    name.context("a nameless object")?
                )));
            }
            Change::Patch(path, patch) => self.patch(path, patch).await?,
            Change::Own(patch) => self.patch(own, patch).await?,
            Change::Delete(path) => self.delete(path).await?,
            Change::Terminate(path) => {
                self.send(Method::DELETE, path, &json!({"gracePeriodSeconds": 3600}))
                    .await?;
            }
        }
        Ok(None)
    }

    /// Makes an object.
    pub async fn create(&self, path: &str, object: &Value) -> Result<()> {
        let start = Instant::now();
        loop {
            match self.send(Method::POST, path, object).await {
                Err(error)
                    if start.elapsed() < ADMISSION_LIMIT
                        && ["no PriorityClass with name", "RuntimeClass"]
                            .iter()
                            .any(|text| format!("{error:#}").contains(text)) =>
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                result => return result,
            }
        }
    }

    async fn patch(&self, path: &str, patch: &Value) -> Result<()> {
        let mut patch = patch.clone();
        let status = patch
            .as_object_mut()
            .and_then(|patch| patch.remove("status"));
        if patch.as_object().is_some_and(|patch| !patch.is_empty()) {
            self.send(Method::PATCH, path, &patch).await?;
        }
        if let Some(status) = status {
            let patch = json!({"status": status});
            self.send(Method::PATCH, &format!("{path}/status"), &patch)
                .await?;
        }
        Ok(())
    }

    /// Deletes an object without grace; one that is gone already is no error.
    pub async fn delete(&self, path: &str) -> Result<()> {
        // Controllers in the older APIs would wait for their pods to be orphaned.
        let options = json!({"gracePeriodSeconds": 0, "propagationPolicy": "Background"});
        match self.send(Method::DELETE, path, &options).await {
            Err(error) if is_gone(&error) => Ok(()),
            result => result,
        }
    }

    /// Takes the finalizers of an object away, if it is still there.
    pub async fn release(&self, path: &str) -> Result<()> {
        let patch = json!({"metadata": {"finalizers": null}});
        match self.patch(path, &patch).await {
            Err(error) if is_gone(&error) => Ok(()),
            result => result,
        }
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Result<()> {
        let content = if method == Method::PATCH {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        let request = Request::builder()
            .method(&method)
            .uri(path)
            .header("Content-Type", content)
            .body(serde_json::to_vec(body)?)?;
        let answer = self.0.request_text(request).await;
        answer.with_context(|| format!("{method} {path}"))?;
        Ok(())
    }
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Rest")
    }
}

fn is_gone(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        matches!(cause.downcast_ref(), Some(kube::Error::Api(status)) if status.code == 404)
    })
}
