//! The status lane: the PodScheduled condition and nominations.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::Method;
use indexmap::IndexMap;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{BindLoad, StatusOrder, lane_result};
use crate::engine::{EffectId, Outcome, StatusPatch};
use crate::model::PodRef;
use crate::runtime::client::ApiClient;
use crate::runtime::mailbox::Mailbox;
use crate::telemetry::metrics::{Lane, LaneMetrics, LaneResult, Metrics};

/// Patches in flight.
const IN_FLIGHT: usize = 8;
/// Pods whose patch may wait. Beyond it the newest is dropped; the next attempt writes it again.
const WAITING: usize = 20_000;
/// How long a patch gives way to binds.
const PATIENCE: Duration = Duration::from_millis(20);
/// Attempts at one patch when the server is busy.
const ATTEMPTS: u32 = 4;

/// Patches statuses; only the newest patch of a pod is kept.
pub(crate) struct StatusLane {
    pub(crate) client: ApiClient,
    pub(crate) orders: mpsc::UnboundedReceiver<StatusOrder>,
    pub(crate) load: Arc<BindLoad>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) metrics: Arc<Metrics>,
}

impl StatusLane {
    /// Runs until there are no more orders and none is left to send.
    pub(crate) async fn run(mut self) {
        let lane = self.metrics.lane(Lane::Status);
        let mut waiting: IndexMap<Box<str>, StatusOrder> = IndexMap::new();
        let mut in_flight = FuturesUnordered::new();
        let mut limit = tokio::time::Instant::now();
        let mut open = true;
        while open || !waiting.is_empty() || !in_flight.is_empty() {
            lane.queued(waiting.len());
            tokio::select! {
                // Orders first, so that a newer patch of a pod takes the place of an older one.
                biased;
                order = self.orders.recv(), if open => match order {
                    Some(order) => {
                        if waiting.is_empty() {
                            limit = tokio::time::Instant::now() + PATIENCE;
                        }
                        self.take(order, &mut waiting, &lane);
                    }
                    None => open = false,
                },
                Some((id, outcome)) = in_flight.next(), if !in_flight.is_empty() => {
                    self.mailbox.outcome(id, outcome);
                }
                () = self.load.give_way(limit),
                    if !waiting.is_empty() && in_flight.len() < IN_FLIGHT =>
                {
                    if let Some((_, order)) = waiting.shift_remove_index(0) {
                        in_flight.push(patch(&self.client, &lane, order));
                        limit = tokio::time::Instant::now() + PATIENCE;
                    }
                }
            }
        }
    }

    fn take(
        &self,
        order: StatusOrder,
        waiting: &mut IndexMap<Box<str>, StatusOrder>,
        lane: &LaneMetrics,
    ) {
        if waiting.len() >= WAITING && !waiting.contains_key(&order.pod.uid) {
            lane.dropped();
            self.mailbox.outcome(
                order.id,
                Outcome::Failed("too many patches wait".to_owned()),
            );
            return;
        }
        // What was not sent yet is outdated; clearing a nomination must not get lost with it.
        let mut order = order;
        if let Some(held) = waiting.get(&order.pod.uid) {
            order.patch.clear_nomination |= held.patch.clear_nomination;
            order.patch.transition |= held.patch.transition;
            self.mailbox.outcome(held.id, Outcome::Done);
        }
        waiting.insert(order.pod.uid.clone(), order);
    }
}

async fn patch(client: &ApiClient, lane: &LaneMetrics, order: StatusOrder) -> (EffectId, Outcome) {
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}/status",
        order.pod.namespace, order.pod.name
    );
    let body = body(&order.pod, &order.patch, jiff::Timestamp::now()).to_string();
    let mut attempt = 1;
    loop {
        let sent = Instant::now();
        let answer = client
            .send(
                Method::PATCH,
                &path,
                "application/strategic-merge-patch+json",
                body.clone().into(),
            )
            .await;
        let result = lane_result(&answer);
        lane.request(result, sent.elapsed().as_secs_f64());
        let text = match (result, &answer) {
            (LaneResult::Success, _) => return (order.id, Outcome::Done),
            (LaneResult::NotFound, _) => return (order.id, Outcome::PodGone),
            (LaneResult::Rejected | LaneResult::Conflict, Ok(reply)) => {
                return (order.id, Outcome::Failed(reply.message()));
            }
            (_, Ok(reply)) => reply.message(),
            (_, Err(fault)) => fault.to_string(),
        };
        if attempt == ATTEMPTS {
            return (order.id, Outcome::Failed(text));
        }
        tokio::time::sleep(Duration::from_millis(100) * 4_u32.pow(attempt - 1)).await;
        attempt += 1;
    }
}

/// The patch as kube-scheduler would send it, with the uid so that it cannot hit another pod.
pub(in crate::runtime) fn body(pod: &PodRef, patch: &StatusPatch, now: jiff::Timestamp) -> Value {
    let mut condition = json!({
        "type": "PodScheduled",
        "status": "False",
        "reason": patch.reason.as_str(),
        "message": &*patch.message,
        "lastProbeTime": null,
    });
    if let Some(generation) = patch.observed_generation {
        condition["observedGeneration"] = json!(generation);
    }
    if patch.transition {
        condition["lastTransitionTime"] = json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    }
    let mut status = json!({ "conditions": [condition] });
    if patch.clear_nomination {
        status["nominatedNodeName"] = Value::Null;
    }
    json!({ "metadata": { "uid": &*pod.uid }, "status": status })
}

#[cfg(test)]
mod tests;
