//! The async shell around the engine: watches in, lanes out, health and metrics.
//!
//! Nothing here holds scheduling state. The engine runs on its own thread; everything else on
//! tokio.

mod client;
mod driver;
pub mod http;
mod lanes;
mod lease;
mod mailbox;
mod scheduler;
mod watch;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

pub use scheduler::Scheduler;

use crate::config::{LeaderElection, RateLimit};
use crate::framework::{Profile, Verdict};
use crate::queue::Backoff;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How to reach the API server.
    pub client_config: kube::Config,
    /// One for each schedulerName whose pods are placed.
    pub profiles: Vec<Profile>,
    /// How long pods wait after failed attempts.
    pub backoff: Backoff,
    /// Where metrics and health are served.
    pub http_address: SocketAddr,
    /// How several replicas agree on the one that schedules; None for a single one.
    pub leader_election: Option<LeaderElection>,
    /// How many writes per second there may be; None for as many as the API server answers well.
    pub rate_limit: Option<RateLimit>,
    /// The configuration in force, as `/configz` shows it.
    pub shown_config: serde_json::Value,
    /// The way in which Permit plugins speak of pods that they let wait. Whoever has such plugins
    /// makes it first, gives each a clone, and sets it here.
    pub permits: Permits,
}

/// Speaks to a scheduler about pods that a Permit plugin lets wait. Clones speak to the same one.
#[derive(Clone, Debug, Default)]
pub struct Permits(Arc<mailbox::Mailbox>);

impl Permits {
    /// The pod with this uid may be bound as far as the plugin of this name is concerned.
    pub fn allow(&self, uid: &str, plugin: &str) {
        self.speak(uid, plugin, None);
    }

    /// It may not, for this reason, and gives back its room.
    pub fn reject(&self, uid: &str, plugin: &str, reason: &str) {
        self.speak(uid, plugin, Some(reason.to_owned()));
    }

    fn speak(&self, uid: &str, plugin: &str, refusal: Option<String>) {
        self.0.verdict(Verdict {
            uid: uid.into(),
            plugin: plugin.into(),
            refusal,
        });
    }
}

impl Options {
    /// Schedules by these profiles, one replica, pages at 127.0.0.1:10251.
    pub fn new(client_config: kube::Config, profiles: Vec<Profile>) -> Self {
        Self {
            client_config,
            profiles,
            backoff: Backoff::default(),
            http_address: ([127, 0, 0, 1], 10251).into(),
            leader_election: None,
            rate_limit: None,
            shown_config: serde_json::Value::Null,
            permits: Permits::default(),
        }
    }
}

/// Why it could not run.
#[derive(Debug, Error)]
pub enum RunError {
    /// The address for metrics and health cannot be had.
    #[error("cannot listen on {address}")]
    HttpAddress {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The client cannot be made, e.g. for want of usable credentials.
    #[error("cannot make a client for {url}")]
    Client {
        /// The API server.
        url: String,
        /// Why.
        source: Box<kube::Error>,
    },
    /// The metrics cannot be set up.
    #[error("cannot set up the metrics")]
    Metrics(#[from] prometheus::Error),
    /// Another replica schedules now, or may soon.
    #[error("the lease {lease} is lost: {reason}")]
    LeaseLost {
        /// The lease, as `namespace/name`.
        lease: String,
        /// How.
        reason: String,
    },
    /// The engine's thread has ended by itself; its panic was printed.
    #[error("the engine failed; restart it, and report the message above")]
    Engine,
    /// The process cannot be told to stop, or a thread not be started.
    #[error("the operating system refused")]
    System(#[from] io::Error),
}

/// Schedules pods until SIGTERM or SIGINT.
///
/// # Errors
///
/// While starting, and when it had to stop: for a lost lease, or a fault of the engine. Whatever
/// else fails once it runs is tried again.
pub async fn run(options: Options) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut signalled = async || {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    let mut scheduler = Scheduler::start(options).await?;
    let signal = tokio::select! {
        signal = signalled() => signal,
        error = scheduler.failed() => return Err(error),
    };
    tracing::info!(signal, "no new decisions; waiting for binds in flight");
    scheduler
        .stop(async {
            let signal = signalled().await;
            tracing::warn!(signal, "binds in flight are left behind");
        })
        .await;
    tracing::info!("stopped");
    Ok(())
}

#[cfg(test)]
mod tests;
