//! What answers do, one story each.

use super::server::Server;
use super::*;
use crate::plugins::testing::plain::{Amounts, PlainNode, PlainPod};
use crate::queue::State;

/// An engine that has seen one node with room for four cpu, and a server that agrees.
fn setting() -> (Engine, Server) {
    let mut engine = engine(0);
    let mut server = Server::default();
    server.put_node(PlainNode {
        name: "node-0".to_owned(),
        pods: 110,
        allocatable: Amounts::from([("cpu".to_owned(), 4000)]),
        ..PlainNode::default()
    });
    engine.apply(Change::Synced, Time::ZERO);
    see(&mut engine, &mut server);
    (engine, server)
}

fn see(engine: &mut Engine, server: &mut Server) {
    while let Some(news) = server.next_node_news().or_else(|| server.next_pod_news()) {
        engine.apply(news, Time::ZERO);
    }
}

fn decide(engine: &mut Engine, now: u64) -> Vec<Effect> {
    let effects = engine.run(Time::from_secs(now), 10);
    engine.audit();
    effects
}

fn bind_of(effects: &[Effect]) -> EffectId {
    let bind = |effect: &&Effect| matches!(effect.action, Action::Bind { .. });
    effects.iter().find(bind).expect("a bind").id
}

fn patch_of(effects: &[Effect]) -> EffectId {
    let patch = |effect: &&Effect| matches!(effect.action, Action::PatchStatus(_));
    effects.iter().find(patch).expect("a status patch").id
}

fn failed() -> Outcome {
    Outcome::Failed("connection refused".to_owned())
}

#[test]
fn the_answer_to_a_patch_is_not_the_answer_to_a_bind() {
    let (mut engine, mut server) = setting();
    server.put_pod(PlainPod::asking("", &[("cpu", 5000)]), "");
    see(&mut engine, &mut server);
    let patch = patch_of(&decide(&mut engine, 1));
    server.edit(0, |pod| {
        (pod.pod.containers[0].requests).insert("cpu".to_owned(), 1000);
    });
    see(&mut engine, &mut server);
    let bind = bind_of(&decide(&mut engine, 3));
    engine.complete(patch, Outcome::Done, Time::from_secs(3));
    assert_eq!(engine.pods.len(), 1, "the bind is still under way");
    engine.complete(bind, failed(), Time::from_secs(3));
    assert_eq!(engine.cluster.placed_counts(), (0, 0));
    let effects = decide(&mut engine, 5);
    bind_of(&effects);
}

#[test]
fn a_pod_that_cannot_be_read_while_it_is_bound_is_not_assumed_for_ever() {
    let (mut engine, mut server) = setting();
    server.put_pod(PlainPod::asking("", &[("cpu", 1000)]), "");
    see(&mut engine, &mut server);
    let bind = bind_of(&decide(&mut engine, 1));
    let garbled = server.garbled(0).unwrap();
    engine.apply(garbled, Time::from_secs(1));
    engine.complete(bind, failed(), Time::from_secs(1));
    assert_eq!(engine.cluster.placed_counts(), (0, 0));
    assert!(decide(&mut engine, 20).is_empty(), "nobody can read it");
    see(&mut engine, &mut server);
    bind_of(&decide(&mut engine, 21));
}

#[test]
fn a_pod_that_can_be_read_again_before_the_answer_is_tried_again() {
    let (mut engine, mut server) = setting();
    server.put_pod(PlainPod::asking("", &[("cpu", 1000)]), "");
    see(&mut engine, &mut server);
    let bind = bind_of(&decide(&mut engine, 1));
    let garbled = server.garbled(0).unwrap();
    engine.apply(garbled, Time::from_secs(1));
    see(&mut engine, &mut server);
    engine.complete(bind, failed(), Time::from_secs(1));
    bind_of(&decide(&mut engine, 20));
}

#[test]
fn a_pod_that_a_list_left_out_is_assumed_again_when_it_is_seen() {
    for (outcome, placed) in [(Outcome::Done, (1, 1)), (failed(), (0, 0))] {
        let (mut engine, mut server) = setting();
        server.put_pod(PlainPod::asking("", &[("cpu", 1000)]), "");
        see(&mut engine, &mut server);
        let bind = bind_of(&decide(&mut engine, 1));
        for news in server.relist_pods(1) {
            engine.apply(news, Time::from_secs(1));
        }
        assert_eq!(engine.cluster.placed_counts(), (0, 0));
        see(&mut engine, &mut server);
        assert_eq!(engine.cluster.placed_counts(), (1, 1));
        engine.complete(bind, outcome, Time::from_secs(1));
        assert_eq!(engine.cluster.placed_counts(), placed);
        engine.audit();
    }
}

#[test]
fn a_pod_that_is_gone_before_the_answer_leaves_nothing() {
    for outcome in [Outcome::Done, failed(), Outcome::PodGone] {
        let (mut engine, mut server) = setting();
        server.put_pod(PlainPod::asking("", &[("cpu", 1000)]), "");
        see(&mut engine, &mut server);
        let bind = bind_of(&decide(&mut engine, 1));
        server.delete(0);
        see(&mut engine, &mut server);
        assert_eq!(engine.cluster.placed_counts(), (0, 0));
        engine.complete(bind, outcome, Time::from_secs(1));
        decide(&mut engine, 20);
        assert!(engine.pods.is_empty() && engine.queue.is_empty());
        assert_eq!(
            (engine.awaited(), engine.cluster.placed_counts()),
            (0, (0, 0))
        );
    }
}

