//! Every column and index of a cluster against one that is built from scratch.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::{Cluster, NodeId, NodeSet, PeerId};
use crate::model::{HostPort, Taint};

impl Cluster {
    /// A cluster of the same nodes and pods, made in one go.
    fn rebuilt(&self) -> Self {
        let mut fresh = Self::default();
        for slot in &self.slots {
            if let Some(model) = &slot.model {
                fresh.upsert_node((**model).clone()).unwrap();
            }
        }
        for name in &self.closed {
            fresh.close_node(name);
        }
        for (_, record) in self.iter_placed() {
            let node = fresh.slot(self.node_name(record.node));
            let peers = PeerId::default();
            fresh.assume(&record.reference, record.priority, &record.pod, peers, node);
        }
        fresh
    }

    fn names(&self, nodes: &NodeSet) -> BTreeSet<String> {
        nodes
            .iter()
            .map(|node| self.node_name(node).to_owned())
            .collect()
    }

    /// What each slot that is in use shows, by name.
    pub(super) fn figures(&self) -> BTreeMap<String, BTreeMap<String, i64>> {
        let used = |node: &NodeId| {
            let slot = &self.slots[node.index()];
            self.by_name.get(&slot.name) == Some(node)
        };
        (0..self.slots.len())
            .map(NodeId::new)
            .filter(used)
            .map(|node| (self.node_name(node).to_owned(), self.figures_of(node)))
            .collect()
    }

    /// The numbers of one slot that are not zero.
    fn figures_of(&self, node: NodeId) -> BTreeMap<String, i64> {
        let at = node.index();
        let mut figures = BTreeMap::from([
            ("allowed".to_owned(), self.allowed_pods()[at]),
            ("pods".to_owned(), self.pod_counts()[at]),
            ("nonzero cpu".to_owned(), self.nonzero_cpu()[at]),
            ("nonzero memory".to_owned(), self.nonzero_memory()[at]),
            (
                "cordoned".to_owned(),
                self.unschedulable().contains(node).into(),
            ),
            ("present".to_owned(), self.nodes().contains(node).into()),
        ]);
        for id in self.resources().ids() {
            let name = self.resources().name(id);
            let columns = [
                ("allocatable", self.resources().allocatable(id)),
                ("requested", self.resources().requested(id)),
                ("free", self.resources().free(id)),
            ];
            for (what, column) in columns {
                figures.insert(format!("{what} {name}"), column[at]);
            }
        }
        figures.retain(|_, figure| *figure != 0);
        figures
    }

    fn taint_sets(&self) -> BTreeMap<Taint, BTreeSet<String>> {
        (self.taints().iter())
            .map(|(taint, nodes)| {
                let mut set = NodeSet::new();
                nodes.add_to(&mut set);
                (taint.clone(), self.names(&set))
            })
            .collect()
    }

    fn label_sets(
        &self,
        labels: &BTreeSet<(String, String)>,
    ) -> BTreeMap<String, BTreeSet<String>> {
        let mut sets = BTreeMap::new();
        for (key, value) in labels {
            let (mut with_key, mut with_value, mut with_values) =
                (NodeSet::new(), NodeSet::new(), NodeSet::new());
            self.labels().with_key(key, &mut with_key);
            self.labels().with_value(key, value, &mut with_value);
            self.labels()
                .with_values(key, |one| one == value, &mut with_values);
            assert_eq!(with_value, with_values);
            sets.insert(key.clone(), self.names(&with_key));
            sets.insert(format!("{key}={value}"), self.names(&with_value));
        }
        sets
    }

    fn port_sets(&self, ports: &BTreeSet<HostPort>) -> BTreeMap<HostPort, BTreeSet<String>> {
        (ports.iter())
            .map(|port| {
                let mut nodes = BTreeSet::new();
                self.ports().for_each_conflict(port, |node| {
                    nodes.insert(self.node_name(node).to_owned());
                });
                (port.clone(), nodes)
            })
            .collect()
    }

    pub(super) fn uids_by_node(&self) -> BTreeMap<String, BTreeSet<String>> {
        (self.by_name.iter())
            .map(|(name, node)| {
                let uids = (self.pods_on(*node).iter().enumerate())
                    .map(|(place, id)| {
                        let record = self.placed(*id).expect("a pod on a node is placed");
                        assert_eq!(record.position as usize, place);
                        assert_eq!(record.node, *node);
                        assert_eq!(self.placed_by_uid(&record.reference.uid), Some(*id));
                        record.reference.uid.to_string()
                    })
                    .collect();
                (name.to_string(), uids)
            })
            .collect()
    }

    /// Fails unless everything that can be asked has the answer that a rebuilt cluster gives.
    pub(crate) fn audit(&self) {
        self.audit_peers().unwrap();
        let fresh = self.rebuilt();
        assert_eq!(self.figures(), fresh.figures());
        assert_eq!(self.uids_by_node(), fresh.uids_by_node());
        assert_eq!(self.taint_sets(), fresh.taint_sets());
        assert_eq!(self.node_count(), fresh.node_count());
        assert_eq!(self.node_count(), self.nodes().len());
        assert_eq!(self.placed_counts().0, fresh.placed_counts().0);
        assert_eq!(self.priorities, fresh.priorities);

        let mut labels = BTreeSet::from([("absent".to_owned(), "a".to_owned())]);
        for model in self.slots.iter().filter_map(|slot| slot.model.as_ref()) {
            for (key, value) in &model.labels {
                labels.insert((key.to_string(), value.to_string()));
            }
        }
        assert_eq!(self.label_sets(&labels), fresh.label_sets(&labels));

        let mut ports = BTreeSet::new();
        for (_, record) in self.iter_placed() {
            for port in &record.pod.host_ports {
                ports.insert(port.clone());
                for ip in [HostPort::ANY, "10.9.9.9"] {
                    ports.insert(HostPort {
                        ip: ip.into(),
                        ..port.clone()
                    });
                }
            }
        }
        assert_eq!(self.port_sets(&ports), fresh.port_sets(&ports));

        let assumed = self
            .iter_placed()
            .filter(|(_, record)| record.assumed)
            .count();
        assert_eq!(self.placed_counts().1, assumed);
        for node in &self.free_slots {
            assert!(
                self.figures_of(*node).is_empty(),
                "a free slot has leftovers"
            );
        }
        let used: BTreeSet<NodeId> = self.by_name.values().copied().collect();
        assert!(self.free_slots.iter().all(|node| !used.contains(node)));
        assert_eq!(used.len() + self.free_slots.len(), self.slots.len());
    }
}
