//! One pod against the plain model, on many small clusters.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::model::{Answered, Model, NO_VICTIMS, skips_affinity};
use super::scene::{Scene, modest_pod, pod, priority, scene};
use crate::cluster::{Cluster, PeerId};
use crate::framework::{
    Evaluation, Incoming, Nominated, Nominations, Obstacle, Profile, ReasonCounts,
};
use crate::model::CompiledPod;
use crate::plugins::default_profile;
use crate::plugins::testing::cases;
use crate::plugins::testing::plain::PlainPod;
use crate::preemption::dry_run::{Room, Stock, dry_run};
use crate::preemption::units::Finder;
use crate::preemption::{Memory, Preemptor, Progress, Search, Surroundings, Verdict, search};

/// A pod that looks for room in a scene, beside nominated pods.
struct Try<'a> {
    scene: &'a Scene,
    pod: PlainPod,
    /// Those that it yields to.
    nominated: Vec<(usize, PlainPod)>,
}

impl Try<'_> {
    fn run(&self) {
        let mut cluster = self.scene.cluster();
        let profile = default_profile("berth");
        let compiled = self.pod.compiled("", 1);
        let shape = compiled.waiting.unwrap().shape;
        let peers = cluster.adopt(&compiled.peers);
        cluster.prepare(peers);
        let incoming = Incoming {
            shape: &shape,
            peers,
        };
        let held: Vec<(usize, CompiledPod, PeerId)> = (self.nominated.iter().enumerate())
            .map(|(place, (node, pod))| {
                let mut pod = pod.clone();
                pod.uid = format!("nominated-{place}");
                let compiled = pod.compiled("", 1);
                let peers = cluster.adopt(&compiled.peers);
                (*node, compiled, peers)
            })
            .collect();
        let on = |node: usize| -> Vec<Nominated<'_>> {
            (held.iter())
                .filter(|(at, ..)| *at == node)
                .map(|(_, pod, peers)| Nominated {
                    reference: &pod.reference,
                    priority: pod.priority,
                    placed: &pod.placed,
                    peers: *peers,
                })
                .collect()
        };
        let nominations: Nominations<'_> = (self.scene.nodes.iter().enumerate())
            .map(|(place, node)| (cluster.node_id(&node.name).unwrap(), on(place)))
            .collect();
        let mut evaluation = Evaluation::default();
        evaluation.filter(&profile, incoming, &cluster);
        evaluation.yield_to(&profile, incoming, &mut cluster, &nominations);
        if evaluation.rejection().is_some() || !evaluation.feasible().is_empty() {
            return;
        }
        let preemptor = Preemptor {
            pod: incoming,
            priority: self.pod.priority,
            nominated: &nominations,
            hash: 7,
        };
        let (gangs, budgets) = (self.scene.gangs(), self.scene.disruption_budgets());
        let surroundings = Surroundings {
            gangs: &gangs,
            budgets: &budgets,
        };
        let before = cluster.state();
        let verdict = search(
            &mut cluster,
            &profile,
            surroundings,
            &preemptor,
            &evaluation,
            (&mut Memory::default(), &mut Progress::unlimited()),
        );
        assert_eq!(cluster.state(), before, "the search leaves nothing behind");
        cluster.audit();
        self.compare(&cluster, &evaluation, &verdict);
        by_arithmetic(
            &mut cluster,
            &profile,
            surroundings,
            &preemptor,
            &evaluation,
        );
        assert_eq!(cluster.state(), before);
    }

    fn compare(&self, cluster: &Cluster, evaluation: &Evaluation, verdict: &Verdict) {
        let model = Model {
            scene: self.scene,
            pod: &self.pod,
            nominated: &self.nominated,
            skips_affinity: skips_affinity(&self.scene.world(), &self.pod),
        };
        let uid = |pod| cluster.placed(pod).unwrap().reference.uid.to_string();
        let resolvable = evaluation.resolvable();
        let answers: BTreeMap<&str, Answered> = (resolvable.iter())
            .map(|node| {
                let name = cluster.node_name(node);
                let pods = cluster.pods_on(node).iter();
                let pods: Vec<String> = pods.map(|pod| uid(*pod)).collect();
                (name, model.node(name, &pods))
            })
            .collect();
        let costs = answers.values().filter_map(|answer| match answer {
            Answered::No(_) => None,
            Answered::Yes { cost, .. } => Some(*cost),
        });
        let least = costs.min();
        match verdict {
            Verdict::Hopeless(text) => {
                assert_eq!(least, None, "{answers:#?}");
                let total = cluster.node_count();
                let mut counts = ReasonCounts::default();
                for answer in answers.values() {
                    let Answered::No(reasons) = answer else {
                        panic!("{answer:?}");
                    };
                    for reason in reasons {
                        counts.add(reason.clone().into(), 1);
                    }
                }
                let unhelpful = "Preemption is not helpful for scheduling";
                counts.add(unhelpful.into(), total - answers.len());
                let reasons = counts.text().unwrap();
                assert_eq!(*text, format!("0/{total} nodes are available: {reasons}."));
            }
            Verdict::Unfinished => panic!("it has no limit"),
            Verdict::Candidate(found) => {
                let node = cluster.node_name(found.node);
                let Answered::Yes { victims, cost } = &answers[node] else {
                    panic!("{node} cannot be cleared: {:?}", answers[node]);
                };
                assert_eq!(Some(*cost), least, "{node} is not the best: {answers:#?}");
                let given: Vec<String> = found.victims.iter().map(|pod| uid(*pod)).collect();
                let expected: Vec<String> = (victims.iter())
                    .flat_map(|unit| unit.pods.iter().cloned())
                    .collect();
                assert_eq!(given, expected, "victims on {node}");
                assert_eq!(found.violations, cost.0);
                self.is_sound(&model, node, &answers[node]);
            }
        }
    }

    /// What has to hold whatever the rules.
    fn is_sound(&self, model: &Model<'_>, node: &str, answer: &Answered) {
        let Answered::Yes { victims, .. } = answer else {
            return;
        };
        let gone: Vec<String> = (victims.iter())
            .flat_map(|unit| unit.pods.iter().cloned())
            .collect();
        let distinct: BTreeSet<_> = gone.iter().collect();
        assert_eq!(distinct.len(), gone.len());
        assert!(!gone.is_empty());
        for uid in &gone {
            let priority = self.scene.priority_of(self.scene.running(uid));
            assert!(priority < self.pod.priority, "{uid} is not lower");
        }
        for place in 0..self.scene.groups.len() {
            let dialect = self.scene.groups[place].dialect;
            let live = self.scene.live(place);
            let stays = live.iter().filter(|one| !gone.contains(&one.pod.uid));
            let stays = stays.count();
            let (min, _) = self.scene.asked(place);
            let whole = live.len() >= min;
            if dialect != crate::model::Dialect::Kubernetes && whole {
                assert!(stays == 0 || stays >= min, "group {place} is torn apart");
            }
        }
        // What others of the same gang do elsewhere may make a spread better or worse.
        if !self.pod.peers.spread.is_empty() || !self.pod.peers.affinity.is_empty() {
            return;
        }
        assert!(model.fits_without(&gone, node), "in vain");
        for unit in victims.iter().filter(|unit| !unit.is_dragged(victims)) {
            let mut gone = gone.clone();
            gone.retain(|uid| !unit.pods.contains(uid));
            assert!(!model.fits_without(&gone, node), "{unit:?} is superfluous");
        }
    }
}

