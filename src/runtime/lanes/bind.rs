//! The bind lane: POST pods/binding, many at a time.

mod open;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::Method;
use tokio::sync::mpsc;

pub(in crate::runtime) use open::{Next, OpenBind};

use super::window::Window;
use super::{BindLoad, BindOrder, Told, lane_result};
use crate::engine::Outcome;
use crate::runtime::client::ApiClient;
use crate::runtime::mailbox::Mailbox;
use crate::telemetry::metrics::{BindMetrics, Lane, LaneMetrics, LaneResult, Metrics};

/// Sends binds, many at a time.
pub(crate) struct BindLane {
    pub(crate) client: ApiClient,
    pub(crate) orders: mpsc::UnboundedReceiver<BindOrder>,
    pub(crate) load: Arc<BindLoad>,
    pub(crate) told: Arc<Told>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) metrics: Arc<Metrics>,
}

/// What sending one bind needs to know and to tell.
struct Sender {
    client: ApiClient,
    told: Arc<Told>,
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
            told: self.told,
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
        let mut bind = OpenBind::new(&order);
        let path = bind.pod_path();
        let binding_path = format!("{path}/binding");
        let body = bind.body().to_string();
        self.told.settle(&order.pod.uid).await;
        let begin = Instant::now();
        let mut overloaded = false;
        let mut next = Next::Send(Duration::ZERO);
        let outcome = loop {
            next = match next {
                Next::Send(pause) => {
                    sleep(pause).await;
                    let sent = Instant::now();
                    let body = body.clone().into();
                    let answer = (self.client)
                        .send(Method::POST, &binding_path, "application/json", body)
                        .await;
                    let result = lane_result(&answer);
                    self.lane.request(result, sent.elapsed().as_secs_f64());
                    overloaded |= matches!(result, LaneResult::Throttled | LaneResult::Timeout);
                    bind.answered(&answer)
                }
                Next::Read(pause) => {
                    sleep(pause).await;
                    let answer = (self.client)
                        .send(Method::GET, &path, "application/json", Vec::new())
                        .await;
                    let (resolution, next) = bind.read(&answer);
                    self.binds.unknown(resolution);
                    next
                }
                Next::End(outcome) => break outcome,
            };
        };
        Finished {
            order,
            outcome,
            took: begin.elapsed(),
            overloaded,
        }
    }
}

/// Sleeping for no time at all would still give way to the timer.
pub(super) async fn sleep(pause: Duration) {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}
