//! The server on a port of this machine, thin: paths and queries in, JSON out.
//!
//! There are no users and no TLS, so it listens on loopback only, and refuses what a page in a
//! browser could send.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{self, Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request as HttpRequest, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::watch as signal;

use super::api_server::{ApiServer, Config};
use super::kinds::{KINDS, Kind};
use super::request::{self, Answer, Reply};
use super::status::Status;
use crate::model::Time;

mod connections;
mod discovery;
mod path;
mod query;
mod reviews;
mod streams;
mod tables;

#[cfg(test)]
mod tests;

use connections::Slots;
use path::Target;
use tables::Form;

/// The largest body that is read, as with kube-apiserver.
const MAX_BODY: usize = 3 << 20;

/// So many connections at a time; more wait. A scheduler has up to 256 binds in flight, and one that
/// lives in this process has the other ends of its connections here too: with both, the usual limit
/// of 1024 file descriptors still holds.
const CONNECTIONS: usize = 384;

/// How often to look whether something happens by itself.
const TICK: Duration = Duration::from_millis(250);

/// A server that has its port and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    connections: usize,
    shared: Arc<Shared>,
}

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    server: Mutex<ApiServer>,
    start: Instant,
    /// For each kind, who waits for changes of it.
    changed: Vec<signal::Sender<()>>,
    stopping: signal::Sender<bool>,
}

/// The server's state, to look at it or to change it beside HTTP.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

impl Handle {
    /// Does something with the state machine and wakes up whoever watches.
    pub fn with<T>(&self, act: impl FnOnce(&mut ApiServer, Time) -> T) -> T {
        self.0.with(act)
    }
}

impl Server {
    /// Takes a port of the loopback interface; 0 takes any that is free. The clock of the
    /// configuration is set to now.
    ///
    /// # Errors
    ///
    /// When the port cannot be had.
    pub async fn bind(port: u16, config: Config) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(address).await?;
        let config = Config {
            epoch: jiff::Timestamp::now(),
            ..config
        };
        let shared = Arc::new(Shared {
            server: Mutex::new(ApiServer::new(config)),
            start: Instant::now(),
            changed: KINDS.iter().map(|_| signal::channel(()).0).collect(),
            stopping: signal::channel(false).0,
        });
        Ok(Self {
            listener,
            connections: CONNECTIONS,
            shared,
        })
    }

    /// The address in use.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What acts on the state directly.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.shared))
    }

    /// Answers until `shutdown` is done; watches end then.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        let listener = Slots::new(self.listener, self.connections);
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let stopping = Arc::clone(&shared);
        let server = axum::serve(listener, router).with_graceful_shutdown(async move {
            shutdown.await;
            stopping.stopping.send_replace(true);
        });
        let clock = async {
            loop {
                tokio::time::sleep(TICK).await;
                shared.tick();
            }
        };
        tokio::select! {
            // Never an error: what fails is a connection, and never the server.
            _ = server => {}
            () = clock => {}
        }
    }
}

