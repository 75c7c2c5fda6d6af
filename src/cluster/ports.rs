//! Which host ports are taken where.

use rustc_hash::FxHashMap;

use super::NodeId;
use crate::model::{HostPort, Protocol};

/// Taken host ports, by protocol and number, then by node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortIndex {
    taken: FxHashMap<(Protocol, i32), FxHashMap<NodeId, Vec<Taken>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Taken {
    port: HostPort,
    /// Pods that have it: a static pod and its mirror, or pods bound without asking a scheduler.
    pods: u32,
}

impl PortIndex {
    pub(super) fn take(&mut self, node: NodeId, port: &HostPort) {
        let nodes = self
            .taken
            .entry((port.protocol.clone(), port.port))
            .or_default();
        let taken = nodes.entry(node).or_default();
        match taken.iter_mut().find(|one| one.port == *port) {
            Some(one) => one.pods += 1,
            None => {
                taken.push(Taken {
                    port: port.clone(),
                    pods: 1,
                });
                // Sorted, so that taking and releasing leaves the identical state.
                taken.sort_unstable_by(|a, b| a.port.cmp(&b.port));
            }
        }
    }

    pub(super) fn release(&mut self, node: NodeId, port: &HostPort) {
        let key = (port.protocol.clone(), port.port);
        let Some(nodes) = self.taken.get_mut(&key) else {
            return;
        };
        if let Some(taken) = nodes.get_mut(&node) {
            if let Some(one) = taken.iter_mut().find(|one| one.port == *port) {
                one.pods -= 1;
            }
            taken.retain(|one| one.pods > 0);
            if taken.is_empty() {
                nodes.remove(&node);
            }
        }
        if nodes.is_empty() {
            self.taken.remove(&key);
        }
    }

    /// Calls `visit` for every node on which the port conflicts with a taken one.
    pub fn for_each_conflict(&self, port: &HostPort, mut visit: impl FnMut(NodeId)) {
        if let Some(nodes) = self.taken.get(&(port.protocol.clone(), port.port)) {
            for (&node, taken) in nodes {
                if taken.iter().any(|one| one.port.conflicts(port)) {
                    visit(node);
                }
            }
        }
    }
}
