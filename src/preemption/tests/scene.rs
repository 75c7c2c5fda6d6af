//! Small clusters full of pods that are in each other's way, as plain values.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use crate::api;
use crate::cluster::Cluster;
use crate::gang::{Gangs, Member, Place};
use crate::model::{
    CompiledPod, Dialect, DisruptionBudget, GangTopology, GroupRef, Membership, PodGroup, labels,
};
use crate::plugins::testing::arbitrary::node_name;
use crate::plugins::testing::naive::World;
use crate::plugins::testing::peers::arbitrary::in_company;
use crate::plugins::testing::plain::{Amounts, PlainNode, PlainPod};
use crate::preemption::Budgets;
use crate::queue::PodKey;

pub(super) const GROUPS: usize = 3;
pub(super) const ZONE: &str = "topology.kubernetes.io/zone";
const HOSTNAME: &str = "kubernetes.io/hostname";

/// A pod on a node.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) pod: PlainPod,
    pub(super) node: usize,
    pub(super) started: Option<i64>,
    pub(super) group: Option<usize>,
    pub(super) role: Option<&'static str>,
}

/// A group; its members may disagree in whatever they like.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) dialect: Dialect,
    /// Whether its object is there.
    pub(super) known: bool,
    pub(super) min: u32,
    pub(super) roles: BTreeMap<&'static str, u32>,
    pub(super) priority: Option<i32>,
    pub(super) whole: bool,
}

/// A budget for the pods of one app, in all namespaces.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    pub(super) app: &'static str,
    pub(super) allowed: i32,
    /// Pods whose disruption is counted already.
    pub(super) disrupted: Vec<usize>,
}

/// A cluster.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) nodes: Vec<PlainNode>,
    pub(super) running: Vec<Running>,
    pub(super) groups: Vec<Group>,
    pub(super) budgets: Vec<Budget>,
}

pub(super) const NAMESPACES: [&str; 3] = ["default", "east", "west"];

pub(super) fn priority() -> impl Strategy<Value = i32> {
    select(vec![-7, 0, 0, 0, 3, 3, 5, 8])
}

/// A pod that asks for little more than room.
pub(super) fn modest_pod(priority: BoxedStrategy<i32>) -> BoxedStrategy<PlainPod> {
    let port = prop_oneof![6 => Just(0), 1 => Just(8080)];
    let app = select(vec![None, Some("web"), Some("db")]);
    (
        select(vec![0, 500, 1000, 2000, 2000, 4000]),
        select(vec![0, 0, 1, 2, 4]),
        port,
        app,
        priority,
    )
        .prop_map(|(cpu, gpus, port, app, priority)| {
            let amounts = [("cpu", cpu), ("nvidia.com/gpu", gpus)];
            let mut pod = PlainPod::asking("", &amounts);
            if port > 0 {
                pod.containers[0].ports = vec![(String::new(), String::new(), port)];
            }
            if let Some(app) = app {
                pod.peers.labels.insert("app".to_owned(), app.to_owned());
            }
            pod.priority = priority;
            pod
        })
        .boxed()
}

/// The same, and some of them look at others.
pub(super) fn pod(priority: BoxedStrategy<i32>) -> BoxedStrategy<PlainPod> {
    let modest = modest_pod(priority);
    prop_oneof![3 => modest.clone(), 1 => in_company(modest)].boxed()
}

pub(super) fn node(place: usize) -> impl Strategy<Value = PlainNode> {
    (
        select(vec!["a", "b"]),
        select(vec![2000, 4000, 4000]),
        select(vec![0, 2, 4, 4]),
        select(vec![2, 4, 110, 110]),
        prop::bool::weighted(0.08),
    )
        .prop_map(move |(zone, cpu, gpus, pods, unschedulable)| {
            let name = node_name(place);
            let labels = [(HOSTNAME, name.as_str()), (ZONE, zone)];
            PlainNode {
                labels: (labels.iter())
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
                name,
                unschedulable,
                pods,
                allocatable: Amounts::from([
                    ("cpu".to_owned(), cpu),
                    ("nvidia.com/gpu".to_owned(), gpus),
                ]),
                ..PlainNode::default()
            }
        })
}

pub(super) fn running(pod: BoxedStrategy<PlainPod>) -> impl Strategy<Value = Running> {
    (
        pod,
        any::<usize>(),
        option::weighted(0.8, 0..6_i64),
        option::weighted(0.5, 0..GROUPS),
        option::weighted(0.3, select(vec!["launcher", "worker"])),
    )
        .prop_map(|(pod, node, started, group, role)| Running {
            pod,
            node,
            started,
            group,
            role,
        })
}

pub(super) fn group() -> impl Strategy<Value = Group> {
    let dialect = select(vec![
        Dialect::Kubernetes,
        Dialect::Kubernetes,
        Dialect::SchedulerPlugins,
        Dialect::Volcano,
        Dialect::Koordinator,
        Dialect::Lightweight,
    ]);
    (
        dialect,
        prop::bool::weighted(0.9),
        1..4_u32,
        option::weighted(0.3, (0..2_u32, 0..3_u32)),
        option::weighted(0.7, priority()),
        any::<bool>(),
    )
        .prop_map(|(dialect, known, min, roles, priority, whole)| {
            let (launchers, workers) = roles.unwrap_or_default();
            let mut roles = BTreeMap::new();
            if dialect == Dialect::Volcano && known {
                roles = BTreeMap::from([("launcher", launchers), ("worker", workers)]);
                roles.retain(|_, asked| *asked > 0);
            }
            Group {
                dialect,
                known: known && dialect.has_object(),
                min: min.max(roles.values().sum()),
                roles,
                priority,
                whole,
            }
        })
}

