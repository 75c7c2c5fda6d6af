//! The watches: lists and events of one kind, decoded one by one and put into the mailbox.

mod source;

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};

use super::http::ReadyFlag;
use super::lease::Leadership;
use super::mailbox::{Mailbox, Subject};
use crate::api::{
    Kind, Namespace, Node, Pod, PriorityClass, ReplicaSet, ReplicationController, Service,
    StatefulSet, Watched,
};
use crate::engine::Change;
use crate::telemetry::metrics::{Metrics, WatchEvent, WatchMetrics};
use source::Source;

/// How long the server keeps a watch open. Short enough that a connection that died silently is
/// noticed soon; long enough for a full initial list.
const WATCH_SECONDS: u32 = 90;

/// Counts the kinds that have not been listed yet, by a list that decisions may be based on.
pub(super) struct Unsynced {
    left: AtomicUsize,
    mailbox: Arc<Mailbox>,
}

impl Unsynced {
    fn listed(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.mailbox.change(Subject::Everything, Change::Synced);
            tracing::info!("everything is listed; scheduling begins");
        }
    }
}

/// Makes the watch of one kind; `ready` is set once it has listed everything.
type Start = fn(Client, Arc<Mailbox>, Arc<Unsynced>, Election, ReadyFlag, WatchMetrics) -> Task;
/// Whether this replica leads; None when there is no election.
type Election = Option<tokio::sync::watch::Receiver<Leadership>>;
type Task = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// A kind, the name of its readiness check, and its watch.
type WatchedKind = (&'static str, &'static str, Start);

/// What is watched always. A further kind is one line here and a [`Source`].
const WATCHED: &[WatchedKind] = &[
    (Pod::KIND, "watch-pods", start::<Pod>),
    (Node::KIND, "watch-nodes", start::<Node>),
    (Namespace::KIND, "watch-namespaces", start::<Namespace>),
    (
        PriorityClass::KIND,
        "watch-priorityclasses",
        start::<PriorityClass>,
    ),
];

/// What is watched for default spreading. There may be very many replica sets.
const OWNERS: &[WatchedKind] = &[
    (Service::KIND, "watch-services", start::<Service>),
    (
        ReplicationController::KIND,
        "watch-replicationcontrollers",
        start::<ReplicationController>,
    ),
    (ReplicaSet::KIND, "watch-replicasets", start::<ReplicaSet>),
    (
        StatefulSet::KIND,
        "watch-statefulsets",
        start::<StatefulSet>,
    ),
];

/// Starts every watch; those of services and controllers if pods are spread by default. With an
/// election, decisions begin only when everything was listed again after this replica became the
/// leader: what its predecessor did last may not have been seen yet.
pub(super) fn start_all(
    client: &Client,
    mailbox: &Arc<Mailbox>,
    metrics: &Metrics,
    election: &Election,
    spreads_by_default: bool,
    mut ready: impl FnMut(&'static str) -> ReadyFlag,
) -> Vec<Task> {
    let owners = if spreads_by_default { OWNERS } else { &[] };
    let unsynced = Arc::new(Unsynced {
        left: AtomicUsize::new(WATCHED.len() + owners.len()),
        mailbox: Arc::clone(mailbox),
    });
    (WATCHED.iter().chain(owners))
        .map(|(kind, check, start)| {
            let (client, mailbox) = (client.clone(), Arc::clone(mailbox));
            start(
                client,
                mailbox,
                Arc::clone(&unsynced),
                election.clone(),
                ready(check),
                metrics.watch(kind),
            )
        })
        .collect()
}

fn start<K: Source>(
    client: Client,
    mailbox: Arc<Mailbox>,
    unsynced: Arc<Unsynced>,
    election: Election,
    ready: ReadyFlag,
    metrics: WatchMetrics,
) -> Task {
    let watch = Watch::<K> {
        mailbox,
        unsynced,
        ready,
        metrics,
        known: HashSet::new(),
        listing: None,
        synced: false,
        settled: false,
        counts: election.is_none(),
        confirmed: false,
        complained: false,
        kind: std::marker::PhantomData,
    };
    Box::pin(watch.run(client, election))
}

/// The pauses between attempts to reach the server: short, since a scheduler that does not see the
/// cluster does nothing, and one connection per kind is no load.
#[derive(Debug)]
struct Reconnect(Duration);

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// Rights are seldom granted later.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(60);

impl Default for Reconnect {
    fn default() -> Self {
        Self(FIRST_PAUSE)
    }
}

impl Iterator for Reconnect {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST_PAUSE);
        Some(pause)
    }
}

