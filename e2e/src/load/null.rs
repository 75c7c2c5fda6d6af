//! The null scheduler: it binds pods round robin and decides nothing. What it reaches is what the API server can do, so
//! it is the measure of the others.
//!
//! It is a process of its own (`load null`), as the others are: its CPU and memory are read in the same way, and
//! decoding its watch does not delay the observing watch.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Args;
use http::Method;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::connection::{Connection, Server};
use super::pods_path;
use super::watch::Watch;

/// What the null scheduler prints when it is ready for pods.
pub const READY: &str = "ready";

/// Arguments of the null scheduler.
#[derive(Debug, Args)]
pub struct NullArgs {
    /// The API server and the way in; it has to hold a token.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: std::path::PathBuf,
    /// Bind the pods with this schedulerName.
    #[arg(long, value_name = "NAME")]
    pub scheduler_name: String,
    /// How many binds are in flight at most, each on a connection of its own.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub in_flight: u32,
}

/// A bind that has yet to be sent.
struct Bind {
    path: String,
    body: Bytes,
}

/// What the watch has found and the connections have not yet taken.
struct Queue {
    binds: Mutex<VecDeque<Bind>>,
    waiting: Semaphore,
}

/// Runs the null scheduler until it is killed.
pub async fn run(args: &NullArgs) -> Result<()> {
    let kubeconfig = Kubeconfig::read_from(&args.kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let server = Server::new(&config)?;
    let nodes = node_names(&server).await?;
    let queue = Arc::new(Queue {
        binds: Mutex::new(VecDeque::new()),
        waiting: Semaphore::new(0),
    });
    let mut binders = JoinSet::new();
    for _ in 0..args.in_flight {
        let mut connection = server.connection();
        connection.open().await?;
        binders.spawn(bind_all(connection, Arc::clone(&queue)));
    }
    // Without the nodes in the selector, pods that were bound change for this watch instead of leaving it. That costs the
    // API server a fifth less per pod: an event of leaving has an object of its own, while the encoding of a change is
    // shared with the watch that measures.
    let selector = format!("spec.schedulerName={}", args.scheduler_name);
    let mut watch = Watch::start(&server, &selector).await?;
    println!("{READY}");
    let mut turn = nodes.iter().cycle();
    loop {
        let mut found = Vec::new();
        watch
            .next(|pod| {
                if pod.spec.node_name.is_none()
                    && let Some(node) = turn.next()
                {
                    found.push(bind(&pod.metadata.name, &pod.metadata.uid, node));
                }
            })
            .await?;
        let count = found.len();
        queue
            .binds
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(found);
        queue.waiting.add_permits(count);
    }
}

/// Sends one bind after another.
async fn bind_all(mut connection: Connection, queue: Arc<Queue>) {
    while let Ok(permit) = queue.waiting.acquire().await {
        permit.forget();
        let bind = queue
            .binds
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        if let Some(bind) = bind
            && let Err(error) = connection.call(Method::POST, &bind.path, bind.body).await
        {
            // There is nothing to decide about it; the run will tell that the pod was never bound.
            eprintln!("{error:#}");
        }
    }
}

/// The request that binds a pod. Names, uids and nodes hold nothing that JSON or a path would need to escape.
fn bind(name: &str, uid: &str, node: &str) -> Bind {
    Bind {
        path: pods_path(&format!("/{name}/binding")),
        body: Bytes::from(format!(
            r#"{{"apiVersion":"v1","kind":"Binding","metadata":{{"name":"{name}","uid":"{uid}"}},"target":{{"apiVersion":"v1","kind":"Node","name":"{node}"}}}}"#
        )),
    }
}

/// The names of all nodes.
async fn node_names(server: &Arc<Server>) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Metadata {
        name: String,
    }
    #[derive(Deserialize)]
    struct Node {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct List {
        items: Vec<Node>,
    }
    let body = server
        .connection()
        .accepting("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")
        .call(Method::GET, "/api/v1/nodes?resourceVersion=0", Bytes::new())
        .await?;
    let list: List = serde_json::from_slice(&body).context("cannot read the list of nodes")?;
    if list.items.is_empty() {
        bail!("there are no nodes");
    }
    Ok(list
        .items
        .into_iter()
        .map(|node| node.metadata.name)
        .collect())
}
