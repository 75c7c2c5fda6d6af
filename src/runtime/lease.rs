//! Leader election: of several replicas one schedules, the one that holds a Lease.
//!
//! | part | |
//! |---|---|
//! | [`state`] | decides what to do, as client-go does; pure |
//! | [`record`] | what a Lease says |
//! | [`fence`] | until when this replica may write, as a clock that everything that writes looks at |
//! | here | the calls to the API server |

mod fence;
mod identity;
mod record;
mod state;

use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use http::{Method, Request, StatusCode};
use kube::core::WatchEvent;
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::client::{self, ApiClient, Fault};
use super::http::ReadyFlag;
use crate::config::LeaderElection;
use crate::telemetry::metrics::{LeaderMetrics, Metrics};
pub(super) use fence::Fence;
use record::Record;
use state::{Elector, Loss, Now, Step, Timing};

/// Idle connections kept: one for calls, one to spare.
const CONNECTIONS: usize = 2;
/// How long the server keeps the watch of the lease open.
const WATCH_SECONDS: u32 = 90;
/// News of the lease are looked into this long after each other at least.
const SHORTEST_REST: Duration = Duration::from_millis(50);

/// Whether this replica leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leadership {
    /// Another one does, or nobody yet.
    Standby,
    /// It does.
    Leading,
    /// It did, and may not go on. Why.
    Lost(String),
}

/// The election of this replica, which goes on until it is told to end.
#[derive(Debug)]
pub(super) struct Campaign {
    lease: String,
    leadership: watch::Receiver<Leadership>,
    /// Whether to release the lease in the end.
    end: oneshot::Sender<bool>,
    task: JoinHandle<()>,
    hints: JoinHandle<()>,
}

impl Campaign {
    /// Begins. The fence is opened while this replica leads.
    pub(super) fn start(
        config: &kube::Config,
        election: &LeaderElection,
        host: &str,
        fence: Fence,
        ready: ReadyFlag,
        metrics: &Metrics,
    ) -> Result<Self, kube::Error> {
        // Connections of its own, so that renewals wait for nothing else. Half the deadline for a
        // call leaves time for a second one.
        let limit = election.renew_deadline / 2;
        let client = ApiClient::new(config, CONNECTIONS, limit, Fence::none())?;
        let watcher = client::client(config, 1, Fence::none())?;
        let timing = Timing {
            lease_duration: election.lease_duration,
            renew_deadline: election.renew_deadline,
            retry_period: election.retry_period,
        };
        let collection = format!(
            "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
            election.resource_namespace
        );
        let (hint, hints) = watch::channel(None);
        let (leadership, status) = watch::channel(Leadership::Standby);
        let (end, ended) = oneshot::channel();
        let candidate = Candidate {
            elector: Elector::new(identity::unique(host), timing),
            client,
            start: Instant::now(),
            namespace: election.resource_namespace.clone(),
            name: election.resource_name.clone(),
            object: format!("{collection}/{}", election.resource_name),
            collection: collection.clone(),
            held: None,
            perhaps_ours: false,
            fence,
            ready,
            leadership,
            metrics: metrics.leader(&election.resource_name),
            hints,
            reported: None,
            complained: false,
        };
        let hints = watch_lease(
            watcher,
            collection,
            election.resource_name.clone(),
            election.retry_period,
            hint,
        );
        Ok(Self {
            lease: format!("{}/{}", election.resource_namespace, election.resource_name),
            leadership: status,
            end,
            task: tokio::spawn(candidate.run(ended)),
            hints: tokio::spawn(hints),
        })
    }

    /// The lease, as `namespace/name`.
    pub(super) fn lease(&self) -> &str {
        &self.lease
    }

    /// Tells of every change.
    pub(super) fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Returns why, when the lease is lost.
    pub(super) async fn lost(&mut self) -> String {
        let lost = |leadership: &Leadership| matches!(leadership, Leadership::Lost(_));
        match self.leadership.wait_for(lost).await.as_deref() {
            Ok(Leadership::Lost(reason)) => reason.clone(),
            _ => "the election has ended".to_owned(),
        }
    }

    /// Ends it. With `release` another replica may take the lease at once: nothing may be in flight
    /// any more. Otherwise it expires.
    pub(super) async fn end(self, release: bool) {
        self.hints.abort();
        let _ = self.end.send(release);
        let _ = self.task.await;
    }
}

