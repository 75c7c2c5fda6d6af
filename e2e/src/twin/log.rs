//! What kube-scheduler tells in its log: the final score of every node it could choose, and which nodes it knows of.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The arguments with which kube-scheduler tells it.
pub const ARGS: &str = "--vmodule=schedule_one=10,eventhandlers=3";

const SCORE: &str = "\"Calculated node's final score for pod\" pod=\"";
const DELETED_NODE: &str = "\"Delete event for node\" node=\"";

/// The log of a kube-scheduler, read on from where it was read to.
#[derive(Debug)]
pub struct Log {
    file: BufReader<File>,
    /// The line that is not yet written to its end.
    line: String,
    /// Per pod (`namespace/name`) the score of each node.
    scores: HashMap<String, HashMap<String, i64>>,
    deleted: HashSet<String>,
}

impl Log {
    /// The log in this file.
    pub fn open(path: &Path) -> Result<Self> {
        let file =
            File::open(path).with_context(|| format!("cannot read the log {}", path.display()))?;
        Ok(Self {
            file: BufReader::new(file),
            line: String::new(),
            scores: HashMap::new(),
            deleted: HashSet::new(),
        })
    }

    /// The nodes with the highest score for a pod (`namespace/name`) that was scheduled. There are none if only one
    /// node was left to choose: then nothing is scored.
    pub fn best(&mut self, pod: &str) -> Result<BTreeSet<String>> {
        self.read()?;
        let scores = self.scores.remove(pod).unwrap_or_default();
        let best = scores.values().copied().max();
        Ok(scores
            .into_iter()
            .filter(|(_, score)| Some(*score) == best)
            .map(|(node, _)| node)
            .collect())
    }

    /// Waits until kube-scheduler has seen that a node is gone.
    pub async fn wait_deleted(&mut self, node: &str, limit: Duration) -> Result<()> {
        let start = Instant::now();
        loop {
            self.read()?;
            if self.deleted.remove(node) {
                return Ok(());
            }
            if start.elapsed() > limit {
                bail!("kube-scheduler has not seen in {limit:?} that node {node} is gone");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn read(&mut self) -> Result<()> {
        loop {
            self.file.read_line(&mut self.line)?;
            if !self.line.ends_with('\n') {
                return Ok(());
            }
            if let Some((_, rest)) = self.line.split_once(SCORE) {
                let (pod, node, score) = score(rest)
                    .with_context(|| format!("the log has an unknown line: {}", self.line))?;
                let scores = self.scores.entry(pod.to_owned()).or_default();
                scores.insert(node.to_owned(), score);
            } else if let Some((_, rest)) = self.line.split_once(DELETED_NODE)
                && let Some((node, _)) = rest.split_once('"')
            {
                self.deleted.insert(node.to_owned());
            }
            self.line.clear();
        }
    }
}

/// The pod, the node and the score of a line.
fn score(rest: &str) -> Option<(&str, &str, i64)> {
    let (pod, rest) = rest.split_once("\" node=\"")?;
    let (node, score) = rest.split_once("\" score=")?;
    Some((pod, node, score.trim().parse().ok()?))
}
