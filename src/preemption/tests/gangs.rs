//! Gangs against all that could be evicted, on small clusters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::model::Victim;
use super::scene::{Scene, ZONE, modest_pod, pod, priority, scene};
use crate::cluster::{Cluster, Keep, NodeId, PeerId, PlacedId};
use crate::framework::{Nominations, Profile};
use crate::gang::{
    Candidate, CandidateClass, GangId, Gangs, Member, Need, Place, Plan, Refused, Request, plan,
};
use crate::model::{CompiledPod, Dialect, GangTopology, GroupRef};
use crate::plugins::default_profile;
use crate::plugins::testing::cases;
use crate::plugins::testing::plain::PlainPod;
use crate::preemption::{
    Budgets, GangCandidate, GangPreemptor, GangVerdict, Memory, Progress, Surroundings,
    search_for_gang,
};
use crate::queue::PodKey;

const PRIORITY: i32 = 5;

/// A gang that wants room.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    templates: Vec<PlainPod>,
    /// Template and role.
    members: Vec<(usize, Option<&'static str>)>,
    need: usize,
    roles: BTreeMap<&'static str, usize>,
    in_zone: bool,
    violate_pdb: bool,
}

pub(super) fn asked(template: BoxedStrategy<PlainPod>) -> impl Strategy<Value = Asked> {
    let role = select(vec![None, Some("launcher"), Some("worker")]);
    (
        vec(template, 1..=2),
        vec((0..2_usize, role), 2..=4),
        1..=4_usize,
        option::weighted(0.2, (0..=1_usize, 0..=2_usize)),
        prop::bool::weighted(0.3),
        any::<bool>(),
    )
        .prop_map(
            |(mut templates, members, need, roles, in_zone, violate_pdb)| {
                for template in &mut templates {
                    template.peers.terminating = false;
                    template.priority = PRIORITY;
                }
                let (launchers, workers) = roles.unwrap_or_default();
                let mut roles = BTreeMap::from([("launcher", launchers), ("worker", workers)]);
                roles.retain(|_, asked| *asked > 0);
                Asked {
                    need: need.min(members.len()),
                    members: (members.into_iter())
                        .map(|(template, role)| (template % templates.len(), role))
                        .collect(),
                    templates,
                    roles,
                    in_zone,
                    violate_pdb,
                }
            },
        )
}

/// The gang in a cluster.
pub(super) struct Trial<'a> {
    scene: &'a Scene,
    asked: &'a Asked,
    profile: Profile,
    pub(super) cluster: Cluster,
    pub(super) gangs: Gangs,
    pods: Vec<CompiledPod>,
    peers: Vec<PeerId>,
}

impl<'a> Trial<'a> {
    pub(super) fn new(scene: &'a Scene, asked: &'a Asked) -> Self {
        let mut cluster = scene.cluster();
        let mut gangs = scene.gangs();
        let reference = Arc::new(GroupRef {
            dialect: Dialect::SchedulerPlugins,
            namespace: "default".into(),
            name: "incoming".into(),
        });
        let mut pods = Vec::new();
        for (place, (template, role)) in asked.members.iter().enumerate() {
            let mut pod = asked.templates[*template].clone();
            pod.uid = format!("member-{place}");
            let member = Member {
                priority: PRIORITY,
                scheduler_name: "berth".into(),
                role: role.map(Box::from),
                min: None,
                topology: GangTopology::default(),
                terminating: false,
                started: None,
                place: Place::Waiting(PodKey(place as u64)),
            };
            gangs.put(&pod.uid, &reference, member, || PodKey(500));
            pods.push(pod.compiled("", 1));
        }
        let peers: Vec<PeerId> = pods.iter().map(|pod| cluster.adopt(&pod.peers)).collect();
        for peer in &peers {
            cluster.prepare(*peer);
        }
        Self {
            scene,
            asked,
            profile: default_profile("berth"),
            cluster,
            gangs,
            pods,
            peers,
        }
    }

