//! The async shell around the engine: watches in, lanes out, health and metrics.
//!
//! Nothing here holds scheduling state. The engine runs on its own thread; everything else on
//! tokio.

mod client;
mod driver;
pub mod http;
mod lanes;
mod mailbox;
mod watch;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::engine::{Engine, Setup};
use crate::plugins;
use crate::queue::Backoff;
use crate::telemetry::metrics::Metrics;
use client::ApiClient;
use lanes::{BindLane, BindLoad, EventLane, Lanes, StatusLane};
use mailbox::Mailbox;

/// How long a bind may take before its outcome counts as unknown.
const BIND_TIMEOUT: Duration = Duration::from_secs(10);
/// How long any other call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections kept for binds.
const BIND_CONNECTIONS: usize = 256;
/// Idle connections kept for everything else.
const CALL_CONNECTIONS: usize = 16;
/// How long status patches and events that still wait are written when stopping.
const LINGER: Duration = Duration::from_secs(3);

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How to reach the API server.
    pub client_config: kube::Config,
    /// The schedulerNames whose pods are placed.
    pub scheduler_names: Vec<String>,
    /// Where metrics and health are served.
    pub http_address: SocketAddr,
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
    /// The process cannot be told to stop, or a thread not be started.
    #[error("the operating system refused")]
    System(#[from] io::Error),
}

/// Schedules pods until SIGTERM or SIGINT.
///
/// # Errors
///
/// Only while starting: once it runs, what fails is tried again.
pub async fn run(options: Options) -> Result<(), RunError> {
    let Options {
        client_config,
        scheduler_names,
        http_address,
    } = options;
    let server =
        http::Server::bind(http_address)
            .await
            .map_err(|source| RunError::HttpAddress {
                address: http_address,
                source,
            })?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    let metrics = Arc::new(Metrics::new()?);
    let refused = |source: kube::Error| RunError::Client {
        url: client_config.cluster_url.to_string(),
        source: Box::new(source),
    };
    let config = identified(&client_config);
    let watch_client = client::client(&config, CALL_CONNECTIONS).map_err(refused)?;
    let bind_client = ApiClient::new(&config, BIND_CONNECTIONS, BIND_TIMEOUT).map_err(refused)?;
    let call_client = ApiClient::new(&config, CALL_CONNECTIONS, CALL_TIMEOUT).map_err(refused)?;

    let mailbox = Arc::new(Mailbox::default());
    let mut health = http::Health::new();
    let watches = watch::start_all(&watch_client, &mailbox, &metrics, |check| {
        health.add_check(check, "not everything is listed yet")
    });
    let health = Arc::new(health);

    let load = Arc::new(BindLoad::default());
    let (binds, bind_orders) = mpsc::unbounded_channel();
    let (statuses, status_orders) = mpsc::unbounded_channel();
    let (events, event_orders) = mpsc::unbounded_channel();
    let bind_lane = tokio::spawn(
        BindLane {
            client: bind_client,
            orders: bind_orders,
            load: Arc::clone(&load),
            mailbox: Arc::clone(&mailbox),
            metrics: Arc::clone(&metrics),
        }
        .run(),
    );
    let status_lane = tokio::spawn(
        StatusLane {
            client: call_client.clone(),
            orders: status_orders,
            load: Arc::clone(&load),
            mailbox: Arc::clone(&mailbox),
            metrics: Arc::clone(&metrics),
        }
        .run(),
    );
    let event_lane = tokio::spawn(
        EventLane {
            client: call_client,
            orders: event_orders,
            load: Arc::clone(&load),
            metrics: Arc::clone(&metrics),
            host: hostname(),
        }
        .run(),
    );

    let shown = http::Shown {
        metrics: Arc::clone(&metrics),
        health: Arc::clone(&health),
        config: Arc::new(shown_config(&scheduler_names)),
    };
    let (stop_http, http_stopped) = oneshot::channel::<()>();
    let http = tokio::spawn(server.serve(shown, async {
        // Also when the sender is dropped.
        let _ = http_stopped.await;
    }));

    let engine = engine(&scheduler_names, Arc::clone(&metrics));
    let lanes = Lanes {
        load,
        binds,
        statuses,
        events,
    };
    let (driver_ended, ended) = oneshot::channel::<()>();
    let driver = {
        let (mailbox, health) = (Arc::clone(&mailbox), Arc::clone(&health));
        std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || {
                driver::drive(engine, &mailbox, &lanes, &health);
                let _ = driver_ended.send(());
            })?
    };
    let watches: Vec<_> = watches.into_iter().map(tokio::spawn).collect();
    tracing::info!(
        server = %client_config.cluster_url,
        scheduler_names = scheduler_names.join(","),
        http = %http_address,
        "started"
    );

    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: no new decisions; waiting for binds in flight"),
        _ = interrupt.recv() => tracing::info!("interrupted: no new decisions; waiting for binds in flight"),
    }
    health.shut_down();
    mailbox.stop();
    // A second signal ends it at once.
    tokio::select! {
        _ = ended => {}
        _ = terminate.recv() => tracing::warn!("SIGTERM again: binds in flight are left behind"),
        _ = interrupt.recv() => tracing::warn!("interrupted again: binds in flight are left behind"),
    }
    for watch in &watches {
        watch.abort();
    }
    if driver.is_finished() {
        // The lanes end by themselves now that nobody can give orders any more.
        let rest = async { tokio::join!(bind_lane, status_lane, event_lane) };
        if tokio::time::timeout(LINGER, rest).await.is_err() {
            tracing::warn!("some events were not written in time");
        }
    }
    let _ = stop_http.send(());
    let _ = tokio::time::timeout(LINGER, http).await;
    tracing::info!("stopped");
    Ok(())
}

fn engine(scheduler_names: &[String], metrics: Arc<Metrics>) -> Engine {
    let start = Instant::now();
    Engine::new(Setup {
        profiles: scheduler_names
            .iter()
            .map(|name| plugins::default_profile(name))
            .collect(),
        backoff: Backoff::default(),
        seed: 0,
        metrics,
        stopwatch: Box::new(move || start.elapsed().as_secs_f64()),
    })
}

/// The configuration with a User-Agent, by which administrators tell clients apart.
fn identified(config: &kube::Config) -> kube::Config {
    let mut config = config.clone();
    let agent = concat!("berth/", env!("CARGO_PKG_VERSION"));
    if let Ok(value) = ::http::HeaderValue::from_str(agent) {
        config.headers.push((::http::header::USER_AGENT, value));
    }
    config
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// The configuration in force, in the form of KubeSchedulerConfiguration.
fn shown_config(scheduler_names: &[String]) -> serde_json::Value {
    let profiles: Vec<_> = scheduler_names
        .iter()
        .map(|name| {
            let enabled: Vec<_> = plugins::defaults()
                .into_iter()
                .map(|(plugin, weight)| json!({ "name": plugin.name(), "weight": weight }))
                .collect();
            json!({ "schedulerName": name, "plugins": { "multiPoint": { "enabled": enabled } } })
        })
        .collect();
    json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": { "leaderElect": false },
        "podInitialBackoffSeconds": Backoff::default().initial.as_secs(),
        "podMaxBackoffSeconds": Backoff::default().max.as_secs(),
        "profiles": profiles,
    })
}
