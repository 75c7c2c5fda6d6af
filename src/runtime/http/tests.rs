#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::*;

/// Longer than anything here takes, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server on threads of its own, which ends with this value.
struct Running {
    address: SocketAddr,
    pods: ReadyFlag,
    shown: Shown,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
    runtime: Runtime,
}

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn start(limits: Limits) -> Running {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let mut server = runtime.block_on(Server::bind(any_port())).unwrap();
    server.limits = limits;
    let address = server.local_address().unwrap();
    let mut health = Health::new();
    let pods = health.add_check("watch-pods", "not all pods are listed yet");
    health
        .add_check("watch-nodes", "not all nodes are listed yet")
        .set(true);
    let shown = Shown {
        metrics: Arc::new(Metrics::new().unwrap()),
        health: Arc::new(health),
        config: Arc::new(json!({ "profiles": [{ "schedulerName": "berth" }] })),
    };
    let (stop, stopped) = oneshot::channel();
    let stopped = async move { drop(stopped.await) };
    let task = runtime.spawn(server.serve(shown.clone(), stopped));
    Running {
        address,
        pods,
        shown,
        stop,
        task,
        runtime,
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends the text as it is and reads until the server closes the connection.
fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The status, the head in lower case, and the body.
fn page(address: SocketAddr, path: &str) -> (u16, String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: berth\r\nconnection: close\r\n\r\n");
    let answer = exchange(address, &request);
    let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

#[track_caller]
fn check(server: &Running, path: &str, status: u16, body: &str) {
    let found = page(server.address, path);
    assert_eq!((found.0, found.2.as_str()), (status, body), "{path}");
}

/// Whether the connection was ended by the server, rather than our patience.
fn cut_off<T>(result: io::Result<T>) -> bool {
    let impatient = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
    result.is_err_and(|error| !impatient.contains(&error.kind()))
}

#[test]
fn metrics_and_configuration() {
    let server = start(Limits::default());
    server.shown.metrics.preemption().limited();
    let (status, head, body) = page(server.address, "/metrics");
    assert_eq!(status, 200);
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert!(
        body.contains("\nberth_preemptions_limited_total 1\n"),
        "{body}"
    );

    let (_, head, _) = page(server.address, "/configz");
    assert!(head.contains("content-type: application/json"), "{head}");
    let expected = r#"{"componentconfig":{"profiles":[{"schedulerName":"berth"}]}}"#;
    check(&server, "/configz", 200, expected);
}

#[test]
fn readiness_follows_its_flags() {
    let server = start(Limits::default());
    let waiting = "[-]watch-pods failed: not all pods are listed yet\n\
                   [+]watch-nodes ok\n[+]shutdown ok\nreadyz check failed\n";
    check(&server, "/readyz", 503, waiting);
    check(&server, "/readyz?verbose", 503, waiting);

    server.pods.set(true);
    assert!(server.shown.health.is_ready());
    check(&server, "/readyz", 200, "ok");
    check(&server, "/readyz?verbosely=1", 200, "ok");
    let passed = "[+]watch-pods ok\n[+]watch-nodes ok\n[+]shutdown ok\nreadyz check passed\n";
    for path in [
        "/readyz?verbose",
        "/readyz?verbose=1",
        "/readyz?a=b&verbose=true",
    ] {
        check(&server, path, 200, passed);
    }

    server.shown.health.shut_down();
    let leaving = "[+]watch-pods ok\n[+]watch-nodes ok\n\
                   [-]shutdown failed: the process is shutting down\nreadyz check failed\n";
    check(&server, "/readyz", 503, leaving);
    check(&server, "/livez", 200, "ok");
}

#[test]
fn liveness_needs_only_the_heartbeat() {
    let server = start(Limits::default());
    for name in ["healthz", "livez"] {
        check(&server, &format!("/{name}"), 200, "ok");
        let verbose = format!("[+]engine ok\n{name} check passed\n");
        check(&server, &format!("/{name}?verbose"), 200, &verbose);
    }
}

#[test]
fn a_stuck_engine_is_reported() {
    let health = Health::new();
    thread::sleep(Duration::from_millis(30));
    assert!(health.age() >= Duration::from_millis(30));
    let stuck = health.live(Duration::from_millis(20));
    assert_eq!(
        stuck,
        ("engine", Err("no heartbeat for 0 seconds".to_owned()))
    );
    let answer = report("livez", &[stuck], StatusCode::INTERNAL_SERVER_ERROR, None);
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let age = health.age();
    health.beat();
    assert!(health.age() < age);
    assert_eq!(health.live(HEARTBEAT_LIMIT), ("engine", Ok(())));
}

#[test]
fn what_is_not_there_is_said() {
    let server = start(Limits::default());
    let (status, _, body) = page(server.address, "/debug");
    assert_eq!(status, 404);
    assert!(body.contains("/metrics"), "{body}");
    let post = "POST /metrics HTTP/1.1\r\nhost: berth\r\nconnection: close\r\n\r\n";
    let answer = exchange(server.address, post);
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[test]
fn a_port_in_use_is_found_at_once() {
    let server = start(Limits::default());
    let error = server
        .runtime
        .block_on(Server::bind(server.address))
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn idle_clients_are_cut_off_however_busy_they_look() {
    let idle = Duration::from_millis(200);
    let server = start(Limits {
        connections: 1,
        idle,
        ..Limits::default()
    });
    let start = Instant::now();
    let mut slow = connect(server.address);
    // Byte by byte does not help, and nobody else is let in meanwhile.
    let feeder = thread::spawn(move || {
        loop {
            if let Err(error) = slow.write_all(b"x") {
                return error;
            }
            thread::sleep(Duration::from_millis(10));
        }
    });
    check(&server, "/livez", 200, "ok");
    assert!(start.elapsed() >= idle, "there was a second connection");
    assert!(cut_off::<()>(Err(feeder.join().unwrap())));

    // A connection that was used is kept for a while.
    let mut kept = connect(server.address);
    kept.write_all(b"GET /livez HTTP/1.1\r\nhost: berth\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    kept.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
}

#[test]
fn nobody_stays_longer_than_the_lifetime() {
    let server = start(Limits {
        lifetime: Duration::from_millis(200),
        ..Limits::default()
    });
    let mut stream = connect(server.address);
    let start = Instant::now();
    let mut answers = 0;
    while start.elapsed() < PATIENCE {
        let sent = stream.write_all(b"GET /livez HTTP/1.1\r\nhost: berth\r\n\r\n");
        if sent.is_err() || !matches!(stream.read(&mut [0; 1024]), Ok(1..)) {
            break;
        }
        answers += 1;
    }
    assert!(answers > 0 && start.elapsed() < PATIENCE);
}

#[test]
fn endless_requests_are_cut_off() {
    let server = start(Limits::default());
    for begin in [
        "GET /livez HTTP/1.1\r\nhost: berth\r\n",
        "POST /livez HTTP/1.1\r\nhost: berth\r\ncontent-length: 100000000000\r\n\r\n",
    ] {
        let mut stream = connect(server.address);
        stream.write_all(begin.as_bytes()).unwrap();
        let line = format!("x: {}\r\n", "y".repeat(1000));
        let start = Instant::now();
        let end = loop {
            let sent = stream.write_all(line.as_bytes());
            if sent.is_err() || start.elapsed() > PATIENCE {
                break sent;
            }
        };
        assert!(cut_off(end), "{begin}");
    }
    check(&server, "/livez", 200, "ok");
}

#[test]
fn stopping_does_not_wait_for_idle_connections() {
    let server = start(Limits::default());
    let mut idle = connect(server.address);
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: berth\r\n\r\n")
        .unwrap();
    idle.read_exact(&mut [0; 12]).unwrap();
    let _silent = connect(server.address);
    let start = Instant::now();
    server.stop.send(()).unwrap();
    server.runtime.block_on(server.task).unwrap();
    assert!(start.elapsed() < SHUTDOWN_GRACE + Duration::from_secs(1));
    TcpStream::connect(server.address).expect_err("the port is free again");
}
