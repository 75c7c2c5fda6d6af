//! What an observer of all pods has seen: no pod is ever moved, none is lost, no node takes more than fits.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use e2e::harness::{Cluster, LIMIT, node_of};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use tokio::task::JoinHandle;

use crate::stream::{PER_NODE, Stream};

#[derive(Default)]
struct Seen {
    /// Where each bound pod is.
    nodes: BTreeMap<String, String>,
    /// When binds were seen.
    times: Vec<Instant>,
    /// What must not happen.
    faults: Vec<String>,
}

impl Seen {
    fn pod(&mut self, pod: &Pod) {
        let name = pod.name_any();
        match (self.nodes.get(&name), node_of(pod)) {
            (None, Some(node)) => {
                self.nodes.insert(name, node.to_owned());
                self.times.push(Instant::now());
            }
            (Some(before), now) if now != Some(before) => {
                self.faults
                    .push(format!("{name} was on {before} and is on {now:?}"));
            }
            _ => {}
        }
    }
}

/// A watch of all pods of `default`.
pub struct Audit {
    pods: Api<Pod>,
    seen: Arc<Mutex<Seen>>,
    watch: JoinHandle<()>,
}

/// When binds were seen.
pub struct Report(Vec<Instant>);

impl Audit {
    /// Begins to watch.
    pub fn start(cluster: &Cluster) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (pods, sink) = (cluster.pods(), Arc::clone(&seen));
        let stream = watcher(pods.clone(), watcher::Config::default()).default_backoff();
        let watch = tokio::spawn(async move {
            let mut stream = pin!(stream);
            while let Some(event) = stream.next().await {
                if let Ok(Event::InitApply(pod) | Event::Apply(pod)) = event {
                    sink.lock().unwrap().pod(&pod);
                }
            }
        });
        Self { pods, seen, watch }
    }

    /// How many pods are bound.
    pub fn bound(&self) -> usize {
        self.seen.lock().unwrap().nodes.len()
    }

    /// Waits until so many pods are bound.
    pub async fn wait_bound(&mut self, count: usize) -> Result<()> {
        let mut progress = (self.bound(), Instant::now());
        while progress.0 < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let bound = self.bound();
            if bound > progress.0 {
                progress = (bound, Instant::now());
            } else if progress.1.elapsed() > LIMIT {
                bail!("{bound} pods are bound, not {count}, and none since {LIMIT:?}");
            }
        }
        Ok(())
    }

    /// Waits until all pods of the stream are bound, and fails unless everything was as it has to be.
    pub async fn finish(mut self, stream: &Stream) -> Result<Report> {
        self.wait_bound(stream.pods).await?;
        let mut counts = BTreeMap::<String, usize>::new();
        let listed = self.pods.list(&kube::api::ListParams::default()).await?;
        for pod in &listed {
            let node = node_of(pod).unwrap_or("no node").to_owned();
            *counts.entry(node).or_default() += 1;
        }
        let full = counts.values().all(|count| *count == PER_NODE);
        if listed.items.len() != stream.pods || !full {
            bail!("{} pods: {counts:?}", listed.items.len());
        }
        self.watch.abort();
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        if !seen.faults.is_empty() {
            bail!("{:#?}", seen.faults);
        }
        Ok(Report(seen.times))
    }
}

impl Report {
    /// The longest time without a bind after something had happened.
    pub fn since(&self, event: Instant) -> String {
        let pairs = self.0.windows(2).filter(|pair| pair[1] > event);
        let longest = pairs.map(|pair| pair[1] - pair[0]).max();
        format!(
            "{} pods bound, nothing was bound for {:.2?}",
            self.0.len(),
            longest.unwrap_or_default()
        )
    }
}
