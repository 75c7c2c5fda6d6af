//! One round: a scheduler is started, pods are created, and it is seen when they are bound.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;

use super::connection::Server;
use super::contender::{Contender, Running};
use super::fleet::{Creation, Fleet, Pace};
use super::gangs::GangsMeasured;
use super::histogram;
use super::kinds::PodKind;
use super::observer::{Goal, Observer, Seen};
use super::options::Plan;
use super::pods_path;
use super::preemption::{self, PreemptionMeasured};
use super::quantiles::{Quantiles, count, middle_rate, milliseconds};
use super::usage::{self, CpuSeconds, Pids, Reading};
use crate::ControlPlane;
use crate::progress::Progress;

/// How often it is looked whether a round still goes on.
const POLL: Duration = Duration::from_millis(100);

/// A machine is quiet when less than this many cores work...
const QUIET: f64 = 0.1;

/// ...over this time.
const QUIET_PERIOD: Duration = Duration::from_secs(1);

/// What a round has shown.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// From the first create to the last bind.
    pub seconds: f64,
    /// Pods per second over this time.
    pub pods_per_second: f64,
    /// Pods per second between the moments when 10% and 90% were bound.
    pub middle_rate: f64,
    /// Pods per second that were created.
    pub create_rate: f64,
    /// Create to bound. In an open loop the time counts from when the pod was due.
    pub latency_ms: Quantiles,
    /// How late pods were sent; it is part of the latency in an open loop.
    pub lag_ms: Quantiles,
    /// A scheduling attempt as the scheduler's own metrics tell it, if it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt_ms: Option<Attempt>,
    /// Who spent CPU time, from the first create until the scheduler was idle again.
    pub cpu_seconds: CpuSeconds,
    /// The length of that time.
    pub cpu_window_seconds: f64,
    /// The scheduler's largest resident memory since its start.
    pub peak_memory_bytes: u64,
    /// On how many nodes the pods are.
    pub nodes_used: usize,
    /// How many pods are on the node that has most of them.
    pub fullest_node: usize,
    /// How often the API server ended the observing watch, which delays what is seen.
    pub watch_restarts: u32,
    /// How gangs fared, if the pods form some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gangs: Option<GangsMeasured>,
    /// How pods fared for which others had to go, if there were some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preemption: Option<PreemptionMeasured>,
}

impl Measured {
    /// How many cores other programs used meanwhile.
    pub fn elsewhere_cores(&self) -> f64 {
        self.cpu_seconds.elsewhere / self.cpu_window_seconds
    }
}

/// Quantiles of scheduling attempts, interpolated within the buckets of a histogram.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Attempt {
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// Everything that rounds on one control plane share.
pub struct Stage<'a> {
    /// The control plane.
    pub control_plane: &'a ControlPlane,
    /// The way to it.
    pub server: Arc<Server>,
    /// The connections that create and delete.
    pub fleet: Fleet,
    /// How many nodes there are.
    pub nodes: usize,
    /// What to measure.
    pub plan: &'a Plan,
    /// Where progress is told.
    pub progress: &'a mut Progress,
    /// Rounds so far, for names of pods that were never used before.
    pub started: usize,
}

