//! Berth and kube-scheduler side by side in one cluster, asked the same questions.
//!
//! Both run against one API server, kube-scheduler for the names that begin with `kube`, the scheduler under test for
//! those that begin with `berth`, with the same configuration. A pod is given to one of them, deleted, and then given to
//! the other one, so that neither sees what the other one did. What is compared: bound or not, the condition, the events.
//! Where nodes are equally good the choice is free, so Berth's node has to be among those to which kube-scheduler itself
//! gave its highest score: kube-scheduler writes the final score of every node into its log, and that is read.
//!
//! Nothing waits for time to pass. Before a question is asked about nodes that have just changed, a further node comes
//! and goes; when both have seen that, they have seen what was before. Pods need no such care, since questions are pods.

mod board;
mod log;
pub mod options;
mod profiles;
pub mod questions;
mod rest;
pub mod scenario;
mod victims;
mod world;

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::future::{try_join, try_join_all};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use self::board::{Board, View};
use self::log::Log;
use self::profiles::profiles;
pub use self::rest::{Change, OWN};
use self::rest::{Rest, pod_path};
use crate::controlplane::SchedulerOptions;
use crate::harness::{metric, node_of, scheduled_condition};
use crate::objects::{PodBuilder, node, pod};
use crate::pool::Lease;
use crate::{Scheduler, SchedulerKind};

/// How long an answer may take that normally takes milliseconds; far below the time after which a scheduler tries a
/// pod again that nothing woke up.
const LIMIT: Duration = Duration::from_secs(20);

/// Namespaces besides `default`, with the value of their label `team`.
const NAMESPACES: [&str; 2] = ["blue", "green"];

/// Priority classes, with their values.
const CLASSES: [(&str, i32); 6] = [
    ("lowest", i32::MIN),
    ("negative", -10),
    ("low", 10),
    ("middle", 100),
    ("high", 1000),
    ("top", 5000),
];

/// Where pods live that only show what a scheduler has seen.
const PROBES: &str = "probes";

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// kube-scheduler, which is right by definition.
    Kube,
    /// The scheduler under test.
    Berth,
}

impl Side {
    /// How the names of its profiles and pods begin.
    fn prefix(self) -> &'static str {
        match self {
            Self::Kube => "kube",
            Self::Berth => "berth",
        }
    }

    /// The schedulerName of one of [`profiles`].
    fn scheduler_name(self, profile: &str) -> String {
        let prefix = self.prefix();
        if profile.is_empty() {
            prefix.to_owned()
        } else {
            format!("{prefix}-{profile}")
        }
    }
}

/// What a scheduler says to a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// It is bound to this node.
    Bound(String),
    /// It is not, with the reason and the message of its condition.
    Refused {
        /// The condition's reason.
        reason: String,
        /// The condition's message.
        message: String,
    },
}

impl Answer {
    /// The answer that a pod carries, if it has got one.
    fn of(pod: &Pod) -> Option<Self> {
        if let Some(node) = node_of(pod) {
            return Some(Self::Bound(node.to_owned()));
        }
        let condition = scheduled_condition(pod)?;
        let message = condition.message.as_deref().unwrap_or_default();
        Some(Self::Refused {
            reason: condition.reason.clone().unwrap_or_default(),
            message: without_stray_words(message).to_owned(),
        })
    }

    /// Whether an event has the message of a refusal, which it may cut off.
    fn is_told_by(&self, event: &Event) -> bool {
        let note = without_stray_words(event.note.as_deref().unwrap_or_default());
        match self {
            Self::Bound(_) => true,
            Self::Refused { message, .. } => {
                message.starts_with(note.strip_suffix(" ...").unwrap_or(note))
            }
        }
    }

    fn is_gate(&self) -> bool {
        matches!(self, Self::Refused { reason, .. } if reason == "SchedulingGated")
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bound(node) => write!(formatter, "bound to {node}"),
            Self::Refused { reason, message } => write!(formatter, "{reason}: {message}"),
        }
    }
}

