//! Which events wake a pod that a plugin rejected: the tables of upstream's isSchedulableAfter*
//! tests, as far as the cases exist here.

use crate::cluster::{Cluster, PeerId};
use crate::framework::{
    AssignedPod, ClusterEvent, EventKind, Incoming, Plugin, Topic, node_changes,
};
use crate::model::{NodeModel, PlacedPod, PodShape};
use crate::plugins::testing::plain::{PlainNode, PlainPod, PlainTerm, PlainToleration};
use crate::plugins::{
    NodeAffinity, NodeName, NodePorts, NodeResourcesFit, NodeUnschedulable, SchedulingGates,
    TaintToleration, default_profile,
};

const A: &str = "example.com/aaa";
const B: &str = "example.com/bbb";

fn shape(pod: &PlainPod) -> PodShape {
    pod.compiled("", 1).waiting.unwrap().shape
}

fn placed(pod: &PlainPod) -> PlacedPod {
    pod.compiled("node", 1).placed
}

/// A cluster of one large node, and the pod on it.
fn on_a_node(pod: &PlacedPod) -> (Cluster, AssignedPod<'_>) {
    let mut cluster = Cluster::default();
    let plenty = ["cpu", "memory", A].map(|name| (name, 1 << 40));
    let plain = node(110, &plenty);
    cluster.upsert_node(plain.model(1));
    let node = cluster.node_id(&plain.name).unwrap();
    let peers = PeerId::default();
    (cluster, AssignedPod { pod, peers, node })
}

/// What the plugin says to an event that has nothing to do with the cluster.
fn hint(plugin: &dyn Plugin, event: &ClusterEvent<'_>, pod: &PodShape) -> bool {
    plugin.hint(event, pod.into(), &Cluster::default())
}

/// The pod itself changes in this way.
fn itself(plugin: &dyn Plugin, kind: EventKind, old: &PodShape, new: &PodShape) -> bool {
    assert!(plugin.events().contains(kind));
    hint(plugin, &ClusterEvent::TargetPod(kind, old.into()), new)
}

fn asking(amounts: &[(&str, i64)]) -> PlainPod {
    PlainPod::asking("pod", amounts)
}

fn node(pods: i64, amounts: &[(&str, i64)]) -> PlainNode {
    PlainNode {
        pods,
        allocatable: (amounts.iter())
            .map(|&(name, amount)| (name.to_owned(), amount))
            .collect(),
        ..PlainNode::default()
    }
}

fn labelled(labels: &[(&str, &str)]) -> PlainNode {
    PlainNode {
        labels: (labels.iter())
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        ..node(110, &[])
    }
}

fn tainted(taints: &[(&str, &str, &str)]) -> PlainNode {
    PlainNode {
        taints: (taints.iter())
            .map(|&(key, value, effect)| (key.to_owned(), value.to_owned(), effect.to_owned()))
            .collect(),
        ..node(110, &[])
    }
}

fn cordoned(unschedulable: bool) -> PlainNode {
    PlainNode {
        unschedulable,
        ..node(110, &[])
    }
}

fn tolerating(key: &str, operator: &str, value: &str) -> PlainPod {
    PlainPod {
        tolerations: vec![PlainToleration {
            key: key.to_owned(),
            operator: operator.to_owned(),
            value: value.to_owned(),
            effect: "NoSchedule".to_owned(),
        }],
        ..asking(&[])
    }
}

fn with_port(port: i32) -> PlainPod {
    let mut pod = asking(&[]);
    pod.containers[0].ports = vec![(String::new(), String::new(), port)];
    pod
}

/// A node that comes, or that becomes another one by a change of this kind.
#[track_caller]
fn check_node(
    plugin: &dyn Plugin,
    pod: &PlainPod,
    kind: EventKind,
    old: Option<&PlainNode>,
    new: &PlainNode,
    expected: bool,
) {
    assert!(plugin.events().contains(kind));
    let (old, new): (Option<NodeModel>, NodeModel) = (old.map(|old| old.model(1)), new.model(2));
    let event = match &old {
        None => ClusterEvent::NodeAdd(&new),
        Some(old) => ClusterEvent::NodeUpdate(kind, old, &new),
    };
    assert_eq!(hint(plugin, &event, &shape(pod)), expected);
}

