//! Decisions beside nominated pods against the naive models: each node is tried in a world where
//! the pods nominated to it are placed on it, and in the world as it is.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use crate::cluster::{Cluster, PeerId};
use crate::framework::{
    Diagnosis, Evaluation, Incoming, Nominated, Nominations, Profile, Reason, ReasonCounts,
};
use crate::model::{CompiledPod, labels};
use crate::plugins::default_profile;
use crate::plugins::testing::arbitrary::{easy_pod, node, pod};
use crate::plugins::testing::cases;
use crate::plugins::testing::naive::{Answer, Verdict, World};
use crate::plugins::testing::peers::affinity::NaiveInterPodAffinity;
use crate::plugins::testing::peers::{Filtering, arbitrary};
use crate::plugins::testing::plain::PlainPod;

/// Whether removing pods could not help, and why the pod does not fit; None if it does.
type Refusal = Option<(bool, BTreeSet<String>)>;

/// What a world says of the pod, node by node; nodes that are outside of what a PreFilter narrowed
/// to are left out. None when a PreFilter refuses.
///
/// A plugin that had nothing to say before anything was tried is not asked. Only pods that are
/// there can make a difference to that, and so it concerns only InterPodAffinity.
fn naive(
    world: &World,
    pod: &PlainPod,
    without_affinity: bool,
) -> Option<BTreeMap<String, Refusal>> {
    let Answer::Nodes(verdicts) = world.filter(pod) else {
        return None;
    };
    let refusal = |verdict| match verdict {
        Verdict::Outside => None,
        Verdict::No("InterPodAffinity", ..) if without_affinity => Some(None),
        Verdict::No(_, reasons, unresolvable) => Some(Some((unresolvable, reasons))),
        Verdict::Yes => Some(None),
    };
    Some(
        (verdicts.into_iter())
            .filter_map(|(name, verdict)| Some((name, refusal(verdict)?)))
            .collect(),
    )
}

fn skips_affinity(world: &World, pod: &PlainPod) -> bool {
    let affinity = NaiveInterPodAffinity {
        hard_pod_affinity_weight: 1,
        ignore_preferred_terms_of_existing_pods: false,
    };
    affinity.filter(world, pod) == Filtering::Skip
}

/// A world, and pods that are nominated to its nodes.
struct Setting {
    world: World,
    profile: Profile,
    nominated: Vec<(String, PlainPod, CompiledPod, PeerId)>,
}

fn cluster(world: &World) -> Cluster {
    let mut cluster = Cluster::default();
    for node in world.nodes.values() {
        cluster.upsert_node(node.model(1));
    }
    for (name, pairs) in &world.namespaces {
        let pairs = pairs.iter().map(|(key, value)| (&**key, &**value));
        cluster.set_namespace(name, Some(labels(&pairs.collect())));
    }
    for (node, pod) in world.placed.values() {
        cluster.confirm(&pod.compiled(node, 1));
    }
    cluster
}

impl Setting {
    fn new(world: World, nominated: Vec<(usize, PlainPod)>, cluster: &mut Cluster) -> Self {
        let nodes: Vec<String> = world.nodes.keys().cloned().collect();
        let nominated = (nominated.into_iter().enumerate())
            .map(|(place, (node, mut pod))| {
                pod.uid = format!("nominated-{place}");
                pod.peers.terminating = false;
                let compiled = pod.compiled("", 1);
                let peers = cluster.adopt(&compiled.peers);
                (nodes[node % nodes.len()].clone(), pod, compiled, peers)
            })
            .collect();
        Self {
            world,
            profile: default_profile("berth"),
            nominated,
        }
    }

    /// The world with the pods placed that are nominated to this node.
    fn beside(&self, node: &str) -> World {
        let mut world = self.world.clone();
        for (place, pod, ..) in &self.nominated {
            if place == node {
                (world.placed).insert(pod.uid.clone(), (place.clone(), pod.clone()));
            }
        }
        world
    }

