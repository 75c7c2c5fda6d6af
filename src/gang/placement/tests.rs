//! Shortcuts of the planner against what the plain way says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use proptest::collection::vec;
use proptest::prelude::*;
use rustc_hash::FxHashSet;

use super::*;
use crate::plugins::testing::arbitrary::{easy_pod, node, node_name, pod};
use crate::plugins::testing::cases;
use crate::plugins::testing::peers::arbitrary::{in_company, in_topology};
use crate::plugins::testing::plain::{PlainNode, PlainPod};
use crate::plugins::{NodeResourcesFit, defaults};

const NAMES: usize = 6;
const ZONE: &str = "topology.kubernetes.io/zone";

#[derive(Clone, Debug)]
struct Case {
    nodes: Vec<PlainNode>,
    running: Vec<(PlainPod, usize)>,
    templates: Vec<PlainPod>,
    /// Template and role.
    members: Vec<(usize, Option<&'static str>)>,
    need: usize,
    roles: BTreeMap<Box<str>, usize>,
    topology: GangTopology,
    /// Whether the profile ignores GPUs.
    ignoring: bool,
}

fn template() -> BoxedStrategy<PlainPod> {
    prop_oneof![3 => easy_pod(), 1 => pod(NAMES)].boxed()
}

fn case(template: BoxedStrategy<PlainPod>) -> impl Strategy<Value = Case> {
    let role = prop::sample::select(vec![None, Some("launcher"), Some("worker")]);
    let key = || prop::option::weighted(0.5, Just(ZONE));
    (
        vec(in_topology(node(NAMES)), 1..=NAMES),
        vec((easy_pod(), 0..NAMES), 0..4),
        vec(template, 1..=3),
        vec((0..3_usize, role), 1..8),
        (1..8_usize, 0..2_usize, 0..3_usize),
        (key(), key()),
        any::<bool>(),
    )
        .prop_map(
            |(nodes, running, templates, members, (need, launchers, workers), keys, ignoring)| {
                let roles = [("launcher", launchers), ("worker", workers)].into_iter();
                Case {
                    nodes,
                    running,
                    need: need.min(members.len()),
                    members: (members.into_iter())
                        .map(|(place, role)| (place % templates.len(), role))
                        .collect(),
                    templates,
                    roles: (roles.filter(|(_, asked)| *asked > 0))
                        .map(|(role, asked)| (role.into(), asked))
                        .collect(),
                    topology: GangTopology {
                        required: keys.0.map(Box::from),
                        preferred: keys.1.map(Box::from).into_iter().collect(),
                    },
                    ignoring,
                }
            },
        )
}

impl Case {
    fn cluster(&self) -> Cluster {
        let mut cluster = Cluster::default();
        for (version, node) in self.nodes.iter().enumerate() {
            cluster.upsert_node(node.model(version as u64 + 1));
        }
        for (place, (pod, node)) in self.running.iter().enumerate() {
            let mut pod = pod.clone();
            pod.uid = format!("running-{place}");
            cluster.confirm(&pod.compiled(&node_name(*node), 1));
        }
        cluster
    }

    fn profile(&self) -> Profile {
        let mut plugins = defaults();
        if self.ignoring {
            let fit = NodeResourcesFit::new(
                Default::default(),
                Vec::new(),
                vec!["nvidia.com/gpu".into()],
                Vec::new(),
            );
            let place =
                (plugins.iter()).position(|(plugin, _)| plugin.name() == "NodeResourcesFit");
            plugins[place.unwrap()].0 = Arc::new(fit);
        }
        Profile::new("berth", plugins)
    }
}

/// The members of a case in a cluster.
struct Gang {
    pods: Vec<crate::model::CompiledPod>,
    peers: Vec<PeerId>,
    classes: Vec<CandidateClass>,
    profile: Profile,
}

impl Gang {
    fn new(case: &Case, cluster: &mut Cluster) -> Self {
        let member = |(place, (template, _)): (usize, &(usize, _))| {
            let mut pod = case.templates[*template].clone();
            pod.uid = format!("member-{place}");
            pod.compiled("", 1)
        };
        let pods: Vec<_> = case.members.iter().enumerate().map(member).collect();
        let peers: Vec<_> = pods.iter().map(|pod| cluster.adopt(&pod.peers)).collect();
        for peer in &peers {
            cluster.prepare(*peer);
        }
        let classes = (case.templates.iter())
            .map(|template| CandidateClass {
                shape: Arc::new(template.compiled("", 1).waiting.unwrap().shape),
                evaluation: Box::default(),
            })
            .collect();
        let profile = case.profile();
        Self {
            pods,
            peers,
            classes,
            profile,
        }
    }

