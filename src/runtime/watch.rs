//! The watches: lists and events of one kind, decoded one by one and put into the mailbox.

mod groups;
mod progress;
mod rights;
mod source;

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};

use super::http::ReadyFlag;
use super::lease::Leadership;
use super::mailbox::Mailbox;
use crate::api::{
    Kind, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, PodDisruptionBudget,
    PriorityClass, ReplicaSet, ReplicationController, Service, StatefulSet, StorageClass, Watched,
};
use crate::framework::Profile;
use crate::model::Dialect;
use crate::telemetry::metrics::{Metrics, WatchEvent, WatchMetrics};
use groups::Groups;
pub(super) use progress::{Progress, Unsynced};
use rights::Rights;
pub(super) use source::Source;

/// How long the server keeps a watch open. Short enough that a connection that died silently is
/// noticed soon; long enough for a full initial list.
const WATCH_SECONDS: u32 = 90;

/// Makes the watch of one kind.
type Start = fn(Client, Arc<Mailbox>, Progress, Election, WatchMetrics) -> Task;
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

/// What is watched for preemption.
const BUDGETS: &[WatchedKind] = &[(
    PodDisruptionBudget::KIND,
    "watch-poddisruptionbudgets",
    start::<PodDisruptionBudget>,
)];

/// The APIs that describe groups of pods, of which the server may have any, now or later.
const GROUPS: &[(Dialect, &str)] = &[
    (Dialect::Kubernetes, "watch-podgroups.scheduling.k8s.io"),
    (
        Dialect::SchedulerPlugins,
        "watch-podgroups.scheduling.x-k8s.io",
    ),
    (Dialect::Volcano, "watch-podgroups.scheduling.volcano.sh"),
];