    /// Asks something about the gang, whose members are nominated to these nodes.
    fn ask<T>(
        &mut self,
        nominated: &BTreeMap<usize, NodeId>,
        answer: impl FnOnce(&mut Cluster, &Gangs, &Request<'_>, &mut [CandidateClass]) -> T,
    ) -> T {
        let asked = self.asked;
        let candidates: Vec<Candidate<'_>> = (self.pods.iter().enumerate())
            .map(|(place, pod)| Candidate {
                class: asked.members[place].0,
                peers: self.peers[place],
                reference: &pod.reference,
                priority: PRIORITY,
                placed: &pod.placed,
                hash: place as u64,
                nominated: nominated.get(&place).copied(),
                role: asked.members[place].1,
            })
            .collect();
        let mut classes: Vec<CandidateClass> = (asked.templates.iter())
            .map(|template| CandidateClass {
                shape: Arc::new(template.compiled("", 1).waiting.unwrap().shape),
                evaluation: Box::default(),
            })
            .collect();
        let need = Need {
            pods: asked.need,
            roles: (asked.roles.iter())
                .map(|(role, asked)| ((*role).into(), *asked))
                .collect(),
        };
        let topology = GangTopology {
            required: asked.in_zone.then(|| ZONE.into()),
            preferred: Box::default(),
        };
        let request = Request {
            profile: &self.profile,
            nominated: &Nominations::default(),
            candidates: &candidates,
            need: &need,
            topology: &topology,
            anchors: &[],
            known_room: None,
        };
        answer(&mut self.cluster, &self.gangs, &request, &mut classes)
    }

    /// What becomes of the gang if these pods are gone.
    fn plan_without(
        &mut self,
        gone: &BTreeSet<String>,
        nominated: &BTreeMap<usize, NodeId>,
    ) -> Result<Plan, Box<Refused>> {
        self.ask(nominated, |cluster, _, request, classes| {
            cluster.speculate(|cluster| {
                for uid in gone {
                    let id = cluster.placed_by_uid(uid).unwrap();
                    cluster.remove(id);
                }
                (Keep::RollBack, plan(cluster, request, classes))
            })
        })
    }

    fn search(&mut self) -> GangVerdict {
        let budgets = self.scene.disruption_budgets();
        let kept = (&mut Memory::default(), &mut Progress::unlimited());
        let gang = self.gangs.of_member("member-0").unwrap();
        self.search_for(gang, &budgets, kept)
    }

    /// The same, as if they were of this gang.
    pub(super) fn search_for(
        &mut self,
        gang: GangId,
        budgets: &Budgets,
        kept: (&mut Memory, &mut Progress),
    ) -> GangVerdict {
        let violate_pdb = self.asked.violate_pdb;
        self.ask(&BTreeMap::new(), |cluster, gangs, request, classes| {
            let preemptor = GangPreemptor {
                gang,
                priority: PRIORITY,
                violate_pdb,
                request,
            };
            let surroundings = Surroundings { gangs, budgets };
            search_for_gang(cluster, preemptor, classes, surroundings, kept)
        })
    }

    fn uid(&self, pod: PlacedId) -> String {
        self.cluster.placed(pod).unwrap().reference.uid.to_string()
    }
}

impl Scene {
    /// How many of these pods budgets protect, were they evicted.
    fn violated(&self, gone: &BTreeSet<String>) -> usize {
        let one = |uid: &String| Victim::single(uid, self.running(uid));
        let units: Vec<Victim> = gone.iter().map(one).collect();
        self.violations(&units).into_iter().sum()
    }

    /// Whether these may be evicted for a gang: all of a lower priority, and no gang torn apart.
    fn may_go(&self, gone: &BTreeSet<String>) -> bool {
        let low = |uid: &String| self.priority_of(self.running(uid)) < PRIORITY;
        gone.iter().all(low)
            && (0..self.groups.len()).all(|group| self.is_in_one_piece(group, gone))
    }

