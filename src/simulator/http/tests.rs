//! Paths, and connections.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Server, path, reviews, tables};
use crate::simulator::request::Part;
use crate::simulator::{ApiServer, Config};

#[test]
fn paths_name_objects() {
    let served = ApiServer::new(Config::default()).served();
    for (text, expected) in [
        ("/api/v1/pods", Some(("pods", "", "", Part::Whole))),
        (
            "/api/v1/namespaces/a/pods",
            Some(("pods", "a", "", Part::Whole)),
        ),
        (
            "/api/v1/namespaces/a/pods/b",
            Some(("pods", "a", "b", Part::Whole)),
        ),
        (
            "/api/v1/namespaces/a/pods/b/binding",
            Some(("pods", "a", "b", Part::Binding)),
        ),
        (
            "/api/v1/namespaces/a/pods/b/status",
            Some(("pods", "a", "b", Part::Status)),
        ),
        (
            "/api/v1/namespaces/a/bindings",
            Some(("pods", "a", "", Part::Binding)),
        ),
        (
            "/api/v1/namespaces/a",
            Some(("namespaces", "", "a", Part::Whole)),
        ),
        (
            "/api/v1/namespaces/a/status",
            Some(("namespaces", "", "a", Part::Status)),
        ),
        ("/api/v1/nodes/n", Some(("nodes", "", "n", Part::Whole))),
        ("/api/v1/namespaces/a/nodes/n", None),
        ("/api/v1/pods/b", None),
        ("/api/v1/foos", None),
        ("/apis/none/v1/foos", None),
        // There only once it was installed.
        (
            "/apis/scheduling.x-k8s.io/v1alpha1/namespaces/a/podgroups",
            None,
        ),
        (
            "/apis/coordination.k8s.io/v1/namespaces/a/leases/l/status",
            None,
        ),
        ("/", None),
    ] {
        let found = path::parse(text, &served).ok();
        let found = found.as_ref().map(|target| {
            let (namespace, name) = (target.namespace.as_str(), target.name.as_str());
            (target.kind.plural, namespace, name, target.part)
        });
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn ages_have_two_units_at_most() {
    for (seconds, expected) in [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (599, "9m59s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (28_740, "7h59m"),
        (28_800, "8h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (266_400, "3d2h"),
        (691_200, "8d"),
    ] {
        assert_eq!(tables::human(seconds), expected, "{seconds}");
    }
}

/// A connection on which a page was asked for, and answered unless it has to wait for its slot.
async fn ask(address: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET /version HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    stream
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).await.unwrap();
    String::from_utf8_lossy(&begin).into_owned()
}

#[tokio::test]
async fn more_connections_than_slots_wait() {
    let mut server = Server::bind(0, Config::default()).await.unwrap();
    server.connections = 2;
    let address = server.local_address().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(async { drop(stopped.await) }));
    let (mut one, mut other) = (ask(address).await, ask(address).await);
    for stream in [&mut one, &mut other] {
        assert_eq!(answer(stream).await, "HTTP/1.1 200");
    }
    let mut third = ask(address).await;
    // The two are served for as long as they stay, and nobody else is.
    for _ in 0..20 {
        one.write_all(b"GET /none HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await
            .unwrap();
        let mut page = [0; 512];
        assert!(one.read(&mut page).await.unwrap() > 0);
        let waiting = third.try_read(&mut page).unwrap_err();
        assert_eq!(waiting.kind(), std::io::ErrorKind::WouldBlock);
    }
    drop(other);
    assert_eq!(answer(&mut third).await, "HTTP/1.1 200");
    drop((one, third, stop));
    serving.await.unwrap();
}

#[test]
fn everybody_may_do_everything() {
    for (body, expected) in [
        (
            r#"{"spec":{"resourceAttributes":{"verb":"delete"}}}"#,
            Ok(201),
        ),
        ("{}", Err(400)),
        ("[]", Err(400)),
        ("null", Err(400)),
        ("no", Err(400)),
    ] {
        let found = reviews::grant(body.as_bytes());
        let found = found.map(|response| response.status().as_u16());
        assert_eq!(found.map_err(|status| status.code), expected, "{body}");
    }
}