    fn plan(
        &mut self,
        case: &Case,
        cluster: &mut Cluster,
        known_room: Option<usize>,
    ) -> Result<Plan, Box<Refused>> {
        let candidates: Vec<_> = (self.pods.iter().enumerate())
            .map(|(place, pod)| Candidate {
                nominated: None,
                class: case.members[place].0,
                peers: self.peers[place],
                reference: &pod.reference,
                priority: 0,
                placed: &pod.placed,
                hash: place as u64,
                role: case.members[place].1,
            })
            .collect();
        let need = Need {
            pods: case.need,
            roles: case.roles.clone(),
        };
        let request = Request {
            profile: &self.profile,
            nominated: &Nominations::default(),
            candidates: &candidates,
            need: &need,
            topology: &case.topology,
            anchors: &[],
            known_room,
        };
        plan(cluster, &request, &mut self.classes)
    }

    /// How many members like this one a node takes, one after another.
    fn slots(&self, member: usize, class: usize, node: NodeId, cluster: &mut Cluster) -> u32 {
        let Self {
            pods,
            peers,
            classes,
            profile,
        } = self;
        cluster.speculate(|cluster| {
            let mut slots = 0;
            loop {
                let incoming = Incoming {
                    shape: &classes[class].shape,
                    peers: peers[member],
                };
                let mut fresh = Evaluation::default();
                fresh.filter(profile, incoming, cluster);
                if !fresh.feasible().contains(node) || slots > 200 {
                    return (Keep::RollBack, slots);
                }
                let mut reference = (*pods[member].reference).clone();
                reference.uid = format!("slot-{slots}").into();
                let reference = Arc::new(reference);
                let placed = &pods[member].placed;
                cluster.assume(&reference, 0, placed, peers[member], node);
                slots += 1;
            }
        })
    }
}

fn domains(case: &Case) -> BTreeMap<String, Vec<String>> {
    let mut domains: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let known: BTreeMap<_, _> = case.nodes.iter().map(|node| (&node.name, node)).collect();
    for (name, node) in known {
        if let Some(zone) = node.labels.get(ZONE) {
            domains.entry(zone.clone()).or_default().push(name.clone());
        }
    }
    domains
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn a_node_never_takes_more_than_it_is_said_to_have_room_for(
        case in case(in_company(template())),
    ) {
        let mut cluster = case.cluster();
        let gang = Gang::new(&case, &mut cluster);
        for member in 0..case.members.len() {
            let class = case.members[member].0;
            let incoming = Incoming { shape: &gang.classes[class].shape, peers: gang.peers[member] };
            let mut evaluation = Evaluation::default();
            evaluation.filter(&gang.profile, incoming, &cluster);
            let feasible = evaluation.kept_feasible().clone();
            let mut column = vec![0; cluster.node_slots()];
            feasible.iter().for_each(|node| column[node.index()] = u32::MAX);
            gang.profile.room(&gang.classes[class].shape, &cluster, &feasible, &mut column);
            for node in cluster.nodes().clone().iter() {
                let slots = gang.slots(member, class, node, &mut cluster);
                prop_assert!(slots <= column[node.index()], "{} of {:?}", slots, column);
            }
        }
    }

    #[test]
    fn a_gang_is_placed_whole_or_the_cluster_is_as_it_was(
        case in case(in_company(template())),
    ) {
        let mut cluster = case.cluster();
        let mut gang = Gang::new(&case, &mut cluster);
        let before = cluster.state();
        let (placed, assumed) = cluster.placed_counts();
        match gang.plan(&case, &mut cluster, None) {
            Err(refused) => {
                prop_assert_eq!(before, cluster.state());
                prop_assert!(!refused.unchanged);
                let told = refused.fitted.len() + refused.refused.len() + refused.not_reached.len();
                prop_assert_eq!(told, case.members.len());
                let mut fresh = Gang::new(&case, &mut cluster);
                prop_assert_eq!(fresh.plan(&case, &mut cluster, None), Err(refused));
            }
            Ok(plan) => {
                prop_assert!(plan.placed.len() >= case.need);
                for (role, asked) in &case.roles {
                    let of_role = plan.placed.iter().filter(|placed| case.members[placed.candidate].1 == Some(&**role));
                    prop_assert!(of_role.count() >= *asked);
                }
                let new = plan.placed.len();
                prop_assert_eq!(cluster.placed_counts(), (placed + new, assumed + new));
                let mut seen = FxHashSet::default();
                for one in &plan.placed {
                    prop_assert!(seen.insert(one.candidate));
                    let record = cluster.placed(one.placed).unwrap();
                    prop_assert_eq!(record.node, one.choice.node);
                    prop_assert_eq!(&record.reference, &gang.pods[one.candidate].reference);
                }
            }
        }
        cluster.audit();
    }

    #[test]
    fn the_tightest_domain_that_takes_the_gang_is_chosen(mut case in case(template())) {
        case.topology = GangTopology { required: Some(ZONE.into()), preferred: Box::default() };
        let mut cluster = case.cluster();
        let mut gang = Gang::new(&case, &mut cluster);
        let everyone = case.members.len();
        let mut ranked = Vec::new();
        for (zone, nodes) in domains(&case) {
            // The plain way: no other node has the label.
            let mut alone = case.clone();
            for node in &mut alone.nodes {
                if !nodes.contains(&node.name) {
                    node.labels.remove(ZONE);
                }
            }
            let mut in_it = alone.cluster();
            let planned = Gang::new(&alone, &mut in_it).plan(&alone, &mut in_it, None);
            let (mut room, mut all) = (0, 0);
            for class in 0..case.templates.len() {
                let members: Vec<_> = (0..everyone).filter(|at| case.members[*at].0 == class).collect();
                let Some(&first) = members.first() else { continue };
                let slots = nodes.iter().map(|name| {
                    let node = cluster.node_id(name).unwrap();
                    gang.slots(first, class, node, &mut cluster) as usize
                });
                let slots: usize = slots.sum();
                room += slots.min(members.len());
                all += slots;
            }
            let left_over = if room >= everyone { all } else { 0 };
            if planned.is_ok() {
                ranked.push((Reverse(room), left_over, zone));
            }
        }
        ranked.sort();
        let chosen = gang.plan(&case, &mut cluster, None).ok().map(|plan| plan.domain.unwrap().1);
        let expected = ranked.first().map(|(_, _, zone)| Box::from(&**zone));
        prop_assert_eq!(chosen, expected);
    }

    #[test]
    fn what_is_known_of_the_room_hides_nothing(
        mut case in case(template()),
        changes in vec((in_topology(node(NAMES)), any::<bool>(), 0..4_usize), 1..4),
    ) {
        case.topology = GangTopology::default();
        let mut cluster = case.cluster();
        let mut gang = Gang::new(&case, &mut cluster);
        let Err(first) = gang.plan(&case, &mut cluster, None) else { return Ok(()) };
        let (mut known, mut rejectors) = (first.room, first.rejectors);
        for (version, (node, is_node, pod)) in changes.into_iter().enumerate() {
            if is_node {
                cluster.upsert_node(node.model(100 + version as u64));
            } else if let Some(id) = cluster.placed_by_uid(&format!("running-{pod}")) {
                cluster.remove(id);
            }
            let mut copy = cluster.clone();
            let plain = Gang::new(&case, &mut copy).plan(&case, &mut copy, None);
            let Err(refused) = gang.plan(&case, &mut cluster, known) else {
                prop_assert!(plain.is_ok());
                return Ok(());
            };
            let plain = plain.unwrap_err();
            prop_assert_eq!(refused.room, plain.room);
            if refused.unchanged {
                rejectors.union(refused.rejectors);
                // Whoever may make room now is listened to.
                for plugin in plain.rejectors.iter() {
                    prop_assert!(rejectors.contains(plugin), "{}", gang.profile.plugin(plugin).name());
                }
            } else {
                prop_assert_eq!(&*refused, &*plain);
                (known, rejectors) = (refused.room, refused.rejectors);
            }
        }
    }
}