impl Shared {
    fn now(&self) -> Time {
        let passed = self.start.elapsed().as_nanos();
        Time::from_nanos(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// A panic while it was held would have come between two steps of one request at worst, and
    /// this server is no place to lose data.
    fn lock(&self) -> MutexGuard<'_, ApiServer> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, act: impl FnOnce(&mut ApiServer, Time) -> T) -> T {
        let now = self.now();
        let done = act(&mut self.lock(), now);
        for changed in &self.changed {
            changed.send_replace(());
        }
        done
    }

    fn call(&self, request: &request::Request) -> Answer {
        let now = self.now();
        let answer = self.lock().call(request, now);
        // Others' watches hear of the end of a namespace by the clock.
        if request.writes() {
            self.wake(request.kind);
        }
        answer
    }

    fn wake(&self, kind: &Kind) {
        if let Some(changed) = self.changed.get(kind.table()) {
            changed.send_replace(());
        }
    }

    fn tick(&self) {
        let now = self.now();
        let mut server = self.lock();
        let version = server.version();
        let due = server.next_deadline().is_some_and(|due| due <= now);
        server.advance(now);
        let moved = due || version != server.version();
        drop(server);
        if moved {
            for changed in &self.changed {
                changed.send_replace(());
            }
        }
    }

    fn changes_of(&self, kind: &Kind) -> Option<signal::Receiver<()>> {
        self.changed
            .get(kind.table())
            .map(signal::Sender::subscribe)
    }
}

/// Answers any request.
async fn answer(State(shared): State<Arc<Shared>>, request: HttpRequest<Body>) -> Response {
    if !from_this_machine(request.headers()) {
        let text = "requests of browsers, or for another host, are not answered";
        return refusal(&Status::new(403, "Forbidden", text));
    }
    let path = request.uri().path().to_owned();
    let served = shared.lock().served();
    if request.method() == Method::GET
        && let Some(page) = discovery::page(&path, &served)
    {
        return page;
    }
    if request.method() == Method::POST && path == reviews::PATH {
        let body = read(request.into_body()).await;
        let answer = body.and_then(|body| reviews::grant(&body));
        return answer.unwrap_or_else(|status| refusal(&status));
    }
    match path::parse(&path, &served) {
        Ok(target) => match resource(&shared, target, request).await {
            Ok(response) => response,
            Err(status) => refusal(&status),
        },
        Err(Some(status)) => refusal(&status),
        Err(None) => {
            let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
            (StatusCode::NOT_FOUND, plain, "404 page not found\n").into_response()
        }
    }
}

/// A page in a browser names its origin, or the host whose name it made point here.
fn from_this_machine(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    !headers.contains_key(header::ORIGIN) && matches!(name, "127.0.0.1" | "localhost")
}

async fn resource(
    shared: &Arc<Shared>,
    target: Target,
    request: HttpRequest<Body>,
) -> Result<Response, Status> {
    let query = query::Query::parse(request.uri().query().unwrap_or_default());
    let (parts, body) = request.into_parts();
    let form = if parts.method == Method::GET {
        Form::asked(target.kind, &parts.headers, &query)
    } else {
        Form::Objects
    };
    if parts.method == Method::GET && query.is_true("watch") && target.name.is_empty() {
        return streams::start(shared, &target, &query, form);
    }
    let content_type = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let verb = path::verb(&parts.method, &target, content_type)?;
    let body = read(body).await?;
    let request = query.request(verb, target, &body, content_type)?;
    match shared.call(&request) {
        Answer::Reply(Ok(reply)) => Ok(granted(request.kind, &reply, form)),
        Answer::Reply(Err(status)) => Err(status),
        Answer::Lost => Ok(broken()),
    }
}

async fn read(body: Body) -> Result<Bytes, Status> {
    body::to_bytes(body, MAX_BODY).await.map_err(|_| {
        Status::new(
            413,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {MAX_BODY}"),
        )
    })
}

fn granted(kind: &Kind, reply: &Reply, form: Form) -> Response {
    let text = match &reply.body {
        request::Body::Object(object) => form.object(kind, object),
        request::Body::List(list) => form.list(kind, list),
        request::Body::Value(value) => value.to_string(),
    };
    json(reply.code, text)
}

fn refusal(status: &Status) -> Response {
    let mut response = json(status.code, status.body().to_string());
    if let Some(seconds) = status.retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn json(code: u16, text: String) -> Response {
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (code, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// An answer that ends before it has said anything: a body that fails breaks the connection.
fn broken() -> Response {
    let cut = io::Error::from(io::ErrorKind::ConnectionAborted);
    let lines = futures::stream::iter([Err::<Bytes, _>(cut)]);
    (
        [(header::CONTENT_TYPE, "application/json")],
        Body::from_stream(lines),
    )
        .into_response()
}