/// A pod that is asked about.
#[derive(Debug, Clone)]
struct Question {
    side: Side,
    scheduler: String,
    /// `namespace/name`.
    key: String,
    path: String,
}

/// What is to be known of a scheduler beyond its answers.
#[derive(Debug)]
struct Party {
    scheduler: Scheduler,
    log: Option<Log>,
}

/// The two schedulers in their cluster.
#[derive(Debug)]
pub struct Twins {
    // They end before their control plane is given back.
    kube: Party,
    berth: Party,
    board: Board,
    rest: Rest,
    _lease: Lease,
    /// Numbers for names.
    next: u64,
    /// The paths of what exists, oldest first.
    made: Vec<String>,
    /// The paths of those that finalizers keep.
    held: Vec<String>,
    /// Nodes have changed since both were last known to have seen everything.
    unseen: bool,
}

impl Twins {
    /// Starts both in an empty cluster.
    pub async fn start() -> Result<Self> {
        let lease = Lease::take().await?;
        let client = lease.client()?;
        let rest = Rest(client.clone());
        for name in NAMESPACES {
            let namespace = json!({"metadata": {"name": name, "labels": {"team": name}}});
            rest.create("/api/v1/namespaces", &namespace).await?;
        }
        let probes = json!({"metadata": {"name": PROBES}});
        rest.create("/api/v1/namespaces", &probes).await?;
        let heavy = json!({
            "metadata": {"name": "heavy"}, "handler": "heavy", "overhead": {"podFixed": {"cpu": "1"}},
        });
        rest.create("/apis/node.k8s.io/v1/runtimeclasses", &heavy)
            .await?;
        let patient = json!({
            "metadata": {"name": "patient"}, "value": 1000, "preemptionPolicy": "Never",
        });
        rest.create("/apis/scheduling.k8s.io/v1/priorityclasses", &patient)
            .await?;
        for (name, value) in CLASSES {
            let class = json!({"metadata": {"name": name}, "value": value});
            rest.create("/apis/scheduling.k8s.io/v1/priorityclasses", &class)
                .await?;
        }
        let (kube, berth) = try_join(
            Party::start(SchedulerKind::KubeScheduler, Side::Kube, &lease),
            Party::start(SchedulerKind::under_test()?, Side::Berth, &lease),
        )
        .await?;
        Ok(Self {
            kube,
            berth,
            board: Board::new(&client),
            rest,
            _lease: lease,
            next: 0,
            made: Vec::new(),
            held: Vec::new(),
            unseen: false,
        })
    }

    /// Changes the cluster.
    async fn apply(&mut self, change: &Change) -> Result<()> {
        self.apply_to(change, "").await
    }

    async fn apply_to(&mut self, change: &Change, own: &str) -> Result<()> {
        self.unseen |= change.is_about_nodes();
        let made = self.rest.apply(change, own).await?;
        if change.has_finalizers() {
            self.held.extend(made.clone());
        }
        self.made.extend(made);
        Ok(())
    }

    /// Takes away everything that was made, newest first, and the changes of namespaces.
    async fn clear(&mut self) -> Result<()> {
        for path in std::mem::take(&mut self.held) {
            self.rest.release(&path).await?;
        }
        let made = std::mem::take(&mut self.made);
        self.unseen |= !made.is_empty();
        let (pods, rest): (Vec<_>, Vec<_>) = made.iter().rev().partition(|path| {
            let mut parts = path.rsplit('/');
            parts.nth(1) == Some("pods")
        });
        // Pods go before their nodes.
        for group in pods.chunks(16).chain(rest.chunks(16)) {
            try_join_all(group.iter().map(|path| self.rest.delete(path))).await?;
        }
        for name in NAMESPACES {
            let change = Change::label_namespace(name, json!({"team": name, "extra": null}));
            self.rest.apply(&change, "").await?;
        }
        self.board.forget_events();
        Ok(())
    }