    fn is_in_one_piece(&self, group: usize, gone: &BTreeSet<String>) -> bool {
        let held = &self.groups[group];
        if held.dialect == Dialect::Kubernetes {
            let mut all = self.running.iter().filter(|one| one.group == Some(group));
            let of_group = all
                .clone()
                .filter(|one| gone.contains(&one.pod.uid))
                .count();
            let together = held.known && held.whole && of_group > 0;
            return !together || all.all(|one| gone.contains(&one.pod.uid));
        }
        let live = self.live(group);
        let (min, roles) = self.asked(group);
        let stays: Vec<_> = (live.iter())
            .filter(|one| !gone.contains(&one.pod.uid))
            .collect();
        if live.len() < min || stays.is_empty() || stays.len() == live.len() {
            return true;
        }
        let in_role = |role: &str, of: &mut dyn Iterator<Item = Option<&str>>| {
            of.filter(|held| *held == Some(role)).count()
        };
        stays.len() >= min
            && roles.iter().all(|(role, asked)| {
                let before = in_role(role, &mut live.iter().map(|one| one.role));
                let after = in_role(role, &mut stays.iter().map(|one| one.role));
                after >= before.min(*asked as usize)
            })
    }

    /// All that may be evicted, with how many of each budgets protect, the fewest pods first.
    fn ways(&self, violate_pdb: bool) -> Vec<(usize, BTreeSet<String>)> {
        let low: Vec<&String> = (self.running.iter())
            .filter(|one| self.priority_of(one) < PRIORITY)
            .map(|one| &one.pod.uid)
            .collect();
        let mut ways: Vec<(usize, BTreeSet<String>)> = (0..1_u32 << low.len())
            .map(|bits| {
                let chosen = low.iter().enumerate();
                let chosen = chosen.filter(|(place, _)| bits & (1 << place) != 0);
                chosen.map(|(_, uid)| (*uid).clone()).collect()
            })
            .filter(|gone| self.may_go(gone))
            .map(|gone| (self.violated(&gone), gone))
            .filter(|(violated, _)| violate_pdb || *violated == 0)
            .collect();
        ways.sort_by_key(|(violated, gone)| (*violated, gone.len()));
        ways
    }
}

/// What came of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// There was room from the beginning.
    Room,
    /// Nothing helps, as was said.
    Hopeless,
    /// Something would have helped.
    Missed,
    /// They fit if others of them go first.
    Reordered,
    /// Found as well as can be.
    Found,
    /// Fewer pods would have done, perhaps of a higher priority or of the core of a gang.
    TooMany,
    /// Fewer of those that budgets protect would have done.
    Violating,
}

fn lead(scene: &Scene, asked: &Asked) -> Outcome {
    let mut trial = Trial::new(scene, asked);
    let nowhere = BTreeMap::new();
    if trial.plan_without(&BTreeSet::new(), &nowhere).is_ok() {
        return Outcome::Room;
    }
    let before = trial.cluster.state();
    let verdict = trial.search();
    assert_eq!(
        trial.cluster.state(),
        before,
        "the search leaves nothing behind"
    );
    trial.cluster.audit();
    let ways = scene.ways(asked.violate_pdb);
    match verdict {
        GangVerdict::Hopeless { .. } => {
            let helps =
                |(_, gone): &(usize, BTreeSet<String>)| trial.plan_without(gone, &nowhere).is_ok();
            if ways.iter().any(helps) {
                Outcome::Missed
            } else {
                Outcome::Hopeless
            }
        }
        GangVerdict::Candidate(found) => found_well(&mut trial, &found, &ways),
        GangVerdict::Unfinished => panic!("it has no limit"),
    }
}