impl Backoff for Reconnect {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

/// How the current stream ended.
enum Ended {
    /// The server does not stream lists.
    StreamingRefused,
    /// The stream began to list anew, or this replica leads now; the next one asks for the newest
    /// state.
    Relist,
    /// It must be built anew.
    Broken,
}

fn leads(election: &Election) -> bool {
    (election.as_ref()).is_none_or(|election| *election.borrow() == Leadership::Leading)
}

/// Returns when this replica becomes the leader; never if that is known.
async fn until_leading(election: &Election, known: bool) {
    if let (Some(election), false) = (election, known) {
        let mut election = election.clone();
        let leading = |leadership: &Leadership| *leadership == Leadership::Leading;
        if election.wait_for(leading).await.is_ok() {
            return;
        }
    }
    std::future::pending().await
}

struct Watch<K> {
    mailbox: Arc<Mailbox>,
    unsynced: Arc<Unsynced>,
    ready: ReadyFlag,
    metrics: WatchMetrics,
    /// The identities of the objects that exist as far as we know.
    known: HashSet<Box<str>>,
    /// Those seen by the list under way.
    listing: Option<HashSet<Box<str>>>,
    /// Whether everything was listed once.
    synced: bool,
    /// Whether that, or that it cannot be had, was said.
    settled: bool,
    /// Whether the list under way may be the basis of decisions: it was begun while this replica led,
    /// or there is no election.
    counts: bool,
    /// Whether such a list was finished.
    confirmed: bool,
    complained: bool,
    kind: std::marker::PhantomData<K>,
}

impl<K: Source> Watch<K> {
    async fn run(mut self, client: Client, election: Election) {
        let api: Api<Watched<K>> = Api::all(client);
        // The first list is streamed, which spares the server; it may be a little old, but nothing
        // is known yet that it could contradict. Every later one asks for the newest state, because
        // what it lacks counts as deleted.
        let mut streaming = true;
        loop {
            if !self.counts && leads(&election) {
                self.counts = true;
                streaming = false;
            }
            let config = watcher::Config::default().timeout(WATCH_SECONDS);
            let config = if streaming {
                config.streaming_lists()
            } else {
                config
            };
            let config = if K::FIELDS.is_empty() {
                config
            } else {
                config.fields(K::FIELDS)
            };
            let begins_to_lead = until_leading(&election, self.counts);
            let ended = tokio::select! {
                ended = self.follow(watcher(api.clone(), config)) => ended,
                () = begins_to_lead => Ended::Relist,
            };
            match ended {
                Ended::StreamingRefused => {
                    self.metrics.streaming_list_refused();
                    streaming = false;
                }
                Ended::Relist => streaming = false,
                Ended::Broken => {
                    streaming &= !self.synced;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            self.listing = None;
        }
    }

    async fn follow(
        &mut self,
        stream: impl futures::Stream<Item = watcher::Result<watcher::Event<Watched<K>>>> + Send,
    ) -> Ended {
        let first = !self.synced;
        let mut stream = pin!(stream.backoff(Reconnect::default()));
        let mut lists = 0;
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => {
                    self.heard();
                    match event {
                        watcher::Event::Init => {
                            lists += 1;
                            // A streaming watch lists anew by streaming from wherever the server
                            // stands; only a fresh one asks for the newest state.
                            if first && lists > 1 && self.synced {
                                return Ended::Relist;
                            }
                            self.begin_list();
                        }
                        watcher::Event::InitApply(object) => self.listed(object),
                        watcher::Event::InitDone => self.end_list(),
                        watcher::Event::Apply(object) => self.applied(object),
                        watcher::Event::Delete(object) => self.deleted(&object),
                    }
                }
                Err(error) => {
                    self.metrics.error();
                    self.complain(&error);
                    if let watcher::Error::WatchStartFailed(kube::Error::Api(status))
                    | watcher::Error::InitialListFailed(kube::Error::Api(status)) = &error
                    {
                        if K::WITHOUT.is_some() && status.is_forbidden() {
                            self.settled();
                            tokio::time::sleep(FORBIDDEN_PAUSE).await;
                        }
                        // kube's watcher would repeat these requests for ever.
                        if status.is_invalid() || status.code == 422 {
                            return Ended::StreamingRefused;
                        }
                        if status.code == 410 {
                            return Ended::Broken;
                        }
                    }
                }
            }
        }
        Ended::Broken
    }