/// Starts every watch; those of services and controllers if a profile spreads pods by default;
/// those of budgets, and the questions for the right to evict, if one preempts; those of groups of
/// pods as soon as the server has them. With an election, decisions begin only when everything was
/// listed again after this replica became the leader: what its predecessor did last may not have
/// been seen yet.
pub(super) fn start_all(
    client: &Client,
    mailbox: &Arc<Mailbox>,
    metrics: &Arc<Metrics>,
    election: &Election,
    profiles: &[Profile],
    mut ready: impl FnMut(&'static str) -> ReadyFlag,
) -> Vec<Task> {
    let preempts = profiles.iter().any(Profile::preempts);
    let mut kinds = WATCHED.to_vec();
    if profiles.iter().any(Profile::spreads_by_default) {
        kinds.extend(OWNERS);
    }
    if preempts {
        kinds.extend(BUDGETS);
    }
    let answers = kinds.len() + GROUPS.len() + usize::from(preempts);
    let unsynced = Unsynced::new(answers, mailbox);
    let mut progress =
        |check| Progress::new(Arc::clone(&unsynced), ready(check), election.is_none());
    let mut tasks: Vec<_> = (kinds.into_iter())
        .map(|(kind, check, start)| {
            let (client, mailbox) = (client.clone(), Arc::clone(mailbox));
            let metrics = metrics.watch(kind);
            start(client, mailbox, progress(check), election.clone(), metrics)
        })
        .collect();
    tasks.extend(GROUPS.iter().map(|(dialect, check)| {
        let groups = Groups {
            dialect: *dialect,
            client: client.clone(),
            mailbox: Arc::clone(mailbox),
            metrics: Arc::clone(metrics),
            election: election.clone(),
            poll: groups::POLL,
        };
        let task: Task = Box::pin(groups.run(progress(check)));
        task
    }));
    if preempts {
        let rights = Rights {
            client: client.clone(),
            mailbox: Arc::clone(mailbox),
            election: election.clone(),
            poll: rights::POLL,
        };
        tasks.push(Box::pin(rights.run(progress("eviction-rights"))));
    }
    tasks
}

fn start<K: Source>(
    client: Client,
    mailbox: Arc<Mailbox>,
    progress: Progress,
    election: Election,
    metrics: WatchMetrics,
) -> Task {
    let watch = Watch::<K>::new(mailbox, progress, metrics);
    Box::pin(async move {
        watch.run(client, election).await;
    })
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
    /// The server does not have this kind.
    NotServed,
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

/// The status with which the server answered a request.
fn code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::InitialListFailed(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

/// What is known of one kind, and what the next list is to be.
pub(super) struct Watch<K> {
    mailbox: Arc<Mailbox>,
    progress: Progress,
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
    complained: bool,
    kind: std::marker::PhantomData<K>,
}

impl<K: Source> Watch<K> {
    pub(super) fn new(mailbox: Arc<Mailbox>, progress: Progress, metrics: WatchMetrics) -> Self {
        Self {
            mailbox,
            metrics,
            known: HashSet::new(),
            listing: None,
            // A list that is streamed spares the server and may be a little old. That is good enough
            // for a standby that knows nothing yet. Decisions need the newest state, or else they
            // give away the room of what another life of this scheduler bound last, and what a
            // later list lacks counts as deleted.
            streaming: !progress.counts(),
            stream: (false, 0),
            synced: false,
            progress,
            complained: false,
            kind: std::marker::PhantomData,
        }
    }

    /// Watches for as long as the server has this kind.
    async fn run(mut self, client: Client, election: Election) -> Progress {
        let api: Api<Watched<K>> = Api::all(client);
        loop {
            if !self.progress.counts() && leads(&election) {
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
            let begins_to_lead = until_leading(&election, self.progress.counts());
            let ended = tokio::select! {
                ended = self.follow(watcher(api.clone(), config)) => ended,
                () = begins_to_lead => Ended::Relist,
            };
            self.end_stream(ended);
            match ended {
                Ended::NotServed => return self.end(),
                Ended::Broken => tokio::time::sleep(Duration::from_secs(1)).await,
                Ended::StreamingRefused | Ended::Relist => {}
            }
        }
    }

    /// This replica leads now: the next list, which asks for the newest state, counts.
    pub(super) fn lead(&mut self) {
        self.progress.lead();
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
            Ended::Broken | Ended::NotServed => self.streaming &= !self.synced,
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
                    if K::COMES_AND_GOES && code(&error) == Some(404) {
                        return Ended::NotServed;
                    }
                    self.metrics.error();
                    self.complain(&error);
                    match code(&error) {
                        Some(403) if K::WITHOUT.is_some() => {
                            self.progress.settle();
                            tokio::time::sleep(FORBIDDEN_PAUSE).await;
                        }
                        // kube's watcher would repeat these requests for ever.
                        Some(422) => return Ended::StreamingRefused,
                        Some(410) => return Ended::Broken,
                        _ => {}
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
            tracing::info!(kind = K::NAME, "watching again");
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
        let without = K::WITHOUT.filter(|_| code(error) == Some(403));
        if std::mem::replace(&mut self.complained, true) {
            tracing::debug!(kind = K::NAME, reason, "watching still fails");
        } else if let Some(without) = without {
            tracing::warn!(
                kind = K::NAME,
                reason,
                "watching is forbidden; scheduling goes on, but {without}"
            );
        } else {
            tracing::warn!(
                kind = K::NAME,
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
        self.known_are(listed);
        self.synced = true;
        self.progress.settle();
    }

    /// The server does not have the kind any more, and so none of its objects.
    fn end(mut self) -> Progress {
        if self.synced {
            tracing::info!(kind = K::NAME, "no longer served");
        }
        self.known_are(HashSet::new());
        self.progress
    }

    fn known_are(&mut self, existing: HashSet<Box<str>>) {
        let mut gone: Vec<_> = self.known.difference(&existing).cloned().collect();
        // The order is that of a hash; the engine is to be told the same in the same order.
        gone.sort_unstable();
        for identity in gone {
            self.mailbox
                .change(K::subject(identity.clone()), K::gone(identity));
        }
        self.known = existing;
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
                    kind = K::NAME,
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
