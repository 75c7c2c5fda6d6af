//! Pods that are bound, by whomever: they count where they are.

use super::Engine;
use super::changes::less;
use crate::cluster::{PeerId, PlacedId, PlacedRecord};
use crate::framework::{AssignedPod, ClusterEvent, EventKind};
use crate::gang::Place;
use crate::model::{CompiledPod, Labels, Time};

impl Engine {
    pub(super) fn bound_pod(&mut self, pod: CompiledPod, now: Time) {
        let uid = &pod.reference.uid;
        let held = self
            .cluster
            .placed_by_uid(uid)
            .and_then(|id| self.cluster.placed(id));
        if held.is_some_and(|held| pod.version != 0 && held.version > pod.version) {
            return;
        }
        let old = self.cluster.confirm(&pod);
        let running = pod.running;
        self.watch_member(&pod, Place::Bound { running }, now);
        // A bind of ours that is still unanswered is counted and reported when the answer comes.
        if let Some(&key) = self.by_uid.get(uid) {
            let binding = self.pods.get_mut(&key).and_then(|pod| pod.binding.as_mut());
            match (binding, self.cluster.placed_by_uid(uid)) {
                (Some(binding), Some(id)) => binding.placed = id,
                _ => {
                    self.drop_waiting(key, now);
                }
            }
        }
        self.placed_pod_changed(old, &pod, now);
    }

    fn placed_pod_changed(&mut self, old: Option<PlacedRecord>, pod: &CompiledPod, now: Time) {
        let uid = &pod.reference.uid;
        let id = self.cluster.placed_by_uid(uid);
        let Some(record) = id.and_then(|id| self.cluster.placed(id)) else {
            return;
        };
        let new = AssignedPod {
            pod: &pod.placed,
            peers: record.peers,
            node: record.node,
        };
        let Some(record) = old else {
            self.wake(&ClusterEvent::AssignedPodAdd(new), now);
            return;
        };
        let old = AssignedPod::from(&record);
        if old.node != new.node {
            self.wake(&ClusterEvent::AssignedPodDelete(old), now);
        }
        if old.node != new.node || record.assumed {
            self.wake(&ClusterEvent::AssignedPodAdd(new), now);
        }
        if old.node == new.node {
            let is_victim = self.preemptions.is_victim(&record.reference.uid);
            for kind in self.placed_changes(old, new) {
                let event = ClusterEvent::AssignedPodUpdate(kind, old, new);
                self.wake_but(is_victim, &event, now);
            }
        }
    }

    /// What changed about a pod that stays on its node. Source:
    /// `framework.PodSchedulingPropertiesChange`.
    fn placed_changes(&self, old: AssignedPod<'_>, new: AssignedPod<'_>) -> Vec<EventKind> {
        let mut changes = Vec::new();
        if self.labels(old.peers) != self.labels(new.peers) {
            changes.push(EventKind::AssignedPodLabel);
        } else if old.peers != new.peers {
            changes.push(EventKind::AssignedPodUpdate);
        }
        if less(&old.pod.held, &new.pod.held) {
            changes.push(EventKind::AssignedPodScaleDown);
        }
        changes
    }

    pub(super) fn labels(&self, peers: PeerId) -> &Labels {
        self.cluster.labels_of(peers)
    }

    pub(super) fn pod_gone(&mut self, uid: &str, now: Time) {
        self.readable_pod(uid, now);
        self.leave_alone(uid, now);
        self.discharge(uid, now);
        if let Some(id) = self.cluster.placed_by_uid(uid) {
            self.free(id, now);
        }
        self.victim_gone(uid, now);
    }

    /// Takes a placed pod off its node and tells those that wait for room.
    pub(super) fn free(&mut self, id: PlacedId, now: Time) {
        if let Some(record) = self.cluster.remove(id) {
            // The room of a victim is for whom it was evicted: those that wait for victims of their own
            // are not asked.
            let is_victim = self.preemptions.is_victim(&record.reference.uid);
            let gone = ClusterEvent::AssignedPodDelete((&record).into());
            self.wake_but(is_victim, &gone, now);
        }
    }
}
