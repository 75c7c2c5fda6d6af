//! DefaultPreemption for one pod in straight loops over plain values, written from upstream's
//! source: `SelectVictimsOnNode`, `FilterVictimsWithPDBViolation`, `MoreImportantVictim`,
//! `pickOneNodeForPreemption`. What goes together of the groups of other dialects is our own rule.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::scene::{Running, Scene};
use crate::model::Dialect;
use crate::plugins::testing::arbitrary::node_name;
use crate::plugins::testing::naive::{Answer, Verdict, World};
use crate::plugins::testing::peers::Filtering;
use crate::plugins::testing::peers::affinity::NaiveInterPodAffinity;
use crate::plugins::testing::plain::PlainPod;

/// Pods that go together, by uid.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Victim {
    pub(super) pods: Vec<String>,
    priority: i32,
    grouped: bool,
    started: i64,
    /// The group of which this is the part that must stay together, or a part that may go.
    core: Option<usize>,
    surplus: Option<usize>,
}

/// In the order of the six criteria; the smallest is chosen.
pub(super) type Cost = (usize, i32, i128, usize, Reverse<i64>);

/// What becomes of one node.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answered {
    No(BTreeSet<String>),
    Yes { victims: Vec<Victim>, cost: Cost },
}

pub(super) const NO_VICTIMS: &str = "No preemption victims found for incoming pod";

fn started(one: &Running) -> i64 {
    one.started.unwrap_or(i64::MAX)
}

pub(super) struct Model<'a> {
    pub(super) scene: &'a Scene,
    pub(super) pod: &'a PlainPod,
    /// Of the same or a higher priority, by node.
    pub(super) nominated: &'a [(usize, PlainPod)],
    /// Whether InterPodAffinity had nothing to say at first.
    pub(super) skips_affinity: bool,
}

pub(super) fn skips_affinity(world: &World, pod: &PlainPod) -> bool {
    let affinity = NaiveInterPodAffinity {
        hard_pod_affinity_weight: 1,
        ignore_preferred_terms_of_existing_pods: false,
    };
    affinity.filter(world, pod) == Filtering::Skip
}

impl Scene {
    fn group_priority(&self, group: usize) -> Option<i32> {
        let held = &self.groups[group];
        let of_object = held.known && held.dialect == Dialect::Kubernetes;
        of_object.then(|| held.priority.unwrap_or(0))
    }

    /// Source: `GetPodPriority`.
    pub(super) fn priority_of(&self, one: &Running) -> i32 {
        (one.group.and_then(|group| self.group_priority(group))).unwrap_or(one.pod.priority)
    }

    /// The members of a group that count as placed.
    pub(super) fn live(&self, group: usize) -> Vec<&Running> {
        let of_group = |one: &&Running| one.group == Some(group) && !one.pod.peers.terminating;
        self.running.iter().filter(of_group).collect()
    }

    /// How many members must run together, and of which roles.
    pub(super) fn asked(&self, group: usize) -> (usize, BTreeMap<&'static str, u32>) {
        let held = &self.groups[group];
        if held.known || !held.dialect.has_object() {
            (held.min as usize, held.roles.clone())
        } else {
            (1, BTreeMap::new())
        }
    }

    fn unit(&self, mut members: Vec<&Running>, priority: i32, grouped: bool) -> Victim {
        members.sort_by(|a, b| a.pod.uid.cmp(&b.pod.uid));
        Victim {
            started: members.iter().map(|one| started(one)).min().unwrap(),
            pods: members.iter().map(|one| one.pod.uid.clone()).collect(),
            priority,
            grouped,
            core: None,
            surplus: None,
        }
    }