/// Where only room is lacking, arithmetic gives the answer of trying.
fn by_arithmetic(
    cluster: &mut Cluster,
    profile: &Profile,
    surroundings: Surroundings<'_>,
    preemptor: &Preemptor<'_>,
    evaluation: &Evaluation,
) {
    let skipped = evaluation.skipped();
    let obstacle = profile.obstacle(preemptor.pod.shape, cluster, skipped);
    let Obstacle::Room(asked) = obstacle else {
        return;
    };
    let mut room = Room::new(asked);
    let mut search = Search {
        profile,
        surroundings,
        preemptor,
        skipped,
        finder: Finder::new(surroundings.gangs, preemptor.priority),
        refusals: ReasonCounts::default(),
    };
    let mut stock = Stock::default();
    for node in evaluation.resolvable().iter() {
        if !search.stock(cluster, node, &mut stock) {
            continue;
        }
        let far = profile.looks_further(skipped);
        let tried = dry_run(cluster, profile, preemptor, (node, skipped, far), &stock);
        let tried = tried.map_err(|why| why.reasons_for(node).cloned().collect::<Vec<_>>());
        let texts = |reasons: Vec<crate::framework::Reason>| -> BTreeSet<String> {
            let texts = reasons.iter().map(|reason| reason.text().into_owned());
            texts.collect()
        };
        let counted = room.victims(cluster, preemptor, node, &stock);
        assert_eq!(counted.map_err(texts), tried.map_err(texts));
    }
}

fn check(scene: &Scene, asked: Vec<PlainPod>, nominated: &[(usize, PlainPod)]) {
    for mut pod in asked {
        pod.uid = "incoming".to_owned();
        pod.peers.terminating = false;
        let nominated = (nominated.iter())
            .filter(|(_, other)| other.priority >= pod.priority)
            .map(|(node, other)| {
                let mut other = other.clone();
                other.peers.terminating = false;
                (node % scene.nodes.len(), other)
            })
            .collect();
        Try {
            scene,
            pod,
            nominated,
        }
        .run();
    }
}

fn low() -> BoxedStrategy<i32> {
    priority().boxed()
}

fn high() -> BoxedStrategy<i32> {
    prop_oneof![3 => 5..8_i32, 1 => priority(), 1 => Just(100)].boxed()
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn as_upstream_where_room_is_lacking(
        scene in scene(2..=6, 1..12, modest_pod(low())),
        asked in vec(modest_pod(high()), 2..=4),
        nominated in vec((any::<usize>(), modest_pod(high())), 0..=2),
    ) {
        check(&scene, asked, &nominated);
    }

    #[test]
    fn as_upstream_where_pods_look_at_each_other(
        scene in scene(2..=5, 1..12, pod(low())),
        asked in vec(pod(high()), 2..=4),
        nominated in vec((any::<usize>(), pod(high())), 0..=2),
    ) {
        check(&scene, asked, &nominated);
    }
}

#[test]
fn the_words_are_the_models() {
    assert_eq!(NO_VICTIMS, crate::preemption::NO_VICTIMS);
}
