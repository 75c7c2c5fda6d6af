//! Nodes that change.

use super::Engine;
use crate::framework::{ClusterEvent, EventKind, node_changes};
use crate::model::{NodeModel, Time};

impl Engine {
    pub(super) fn node(&mut self, model: NodeModel, now: Time) {
        let Some(change) = self.cluster.upsert_node(model) else {
            return;
        };
        match (&change.old, &change.new) {
            (None, Some(new)) => {
                self.wake(&ClusterEvent::NodeAdd(new), now);
                self.wake_gangs_by_topology(EventKind::NodeAdd);
            }
            (Some(old), Some(new)) => {
                for kind in node_changes(old, new) {
                    self.wake(&ClusterEvent::NodeUpdate(kind, old, new), now);
                    if kind == EventKind::NodeLabel {
                        self.wake_gangs_by_topology(kind);
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn node_gone(&mut self, name: &str, now: Time) {
        if let Some(old) = self.cluster.remove_node(name).and_then(|change| change.old) {
            self.wake(&ClusterEvent::NodeDelete(&old), now);
            self.take_back_from(name, now);
        }
    }

    pub(super) fn unreadable_node(&mut self, name: &str, reason: &str, now: Time) {
        self.quarantined.node(name, reason);
        self.node_gone(name, now);
    }
}