/// The shell around the [`Elector`].
struct Candidate {
    elector: Elector,
    client: ApiClient,
    /// What the elector's time is counted from.
    start: Instant,
    namespace: String,
    name: String,
    collection: String,
    object: String,
    /// The lease as it was last read or written.
    held: Option<Value>,
    /// Whether the lease is ours or may be, for want of an answer.
    perhaps_ours: bool,
    fence: Fence,
    /// Unset when the lease is lost.
    ready: ReadyFlag,
    leadership: watch::Sender<Leadership>,
    metrics: LeaderMetrics,
    /// The holder, whenever the lease changes.
    hints: watch::Receiver<Option<String>>,
    /// The holder that was last logged.
    reported: Option<String>,
    complained: bool,
}

impl Candidate {
    async fn run(mut self, mut end: oneshot::Receiver<bool>) {
        self.ready.set(true);
        tracing::info!(
            lease = format!("{}/{}", self.namespace, self.name),
            identity = self.elector.identity(),
            "waiting for leadership"
        );
        let release = tokio::select! {
            loss = self.campaign() => {
                self.lost(&loss);
                return;
            }
            release = &mut end => release.unwrap_or(false),
        };
        if !self.perhaps_ours {
            return;
        }
        self.fence.close();
        self.metrics.leads(false);
        if release {
            let limit = self.client.limit();
            if tokio::time::timeout(limit, self.release()).await.is_err() {
                tracing::warn!("the lease was not released in time; it will expire");
            }
        }
    }

    /// Gets the lease and keeps it. Returns when it is lost.
    async fn campaign(&mut self) -> Loss {
        loop {
            let mut step = self.elector.begin(self.now());
            loop {
                step = match step {
                    Step::Read => self.read().await,
                    Step::Create(record) => {
                        let lease = record.create(&self.namespace, &self.name);
                        self.write(Method::POST, &self.collection.clone(), record, lease)
                            .await
                    }
                    Step::Update(record) => {
                        let lease = record.replace(self.held.clone().unwrap_or_default());
                        self.write(Method::PUT, &self.object.clone(), record, lease)
                            .await
                    }
                    Step::Rest => {
                        self.report();
                        if self.rest().await {
                            Step::Read
                        } else {
                            break;
                        }
                    }
                    Step::Lost(loss) => return loss,
                };
            }
        }
    }

    async fn read(&mut self) -> Step {
        let answer = self.call(Method::GET, &self.object, None).await;
        let now = self.now();
        let found = match answer {
            Ok(lease) => lease,
            Err(refusal) => {
                self.complain("read", &refusal.text);
                return self.elector.read_failed(now);
            }
        };
        let record = found.as_ref().map(Record::read);
        self.held = found;
        let step = self.elector.read(record, now);
        if step == Step::Rest {
            self.recovered();
        }
        step
    }

    async fn write(&mut self, method: Method, path: &str, record: Record, lease: Value) -> Step {
        let sent = self.now().elapsed;
        self.perhaps_ours = true;
        let answer = self.call(method, path, Some(&lease)).await;
        match answer {
            Ok(written) => {
                self.held = written;
                let new = self.elector.wrote(record, sent, self.now());
                if let Some(deadline) = self.elector.deadline() {
                    self.fence.open_until(self.start + deadline);
                }
                self.recovered();
                if new {
                    self.metrics.leads(true);
                    tracing::info!("this replica leads now");
                    self.leadership.send_replace(Leadership::Leading);
                }
                Step::Rest
            }
            Err(refusal) => {
                self.perhaps_ours = self.elector.leads() || !refusal.certain;
                // Somebody else was faster, which is nothing to complain about.
                if !refusal.conflict {
                    self.complain("written", &refusal.text);
                }
                self.elector.write_failed(self.now())
            }
        }
    }

    /// Waits for the next try. True when the lease has changed before that.
    async fn rest(&mut self) -> bool {
        let begin = self.start.elapsed();
        let until = self.elector.rest_until(begin, identity::chance());
        let tried = tokio::time::Instant::now();
        let sleep = tokio::time::sleep_until((self.start + until).into());
        let own = (self.elector.leads()).then(|| self.elector.identity().to_owned());
        let hints = &mut self.hints;
        let news = async {
            // What a leader sees of its own renewals is no news to it.
            while hints.changed().await.is_ok() {
                if *hints.borrow_and_update() != own {
                    return;
                }
            }
            // The watch has ended, with the process.
            std::future::pending::<()>().await;
        };
        let changed = tokio::select! {
            () = sleep => false,
            () = news => true,
        };
        if changed {
            tokio::time::sleep_until(tried + SHORTEST_REST).await;
        }
        changed
    }

    /// Gives the lease back, so that nobody has to wait until it expires.
    async fn release(&mut self) {
        loop {
            let found = self.call(Method::GET, &self.object, None).await;
            let Ok(Some(lease)) = found else {
                tracing::warn!("the lease could not be read; it will expire");
                return;
            };
            let Some(record) = self.elector.release(&Record::read(&lease), self.now()) else {
                return;
            };
            let lease = record.replace(lease);
            match self.call(Method::PUT, &self.object, Some(&lease)).await {
                Ok(_) => {
                    tracing::info!("the lease is released");
                    return;
                }
                // A renewal that was cut off was done after all.
                Err(refusal) if refusal.conflict => {}
                Err(refusal) => {
                    let reason = refusal.text;
                    tracing::warn!(reason, "the lease was not released; it will expire");
                    return;
                }
            }
        }
    }