#[test]
fn node_affinity() {
    let pod = PlainPod {
        node_selector: [("foo".to_owned(), "bar".to_owned())].into(),
        ..asking(&[])
    };
    let (none, fitting, other) = (
        labelled(&[]),
        labelled(&[("foo", "bar")]),
        labelled(&[("k", "v")]),
    );
    let more = labelled(&[("foo", "bar"), ("k", "v")]);
    let add = |new, expected| {
        check_node(
            &NodeAffinity::default(),
            &pod,
            EventKind::NodeAdd,
            None,
            new,
            expected,
        );
    };
    add(&none, false);
    add(&fitting, true);
    for (old, new, expected) in [
        (&none, &none, false),
        (&none, &other, false),
        (&fitting, &other, false),
        (&none, &fitting, true),
        (&fitting, &more, false),
    ] {
        let kind = EventKind::NodeLabel;
        check_node(
            &NodeAffinity::default(),
            &pod,
            kind,
            Some(old),
            new,
            expected,
        );
    }
}

/// Upstream looks only at what the pod itself asks for.
#[test]
fn a_node_that_comes_to_match_added_affinity_is_heard_of() {
    let asks = PlainPod {
        required: Some(vec![PlainTerm {
            expressions: vec![("foo".to_owned(), "Exists".to_owned(), Vec::new())],
            fields: Vec::new(),
        }]),
        ..asking(&[])
    };
    let plugin = NodeAffinity::new(shape(&asks).required, Vec::new());
    let (none, fitting) = (labelled(&[]), labelled(&[("foo", "bar")]));
    let pod = asking(&[]);
    for (old, new, expected) in [(&none, &fitting, true), (&fitting, &none, false)] {
        let kind = EventKind::NodeLabel;
        check_node(&plugin, &pod, kind, Some(old), new, expected);
    }
    let topics = plugin.topics((&shape(&pod)).into(), &Cluster::default());
    assert!(topics.contains(&Topic::node_label("foo")));
}

#[test]
fn taint_toleration() {
    let pod = tolerating("dedicated", "Equal", "user2");
    let one = tainted(&[("dedicated", "user1", "NoSchedule")]);
    let two = tainted(&[("dedicated", "user2", "NoSchedule")]);
    let both = tainted(&[
        ("dedicated", "user1", "NoSchedule"),
        ("dedicated", "user3", "NoSchedule"),
    ]);
    let mild = tainted(&[("dedicated", "user1", "PreferNoSchedule")]);
    let plugin = &TaintToleration;
    check_node(plugin, &pod, EventKind::NodeAdd, None, &one, false);
    check_node(plugin, &pod, EventKind::NodeAdd, None, &two, true);
    check_node(plugin, &pod, EventKind::NodeAdd, None, &mild, true);
    for (old, new, expected) in [
        (&one, &both, false),
        (&one, &two, true),
        (&one, &mild, true),
        (&mild, &two, false),
        (&two, &one, false),
    ] {
        let kind = EventKind::NodeTaint;
        check_node(plugin, &pod, kind, Some(old), new, expected);
    }
    let pod = shape(&pod);
    assert!(itself(plugin, EventKind::TargetPodToleration, &pod, &pod));
}

#[test]
fn node_unschedulable() {
    let plugin = &NodeUnschedulable;
    let pod = asking(&[]);
    check_node(
        plugin,
        &pod,
        EventKind::NodeAdd,
        None,
        &cordoned(true),
        false,
    );
    check_node(
        plugin,
        &pod,
        EventKind::NodeAdd,
        None,
        &cordoned(false),
        true,
    );
    for (old, new, expected) in [
        (true, true, false),
        (false, false, false),
        (true, false, true),
        (false, true, false),
    ] {
        let (old, new) = (cordoned(old), cordoned(new));
        let kind = EventKind::NodeTaint;
        check_node(plugin, &pod, kind, Some(&old), &new, expected);
    }
    for (key, expected) in [
        ("node.kubernetes.io/unschedulable", true),
        ("unrelated-key", false),
    ] {
        let (old, new) = (shape(&pod), shape(&tolerating(key, "Exists", "")));
        let helps = itself(plugin, EventKind::TargetPodToleration, &old, &new);
        assert_eq!(helps, expected, "{key}");
    }
}

#[test]
fn node_ports() {
    let pod = shape(&with_port(8080));
    for (gone, expected) in [
        (asking(&[]), false),
        (with_port(8081), false),
        (with_port(8080), true),
    ] {
        let gone = placed(&gone);
        let (cluster, gone) = on_a_node(&gone);
        let event = ClusterEvent::AssignedPodDelete(gone);
        assert_eq!(NodePorts.hint(&event, (&pod).into(), &cluster), expected);
    }
    let (pod, node) = (with_port(8080), node(110, &[]));
    check_node(&NodePorts, &pod, EventKind::NodeAdd, None, &node, true);
}

