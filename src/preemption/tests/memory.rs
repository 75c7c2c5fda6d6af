//! A search that remembers finds what one finds that knows nothing, whatever has happened in between.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::gangs::{Asked, Trial, asked};
use super::scene::{
    Budget, GROUPS, Group, NAMESPACES, Running, Scene, budget, group, modest_pod, node, pod,
    priority, running, scene,
};
use crate::framework::{Evaluation, Incoming, Nominations};
use crate::gang::Place;
use crate::plugins::testing::arbitrary::node_name;
use crate::plugins::testing::cases;
use crate::plugins::testing::plain::{PlainNode, PlainPod};
use crate::preemption::{
    Budgets, GangVerdict, Memory, Preemptor, Progress, Surroundings, Verdict, search,
};
use crate::queue::PodKey;

const NODES: usize = 5;

/// What happens to the cluster.
#[derive(Clone, Debug)]
enum Step {
    Comes(Box<Running>),
    Goes(usize),
    Terminates(usize),
    /// It is evicted, which its group knows before the cluster does.
    Leaves(usize, bool),
    Starts(usize, Option<i64>),
    Reprioritized(usize, i32),
    /// It is of another group, or of none.
    Regrouped(usize, Option<usize>),
    /// It is not bound after all, and then it is.
    Unbound(usize),
    Group(usize, Group),
    GroupGone(usize),
    Budget(usize, Budget),
    BudgetGone(usize),
    Spent(usize),
    Node(PlainNode),
    NodeGone(usize),
    /// A pod looks for room, and has so many pods looked at.
    Pod(usize, usize),
    /// The gang does, as one of its own or as if it were a group that runs.
    Gang(Option<usize>, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let low = || modest_pod(priority().boxed());
    let slice = || select(vec![1, 4, usize::MAX]);
    let some = any::<usize>;
    prop_oneof![
        3 => running(low()).prop_map(|one| Step::Comes(Box::new(one))),
        2 => some().prop_map(Step::Goes),
        1 => some().prop_map(Step::Terminates),
        1 => (some(), any::<bool>()).prop_map(|(which, leaves)| Step::Leaves(which, leaves)),
        1 => (some(), option::of(0..6_i64)).prop_map(|(which, at)| Step::Starts(which, at)),
        1 => (some(), priority()).prop_map(|(which, now)| Step::Reprioritized(which, now)),
        1 => (some(), option::of(0..GROUPS)).prop_map(|(which, to)| Step::Regrouped(which, to)),
        1 => some().prop_map(Step::Unbound),
        2 => (0..GROUPS, group()).prop_map(|(place, group)| Step::Group(place, group)),
        1 => (0..GROUPS).prop_map(Step::GroupGone),
        1 => (0..2_usize, budget()).prop_map(|(place, budget)| Step::Budget(place, budget)),
        1 => (0..2_usize).prop_map(Step::BudgetGone),
        1 => some().prop_map(Step::Spent),
        1 => (0..NODES).prop_flat_map(node).prop_map(Step::Node),
        1 => (0..NODES).prop_map(Step::NodeGone),
        8 => (0..3_usize, slice()).prop_map(|(which, slice)| Step::Pod(which, slice)),
        6 => (option::of(0..GROUPS), slice()).prop_map(|(of, slice)| Step::Gang(of, slice)),
    ]
}

struct World<'a> {
    trial: Trial<'a>,
    asked: &'a [PlainPod],
    running: Vec<Running>,
    groups: Vec<Group>,
    budgets: Budgets,
    memory: Memory,
    came: usize,
    answers: usize,
}

