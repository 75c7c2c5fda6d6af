//! Indexes after any history, and speculation that leaves no trace.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::cluster::{Cluster, Keep, NodeId, PlacedId, PlacedRecord};
use crate::model::NodeModel;
use crate::plugins::testing::arbitrary::{node, node_name, pod};
use crate::plugins::testing::cases;
use crate::plugins::testing::plain::{PlainNode, PlainPod};

const NAMES: usize = 5;

#[derive(Clone, Debug)]
enum Step {
    Node(PlainNode),
    /// Of a version that is older than what is known.
    OldNode(PlainNode),
    NodeGone(usize),
    Close(usize),
    Open(usize),
    Confirm(PlainPod, usize),
    Assume(PlainPod, usize),
    Remove(usize),
    /// Within: more of the last three, or deeper; and whether it stays.
    Speculate(Vec<Step>, bool),
}

fn placing() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (pod(NAMES), 0..NAMES).prop_map(|(pod, at)| Step::Assume(pod, at)),
        2 => any::<usize>().prop_map(Step::Remove),
    ]
}

fn speculation() -> impl Strategy<Value = Step> {
    let flat = (vec(placing(), 0..6), any::<bool>())
        .prop_map(|(steps, stays)| Step::Speculate(steps, stays));
    let inner = prop_oneof![3 => placing(), 1 => flat];
    (vec(inner, 0..8), any::<bool>()).prop_map(|(steps, stays)| Step::Speculate(steps, stays))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => node(NAMES).prop_map(Step::Node),
        1 => node(NAMES).prop_map(Step::OldNode),
        2 => (0..NAMES).prop_map(Step::NodeGone),
        1 => (0..NAMES).prop_map(Step::Close),
        1 => (0..NAMES).prop_map(Step::Open),
        4 => (pod(NAMES), 0..NAMES + 1).prop_map(|(pod, at)| Step::Confirm(pod, at)),
        4 => placing(),
        3 => speculation(),
    ]
}

/// A cluster with what is needed to make steps on it.
#[derive(Clone, Default)]
struct Run {
    cluster: Cluster,
    version: u64,
    uids: u64,
}

impl Run {
    fn step(&mut self, step: &Step) {
        let mut cluster = std::mem::take(&mut self.cluster);
        self.inner(&mut cluster, step);
        self.cluster = cluster;
    }

    fn inner(&mut self, cluster: &mut Cluster, step: &Step) {
        // The first version is left for what is old.
        self.version = self.version.max(1) + 1;
        match step {
            Step::Node(node) => {
                let change = cluster.upsert_node(node.model(self.version));
                assert!(change.is_some());
            }
            Step::OldNode(node) => {
                let known = cluster.by_name.get(&*node.name).copied();
                if known.is_some_and(|node| cluster.node(node).is_some()) {
                    assert!(cluster.upsert_node(node.model(1)).is_none());
                }
            }
            Step::NodeGone(place) => {
                cluster.remove_node(&node_name(*place));
            }
            Step::Close(place) => {
                cluster.close_node(&node_name(*place));
            }
            Step::Open(place) => {
                cluster.open_node(&node_name(*place));
            }
            Step::Confirm(pod, at) => {
                let pod = self.named(pod);
                let pod = pod.compiled(&node_name(*at), self.version);
                cluster.confirm(&pod);
            }
            Step::Assume(pod, at) => {
                let pod = self.named(pod).compiled("", self.version);
                if let Some(node) = cluster.node_id(&node_name(*at)) {
                    let peers = cluster.adopt(&pod.peers);
                    cluster.assume(&pod.reference, pod.priority, &pod.placed, peers, node);
                    cluster.dismiss(peers);
                }
            }
            Step::Remove(place) => {
                let ids: Vec<PlacedId> = cluster.iter_placed().map(|(id, _)| id).collect();
                if let Some(&id) = ids.get(place % ids.len().max(1)) {
                    assert!(cluster.remove(id).is_some());
                    assert!(cluster.placed(id).is_none(), "an id is not given twice");
                }
            }
            Step::Speculate(steps, stays) => {
                cluster.speculate(|cluster| {
                    for step in steps {
                        self.inner(cluster, step);
                    }
                    let keep = if *stays { Keep::Commit } else { Keep::RollBack };
                    (keep, ())
                });
            }
        }
    }

    fn named(&mut self, pod: &PlainPod) -> PlainPod {
        self.uids += 1;
        PlainPod {
            uid: format!("pod-{}", self.uids),
            ..pod.clone()
        }
    }
}

type Slots = Vec<(Box<str>, Option<NodeModel>, Vec<PlacedId>)>;
type Columns = Vec<(Vec<i64>, Vec<i64>, Vec<i64>)>;

/// Everything that a cluster holds, ids and orders included, except the log of changes.
#[derive(Debug, PartialEq)]
pub(crate) struct State {
    slots: Slots,
    free: Vec<NodeId>,
    placed: Vec<(PlacedId, PlacedRecord)>,
    counts: (usize, usize),
    columns: Columns,
    pods: Vec<i64>,
    nonzero: (Vec<i64>, Vec<i64>),
    priorities: Vec<(i32, usize)>,
    ports: crate::cluster::PortIndex,
    /// The ids that the next placements get.
    next: Vec<PlacedId>,
}

impl Cluster {
    /// What it holds, to see whether it is the same again.
    pub(crate) fn state(&self) -> State {
        state(self)
    }
}