#[test]
fn a_confirmed_pod_stays_whatever_the_late_answer_says() {
    for outcome in [Outcome::Done, failed()] {
        let (mut engine, mut server) = setting();
        server.put_pod(PlainPod::asking("", &[("cpu", 1000)]), "");
        see(&mut engine, &mut server);
        let bind = bind_of(&decide(&mut engine, 1));
        server.edit(0, |pod| pod.node = "node-0".to_owned());
        see(&mut engine, &mut server);
        engine.complete(bind, outcome, Time::from_secs(1));
        decide(&mut engine, 20);
        assert!(engine.pods.is_empty() && engine.queue.is_empty());
        assert_eq!(engine.cluster.placed_counts(), (1, 0));
    }
}

#[test]
fn older_news_of_a_pod_is_ignored() {
    let (mut engine, mut server) = setting();
    server.put_pod(PlainPod::asking("", &[("cpu", 5000)]), "");
    see(&mut engine, &mut server);
    server.edit(0, |pod| {
        (pod.pod.containers[0].requests).insert("cpu".to_owned(), 1000);
    });
    see(&mut engine, &mut server);
    let older = server.old_news(0, 0).unwrap();
    engine.apply(older, Time::ZERO);
    let bind = bind_of(&decide(&mut engine, 1));
    engine.complete(bind, Outcome::Done, Time::ZERO);
    // Neither while it is assumed, nor once it is seen as bound, is it taken for waiting again.
    for bound in [false, true] {
        if bound {
            server.edit(0, |pod| pod.node = "node-0".to_owned());
            see(&mut engine, &mut server);
        }
        let older = server.old_news(0, 1).unwrap();
        engine.apply(older, Time::ZERO);
        assert_eq!(engine.cluster.placed_counts(), (1, usize::from(!bound)));
        assert!(engine.pods.is_empty());
        engine.audit();
    }
}

#[test]
fn a_second_answer_is_ignored() {
    let (mut engine, mut server) = setting();
    server.put_pod(PlainPod::asking("", &[("cpu", 1000)]), "");
    see(&mut engine, &mut server);
    let bind = bind_of(&decide(&mut engine, 1));
    engine.complete(bind, Outcome::Done, Time::from_secs(1));
    engine.complete(bind, failed(), Time::from_secs(1));
    assert_eq!(engine.cluster.placed_counts(), (1, 1), "still assumed");
    let stale = decide(&mut engine, 2);
    assert!(
        !stale
            .iter()
            .any(|effect| matches!(effect.action, Action::Bind { .. }))
    );
}

#[test]
fn a_failed_bind_waits_for_its_backoff_and_says_why() {
    let (mut engine, mut server) = setting();
    server.put_pod(PlainPod::asking("", &[("cpu", 1000)]), "");
    see(&mut engine, &mut server);
    let bind = bind_of(&decide(&mut engine, 1));
    engine.complete(bind, failed(), Time::from_secs(1));
    let key = *engine.pods.keys().next().unwrap();
    let state = engine.queue.get(key).unwrap().state;
    assert!(matches!(state, State::ErrorBackoff(_)), "{state:?}");
    let effects = decide(&mut engine, 1);
    let text = "running Bind plugin \"DefaultBinder\": connection refused";
    let notes: Vec<&str> = (effects.iter())
        .filter_map(|effect| match &effect.action {
            Action::Emit(event) => Some(&*event.note),
            Action::PatchStatus(patch) => {
                assert_eq!(patch.reason(), Some(ConditionReason::SchedulerError));
                Some(patch.message())
            }
            Action::Bind { .. } | Action::PatchGroup(_) | Action::Evict(_) => None,
        })
        .collect();
    assert_eq!(notes, [text, text]);
    bind_of(&decide(&mut engine, 3));
}

#[test]
fn a_patch_that_was_not_written_is_sent_again_and_a_written_one_is_not() {
    for (outcome, patches) in [(Outcome::Done, 0), (failed(), 1)] {
        let (mut engine, mut server) = setting();
        server.put_pod(PlainPod::asking("", &[("cpu", 5000)]), "");
        see(&mut engine, &mut server);
        let patch = patch_of(&decide(&mut engine, 1));
        engine.complete(patch, outcome, Time::from_secs(1));
        let key = *engine.pods.keys().next().unwrap();
        let cause = crate::queue::Cause::UnschedulableTimeout;
        engine.queue.wake_one(key, cause, Time::from_secs(9));
        let effects = decide(&mut engine, 9);
        let again = (effects.iter())
            .filter(|effect| matches!(effect.action, Action::PatchStatus(_)))
            .count();
        assert_eq!(again, patches);
        assert_eq!(effects.len(), patches + 1, "the event is always there");
    }
}

#[test]
fn a_terminating_pod_is_dropped_with_an_event() {
    let (mut engine, mut server) = setting();
    server.put_pod(PlainPod::asking("", &[("cpu", 1000)]), "");
    server.edit(0, |pod| pod.terminating = true);
    see(&mut engine, &mut server);
    let effects = decide(&mut engine, 1);
    let [
        Effect {
            action: Action::Emit(event),
            ..
        },
    ] = effects.as_slice()
    else {
        panic!("{effects:?}");
    };
    assert_eq!(&*event.note, "skip schedule deleting pod: default/pod-1");
    assert!(engine.pods.is_empty() && engine.queue.is_empty());
}
