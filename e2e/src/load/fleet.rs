//! Creates and deletes many objects over a few connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;

use super::connection::{Connection, Server};
use super::preemption::{self, Mix};
use super::{NAMESPACE, gangs, kinds, pods_path};
use crate::progress::Progress;

/// How long the API server may take to forget deleted pods.
const EMPTY_LIMIT: Duration = Duration::from_secs(60);

/// How long the API server may take to learn of priority classes.
const CLASS_LIMIT: Duration = Duration::from_secs(30);

/// A fixed number of connections that share work.
pub struct Fleet {
    server: Arc<Server>,
    clients: usize,
    connections: Vec<Connection>,
}

/// When pods are created.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// As fast as the connections can.
    AtOnce,
    /// So many per second, on a schedule that does not wait for anything.
    PerSecond(f64),
    /// Two kinds of pods, each at a rate of its own.
    Mixed(Mix),
}

impl Pace {
    /// When the pod is due, counted from the start.
    fn due(self, index: usize) -> Duration {
        match self {
            Self::AtOnce => Duration::ZERO,
            Self::PerSecond(rate) => Duration::from_secs_f64(super::quantiles::count(index) / rate),
            Self::Mixed(mix) => mix.due(index),
        }
    }
}

/// How the creation of pods went; all times are counted from its start.
#[derive(Debug)]
pub struct Creation {
    /// The start.
    pub start: Instant,
    /// When each pod was wanted: when it was sent, or with a schedule when it was due.
    pub wanted: Vec<Duration>,
    /// How long after it was wanted each pod was sent; large values say that the creators did not keep up.
    pub lag: Vec<Duration>,
    /// When the last answer came.
    pub end: Duration,
}

impl Fleet {
    /// Opens that many connections.
    pub async fn open(server: &Arc<Server>, clients: usize) -> Result<Self> {
        let mut connections = Vec::with_capacity(clients);
        for _ in 0..clients {
            let mut connection = server.connection();
            connection.open().await?;
            connections.push(connection);
        }
        Ok(Self {
            server: Arc::clone(server),
            clients,
            connections,
        })
    }

    /// Replaces connections that were lost when creating failed.
    fn fill(&mut self) {
        let server = &self.server;
        self.connections
            .resize_with(self.clients, || server.connection());
    }

    /// Creates the namespace of the load and its services.
    pub async fn create_namespace(&mut self) -> Result<()> {
        let body = format!(
            r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{NAMESPACE}"}}}}"#
        );
        let mut connection = self.server.connection();
        connection
            .call(Method::POST, "/api/v1/namespaces", body.into())
            .await?;
        for service in kinds::services() {
            let path = format!("/api/v1/namespaces/{NAMESPACE}/services");
            connection.call(Method::POST, &path, service).await?;
        }
        Ok(())
    }

    /// Creates that many nodes, with GPUs or without.
    pub async fn create_nodes(
        &mut self,
        count: usize,
        gpus: bool,
        progress: &mut Progress,
    ) -> Result<()> {
        progress.step(format!("creating {count} nodes"));
        let bodies = kinds::nodes(count, gpus);
        self.create("/api/v1/nodes", &bodies, progress).await
    }

    /// Creates the groups of a round.
    pub async fn create_groups(&mut self, bodies: &[Bytes], progress: &mut Progress) -> Result<()> {
        self.create(&gangs::path(), bodies, progress).await
    }

    /// Deletes all groups.
    pub async fn delete_groups(&mut self) -> Result<()> {
        let mut connection = self.server.connection();
        connection
            .call(Method::DELETE, &gangs::path(), Bytes::new())
            .await
            .map(drop)
    }

    async fn create(
        &mut self,
        path: &str,
        bodies: &[Bytes],
        progress: &mut Progress,
    ) -> Result<()> {
        self.share(bodies.len(), progress, |index| {
            (Method::POST, path.to_owned(), bodies[index].clone())
        })
        .await
    }

