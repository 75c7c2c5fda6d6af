#![allow(clippy::unwrap_used)]

use super::*;

#[derive(Clone, Copy)]
enum Step {
    Set(u64, &'static str),
    Update(u64, &'static str, &'static str),
    Remove(u64),
}
use Step::{Remove, Set, Update};

#[track_caller]
fn check(steps: &[Step], expected: &[(&str, &[u64])]) {
    let mut nominator = Nominator::default();
    for &step in steps {
        match step {
            Set(pod, node) => nominator.set(PodKey(pod), node),
            Update(pod, old, new) => nominator.update(PodKey(pod), old, new),
            Remove(pod) => nominator.remove(PodKey(pod)),
        }
        nominator.audit(|_| true);
    }
    let nodes: Vec<(&str, Vec<u64>)> = (nominator.nodes())
        .map(|(node, pods)| (node, pods.iter().map(|pod| pod.0).collect()))
        .collect();
    let expected: Vec<(&str, Vec<u64>)> = (expected.iter())
        .map(|&(node, pods)| (node, pods.to_vec()))
        .collect();
    assert_eq!(nodes, expected);
}

#[test]
fn a_pod_has_one_node_at_most() {
    check(&[], &[]);
    check(
        &[Set(1, "b"), Set(2, "a"), Set(3, "b")],
        &[("a", &[2]), ("b", &[1, 3])],
    );
    check(&[Set(1, "a"), Set(1, "b")], &[("b", &[1])]);
    check(&[Set(1, "a"), Set(1, "a")], &[("a", &[1])]);
    check(&[Set(1, "a"), Set(1, "")], &[]);
    check(
        &[Set(1, "a"), Set(2, "a"), Remove(1), Remove(1)],
        &[("a", &[2])],
    );
}

#[test]
fn updates_of_the_object() {
    check(&[Update(1, "", "a")], &[("a", &[1])]);
    check(&[Set(1, "a"), Update(1, "a", "b")], &[("b", &[1])]);
    check(&[Set(1, "a"), Update(1, "a", "")], &[]);
    // Nominated here, and the object does not know yet.
    check(&[Set(1, "a"), Update(1, "", "")], &[("a", &[1])]);
    check(&[Update(1, "", "")], &[]);
    // Ended here, and the object does not know yet: it counts again until it does.
    check(
        &[Set(1, "a"), Remove(1), Update(1, "a", "a")],
        &[("a", &[1])],
    );
}