    /// What can be evicted from a node whose pods are these.
    fn units(&self, pods: &[String], below: i32) -> Vec<Victim> {
        let mut units = Vec::new();
        let pods: Vec<&Running> = pods.iter().map(|uid| self.running(uid)).collect();
        for one in pods.iter().filter(|one| one.group.is_none()) {
            units.push(self.unit(vec![one], one.pod.priority, false));
        }
        for group in 0..self.groups.len() {
            let members: Vec<&Running> = (pods.iter().copied())
                .filter(|one| one.group == Some(group))
                .collect();
            if members.is_empty() {
                continue;
            }
            if self.groups[group].dialect != Dialect::Kubernetes {
                self.units_of_gang(group, members, below, &mut units);
            } else if self.groups[group].known && self.groups[group].whole {
                let all = self.running.iter().filter(|one| one.group == Some(group));
                let priority = self.group_priority(group).unwrap();
                units.push(self.unit(all.collect(), priority, true));
            } else {
                for one in members {
                    units.push(self.unit(vec![one], self.priority_of(one), true));
                }
            }
        }
        units.retain(|unit| unit.priority < below);
        units
    }

    /// Members beyond those that must run together may go one by one, the last one first; the
    /// others only all together, and only if they all may go.
    fn units_of_gang(
        &self,
        group: usize,
        members: Vec<&Running>,
        below: i32,
        units: &mut Vec<Victim>,
    ) {
        let live = self.live(group);
        let (min, roles) = self.asked(group);
        let mut spare = live.len().saturating_sub(min);
        let in_role = |role: &str| live.iter().filter(|one| one.role == Some(role)).count();
        let mut spare_roles: BTreeMap<&str, usize> = (roles.iter())
            .map(|(role, asked)| (*role, in_role(role).saturating_sub(*asked as usize)))
            .collect();
        let mut on_node: Vec<&Running> = (members.into_iter())
            .filter(|one| one.pod.priority < below)
            .collect();
        on_node.sort_by_key(|one| one.pod.peers.terminating);
        let first_live = on_node.partition_point(|one| !one.pod.peers.terminating);
        for one in on_node.split_off(first_live) {
            units.push(self.unit(vec![one], one.pod.priority, false));
        }
        on_node.sort_by(|a, b| {
            let key = |one: &Running| (Reverse(started(one)), one.pod.uid.clone());
            key(a).cmp(&key(b))
        });
        let (mut apart, mut needed) = (BTreeSet::new(), false);
        for one in on_node {
            let of_role = one.role.and_then(|role| spare_roles.get_mut(role));
            let dispensable =
                live.len() < min || (spare > 0 && of_role.as_ref().is_none_or(|left| **left > 0));
            if !dispensable {
                needed = true;
                continue;
            }
            let mut unit = self.unit(vec![one], one.pod.priority, false);
            if live.len() >= min {
                spare -= 1;
                if let Some(left) = of_role {
                    *left -= 1;
                }
                apart.insert(one.pod.uid.clone());
                unit.surplus = Some(group);
            }
            units.push(unit);
        }
        let core: Vec<&Running> = (live.iter().copied())
            .filter(|one| !apart.contains(&one.pod.uid))
            .collect();
        if needed && core.iter().all(|one| one.pod.priority < below) {
            let priority = core.iter().map(|one| one.pod.priority).max().unwrap();
            let mut unit = self.unit(core, priority, true);
            // It is as old as the whole gang.
            unit.started = live.iter().map(|one| started(one)).min().unwrap();
            unit.core = Some(group);
            units.push(unit);
        }
    }

    /// How many pods of each unit budgets protect.
    pub(super) fn violations(&self, units: &[Victim]) -> Vec<usize> {
        let mut left: BTreeMap<(usize, String), i32> = BTreeMap::new();
        let mut violates = |one: &Running| {
            for (place, budget) in self.budgets.iter().enumerate() {
                let counted = (budget.disrupted.iter())
                    .any(|place| one.pod.uid == format!("running-{place:02}"));
                let app = one.pod.peers.labels.get("app");
                if app.is_none_or(|app| app != budget.app) || counted {
                    continue;
                }
                let key = (place, one.pod.peers.namespace.clone());
                let left = left.entry(key).or_insert(budget.allowed);
                *left -= 1;
                if *left < 0 {
                    return true;
                }
            }
            false
        };
        let mut of = |unit: &Victim| {
            let pods = unit.pods.iter();
            pods.filter(|uid| violates(self.running(uid))).count()
        };
        units.iter().map(&mut of).collect()
    }
}

