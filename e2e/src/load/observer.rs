//! Sees with its own watch when pods are bound. No scheduler's word is taken for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::connection::Server;
use super::gangs::Gangs;
use super::kinds;
use super::watch::Watch;

/// When the gangs for which there is room are whole, it is looked so long for pods of others, which must not be bound.
const SETTLE: Duration = Duration::from_secs(3);

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    /// So many pods are created.
    pub pods: usize,
    /// They form gangs, for so many of which there is room; the others are expected to wait.
    pub gangs: Option<(Gangs, usize)>,
    /// With gangs, what was seen counts when no pod was bound for so long.
    pub stall: Duration,
}

/// An observation under way.
#[derive(Debug)]
pub struct Observer {
    /// How many pods have been seen bound.
    pub seen: watch::Receiver<usize>,
    /// What was seen, once all of them are, or nothing more is to be expected.
    pub task: JoinHandle<Result<Seen>>,
}

/// What was seen of a round.
#[derive(Debug)]
pub struct Seen {
    /// When each pod was first seen bound; None for those that wait.
    pub bound: Vec<Option<Instant>>,
    /// On how many nodes the pods are.
    pub nodes: usize,
    /// How many pods are on the node that has most of them.
    pub fullest: usize,
    /// How often the API server ended the watch meanwhile, which delays what is seen.
    pub watch_restarts: u32,
}

impl Observer {
    /// Begins to look at the pods of a round; there must be none yet.
    pub async fn start(server: &Arc<Server>, prefix: &str, goal: Goal) -> Result<Self> {
        // Only pods that have a node match, so that the API server sends each of them once.
        let watch = Watch::start(server, "spec.nodeName!=").await?;
        let (sender, seen) = watch::channel(0);
        let task = tokio::spawn(observe(watch, prefix.to_owned(), goal, sender));
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
    goal: Goal,
    progress: watch::Sender<usize>,
) -> Result<Seen> {
    let mut bound: Vec<Option<Instant>> = vec![None; goal.pods];
    let mut nodes: HashMap<String, usize> = HashMap::new();
    let mut seen = 0;
    let mut gangs = GangsSeen::new(goal);
    let mut last = Instant::now();
    while seen < goal.pods {
        let end = gangs.patience().map(|patience| last + patience);
        let next = watch.next(|pod| {
            let Some(node) = pod.spec.node_name else {
                return;
            };
            let index = kinds::pod_index(&prefix, &pod.metadata.name);
            let Some((index, moment @ None)) =
                index.and_then(|index| Some((index, bound.get_mut(index)?)))
            else {
                return;
            };
            last = *moment.insert(Instant::now());
            seen += 1;
            gangs.see(index);
            match nodes.get_mut(&*node) {
                Some(pods) => *pods += 1,
                None => drop(nodes.insert(node.into_owned(), 1)),
            }
        });
        match end {
            None => next.await?,
            Some(end) => match tokio::time::timeout_at(end.into(), next).await {
                Ok(result) => result?,
                Err(_) => break,
            },
        }
        progress.send_replace(seen);
    }
    Ok(Seen {
        bound,
        fullest: nodes.values().copied().max().unwrap_or_default(),
        nodes: nodes.len(),
        watch_restarts: watch.restarts(),
    })
}

/// How many pods of each gang were seen.
struct GangsSeen {
    goal: Goal,
    members: Vec<usize>,
    whole: usize,
}

impl GangsSeen {
    fn new(goal: Goal) -> Self {
        let gangs = goal.gangs.map_or(0, |(gangs, _)| gangs.count(goal.pods));
        Self {
            goal,
            members: vec![0; gangs],
            whole: 0,
        }
    }

    fn see(&mut self, pod: usize) {
        let Some((gangs, _)) = self.goal.gangs else {
            return;
        };
        if let Some(members) = self.members.get_mut(gangs.gang_of(pod, self.goal.pods)) {
            *members += 1;
            self.whole += usize::from(*members == gangs.size);
        }
    }

    /// How long after the last pod another one is waited for; None for without end.
    fn patience(&self) -> Option<Duration> {
        let (_, room) = self.goal.gangs?;
        Some(if self.whole >= room {
            SETTLE
        } else {
            self.goal.stall
        })
    }
}
