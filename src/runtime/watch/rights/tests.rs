//! Servers that grant, refuse, change their mind, and do not answer.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::Instant;

use axum::Router;
use axum::http::{StatusCode, Uri};
use serde_json::Value;

use super::*;
use crate::runtime::client;
use crate::runtime::http::ReadyFlag;
use crate::runtime::lease::{Fence, Leadership};
use crate::runtime::watch::Unsynced;

/// When a test gives up.
const GIVE_UP: Duration = Duration::from_secs(60);

/// A server that gives these answers one after the other, and then the last one for ever.
struct Scene {
    /// How many answers are left.
    script: Arc<Mutex<VecDeque<(u16, &'static str)>>>,
    asked: Arc<Mutex<Vec<Value>>>,
    mailbox: Arc<Mailbox>,
    ready: ReadyFlag,
    tasks: tokio::task::JoinSet<()>,
}

const YES: (u16, &str) = (201, r#"{"status":{"allowed":true}}"#);
const NO: (u16, &str) = (201, r#"{"status":{"allowed":false}}"#);

impl Scene {
    async fn new(answers: &[(u16, &'static str)], election: Election) -> Self {
        let script = Arc::new(Mutex::new(VecDeque::from(answers.to_vec())));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (given, questions) = (Arc::clone(&script), Arc::clone(&asked));
        let router = Router::new().fallback(async move |uri: Uri, body: String| {
            let question = serde_json::from_str(&body).unwrap_or_default();
            questions.lock().unwrap().push(question);
            let mut given = given.lock().unwrap();
            let next = if given.len() > 1 {
                given.pop_front()
            } else {
                given.front().copied()
            };
            let (code, text) = next
                .filter(|_| uri.path() == REVIEWS)
                .unwrap_or((404, "{}"));
            (StatusCode::from_u16(code).unwrap(), text)
        });
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let config = kube::Config::new(format!("http://{address}").parse().unwrap());
        let counts = election.is_none();
        let rights = Rights {
            client: client::client(&config, 1, Fence::none()).unwrap(),
            mailbox: Arc::new(Mailbox::default()),
            election,
            poll: Duration::from_millis(5),
        };
        let (mailbox, ready) = (Arc::clone(&rights.mailbox), ReadyFlag::default());
        let progress = Progress::new(Unsynced::new(1, &mailbox), ready.clone(), counts);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        tasks.spawn(rights.run(progress));
        Self {
            script,
            asked,
            mailbox,
            ready,
            tasks,
        }
    }

    fn mail(&self) -> Vec<String> {
        let mail = self.mailbox.take(Duration::ZERO).changes;
        let shown = mail.into_iter().map(|(_, change)| match change {
            Change::EvictionRights(granted) => granted.to_string(),
            Change::Synced => "synced".to_owned(),
            other => unreachable!("{other:?}"),
        });
        shown.collect()
    }

    async fn wait(&self, done: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !done(self) {
            assert!(begin.elapsed() < GIVE_UP);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until so many questions were answered that all news are in the mailbox.
    async fn wait_asked(&self, questions: usize) {
        let asked = |scene: &Self| scene.asked.lock().unwrap().len() > questions;
        self.wait(asked).await;
    }
}

/// What is told in the end, only the newest word about the right among it.
async fn check(answers: &[(u16, &'static str)], expected: &[&str]) {
    let mut scene = Scene::new(answers, None).await;
    scene.wait_asked(answers.len()).await;
    assert_eq!(scene.mail(), expected, "{answers:?}");
    assert!(scene.ready.is_set());
    scene.tasks.shutdown().await;
}

#[tokio::test]
async fn what_is_told_before_decisions_begin() {
    check(&[YES], &["synced"]).await;
    check(&[NO], &["false", "synced"]).await;
    check(&[(404, "{}")], &["synced"]).await;
    check(&[(500, "{}")], &["synced"]).await;
    check(&[(201, "{}")], &["synced"]).await;
    check(&[NO, YES], &["true", "synced"]).await;
    check(&[NO, (500, "{}")], &["false", "synced"]).await;
}

#[tokio::test]
async fn it_is_told_once_when_it_changes() {
    let mut scene = Scene::new(&[NO], None).await;
    scene.wait_asked(2).await;
    assert_eq!(scene.mail(), ["false", "synced"]);
    scene.wait_asked(4).await;
    assert_eq!(scene.mail(), [""; 0]);
    scene.script.lock().unwrap().push_back(YES);
    let questions = scene.asked.lock().unwrap().len();
    scene.wait_asked(questions + 2).await;
    assert_eq!(scene.mail(), ["true"]);
    let question = scene.asked.lock().unwrap().first().cloned().unwrap();
    let attributes = json!({ "verb": "delete", "resource": "pods" });
    assert_eq!(question["kind"], "SelfSubjectAccessReview");
    assert_eq!(question["spec"]["resourceAttributes"], attributes);
    scene.tasks.shutdown().await;
}

/// A standby is ready, and asks again before the first decision once it leads.
#[tokio::test]
async fn decisions_wait_for_an_answer_as_the_leader() {
    let (lead, election) = tokio::sync::watch::channel(Leadership::Standby);
    let mut scene = Scene::new(&[NO], Some(election)).await;
    scene.wait_asked(1).await;
    assert_eq!(scene.mail(), ["false"]);
    assert!(scene.ready.is_set());
    lead.send_replace(Leadership::Leading);
    let begin = scene.asked.lock().unwrap().len();
    scene.wait_asked(begin + 2).await;
    assert_eq!(scene.mail(), ["synced"]);
    scene.tasks.shutdown().await;
}

#[tokio::test]
async fn nothing_is_known_while_there_is_no_server() {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let config = kube::Config::new(format!("http://{address}").parse().unwrap());
    let rights = Rights {
        client: client::client(&config, 1, Fence::none()).unwrap(),
        mailbox: Arc::new(Mailbox::default()),
        election: None,
        poll: POLL,
    };
    assert_eq!(rights.ask().await, Answer::Unreachable);
}
