//! What becomes of what a stream says.

use kube::runtime::watcher::Event;

use super::*;
use crate::engine::Change;

fn pod(name: &str) -> Watched<Pod> {
    Watched::from_json(&format!(
        r#"{{"metadata":{{"name":"{name}","uid":"{name}"}}}}"#
    ))
}

struct Told {
    watch: Watch<Pod>,
    mailbox: Arc<Mailbox>,
}

impl Told {
    fn new(counts: bool) -> Self {
        let mailbox = Arc::new(Mailbox::default());
        let unsynced = Unsynced::new(1, &mailbox);
        let metrics = Metrics::new().unwrap_or_else(|error| unreachable!("{error}"));
        let progress = Progress::new(unsynced, ReadyFlag::default(), counts);
        let metrics = metrics.watch(Pod::KIND);
        Self {
            watch: Watch::new(Arc::clone(&mailbox), progress, metrics),
            mailbox,
        }
    }

    /// Each letter of a word stands for one pod of a list; `.` ends it.
    fn list(&mut self, names: &str) {
        assert_eq!(self.watch.take(Event::Init), None);
        for name in names.chars() {
            let event = match name {
                '.' => Event::InitDone,
                name => Event::InitApply(pod(&name.to_string())),
            };
            assert_eq!(self.watch.take(event), None);
        }
    }

    fn mail(&self) -> Vec<String> {
        let mail = self.mailbox.take(Duration::ZERO).changes;
        let shown = mail.into_iter().map(|(subject, change)| match change {
            Change::Synced => "synced".to_owned(),
            Change::PodGone(uid) => format!("-{uid}"),
            Change::Pod(pod) => format!("+{}", pod.metadata.uid),
            other => format!("{subject:?}: {other:?}"),
        });
        shown.collect()
    }
}

#[test]
fn what_a_list_lacks_is_gone() {
    let mut told = Told::new(true);
    told.watch.begin_stream();
    told.list("abc.");
    assert_eq!(told.mail(), ["+a", "+b", "+c", "synced"]);
    assert_eq!(told.watch.take(Event::Delete(pod("a"))), None);
    assert_eq!(told.watch.take(Event::Apply(pod("d"))), None);
    assert_eq!(told.mail(), ["-a", "+d"]);
    told.watch.end_stream(Ended::Broken);
    told.watch.begin_stream();
    told.list("de.");
    assert_eq!(told.mail(), ["+d", "+e", "-b", "-c"]);
}

/// The engine was told of all that came, so that it has to be told of their end as well.
#[test]
fn what_only_a_list_that_broke_off_had_is_gone() {
    let mut told = Told::new(true);
    told.watch.begin_stream();
    told.list("ab");
    told.list("bc");
    told.watch.end_stream(Ended::Broken);
    told.watch.begin_stream();
    told.list("c.");
    assert_eq!(told.mail(), ["-a", "-b", "+c", "synced"]);
}

/// What another life has bound last may be missing from a list that is streamed.
#[test]
fn only_a_list_that_does_not_count_is_streamed() {
    assert!(!Told::new(true).watch.begin_stream());
    let mut standby = Told::new(false);
    assert!(standby.watch.begin_stream());
    standby.list("a.");
    standby.watch.end_stream(Ended::Relist);
    standby.watch.lead();
    assert!(!standby.watch.begin_stream());
    standby.list("a.");
    assert_eq!(standby.mail(), ["+a", "synced"]);
}
