//! What becomes of the pods, as a watch of its own sees it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::Client;
use kube::core::WatchEvent;
use serde::Deserialize;
use tokio::task::JoinHandle;

use super::gangs::{GROUP, Gangs, Shown};
use super::workload::{Kind, Planned};

/// How long the watch lasts: far longer than the demonstration.
const WATCH: &str = "/api/v1/namespaces/default/pods?watch=1&resourceVersion=0&timeoutSeconds=600";

/// When pods were created.
#[derive(Debug, Default)]
pub(super) struct Clock(Mutex<HashMap<String, Instant>>);

impl Clock {
    /// A pod is created now.
    pub(super) fn created(&self, name: &str) {
        self.lock().insert(name.to_owned(), Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a pod.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) kind: &'static Kind,
    pub(super) bound: Option<Instant>,
    /// The text of its condition while it waits.
    pub(super) why: String,
    told: bool,
}

/// Watches the pods of the demonstration.
pub(super) struct Observer {
    clock: Arc<Clock>,
    pods: Arc<Mutex<HashMap<String, Seen>>>,
    gangs: Arc<Gangs>,
    task: JoinHandle<()>,
}

/// How far it is.
#[derive(Debug)]
pub(super) struct Progress {
    created: usize,
    placed: usize,
    placeable: usize,
    told: usize,
    others: usize,
    gangs: usize,
    whole: usize,
    gangs_settled: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct Pod {
    metadata: Metadata,
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Debug, Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    labels: HashMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    node_name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    message: String,
}

impl Observer {
    pub(super) fn start(client: Client, plan: &[Planned], gangs: Arc<Gangs>) -> Self {
        let seen = |planned: &Planned| Seen {
            kind: planned.kind,
            bound: None,
            why: String::new(),
            told: false,
        };
        let pods: HashMap<_, _> = plan
            .iter()
            .map(|planned| (planned.name.clone(), seen(planned)))
            .collect();
        let pods = Arc::new(Mutex::new(pods));
        let task = tokio::spawn(follow(client, Arc::clone(&pods), Arc::clone(&gangs)));
        Self {
            clock: Arc::new(Clock::default()),
            pods,
            gangs,
            task,
        }
    }

    /// Where to write when a pod is created.
    pub(super) fn clock(&self) -> Arc<Clock> {
        Arc::clone(&self.clock)
    }

    /// The gangs.
    pub(super) fn gangs(&self) -> &Gangs {
        &self.gangs
    }

    pub(super) fn progress(&self) -> Progress {
        let (gangs, whole) = self.gangs.whole();
        let gangs_settled = self.gangs.settled();
        let pods = lock(&self.pods);
        let count = |wanted: fn(&Seen) -> bool| pods.values().filter(|seen| wanted(seen)).count();
        Progress {
            created: self.clock.lock().len(),
            placed: count(|seen| seen.bound.is_some()),
            placeable: count(|seen| seen.kind.fits),
            told: count(|seen| !seen.kind.fits && seen.told),
            others: count(|seen| !seen.kind.fits),
            gangs,
            whole,
            gangs_settled,
        }
    }

    /// All pods, with the time from their creation to their binding.
    pub(super) fn pods(&self) -> Vec<(Seen, Option<Duration>)> {
        let clock = self.clock.lock();
        let pods = lock(&self.pods);
        let with_time = pods.iter().map(|(name, seen)| {
            let created = clock.get(name);
            let took = seen
                .bound
                .zip(created)
                .map(|(bound, created)| bound.saturating_duration_since(*created));
            (seen.clone(), took)
        });
        with_time.collect()
    }

    /// From the first creation to the last binding.
    pub(super) fn span(&self) -> Duration {
        let first = self.clock.lock().values().min().copied();
        let last = lock(&self.pods)
            .values()
            .filter_map(|seen| seen.bound)
            .max();
        first
            .zip(last)
            .map(|(first, last)| last.saturating_duration_since(first))
            .unwrap_or_default()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Progress {
    pub(super) fn all_placed(&self) -> bool {
        self.placed >= self.placeable
    }

    pub(super) fn gangs_settled(&self) -> bool {
        self.gangs_settled
    }

    pub(super) fn all_told(&self) -> bool {
        self.told >= self.others
    }

    pub(super) fn line(&self, elapsed: Duration) -> String {
        let gangs = if self.gangs == 0 {
            String::new()
        } else {
            format!("  gangs {}/{} whole", self.whole, self.gangs)
        };
        format!(
            "{:4.1} s  created {}/{}  placed {}/{}  pending {}{gangs}",
            elapsed.as_secs_f64(),
            self.created,
            self.placeable + self.others,
            self.placed,
            self.placeable,
            self.created.saturating_sub(self.placed),
        )
    }
}

/// Watches until it is dropped; what was missed when a watch broke comes with the next.
async fn follow(client: Client, pods: Arc<Mutex<HashMap<String, Seen>>>, gangs: Arc<Gangs>) {
    loop {
        if let Ok(request) = http::Request::get(WATCH).body(Vec::new())
            && let Ok(events) = client.request_events::<Pod>(request).await
        {
            let mut events = events.boxed();
            while let Some(Ok(event)) = events.next().await {
                if let WatchEvent::Added(pod) | WatchEvent::Modified(pod) = event {
                    note(&pods, &gangs, pod);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn note(pods: &Mutex<HashMap<String, Seen>>, gangs: &Gangs, pod: Pod) {
    let bound = !pod.spec.node_name.is_empty();
    let mut conditions = pod.status.conditions;
    let mut condition = |kind: &str| {
        let place = conditions.iter().position(|held| held.kind == kind)?;
        Some(conditions.swap_remove(place))
    };
    let evicted = condition("DisruptionTarget").is_some();
    let condition = condition("PodScheduled");
    let name = &pod.metadata.name;
    if let Some(gang) = pod.metadata.labels.get(GROUP) {
        let shown = Shown {
            bound,
            evicted,
            why: condition.map(|condition| condition.message),
        };
        gangs.note(gang, name, shown);
        return;
    }
    let mut pods = lock(pods);
    let Some(seen) = pods.get_mut(name) else {
        return;
    };
    if bound {
        seen.bound.get_or_insert_with(Instant::now);
    }
    if let Some(condition) = condition {
        seen.told = true;
        seen.why = condition.message;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
