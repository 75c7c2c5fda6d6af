//! One bind until it is certain what became of it: answers in, the next request out.
//!
//! There is no IO here, so that tests with an API server in memory follow the same rules.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::engine::Outcome;
use crate::model::PodRef;
use crate::runtime::client::{Fault, Reply};
use crate::runtime::lanes::{BindOrder, lane_result};
use crate::telemetry::metrics::{LaneResult, Resolution};

/// Attempts at one bind, as kube-scheduler's DefaultBinder.
const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; each further one is five times longer.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The pause after a 429 that does not name one.
const THROTTLED_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two attempts to find out what became of a bind.
const READ_PAUSE: Duration = Duration::from_secs(5);

/// A bind whose outcome is not certain yet.
#[derive(Debug)]
pub(in crate::runtime) struct OpenBind {
    pod: Arc<PodRef>,
    node: Arc<str>,
    attempt: u32,
    read_pause: Duration,
    /// Why the pod is read: what was answered, and whether that was a conflict.
    unknown: (String, bool),
}

/// What is to be done next, each after a pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::runtime) enum Next {
    /// Send the Binding.
    Send(Duration),
    /// Read the pod.
    Read(Duration),
    /// Report what became of it.
    End(Outcome),
}

impl OpenBind {
    pub(in crate::runtime) fn new(order: &BindOrder) -> Self {
        Self {
            pod: Arc::clone(&order.pod),
            node: Arc::clone(&order.node),
            attempt: 1,
            read_pause: FIRST_PAUSE,
            unknown: (String::new(), false),
        }
    }

    /// Where the pod is.
    pub(super) fn pod_path(&self) -> String {
        let PodRef {
            namespace, name, ..
        } = &*self.pod;
        format!("/api/v1/namespaces/{namespace}/pods/{name}")
    }

    /// The Binding.
    pub(in crate::runtime) fn body(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {
                "namespace": &*self.pod.namespace,
                "name": &*self.pod.name,
                // Without it the bind could land on another pod that has come under the name.
                "uid": &*self.pod.uid,
            },
            "target": { "apiVersion": "v1", "kind": "Node", "name": &*self.node },
        })
    }

    /// Takes the answer to a Binding.
    pub(in crate::runtime) fn answered(&mut self, answer: &Result<Reply, Fault>) -> Next {
        let result = lane_result(answer);
        match (result, answer) {
            (LaneResult::Success, _) => Next::End(Outcome::Done),
            (LaneResult::NotFound, _) => Next::End(Outcome::PodGone),
            (LaneResult::Rejected, Ok(reply)) => Next::End(Outcome::Failed(reply.message())),
            (_, Err(fault @ Fault::Fenced)) => Next::End(Outcome::Failed(fault.to_string())),
            (LaneResult::Throttled, Ok(reply)) => {
                // Certainly not done.
                let pause = reply.retry_after.unwrap_or(THROTTLED_PAUSE);
                self.again(pause.min(READ_PAUSE), reply.message())
            }
            // A conflict, a server error or silence: it may have been done.
            (_, answer) => {
                let text = match answer {
                    Ok(reply) => reply.message(),
                    Err(fault) => fault.to_string(),
                };
                self.unknown = (text, result == LaneResult::Conflict);
                self.read_pause = FIRST_PAUSE;
                Next::Read(Duration::ZERO)
            }
        }
    }

    /// Takes what was answered when the pod was read.
    pub(in crate::runtime) fn read(&mut self, answer: &Result<Reply, Fault>) -> (Resolution, Next) {
        let Some(found) = self.find(answer) else {
            let pause = self.read_pause;
            self.read_pause = (pause * 5).min(READ_PAUSE);
            return (Resolution::Unread, Next::Read(pause));
        };
        let (text, conflict) = std::mem::take(&mut self.unknown);
        let next = match found {
            Found::Bound => return (Resolution::Bound, Next::End(Outcome::Done)),
            Found::Gone => Next::End(Outcome::PodGone),
            Found::Elsewhere(_) | Found::Unbound if conflict => Next::End(Outcome::Failed(text)),
            Found::Elsewhere(text) => Next::End(Outcome::Failed(text)),
            Found::Unbound => self.again(FIRST_PAUSE * 5_u32.pow(self.attempt - 1), text),
        };
        (Resolution::NotBound, next)
    }

    /// Sends it once more, unless that was done often enough.
    fn again(&mut self, pause: Duration, text: String) -> Next {
        if self.attempt == ATTEMPTS {
            return Next::End(Outcome::Failed(text));
        }
        self.attempt += 1;
        Next::Send(pause)
    }

    fn find(&self, answer: &Result<Reply, Fault>) -> Option<Found> {
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
        Some(if pod.metadata.uid != *self.pod.uid {
            Found::Gone
        } else if pod.spec.node_name == *self.node {
            Found::Bound
        } else if pod.spec.node_name.is_empty() {
            Found::Unbound
        } else {
            let (name, node) = (&self.pod.name, pod.spec.node_name);
            Found::Elsewhere(format!("pod {name} is already assigned to node \"{node}\""))
        })
    }
}

/// What the pod shows.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Bound,
    Elsewhere(String),
    Unbound,
    Gone,
}

#[cfg(test)]
mod tests;
