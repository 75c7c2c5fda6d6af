//! Pods that a plugin cannot read: no refusal, but an error of the attempt.

use super::server::Server;
use super::*;
use crate::plugins::testing::peers::{Expression, PodTerm, Selector, SpreadConstraint};
use crate::plugins::testing::plain::{Amounts, PlainNode, PlainPod, PlainTerm};

const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, \
    '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
    'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const NO_VALUES: &str = "values: Invalid value: null: for 'in', 'notin' operators, values set \
    can't be empty";

/// A node affinity that the API server lets through, since it does no harm with a single node.
fn preferring() -> PlainPod {
    let values = vec!["a b".to_owned()];
    let term = PlainTerm {
        expressions: vec![("disk".to_owned(), "In".to_owned(), values)],
        fields: Vec::new(),
    };
    PlainPod {
        preferred: vec![(1, term)],
        ..PlainPod::asking("pod", &[("cpu", 1)])
    }
}

fn unreadable() -> Option<Selector> {
    Some(Selector {
        match_expressions: vec![Expression {
            key: "app".to_owned(),
            operator: "In".to_owned(),
            values: Vec::new(),
        }],
        ..Selector::default()
    })
}

fn spread(mut pod: PlainPod, when_unsatisfiable: &str) -> PlainPod {
    pod.peers.spread.push(SpreadConstraint {
        max_skew: 1,
        topology_key: "zone".to_owned(),
        when_unsatisfiable: when_unsatisfiable.to_owned(),
        label_selector: unreadable(),
        ..SpreadConstraint::default()
    });
    pod
}

/// What comes of the pod in a cluster of so many nodes. What went wrong is tried again later.
#[track_caller]
fn check(nodes: usize, pod: PlainPod, expected: Result<(), (ConditionReason, String)>) {
    let metrics = Arc::new(Metrics::new().unwrap());
    let mut engine = counted_engine_of(default_profile("berth"), 0, &metrics);
    let mut server = Server::default();
    for place in 0..nodes {
        server.put_node(PlainNode {
            name: format!("node-{place}"),
            pods: 110,
            allocatable: Amounts::from([("cpu".to_owned(), 4000)]),
            ..PlainNode::default()
        });
    }
    server.put_pod(pod, "");
    while let Some(news) = server.next_node_news().or_else(|| server.next_pod_news()) {
        engine.apply(news, Time::ZERO);
    }
    engine.apply(Change::Synced, Time::ZERO);
    let effects = engine.run(Time::from_secs(1), 10);
    engine.audit();
    let attempts = |result: &str| {
        let line =
            format!("scheduler_schedule_attempts_total{{profile=\"berth\",result=\"{result}\"}} ");
        let text = metrics.encode().unwrap();
        let count = text.lines().find_map(|one| one.strip_prefix(&line));
        count.map_or(0, |count| count.parse().unwrap())
    };
    let Err((reason, message)) = expected else {
        assert!(matches!(effects[0].action, Action::Bind { .. }));
        return;
    };
    let [told, patched] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    let is_told = |effect: &Effect| match &effect.action {
        Action::Emit(event) => event.kind == EventKind::FailedScheduling && *event.note == *message,
        _ => false,
    };
    assert!(is_told(told), "{told:?}");
    let Action::PatchStatus(patch) = &patched.action else {
        panic!("{patched:?}");
    };
    assert_eq!((patch.reason(), patch.message()), (Some(reason), &*message));
    engine.complete(patched.id, Outcome::Done, Time::from_secs(1));
    // The same again without a change of the cluster, as only errors are.
    let again = engine.run(Time::from_secs(20), 10);
    let error = reason == ConditionReason::SchedulerError;
    assert_eq!(
        again.iter().filter(|effect| is_told(effect)).count(),
        usize::from(error)
    );
    assert_eq!(again.len(), usize::from(error), "{again:?}");
    assert_eq!(attempts("error"), if error { 2 } else { 0 });
    assert_eq!(attempts("unschedulable"), if error { 0 } else { 1 });
    engine.audit();
}

#[test]
fn what_cannot_be_read_is_an_error_where_upstream_says_so() {
    let error = |text: String| Err((ConditionReason::SchedulerError, text));
    let preferred = || {
        error(format!(
            "running PreScore plugin \"NodeAffinity\": [0].matchExpressions[0].values[0][disk]: \
             Invalid value: \"a b\": {VALUE}"
        ))
    };
    let bare = || PlainPod::asking("pod", &[("cpu", 1)]);
    check(2, preferring(), preferred());
    check(1, preferring(), Ok(()));
    let soft = || spread(bare(), "ScheduleAnyway");
    let of_soft = format!(
        "running PreScore plugin \"PodTopologySpread\": calculating preScoreState: obtaining pod's \
         soft topology spread constraints: {NO_VALUES}"
    );
    check(2, soft(), error(of_soft));
    check(1, soft(), Ok(()));
    // The first plugin that fails is the one that is told of.
    check(2, spread(preferring(), "ScheduleAnyway"), preferred());
    let hard = || spread(preferring(), "DoNotSchedule");
    for nodes in [1, 2] {
        let of_hard = format!(
            "running PreFilter plugin \"PodTopologySpread\": get constraints from pod: obtaining \
             pod's hard topology spread constraints: {NO_VALUES}"
        );
        check(nodes, hard(), error(of_hard));
    }
    // Affinity to pods is refused instead.
    let mut near = bare();
    near.peers.affinity.push(PodTerm {
        label_selector: unreadable(),
        topology_key: "zone".to_owned(),
        ..PodTerm::default()
    });
    let refused =
        format!("0/1 nodes are available: parsing pod: requiredAffinityTerms: {NO_VALUES}.");
    check(1, near, Err((ConditionReason::Unschedulable, refused)));
}
