//! The texts that pods get to read.

use super::server::Server;
use super::*;
use crate::plugins::testing::plain::{Amounts, PlainNode, PlainPod, PlainTerm};

fn node(name: &str, cpu: i64, pods: i64) -> PlainNode {
    PlainNode {
        name: name.to_owned(),
        pods,
        allocatable: Amounts::from([("cpu".to_owned(), cpu)]),
        ..PlainNode::default()
    }
}

fn tainted(name: &str, effect: &str) -> PlainNode {
    PlainNode {
        taints: vec![("k".to_owned(), String::new(), effect.to_owned())],
        ..node(name, 4000, 110)
    }
}

fn cordoned(name: &str) -> PlainNode {
    PlainNode {
        unschedulable: true,
        ..node(name, 4000, 110)
    }
}

/// A pod that asks for so much cpu, in thousandths.
fn cpu(amount: i64) -> PlainPod {
    PlainPod::asking("", &[("cpu", amount)])
}

fn ranking(priority: i32, pod: PlainPod) -> PlainPod {
    PlainPod { priority, ..pod }
}

fn confined(names: &[&str]) -> PlainPod {
    let term = PlainTerm {
        expressions: Vec::new(),
        fields: (names.iter())
            .map(|name| {
                let field = "metadata.name".to_owned();
                (field, "In".to_owned(), vec![(*name).to_owned()])
            })
            .collect(),
    };
    PlainPod {
        required: Some(vec![term]),
        ..cpu(1)
    }
}

