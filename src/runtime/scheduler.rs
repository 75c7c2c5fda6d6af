//! Everything that runs, put together and taken apart again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::client::{self, ApiClient, Pace};
use super::lanes::{BindLane, BindLoad, EventLane, EvictLane, Lanes, StatusLane, Told};
use super::lease::{Campaign, Fence};
use super::mailbox::Mailbox;
use super::{Options, RunError, driver, http, watch};
use crate::engine::{Engine, Setup};
use crate::telemetry::metrics::Metrics;

/// How long a bind may take before its outcome counts as unknown.
const BIND_TIMEOUT: Duration = Duration::from_secs(10);
/// How long any other call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections kept for binds.
const BIND_CONNECTIONS: usize = 256;
/// Idle connections kept for everything else.
const CALL_CONNECTIONS: usize = 32;
/// How long status patches and events that still wait are written when stopping.
const LINGER: Duration = Duration::from_secs(3);
/// The same when another replica may be waiting for the lease: until then nobody schedules.
const HANDOVER: Duration = Duration::from_millis(500);

/// A running scheduler.
pub struct Scheduler {
    mailbox: Arc<Mailbox>,
    health: Arc<http::Health>,
    metrics: Arc<Metrics>,
    http_address: SocketAddr,
    campaign: Option<Campaign>,
    /// Whether all binds were answered when the engine's thread ended.
    driver_ended: oneshot::Receiver<bool>,
    watches: Vec<JoinHandle<()>>,
    lanes: Vec<JoinHandle<()>>,
    stop_http: oneshot::Sender<()>,
    http: JoinHandle<()>,
}

impl Scheduler {
    /// Starts everything. The API server need not be there yet.
    ///
    /// # Errors
    ///
    /// When the address is taken, the client cannot be made, or a thread cannot be started.
    pub async fn start(options: Options) -> Result<Self, RunError> {
        let Options {
            client_config,
            profiles,
            backoff,
            http_address,
            leader_election,
            rate_limit,
            shown_config,
            permits,
        } = options;
        let leader_election = leader_election.filter(|election| election.leader_elect);
        let taken = |source| RunError::HttpAddress {
            address: http_address,
            source,
        };
        let server = http::Server::bind(http_address).await.map_err(taken)?;
        let http_address = server.local_address().map_err(taken)?;

        let metrics = Arc::new(Metrics::new()?);
        let refused = |source: kube::Error| RunError::Client {
            url: client_config.cluster_url.to_string(),
            source: Box::new(source),
        };
        let config = identified(&client_config);
        let fence = leader_election
            .as_ref()
            .map_or_else(Fence::none, |_| Fence::closed());
        let watch_client =
            client::client(&config, CALL_CONNECTIONS, Fence::none()).map_err(refused)?;
        let bind_client = ApiClient::new(&config, BIND_CONNECTIONS, BIND_TIMEOUT, fence.clone())
            .map_err(refused)?;
        let call_client = ApiClient::new(&config, CALL_CONNECTIONS, CALL_TIMEOUT, fence.clone())
            .map_err(refused)?;
        let mut health = http::Health::new();
        let campaign = leader_election
            .map(|election| {
                // A standby is as ready as a leader.
                let held = health.add_check("leader-election", "the lease is lost");
                let host = hostname();
                Campaign::start(&config, &election, &host, fence.clone(), held, &metrics)
            })
            .transpose()
            .map_err(refused)?;

        let mailbox = permits.0;
        let election = campaign.as_ref().map(Campaign::leadership);
        let watches = watch::start_all(
            &watch_client,
            &mailbox,
            &metrics,
            &election,
            &profiles,
            |check| health.add_check(check, "not everything is listed yet"),
        );
        let health = Arc::new(health);
        // As with kube-scheduler, events have a limit of their own, so that binds do not pay for them.
        let pace = rate_limit.map(Pace::new);
        let clients = LaneClients {
            binds: bind_client.at(pace.clone()),
            evictions: call_client.clone().at(pace.clone()),
            statuses: call_client.clone().at(pace),
            events: call_client.at(rate_limit.map(Pace::new)),
        };
        let (lanes, lane_tasks) = start_lanes(clients, &mailbox, &metrics);

        let names: Vec<_> = profiles.iter().map(|profile| &*profile.name).collect();
        tracing::info!(
            server = %client_config.cluster_url,
            scheduler_names = names.join(","),
            http = %http_address,
            "started"
        );
        let start = Instant::now();
        let engine = Engine::new(Setup {
            profiles,
            backoff,
            seed: 0,
            metrics: Arc::clone(&metrics),
            stopwatch: Box::new(move || start.elapsed().as_secs_f64()),
        });
        let (ended, driver_ended) = oneshot::channel();
        let (mail, beat) = (Arc::clone(&mailbox), Arc::clone(&health));
        let drive = move || {
            let drained = driver::drive(engine, &mail, &lanes, &fence, &beat);
            // The lanes end by themselves once nobody can give orders any more.
            drop(lanes);
            let _ = ended.send(drained);
        };
        std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(drive)?;

        let shown = http::Shown {
            metrics: Arc::clone(&metrics),
            health: Arc::clone(&health),
            config: Arc::new(shown_config),
        };
        let (stop_http, http_stopped) = oneshot::channel::<()>();
        let http = tokio::spawn(server.serve(shown, async {
            // Also when the sender is dropped.
            let _ = http_stopped.await;
        }));
        Ok(Self {
            mailbox,
            health,
            metrics,
            http_address,
            campaign,
            driver_ended,
            watches: watches.into_iter().map(tokio::spawn).collect(),
            lanes: lane_tasks,
            stop_http,
            http,
        })
    }

