//! The event lane: events.k8s.io events about pods and groups of pods, aggregated as client-go's `tools/events` does.
//!
//! Events are the last in line: each is a write to etcd, so that they are sent when no bind waits.

mod series;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{BindLoad, EventOrder, lane_result};
use crate::engine::{About, EventKind};
use crate::model::PodGroup;
use crate::runtime::client::ApiClient;
use crate::telemetry::metrics::{Lane, LaneMetrics, LaneResult, Metrics};
use series::{Flush, Known, SeriesCache, SeriesKey};

/// Events that may wait; beyond it the oldest is dropped.
const WAITING: usize = 20_000;
/// Events are written once the bind lane was calm for so long: writing one costs the server about
/// as much as creating and binding a pod, and would slow down the burst that it tells of.
const CALM: Duration = Duration::from_millis(50);
/// Under load that does not end, an event waits so long for a calm moment,
const HOLD: Duration = Duration::from_secs(10);
/// and from then on for a moment without a bind under way, or so long.
const PATIENCE: Duration = Duration::from_millis(100);
/// How often series are looked through.
const SWEEP: Duration = Duration::from_secs(60);
/// The API's limit for a note, in bytes.
const NOTE_LIMIT: usize = 1024;

/// Writes events.
pub(crate) struct EventLane {
    pub(crate) client: ApiClient,
    pub(crate) orders: mpsc::UnboundedReceiver<EventOrder>,
    pub(crate) load: Arc<BindLoad>,
    pub(crate) metrics: Arc<Metrics>,
    /// The name of this host, which reportingInstance ends with.
    pub(crate) host: String,
}

impl EventLane {
    /// Runs until there are no more orders and none is left to send.
    pub(crate) async fn run(mut self) {
        let lane = self.metrics.lane(Lane::Event);
        let mut waiting: VecDeque<(tokio::time::Instant, EventOrder)> = VecDeque::new();
        let mut written = tokio::time::Instant::now();
        let mut series = SeriesCache::default();
        let mut sweep = tokio::time::interval(SWEEP);
        let mut open = true;
        while open || !waiting.is_empty() {
            lane.queued(waiting.len());
            tokio::select! {
                // Orders first, so that those beyond the limit are dropped and not piled up.
                biased;
                order = self.orders.recv(), if open => match order {
                    Some(order) => {
                        if waiting.len() >= WAITING {
                            waiting.pop_front();
                            lane.dropped();
                        }
                        waiting.push_back((tokio::time::Instant::now(), order));
                    }
                    None => open = false,
                },
                _ = sweep.tick() => {
                    for flush in series.sweep(Instant::now()) {
                        self.patch_series(&flush, &lane).await;
                    }
                }
                () = turn(&self.load, waiting.front().map(|(came, _)| *came), written),
                    if !waiting.is_empty() =>
                {
                    if let Some((_, order)) = waiting.pop_front() {
                        self.write(order, &mut series, &lane).await;
                        written = tokio::time::Instant::now();
                    }
                }
            }
        }
    }

    async fn write(&self, order: EventOrder, series: &mut SeriesCache, lane: &LaneMetrics) {
        let now = jiff::Timestamp::now();
        let object = Object::of(&order.about);
        let key: SeriesKey = (object.uid.into(), order.event.resource_version);
        // A pod is scheduled once, and news of a group differ, so that only failures can repeat.
        if order.event.kind == EventKind::FailedScheduling {
            match series.observe(&key, Instant::now(), now) {
                Known::New => {}
                Known::Counted => return,
                Known::Patch(flush) => {
                    if self.patch_series(&flush, lane).await {
                        return;
                    }
                    // The event has expired at the server: it begins anew.
                    series.forget(&key);
                    series.observe(&key, Instant::now(), now);
                }
            }
        }
        let name = format!("{}.{:x}", object.name, now.as_nanosecond());
        let path = format!(
            "/apis/events.k8s.io/v1/namespaces/{}/events",
            object.namespace
        );
        let body = body(&order, &name, &self.host, now).to_string();
        let written = self
            .call(Method::POST, &path, "application/json", body, lane)
            .await;
        if written != LaneResult::Success {
            lane.dropped();
            series.forget(&key);
        } else if order.event.kind == EventKind::FailedScheduling {
            series.written(&key, object.namespace, name);
        }
    }

