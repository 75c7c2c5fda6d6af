//! The HTTP server: metrics, health, the effective configuration.
//!
//! | path | answers |
//! |---|---|
//! | `/metrics` | all metrics, as text for Prometheus |
//! | `/livez`, `/healthz` | 200 while the engine makes progress, else 500: restart the process |
//! | `/readyz` | 200 once everything is loaded and until we stop, else 503 |
//! | `/configz` | what is in force, as JSON under `componentconfig` |
//!
//! Health is told from memory alone: an API server that does not answer must not get the scheduler
//! restarted. `?verbose` lists the checks, as kube-scheduler does; a failure always lists them.
//!
//! The port has no TLS and asks nobody for credentials, so nothing secret may be served, and a
//! client must not be able to do harm: connections, their lifetime and the size of a request are
//! bounded.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::telemetry::metrics::{Metrics, TEXT_FORMAT};

mod connection;
mod health;

#[cfg(test)]
mod tests;

use connection::{BoundedListener, Limits};
pub use health::{Health, ReadyFlag};

/// How long requests may still take once the server is asked to stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// How old the engine's last heartbeat may be. A decision takes milliseconds and the loop wakes up
/// every second, so this is a stuck engine and not a slow one.
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(30);

/// Content is text and stays what its type says.
const PLAIN_TEXT: [(HeaderName, &str); 2] = [
    (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// What the server shows. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// What the health pages tell.
    pub health: Arc<Health>,
    /// The configuration in force, without anything secret.
    pub config: Arc<serde_json::Value>,
}

/// A server that has its port and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    limits: Limits,
}

// === impl Server ===

impl Server {
    /// Takes the port. Do this before anything else is started, so that a port in use is found out
    /// first. Port 0 takes any that is free.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self {
            listener,
            limits: Limits::default(),
        })
    }

    /// The address in use, with the port that was taken.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `shutdown` is done, then lets requests that are being answered end, though not
    /// for long.
    pub async fn serve(self, shown: Shown, shutdown: impl Future<Output = ()> + Send + 'static) {
        let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
        let listener = BoundedListener::new(self.listener, self.limits);
        let server = axum::serve(listener, router(shown)).with_graceful_shutdown(async move {
            shutdown.await;
            drop(stopping);
        });
        let out_of_patience = async {
            // Ends when the sender is dropped.
            let _ = stopped.await;
            tokio::time::sleep(SHUTDOWN_GRACE).await;
        };
        tokio::select! {
            // Never an error: what fails is a connection, and never the server.
            _ = server => {}
            () = out_of_patience => {}
        }
    }
}

// === pages ===

fn router(shown: Shown) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route(
            "/healthz",
            get(|shown, query| live("healthz", shown, query)),
        )
        .route("/livez", get(|shown, query| live("livez", shown, query)))
        .route("/readyz", get(ready))
        .route("/configz", get(configuration))
        .fallback(not_found)
        .with_state(shown)
}

async fn metrics(State(shown): State<Shown>) -> Response {
    match shown.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            let text = format!("cannot write the metrics: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, PLAIN_TEXT, text).into_response()
        }
    }
}

async fn live(page: &str, State(shown): State<Shown>, RawQuery(query): RawQuery) -> Response {
    let checks = [shown.health.live(HEARTBEAT_LIMIT)];
    report(page, &checks, StatusCode::INTERNAL_SERVER_ERROR, query)
}

async fn ready(State(shown): State<Shown>, RawQuery(query): RawQuery) -> Response {
    report(
        "readyz",
        &shown.health.ready(),
        StatusCode::SERVICE_UNAVAILABLE,
        query,
    )
}

async fn configuration(State(shown): State<Shown>) -> Response {
    let body = serde_json::json!({ "componentconfig": *shown.config });
    (
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

async fn not_found() -> Response {
    let text = "no such page; there are /metrics, /livez, /readyz, /healthz and /configz\n";
    (StatusCode::NOT_FOUND, PLAIN_TEXT, text).into_response()
}

/// A check by name, and why it fails.
type Check = (&'static str, Result<(), String>);

/// Kubernetes' text for a page of checks (`k8s.io/apiserver/pkg/server/healthz`).
fn report(page: &str, checks: &[Check], failure: StatusCode, query: Option<String>) -> Response {
    let passed = checks.iter().all(|(_, result)| result.is_ok());
    if passed && !asks_for(query.as_deref(), "verbose") {
        return (PLAIN_TEXT, "ok").into_response();
    }
    let mut text = String::new();
    for (name, result) in checks {
        // Writing to a string cannot fail.
        let _ = match result {
            Ok(()) => writeln!(text, "[+]{name} ok"),
            Err(reason) => writeln!(text, "[-]{name} failed: {reason}"),
        };
    }
    let (status, outcome) = if passed {
        (StatusCode::OK, "passed")
    } else {
        (failure, "failed")
    };
    let _ = writeln!(text, "{page} check {outcome}");
    (status, PLAIN_TEXT, text).into_response()
}

/// Whether a query has this parameter, with any value or none.
fn asks_for(query: Option<&str>, parameter: &str) -> bool {
    let parameters = query.unwrap_or_default().split('&');
    parameters
        .map(|pair| pair.split('=').next())
        .any(|name| name == Some(parameter))
}
