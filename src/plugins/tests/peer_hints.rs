//! Hints that kube-scheduler v1.37.1 gave when its own InterPodAffinity and PodTopologySpread were
//! asked, with the feature gates at their defaults.
//!
//! Each line of `hints.jsonl` is what `peers.jsonl` has of a cluster but for nodes and pods, with
//! the pods that were asked about. Of each there are events, with the object before and after, and
//! what both plugins said: `Queue`, `Skip`, an error, or null where the plugin has not registered.

use serde_json::{Value, json};

use super::peers::{cluster, compiled, list, spread_of, text};
use crate::api;
use crate::cluster::{Cluster, NodeId, PeerId};
use crate::framework::{AssignedPod, ClusterEvent, EventKind, Incoming, Plugin};
use crate::model::{CompiledPod, LabelSelector, NodeModel, PodPeers};
use crate::plugins::InterPodAffinity;

fn kind_of(name: &str) -> EventKind {
    let mut kinds = EventKind::ALL.iter().copied();
    kinds.find(|kind| kind.label() == name).unwrap()
}

fn node(value: &Value) -> NodeModel {
    let node: api::Node = serde_json::from_value(value.clone()).unwrap();
    NodeModel::compile(&node).unwrap()
}

/// One event of the file, and who waits.
struct Case<'a> {
    kind: EventKind,
    old: &'a Value,
    new: &'a Value,
    /// The waiting pod, as it is after the event.
    pod: CompiledPod,
}

impl Case<'_> {
    fn hint(&self, plugin: &dyn Plugin, cluster: &mut Cluster) -> bool {
        let peers = cluster.adopt(&self.pod.peers);
        cluster.prepare(peers);
        let shape = &self.pod.waiting.as_ref().unwrap().shape;
        let incoming = Incoming { shape, peers };
        let ask = |event: &ClusterEvent<'_>, cluster: &Cluster| {
            assert_eq!(event.kind(), self.kind);
            plugin.hint(event, incoming, cluster)
        };
        let named = |value: &Value, cluster: &mut Cluster| -> Option<(CompiledPod, PeerId)> {
            let pod = value.is_object().then(|| compiled(value))?;
            let peers = cluster.adopt(&pod.peers);
            Some((pod, peers))
        };
        let name = self.kind.label();
        if name.starts_with("Node") {
            let old = self.old.is_object().then(|| node(self.old));
            let new = self.new.is_object().then(|| node(self.new));
            let event = match (&old, &new) {
                (Some(old), Some(new)) => ClusterEvent::NodeUpdate(self.kind, old, new),
                (Some(old), None) => ClusterEvent::NodeDelete(old),
                (None, Some(new)) => ClusterEvent::NodeAdd(new),
                (None, None) => panic!("no node"),
            };
            return ask(&event, cluster);
        }
        let (old, new) = (named(self.old, cluster), named(self.new, cluster));
        if name.starts_with("Target") {
            let (old, peers) = old.unwrap();
            let shape = &old.waiting.as_ref().unwrap().shape;
            return ask(
                &ClusterEvent::TargetPod(self.kind, Incoming { shape, peers }),
                cluster,
            );
        }
        let placed = |(pod, peers): &'_ (CompiledPod, PeerId)| (pod.placed.clone(), *peers);
        let (old, new) = (old.as_ref().map(placed), new.as_ref().map(placed));
        fn assigned<T>((pod, peers): &(T, PeerId)) -> (&T, PeerId) {
            (pod, *peers)
        }
        let there = |(pod, peers)| AssignedPod {
            pod,
            peers,
            node: NodeId::new(0),
        };
        let event = match (&old, &new) {
            (Some(old), Some(new)) => {
                let (old, new) = (there(assigned(old)), there(assigned(new)));
                ClusterEvent::AssignedPodUpdate(self.kind, old, new)
            }
            (Some(old), None) => ClusterEvent::AssignedPodDelete(there(assigned(old))),
            (None, Some(new)) => ClusterEvent::AssignedPodAdd(there(assigned(new))),
            (None, None) => panic!("no pod"),
        };
        ask(&event, cluster)
    }

    /// Whether the pod may be the first of its group, as far as labels tell.
    fn may_be_first(&self) -> bool {
        let peers = &self.pod.peers;
        let mut terms = peers.affinity.iter();
        !peers.affinity.is_empty() && terms.all(|term| term.pods.selector.matches(&peers.labels))
    }

    /// Whether a pod is helped here though upstream says no.
    fn upstream_forgets(&self, plugin: &str) -> bool {
        let peers = &self.pod.peers;
        match (plugin, self.kind) {
            ("InterPodAffinity", EventKind::NodeAdd) => {
                peers.affinity.is_empty() && peers.anti_affinity.is_empty()
            }
            ("InterPodAffinity", EventKind::AssignedPodDelete | EventKind::NodeLabel) => {
                self.may_be_first()
            }
            ("InterPodAffinity", EventKind::AssignedPodLabel) => {
                self.may_be_first() || peers.anti_affinity.len() > 1
            }
            ("PodTopologySpread", EventKind::NodeLabel) => {
                let shape = &self.pod.waiting.as_ref().unwrap().shape;
                shape.labels_of_nodes().next().is_some()
            }
            ("PodTopologySpread", EventKind::TargetPodLabel) => {
                !peers.has_spread || *peers.spread != *compiled(self.old).peers.spread
            }
            _ => false,
        }
    }

    /// Whether upstream tries a pod again that cannot be helped: what happened is not counted.
    fn is_not_counted(&self, plugin: &str) -> bool {
        let terminating = |pod: &Value| !pod["metadata"]["deletionTimestamp"].is_null();
        let everything = |selector: &LabelSelector| selector.is_everything();
        let mut own = self.pod.peers.spread.iter();
        plugin == "PodTopologySpread"
            && (terminating(self.old)
                || terminating(self.new)
                || own.any(|one| everything(&one.selector)))
    }

    /// Upstream holds selectors of namespaces against none at all.
    fn selects_namespaces(&self) -> bool {
        let others = [self.old, self.new]
            .into_iter()
            .filter(|one| self.kind.label().starts_with("Assigned") && one.is_object());
        let others: Vec<PodPeers> = others.map(|one| compiled(one).peers).collect();
        let terms = |pod: &PodPeers| {
            let mut terms = pod.affinity.iter().chain(&pod.anti_affinity);
            terms.any(|term| !term.pods.namespace_selector.requirements().is_empty())
        };
        !others.is_empty() && others.iter().chain([&self.pod.peers]).any(terms)
    }
}

