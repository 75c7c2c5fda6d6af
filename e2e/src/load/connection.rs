//! Connections to the API server that cost little: HTTP/1.1, kept alive, one request after another, no retries.
//!
//! The load shares its processors with what it measures, so it does without the layers of a general client.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::client::legacy::connect::HttpConnector;
use kube::Config;
use kube::client::ConfigExt;
use secrecy::ExposeSecret;
use serde::Deserialize;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

/// How long the answer to one request may take.
const LIMIT: Duration = Duration::from_secs(30);

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The form of a patch; conditions are told apart by their type in it.
const PATCH: HeaderValue = HeaderValue::from_static("application/strategic-merge-patch+json");

/// Opens a connection and returns the end through which requests are sent.
type Connector = BoxCloneSyncService<Uri, SendRequest<Full<Bytes>>, anyhow::Error>;

/// An API server and the right to talk to it; connections are opened from it.
pub struct Server {
    connector: Connector,
    uri: Uri,
    host: HeaderValue,
    authorization: HeaderValue,
}

impl Server {
    /// Prepares connections with the address, certificate and token of a client configuration.
    pub fn new(config: &Config) -> Result<Arc<Self>> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        // Requests are small and each is waited for, so none may be held back for a fuller packet.
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(Duration::from_secs(5)));
        let https = config.rustls_https_connector_with_connector(tcp)?;
        let connector = tower::service_fn(move |uri: Uri| {
            let https = https.clone();
            async move {
                let stream = https
                    .oneshot(uri)
                    .await
                    .map_err(|error| anyhow!("cannot connect: {error}"))?;
                let (sender, connection) = handshake(stream).await?;
                // It ends when the sender is dropped; what went wrong is told to the request under way.
                tokio::spawn(connection);
                Ok(sender)
            }
        });
        let uri = config.cluster_url.clone();
        let host = uri.authority().context("the address has no host")?;
        let token = config
            .auth_info
            .token
            .as_ref()
            .context("the kubeconfig has no token")?;
        let mut authorization: HeaderValue = format!("Bearer {}", token.expose_secret()).parse()?;
        authorization.set_sensitive(true);
        Ok(Arc::new(Self {
            connector: BoxCloneSyncService::new(connector),
            host: host.as_str().parse()?,
            uri,
            authorization,
        }))
    }

    /// A connection that opens when it is first used.
    pub fn connection(self: &Arc<Self>) -> Connection {
        Connection {
            server: Arc::clone(self),
            sender: None,
            accept: JSON,
        }
    }
}

/// A connection to the API server for one request at a time.
pub struct Connection {
    server: Arc<Server>,
    sender: Option<SendRequest<Full<Bytes>>>,
    accept: HeaderValue,
}

impl Connection {
    /// Asks for answers in another form than JSON, or in a special form of it.
    pub fn accepting(mut self, form: &'static str) -> Self {
        self.accept = HeaderValue::from_static(form);
        self
    }

    /// Opens the connection now unless it is open.
    pub async fn open(&mut self) -> Result<()> {
        self.sender().await.map(drop)
    }

    /// Sends a request and reads the whole answer. Nothing is sent twice: after an error it is not known what became
    /// of the request.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes)> {
        let exchange = async {
            let response = self.start(method, path, body).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            Ok((status, body))
        };
        match tokio::time::timeout(LIMIT, exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.sender = None;
                Err(error)
            }
            Err(_) => {
                self.sender = None;
                bail!("no answer in {LIMIT:?}")
            }
        }
    }

    /// Sends a request and returns its answer; anything but success is an error with the API server's words.
    pub async fn call(&mut self, method: Method, path: &str, body: Bytes) -> Result<Bytes> {
        let (status, body) = self
            .send(method.clone(), path, body)
            .await
            .with_context(|| format!("{method} {path}"))?;
        if !status.is_success() {
            bail!("{method} {path}: {status}: {}", message(&body));
        }
        Ok(body)
    }

    /// Sends a request and returns as soon as the head of the answer is there; what follows is not limited in time.
    pub async fn stream(&mut self, path: &str) -> Result<Incoming> {
        let response = tokio::time::timeout(LIMIT, self.start(Method::GET, path, Bytes::new()))
            .await
            .with_context(|| format!("GET {path}: no answer in {LIMIT:?}"))?
            .with_context(|| format!("GET {path}"))?;
        let status = response.status();
        if !status.is_success() {
            let body = response.into_body().collect().await?.to_bytes();
            bail!("GET {path}: {status}: {}", message(&body));
        }
        Ok(response.into_body())
    }

    async fn start(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>> {
        let form = if method == Method::PATCH { PATCH } else { JSON };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.server.host)
            .header(AUTHORIZATION, &self.server.authorization)
            .header(USER_AGENT, "berth-load")
            .header(ACCEPT, &self.accept);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, form);
        }
        let request = request.body(Full::new(body))?;
        Ok(self.sender().await?.send_request(request).await?)
    }

    async fn sender(&mut self) -> Result<&mut SendRequest<Full<Bytes>>> {
        let mut open = self.sender.take();
        if let Some(sender) = &mut open
            && sender.ready().await.is_err()
        {
            open = None;
        }
        let sender = match open {
            Some(sender) => sender,
            None => {
                let connector = self.server.connector.clone();
                connector.oneshot(self.server.uri.clone()).await?
            }
        };
        Ok(self.sender.insert(sender))
    }
}

/// What the API server says about a failure, or the beginning of what it sent instead.
fn message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Status {
        message: String,
    }
    match serde_json::from_slice::<Status>(body) {
        Ok(status) => status.message,
        Err(_) => String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned(),
    }
}
