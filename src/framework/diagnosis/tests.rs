#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use super::*;

fn indexes() -> [PluginIndex; 3] {
    [PluginIndex(0), PluginIndex(1), PluginIndex(2)]
}

fn set(nodes: &[usize]) -> NodeSet {
    nodes.iter().copied().map(NodeId::new).collect()
}

#[test]
fn counts_are_sorted_as_texts() {
    let mut counts = ReasonCounts::default();
    assert_eq!(counts.text(), None);
    counts.add("b".into(), 0);
    assert_eq!(counts.text(), None, "nothing happened for this reason");
    for (reason, nodes) in [
        ("x", 2),
        ("y", 10),
        ("a", 10),
        ("x", 1),
        ("B", 3),
        ("z", 100),
    ] {
        counts.add(reason.into(), nodes);
    }
    assert_eq!(counts.text().unwrap(), "10 a, 10 y, 100 z, 3 B, 3 x");
}

#[test]
fn a_node_belongs_to_who_rejects_it_first() {
    let [first, second, _] = indexes();
    let mut why = Diagnosis::default();
    let mut left = set(&[1, 2, 3, 70]);
    why.speak_for(first);
    why.reject(
        &mut left,
        &set(&[1, 70, 99]),
        Reason::Text("one"),
        Code::Unresolvable,
    );
    why.speak_for(second);
    why.reject(
        &mut left,
        &set(&[1, 2]),
        Reason::Text("two"),
        Code::Unschedulable,
    );
    assert_eq!(left, set(&[3]));
    assert_eq!(*why.rejected(), set(&[1, 2, 70]));
    assert_eq!(why.resolvable(), set(&[2]));
    assert_eq!(why.count().text().unwrap(), "1 two, 2 one");
    assert!(why.reasons_for(NodeId::new(1)).eq([&Reason::Text("one")]));
    assert!(why.rejectors().iter().eq([first, second]));
    // Nothing left of these nodes: that plugin has no say any more.
    why.forget(&set(&[2]));
    assert!(why.rejectors().iter().eq([first]));
    assert_eq!(*why.rejected(), set(&[1, 70]));
    why.clear();
    assert!(why.rejected().is_empty() && why.rejectors().is_empty());
}

#[test]
fn one_unresolvable_reason_makes_the_node_unresolvable() {
    let mut why = Diagnosis::default();
    let gpu = Reason::Insufficient("nvidia.com/gpu".into());
    why.note_word(
        64,
        0b111,
        &Reason::Text("Too many pods"),
        Code::Unschedulable,
    );
    why.note_word(64, 0b010, &gpu, Code::Unresolvable);
    why.note_word(64, 0b001, &gpu, Code::Unschedulable);
    why.note_word(64, 0, &Reason::Text("never"), Code::Unresolvable);
    assert_eq!(why.resolvable(), set(&[64, 66]));
    assert_eq!(
        why.count().text().unwrap(),
        "2 Insufficient nvidia.com/gpu, 3 Too many pods"
    );
    assert_eq!(why.reasons_for(NodeId::new(65)).count(), 2);
}

#[test]
fn the_same_words_of_two_plugins_are_one_count_and_two_rejectors() {
    let [first, second, third] = indexes();
    let mut why = Diagnosis::default();
    for (plugin, node) in [(second, 1), (third, 2)] {
        why.speak_for(plugin);
        let node = set(&[node]);
        why.reject(
            &mut node.clone(),
            &node,
            Reason::Text("same"),
            Code::Unresolvable,
        );
    }
    assert_eq!(why.count().text().unwrap(), "2 same");
    assert!(why.rejectors().contains(second) && why.rejectors().contains(third));
    assert!(!why.rejectors().contains(first));
}
