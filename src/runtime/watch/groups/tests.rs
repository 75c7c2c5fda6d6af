//! Kinds that are there, are not, come and go.

#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use axum::Router;
use axum::http::{StatusCode, Uri};
use serde_json::{Value, json};

use super::*;
use crate::runtime::client;
use crate::runtime::http::ReadyFlag;
use crate::runtime::lease::{Fence, Leadership};
use crate::runtime::watch::Unsynced;
use crate::simulator::http::{Handle, Server};
use crate::simulator::{self, Config, Request as Call, Verb};

/// When a test gives up.
const GIVE_UP: Duration = Duration::from_secs(60);

fn client_of(address: SocketAddr) -> Client {
    let config = kube::Config::new(format!("http://{address}").parse().unwrap());
    client::client(&config, 4, Fence::none()).unwrap()
}

fn groups(dialect: Dialect, client: Client, election: Election) -> Groups {
    Groups {
        dialect,
        client,
        mailbox: Arc::new(Mailbox::default()),
        metrics: Arc::new(Metrics::new().unwrap()),
        election,
        poll: Duration::from_millis(20),
    }
}

/// A server in memory and the watch of one dialect's groups there.
struct Scene {
    handle: Handle,
    kind: &'static simulator::Kind,
    mailbox: Arc<Mailbox>,
    ready: ReadyFlag,
    tasks: tokio::task::JoinSet<()>,
}

impl Scene {
    async fn new(dialect: Dialect, version: &str, election: Election) -> Self {
        let server = Server::bind(0, Config::default()).await.unwrap();
        let (handle, address) = (server.handle(), server.local_address().unwrap());
        let kind = simulator::find(dialect.api_group(), version, PLURAL).unwrap();
        let counts = election.is_none();
        let groups = groups(dialect, client_of(address), election);
        let (mailbox, ready) = (Arc::clone(&groups.mailbox), ReadyFlag::default());
        let unsynced = Unsynced::new(1, &mailbox);
        let progress = Progress::new(unsynced, ready.clone(), counts);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(server.serve(std::future::pending()));
        tasks.spawn(groups.run(progress));
        Self {
            handle,
            kind,
            mailbox,
            ready,
            tasks,
        }
    }

    fn serve(&self, served: bool) {
        self.handle
            .with(|server, _| server.serve(self.kind, served));
    }

    fn create(&self, name: &str, spec: &Value) {
        let body = json!({ "metadata": { "name": name }, "spec": spec });
        let call = Call::new(Verb::Create, self.kind, "default", "").with_body(body);
        let answer = self.handle.with(|server, now| server.call(&call, now));
        answer.reply().unwrap();
    }

