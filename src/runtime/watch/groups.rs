//! Groups of pods, which the API server may describe by several APIs, now or later, or by none.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIResourceList};
use kube::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::source::{apart, path};
use super::{Election, FORBIDDEN_PAUSE, Progress, Reconnect, Source, Watch, leads, until_leading};
use crate::api::{Kind, Meta, PodGroup};
use crate::engine::Change;
use crate::model::{Dialect, GroupRef};
use crate::runtime::mailbox::{Mailbox, Subject};
use crate::telemetry::metrics::Metrics;

/// How often the server is asked for a kind that it does not have, unless a test is in a hurry.
pub(super) const POLL: Duration = Duration::from_secs(10);
/// How long an answer about what is served may take.
const LIMIT: Duration = Duration::from_secs(10);

const PLURAL: &str = "podgroups";

/// The versions that are read; of each dialect the preferred one first.
const VERSIONS: [Version; 5] = [
    Version::new(Dialect::Kubernetes, "v1beta1", follow::<0>),
    Version::new(Dialect::Kubernetes, "v1alpha3", follow::<1>),
    Version::new(Dialect::Kubernetes, "v1alpha2", follow::<2>),
    Version::new(Dialect::SchedulerPlugins, "v1alpha1", follow::<3>),
    Version::new(Dialect::Volcano, "v1beta1", follow::<4>),
];

/// A version of a dialect's API.
#[derive(Clone, Copy)]
struct Version {
    dialect: Dialect,
    name: &'static str,
    follow: Follow,
}

/// Watches the groups of one version for as long as it is served.
type Follow = fn(&Groups, Progress) -> Pin<Box<dyn Future<Output = Progress> + Send>>;

impl Version {
    const fn new(dialect: Dialect, name: &'static str, follow: Follow) -> Self {
        Self {
            dialect,
            name,
            follow,
        }
    }
}

/// A group of pods under the version that has this place in [`VERSIONS`].
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
struct Served<const VERSION: usize>(PodGroup);

impl<const VERSION: usize> Served<VERSION> {
    const API: Version = VERSIONS[VERSION];

    fn reference(identity: &str) -> GroupRef {
        let (namespace, name) = apart(identity);
        GroupRef {
            dialect: Self::API.dialect,
            namespace,
            name,
        }
    }
}

impl<const VERSION: usize> Kind for Served<VERSION> {
    const GROUP: &'static str = Self::API.dialect.api_group();
    const VERSION: &'static str = Self::API.name;
    const KIND: &'static str = "PodGroup";
    const PLURAL: &'static str = PLURAL;

    fn meta(&self) -> &Meta {
        &self.0.metadata
    }
}

impl<const VERSION: usize> Source for Served<VERSION> {
    const WITHOUT: Option<&'static str> = Some("pods of its groups wait");
    const NAME: &'static str = shown(Self::API.dialect);
    const COMES_AND_GOES: bool = true;

    fn identity(meta: &Meta) -> Box<str> {
        path(meta)
    }

    fn subject(identity: Box<str>) -> Subject {
        Subject::PodGroup(Self::reference(&identity))
    }

    fn changed(self) -> Change {
        Change::PodGroup(Self::API.dialect, Self::API.name, Box::new(self.0))
    }

    fn gone(identity: Box<str>) -> Change {
        Change::PodGroupGone(Self::reference(&identity))
    }

    fn unreadable(meta: &Meta, reason: String) -> Option<Change> {
        let reference = Self::reference(&path(meta));
        Some(Change::PodGroupUnreadable(reference, reason))
    }
}

/// What logs and metrics call the groups of a dialect.
const fn shown(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Kubernetes => "PodGroup.scheduling.k8s.io",
        Dialect::SchedulerPlugins => "PodGroup.scheduling.x-k8s.io",
        Dialect::Volcano => "PodGroup.scheduling.volcano.sh",
        Dialect::Koordinator | Dialect::Lightweight => "",
    }
}

