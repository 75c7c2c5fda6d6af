//! Sees with its own watch when pods are bound. No scheduler's word is taken for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::connection::Server;
use super::kinds;
use super::watch::Watch;

/// An observation under way.
#[derive(Debug)]
pub struct Observer {
    /// How many pods have been seen bound.
    pub seen: watch::Receiver<usize>,
    /// What was seen, once all of them are.
    pub task: JoinHandle<Result<Seen>>,
}

/// What was seen of a round.
#[derive(Debug)]
pub struct Seen {
    /// When each pod was first seen bound.
    pub bound: Vec<Instant>,
    /// On how many nodes the pods are.
    pub nodes: usize,
    /// How many pods are on the node that has most of them.
    pub fullest: usize,
    /// How often the API server ended the watch meanwhile, which delays what is seen.
    pub watch_restarts: u32,
}

impl Observer {
    /// Begins to look at the pods of a round; there must be none yet.
    pub async fn start(server: &Arc<Server>, prefix: &str, count: usize) -> Result<Self> {
        // Only pods that have a node match, so that the API server sends each of them once.
        let watch = Watch::start(server, "spec.nodeName!=").await?;
        let (sender, seen) = watch::channel(0);
        let task = tokio::spawn(observe(watch, prefix.to_owned(), count, sender));
        Ok(Self { seen, task })
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn observe(
    mut watch: Watch,
    prefix: String,
    count: usize,
    progress: watch::Sender<usize>,
) -> Result<Seen> {
    let mut bound: Vec<Option<Instant>> = vec![None; count];
    let mut nodes: HashMap<String, usize> = HashMap::new();
    let mut seen = 0;
    while seen < count {
        watch
            .next(|pod| {
                let Some(node) = pod.spec.node_name else {
                    return;
                };
                let index = kinds::pod_index(&prefix, &pod.metadata.name);
                let Some(moment @ None) = index.and_then(|index| bound.get_mut(index)) else {
                    return;
                };
                *moment = Some(Instant::now());
                seen += 1;
                match nodes.get_mut(&*node) {
                    Some(pods) => *pods += 1,
                    None => drop(nodes.insert(node.into_owned(), 1)),
                }
            })
            .await?;
        progress.send_replace(seen);
    }
    Ok(Seen {
        bound: bound.into_iter().flatten().collect(),
        fullest: nodes.values().copied().max().unwrap_or_default(),
        nodes: nodes.len(),
        watch_restarts: watch.restarts(),
    })
}