    /// Waits until so much has come in.
    async fn mail(&self, count: usize) -> Vec<String> {
        let begin = Instant::now();
        let mut told = Vec::new();
        while told.len() < count {
            assert!(begin.elapsed() < GIVE_UP, "only {told:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
            let mail = self.mailbox.take(Duration::ZERO).changes;
            told.extend(mail.into_iter().map(|(subject, change)| match change {
                Change::Synced => "synced".to_owned(),
                Change::PodGroup(dialect, version, group) => {
                    let name = &group.metadata.name;
                    format!("{dialect:?} {version} {name} {:?}", group.spec.min_member)
                }
                Change::PodGroupGone(gone) => {
                    assert_eq!(subject, Subject::PodGroup(gone.clone()));
                    format!("{gone} is gone")
                }
                Change::PodGroupUnreadable(group, _) => format!("{group} is unreadable"),
                other => format!("{other:?}"),
            }));
        }
        told
    }

    async fn until_ready(&self) {
        let begin = Instant::now();
        while !self.ready.is_set() {
            assert!(begin.elapsed() < GIVE_UP);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn a_kind_may_come_and_go_again_and_again() {
    let mut scene = Scene::new(Dialect::SchedulerPlugins, "v1alpha1", None).await;
    assert_eq!(scene.mail(1).await, ["synced"]);
    for _ in 0..2 {
        scene.serve(true);
        scene.create("a", &json!({ "minMember": 3 }));
        scene.create("b", &json!({ "minMember": 4 }));
        scene.create("c", &json!({ "minMember": "many" }));
        let mut told = scene.mail(3).await;
        told.sort_unstable();
        assert_eq!(
            told,
            [
                "SchedulerPlugins v1alpha1 a Some(3)",
                "SchedulerPlugins v1alpha1 b Some(4)",
                "default/c is unreadable"
            ]
        );
        scene.serve(false);
        let mut told = scene.mail(3).await;
        told.sort_unstable();
        let gone = [
            "default/a is gone",
            "default/b is gone",
            "default/c is gone",
        ];
        assert_eq!(told, gone);
    }
    scene.tasks.shutdown().await;
}

#[tokio::test]
async fn what_is_there_is_listed_before_the_first_decision() {
    for (dialect, version) in [
        (Dialect::Kubernetes, "v1beta1"),
        (Dialect::SchedulerPlugins, "v1alpha1"),
        (Dialect::Volcano, "v1beta1"),
    ] {
        let server = Server::bind(0, Config::default()).await.unwrap();
        let (handle, address) = (server.handle(), server.local_address().unwrap());
        let kind = simulator::find(dialect.api_group(), version, PLURAL).unwrap();
        let groups = groups(dialect, client_of(address), None);
        let (mailbox, ready) = (Arc::clone(&groups.mailbox), ReadyFlag::default());
        let progress = Progress::new(Unsynced::new(1, &mailbox), ready.clone(), true);
        let mut tasks = tokio::task::JoinSet::new();
        let scene = Scene {
            handle,
            kind,
            mailbox,
            ready,
            tasks: tokio::task::JoinSet::new(),
        };
        // The server takes connections and does not answer yet, which is not the same as "no".
        scene.serve(true);
        scene.create("a", &json!({}));
        tasks.spawn(groups.run(progress));
        tasks.spawn(server.serve(std::future::pending()));
        let expected = [format!("{dialect:?} {version} a None"), "synced".to_owned()];
        assert_eq!(scene.mail(2).await, expected);
        tasks.shutdown().await;
    }
}

/// What a standby knows may be older than what its predecessor did last.
#[tokio::test]
async fn a_new_leader_asks_again() {
    let (leadership, election) = tokio::sync::watch::channel(Leadership::Standby);
    let mut scene = Scene::new(Dialect::Volcano, "v1beta1", Some(election)).await;
    scene.until_ready().await;
    assert!(scene.mailbox.take(Duration::ZERO).changes.is_empty());
    leadership.send_replace(Leadership::Leading);
    assert_eq!(scene.mail(1).await, ["synced"]);
    scene.tasks.shutdown().await;
}

#[tokio::test]
async fn the_preferred_version_is_read() {
    const GROUP: &str = "/apis/scheduling.k8s.io";
    fn versions(names: &[&str]) -> Value {
        let version = |name: &&str| json!({ "groupVersion": format!("g/{name}"), "version": name });
        let versions: Vec<_> = names.iter().map(version).collect();
        json!({ "name": "g", "versions": versions })
    }
    fn resources(names: &[&str]) -> Value {
        let one = |name: &&str| {
            json!({
                "name": name, "singularName": "", "namespaced": true, "kind": "K", "verbs": [],
            })
        };
        let resources: Vec<_> = names.iter().map(one).collect();
        json!({ "groupVersion": "g/v", "resources": resources })
    }
    /// Of each path what the server answers; all others are not found.
    async fn check(pages: Vec<(String, u16, Value)>, expected: Result<Option<&str>, &str>) {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let shown = format!("{pages:?}");
        let router = Router::new().fallback(move |uri: Uri| {
            let page = pages.iter().find(|(path, ..)| *path == uri.path()).cloned();
            async move {
                page.map_or(
                    (StatusCode::NOT_FOUND, "404 page not found".to_owned()),
                    |page| (StatusCode::from_u16(page.1).unwrap(), page.2.to_string()),
                )
            }
        });
        let serving = tokio::spawn(async { axum::serve(listener, router).await });
        let found = groups(Dialect::Kubernetes, client_of(address), None)
            .discover()
            .await;
        let found = found.map(|version| version.map(|version| version.name));
        let found = found.map_err(|unknown| match unknown {
            Unknown::Forbidden(_) => "forbidden",
            Unknown::NoAnswer(_) => "no answer",
        });
        assert_eq!(found, expected, "{shown}");
        serving.abort();
    }
    let group = |names: &[&str]| (GROUP.to_owned(), 200, versions(names));
    let version = |name: &str, kinds: &[&str]| (format!("{GROUP}/{name}"), 200, resources(kinds));
    let error = |path: &str, code: u16| {
        let status = json!({ "kind": "Status", "status": "Failure", "code": code, "message": "m" });
        (path.to_owned(), code, status)
    };
    check(Vec::new(), Ok(None)).await;
    check(vec![group(&["v1"])], Ok(None)).await;
    let all = ["workloads", "podgroups", "podgroups/status"];
    let old = || vec![group(&["v1", "v1alpha2"]), version("v1alpha2", &all)];
    check(old(), Ok(Some("v1alpha2"))).await;
    let new = |kinds: &[&str]| {
        let versions = group(&["v1", "v1alpha3", "v1beta1"]);
        vec![
            versions,
            version("v1alpha3", &all),
            version("v1beta1", kinds),
        ]
    };
    check(new(&all), Ok(Some("v1beta1"))).await;
    // The version is there, and what would be behind a gate is not.
    check(new(&["workloads"]), Ok(Some("v1alpha3"))).await;
    check(vec![error(GROUP, 403)], Err("forbidden")).await;
    check(vec![error(GROUP, 503)], Err("no answer")).await;
    let page = format!("{GROUP}/v1beta1");
    check(
        vec![group(&["v1beta1"]), error(&page, 503)],
        Err("no answer"),
    )
    .await;
}