pub(super) fn budget() -> impl Strategy<Value = Budget> {
    (select(vec!["web", "db"]), -1..3_i32, vec(0..12_usize, 0..2)).prop_map(
        |(app, allowed, disrupted)| Budget {
            app,
            allowed,
            disrupted,
        },
    )
}

/// So many nodes and pods; with a chance that the members of a group have one priority.
pub(super) fn scene(
    nodes: std::ops::RangeInclusive<usize>,
    pods: std::ops::Range<usize>,
    of_pods: BoxedStrategy<PlainPod>,
) -> BoxedStrategy<Scene> {
    let nodes = nodes.prop_flat_map(|count| (0..count).map(node).collect::<Vec<_>>());
    (
        nodes,
        vec(running(of_pods), pods),
        vec(group(), GROUPS),
        prop_oneof![1 => Just(Vec::new()), 2 => vec(budget(), 0..=2)],
        prop::bool::weighted(0.8),
    )
        .prop_map(|(nodes, mut running, groups, budgets, alike)| {
            for (place, one) in running.iter_mut().enumerate() {
                one.pod.uid = format!("running-{place:02}");
                one.node %= nodes.len();
            }
            if alike {
                let mut of_group: BTreeMap<usize, i32> = BTreeMap::new();
                for one in &mut running {
                    if let Some(group) = one.group {
                        let priority = of_group.entry(group).or_insert(one.pod.priority);
                        one.pod.priority = *priority;
                    }
                }
            }
            Scene {
                nodes,
                running,
                groups,
                budgets,
            }
        })
        .boxed()
}

impl Running {
    /// The pod as the cluster has it.
    pub(super) fn compiled(&self, groups: &[Group]) -> CompiledPod {
        let mut pod = self.pod.compiled(&node_name(self.node), 1);
        pod.eviction.started = self.started;
        pod.membership = self.group.map(|place| Membership {
            group: Arc::new(groups[place].reference(place)),
            role: None,
            min: None,
            topology: GangTopology::default(),
            ignored: Box::default(),
        });
        pod
    }

    /// The pod as its group has it.
    pub(super) fn member(&self, group: &Group) -> Member {
        Member {
            priority: self.pod.priority,
            scheduler_name: "berth".into(),
            role: self.role.map(Box::from),
            min: (!group.dialect.has_object()).then_some(group.min),
            topology: GangTopology::default(),
            terminating: self.pod.peers.terminating,
            started: self.started,
            place: Place::Bound { running: true },
        }
    }
}

impl Group {
    pub(super) fn reference(&self, place: usize) -> GroupRef {
        GroupRef {
            dialect: self.dialect,
            namespace: "default".into(),
            name: format!("group-{place}").into(),
        }
    }

    pub(super) fn object(&self, place: usize) -> PodGroup {
        let mut object = json!({
            "metadata": {"name": format!("group-{place}"), "namespace": "default"},
            "spec": {
                "minMember": self.min,
                "minTaskMember": self.roles,
                "schedulingPolicy": {"gang": {"minCount": self.min}},
                "priority": self.priority,
            },
        });
        if self.whole {
            object["spec"]["disruptionMode"] = json!({"all": {}});
        }
        let object: api::PodGroup = serde_json::from_value(object).unwrap();
        PodGroup::compile(self.dialect, "v1", &object)
    }
}

impl Budget {
    pub(super) fn model(&self, place: usize, namespace: &str) -> DisruptionBudget {
        let disrupted: BTreeMap<_, _> = (self.disrupted.iter())
            .map(|place| (format!("running-{place:02}"), "2026-01-01T00:00:00Z"))
            .collect();
        let object = json!({
            "metadata": {"name": format!("budget-{place}"), "namespace": namespace},
            "spec": {"selector": {"matchLabels": {"app": self.app}}},
            "status": {"disruptionsAllowed": self.allowed, "disruptedPods": disrupted},
        });
        let object: api::PodDisruptionBudget = serde_json::from_value(object).unwrap();
        DisruptionBudget::compile(&object)
    }
}

impl Scene {
    pub(super) fn cluster(&self) -> Cluster {
        let mut cluster = Cluster::default();
        for node in &self.nodes {
            cluster.upsert_node(node.model(1));
        }
        for name in NAMESPACES {
            cluster.set_namespace(name, Some(labels(&api::Pairs::default())));
        }
        for one in &self.running {
            cluster.confirm(&one.compiled(&self.groups));
        }
        cluster
    }

    pub(super) fn world(&self) -> World {
        let mut world = World::default();
        for node in &self.nodes {
            world.upsert(node.clone());
        }
        for one in &self.running {
            let at = (node_name(one.node), one.pod.clone());
            world.placed.insert(one.pod.uid.clone(), at);
        }
        for name in NAMESPACES {
            world.namespaces.insert(name.to_owned(), BTreeMap::new());
        }
        world
    }

    pub(super) fn gangs(&self) -> Gangs {
        let mut gangs = Gangs::default();
        for (place, group) in self.groups.iter().enumerate() {
            let reference = Arc::new(group.reference(place));
            let unit = || PodKey(1000 + place as u64);
            if group.known {
                gangs.set_object(group.object(place), unit);
            }
            for one in self.running.iter().filter(|one| one.group == Some(place)) {
                gangs.put(&one.pod.uid, &reference, one.member(group), unit);
            }
        }
        gangs
    }

    pub(super) fn disruption_budgets(&self) -> Budgets {
        let mut budgets = Budgets::default();
        for (place, budget) in self.budgets.iter().enumerate() {
            for namespace in NAMESPACES {
                budgets.set(budget.model(place, namespace));
            }
        }
        budgets
    }

    pub(super) fn running(&self, uid: &str) -> &Running {
        let found = self.running.iter().find(|one| one.pod.uid == uid);
        found.unwrap()
    }
}