/// What the pod is told in a cluster of these nodes and of pods placed on them.
#[track_caller]
fn check(nodes: &[PlainNode], placed: &[(&str, PlainPod)], pod: &PlainPod, expected: &str) {
    let mut engine = engine(0);
    let mut server = Server::default();
    nodes.iter().for_each(|node| server.put_node(node.clone()));
    for (node, pod) in placed {
        server.put_pod(pod.clone(), node);
    }
    server.put_pod(pod.clone(), "");
    while let Some(news) = server.next_node_news().or_else(|| server.next_pod_news()) {
        engine.apply(news, Time::ZERO);
    }
    engine.apply(Change::Synced, Time::ZERO);
    let effects = engine.run(Time::from_secs(1), 10);
    engine.audit();
    let texts: Vec<&str> = (effects.iter())
        .map(|effect| match &effect.action {
            Action::Emit(event) => {
                assert_eq!(event.kind, EventKind::FailedScheduling);
                assert_eq!(&*event.scheduler_name, "berth");
                &*event.note
            }
            Action::PatchStatus(patch) => {
                assert_eq!(patch.reason(), Some(ConditionReason::Unschedulable));
                assert!(patch.condition.as_ref().unwrap().transition);
                patch.message()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, [expected, expected]);
}

#[test]
fn without_nodes() {
    check(&[], &[], &cpu(1), "no nodes available to schedule pods");
}

#[test]
fn reasons_are_sorted_as_texts_with_their_counts() {
    let mut nodes: Vec<PlainNode> = (0..10).map(|n| node(&format!("s{n}"), 100, 110)).collect();
    nodes.push(cordoned("c0"));
    nodes.push(cordoned("c1"));
    nodes.push(tainted("t0", "NoSchedule"));
    nodes.push(node("f0", 100, 0));
    check(
        &nodes,
        &[],
        &cpu(1000),
        "0/14 nodes are available: 1 Too many pods, 1 node(s) had untolerated taint(s), \
         11 Insufficient cpu, 2 node(s) were unschedulable. preemption: 0/14 nodes are \
         available: 14 Preemption is not helpful for scheduling.",
    );
}

#[test]
fn nobody_to_preempt() {
    let placed = [("a", cpu(3500))];
    check(
        &[node("a", 4000, 110), tainted("b", "NoExecute")],
        &placed,
        &cpu(1000),
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). \
         preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, \
         1 Preemption is not helpful for scheduling.",
    );
    // The one pod of lower priority is elsewhere.
    check(
        &[node("a", 4000, 110), cordoned("b")],
        &[("a", ranking(7, cpu(3500))), ("b", ranking(-1, cpu(1)))],
        &cpu(1000),
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable. \
         preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, \
         1 Preemption is not helpful for scheduling.",
    );
}

#[test]
fn victims_that_do_not_help() {
    let placed = [
        ("a", ranking(20, cpu(3500))),
        ("a", ranking(1, cpu(100))),
        ("b", ranking(20, cpu(3500))),
    ];
    check(
        &[
            node("a", 4000, 110),
            node("b", 4000, 110),
            node("c", 500, 110),
        ],
        &placed,
        &ranking(10, cpu(1000)),
        "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: \
         1 Insufficient cpu, 1 No preemption victims found for incoming pod, \
         1 Preemption is not helpful for scheduling.",
    );
}

#[test]
fn who_never_preempts_is_told_so() {
    let pod = PlainPod {
        never_preempts: true,
        ..ranking(10, cpu(1000))
    };
    check(
        &[node("a", 4000, 110)],
        &[("a", cpu(3500))],
        &pod,
        "0/1 nodes are available: 1 Insufficient cpu. \
         preemption: not eligible due to preemptionPolicy=Never.",
    );
}

#[test]
fn several_reasons_of_one_node() {
    let pod = PlainPod::asking(
        "",
        &[
            ("cpu", 5000),
            ("memory", 1),
            ("ephemeral-storage", 1),
            ("nvidia.com/gpu", 1),
        ],
    );
    check(
        &[node("a", 4000, 1)],
        &[("a", cpu(0))],
        &pod,
        "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient ephemeral-storage, \
         1 Insufficient memory, 1 Insufficient nvidia.com/gpu, 1 Too many pods. \
         preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
    );
}

#[test]
fn narrowed_to_named_nodes() {
    let nodes = [
        node("a", 4000, 0),
        node("b", 4000, 110),
        node("c", 4000, 110),
    ];
    check(
        &nodes,
        &[],
        &confined(&["a"]),
        "0/3 nodes are available: 1 Too many pods, \
         2 node(s) didn't satisfy plugin(s) [NodeAffinity]. \
         preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, \
         2 Preemption is not helpful for scheduling.",
    );
    check(
        &nodes,
        &[],
        &confined(&["nowhere"]),
        "0/3 nodes are available: 3 node(s) didn't satisfy plugin(s) [NodeAffinity]. \
         preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
    );
    check(
        &nodes,
        &[],
        &confined(&["a", "b"]),
        "0/3 nodes are available: pod affinity terms conflict.",
    );
}

#[test]
fn a_message_that_stays_the_same_is_written_once() {
    let mut engine = engine(0);
    let mut server = Server::default();
    server.put_node(node("a", 100, 110));
    server.put_pod(cpu(1000), "");
    while let Some(news) = server.next_node_news().or_else(|| server.next_pod_news()) {
        engine.apply(news, Time::ZERO);
    }
    engine.apply(Change::Synced, Time::ZERO);
    let mut patches = Vec::new();
    for minute in 0..30 {
        for effect in engine.run(Time::from_secs(60 * minute), 10) {
            if let Action::PatchStatus(_) = effect.action {
                patches.push(minute);
                engine.complete(effect.id, Outcome::Done, Time::from_secs(60 * minute));
            }
        }
    }
    assert_eq!(patches, [0]);
}

#[test]
fn what_was_hopeless_is_searched_anew_when_something_has_changed() {
    let mut engine = engine(0);
    let mut server = Server::default();
    server.put_node(node("a", 4000, 110));
    server.put_pod(ranking(20, cpu(3500)), "a");
    let mut texts = |server: &mut Server, pods: usize| {
        for _ in 0..pods {
            server.put_pod(ranking(10, cpu(1000)), "");
        }
        while let Some(news) = server.next_node_news().or_else(|| server.next_pod_news()) {
            engine.apply(news, Time::ZERO);
        }
        engine.apply(Change::Synced, Time::ZERO);
        let effects = engine.run(Time::from_secs(1), 10);
        let told = effects.iter().filter_map(|effect| match &effect.action {
            Action::PatchStatus(patch) => Some(patch.message().to_owned()),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    let hopeless = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are \
                    available: 1 No preemption victims found for incoming pod.";
    assert_eq!(texts(&mut server, 2), [hopeless, hopeless]);
    // The one that nobody may evict makes room for one that anybody may.
    server.delete(0);
    server.put_pod(ranking(1, cpu(3500)), "a");
    let found = "0/1 nodes are available: 1 Insufficient cpu. \
                 preemption: found a potential placement for pod on node a, preempting 1 victims";
    assert!(texts(&mut server, 1).contains(&found.to_owned()));
}