impl Stage<'_> {
    /// Runs a round and removes its pods, also when it fails.
    pub async fn round(
        &mut self,
        contender: Contender,
        kind: &PodKind,
        pods: usize,
    ) -> Result<Measured> {
        self.started += 1;
        let prefix = format!("r{}", self.started);
        let name = contender.name();
        let fillers = kind.preemption.map_or_else(Vec::new, |preemption| {
            preemption.fillers(&prefix, self.nodes)
        });
        let result = async {
            if !fillers.is_empty() {
                self.fleet.create_fillers(&fillers, self.progress).await?;
            }
            let plan = self.plan;
            let mut running = Running::start(
                contender,
                self.control_plane,
                kind,
                plan.null_in_flight,
                &plan.berth_args,
            )
            .await?;
            match self
                .measure(&mut running, contender, kind, &prefix, pods, fillers.len())
                .await
            {
                Ok(measured) => Ok(measured),
                Err(error) => {
                    Err(error.context(format!("the end of its output:\n{}", running.tail())))
                }
            }
            // The scheduler ends here, so that it does not see its pods go.
        }
        .await
        .map_err(|error| anyhow!("{name}: {}", causes(&error)));
        let mut deleted = self
            .fleet
            .delete_pods(pods_path, &prefix, pods, self.progress)
            .await;
        if deleted.is_ok() && !fillers.is_empty() {
            deleted = self
                .fleet
                .delete_pods(preemption::path, &prefix, fillers.len(), self.progress)
                .await;
        }
        let measured = result?;
        deleted?;
        if kind.gangs.is_some() {
            self.fleet.delete_groups().await?;
        }
        Ok(measured)
    }

    async fn measure(
        &mut self,
        running: &mut Running,
        contender: Contender,
        kind: &PodKind,
        prefix: &str,
        pods: usize,
        fillers: usize,
    ) -> Result<Measured> {
        self.wait_for_quiet().await?;
        let pace = self.plan.pace(kind);
        let bodies = kind.pods(&contender.scheduler_name(), prefix, pods, pace);
        let goal = Goal {
            pods,
            gangs: kind
                .gangs
                .map(|gangs| (gangs, gangs.room(pods, self.nodes))),
            stall: self.plan.stall(),
        };
        if let Some(gangs) = kind.gangs {
            let groups = gangs.groups(prefix, pods);
            self.fleet.create_groups(&groups, self.progress).await?;
        }
        let mut observer = Observer::start(&self.server, prefix, goal).await?;
        let pids = Pids {
            scheduler: running.pid(),
            apiserver: self
                .control_plane
                .apiserver()
                .context("no API server")?
                .pid(),
            etcd: self.control_plane.etcd().pid(),
        };
        let before = Reading::take(pids)?;
        let begin = Instant::now();
        let creation = self.create(bodies, pace, &observer).await?;
        let seen = self.wait(&mut observer, running, goal).await?;
        running.wait_until_idle().await?;
        let cpu_seconds = Reading::take(pids)?.since(before);
        let cpu_window_seconds = begin.elapsed().as_secs_f64();
        let attempt_ms = match self.plan.latency {
            true => running.metrics().await?.as_deref().and_then(attempt),
            false => None,
        };
        let bound: Vec<Duration> = seen
            .bound
            .iter()
            .flatten()
            .map(|moment| moment.saturating_duration_since(creation.start))
            .collect();
        let latencies: Vec<Option<Duration>> = seen
            .bound
            .iter()
            .zip(&creation.wanted)
            .map(|(moment, wanted)| {
                let bound = moment.as_ref()?.saturating_duration_since(creation.start);
                Some(bound.saturating_sub(*wanted))
            })
            .collect();
        let preemption = if kind.preemption.is_some() {
            let mix = match pace {
                Pace::Mixed(mix) => Some(mix),
                Pace::AtOnce | Pace::PerSecond(_) => None,
            };
            let left = self.fleet.count(&preemption::path("")).await?;
            let evictions = fillers.saturating_sub(left);
            Some(PreemptionMeasured::of(mix, evictions, &latencies))
        } else {
            None
        };
        let last = bound.iter().max().copied().unwrap_or_default();
        Ok(Measured {
            seconds: last.as_secs_f64(),
            pods_per_second: count(bound.len()) / last.as_secs_f64(),
            middle_rate: middle_rate(&bound),
            create_rate: count(pods) / creation.end.as_secs_f64(),
            latency_ms: Quantiles::of(latencies.iter().flatten().copied()),
            lag_ms: Quantiles::of(creation.lag),
            attempt_ms,
            cpu_seconds,
            cpu_window_seconds,
            peak_memory_bytes: usage::peak_memory(pids.scheduler)?,
            nodes_used: seen.nodes,
            fullest_node: seen.fullest,
            watch_restarts: seen.watch_restarts,
            gangs: kind
                .gangs
                .map(|gangs| GangsMeasured::of(gangs, self.nodes, &seen.bound, creation.start)),
            preemption,
        })
    }

    /// Waits until the machine has nothing else to do, as long as the plan allows.
    async fn wait_for_quiet(&mut self) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < self.plan.quiet() {
            let before = usage::machine_seconds()?;
            tokio::time::sleep(QUIET_PERIOD).await;
            if usage::machine_seconds()? - before < QUIET * QUIET_PERIOD.as_secs_f64() {
                break;
            }
        }
        Ok(())
    }

    /// Creates the pods and meanwhile tells how many are bound.
    async fn create(
        &mut self,
        bodies: Vec<bytes::Bytes>,
        pace: Pace,
        observer: &Observer,
    ) -> Result<Creation> {
        let pods = bodies.len();
        let creation = self.fleet.create_pods(bodies, pace);
        tokio::pin!(creation);
        loop {
            tokio::select! {
                result = &mut creation => return result,
                () = tokio::time::sleep(POLL) => self.progress.done(*observer.seen.borrow(), pods),
            }
        }
    }

    /// Waits until all pods are bound, as long as there is progress; with gangs, until there is none.
    async fn wait(
        &mut self,
        observer: &mut Observer,
        running: &mut Running,
        Goal { pods, gangs, .. }: Goal,
    ) -> Result<Seen> {
        let start = Instant::now();
        let mut last = (0, start);
        loop {
            tokio::select! {
                result = &mut observer.task => {
                    let seen = result.context("the observer panicked")??;
                    if seen.bound.iter().all(Option::is_none) {
                        bail!("none of {pods} pods was bound for {} s", self.plan.stall);
                    }
                    return Ok(seen);
                }
                () = tokio::time::sleep(POLL) => {}
            }
            let seen = *observer.seen.borrow();
            self.progress.done(seen, pods);
            running
                .check_alive()
                .with_context(|| format!("{seen} of {pods} pods are bound"))?;
            if seen > last.0 {
                last = (seen, Instant::now());
            }
            if gangs.is_none() && last.1.elapsed() > self.plan.stall() {
                bail!(
                    "{seen} of {pods} pods are bound, and none was for {} s",
                    self.plan.stall
                );
            }
            if start.elapsed() > self.plan.limit() {
                bail!(
                    "{seen} of {pods} pods are bound after {:?}",
                    self.plan.limit()
                );
            }
        }
    }
}

/// The quantiles of scheduling attempts on a metrics page.
fn attempt(page: &str) -> Option<Attempt> {
    let at = |quantile| {
        histogram::quantile(page, quantile)
            .map(|seconds| milliseconds(Duration::from_secs_f64(seconds)))
    };
    Some(Attempt {
        p50: at(0.5)?,
        p99: at(0.99)?,
    })
}

/// The reasons first, the output of the scheduler last.
fn causes(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = error.chain().map(ToString::to_string).collect();
    if parts.len() > 1 {
        parts.rotate_left(1);
    }
    parts.join("; ")
}