    /// One call; None when there is no such lease. A leader does not wait beyond its deadline.
    async fn call(
        &self,
        method: Method,
        path: &str,
        lease: Option<&Value>,
    ) -> Result<Option<Value>, Refusal> {
        let reading = method == Method::GET;
        let body = lease.map(Value::to_string).unwrap_or_default();
        let call = self
            .client
            .send(method, path, "application/json", body.into());
        let deadline = self.elector.deadline().filter(|_| self.fence.is_open());
        let answer = match deadline {
            Some(deadline) => {
                let limit = (self.start + deadline).into();
                tokio::time::timeout_at(limit, call)
                    .await
                    .unwrap_or(Err(Fault::Timeout(self.client.limit())))
            }
            None => call.await,
        };
        let refused = |text| Refusal {
            text,
            conflict: false,
            certain: false,
        };
        let reply = answer.map_err(|fault| refused(fault.to_string()))?;
        if reply.status == StatusCode::NOT_FOUND && reading {
            return Ok(None);
        }
        if !reply.status.is_success() {
            return Err(Refusal {
                text: reply.message(),
                conflict: reply.status == StatusCode::CONFLICT,
                certain: reply.status.is_client_error(),
            });
        }
        match serde_json::from_slice(&reply.body) {
            Ok(lease) => Ok(Some(lease)),
            Err(error) => Err(refused(format!("the reply is not understood: {error}"))),
        }
    }

    fn lost(&mut self, loss: &Loss) {
        self.fence.close();
        self.ready.set(false);
        self.metrics.leads(false);
        self.leadership
            .send_replace(Leadership::Lost(loss.to_string()));
    }

    /// One line when the trouble begins, and no more until it has ended.
    fn complain(&mut self, what: &str, reason: &str) {
        if std::mem::replace(&mut self.complained, true) {
            tracing::debug!(reason, "the lease still cannot be {what}");
        } else {
            tracing::warn!(
                reason,
                "the lease cannot be {what}; it is tried again until it can"
            );
        }
    }

    fn recovered(&mut self) {
        if std::mem::take(&mut self.complained) {
            tracing::info!("the lease can be read and written again");
        }
    }

    /// Tells who leads, when that has changed.
    fn report(&mut self) {
        let holder = self.elector.holder().unwrap_or_default();
        if !holder.is_empty() && self.reported.as_deref() != Some(holder) {
            if !self.elector.leads() {
                tracing::info!(holder, "another replica leads");
            }
            self.reported = Some(holder.to_owned());
        }
    }

    fn now(&self) -> Now {
        Now {
            elapsed: self.start.elapsed(),
            calendar: jiff::Timestamp::now(),
        }
    }
}

/// Why a call brought nothing.
struct Refusal {
    text: String,
    conflict: bool,
    /// Whether nothing was changed.
    certain: bool,
}

/// Tells of each change of the lease, so that a released one is taken at once. It is only a hint,
/// upon which the lease is read: without it, it is read every now and then.
async fn watch_lease(
    client: kube::Client,
    collection: String,
    name: String,
    pause: Duration,
    hint: watch::Sender<Option<String>>,
) {
    // No resourceVersion: it begins with the lease as it is now.
    let path = format!(
        "{collection}?watch=true&fieldSelector=metadata.name%3D{name}&timeoutSeconds={WATCH_SECONDS}"
    );
    let mut complained = false;
    loop {
        let Ok(request) = Request::get(&path).body(Vec::new()) else {
            return;
        };
        let events = client.request_events::<Value>(request).await;
        if let Err(kube::Error::Api(status)) = &events
            && !std::mem::replace(&mut complained, true)
        {
            let reason = &status.message;
            tracing::warn!(reason, "the lease cannot be watched; it is read instead");
        }
        if let Ok(events) = events {
            complained = false;
            let mut events = std::pin::pin!(events);
            while let Ok(Some(event)) = events.try_next().await {
                let holder = match event {
                    WatchEvent::Added(lease) | WatchEvent::Modified(lease) => {
                        Record::read(&lease).holder
                    }
                    WatchEvent::Deleted(_) => String::new(),
                    WatchEvent::Bookmark(_) => continue,
                    WatchEvent::Error(_) => break,
                };
                hint.send_replace(Some(holder));
            }
        }
        tokio::time::sleep(pause).await;
    }
}
