//! Evaluations against the naive scheduler: fresh, and after any history of changes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::peers::own;
use crate::cluster::{Cluster, Keep, NodeId};
use crate::framework::{Diagnosis, Evaluation, Incoming, Profile, Reason};
use crate::model::{CompiledPod, PodShape};
use crate::plugins::default_profile;
use crate::plugins::testing::arbitrary::{node, node_name, pod};
use crate::plugins::testing::cases;
use crate::plugins::testing::naive::{Answer, Verdict, World};
use crate::plugins::testing::peers::arbitrary::{in_company, in_topology, namespace, workloads};
use crate::plugins::testing::peers::{Labels, Peers, Workload};
use crate::plugins::testing::plain::{PlainNode, PlainPod};

fn shape(pod: &PlainPod) -> PodShape {
    pod.compiled("", 1).waiting.unwrap().shape
}

fn texts<'a>(reasons: impl Iterator<Item = &'a Reason>) -> BTreeSet<String> {
    reasons.map(|reason| reason.text().into_owned()).collect()
}

/// Compares everything that an evaluation says with the naive answer.
fn compare(
    world: &World,
    cluster: &Cluster,
    profile: &Profile,
    pod: &PlainPod,
    shape: Incoming<'_>,
    evaluation: &mut Evaluation,
) {
    cluster.audit_peers().unwrap();
    evaluation.filter(profile, shape, cluster);
    let verdicts = match world.filter(pod) {
        Answer::Refused(plugin, text) => {
            let refusal = evaluation.rejection().expect("the naive scheduler refuses");
            assert_eq!(profile.names(refusal.plugins), format!("[{plugin}]"));
            assert_eq!(evaluation.reasons(profile, cluster), Some(text));
            assert!(evaluation.feasible().is_empty());
            return;
        }
        Answer::Nodes(verdicts) => verdicts,
    };
    assert!(evaluation.rejection().is_none());
    compare_verdicts(cluster, profile, evaluation, &verdicts);
    for (name, verdict) in &verdicts {
        // Asked about a single node the answer is the same.
        let node = cluster.node_id(name).unwrap();
        let mut why = Diagnosis::default();
        let fits = profile.fits(shape, cluster, node, evaluation.skipped(), &mut why);
        assert_eq!(fits, *verdict == Verdict::Yes, "{name} alone");
        if *verdict != Verdict::Outside {
            assert_eq!(
                texts(why.reasons_for(node)),
                texts(evaluation.reasons_for(node))
            );
        }
    }

    let feasible: Vec<String> = (verdicts.iter())
        .filter(|(_, verdict)| **verdict == Verdict::Yes)
        .map(|(name, _)| name.clone())
        .collect();
    let expected = world.scores(pod, &feasible);
    evaluation.score(profile, shape, cluster);
    for (name, scores) in &expected {
        let node = cluster.node_id(name).unwrap();
        let given: BTreeMap<&'static str, i64> = evaluation
            .scores(profile, shape, cluster, node)
            .into_iter()
            .map(|(plugin, score)| (profile.plugin(plugin).name(), score))
            .collect();
        // Preferences that cancel each other out are as good as none.
        let telling = |scores: &BTreeMap<&'static str, i64>| {
            let mut scores = scores.clone();
            scores.retain(|plugin, score| *plugin != "InterPodAffinity" || *score != 0);
            scores
        };
        assert_eq!(telling(&given), telling(scores), "scores of {name}");
    }
    let total = |scores: &BTreeMap<&str, i64>| scores.values().sum::<i64>();
    let best = expected.values().map(total).max();
    for seed in 0..3 {
        let choice = evaluation.choose(cluster, seed);
        assert_eq!(choice.map(|choice| choice.total), best);
        if let Some(choice) = choice {
            let name = cluster.node_name(choice.node);
            assert_eq!(Some(total(&expected[name])), best, "{name} is not the best");
            assert_eq!(choice.feasible, feasible.len());
        }
    }
}