#[test]
fn node_name_and_gates() {
    let node = node(0, &[]);
    check_node(
        &NodeName,
        &asking(&[]),
        EventKind::NodeAdd,
        None,
        &node,
        true,
    );
    let kind = EventKind::TargetPodGatesEliminated;
    let pod = shape(&asking(&[]));
    assert!(itself(&SchedulingGates, kind, &pod, &pod));
}

#[test]
fn fit_when_pods_go_or_shrink() {
    let fit = NodeResourcesFit::default();
    let pod = shape(&asking(&[("cpu", 1000)]));
    let gone = placed(&asking(&[("cpu", 1000)]));
    let (cluster, gone) = on_a_node(&gone);
    let event = ClusterEvent::AssignedPodDelete(gone);
    assert!(fit.hint(&event, (&pod).into(), &cluster));
    for (old, new, expected) in [
        ([("memory", 2)], [("memory", 1)], false),
        ([("cpu", 2000)], [("cpu", 1000)], true),
        ([("cpu", 1000)], [("cpu", 2000)], false),
        ([(A, 2)], [(A, 1)], false),
    ] {
        let (old, new) = (placed(&asking(&old)), placed(&asking(&new)));
        let ((cluster, old), (_, new)) = (on_a_node(&old), on_a_node(&new));
        let event = ClusterEvent::AssignedPodUpdate(EventKind::AssignedPodScaleDown, old, new);
        assert_eq!(fit.hint(&event, (&pod).into(), &cluster), expected);
    }
    assert!(itself(&fit, EventKind::TargetPodScaleDown, &pod, &pod));
}

#[test]
fn fit_listens_to_pods_that_go_only_where_one_node_is_large_enough() {
    let fit = NodeResourcesFit::default();
    let gone = placed(&asking(&[("cpu", 1)]));
    let (cluster, gone) = on_a_node(&gone);
    let event = ClusterEvent::AssignedPodDelete(gone);
    for (amounts, expected) in [
        ([("cpu", 1 << 40)], true),
        ([("cpu", (1 << 40) + 1)], false),
        ([(B, 1)], false),
        ([(B, 0)], true),
    ] {
        let pod = shape(&asking(&amounts));
        let pod = Incoming::from(&pod);
        let kind = Topic::Kind(EventKind::AssignedPodDelete);
        let listens = fit.topics(pod, &cluster).contains(&kind);
        let helps = fit.hint(&event, pod, &cluster);
        assert_eq!((listens, helps), (expected, expected), "{amounts:?}");
    }
}

#[test]
fn fit_when_nodes_come_or_change() {
    let fit = NodeResourcesFit::default();
    let pod = asking(&[("memory", 2), (A, 1)]);
    for (new, expected) in [
        (node(110, &[("memory", 1), (A, 1)]), false),
        (node(110, &[("memory", 2), (B, 1)]), false),
        (node(110, &[("memory", 4), (A, 2)]), true),
        (node(0, &[("memory", 4), (A, 2)]), false),
    ] {
        check_node(&fit, &pod, EventKind::NodeAdd, None, &new, expected);
    }
    let some = [("memory", 2), (A, 2)];
    for (old, new, expected) in [
        (
            node(110, &some),
            node(110, &[("memory", 2), (A, 1), (B, 2)]),
            false,
        ),
        (node(110, &[("memory", 2), (A, 1)]), node(110, &some), true),
        (
            node(110, &[("memory", 4), (A, 2)]),
            node(110, &[("memory", 1), (A, 2)]),
            false,
        ),
        (
            node(110, &[("memory", 1), (A, 2)]),
            node(110, &[("memory", 4), (A, 2)]),
            true,
        ),
        (node(1, &some), node(2, &some), true),
        (node(2, &some), node(1, &some), false),
    ] {
        let kind = EventKind::NodeAllocatable;
        check_node(&fit, &pod, kind, Some(&old), &new, expected);
    }
    // Who asks for nothing is helped only by room for more pods.
    let all = |amount| [("cpu", amount), ("memory", amount), (A, amount)];
    for (old, new, expected) in [
        (node(1, &all(1)), node(1, &all(2)), false),
        (node(1, &all(1)), node(2, &all(1)), true),
    ] {
        let kind = EventKind::NodeAllocatable;
        check_node(&fit, &asking(&[]), kind, Some(&old), &new, expected);
    }
}