    fn heard(&mut self) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.metrics.heard(now.as_secs_f64());
        if std::mem::take(&mut self.complained) {
            tracing::info!(kind = K::KIND, "watching again");
        }
    }

    /// One line when the trouble begins, and no more until it has ended.
    fn complain(&mut self, error: &watcher::Error) {
        let reason = match error {
            watcher::Error::WatchStartFailed(kube::Error::Api(status))
            | watcher::Error::InitialListFailed(kube::Error::Api(status)) => status.message.clone(),
            watcher::Error::WatchError(status) => status.message.clone(),
            other => other.to_string(),
        };
        let forbidden = match error {
            watcher::Error::WatchStartFailed(kube::Error::Api(status))
            | watcher::Error::InitialListFailed(kube::Error::Api(status)) => status.is_forbidden(),
            _ => false,
        };
        let without = K::WITHOUT.filter(|_| forbidden);
        if std::mem::replace(&mut self.complained, true) {
            tracing::debug!(kind = K::KIND, reason, "watching still fails");
        } else if let Some(without) = without {
            tracing::warn!(
                kind = K::KIND,
                reason,
                "watching is forbidden; scheduling goes on, but {without}"
            );
        } else {
            tracing::warn!(
                kind = K::KIND,
                reason,
                "watching fails; it is tried again until it works"
            );
        }
    }

    fn begin_list(&mut self) {
        if self.synced {
            self.metrics.relisted();
        }
        self.listing = Some(HashSet::with_capacity(self.known.len()));
    }

    fn listed(&mut self, object: Watched<K>) {
        self.metrics.event(WatchEvent::Listed);
        let identity = K::identity(object.identity());
        if let Some(listing) = &mut self.listing {
            listing.insert(identity.clone());
        }
        self.put(identity, object);
    }

    /// What was known and is not in the list is gone: its deletion was missed.
    fn end_list(&mut self) {
        let listed = self.listing.take().unwrap_or_default();
        for identity in self.known.difference(&listed) {
            self.mailbox
                .change(K::subject(identity.clone()), K::gone(identity.clone()));
        }
        self.known = listed;
        self.synced = true;
        self.settled();
    }

    /// Decisions need not wait for this kind any longer.
    fn settled(&mut self) {
        if !std::mem::replace(&mut self.settled, true) {
            self.ready.set(true);
        }
        if self.counts && !std::mem::replace(&mut self.confirmed, true) {
            self.unsynced.listed();
        }
    }

    fn applied(&mut self, object: Watched<K>) {
        self.metrics.event(WatchEvent::Applied);
        let identity = K::identity(object.identity());
        self.known.insert(identity.clone());
        self.put(identity, object);
    }

    fn deleted(&mut self, object: &Watched<K>) {
        self.metrics.event(WatchEvent::Deleted);
        let identity = K::identity(object.identity());
        self.known.remove(&identity);
        self.mailbox
            .change(K::subject(identity.clone()), K::gone(identity));
    }

    fn put(&mut self, identity: Box<str>, object: Watched<K>) {
        let Watched { meta, object, .. } = object;
        let change = match object {
            Ok(object) => Some(object.changed()),
            Err(reason) => {
                tracing::warn!(
                    kind = K::KIND,
                    name = &*meta.name,
                    reason,
                    "this object cannot be read"
                );
                K::unreadable(&meta, reason)
            }
        };
        if let Some(change) = change {
            self.mailbox.change(K::subject(identity), change);
        }
    }
}
