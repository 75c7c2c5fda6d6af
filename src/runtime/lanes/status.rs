//! The status lane: the PodScheduled condition and nominations of pods, and how groups fare.

mod groups;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::Method;
use indexmap::IndexMap;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{BindLoad, GroupOrder, Patch, STRATEGIC, StatusOrder, Told, lane_result, second};
use crate::engine::{EffectId, Nomination, Outcome, StatusPatch};
use crate::model::{PodGroup, PodRef};
use crate::runtime::client::ApiClient;
use crate::runtime::mailbox::Mailbox;
use crate::telemetry::metrics::{Lane, LaneMetrics, LaneResult, Metrics};

/// Patches in flight.
const IN_FLIGHT: usize = 8;
/// Objects whose patch may wait. Beyond it the newest is dropped; the next attempt writes it again.
const WAITING: usize = 20_000;
/// Patches are sent once binds and evictions were calm for so long: each of them costs the server as
/// much as a bind, and a pod that gets its room meanwhile needs none.
const CALM: Duration = Duration::from_millis(20);
/// How long a patch waits for that at most.
const HOLD: Duration = Duration::from_secs(2);
/// While it does not come, those that have waited are sent one after another so slowly.
const PATIENCE: Duration = Duration::from_millis(20);
/// Attempts at one patch when the server is busy.
const ATTEMPTS: u32 = 4;

/// The newest patch of each object, with the time since when there has been one to send.
type Orders = IndexMap<Box<str>, (Instant, Patch)>;

/// Patches statuses; only the newest patch of an object is kept.
pub(crate) struct StatusLane {
    pub(crate) client: ApiClient,
    pub(crate) orders: mpsc::UnboundedReceiver<Patch>,
    pub(crate) load: Arc<BindLoad>,
    pub(crate) told: Arc<Told>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) metrics: Arc<Metrics>,
}

impl StatusLane {
    /// Runs until there are no more orders and none is left to send.
    pub(crate) async fn run(mut self) {
        let lane = self.metrics.lane(Lane::Status);
        let mut waiting = Orders::new();
        let mut in_flight = FuturesUnordered::new();
        // Two patches of one object could overtake each other.
        let mut busy: Vec<Box<str>> = Vec::with_capacity(IN_FLIGHT);
        let mut answers = Answers::default();
        let mut sent = Instant::now();
        let mut open = true;
        while open || !waiting.is_empty() || !in_flight.is_empty() {
            lane.queued(waiting.len());
            let next = waiting.keys().position(|uid| !busy.contains(uid));
            let came = next
                .and_then(|at| waiting.get_index(at))
                .map(|(_, (came, _))| *came);
            let limit = came.map_or(sent, |came| (came + HOLD).max(sent + PATIENCE));
            tokio::select! {
                // Orders first, so that a newer patch of an object takes the place of an older one.
                biased;
                order = self.orders.recv(), if open => match order {
                    Some(order) => self.take(order, &mut waiting, &lane),
                    None => open = false,
                },
                Some(Answered { uid, id, outcome, group }) = in_flight.next(),
                    if !in_flight.is_empty() =>
                {
                    busy.retain(|busy| *busy != uid);
                    self.told.ended(&uid, true);
                    answers.keep(group);
                    self.mailbox.outcome(id, outcome);
                }
                () = self.load.calm(CALM, limit),
                    if next.is_some() && in_flight.len() < IN_FLIGHT =>
                {
                    if let Some((uid, (_, order))) = next.and_then(|at| waiting.shift_remove_index(at)) {
                        let id = order.id();
                        if !self.told.may_send(&uid) {
                            self.told.ended(&uid, false);
                            self.mailbox.outcome(id, Outcome::Done);
                            continue;
                        }
                        match Request::of(order, &mut answers, jiff::Timestamp::now()) {
                            Some(request) => {
                                busy.push(uid.clone());
                                in_flight.push(request.send(uid, &self.client, &lane));
                                sent = Instant::now();
                            }
                            None => {
                                self.told.ended(&uid, true);
                                self.mailbox.outcome(id, Outcome::Done);
                            }
                        }
                    }
                }
            }
        }
    }

    fn take(&self, order: Patch, waiting: &mut Orders, lane: &LaneMetrics) {
        if waiting.len() >= WAITING && !waiting.contains_key(order.uid()) {
            lane.dropped();
            self.told.ended(order.uid(), false);
            self.mailbox.outcome(
                order.id(),
                Outcome::Failed("too many patches wait".to_owned()),
            );
            return;
        }
        // What was not sent yet is outdated; what the newer patch is silent of must not get lost with it.
        let mut order = order;
        let mut came = Instant::now();
        if let Some((first, held)) = waiting.get(order.uid()) {
            if let (Patch::Pod(order), Patch::Pod(held)) = (&mut order, held) {
                order.patch.supersede(&held.patch);
            }
            self.told.ended(order.uid(), false);
            self.mailbox.outcome(held.id(), Outcome::Done);
            came = *first;
        }
        waiting.insert(order.uid().into(), (came, order));
    }
}

impl StatusPatch {
    /// Takes over what an older patch that was never sent says besides.
    fn supersede(&mut self, older: &Self) {
        if self.nomination == Nomination::Keep {
            self.nomination = older.nomination.clone();
        }
        match (&mut self.condition, &older.condition) {
            (Some(newer), Some(older)) => newer.transition |= older.transition,
            (newer @ None, older) => newer.clone_from(older),
            (Some(_), None) => {}
        }
    }
}