impl Model<'_> {
    /// Why the pod does not fit the node; None if it does.
    fn refusal(&self, world: &World, node: &str) -> Option<BTreeSet<String>> {
        let mut beside = world.clone();
        for (place, (at, pod)) in self.nominated.iter().enumerate() {
            if node_name(*at) == node {
                let placed = (node.to_owned(), pod.clone());
                beside.placed.insert(format!("nominated-{place}"), placed);
            }
        }
        [&beside, world].into_iter().find_map(|world| {
            let Answer::Nodes(mut verdicts) = world.filter(self.pod) else {
                panic!("this was refused before");
            };
            match verdicts.remove(node).unwrap() {
                Verdict::No("InterPodAffinity", ..) if self.skips_affinity => None,
                Verdict::No(_, reasons, _) => Some(reasons),
                Verdict::Outside | Verdict::Yes => None,
            }
        })
    }

    pub(super) fn fits_without(&self, gone: &[String], node: &str) -> bool {
        let mut world = self.scene.world();
        for uid in gone {
            world.placed.remove(uid);
        }
        self.refusal(&world, node).is_none()
    }

    /// What would have to go from a node whose pods are these.
    pub(super) fn node(&self, node: &str, pods: &[String]) -> Answered {
        let scene = self.scene;
        let mut units = scene.units(pods, self.pod.priority);
        if units.is_empty() {
            return Answered::No(BTreeSet::from([NO_VICTIMS.to_owned()]));
        }
        let mut world = scene.world();
        for uid in units.iter().flat_map(|unit| &unit.pods) {
            world.placed.remove(uid);
        }
        if let Some(reasons) = self.refusal(&world, node) {
            return Answered::No(reasons);
        }
        units.sort_by_key(|unit| {
            let important = (unit.priority, unit.grouped, unit.pods.len());
            (Reverse(important), unit.started)
        });
        let violations = scene.violations(&units);
        let protected = (0..units.len()).filter(|place| violations[*place] > 0);
        let others = (0..units.len()).filter(|place| violations[*place] == 0);
        let (mut away, mut tried) = (BTreeSet::new(), BTreeSet::new());
        for place in protected.chain(others) {
            let core = (0..units.len()).find(|core| {
                units[*core].core.is_some() && units[*core].core == units[place].surplus
            });
            // Whether a gang is broken is known before what it could do without is looked at.
            for place in core.into_iter().chain([place]) {
                if !tried.insert(place) {
                    continue;
                }
                let before = world.clone();
                for uid in &units[place].pods {
                    let one = scene.running(uid);
                    let placed = (node_name(one.node), one.pod.clone());
                    world.placed.insert(uid.clone(), placed);
                }
                let broken = core.is_some_and(|core| away.contains(&core));
                if broken || self.refusal(&world, node).is_some() {
                    world = before;
                    away.insert(place);
                }
            }
        }
        let total = away.iter().map(|place| violations[*place]).sum();
        let victims: Vec<Victim> = away.iter().map(|place| units[*place].clone()).collect();
        let pods: Vec<&Running> = (victims.iter().flat_map(|unit| &unit.pods))
            .map(|uid| scene.running(uid))
            .collect();
        let highest = pods.iter().map(|one| one.pod.priority).max();
        let first = (pods.iter())
            .filter(|one| Some(one.pod.priority) == highest)
            .map(|one| started(one))
            .min();
        let raised = |one: &&Running| i128::from(one.pod.priority) + (1 << 31);
        let cost = (
            total,
            pods.first().map_or(0, |one| one.pod.priority),
            pods.iter().map(raised).sum(),
            pods.len(),
            Reverse(first.unwrap_or(0)),
        );
        Answered::Yes { victims, cost }
    }
}

impl Victim {
    /// A pod by itself.
    pub(super) fn single(uid: &str, one: &Running) -> Self {
        Self {
            pods: vec![uid.to_owned()],
            priority: one.pod.priority,
            grouped: false,
            started: started(one),
            core: None,
            surplus: None,
        }
    }

    /// Whether it goes only because the rest of its gang does.
    pub(super) fn is_dragged(&self, others: &[Self]) -> bool {
        self.surplus
            .is_some_and(|group| others.iter().any(|other| other.core == Some(group)))
    }
}
