//! Requests to the API server that are not watches.
//!
//! The stack is put together by hand: kube's own repeats requests of any method on some errors,
//! which turns a bind that was done into somebody else's conflict, and leaves Nagle's algorithm on.

mod guarded;
mod pace;

use std::time::Duration;

use http::{Method, Request, StatusCode, header};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use kube::client::{Body, ConfigExt as _};
use serde::Deserialize;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::{BoxError, ServiceBuilder};

use super::lease::Fence;
use guarded::Guarded;
pub(super) use pace::Pace;

/// Replies larger than this are not read: the largest that is asked for is one pod.
const MAX_REPLY: usize = 8 << 20;

/// A client without retries, whose every call has a time limit and leaves only through its fence.
#[derive(Clone)]
pub(super) struct ApiClient {
    client: kube::Client,
    limit: Duration,
    fence: Fence,
    pace: Option<Pace>,
}

/// The answer of the API server.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// How long the server asks to wait.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// The message of a Status body, or the status code.
    pub(super) fn message(&self) -> String {
        #[derive(Deserialize)]
        struct Status {
            message: String,
        }
        serde_json::from_slice::<Status>(&self.body).map_or_else(
            |_| format!("the server answered {}", self.status),
            |status| status.message,
        )
    }
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(super) enum Fault {
    /// It was not sent.
    #[error("not sent: this replica does not lead")]
    Fenced,
    /// Not in time.
    #[error("no reply within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The request could not be made, or the reply not be read.
    #[error("{0}")]
    Transport(String),
}

impl ApiClient {
    /// `idle`: how many connections are kept for the next burst. `limit`: how long a call may take.
    pub(super) fn new(
        config: &kube::Config,
        idle: usize,
        limit: Duration,
        fence: Fence,
    ) -> Result<Self, kube::Error> {
        Ok(Self {
            client: client(config, idle, fence.clone())?,
            limit,
            fence,
            pace: None,
        })
    }

    /// The same client, at a pace; None for no limit.
    pub(super) fn at(self, pace: Option<Pace>) -> Self {
        Self { pace, ..self }
    }

    /// How long a call may take.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Sends one request. What it waits for its turn does not count against its time limit.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Result<Reply, Fault> {
        if let Some(pace) = &self.pace {
            pace.turn().await;
        }
        if !self.fence.is_open() {
            return Err(Fault::Fenced);
        }
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, content_type)
            .header(header::ACCEPT, "application/json")
            .body(Body::from(body))
            .map_err(|error| Fault::Transport(error.to_string()))?;
        let call = async {
            let response = self.client.send(request).await.map_err(transport)?;
            let status = response.status();
            let retry_after = response
                .headers()
                .get(header::RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok())
                .map(Duration::from_secs);
            let declared = response
                .headers()
                .get(header::CONTENT_LENGTH)
                .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
            if declared.is_some_and(|length| length > MAX_REPLY) {
                return Err(Fault::Transport("the reply is too large".to_owned()));
            }
            let body = response
                .into_body()
                .collect_bytes()
                .await
                .map_err(transport)?;
            Ok(Reply {
                status,
                retry_after,
                body: body.into(),
            })
        };
        timeout(self.limit, call)
            .await
            .unwrap_or(Err(Fault::Timeout(self.limit)))
    }
}

fn transport(error: kube::Error) -> Fault {
    Fault::Transport(error.to_string())
}

/// A client for watches or calls, without retries and with its own connections, on which nothing is
/// written while the fence is closed.
pub(super) fn client(
    config: &kube::Config,
    idle: usize,
    fence: Fence,
) -> Result<kube::Client, kube::Error> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_keepalive(Some(Duration::from_secs(30)));
    connector.set_connect_timeout(Some(Duration::from_secs(5)));
    let connector = ServiceBuilder::new()
        .map_response(move |stream: TokioIo<TcpStream>| {
            TokioIo::new(Guarded::new(stream.into_inner(), fence.clone()))
        })
        .service(connector);
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let transport = legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(idle)
        .pool_idle_timeout(Duration::from_secs(90))
        .build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(transport);
    Ok(kube::Client::new(service, config.default_namespace.clone()))
}