    /// Creates the namespace and the priority classes that preemption needs, and waits until pods may name them.
    pub async fn prepare_preemption(&mut self) -> Result<()> {
        let mut connection = self.server.connection();
        let namespace = json!({"metadata": {"name": preemption::NAMESPACE}});
        let namespace = namespace.to_string().into();
        connection
            .call(Method::POST, "/api/v1/namespaces", namespace)
            .await?;
        for (name, value) in preemption::CLASSES {
            let class = json!({"metadata": {"name": name}, "value": value});
            let path = "/apis/scheduling.k8s.io/v1/priorityclasses";
            connection
                .call(Method::POST, path, class.to_string().into())
                .await?;
            let pod = json!({
                "metadata": {"name": name},
                "spec": {"priorityClassName": name, "containers": [{"name": "main", "image": "pause"}]},
            });
            let path = preemption::path("?dryRun=All");
            let start = Instant::now();
            // Admission learns of classes from a watch of its own.
            while let Err(error) = connection
                .call(Method::POST, &path, pod.to_string().into())
                .await
            {
                if start.elapsed() > CLASS_LIMIT {
                    return Err(error);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    /// Creates pods that are on a node already.
    pub async fn create_fillers(
        &mut self,
        bodies: &[Bytes],
        progress: &mut Progress,
    ) -> Result<()> {
        progress.step(format!("filling nodes with {} pods", bodies.len()));
        self.create(&preemption::path(""), bodies, progress).await
    }

    /// How many pods there are under this path.
    pub async fn count(&self, path: &str) -> Result<usize> {
        #[derive(Deserialize)]
        struct List {
            /// None instead of an empty list.
            items: Option<Vec<serde::de::IgnoredAny>>,
        }
        let body = self
            .server
            .connection()
            .accepting("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")
            .call(Method::GET, path, Bytes::new())
            .await?;
        let list: List = serde_json::from_slice(&body)?;
        Ok(list.items.map_or(0, |items| items.len()))
    }

    /// Deletes pods of a round without grace, and makes sure that none is left. `path` makes their paths.
    pub async fn delete_pods(
        &mut self,
        path: fn(&str) -> String,
        prefix: &str,
        count: usize,
        progress: &mut Progress,
    ) -> Result<()> {
        progress.step(format!("deleting {count} pods"));
        self.share(count, progress, |index| {
            let name = kinds::pod_name(prefix, index);
            let path = path(&format!("/{name}?gracePeriodSeconds=0"));
            (Method::DELETE, path, Bytes::new())
        })
        .await?;
        let start = Instant::now();
        loop {
            if self.count(&path("?limit=1")).await? == 0 {
                return Ok(());
            }
            if start.elapsed() > EMPTY_LIMIT {
                bail!("deleted pods are still there after {EMPTY_LIMIT:?}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Creates pods at a pace.
    pub async fn create_pods(&mut self, bodies: Vec<Bytes>, pace: Pace) -> Result<Creation> {
        let path: Arc<str> = pods_path("").into();
        let bodies: Arc<[Bytes]> = bodies.into();
        let next = Arc::new(AtomicUsize::new(0));
        self.fill();
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for mut connection in self.connections.drain(..) {
            let (path, bodies, next) = (Arc::clone(&path), Arc::clone(&bodies), Arc::clone(&next));
            tasks.spawn(async move {
                let mut sent = Vec::new();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(body) = bodies.get(index) else {
                        return Ok::<_, anyhow::Error>((connection, sent));
                    };
                    let due = pace.due(index);
                    if !due.is_zero() {
                        tokio::time::sleep_until((start + due).into()).await;
                    }
                    let now = start.elapsed();
                    connection.call(Method::POST, &path, body.clone()).await?;
                    sent.push((index, now));
                }
            });
        }
        let mut times = vec![Duration::ZERO; bodies.len()];
        while let Some(result) = tasks.join_next().await {
            let (connection, sent) = result.context("a creator of pods panicked")??;
            self.connections.push(connection);
            for (index, time) in sent {
                times[index] = time;
            }
        }
        let end = start.elapsed();
        let wanted: Vec<Duration> = match pace {
            Pace::AtOnce => times.clone(),
            Pace::PerSecond(_) | Pace::Mixed(_) => {
                (0..times.len()).map(|index| pace.due(index)).collect()
            }
        };
        let lag = times
            .iter()
            .zip(&wanted)
            .map(|(sent, wanted)| sent.saturating_sub(*wanted))
            .collect();
        Ok(Creation {
            start,
            wanted,
            lag,
            end,
        })
    }

    /// Sends requests over all connections, as fast as they go. Nothing is wrong with an object that is gone already.
    async fn share(
        &mut self,
        count: usize,
        progress: &mut Progress,
        request: impl Fn(usize) -> (Method, String, Bytes),
    ) -> Result<()> {
        self.fill();
        let next = AtomicUsize::new(0);
        let told = std::sync::Mutex::new(progress);
        let workers = self.connections.iter_mut().map(|connection| {
            let (next, told, request) = (&next, &told, &request);
            async move {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return Ok::<_, anyhow::Error>(());
                    }
                    let (method, path, body) = request(index);
                    let delete = method == Method::DELETE;
                    let (status, answer) = connection.send(method, &path, body).await?;
                    let gone = delete && status == StatusCode::NOT_FOUND;
                    if !status.is_success() && !gone {
                        bail!("{path}: {status}: {}", String::from_utf8_lossy(&answer));
                    }
                    if let Ok(mut progress) = told.lock() {
                        progress.done(index + 1, count);
                    }
                }
            }
        });
        futures::future::try_join_all(workers).await.map(drop)
    }
}