fn found_well(
    trial: &mut Trial<'_>,
    found: &GangCandidate,
    ways: &[(usize, BTreeSet<String>)],
) -> Outcome {
    let (scene, asked) = (trial.scene, trial.asked);
    let victims: Vec<String> = found.victims.iter().map(|pod| trial.uid(*pod)).collect();
    let gone: BTreeSet<String> = victims.iter().cloned().collect();
    assert_eq!(gone.len(), victims.len(), "each once");
    for uid in &gone {
        let priority = scene.priority_of(scene.running(uid));
        assert!(priority < PRIORITY, "{uid} is not lower");
    }
    assert!(scene.may_go(&gone), "{gone:?} tears a gang apart");
    assert!(asked.violate_pdb || found.violations == 0);
    assert!(found.violations > 0 || scene.violated(&gone) == 0);
    let seats: BTreeMap<usize, NodeId> = found.nodes.iter().copied().collect();
    assert!(seats.len() >= asked.need);
    if asked.in_zone {
        let zone = |node: &NodeId| {
            let name = trial.cluster.node_name(*node).to_owned();
            let node = scene.nodes.iter().find(|node| node.name == name);
            node.unwrap().labels[ZONE].clone()
        };
        let zones: BTreeSet<String> = seats.values().map(zone).collect();
        assert_eq!(zones.len(), 1, "one zone");
    }
    let planned = trial.plan_without(&gone, &seats);
    assert!(
        planned.is_ok(),
        "in vain: {found:?} {victims:?} {planned:?}"
    );
    let fewer = ways.iter().find(|(violated, gone)| {
        let fewer = *violated < found.violations
            || (*violated == found.violations && gone.len() < victims.len());
        fewer && trial.plan_without(gone, &BTreeMap::new()).is_ok()
    });
    match fewer {
        _ if gone.is_empty() => Outcome::Reordered,
        None => Outcome::Found,
        Some((violated, _)) if *violated < found.violations => Outcome::Violating,
        Some(_) => Outcome::TooMany,
    }
}

fn low() -> BoxedStrategy<i32> {
    priority().boxed()
}

/// What comes of so many cases, always the same ones.
fn tally(strategy: impl Strategy<Value = (Scene, Asked)>) -> BTreeMap<Outcome, usize> {
    let config = cases(400);
    let chance = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config.clone(), chance);
    let mut tally = BTreeMap::new();
    for _ in 0..config.cases {
        let (scene, asked) = strategy.new_tree(&mut runner).unwrap().current();
        *tally.entry(lead(&scene, &asked)).or_default() += 1;
    }
    tally
}

/// The search is greedy: which of its members a gang can do without is settled beforehand, and the
/// first members that are seated are not seated again for later ones.
fn little_is_missed(pod: fn(BoxedStrategy<i32>) -> BoxedStrategy<PlainPod>) {
    let tally = tally((scene(1..=4, 1..8, pod(low())), asked(pod(low()))));
    let of = |outcome| tally.get(&outcome).copied().unwrap_or(0);
    let found = of(Outcome::Found);
    assert!(found >= 30, "{tally:?}");
    assert!(50 * of(Outcome::Missed) <= found, "{tally:?}");
    assert!(25 * of(Outcome::Violating) <= found, "{tally:?}");
    assert!(5 * of(Outcome::TooMany) <= found, "{tally:?}");
}

#[test]
fn little_is_missed_where_room_is_lacking() {
    little_is_missed(modest_pod);
}

#[test]
fn little_is_missed_where_pods_look_at_each_other() {
    little_is_missed(pod);
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn all_of_a_gang_or_nobody(
        scene in scene(1..=4, 1..8, modest_pod(low())),
        asked in asked(modest_pod(low())),
    ) {
        lead(&scene, &asked);
    }

    #[test]
    fn all_of_a_gang_or_nobody_where_pods_look_at_each_other(
        scene in scene(1..=4, 1..8, pod(low())),
        asked in asked(pod(low())),
    ) {
        lead(&scene, &asked);
    }
}
