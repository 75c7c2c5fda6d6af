//! Whether Berth may evict pods, which is asked and not found out by evicting one.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use kube::Client;
use serde::Deserialize;
use serde_json::json;

use super::{Election, Progress, Reconnect, leads, until_leading};
use crate::engine::Change;
use crate::runtime::mailbox::{Mailbox, Subject};

/// How often the server is asked, unless a test is in a hurry: rights are seldom granted later.
pub(super) const POLL: Duration = Duration::from_secs(60);
/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(10);

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// The right to delete pods in all namespaces. The role `system:basic-user` lets everybody ask.
pub(super) struct Rights {
    pub(super) client: Client,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) election: Election,
    pub(super) poll: Duration,
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Granted(bool),
    /// The server does not answer such questions, or not now.
    None,
    /// There is no server.
    Unreachable,
}

impl Rights {
    /// Asks again and again. Decisions wait for the first answer, lest a pod is marked as a victim
    /// that cannot be deleted; where there is none the right counts as granted.
    pub(super) async fn run(self, mut progress: Progress) {
        let mut granted = true;
        let mut reconnect = Reconnect::default();
        loop {
            if leads(&self.election) {
                progress.lead();
            }
            let answer = self.ask().await;
            if let Answer::Granted(now) = answer
                && std::mem::replace(&mut granted, now) != now
            {
                self.tell(now);
            }
            let pause = if answer == Answer::Unreachable {
                reconnect.next().unwrap_or(self.poll)
            } else {
                progress.settle();
                reconnect = Reconnect::default();
                self.poll
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = until_leading(&self.election, progress.counts()) => {}
            }
        }
    }

    fn tell(&self, granted: bool) {
        let change = Change::EvictionRights(granted);
        self.mailbox.change(Subject::EvictionRights, change);
        if granted {
            tracing::info!("deleting pods is allowed now; preemption is on");
        } else {
            tracing::warn!(
                "deleting pods is forbidden; scheduling goes on, but preemption is off: nobody is \
                 evicted for pods of higher priority. The ClusterRole berth-preemption of \
                 deploy/preemption.yaml grants it"
            );
        }
    }

    async fn ask(&self) -> Answer {
        #[derive(Deserialize)]
        struct Review {
            status: Status,
        }
        #[derive(Deserialize)]
        struct Status {
            allowed: bool,
        }
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": { "verb": "delete", "resource": "pods" } },
        });
        let request = Request::post(REVIEWS)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(review.to_string().into_bytes());
        let Ok(request) = request else {
            return Answer::None;
        };
        let asked = self.client.request::<Review>(request);
        match tokio::time::timeout(LIMIT, asked).await {
            Ok(Ok(review)) => Answer::Granted(review.status.allowed),
            Ok(Err(kube::Error::Api(_) | kube::Error::SerdeError(_))) | Err(_) => Answer::None,
            Ok(Err(_)) => Answer::Unreachable,
        }
    }
}

#[cfg(test)]
mod tests;