    /// False when the event is not there any more.
    async fn patch_series(&self, flush: &Flush, lane: &LaneMetrics) -> bool {
        let path = format!(
            "/apis/events.k8s.io/v1/namespaces/{}/events/{}",
            flush.namespace, flush.name
        );
        let body = json!({
            "series": { "count": flush.count, "lastObservedTime": micro_time(flush.last) }
        });
        let content_type = "application/strategic-merge-patch+json";
        let result = self
            .call(Method::PATCH, &path, content_type, body.to_string(), lane)
            .await;
        result != LaneResult::NotFound
    }

    /// One call, repeated once after a pause when the server is busy or silent.
    async fn call(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: String,
        lane: &LaneMetrics,
    ) -> LaneResult {
        let mut again = true;
        loop {
            let sent = Instant::now();
            let answer = self
                .client
                .send(method.clone(), path, content_type, body.clone().into())
                .await;
            let result = lane_result(&answer);
            lane.request(result, sent.elapsed().as_secs_f64());
            let busy = matches!(
                result,
                LaneResult::Throttled
                    | LaneResult::ServerError
                    | LaneResult::Timeout
                    | LaneResult::Transport
            );
            if !busy || !std::mem::take(&mut again) {
                if let Err(fault) = &answer {
                    tracing::debug!(%fault, "writing an event failed");
                }
                return result;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Returns when the event that came then may be written; the last one was written at `written`.
async fn turn(load: &BindLoad, came: Option<tokio::time::Instant>, written: tokio::time::Instant) {
    let Some(came) = came else { return };
    let held = came + HOLD;
    load.calm(CALM, held).await;
    if tokio::time::Instant::now() >= held {
        load.give_way(held.max(written) + PATIENCE).await;
    }
}

fn micro_time(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Cuts a note as kube-scheduler does, at a character's border.
fn truncate(note: &str) -> String {
    const SUFFIX: &str = " ...";
    if note.len() <= NOTE_LIMIT {
        return note.to_owned();
    }
    let end = note.floor_char_boundary(NOTE_LIMIT - SUFFIX.len());
    format!("{}{SUFFIX}", note.get(..end).unwrap_or_default())
}

/// What an event is about.
struct Object<'a> {
    kind: &'static str,
    api_version: String,
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
}

impl<'a> Object<'a> {
    fn of(about: &'a About) -> Self {
        match about {
            About::Pod(pod) => Self {
                kind: "Pod",
                api_version: "v1".to_owned(),
                namespace: &pod.namespace,
                name: &pod.name,
                uid: &pod.uid,
            },
            About::Group(group) => Self::of_group(group),
        }
    }

    fn of_group(group: &'a PodGroup) -> Self {
        let api_group = group.reference.dialect.api_group();
        Self {
            kind: "PodGroup",
            api_version: format!("{api_group}/{}", group.api_version),
            namespace: &group.reference.namespace,
            name: &group.reference.name,
            uid: &group.uid,
        }
    }

    fn reference(&self) -> Value {
        json!({
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
            "apiVersion": self.api_version,
        })
    }
}

fn body(order: &EventOrder, name: &str, host: &str, now: jiff::Timestamp) -> Value {
    let EventOrder { about, event } = order;
    let object = Object::of(about);
    let (kind, reason, action) = match event.kind {
        EventKind::Scheduled => ("Normal", "Scheduled", "Binding"),
        EventKind::FailedScheduling => ("Warning", "FailedScheduling", "Scheduling"),
        EventKind::Preempted => ("Normal", "Preempted", "Preempting"),
        EventKind::PreemptionLimited => ("Warning", "PreemptionLimited", "Preempting"),
        EventKind::WaitingForPodGroup => ("Normal", "WaitingForPodGroup", "Scheduling"),
        EventKind::GangOverdue => ("Warning", "GangOverdue", "Scheduling"),
        EventKind::GangDegraded => ("Warning", "GangDegraded", "Scheduling"),
        EventKind::AmbiguousPodGroup => ("Warning", "AmbiguousPodGroup", "Scheduling"),
    };
    let mut regarding = object.reference();
    if event.resource_version != 0 {
        regarding["resourceVersion"] = json!(event.resource_version.to_string());
    }
    let mut body = json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": { "name": name, "namespace": object.namespace },
        "eventTime": micro_time(now),
        "type": kind,
        "reason": reason,
        "action": action,
        "note": truncate(&event.note),
        "regarding": regarding,
        "reportingController": &*event.scheduler_name,
        "reportingInstance": format!("{}-{host}", event.scheduler_name),
    });
    if let Some(related) = &event.related {
        body["related"] = Object::of_group(related).reference();
    }
    body
}

#[cfg(test)]
mod tests;
