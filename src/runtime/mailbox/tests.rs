//! What comes in is merged per object, and nothing is lost by it.

use super::*;
use crate::api::Pod;

fn pod(uid: &str) -> (Subject, Change) {
    let mut pod = Pod::default();
    pod.metadata.uid = uid.into();
    (Subject::Pod(uid.into()), Change::Pod(Box::new(pod)))
}

fn gone(uid: &str) -> (Subject, Change) {
    (Subject::Pod(uid.into()), Change::PodGone(uid.into()))
}

#[test]
fn keeps_the_newest_state_and_every_deletion() {
    let mailbox = Mailbox::default();
    for (subject, change) in [pod("a"), pod("b"), pod("a"), gone("b"), pod("c")] {
        mailbox.change(subject, change);
    }
    let mail = mailbox.take(Duration::ZERO);
    let kinds: Vec<_> = (mail.changes.values())
        .map(|change| match change {
            Change::Pod(pod) => format!("pod {}", pod.metadata.uid),
            Change::PodGone(uid) => format!("gone {uid}"),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["pod a", "gone b", "pod c"]);
    assert!(mailbox.take(Duration::ZERO).changes.is_empty());
}

#[test]
fn stopping_stays() {
    let mailbox = Mailbox::default();
    mailbox.stop();
    assert!(mailbox.take(Duration::ZERO).stopping);
    assert!(mailbox.take(Duration::ZERO).stopping);
}

#[test]
fn waits_for_mail() {
    let mailbox = Mailbox::default();
    std::thread::scope(|scope| {
        scope.spawn(|| mailbox.outcome(EffectId(1), Outcome::Done));
        let mail = mailbox.take(Duration::from_secs(60));
        assert_eq!(mail.outcomes, [(EffectId(1), Outcome::Done)]);
    });
}