fn compare_verdicts(
    cluster: &Cluster,
    profile: &Profile,
    evaluation: &Evaluation,
    verdicts: &BTreeMap<String, Verdict>,
) {
    let mut fits = BTreeSet::new();
    let mut plugins = BTreeSet::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (name, verdict) in verdicts {
        let node = cluster.node_id(name).unwrap();
        let reasons = texts(evaluation.reasons_for(node));
        match verdict {
            Verdict::Yes => {
                fits.insert(node);
                assert!(reasons.is_empty(), "{name} fits");
                assert!(!evaluation.rejected().contains(node));
            }
            Verdict::Outside => {
                assert!(reasons.is_empty(), "{name} is outside");
                plugins.insert("NodeAffinity");
                let text = "node(s) didn't satisfy plugin(s) [NodeAffinity]".to_owned();
                *counts.entry(text).or_default() += 1;
            }
            Verdict::No(plugin, expected, unresolvable) => {
                assert_eq!(reasons, *expected, "{name}");
                assert_eq!(
                    evaluation.is_unresolvable(node),
                    *unresolvable,
                    "{name}: {expected:?}"
                );
                assert!(evaluation.rejected().contains(node));
                plugins.insert(*plugin);
                for reason in expected {
                    *counts.entry(reason.clone()).or_default() += 1;
                }
            }
        }
    }
    let given: BTreeSet<NodeId> = evaluation.feasible().iter().collect();
    assert_eq!(given, fits, "feasible nodes");
    if fits.is_empty() {
        // A plugin that narrows is a rejector even when no node is outside.
        if !plugins.is_empty() {
            let names: Vec<&str> = evaluation
                .rejectors()
                .iter()
                .map(|plugin| profile.plugin(plugin).name())
                .filter(|name| *name != "NodeAffinity")
                .collect();
            plugins.remove("NodeAffinity");
            assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), plugins);
        }
        let mut parts: Vec<String> = (counts.iter())
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        parts.sort();
        let text = evaluation.reasons(profile, cluster).unwrap_or_default();
        assert_eq!(text, parts.join(", "));
    }
}

/// A cluster and the plain world that it stands for.
#[derive(Default)]
struct Pair {
    cluster: Cluster,
    world: World,
    version: u64,
    uids: u64,
}

impl Pair {
    fn upsert(&mut self, node: PlainNode) {
        self.version += 1;
        self.cluster.upsert_node(node.model(self.version));
        self.world.upsert(node);
    }

    fn place(&mut self, mut pod: PlainPod, node: String) {
        self.version += 1;
        self.uids += 1;
        pod.uid = format!("placed-{}", self.uids);
        self.cluster.confirm(&pod.compiled(&node, self.version));
        self.world.placed.insert(pod.uid.clone(), (node, pod));
    }

    /// What is asked about a pod, which the cluster then knows as one that waits.
    fn incoming<'a>(&mut self, pod: &PlainPod, shape: &'a PodShape) -> Incoming<'a> {
        let peers = self.cluster.adopt(&pod.compiled("", 1).peers);
        self.cluster.prepare(peers);
        Incoming { shape, peers }
    }

    fn own(&mut self, workload: &Workload, there: bool) {
        let (namespace, name) = (&workload.namespace, &workload.name);
        let value = workload.json();
        let selector = there.then(|| value["spec"]["selector"].clone());
        own(
            &mut self.cluster,
            &workload.kind,
            namespace,
            name,
            selector.as_ref(),
        );
        (self.world.workloads).retain(|one| {
            (&one.kind, &one.namespace, &one.name) != (&workload.kind, namespace, name)
        });
        if there {
            self.world.workloads.push(workload.clone());
        }
    }

    fn nth_uid(&self, place: usize) -> Option<String> {
        let uids = &self.world.placed;
        uids.keys().nth(place % uids.len().max(1)).cloned()
    }
}

/// How one node becomes another one that differs in one thing.
#[derive(Clone, Copy, Debug)]
enum Part {
    Labels,
    Taints,
    Cordon,
    Allocatable,
    Images,
    Everything,
}