fn follow<const VERSION: usize>(
    groups: &Groups,
    progress: Progress,
) -> Pin<Box<dyn Future<Output = Progress> + Send>> {
    let metrics = groups.metrics.watch(Served::<VERSION>::NAME);
    let watch = Watch::<Served<VERSION>>::new(Arc::clone(&groups.mailbox), progress, metrics);
    Box::pin(watch.run(groups.client.clone(), groups.election.clone()))
}

/// The groups of one dialect, whenever the server has them.
pub(super) struct Groups {
    pub(super) dialect: Dialect,
    pub(super) client: Client,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) election: Election,
    /// How often the server is asked for a kind that it does not have.
    pub(super) poll: Duration,
}

impl Groups {
    /// Watches the groups while they are served, and asks for them while they are not. That they
    /// are not is an answer that decisions can be based on; that the server gave none is not.
    pub(super) async fn run(self, mut progress: Progress) {
        let mut told = Told::default();
        let mut reconnect = Reconnect::default();
        loop {
            if leads(&self.election) {
                progress.lead();
            }
            let discovered = self.discover().await;
            self.tell(&discovered, &mut told);
            let pause = match discovered {
                Ok(Some(version)) => {
                    progress = (version.follow)(&self, progress).await;
                    // It may be there under another version by now.
                    self.poll / 10
                }
                Ok(None) => {
                    progress.settle();
                    reconnect = Reconnect::default();
                    self.poll
                }
                Err(Unknown::Forbidden(_)) => {
                    progress.settle();
                    FORBIDDEN_PAUSE
                }
                Err(Unknown::NoAnswer(_)) => reconnect.next().unwrap_or(self.poll),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = until_leading(&self.election, progress.counts()) => {}
            }
        }
    }

    /// One line when something begins, and no more while it lasts.
    fn tell(&self, discovered: &Result<Option<Version>, Unknown>, told: &mut Told) {
        let kind = shown(self.dialect);
        let news = match discovered {
            Ok(None) => Told::Nothing,
            Ok(Some(version)) => Told::Served(version.name),
            Err(_) => Told::Trouble,
        };
        if std::mem::replace(told, news) == news {
            return;
        }
        match discovered {
            Ok(None) => tracing::debug!(kind, "not served; it is asked for now and then"),
            Ok(Some(version)) => tracing::info!(kind, version = version.name, "served"),
            Err(Unknown::Forbidden(reason)) => tracing::warn!(
                kind,
                reason,
                "asking whether it is served is forbidden; scheduling goes on without it"
            ),
            Err(Unknown::NoAnswer(reason)) => tracing::warn!(
                kind,
                reason,
                "asking whether it is served fails; it is tried again until it works"
            ),
        }
    }

    /// The preferred one of the versions that are served.
    async fn discover(&self) -> Result<Option<Version>, Unknown> {
        let group = self.dialect.api_group();
        let served: Option<APIGroup> = self.ask(&format!("/apis/{group}")).await?;
        let served = served.map(|group| group.versions).unwrap_or_default();
        let of_this = (VERSIONS.iter()).filter(|version| version.dialect == self.dialect);
        for version in of_this {
            if !served.iter().any(|served| served.version == version.name) {
                continue;
            }
            let path = format!("/apis/{group}/{}", version.name);
            let resources: Option<APIResourceList> = self.ask(&path).await?;
            let resources = resources.map(|list| list.resources).unwrap_or_default();
            if resources.iter().any(|resource| resource.name == PLURAL) {
                return Ok(Some(*version));
            }
        }
        Ok(None)
    }

    /// None when there is nothing under this path.
    async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Unknown> {
        let request = (Request::get(path).body(Vec::new()))
            .map_err(|error| Unknown::NoAnswer(error.to_string()))?;
        match tokio::time::timeout(LIMIT, self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(None),
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
                Err(Unknown::Forbidden(status.message.clone()))
            }
            Ok(Err(error)) => Err(Unknown::NoAnswer(error.to_string())),
            Err(_) => Err(Unknown::NoAnswer("no reply in time".to_owned())),
        }
    }
}

/// Why it is not known what is served.
enum Unknown {
    Forbidden(String),
    NoAnswer(String),
}

/// What was said last.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Told {
    #[default]
    Nothing,
    Served(&'static str),
    Trouble,
}

#[cfg(test)]
mod tests;