    /// Waits until both have seen all changes of nodes.
    async fn catch_up(&mut self) -> Result<()> {
        if !self.unseen {
            return Ok(());
        }
        let nodes: Api<Node> = Api::all(self.rest.0.clone());
        let nodes = nodes.list_metadata(&ListParams::default()).await?;
        let number = self.number().to_string();
        let name = format!("marker-{number}");
        let marker = node(&name).unschedulable().label("marker", &number);
        self.rest.apply(&Change::node(marker), "").await?;
        if self.berth.log.is_none() {
            // Without a log, a pod on the marker shows that it was seen.
            let probe = pod("probe")
                .namespace(PROBES)
                .selector("marker", &number)
                .toleration(json!({"operator": "Exists"}));
            let question = self.ask(&probe, Side::Berth, "").await?;
            self.wait(&question, |answer| matches!(answer, Answer::Bound(_)))
                .await?;
            self.withdraw(question).await?;
        }
        self.rest.delete(&format!("/api/v1/nodes/{name}")).await?;
        let count = nodes.items.len();
        self.kube.wait_marker_gone(&name, count).await?;
        self.berth.wait_marker_gone(&name, count).await?;
        self.unseen = false;
        Ok(())
    }

    /// Waits until a scheduler has decided about everything that pods or earlier changes woke up: it takes one pod at a
    /// time, so when it has refused two that came one after the other, nothing from before is left.
    async fn settle(&mut self, side: Side) -> Result<()> {
        for _ in 0..2 {
            let probe = pod("probe")
                .namespace(PROBES)
                .selector("no-node-has", "this");
            let question = self.ask(&probe, side, "").await?;
            self.wait(&question, |_| true).await?;
        }
        Ok(())
    }

    /// Gives a pod to a scheduler.
    async fn ask(&mut self, pod: &PodBuilder, side: Side, profile: &str) -> Result<Question> {
        let number = self.number();
        let name = format!("{}-{number}", side.prefix());
        let scheduler = side.scheduler_name(profile);
        let change = Change::pod(pod.clone().named(&name).scheduler(&scheduler));
        let Change::Create(collection, _) = &change else {
            bail!("a pod is made by creating it");
        };
        let namespace = collection
            .strip_prefix("/api/v1/namespaces/")
            .and_then(|rest| rest.strip_suffix("/pods"))
            .context("a pod has a namespace")?;
        let (key, path) = (format!("{namespace}/{name}"), pod_path(namespace, &name));
        self.apply(&change).await?;
        Ok(Question {
            side,
            scheduler,
            key,
            path,
        })
    }

    /// Takes a pod back.
    async fn withdraw(&mut self, question: Question) -> Result<()> {
        self.rest.delete(&question.path).await?;
        self.made.retain(|path| *path != question.path);
        Ok(())
    }

    /// Waits for an answer to a pod.
    async fn wait(&self, question: &Question, accept: impl Fn(&Answer) -> bool) -> Result<Answer> {
        let pod = |view: &View| view.pod(&question.key).and_then(Answer::of);
        self.board
            .wait(
                LIMIT,
                |view| pod(view).filter(&accept),
                |view| match pod(view) {
                    Some(answer) => format!("the pod of {} is {answer}", question.scheduler),
                    None => format!("{} has not answered", question.scheduler),
                },
            )
            .await
    }

    /// The texts of all events about a pod, when there is one with this reason, and with its message if it was refused.
    async fn events(
        &self,
        question: &Question,
        reason: Option<&str>,
        answer: &Answer,
    ) -> Result<BTreeSet<String>> {
        self.board
            .wait(
                LIMIT,
                |view| {
                    let is_it = |event: &&Event| {
                        event.reason.as_deref() == reason && answer.is_told_by(event)
                    };
                    if reason.is_some() {
                        view.events(&question.key).find(is_it)?;
                    }
                    let node = view.pod(&question.key).and_then(node_of);
                    let events = view.events(&question.key);
                    Some(events.map(|event| question.describe(event, node)).collect())
                },
                |_| format!("no event {reason:?} of {}", question.scheduler),
            )
            .await
    }

