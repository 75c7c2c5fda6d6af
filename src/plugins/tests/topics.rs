//! Whoever a hint says yes to listens to the event: asking all pods comes to the same as asking
//! those that listen.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::cluster::{Cluster, PeerId};
use crate::framework::{
    AssignedPod, ClusterEvent, EventKind, Incoming, PluginSet, Profile, Topic, node_changes,
};
use crate::model::{Labels, NodeModel, PodShape};
use crate::plugins::default_profile;
use crate::plugins::testing::arbitrary::{easy_pod, node, node_name, pod};
use crate::plugins::testing::cases;
use crate::plugins::testing::peers::arbitrary::{
    in_company, in_topology, labels, namespace, world,
};
use crate::plugins::testing::plain::{PlainNode, PlainPod};

const NODES: usize = 6;
const NAMESPACES: &[&str] = &["default", "east", "west"];

#[derive(Clone, Debug)]
enum Happens {
    Node(PlainNode),
    NodeGone(usize),
    Bound(Box<PlainPod>, usize),
    Gone(usize),
    Relabelled(usize, crate::plugins::testing::peers::Labels),
    Terminates(usize),
    Namespace(usize, crate::plugins::testing::peers::Labels),
}

fn happens() -> impl Strategy<Value = Happens> {
    let at = any::<usize>;
    prop_oneof![
        3 => in_topology(node(NODES)).prop_map(Happens::Node),
        1 => (0..NODES).prop_map(Happens::NodeGone),
        3 => (in_company(easy_pod()), 0..NODES).prop_map(|(pod, at)| Happens::Bound(Box::new(pod), at)),
        3 => at().prop_map(Happens::Gone),
        2 => (at(), labels()).prop_map(|(pod, labels)| Happens::Relabelled(pod, labels)),
        1 => at().prop_map(Happens::Terminates),
        1 => (0..NAMESPACES.len(), namespace()).prop_map(|(at, one)| Happens::Namespace(at, one)),
    ]
}

/// A pod that waits and what it listens to for each plugin that may have rejected it.
struct Listener {
    shape: PodShape,
    peers: PeerId,
    topics: Vec<Vec<Topic>>,
}

struct Scene {
    cluster: Cluster,
    profile: Profile,
    listeners: Vec<Listener>,
    placed: Vec<(PlainPod, String)>,
    version: u64,
}

impl Scene {
    fn listens(&self, listener: &Listener) -> Vec<Vec<Topic>> {
        let incoming = Incoming {
            shape: &listener.shape,
            peers: listener.peers,
        };
        let topics = self.profile.plugins().map(|(index, _)| {
            let mut rejector = PluginSet::default();
            rejector.insert(index);
            self.profile.topics(rejector, incoming, &self.cluster)
        });
        topics.collect()
    }

    fn tell(&mut self, event: &ClusterEvent<'_>) {
        let about = Topic::of(event, &self.cluster);
        for place in 0..self.listeners.len() {
            let listener = &self.listeners[place];
            let mut helped = false;
            for ((_, plugin), topics) in self.profile.plugins().zip(&listener.topics) {
                let incoming = Incoming {
                    shape: &listener.shape,
                    peers: listener.peers,
                };
                if plugin.events().contains(event.kind())
                    && plugin.hint(event, incoming, &self.cluster)
                {
                    let listens = topics.iter().any(|topic| about.contains(topic));
                    assert!(listens, "{} is deaf to {event:?}", plugin.name());
                    helped = true;
                }
            }
            // Who is helped is tried again, and listens anew.
            if helped {
                self.listeners[place].topics = self.listens(&self.listeners[place]);
            }
        }
    }

    fn node(&mut self, model: NodeModel) {
        let change = self.cluster.upsert_node(model).unwrap();
        let new = change.new.unwrap();
        match &change.old {
            None => self.tell(&ClusterEvent::NodeAdd(&new)),
            Some(old) => {
                for kind in node_changes(old, &new) {
                    self.tell(&ClusterEvent::NodeUpdate(kind, old, &new));
                }
            }
        }
    }

