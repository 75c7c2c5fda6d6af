//! The bind lane: POST pods/binding, and what to make of the answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::Method;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::window::Window;
use super::{BindLoad, BindOrder, lane_result};
use crate::engine::Outcome;
use crate::runtime::client::{ApiClient, Fault, Reply};
use crate::runtime::mailbox::Mailbox;
use crate::telemetry::metrics::{BindMetrics, Lane, LaneMetrics, LaneResult, Metrics, Resolution};

/// Attempts at one bind, as kube-scheduler's DefaultBinder.
const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; each further one is five times longer.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between two attempts to find out what became of a bind.
const READ_PAUSE: Duration = Duration::from_secs(5);

/// Sends binds, many at a time.
pub(crate) struct BindLane {
    pub(crate) client: ApiClient,
    pub(crate) orders: mpsc::UnboundedReceiver<BindOrder>,
    pub(crate) load: Arc<BindLoad>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) metrics: Arc<Metrics>,
}

/// What sending one bind needs to know and to tell.
struct Sender {
    client: ApiClient,
    lane: LaneMetrics,
    binds: BindMetrics,
}

/// How one bind ended.
struct Finished {
    order: BindOrder,
    outcome: Outcome,
    took: Duration,
    overloaded: bool,
}

impl BindLane {
    /// Runs until there are no more orders and none is in flight.
    pub(crate) async fn run(mut self) {
        let sender = Sender {
            client: self.client,
            lane: self.metrics.lane(Lane::Bind),
            binds: self.metrics.binds(),
        };
        let mut window = Window::new();
        self.load.set_window(window.size());
        let mut in_flight = FuturesUnordered::new();
        let mut open = true;
        while open || !in_flight.is_empty() {
            sender.lane.queued(self.orders.len());
            sender.binds.in_flight(in_flight.len());
            sender.binds.window(window.size());
            tokio::select! {
                biased;
                Some(finished) = in_flight.next(), if !in_flight.is_empty() => {
                    let Finished { order, outcome, took, overloaded } = finished;
                    let now = Instant::now();
                    if overloaded {
                        window.overloaded(now);
                    } else {
                        window.answered(took, in_flight.len(), now);
                    }
                    self.load.set_window(window.size());
                    self.load.done();
                    self.mailbox.outcome(order.id, outcome);
                }
                order = self.orders.recv(), if open && in_flight.len() < window.size() => {
                    match order {
                        Some(order) => in_flight.push(sender.bind(order)),
                        None => open = false,
                    }
                }
            }
        }
    }
}

impl Sender {
    async fn bind(&self, order: BindOrder) -> Finished {
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}/binding",
            order.pod.namespace, order.pod.name
        );
        let body = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {
                "namespace": &*order.pod.namespace,
                "name": &*order.pod.name,
                // Without it the bind could land on another pod that has come under the name.
                "uid": &*order.pod.uid,
            },
            "target": { "apiVersion": "v1", "kind": "Node", "name": &*order.node },
        })
        .to_string();
        let begin = Instant::now();
        let mut overloaded = false;
        let mut attempt = 1;
        let outcome = loop {
            let sent = Instant::now();
            let answer = self
                .client
                .send(Method::POST, &path, "application/json", body.clone().into())
                .await;
            let result = lane_result(&answer);
            self.lane.request(result, sent.elapsed().as_secs_f64());
            overloaded |= matches!(result, LaneResult::Throttled | LaneResult::Timeout);
            let text = match (result, &answer) {
                (LaneResult::Success, _) => break Outcome::Done,
                (LaneResult::NotFound, _) => break Outcome::PodGone,
                (LaneResult::Rejected, Ok(reply)) => break Outcome::Failed(reply.message()),
                (_, Err(fault @ Fault::Fenced)) => break Outcome::Failed(fault.to_string()),
                (LaneResult::Throttled, Ok(reply)) => {
                    // Certainly not done.
                    let pause = reply.retry_after.unwrap_or(Duration::from_millis(100));
                    tokio::time::sleep(pause.min(READ_PAUSE)).await;
                    reply.message()
                }
                // A conflict, a server error or silence: it may have been done.
                (_, answer) => {
                    let text = match answer {
                        Ok(reply) => reply.message(),
                        Err(fault) => fault.to_string(),
                    };
                    let found = self.resolve(&order).await;
                    match found {
                        Found::Bound => break Outcome::Done,
                        Found::Elsewhere(_) | Found::Unbound if result == LaneResult::Conflict => {
                            break Outcome::Failed(text);
                        }
                        Found::Elsewhere(text) => break Outcome::Failed(text),
                        Found::Gone => break Outcome::PodGone,
                        Found::Unbound => {
                            tokio::time::sleep(FIRST_PAUSE * 5_u32.pow(attempt - 1)).await;
                            text
                        }
                    }
                }
            };
            if attempt == ATTEMPTS {
                break Outcome::Failed(text);
            }
            attempt += 1;
        };
        Finished {
            order,
            outcome,
            took: begin.elapsed(),
            overloaded,
        }
    }

    /// Reads the pod until it is certain what became of its bind.
    async fn resolve(&self, order: &BindOrder) -> Found {
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}",
            order.pod.namespace, order.pod.name
        );
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = self
                .client
                .send(Method::GET, &path, "application/json", Vec::new())
                .await;
            if let Some(found) = read(&answer, order) {
                self.binds.unknown(match found {
                    Found::Bound => Resolution::Bound,
                    _ => Resolution::NotBound,
                });
                return found;
            }
            self.binds.unknown(Resolution::Unread);
            tokio::time::sleep(pause).await;
            pause = (pause * 5).min(READ_PAUSE);
        }
    }
}

/// What became of a bind.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Bound,
    Elsewhere(String),
    Unbound,
    Gone,
}

fn read(answer: &Result<Reply, Fault>, order: &BindOrder) -> Option<Found> {
    #[derive(Deserialize)]
    struct Pod {
        metadata: Metadata,
        #[serde(default)]
        spec: Spec,
    }
    #[derive(Deserialize)]
    struct Metadata {
        uid: String,
    }
    #[derive(Deserialize, Default)]
    #[serde(default, rename_all = "camelCase")]
    struct Spec {
        node_name: String,
    }
    let reply = answer.as_ref().ok()?;
    if reply.status.as_u16() == 404 {
        return Some(Found::Gone);
    }
    if !reply.status.is_success() {
        return None;
    }
    let pod: Pod = serde_json::from_slice(&reply.body).ok()?;
    Some(if pod.metadata.uid != *order.pod.uid {
        Found::Gone
    } else if pod.spec.node_name == *order.node {
        Found::Bound
    } else if pod.spec.node_name.is_empty() {
        Found::Unbound
    } else {
        let node = pod.spec.node_name;
        Found::Elsewhere(format!(
            "pod {} is already assigned to node \"{node}\"",
            order.pod.name
        ))
    })
}

#[cfg(test)]
mod tests;