/// `BERTH_HINTS=FILE` compares another file in its place.
#[test]
fn hints_are_those_of_kube_scheduler_and_what_it_forgets() {
    let given = std::env::var("BERTH_HINTS");
    let lines = given.map_or_else(
        |_| include_str!("hints.jsonl").to_owned(),
        |path| std::fs::read_to_string(path).unwrap(),
    );
    let mut compared = 0;
    for (number, line) in lines.lines().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        let spread = spread_of(&line["args"]["PodTopologySpread"]);
        for asked in list(&line["asked"]) {
            for event in list(&asked["events"]) {
                let (old, new) = (&event["old"], &event["new"]);
                let kind = kind_of(&text(&event["event"]));
                let itself = kind.label().starts_with("Target");
                let pod = compiled(if itself { new } else { &asked["pod"] });
                let case = Case {
                    kind,
                    old,
                    new,
                    pod,
                };
                for plugin in [&InterPodAffinity::default() as &dyn Plugin, &spread] {
                    let name = plugin.name();
                    let theirs = &event[name];
                    let place = json!([number + 1, kind.label(), name, asked["pod"], old, new]);
                    let nowhere = |pod: &Value| {
                        pod.is_object()
                            && kind.label().starts_with("Assigned")
                            && pod["spec"]["nodeName"] == ""
                    };
                    let readable = (case.pod.peers.bad_affinity.is_none())
                        && case.pod.peers.bad_spread.is_none();
                    if theirs.is_null() || nowhere(old) || nowhere(new) || !readable {
                        continue;
                    }
                    if name == "InterPodAffinity" && case.selects_namespaces() {
                        continue;
                    }
                    let helps = case.hint(plugin, &mut cluster(&line, &spread));
                    match (helps, theirs == "Queue") {
                        (true, false) => assert!(case.upstream_forgets(name), "more: {place}"),
                        (false, true) => assert!(case.is_not_counted(name), "less: {place}"),
                        _ => compared += 1,
                    }
                }
            }
        }
    }
    assert!(compared > 300, "{compared} are equal");
}