#[derive(Clone, Debug)]
enum Step {
    Node(PlainNode, Part),
    NodeGone(usize),
    /// On a node of that number, which may not exist.
    Place(PlainPod, usize),
    /// Assumed on an existing node, and confirmed afterwards or not.
    Assume(PlainPod, usize, bool),
    /// Seen again on another node.
    Move(usize, usize),
    Remove(usize),
    /// Other labels and wishes, perhaps on its way out.
    Relabel(usize, Peers),
    /// A namespace with these labels, or gone.
    Namespace(&'static str, Option<Labels>),
    /// A service or controller, there or gone.
    Own(Workload, bool),
    /// Pods placed and removed, and whether that stays; evaluations are asked in the middle.
    Speculate(Vec<(PlainPod, usize)>, Vec<usize>, bool),
    /// Asks the evaluation of that number.
    Ask(usize),
}

fn step(names: usize) -> impl Strategy<Value = Step> {
    let part = prop_oneof![
        Just(Part::Labels),
        Just(Part::Taints),
        Just(Part::Cordon),
        Just(Part::Allocatable),
        Just(Part::Images),
        Just(Part::Everything),
    ];
    let any_node = 0..names + 1;
    prop_oneof![
        6 => (in_topology(node(names)), part).prop_map(|(node, part)| Step::Node(node, part)),
        2 => (0..names).prop_map(Step::NodeGone),
        5 => (in_company(pod(names)), any_node.clone()).prop_map(|(pod, at)| Step::Place(pod, at)),
        2 => (in_company(pod(names)), 0..names, any::<bool>())
            .prop_map(|(pod, at, confirmed)| Step::Assume(pod, at, confirmed)),
        1 => (any::<usize>(), any_node).prop_map(|(which, to)| Step::Move(which, to)),
        3 => any::<usize>().prop_map(Step::Remove),
        2 => (any::<usize>(), in_company(pod(names)))
            .prop_map(|(which, pod)| Step::Relabel(which, pod.peers)),
        1 => (prop::sample::select(vec!["default", "east", "west"]), option::of(namespace()))
            .prop_map(|(name, labels)| Step::Namespace(name, labels)),
        1 => (workloads(), any::<bool>()).prop_map(|(mut workloads, there)| {
            workloads.pop().map_or(Step::Ask(0), |one| Step::Own(one, there))
        }),
        2 => (
            vec((in_company(pod(names)), 0..names), 0..=2),
            vec(any::<usize>(), 0..=2),
            any::<bool>()
        )
            .prop_map(|(placed, removed, kept)| Step::Speculate(placed, removed, kept)),
        6 => (0..3_usize).prop_map(Step::Ask),
    ]
}

fn merge(old: Option<&PlainNode>, new: PlainNode, part: Part) -> PlainNode {
    let Some(old) = old else { return new };
    let mut node = old.clone();
    match part {
        Part::Labels => node.labels = new.labels,
        Part::Taints => node.taints = new.taints,
        Part::Cordon => node.unschedulable = !node.unschedulable,
        Part::Allocatable => (node.allocatable, node.pods) = (new.allocatable, new.pods),
        Part::Images => node.images = new.images,
        Part::Everything => return new,
    }
    node
}

/// Makes the changes in both, and asks the evaluations on the way.
///
/// With `closely` the first evaluation is asked after every step, so that it lives from the changes
/// alone also where a few of them are as many as all nodes.
fn run(nodes: Vec<PlainNode>, asked: Vec<PlainPod>, steps: Vec<Step>, closely: bool) {
    let profile = default_profile("berth");
    let mut pair = Pair::default();
    for (_, plugin) in profile.plugins() {
        let keys = plugin.default_spread_keys();
        if !keys.is_empty() {
            pair.cluster.set_default_spread_keys(keys.into());
        }
    }
    for node in nodes {
        pair.upsert(node);
    }
    let shapes: Vec<PodShape> = asked.iter().map(shape).collect();
    let mut kept: Vec<Evaluation> = asked.iter().map(|_| Evaluation::default()).collect();
    let ask = |pair: &mut Pair, kept: &mut [Evaluation], which: usize| {
        let which = which % asked.len();
        let pod = &asked[which];
        let incoming = pair.incoming(pod, &shapes[which]);
        let (world, cluster) = (&pair.world, &pair.cluster);
        compare(world, cluster, &profile, pod, incoming, &mut kept[which]);
        pair.cluster.dismiss(incoming.peers);
    };
    for step in steps {
        match step {
            Step::Node(node, part) => {
                let node = merge(pair.world.nodes.get(&node.name), node, part);
                pair.upsert(node);
            }
            Step::NodeGone(place) => {
                pair.cluster.remove_node(&node_name(place));
                pair.world.remove(&node_name(place));
            }
            Step::Place(pod, at) => pair.place(pod, node_name(at)),
            Step::Assume(mut pod, at, confirmed) => {
                let Some(node) = pair.cluster.node_id(&node_name(at)) else {
                    continue;
                };
                pair.uids += 1;
                pod.uid = format!("placed-{}", pair.uids);
                let waiting: CompiledPod = pod.compiled("", 1);
                let peers = pair.cluster.adopt(&waiting.peers);
                (pair.cluster).assume(
                    &waiting.reference,
                    pod.priority,
                    &waiting.placed,
                    peers,
                    node,
                );
                pair.cluster.dismiss(peers);
                if confirmed {
                    pair.cluster.confirm(&pod.compiled(&node_name(at), 2));
                }
                (pair.world.placed).insert(pod.uid.clone(), (node_name(at), pod));
            }
            Step::Move(which, to) => {
                if let Some(uid) = pair.nth_uid(which) {
                    let (node, pod) = pair.world.placed.get_mut(&uid).unwrap();
                    *node = node_name(to);
                    let pod = pod.compiled(node, 3);
                    pair.cluster.confirm(&pod);
                }
            }
            Step::Remove(which) => {
                if let Some(uid) = pair.nth_uid(which) {
                    let id = pair.cluster.placed_by_uid(&uid).unwrap();
                    pair.cluster.remove(id);
                    pair.world.placed.remove(&uid);
                }
            }
            Step::Relabel(which, peers) => {
                if let Some(uid) = pair.nth_uid(which) {
                    let (node, pod) = pair.world.placed.get_mut(&uid).unwrap();
                    pod.peers = peers;
                    let pod = pod.compiled(node, 3);
                    pair.cluster.confirm(&pod);
                }
            }
            Step::Namespace(name, labels) => {
                let sorted = labels.as_ref().map(|labels| {
                    let labels = labels.iter();
                    (labels.map(|(key, value)| (key.as_str().into(), value.as_str().into())))
                        .collect()
                });
                pair.cluster.set_namespace(name, sorted);
                match labels {
                    Some(labels) => pair.world.namespaces.insert(name.to_owned(), labels),
                    None => pair.world.namespaces.remove(name),
                };
            }
            Step::Own(workload, there) => pair.own(&workload, there),
            Step::Speculate(placed, removed, stays) => {
                let incoming = pair.incoming(&asked[0], &shapes[0]);
                let waiting: Vec<_> = (placed.iter())
                    .map(|(pod, _)| pair.cluster.adopt(&pod.compiled("", 1).peers))
                    .collect();
                let mut world = pair.world.clone();
                let mut uids = pair.uids;
                pair.cluster.speculate(|cluster| {
                    for ((mut pod, at), &peers) in placed.into_iter().zip(&waiting) {
                        if let Some(node) = cluster.node_id(&node_name(at)) {
                            uids += 1;
                            pod.uid = format!("placed-{uids}");
                            let waiting = pod.compiled("", 1);
                            cluster.assume(&waiting.reference, 0, &waiting.placed, peers, node);
                            world.placed.insert(pod.uid.clone(), (node_name(at), pod));
                        }
                    }
                    for which in removed {
                        let count = world.placed.len().max(1);
                        if let Some(uid) = world.placed.keys().nth(which % count).cloned() {
                            let id = cluster.placed_by_uid(&uid).unwrap();
                            cluster.remove(id);
                            world.placed.remove(&uid);
                        }
                    }
                    compare(&world, cluster, &profile, &asked[0], incoming, &mut kept[0]);
                    let keep = if stays { Keep::Commit } else { Keep::RollBack };
                    (keep, ())
                });
                for peers in waiting.into_iter().chain([incoming.peers]) {
                    pair.cluster.dismiss(peers);
                }
                pair.uids = uids;
                if stays {
                    pair.world = world;
                }
            }
            Step::Ask(which) => ask(&mut pair, &mut kept, which),
        }
        if closely {
            ask(&mut pair, &mut kept, 0);
        }
    }
    for which in 0..asked.len() {
        ask(&mut pair, &mut kept, which);
        // A fresh look must say the same as the one that followed the changes.
        ask(
            &mut pair,
            &mut vec![Evaluation::default(); asked.len()],
            which,
        );
    }
}

/// A few nodes mostly, sometimes more than fit one word of bits.
fn scenario(
    steps: impl Into<proptest::collection::SizeRange>,
) -> impl Strategy<Value = (Vec<PlainNode>, Vec<PlainPod>, Vec<Step>)> {
    let steps = steps.into();
    prop_oneof![4 => Just(6_usize), 1 => Just(30), 1 => Just(150)].prop_flat_map(move |names| {
        (
            vec(in_topology(node(names)), 0..=names * 2),
            vec(in_company(pod(names)), 1..=3),
            vec(step(names), steps.clone()),
        )
    })
}

/// At most this many nodes: the fewer, the more often things meet.
fn small_scenario() -> impl Strategy<Value = (Vec<PlainNode>, Vec<PlainPod>, Vec<Step>)> {
    const NAMES: usize = 4;
    (
        vec(in_topology(node(NAMES)), 1..=NAMES),
        vec(in_company(pod(NAMES)), 1..=1),
        vec(step(NAMES), 0..8),
    )
}

proptest! {
    #![proptest_config(cases(20_000))]

    #[test]
    fn many_small_clusters((nodes, asked, steps) in small_scenario()) {
        run(nodes, asked, steps, false);
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_fresh_evaluation_is_the_naive_one(
        (nodes, asked, steps) in scenario(0..12)
    ) {
        run(nodes, asked, steps, false);
    }

    #[test]
    fn a_kept_evaluation_follows_every_history(
        (nodes, asked, steps) in scenario(10..60),
        closely in any::<bool>(),
    ) {
        run(nodes, asked, steps, closely);
    }
}