impl Patch {
    fn id(&self) -> EffectId {
        match self {
            Self::Pod(order) => order.id,
            Self::Group(order) => order.id,
        }
    }

    fn uid(&self) -> &str {
        match self {
            Self::Pod(order) => &order.pod.uid,
            Self::Group(order) => &order.group.uid,
        }
    }
}

/// Groups as the server showed them when it answered, until the watch has shown as much: what a
/// patch changes must not be judged by an older state.
#[derive(Debug, Default)]
struct Answers(IndexMap<Box<str>, PodGroup>);

impl Answers {
    fn keep(&mut self, group: Option<PodGroup>) {
        if let Some(group) = group {
            self.0.insert(group.uid.clone(), group);
        }
        if self.0.len() > WAITING {
            self.0.shift_remove_index(0);
        }
    }

    /// The newer one of what an order was based on and what the server answered.
    fn newest<'a>(&'a mut self, based_on: &'a PodGroup) -> &'a PodGroup {
        let is_newer = |answered: &PodGroup| answered.version > based_on.version;
        if !self.0.get(&based_on.uid).is_some_and(is_newer) {
            self.0.swap_remove(&based_on.uid);
        }
        self.0.get(&based_on.uid).unwrap_or(based_on)
    }
}

/// A patch on its way.
struct Request {
    id: EffectId,
    path: String,
    content_type: &'static str,
    body: Value,
    /// Of a group, what it was based on.
    group: Option<Arc<PodGroup>>,
}

/// What became of a patch; of a group with what is stored now.
struct Answered {
    uid: Box<str>,
    id: EffectId,
    outcome: Outcome,
    group: Option<PodGroup>,
}

impl Request {
    /// None when it would change nothing.
    fn of(order: Patch, answers: &mut Answers, now: jiff::Timestamp) -> Option<Self> {
        match order {
            Patch::Pod(StatusOrder { id, pod, patch }) => Some(Self {
                id,
                path: format!(
                    "/api/v1/namespaces/{}/pods/{}/status",
                    pod.namespace, pod.name
                ),
                content_type: STRATEGIC,
                body: body(&pod, &patch, now),
                group: None,
            }),
            Patch::Group(GroupOrder { id, group, status }) => Some(Self {
                id,
                path: groups::path(&group),
                content_type: groups::content_type(&group),
                body: groups::body(answers.newest(&group), &status, now)?,
                group: Some(group),
            }),
        }
    }

    async fn send(self, uid: Box<str>, client: &ApiClient, lane: &LaneMetrics) -> Answered {
        let (outcome, body) = self.call(client, lane).await;
        let group = (self.group.as_ref()).and_then(|based_on| groups::read(based_on, &body?));
        Answered {
            uid,
            id: self.id,
            outcome,
            group,
        }
    }

    /// What became of it, and what the server shows if it was done.
    async fn call(&self, client: &ApiClient, lane: &LaneMetrics) -> (Outcome, Option<Vec<u8>>) {
        let body = self.body.to_string();
        let mut attempt = 1;
        loop {
            let sent = Instant::now();
            let patch = body.clone().into();
            let answer = (client)
                .send(Method::PATCH, &self.path, self.content_type, patch)
                .await;
            let result = lane_result(&answer);
            lane.request(result, sent.elapsed().as_secs_f64());
            let text = match (result, answer) {
                (LaneResult::Success, Ok(reply)) => return (Outcome::Done, Some(reply.body)),
                (LaneResult::NotFound, _) => return (Outcome::PodGone, None),
                (LaneResult::Rejected | LaneResult::Conflict, Ok(reply)) => {
                    return (Outcome::Failed(reply.message()), None);
                }
                (_, Ok(reply)) => reply.message(),
                (_, Err(fault)) => fault.to_string(),
            };
            if attempt == ATTEMPTS {
                return (Outcome::Failed(text), None);
            }
            tokio::time::sleep(Duration::from_millis(100) * 4_u32.pow(attempt - 1)).await;
            attempt += 1;
        }
    }
}

/// The patch as kube-scheduler would send it, with the uid so that it cannot hit another pod.
pub(in crate::runtime) fn body(pod: &PodRef, patch: &StatusPatch, now: jiff::Timestamp) -> Value {
    let mut status = json!({});
    if let Some(told) = &patch.condition {
        let mut condition = json!({
            "type": "PodScheduled",
            "status": "False",
            "reason": told.reason.as_str(),
            "message": &*told.message,
            "lastProbeTime": null,
        });
        if let Some(generation) = told.observed_generation {
            condition["observedGeneration"] = json!(generation);
        }
        if told.transition {
            condition["lastTransitionTime"] = json!(second(now));
        }
        status["conditions"] = json!([condition]);
    }
    match &patch.nomination {
        Nomination::Keep => {}
        Nomination::Clear => status["nominatedNodeName"] = Value::Null,
        Nomination::Set(node) => status["nominatedNodeName"] = json!(&**node),
    }
    json!({ "metadata": { "uid": &*pod.uid }, "status": status })
}

#[cfg(test)]
mod tests;