impl World<'_> {
    fn with(&mut self, which: usize, change: impl FnOnce(&mut Running)) {
        if !self.running.is_empty() {
            let place = which % self.running.len();
            change(&mut self.running[place]);
            let one = self.running[place].clone();
            self.see(&one);
        }
    }

    /// The watch shows the pod as it is.
    fn see(&mut self, one: &Running) {
        self.trial.cluster.confirm(&one.compiled(&self.groups));
        let uid = &*one.pod.uid;
        match one.group {
            Some(place) => {
                let group = &self.groups[place];
                let reference = Arc::new(group.reference(place));
                let unit = || PodKey(1000 + place as u64);
                self.trial
                    .gangs
                    .put(uid, &reference, one.member(group), unit);
            }
            None => {
                self.trial.gangs.take(uid);
            }
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Comes(mut one) => {
                one.pod.uid = format!("later-{:02}", self.came);
                one.node %= NODES;
                self.came += 1;
                self.see(&one);
                self.running.push(*one);
            }
            Step::Goes(which) if !self.running.is_empty() => {
                let one = self.running.remove(which % self.running.len());
                self.trial.gangs.take(&one.pod.uid);
                let id = self.trial.cluster.placed_by_uid(&one.pod.uid).unwrap();
                self.trial.cluster.remove(id);
            }
            Step::Terminates(which) => self.with(which, |one| one.pod.peers.terminating = true),
            Step::Leaves(which, leaves) if !self.running.is_empty() => {
                let one = &self.running[which % self.running.len()];
                self.trial.gangs.set_terminating(&one.pod.uid, leaves);
            }
            Step::Starts(which, at) => self.with(which, |one| one.started = at),
            Step::Reprioritized(which, now) => self.with(which, |one| one.pod.priority = now),
            Step::Regrouped(which, group) => self.with(which, |one| one.group = group),
            Step::Unbound(which) if !self.running.is_empty() => {
                let one = self.running.remove(which % self.running.len());
                let id = self.trial.cluster.placed_by_uid(&one.pod.uid).unwrap();
                self.trial.cluster.remove(id);
                let place = Place::Waiting(PodKey(2000 + self.came as u64));
                self.trial.gangs.relocate(&one.pod.uid, place);
            }
            Step::Group(place, mut group) => {
                // The dialect is a part of its name.
                group.dialect = self.groups[place].dialect;
                group.known &= group.dialect.has_object();
                let reference = group.reference(place);
                if group.known {
                    let unit = || PodKey(1000 + place as u64);
                    self.trial.gangs.set_object(group.object(place), unit);
                } else {
                    self.trial.gangs.remove_object(&reference);
                }
                self.groups[place] = group;
            }
            Step::GroupGone(place) => {
                let reference = self.groups[place].reference(place);
                self.trial.gangs.remove_object(&reference);
                self.groups[place].known = false;
            }
            Step::Budget(place, budget) => {
                for namespace in NAMESPACES {
                    self.budgets.set(budget.model(place, namespace));
                }
            }
            Step::BudgetGone(place) => {
                for namespace in NAMESPACES {
                    self.budgets.remove(namespace, &format!("budget-{place}"));
                }
            }
            Step::Spent(which) if !self.running.is_empty() => {
                let one = &self.running[which % self.running.len()];
                let cluster = &self.trial.cluster;
                let id = cluster.placed_by_uid(&one.pod.uid).unwrap();
                let record = cluster.placed(id).unwrap();
                self.budgets
                    .spend(&record.reference, cluster.labels_of(record.peers));
            }
            Step::Node(node) => {
                self.trial.cluster.upsert_node(node.model(1));
            }
            Step::NodeGone(place) => {
                self.trial.cluster.remove_node(&node_name(place));
            }
            Step::Pod(which, slice) => self.ask_for_pod(which, slice),
            Step::Gang(group, slice) => self.ask_for_gang(group, slice),
            _ => {}
        }
    }

    fn ask_for_pod(&mut self, which: usize, slice: usize) {
        let pod = &self.asked[which % self.asked.len()];
        let compiled = pod.compiled("", 1);
        let shape = compiled.waiting.unwrap().shape;
        let (trial, profile) = (&mut self.trial, crate::plugins::default_profile("berth"));
        let cluster = &mut trial.cluster;
        let peers = cluster.adopt(&compiled.peers);
        cluster.prepare(peers);
        let incoming = Incoming {
            shape: &shape,
            peers,
        };
        let mut evaluation = Evaluation::default();
        evaluation.filter(&profile, incoming, cluster);
        if evaluation.rejection().is_none() && evaluation.feasible().is_empty() {
            let preemptor = Preemptor {
                pod: incoming,
                priority: pod.priority,
                nominated: &Nominations::default(),
                hash: 7,
            };
            let surroundings = Surroundings {
                gangs: &trial.gangs,
                budgets: &self.budgets,
            };
            let mut ask = |kept: (&mut Memory, &mut Progress)| {
                search(
                    cluster,
                    &profile,
                    surroundings,
                    &preemptor,
                    &evaluation,
                    kept,
                )
            };
            let found = ask((&mut self.memory, &mut Progress::slice(slice, 0)));
            if found != Verdict::Unfinished {
                let anew = ask((&mut Memory::default(), &mut Progress::unlimited()));
                assert_eq!(found, anew);
                self.answers += 1;
            }
        }
        self.trial.cluster.dismiss(peers);
    }

    fn ask_for_gang(&mut self, group: Option<usize>, slice: usize) {
        let gangs = &self.trial.gangs;
        let own = gangs.of_member("member-0").unwrap();
        let group = group.and_then(|place| {
            let mut members = self.running.iter().filter(|one| one.group == Some(place));
            gangs.of_member(&members.next()?.pod.uid)
        });
        let gang = group.unwrap_or(own);
        let slice = &mut Progress::slice(slice, 0);
        let kept = (&mut self.memory, slice);
        let found = self.trial.search_for(gang, &self.budgets, kept);
        if found != GangVerdict::Unfinished {
            let all = (&mut Memory::default(), &mut Progress::unlimited());
            let anew = self.trial.search_for(gang, &self.budgets, all);
            assert_eq!(found, anew);
            self.answers += 1;
        }
    }
}

fn lead(scene: &Scene, gang: &Asked, pods: Vec<PlainPod>, steps: Vec<Step>) {
    let mut asked = pods;
    for pod in &mut asked {
        pod.uid = "incoming".to_owned();
        pod.peers.terminating = false;
    }
    let mut world = World {
        trial: Trial::new(scene, gang),
        asked: &asked,
        running: scene.running.clone(),
        groups: scene.groups.clone(),
        budgets: scene.disruption_budgets(),
        memory: Memory::default(),
        came: 0,
        answers: 0,
    };
    for step in steps {
        world.take(step);
    }
    for which in 0..asked.len() {
        world.ask_for_pod(which, usize::MAX);
    }
    let before = world.answers;
    world.ask_for_gang(None, usize::MAX);
    assert_eq!(world.answers, before + 1, "the gang has its answer");
}

fn high() -> BoxedStrategy<i32> {
    prop_oneof![3 => 5..8_i32, 1 => priority()].boxed()
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn what_is_remembered_is_so(
        scene in scene(NODES..=NODES, 4..14, modest_pod(priority().boxed())),
        gang in asked(modest_pod(priority().boxed())),
        pods in vec(modest_pod(high()), 2..=3),
        steps in vec(step(), 5..40),
    ) {
        lead(&scene, &gang, pods, steps);
    }

    #[test]
    fn what_is_remembered_is_so_where_pods_look_at_each_other(
        scene in scene(NODES..=NODES, 4..14, pod(priority().boxed())),
        gang in asked(pod(priority().boxed())),
        pods in vec(pod(high()), 2..=3),
        steps in vec(step(), 5..40),
    ) {
        lead(&scene, &gang, pods, steps);
    }
}