fn state(cluster: &Cluster) -> State {
    let table = cluster.resources();
    let known: Vec<_> = table.ids().collect();
    let mut next = Vec::new();
    let mut copy = cluster.clone();
    let first = copy.nodes().iter().next();
    if let Some(node) = first {
        for place in 0..4 {
            let pod = PlainPod::asking(&format!("next-{place}"), &[]).compiled("", 1);
            let peers = copy.adopt(&pod.peers);
            next.push(copy.assume(&pod.reference, 0, &pod.placed, peers, node));
            copy.dismiss(peers);
        }
    }
    State {
        slots: (cluster.slots.iter())
            .map(|slot| {
                let model = slot.model.as_ref().map(|model| (**model).clone());
                (slot.name.clone(), model, slot.pods.clone())
            })
            .collect(),
        free: cluster.free_slots.clone(),
        placed: (cluster.iter_placed())
            .map(|(id, record)| (id, record.clone()))
            .collect(),
        counts: cluster.placed_counts(),
        columns: (known.iter())
            // A resource that was met once is known from then on; its column may be all zero.
            .filter(|id| table.requested(**id).iter().any(|amount| *amount != 0))
            .map(|&id| {
                let columns = (table.allocatable(id), table.requested(id), table.free(id));
                (columns.0.to_vec(), columns.1.to_vec(), columns.2.to_vec())
            })
            .collect(),
        pods: cluster.pod_counts().to_vec(),
        nonzero: (
            cluster.nonzero_cpu().to_vec(),
            cluster.nonzero_memory().to_vec(),
        ),
        priorities: cluster.priorities.iter().map(|(a, b)| (*a, *b)).collect(),
        ports: cluster.ports().clone(),
        next,
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn every_index_is_what_a_rebuild_gives(steps in vec(step(), 1..40)) {
        let mut run = Run::default();
        for step in &steps {
            run.step(step);
            run.cluster.audit();
        }
    }

    #[test]
    fn what_is_rolled_back_leaves_no_trace(
        before in vec(step(), 1..25),
        trial in vec(prop_oneof![3 => placing(), 1 => speculation()], 1..10),
    ) {
        let mut run = Run::default();
        for step in &before {
            run.step(step);
        }
        let held = state(&run.cluster);
        run.step(&Step::Speculate(trial, false));
        prop_assert_eq!(state(&run.cluster), held);
    }

    #[test]
    fn a_panic_in_a_speculation_is_undone(
        before in vec(step(), 1..25),
        trial in vec(placing(), 1..10),
    ) {
        let mut run = Run::default();
        for step in &before {
            run.step(step);
        }
        let held = state(&run.cluster);
        // What a panic leaves behind: nobody has closed the speculation.
        run.cluster.speculating += 1;
        for step in &trial {
            run.step(step);
        }
        run.cluster.recover();
        prop_assert_eq!(state(&run.cluster), held);
        run.cluster.audit();
    }

    #[test]
    fn what_is_committed_is_as_if_done_at_once(
        before in vec(step(), 1..25),
        trial in vec(prop_oneof![3 => placing(), 1 => speculation()], 1..10),
    ) {
        let mut run = Run::default();
        for step in &before {
            run.step(step);
        }
        let mut direct = run.clone();
        for step in &trial {
            direct.step(step);
        }
        run.step(&Step::Speculate(trial, true));
        run.cluster.audit();
        prop_assert_eq!(run.cluster.figures(), direct.cluster.figures());
        prop_assert_eq!(run.cluster.uids_by_node(), direct.cluster.uids_by_node());
    }
}

#[test]
fn sums_beyond_64_bits_are_exact_again_when_the_pods_are_gone() {
    let huge = i64::MAX;
    let mut run = Run::default();
    run.step(&Step::Node(PlainNode {
        name: node_name(0),
        pods: 110,
        allocatable: [
            ("memory".to_owned(), huge),
            ("nvidia.com/gpu".to_owned(), 8),
        ]
        .into(),
        ..PlainNode::default()
    }));
    let held = state(&run.cluster);
    let table = |cluster: &Cluster, name: &str| {
        let table = cluster.resources();
        let id = table.id(name).unwrap();
        (table.requested(id)[0], table.free(id)[0])
    };
    let pod = PlainPod::asking("", &[("memory", huge), ("nvidia.com/gpu", huge)]);
    for _ in 0..3 {
        run.step(&Step::Confirm(pod.clone(), 0));
    }
    assert_eq!(table(&run.cluster, "memory"), (huge, -huge - 1));
    assert_eq!(table(&run.cluster, "nvidia.com/gpu"), (huge, i64::MIN));
    assert_eq!(run.cluster.nonzero_memory()[0], huge);
    run.cluster.audit();
    run.step(&Step::Remove(0));
    run.step(&Step::Remove(0));
    assert_eq!(table(&run.cluster, "memory"), (huge, 0));
    assert_eq!(table(&run.cluster, "nvidia.com/gpu"), (huge, 8 - huge));
    run.step(&Step::Remove(0));
    assert_eq!(table(&run.cluster, "memory"), (0, huge));
    assert_eq!(state(&run.cluster).columns, held.columns);
}

#[test]
fn the_log_tells_what_changed_or_that_it_has_forgotten() {
    let mut run = Run::default();
    run.step(&Step::Node(PlainNode {
        name: node_name(0),
        ..PlainNode::default()
    }));
    let start = run.cluster.changes().position();
    assert_eq!(run.cluster.changes().since(start), Some(&[][..]));
    run.step(&Step::Confirm(PlainPod::asking("", &[]), 0));
    let node = NodeId::new(0);
    assert_eq!(run.cluster.changes().since(start), Some(&[node][..]));
    for _ in 0..5000 {
        run.step(&Step::Confirm(PlainPod::asking("", &[]), 0));
    }
    assert_eq!(run.cluster.changes().since(start), None, "too long ago");
    let late = run.cluster.changes().position();
    assert!(late > start);
    run.step(&Step::Confirm(PlainPod::asking("", &[]), 0));
    assert_eq!(run.cluster.changes().since(late), Some(&[node][..]));
}
