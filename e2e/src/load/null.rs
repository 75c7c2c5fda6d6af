//! The null scheduler: it binds pods round robin and decides nothing. What it reaches is what the API server can do, so
//! it is the measure of the others. Pods that have to make room for themselves evict one after another of those that
//! fill nodes, with the writes that everybody needs for that.
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
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::connection::{Connection, Server};
use super::preemption::{self, Preemption};
use super::watch::{Metadata, Pod, Watch};
use super::{kinds, pods_path};

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
    /// Which nodes are full of pods that may be evicted.
    #[arg(long, value_enum)]
    pub full: Option<Preemption>,
}

/// A write that has yet to be sent.
struct Write {
    method: Method,
    path: String,
    body: Bytes,
}

/// What is to be sent for one pod, one write after another.
type Writes = Vec<Write>;

/// What the watch has found and the connections have not yet taken.
struct Queue {
    pods: Mutex<VecDeque<Writes>>,
    waiting: Semaphore,
}

/// Runs the null scheduler until it is killed.
pub async fn run(args: &NullArgs) -> Result<()> {
    let kubeconfig = Kubeconfig::read_from(&args.kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let server = Server::new(&config)?;
    let nodes = node_names(&server).await?;
    let queue = Arc::new(Queue {
        pods: Mutex::new(VecDeque::new()),
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
    let mut turn = Turn::new(nodes, args.full);
    loop {
        let mut found = Vec::new();
        watch
            .next(|pod| {
                if pod.spec.node_name.is_none() {
                    found.extend(turn.writes(&pod));
                }
            })
            .await?;
        let count = found.len();
        queue
            .pods
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(found);
        queue.waiting.add_permits(count);
    }
}

/// Sends the writes of one pod after those of another.
async fn bind_all(mut connection: Connection, queue: Arc<Queue>) {
    while let Ok(permit) = queue.waiting.acquire().await {
        permit.forget();
        let writes = queue
            .pods
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        for Write { method, path, body } in writes.into_iter().flatten() {
            if let Err(error) = connection.call(method, &path, body).await {
                // There is nothing to decide about it; the run will tell that the pod was never bound.
                eprintln!("{error:#}");
                break;
            }
        }
    }
}

/// Whose turn it is.
struct Turn {
    /// The nodes with room, round and round.
    nodes: Box<dyn Iterator<Item = String>>,
    /// The nodes of the pods that may be evicted, with the numbers of those.
    fillers: Box<dyn Iterator<Item = (usize, String)>>,
}

impl Turn {
    fn new(nodes: Vec<String>, full: Option<Preemption>) -> Self {
        let is_full = move |node: usize| full.is_some_and(|full| full.is_full(node));
        let (filled, room): (Vec<_>, Vec<_>) =
            (nodes.into_iter().enumerate()).partition(|(node, _)| is_full(*node));
        let fillers = (filled.into_iter())
            .flat_map(|(_, node)| vec![node; preemption::PER_NODE])
            .enumerate();
        Self {
            nodes: Box::new(room.into_iter().map(|(_, node)| node).cycle()),
            fillers: Box::new(fillers),
        }
    }

    /// What a pod needs. None if there is nobody left to evict for it, or no node with room.
    fn writes(&mut self, pod: &Pod<'_>) -> Option<Writes> {
        let Metadata { name, uid, .. } = &pod.metadata;
        if !preemption::makes_room(pod.spec.priority_class_name.as_deref()) {
            return Some(vec![bind(name, uid, &self.nodes.next()?)]);
        }
        let (filler, node) = self.fillers.next()?;
        let (prefix, _) = name.rsplit_once('-')?;
        let [mark, delete] = evict(&kinds::pod_name(prefix, filler));
        Some(vec![mark, delete, bind(name, uid, &node)])
    }
}

/// The requests that evict a pod of those that fill nodes, as DefaultPreemption sends them.
fn evict(name: &str) -> [Write; 2] {
    let path = preemption::path(&format!("/{name}"));
    let mark = json!({"status": {"conditions": [{
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "PreemptionByScheduler",
        "message": "preempted",
    }]}});
    [
        Write {
            method: Method::PATCH,
            path: format!("{path}/status"),
            body: mark.to_string().into(),
        },
        Write {
            method: Method::DELETE,
            path,
            body: Bytes::new(),
        },
    ]
}

/// The request that binds a pod. Names, uids and nodes hold nothing that JSON or a path would need to escape.
fn bind(name: &str, uid: &str, node: &str) -> Write {
    Write {
        method: Method::POST,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::preemption::CLASSES;
    use super::*;

    /// The writes for pods one after another, each as its method and the end of its path, the bind with its node.
    fn check(full: Option<Preemption>, classes: &[Option<&str>], expected: &[&[&str]]) {
        let nodes = (0..10).map(kinds::node_name).collect();
        let mut turn = Turn::new(nodes, full);
        let found: Vec<Vec<String>> = classes
            .iter()
            .map(|class| {
                let pod = json!({
                    "metadata": {"name": "r1-000007", "uid": "u", "resourceVersion": "1"},
                    "spec": {"priorityClassName": class},
                })
                .to_string();
                let writes = turn.writes(&serde_json::from_str(&pod).unwrap());
                let tell = |write: Write| {
                    let path = write.path.rsplit_once("/pods/").unwrap().1;
                    let body = String::from_utf8_lossy(&write.body);
                    let node = body.split('"').find(|text| text.starts_with("node-"));
                    format!("{} {path} {}", write.method, node.unwrap_or_default())
                };
                writes.into_iter().flatten().map(tell).collect()
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn evicts_where_nodes_are_full_and_binds_round_robin_elsewhere() {
        let high = CLASSES[1].0;
        check(
            None,
            &[None; 2],
            &[
                &["POST r1-000007/binding node-00000"],
                &["POST r1-000007/binding node-00001"],
            ],
        );
        let evicting = |filler: &str, node: &str| {
            [
                format!("PATCH {filler}/status "),
                format!("DELETE {filler} "),
                format!("POST r1-000007/binding {node}"),
            ]
        };
        let evicted = [
            evicting("r1-000000", "node-00000"),
            evicting("r1-000001", "node-00000"),
            evicting("r1-000002", "node-00001"),
        ];
        let [first, second, third] = evicted
            .each_ref()
            .map(|writes| writes.each_ref().map(String::as_str));
        check(
            Some(Preemption::Beside),
            &[None, Some(high), Some(high), None, Some(high)],
            &[
                &["POST r1-000007/binding node-00005"],
                &first,
                &second,
                &["POST r1-000007/binding node-00006"],
                &third,
            ],
        );
        check(Some(Preemption::Alone), &[Some(high), None], &[&first, &[]]);
    }
}