    fn nominations(&self, cluster: &Cluster) -> Nominations<'_> {
        let on = |name: &str| {
            (self.nominated.iter())
                .filter(|(place, ..)| place == name)
                .map(|(_, _, compiled, peers)| Nominated {
                    reference: &compiled.reference,
                    priority: compiled.priority,
                    placed: &compiled.placed,
                    peers: *peers,
                })
                .collect()
        };
        (self.world.nodes.keys())
            .map(|name| (cluster.node_id(name).unwrap(), on(name)))
            .collect()
    }

    /// Asks about a pod and compares, beside the nominated pods and then without them.
    fn ask(&self, cluster: &mut Cluster, pod: &PlainPod, evaluation: &mut Evaluation) {
        let compiled = pod.compiled("", 1);
        let shape = compiled.waiting.unwrap().shape;
        let incoming = Incoming {
            shape: &shape,
            peers: cluster.adopt(&compiled.peers),
        };
        let skipped = skips_affinity(&self.world, pod);
        let alone = naive(&self.world, pod, skipped);
        let beside: Option<BTreeMap<String, Refusal>> = alone.as_ref().map(|alone| {
            (alone.iter())
                .map(|(name, refusal)| {
                    let mut first = naive(&self.beside(name), pod, skipped).unwrap();
                    let first = first.remove(name).unwrap();
                    (name.clone(), first.or_else(|| refusal.clone()))
                })
                .collect()
        });
        let counts = cluster.placed_counts();
        let nominations = self.nominations(cluster);

        evaluation.filter(&self.profile, incoming, cluster);
        evaluation.yield_to(&self.profile, incoming, cluster, &nominations);
        compare(cluster, &self.profile, evaluation, beside.as_ref());
        for (name, refusal) in beside.iter().flatten() {
            let node = cluster.node_id(name).unwrap();
            let mut why = Diagnosis::default();
            let yields = (&nominations, evaluation.skipped());
            let fits =
                (self.profile).fits_with_nominated(incoming, cluster, node, yields, &mut why);
            assert_eq!(fits, refusal.is_none(), "{name} alone");
            let reasons: BTreeSet<String> = texts(why.reasons_for(node));
            assert_eq!(reasons, reasons_of(refusal), "{name} alone");
            assert_eq!(
                (self.profile).fits_own_nomination(incoming, cluster, node, &nominations),
                fits
            );
        }
        assert_eq!(cluster.placed_counts(), counts, "nothing stays assumed");
        cluster.audit();

        let before = evaluation.touched();
        evaluation.filter(&self.profile, incoming, cluster);
        compare(cluster, &self.profile, evaluation, alone.as_ref());
        if alone.is_some() && skipped && pod.peers.spread.is_empty() {
            assert_eq!(evaluation.touched(), before, "what was kept is still good");
        }
        cluster.dismiss(incoming.peers);
    }
}

fn texts<'a>(reasons: impl Iterator<Item = &'a Reason>) -> BTreeSet<String> {
    reasons.map(|reason| reason.text().into_owned()).collect()
}

fn reasons_of(refusal: &Refusal) -> BTreeSet<String> {
    (refusal.iter())
        .flat_map(|(_, reasons)| reasons.clone())
        .collect()
}

fn compare(
    cluster: &Cluster,
    profile: &Profile,
    evaluation: &Evaluation,
    expected: Option<&BTreeMap<String, Refusal>>,
) {
    assert_eq!(evaluation.rejection().is_some(), expected.is_none());
    let Some(expected) = expected else {
        return;
    };
    let id = |name: &str| cluster.node_id(name).unwrap();
    let fits: BTreeSet<_> = (expected.iter())
        .filter(|(_, refusal)| refusal.is_none())
        .map(|(name, _)| id(name))
        .collect();
    let feasible: BTreeSet<_> = evaluation.feasible().iter().collect();
    assert_eq!(feasible, fits);
    if !fits.is_empty() {
        return;
    }
    let mut counts = ReasonCounts::default();
    for (name, refusal) in expected {
        let node = id(name);
        let (unresolvable, reasons) = refusal.as_ref().unwrap();
        assert_eq!(texts(evaluation.reasons_for(node)), *reasons, "{name}");
        assert_eq!(evaluation.is_unresolvable(node), *unresolvable, "{name}");
        assert_eq!(evaluation.resolvable().contains(node), !unresolvable);
        assert!(evaluation.rejected().contains(node));
        for reason in reasons {
            counts.add(reason.clone().into(), 1);
        }
    }
    let outside = cluster.node_count() - expected.len();
    let text = "node(s) didn't satisfy plugin(s) [NodeAffinity]";
    counts.add(text.into(), outside);
    assert_eq!(evaluation.reasons(profile, cluster), counts.text());
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn nominated_pods_count_as_in_the_naive_model(
        world in arbitrary::world(node, easy_pod()),
        asked in vec(arbitrary::in_company(pod(6)), 1..=2),
        nominated in vec((any::<usize>(), arbitrary::in_company(easy_pod())), 0..=4),
        placed in vec((any::<usize>(), arbitrary::in_company(easy_pod())), 0..=2),
    ) {
        let mut world = world;
        // Owners matter for default spreading alone, which only rates nodes.
        world.workloads.clear();
        let mut cluster = cluster(&world);
        let mut setting = Setting::new(world, nominated, &mut cluster);
        let mut kept: Vec<Evaluation> = asked.iter().map(|_| Evaluation::default()).collect();
        for (pod, evaluation) in asked.iter().zip(&mut kept) {
            setting.ask(&mut cluster, pod, evaluation);
        }
        let nodes: Vec<String> = setting.world.nodes.keys().cloned().collect();
        for (place, (node, mut pod)) in placed.into_iter().enumerate() {
            let node = &nodes[node % nodes.len()];
            pod.uid = format!("later-{place}");
            cluster.confirm(&pod.compiled(node, 1));
            (setting.world.placed).insert(pod.uid.clone(), (node.clone(), pod));
            for (pod, evaluation) in asked.iter().zip(&mut kept) {
                setting.ask(&mut cluster, pod, evaluation);
            }
        }
    }
}