    /// The nodes that kube-scheduler found best for a pod that it has bound to this one.
    fn best(&mut self, question: &Question, node: &str) -> Result<BTreeSet<String>> {
        let log = match question.side {
            Side::Kube => self.kube.log.as_mut(),
            Side::Berth => self.berth.log.as_mut(),
        };
        let mut best = match log {
            Some(log) => log.best(&question.key)?,
            None => BTreeSet::new(),
        };
        // With a single node left there are no scores.
        best.insert(node.to_owned());
        Ok(best)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Question {
    /// An event without what has to differ: the pod, the node where several are equally good, the scheduler's name.
    fn describe(&self, event: &Event, node: Option<&str>) -> String {
        let note = event.note.as_deref().unwrap_or("");
        let note = match note.strip_prefix("Successfully assigned ") {
            Some(rest) => {
                let expected = format!("{} to {}", self.key, node.unwrap_or("?"));
                let fits = if rest == expected {
                    "POD to NODE"
                } else {
                    rest
                };
                format!("Successfully assigned {fits}")
            }
            None => without_stray_words(note).to_owned(),
        };
        let controller = event.reporting_controller.as_deref().unwrap_or("");
        let by = if controller == self.scheduler {
            "its scheduler"
        } else {
            controller
        };
        format!(
            "{} {}, {}, by {by}, related {:?}: {note}",
            event.type_.as_deref().unwrap_or(""),
            event.reason.as_deref().unwrap_or(""),
            event.action.as_deref().unwrap_or(""),
            event.related.as_ref().and_then(|one| one.name.as_deref()),
        )
    }
}

/// A text without the two words with which kube-scheduler ends it when a plugin refuses a pod for all nodes at once;
/// Berth leaves them out (docs/compatibility.md).
fn without_stray_words(text: &str) -> &str {
    match text.strip_suffix(" not found") {
        Some(rest) if rest.ends_with('.') => rest,
        _ => text,
    }
}

impl Party {
    async fn start(kind: SchedulerKind, side: Side, lease: &Lease) -> Result<Self> {
        let profiles: Vec<Value> = profiles()
            .into_iter()
            .map(|(name, arguments)| {
                json!({"schedulerName": side.scheduler_name(name), "pluginConfig": arguments})
            })
            .collect();
        let is_kube = kind == SchedulerKind::KubeScheduler;
        let mut options = SchedulerOptions {
            configuration: Some(json!({
                "podInitialBackoffSeconds": 1, "podMaxBackoffSeconds": 1, "profiles": profiles,
            })),
            ..SchedulerOptions::default()
        };
        if is_kube {
            options.args = vec![
                log::ARGS.to_owned(),
                // It would reuse the scores of the pod before instead of telling those of each.
                "--feature-gates=OpportunisticBatching=false".to_owned(),
            ];
        }
        let scheduler = Scheduler::start_with(kind, lease, &[], options).await?;
        let log = is_kube.then(|| Log::open(scheduler.log())).transpose()?;
        Ok(Self { scheduler, log })
    }

    /// Waits until a scheduler has seen that the marker is gone. If it has no log that tells, it is one that is known
    /// to have seen the marker come, when there were this many nodes besides.
    async fn wait_marker_gone(&mut self, name: &str, nodes: usize) -> Result<()> {
        if let Some(log) = &mut self.log {
            return log.wait_deleted(name, LIMIT).await;
        }
        let start = Instant::now();
        loop {
            let page = self.scheduler.metrics().await?;
            let known = metric(&page, "scheduler_cache_size", &["type=\"nodes\""]);
            if known == Some(nodes as f64) {
                return Ok(());
            }
            if start.elapsed() > LIMIT {
                bail!("the scheduler counts {known:?} nodes after {LIMIT:?}, not {nodes}");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
