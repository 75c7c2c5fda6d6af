//! The evict lane: PATCH pods/status, so that everybody sees why, then DELETE the pod.

mod open;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::Method;
use tokio::sync::mpsc;

pub(in crate::runtime) use open::{Next, OpenEviction};

use super::bind::sleep;
use super::{BindLoad, EvictOrder, STRATEGIC, lane_result};
use crate::engine::{EffectId, Outcome};
use crate::runtime::client::{ApiClient, Fault, Reply};
use crate::runtime::mailbox::Mailbox;
use crate::telemetry::metrics::{Lane, LaneMetrics, Metrics};

/// Evictions in flight, whatever is bound meanwhile: somebody waits for the room of each, and the
/// server needs less for each of many at once than for one after another.
const IN_FLIGHT: usize = 32;

/// Evicts pods, several at a time and in order; none is ever dropped.
pub(crate) struct EvictLane {
    pub(crate) client: ApiClient,
    pub(crate) orders: mpsc::UnboundedReceiver<EvictOrder>,
    pub(crate) load: Arc<BindLoad>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) metrics: Arc<Metrics>,
}

impl EvictLane {
    /// Runs until there are no more orders and none is in flight.
    pub(crate) async fn run(mut self) {
        let sender = Sender {
            client: self.client,
            lane: self.metrics.lane(Lane::Evict),
        };
        let mut in_flight = FuturesUnordered::new();
        let mut open = true;
        while open || !in_flight.is_empty() {
            sender.lane.queued(self.orders.len());
            tokio::select! {
                biased;
                Some((id, outcome)) = in_flight.next(), if !in_flight.is_empty() => {
                    self.load.eviction_done();
                    self.mailbox.outcome(id, outcome);
                }
                order = self.orders.recv(), if open && in_flight.len() < IN_FLIGHT => match order {
                    Some(order) => in_flight.push(sender.evict(order)),
                    None => open = false,
                }
            }
        }
    }
}

/// What sending one eviction needs to know and to tell.
struct Sender {
    client: ApiClient,
    lane: LaneMetrics,
}

impl Sender {
    async fn evict(&self, order: EvictOrder) -> (EffectId, Outcome) {
        let id = order.id;
        let mut eviction = OpenEviction::new(order);
        let path = eviction.pod_path();
        let status_path = format!("{path}/status");
        let mut next = Next::Mark(Duration::ZERO);
        let outcome = loop {
            next = match next {
                Next::Mark(pause) => {
                    sleep(pause).await;
                    let body = eviction.mark(jiff::Timestamp::now()).to_string();
                    let answer = self
                        .send(Method::PATCH, &status_path, STRATEGIC, body)
                        .await;
                    eviction.marked(&answer)
                }
                Next::Delete(pause) => {
                    sleep(pause).await;
                    let body = eviction.delete_options().to_string();
                    let answer = self
                        .send(Method::DELETE, &path, "application/json", body)
                        .await;
                    eviction.deleted(&answer)
                }
                Next::Read(pause) => {
                    sleep(pause).await;
                    let answer = (self.client)
                        .send(Method::GET, &path, "application/json", Vec::new())
                        .await;
                    eviction.read(&answer)
                }
                Next::End(outcome) => break outcome,
            };
        };
        (id, outcome)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: String,
    ) -> Result<Reply, Fault> {
        let sent = Instant::now();
        let answer = (self.client)
            .send(method, path, content_type, body.into())
            .await;
        (self.lane).request(lane_result(&answer), sent.elapsed().as_secs_f64());
        answer
    }
}

#[cfg(test)]
mod tests;
