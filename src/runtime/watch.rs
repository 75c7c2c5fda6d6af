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
    Kind, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, PriorityClass, ReplicaSet,
    ReplicationController, Service, StatefulSet, StorageClass, Watched,
};
use crate::engine::Change;
use crate::telemetry::metrics::{Metrics, WatchEvent, WatchMetrics};
pub(super) use source::Source;

/// How long the server keeps a watch open. Short enough that a connection that died silently is
/// noticed soon; long enough for a full initial list.
const WATCH_SECONDS: u32 = 90;

/// Counts the kinds that have not been listed yet, by a list that decisions may be based on.
pub(super) struct Unsynced {
    left: AtomicUsize,
    mailbox: Arc<Mailbox>,
}

impl Unsynced {
    pub(super) fn new(kinds: usize, mailbox: &Arc<Mailbox>) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicUsize::new(kinds),
            mailbox: Arc::clone(mailbox),
        })
    }

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
    (
        PersistentVolumeClaim::KIND,
        "watch-persistentvolumeclaims",
        start::<PersistentVolumeClaim>,
    ),
    (
        PersistentVolume::KIND,
        "watch-persistentvolumes",
        start::<PersistentVolume>,
    ),
    (
        StorageClass::KIND,
        "watch-storageclasses",
        start::<StorageClass>,
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
    let unsynced = Unsynced::new(WATCHED.len() + owners.len(), mailbox);
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
    let watch = Watch::<K>::new(mailbox, unsynced, ready, metrics, election.is_none());
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
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

/// What is known of one kind, and what the next list is to be.
pub(super) struct Watch<K> {
    mailbox: Arc<Mailbox>,
    unsynced: Arc<Unsynced>,
    ready: ReadyFlag,
    metrics: WatchMetrics,
    /// The identities of the objects that exist as far as we know.
    known: HashSet<Box<str>>,
    /// Those seen by the list under way.
    listing: Option<HashSet<Box<str>>>,
    /// Whether the next list is to be streamed.
    streaming: bool,
    /// Whether everything was listed once when the current stream began, and how many lists it has
    /// begun.
    stream: (bool, u32),
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
    /// `counts`: whether there is no election, so that the first list counts.
    pub(super) fn new(
        mailbox: Arc<Mailbox>,
        unsynced: Arc<Unsynced>,
        ready: ReadyFlag,
        metrics: WatchMetrics,
        counts: bool,
    ) -> Self {
        Self {
            mailbox,
            unsynced,
            ready,
            metrics,
            known: HashSet::new(),
            listing: None,
            // A list that is streamed spares the server and may be a little old. That is good enough
            // for a standby that knows nothing yet. Decisions need the newest state, or else they
            // give away the room of what another life of this scheduler bound last, and what a
            // later list lacks counts as deleted.
            streaming: !counts,
            stream: (false, 0),
            synced: false,
            settled: false,
            counts,
            confirmed: false,
            complained: false,
            kind: std::marker::PhantomData,
        }
    }

    async fn run(mut self, client: Client, election: Election) {
        let api: Api<Watched<K>> = Api::all(client);
        loop {
            if !self.counts && leads(&election) {
                self.lead();
            }
            let config = watcher::Config::default().timeout(WATCH_SECONDS);
            let config = if self.begin_stream() {
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
            self.end_stream(ended);
            if ended == Ended::Broken {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }

    /// This replica leads now: the next list, which asks for the newest state, counts.
    pub(super) fn lead(&mut self) {
        self.counts = true;
        self.streaming = false;
    }

    /// Whether the stream that begins now is to list by streaming.
    pub(super) fn begin_stream(&mut self) -> bool {
        self.stream = (self.synced, 0);
        self.streaming
    }

    pub(super) fn end_stream(&mut self, ended: Ended) {
        match ended {
            Ended::StreamingRefused => {
                self.metrics.streaming_list_refused();
                self.streaming = false;
            }
            Ended::Relist => self.streaming = false,
            Ended::Broken => self.streaming &= !self.synced,
        }
        self.break_off_list();
    }

    async fn follow(
        &mut self,
        stream: impl futures::Stream<Item = watcher::Result<watcher::Event<Watched<K>>>> + Send,
    ) -> Ended {
        let mut stream = pin!(stream.backoff(Reconnect::default()));
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => {
                    self.heard();
                    if let Some(ended) = self.take(event) {
                        return ended;
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

    /// Takes in what the stream says, unless it begins a list that must be begun otherwise.
    pub(super) fn take(&mut self, event: watcher::Event<Watched<K>>) -> Option<Ended> {
        match event {
            watcher::Event::Init => {
                let (synced, lists) = &mut self.stream;
                *lists += 1;
                // A streaming watch lists anew by streaming from wherever the server stands; only a
                // fresh one asks for the newest state.
                if !*synced && *lists > 1 && self.synced {
                    return Some(Ended::Relist);
                }
                self.begin_list();
            }
            watcher::Event::InitApply(object) => self.listed(object),
            watcher::Event::InitDone => self.end_list(),
            watcher::Event::Apply(object) => self.applied(object),
            watcher::Event::Delete(object) => self.deleted(&object),
        }
        None
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
        self.break_off_list();
        self.listing = Some(HashSet::with_capacity(self.known.len()));
    }

    /// The engine was told of what a list had that never ended: it exists as far as we know.
    fn break_off_list(&mut self) {
        self.known.extend(self.listing.take().into_iter().flatten());
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
        let mut gone: Vec<_> = self.known.difference(&listed).cloned().collect();
        // The order is that of a hash; the engine is to be told the same in the same order.
        gone.sort_unstable();
        for identity in gone {
            self.mailbox
                .change(K::subject(identity.clone()), K::gone(identity));
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

#[cfg(test)]
mod tests;