#[test]
fn plugins_register_for_what_upstream_registers_for() {
    use EventKind::{
        AssignedPodAdd, AssignedPodDelete, AssignedPodLabel, AssignedPodScaleDown,
        AssignedPodUpdate, ClaimAdd, ClaimUpdate, Namespace, NodeAdd, NodeAllocatable,
        NodeDeclaredFeature, NodeDelete, NodeLabel, NodeTaint, StorageClassAdd,
        TargetPodGatesEliminated, TargetPodLabel, TargetPodScaleDown, TargetPodScaleUp,
        TargetPodToleration, TargetPodUpdate, VolumeAdd, VolumeUpdate,
    };
    let expected: &[(&str, &[EventKind])] = &[
        ("SchedulingGates", &[TargetPodGatesEliminated]),
        ("NodeName", &[NodeAdd]),
        (
            "NodeUnschedulable",
            &[NodeAdd, NodeTaint, TargetPodToleration],
        ),
        (
            "TaintToleration",
            &[NodeAdd, NodeTaint, TargetPodToleration],
        ),
        ("NodeAffinity", &[NodeAdd, NodeLabel]),
        ("NodePorts", &[NodeAdd, AssignedPodDelete]),
        (
            "NodeResourcesFit",
            &[
                NodeAdd,
                NodeAllocatable,
                AssignedPodDelete,
                AssignedPodScaleDown,
                TargetPodScaleDown,
            ],
        ),
        (
            "NodeDeclaredFeatures",
            &[
                NodeAdd,
                NodeDeclaredFeature,
                TargetPodLabel,
                TargetPodToleration,
                TargetPodScaleDown,
                TargetPodScaleUp,
                TargetPodGatesEliminated,
                TargetPodUpdate,
            ],
        ),
        // Without upstream's NodeAdd, which is there for disks; beyond upstream's: ClaimUpdate.
        (
            "VolumeRestrictions",
            &[AssignedPodDelete, ClaimAdd, ClaimUpdate],
        ),
        // Without those of upstream's that are for claims that it binds itself.
        (
            "VolumeBinding",
            &[
                NodeAdd,
                NodeLabel,
                ClaimAdd,
                ClaimUpdate,
                VolumeAdd,
                VolumeUpdate,
                StorageClassAdd,
            ],
        ),
        (
            "VolumeZone",
            &[
                NodeAdd,
                NodeLabel,
                ClaimAdd,
                ClaimUpdate,
                VolumeAdd,
                VolumeUpdate,
                StorageClassAdd,
            ],
        ),
        // Beyond upstream's: NodeDelete and Namespace.
        (
            "InterPodAffinity",
            &[
                NodeAdd,
                NodeLabel,
                NodeDelete,
                AssignedPodAdd,
                AssignedPodLabel,
                AssignedPodDelete,
                Namespace,
                TargetPodLabel,
            ],
        ),
        // Beyond upstream's: AssignedPodUpdate.
        (
            "PodTopologySpread",
            &[
                NodeAdd,
                NodeLabel,
                NodeTaint,
                NodeDelete,
                AssignedPodAdd,
                AssignedPodLabel,
                AssignedPodUpdate,
                AssignedPodDelete,
                TargetPodLabel,
                TargetPodToleration,
            ],
        ),
    ];
    let profile = default_profile("berth");
    for (index, plugin) in profile.plugins() {
        let name = plugin.name();
        let expected = expected.iter().find(|(one, _)| *one == name);
        let kinds = expected.map_or(&[][..], |(_, kinds)| kinds);
        for &kind in EventKind::ALL {
            let registered = profile.events(index).contains(kind);
            assert_eq!(registered, kinds.contains(&kind), "{name} {kind:?}");
        }
    }
}

#[test]
fn changes_of_a_node_are_told_apart_in_upstreams_order() {
    let base = node(110, &[("cpu", 1)]);
    let changes = |old: &PlainNode, new: &PlainNode| -> Vec<EventKind> {
        node_changes(&old.model(1), &new.model(2)).collect()
    };
    assert_eq!(changes(&base, &base), []);
    assert_eq!(changes(&cordoned(false), &cordoned(true)), []);
    assert_eq!(
        changes(&cordoned(true), &cordoned(false)),
        [EventKind::NodeTaint]
    );
    assert_eq!(
        changes(&node(1, &[]), &node(2, &[])),
        [EventKind::NodeAllocatable]
    );
    let old = PlainNode {
        unschedulable: true,
        ..base
    };
    let new = PlainNode {
        allocatable: node(1, &[("cpu", 2)]).allocatable,
        labels: labelled(&[("a", "b")]).labels,
        ..tainted(&[("k", "", "NoSchedule")])
    };
    let expected = [
        EventKind::NodeTaint,
        EventKind::NodeAllocatable,
        EventKind::NodeLabel,
        EventKind::NodeTaint,
    ];
    assert_eq!(changes(&old, &new), expected);
}
