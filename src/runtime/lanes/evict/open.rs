//! One eviction until it is certain what became of it: answers in, the next request out.
//!
//! There is no IO here, so that tests with an API server in memory follow the same rules.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::engine::{Evict, Outcome};
use crate::model::PodRef;
use crate::runtime::client::{Fault, Reply};
use crate::runtime::lanes::{EvictOrder, lane_result, second};
use crate::telemetry::metrics::LaneResult;

/// Attempts at each of the two requests.
const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; each further one is four times longer.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two requests.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// An eviction whose outcome is not certain yet. Source: `PreemptPod` in
/// `pkg/scheduler/framework/preemption/executor.go`; kube-scheduler names the pod without its uid.
#[derive(Debug)]
pub(in crate::runtime) struct OpenEviction {
    pod: Arc<PodRef>,
    evict: Evict,
    /// Of the request that is being tried.
    attempt: u32,
    read_pause: Duration,
    unknown: Unknown,
}

/// Why the pod is read.
#[derive(Debug, Default)]
struct Unknown {
    /// What was answered.
    text: String,
    /// Whether that was a refusal, which stands if the pod is still there.
    refused: bool,
}

/// What is to be done next, each after a pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::runtime) enum Next {
    /// Add the condition.
    Mark(Duration),
    /// Delete the pod.
    Delete(Duration),
    /// Read the pod.
    Read(Duration),
    /// Report what became of it.
    End(Outcome),
}

impl OpenEviction {
    /// Its first request is to mark the pod.
    pub(in crate::runtime) fn new(order: EvictOrder) -> Self {
        Self {
            pod: order.pod,
            evict: order.evict,
            attempt: 1,
            read_pause: FIRST_PAUSE,
            unknown: Unknown::default(),
        }
    }

    /// Where the pod is.
    pub(super) fn pod_path(&self) -> String {
        let PodRef {
            namespace, name, ..
        } = &*self.pod;
        format!("/api/v1/namespaces/{namespace}/pods/{name}")
    }

    /// The patch of the pod's status, which tells controllers why the pod ends. Its uid keeps it
    /// from hitting another pod that has come under the name.
    pub(in crate::runtime) fn mark(&self, now: jiff::Timestamp) -> Value {
        let mut condition = json!({
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": &*self.evict.message,
            "lastProbeTime": null,
            "lastTransitionTime": second(now),
        });
        if let Some(generation) = self.evict.observed_generation {
            condition["observedGeneration"] = json!(generation);
        }
        json!({
            "metadata": { "uid": &*self.pod.uid },
            "status": { "conditions": [condition] },
        })
    }

    /// How the pod is deleted: only this one, with the grace that it asks for.
    pub(in crate::runtime) fn delete_options(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": { "uid": &*self.pod.uid },
        })
    }

    /// Takes the answer to the patch. It may be sent again, whether it was done or not.
    pub(in crate::runtime) fn marked(&mut self, answer: &Result<Reply, Fault>) -> Next {
        match (lane_result(answer), answer) {
            (LaneResult::Success, _) => {
                self.attempt = 1;
                Next::Delete(Duration::ZERO)
            }
            (LaneResult::NotFound, _) => Next::End(Outcome::PodGone),
            // What a patch of another pod is answered with, too.
            (LaneResult::Rejected, Ok(reply)) if reply.status.as_u16() == 422 => {
                self.find_out(reply.message(), true)
            }
            (LaneResult::Rejected, Ok(reply)) => Next::End(Outcome::Failed(reply.message())),
            (_, Err(fault @ Fault::Fenced)) => Next::End(Outcome::Failed(fault.to_string())),
            (_, answer) => self.again(Next::Mark, answer),
        }
    }

    /// Takes the answer to the deletion.
    pub(in crate::runtime) fn deleted(&mut self, answer: &Result<Reply, Fault>) -> Next {
        match (lane_result(answer), answer) {
            (LaneResult::Success, _) => Next::End(Outcome::Done),
            (LaneResult::NotFound, _) => Next::End(Outcome::PodGone),
            (LaneResult::Rejected, Ok(reply)) => Next::End(Outcome::Failed(reply.message())),
            (_, Err(fault @ Fault::Fenced)) => Next::End(Outcome::Failed(fault.to_string())),
            // Certainly not done.
            (LaneResult::Throttled, answer) => self.again(Next::Delete, answer),
            // Another pod has come under the name, or somebody is in the way.
            (LaneResult::Conflict, answer) => self.find_out(text_of(answer), true),
            // A server error or silence: it may have been done.
            (_, answer) => self.find_out(text_of(answer), false),
        }
    }

    /// Takes what was answered when the pod was read.
    pub(in crate::runtime) fn read(&mut self, answer: &Result<Reply, Fault>) -> Next {
        let Some(found) = self.find(answer) else {
            let pause = self.read_pause;
            self.read_pause = (pause * 4).min(LONGEST_PAUSE);
            return Next::Read(pause);
        };
        let Unknown { text, refused } = std::mem::take(&mut self.unknown);
        match found {
            Found::Gone => Next::End(Outcome::PodGone),
            Found::Ending => Next::End(Outcome::Done),
            Found::Alive if refused => Next::End(Outcome::Failed(text)),
            Found::Alive => self.send_again(Next::Delete, None, text),
        }
    }

    fn find_out(&mut self, text: String, refused: bool) -> Next {
        self.unknown = Unknown { text, refused };
        self.read_pause = FIRST_PAUSE;
        Next::Read(Duration::ZERO)
    }

    fn again(&mut self, request: fn(Duration) -> Next, answer: &Result<Reply, Fault>) -> Next {
        let pause = (answer.as_ref().ok()).and_then(|reply| reply.retry_after);
        self.send_again(request, pause, text_of(answer))
    }

    /// Sends a request once more, unless that was done often enough.
    fn send_again(
        &mut self,
        request: fn(Duration) -> Next,
        pause: Option<Duration>,
        text: String,
    ) -> Next {
        if self.attempt == ATTEMPTS {
            return Next::End(Outcome::Failed(text));
        }
        let pause = pause.unwrap_or(FIRST_PAUSE * 4_u32.pow(self.attempt - 1));
        self.attempt += 1;
        request(pause.min(LONGEST_PAUSE))
    }

    fn find(&self, answer: &Result<Reply, Fault>) -> Option<Found> {
        #[derive(Deserialize)]
        struct Pod {
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata {
            uid: String,
            deletion_timestamp: Option<String>,
        }
        let reply = answer.as_ref().ok()?;
        if reply.status.as_u16() == 404 {
            return Some(Found::Gone);
        }
        if !reply.status.is_success() {
            return None;
        }
        let pod: Pod = serde_json::from_slice(&reply.body).ok()?;
        Some(if pod.metadata.uid != *self.pod.uid {
            Found::Gone
        } else if pod.metadata.deletion_timestamp.is_some() {
            Found::Ending
        } else {
            Found::Alive
        })
    }
}

fn text_of(answer: &Result<Reply, Fault>) -> String {
    match answer {
        Ok(reply) => reply.message(),
        Err(fault) => fault.to_string(),
    }
}

/// What the pod shows.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Gone,
    Ending,
    Alive,
}

#[cfg(test)]
mod tests;