    /// Its metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Where metrics and health are served, the port chosen by the system included.
    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// Returns why it cannot go on: the lease is lost, or the engine's thread has ended by itself,
    /// which it does only by a panic outside of a cycle, so that its state cannot be trusted any
    /// more. Drop it then and end the process, so that nothing that is in flight arrives later.
    pub async fn failed(&mut self) -> RunError {
        tokio::select! {
            error = lost(&mut self.campaign) => error,
            _ = &mut self.driver_ended => RunError::Engine,
        }
    }

    /// Decides nothing more, waits for binds in flight until `abandon`, writes events for a moment,
    /// lets another replica take over, and ends everything.
    pub async fn stop(mut self, abandon: impl Future<Output = ()>) {
        self.health.shut_down();
        self.mailbox.stop();
        // The lease is renewed meanwhile.
        let answered = tokio::select! {
            answered = self.driver_ended => answered.ok(),
            error = lost(&mut self.campaign) => {
                tracing::warn!("{error}");
                None
            }
            () = abandon => None,
        };
        let drained = answered.is_some();
        for watch in &self.watches {
            watch.abort();
        }
        if drained {
            let rest = futures::future::join_all(self.lanes);
            let linger = (self.campaign.as_ref()).map_or(LINGER, |_| HANDOVER);
            if tokio::time::timeout(linger, rest).await.is_err() {
                tracing::warn!("some events were not written in time");
            }
        }
        if let Some(campaign) = self.campaign {
            // A bind without an answer may still be done, and the next leader would not know of it.
            campaign.end(answered == Some(true)).await;
        }
        let _ = self.stop_http.send(());
        let _ = tokio::time::timeout(LINGER, self.http).await;
    }
}

/// Returns when the lease is lost; never if there is none.
async fn lost(campaign: &mut Option<Campaign>) -> RunError {
    match campaign {
        Some(campaign) => RunError::LeaseLost {
            reason: campaign.lost().await,
            lease: campaign.lease().to_owned(),
        },
        None => std::future::pending().await,
    }
}

struct LaneClients {
    binds: ApiClient,
    evictions: ApiClient,
    statuses: ApiClient,
    events: ApiClient,
}

fn start_lanes(
    clients: LaneClients,
    mailbox: &Arc<Mailbox>,
    metrics: &Arc<Metrics>,
) -> (Lanes, Vec<JoinHandle<()>>) {
    let load = Arc::new(BindLoad::new());
    let told = Arc::new(Told::default());
    let (binds, bind_orders) = mpsc::unbounded_channel();
    let (evictions, evict_orders) = mpsc::unbounded_channel();
    let (statuses, status_orders) = mpsc::unbounded_channel();
    let (events, event_orders) = mpsc::unbounded_channel();
    let bind_lane = BindLane {
        client: clients.binds,
        orders: bind_orders,
        load: Arc::clone(&load),
        told: Arc::clone(&told),
        mailbox: Arc::clone(mailbox),
        metrics: Arc::clone(metrics),
    };
    let evict_lane = EvictLane {
        client: clients.evictions,
        orders: evict_orders,
        load: Arc::clone(&load),
        mailbox: Arc::clone(mailbox),
        metrics: Arc::clone(metrics),
    };
    let status_lane = StatusLane {
        client: clients.statuses,
        orders: status_orders,
        load: Arc::clone(&load),
        told: Arc::clone(&told),
        mailbox: Arc::clone(mailbox),
        metrics: Arc::clone(metrics),
    };
    let event_lane = EventLane {
        client: clients.events,
        orders: event_orders,
        load: Arc::clone(&load),
        metrics: Arc::clone(metrics),
        host: hostname(),
    };
    let tasks = vec![
        tokio::spawn(bind_lane.run()),
        tokio::spawn(evict_lane.run()),
        tokio::spawn(status_lane.run()),
        tokio::spawn(event_lane.run()),
    ];
    let lanes = Lanes {
        load,
        told,
        binds,
        evictions,
        statuses,
        events,
    };
    (lanes, tasks)
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