    /// The pod as it is now, and the event that this is.
    fn placed(&mut self, pod: &PlainPod, on: &str, change: Option<EventKind>) {
        self.version += 1;
        let compiled = pod.compiled(on, self.version);
        let old = self.cluster.confirm(&compiled);
        let id = self.cluster.placed_by_uid(&pod.uid).unwrap();
        let record = self.cluster.placed(id).unwrap().clone();
        let new = AssignedPod::from(&record);
        match (&old, change) {
            (Some(old), Some(kind)) => {
                self.tell(&ClusterEvent::AssignedPodUpdate(kind, old.into(), new));
            }
            _ => self.tell(&ClusterEvent::AssignedPodAdd(new)),
        }
    }

    fn step(&mut self, step: Happens) {
        self.version += 1;
        let version = self.version;
        let some = |at: usize, scene: &Self| at % scene.placed.len().max(1);
        match step {
            Happens::Node(node) => self.node(node.model(version)),
            Happens::NodeGone(at) => {
                let change = self.cluster.remove_node(&node_name(at));
                if let Some(old) = change.and_then(|change| change.old) {
                    self.tell(&ClusterEvent::NodeDelete(&old));
                }
            }
            Happens::Bound(mut pod, at) => {
                pod.uid = format!("bound-{version}");
                self.placed(&pod, &node_name(at), None);
                self.placed.push((*pod, node_name(at)));
            }
            Happens::Gone(at) if !self.placed.is_empty() => {
                let (pod, _) = self.placed.swap_remove(some(at, self));
                let id = self.cluster.placed_by_uid(&pod.uid).unwrap();
                let record = self.cluster.remove(id).unwrap();
                self.tell(&ClusterEvent::AssignedPodDelete((&record).into()));
            }
            Happens::Relabelled(at, labels) if !self.placed.is_empty() => {
                let at = some(at, self);
                self.placed[at].0.peers.labels = labels;
                let (pod, on) = self.placed[at].clone();
                self.placed(&pod, &on, Some(EventKind::AssignedPodLabel));
            }
            Happens::Terminates(at) if !self.placed.is_empty() => {
                let at = some(at, self);
                self.placed[at].0.peers.terminating = true;
                let (pod, on) = self.placed[at].clone();
                self.placed(&pod, &on, Some(EventKind::AssignedPodUpdate));
            }
            Happens::Namespace(at, labels) => {
                let boxed = |(key, value): (String, String)| (key.into(), value.into());
                let labels: Labels = labels.into_iter().map(boxed).collect();
                let changes = self.cluster.set_namespace(NAMESPACES[at], Some(labels));
                self.tell(&ClusterEvent::Namespace(&changes));
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn whoever_is_helped_listens(
        world in world(node, easy_pod()),
        pods in vec(in_company(prop_oneof![easy_pod(), pod(NODES)].boxed()), 1..6),
        steps in vec(happens(), 1..12),
    ) {
        let mut scene = Scene {
            cluster: Cluster::default(),
            profile: default_profile("berth"),
            listeners: Vec::new(),
            placed: Vec::new(),
            version: 1,
        };
        for node in world.nodes.values() {
            scene.node(node.model(1));
        }
        for (name, labels) in &world.namespaces {
            let at = NAMESPACES.iter().position(|one| one == name).unwrap();
            scene.step(Happens::Namespace(at, labels.clone()));
        }
        for (on, pod) in world.placed.values() {
            scene.placed(pod, on, None);
            scene.placed.push((pod.clone(), on.clone()));
        }
        for pod in &pods {
            let compiled = pod.compiled("", 1);
            let mut listener = Listener {
                shape: compiled.waiting.unwrap().shape,
                peers: scene.cluster.adopt(&compiled.peers),
                topics: Vec::new(),
            };
            listener.topics = scene.listens(&listener);
            scene.listeners.push(listener);
        }
        for step in steps {
            scene.step(step);
        }
    }
}
