//! Taking in what the watches saw.

use std::hash::{BuildHasher, BuildHasherDefault};
use std::sync::Arc;

use rustc_hash::FxHasher;

use super::waiting::{Waiting, WaitingInfo};
use super::waking::{EndedNomination, target_changes, topics};
use super::{Engine, VolumeChange};
use crate::api;
use crate::framework::{ClusterEvent, EventKind, Incoming, PluginSet};
use crate::gang::{Member, Place};
use crate::model::{
    CompiledPod, ControllerKind, Dialect, DisruptionBudget, GroupRef, LabelSelector, Labels,
    Membership, NodeModel, PlacedPod, PodGroup, PodPeers, Requests, Requirement, Time, WaitingPod,
    labels,
};
use crate::queue::{Cause, PodKey, State};

/// What a watch saw.
#[derive(Clone, Debug)]
pub enum Change {
    /// A pod as it is now.
    Pod(Box<api::Pod>),
    /// The pod with this uid is gone.
    PodGone(Box<str>),
    /// A pod that could not be decoded, and why.
    PodUnreadable(Box<api::Meta>, String),
    /// A node as it is now.
    Node(Box<api::Node>),
    /// The node of this name is gone.
    NodeGone(Box<str>),
    /// A node that could not be decoded, and why.
    NodeUnreadable(Box<str>, String),
    /// A namespace as it is now.
    Namespace(Box<api::Namespace>),
    /// The namespace of this name is gone.
    NamespaceGone(Box<str>),
    /// A service as it is now.
    Service(Box<api::Service>),
    /// The service of this namespace and name is gone.
    ServiceGone(Box<str>, Box<str>),
    /// A replication controller as it is now.
    ReplicationController(Box<api::ReplicationController>),
    /// A replica set as it is now.
    ReplicaSet(Box<api::ReplicaSet>),
    /// A stateful set as it is now.
    StatefulSet(Box<api::StatefulSet>),
    /// The controller of this kind, namespace and name is gone.
    ControllerGone(ControllerKind, Box<str>, Box<str>),
    /// A group's object as it is now, read under this version of its API.
    PodGroup(Dialect, &'static str, Box<api::PodGroup>),
    /// The object of this group is gone.
    PodGroupGone(GroupRef),
    /// A group's object that could not be decoded, and why.
    PodGroupUnreadable(GroupRef, String),
    /// Something about claims, volumes and storage classes.
    Volumes(VolumeChange),
    /// A priority class as it is now.
    PriorityClass(Box<api::PriorityClass>),
    /// The priority class of this name is gone.
    PriorityClassGone(Box<str>),
    /// A pod disruption budget as it is now.
    DisruptionBudget(Box<api::PodDisruptionBudget>),
    /// The pod disruption budget of this namespace and name is gone.
    DisruptionBudgetGone(Box<str>, Box<str>),
    /// Whether the API server lets Berth evict pods. Until it is told otherwise it does.
    EvictionRights(bool),
    /// Everything that is watched was listed once: decisions may begin.
    Synced,
}

impl Engine {
    /// Takes in what a watch saw.
    pub fn apply(&mut self, change: Change, now: Time) {
        // What waits changes nothing about who could be evicted.
        if !matches!(&change, Change::Pod(pod) if pod.spec.node_name.is_empty()) {
            self.news += 1;
        }
        match change {
            Change::Pod(pod) => match CompiledPod::compile(&pod) {
                Ok(compiled) => {
                    self.readable_pod(&compiled.reference.uid, now);
                    self.pod(compiled, now);
                }
                Err(error) => {
                    let reason = error.to_string();
                    self.unreadable_pod(&pod.metadata, &pod.spec.node_name, &reason, now);
                }
            },
            Change::PodGone(uid) => self.pod_gone(&uid, now),
            Change::PodUnreadable(meta, reason) => {
                self.unreadable_pod(&meta, &meta.node_name, &reason, now);
            }
            Change::Node(node) => match NodeModel::compile(&node) {
                Ok(model) => {
                    self.quarantined.release_node(&model.name);
                    self.node(model, now);
                }
                Err(error) => self.unreadable_node(&node.metadata.name, &error.to_string(), now),
            },
            Change::NodeGone(name) => {
                self.quarantined.release_node(&name);
                self.node_gone(&name, now);
            }
            Change::NodeUnreadable(name, reason) => self.unreadable_node(&name, &reason, now),
            Change::Namespace(namespace) => {
                let meta = namespace.metadata;
                self.namespace(&meta.name, Some(labels(&meta.labels)), now);
            }
            Change::NamespaceGone(name) => self.namespace(&name, None, now),
            Change::Service(service) => {
                let selector = service.spec.selector.as_ref().map(labels);
                let api::Meta {
                    namespace, name, ..
                } = &service.metadata;
                self.cluster.set_service(namespace, name, selector);
            }
            Change::ServiceGone(namespace, name) => {
                self.cluster.set_service(&namespace, &name, None);
            }
            Change::ReplicationController(controller) => {
                let of_its = (controller.spec.selector.iter())
                    .map(|(key, value)| Requirement::equals(key, value));
                let selector = LabelSelector::of(of_its.collect());
                let kind = ControllerKind::ReplicationController;
                self.controller(kind, &controller.metadata, Some(selector));
            }
            Change::ReplicaSet(set) => {
                let selector = LabelSelector::compile(set.spec.selector.as_ref()).ok();
                self.controller(ControllerKind::ReplicaSet, &set.metadata, selector);
            }
            Change::StatefulSet(set) => {
                let selector = LabelSelector::compile(set.spec.selector.as_ref()).ok();
                self.controller(ControllerKind::StatefulSet, &set.metadata, selector);
            }
            Change::ControllerGone(kind, namespace, name) => {
                self.cluster.set_controller(kind, &namespace, &name, None);
            }
            Change::PodGroup(dialect, version, group) => {
                let group = PodGroup::compile(dialect, version, &group);
                self.pod_group(group, now);
            }
            Change::PodGroupGone(reference) => self.pod_group_gone(&reference, now),
            Change::PodGroupUnreadable(reference, reason) => {
                self.unreadable_pod_group(reference, &reason, now);
            }
            Change::Volumes(change) => self.volume_change(change, now),
            Change::PriorityClass(class) => {
                self.priority_classes
                    .insert(class.metadata.name, class.value);
            }
            Change::PriorityClassGone(name) => {
                self.priority_classes.remove(&name);
            }
            Change::DisruptionBudget(budget) => {
                if self.budgets.set(DisruptionBudget::compile(&budget)) {
                    self.wake_gangs_by_budget();
                }
            }
            Change::DisruptionBudgetGone(namespace, name) => {
                self.budgets.remove(&namespace, &name);
                self.wake_gangs_by_budget();
            }
            Change::EvictionRights(granted) => self.may_evict = granted,
            Change::Synced => {
                self.synced = true;
                self.release_untried(now);
            }
        }
    }

    /// A selector that cannot be used adds nothing to whom the pods are spread with, as if there were
    /// no controller. Source: `plugins/helper.DefaultSelector`.
    fn controller(
        &mut self,
        kind: ControllerKind,
        meta: &api::Meta,
        selector: Option<LabelSelector>,
    ) {
        self.cluster
            .set_controller(kind, &meta.namespace, &meta.name, selector);
    }

    fn namespace(&mut self, name: &str, labels: Option<Labels>, now: Time) {
        let changes = self.cluster.set_namespace(name, labels);
        if !changes.is_empty() {
            self.wake(&ClusterEvent::Namespace(&changes), now);
        }
    }

    fn unreadable_pod(&mut self, meta: &api::Meta, node: &str, reason: &str, now: Time) {
        // One that is placed keeps counting as it last was; one that never could be read closes its
        // node. One that waits is dropped: it cannot be placed as it asked, and must not be placed
        // as if it had asked for less.
        let placed = self.cluster.placed_by_uid(&meta.uid).is_some();
        let node = if placed { "" } else { node };
        let name = format!("{}/{}", meta.namespace, meta.name);
        self.quarantined.pod(&meta.uid, &name, node, reason);
        if !node.is_empty()
            && let Some(model) = self.cluster.close_node(node)
        {
            self.wake(&ClusterEvent::NodeDelete(&model), now);
        }
        self.leave_alone(&meta.uid, now);
    }

    /// A waiting pod is gone, or cannot be read. If it is being bound, only the answer is still
    /// awaited: without it nobody would take the assumption back.
    pub(super) fn leave_alone(&mut self, uid: &str, now: Time) {
        let Some(&key) = self.by_uid.get(uid) else {
            return;
        };
        match self.pods.get_mut(&key).and_then(|pod| pod.binding.as_mut()) {
            Some(binding) => binding.gone = true,
            None => self.give_up(key, now),
        }
    }

    /// Forgets a pod that will not be placed any more.
    pub(super) fn give_up(&mut self, key: PodKey, now: Time) {
        if let Some(pod) = self.drop_waiting(key, now)
            && let Some(ended) = pod.nomination()
        {
            self.nomination_ended(&ended, now);
        }
    }

    pub(super) fn readable_pod(&mut self, uid: &str, now: Time) {
        if let Some(node) = self.quarantined.release_pod(uid)
            && let Some(model) = self.cluster.open_node(&node)
        {
            self.wake(&ClusterEvent::NodeAdd(&model), now);
        }
    }

    // === Pods ===

    fn pod(&mut self, pod: CompiledPod, now: Time) {
        if pod.finished {
            self.pod_gone(&pod.reference.uid, now);
        } else if pod.node.is_empty() {
            self.unbound_pod(pod, now);
        } else {
            self.bound_pod(pod, now);
        }
    }

    fn unbound_pod(&mut self, pod: CompiledPod, now: Time) {
        let profile = self
            .profiles
            .iter()
            .position(|state| *state.profile.name == *pod.scheduler_name);
        let Some(profile) = profile else {
            self.watch_member(&pod, Place::Elsewhere, now);
            return;
        };
        let member = self
            .heeded(profile, pod.membership.as_ref())
            .map(|membership| Member::new(&pod, membership, Place::Elsewhere));
        let Some(waiting) = pod.waiting else {
            return;
        };
        match self.by_uid.get(&pod.reference.uid) {
            Some(&key) => {
                let (version, terminating) = (pod.version, pod.terminating);
                let held = (waiting, pod.placed, pod.peers);
                let membership = pod.membership.zip(member);
                self.update_waiting(key, version, terminating, held, membership, now);
            }
            // The watch is behind: the pod was seen bound already.
            None if self.cluster.placed_by_uid(&pod.reference.uid).is_some() => {}
            None => {
                let key = PodKey(self.next_pod);
                self.next_pod += 1;
                let held_by = self.held_by(profile, &waiting);
                for plugin in held_by.iter() {
                    self.profiles[profile].plugins[plugin.index()].unschedulable(1);
                }
                let info = info(&waiting, !held_by.is_empty());
                self.nominator.set(key, &info.nominated_node);
                let class = self.classes.join(profile, waiting.shape);
                let peers = self.cluster.adopt(&pod.peers);
                self.by_uid.insert(pod.reference.uid.clone(), key);
                let hasher = BuildHasherDefault::<FxHasher>::default();
                let uid = pod.reference.uid.clone();
                let membership = pod.membership.zip(member);
                self.pods.insert(
                    key,
                    Waiting {
                        hash: hasher.hash_one(&*pod.reference.uid),
                        reference: pod.reference,
                        profile,
                        class,
                        peers,
                        version: pod.version,
                        priority: pod.priority,
                        terminating: pod.terminating,
                        info,
                        membership: membership.as_ref().map(|(named, _)| named.clone()),
                        placed: pod.placed,
                        permission: None,
                        binding: None,
                    },
                );
                match membership {
                    None => self.queue.add(key, pod.priority, class, held_by, now),
                    Some((named, member)) => {
                        self.join_gang(key, &uid, (&named, member), held_by, now);
                    }
                }
            }
        }
    }

    /// The PreEnqueue plugins that hold the pod.
    fn held_by(&self, profile: usize, waiting: &WaitingPod) -> PluginSet {
        let mut held_by = PluginSet::default();
        for (index, plugin) in self.profiles[profile].profile.pre_enqueues() {
            if plugin
                .pre_enqueue()
                .is_some_and(|point| point.pre_enqueue(waiting).is_some())
            {
                held_by.insert(index);
            }
        }
        held_by
    }

    fn update_waiting(
        &mut self,
        key: PodKey,
        version: u64,
        terminating: bool,
        (waiting, placed, peers): (WaitingPod, PlacedPod, PodPeers),
        membership: Option<(Membership, Member)>,
        now: Time,
    ) {
        let Some(held) = self.pods.get_mut(&key) else {
            return;
        };
        if version != 0 && version < held.version {
            return;
        }
        held.version = version;
        held.terminating = terminating;
        let old_placed = std::mem::replace(&mut held.placed, placed);
        let old_peers = held.peers;
        held.peers = self.cluster.adopt(&peers);
        self.cluster.dismiss(old_peers);
        // A list that was behind can have left it out.
        if let Some(binding) = held.binding.as_mut().filter(|binding| binding.gone) {
            binding.gone = false;
            if let Some(node) = self.cluster.node_id(&binding.node) {
                let (reference, priority) = (&held.reference, held.priority);
                binding.placed =
                    (self.cluster).assume(reference, priority, &held.placed, held.peers, node);
            }
        }
        let (profile, old_class, was_gated) = (held.profile, held.class, held.info.gated);
        let (peers, binding) = (held.peers, held.binding.is_some());
        let gated = !self.held_by(profile, &waiting).is_empty();
        let Some((_, old_shape)) = self.classes.get(old_class) else {
            return;
        };
        let old_shape = Arc::clone(old_shape);
        let Some(held) = self.pods.get_mut(&key) else {
            return;
        };
        let old_info = std::mem::replace(&mut held.info, info(&waiting, gated));
        let ended = (old_info.nominated_node != waiting.nominated_node).then(|| EndedNomination {
            node: old_info.nominated_node.clone(),
            pod: old_placed,
            peers: old_peers,
            priority: held.priority,
        });
        let old = Incoming {
            shape: &old_shape,
            peers: old_peers,
        };
        let relabelled = self.labels(old_peers) != self.labels(peers);
        let changes = target_changes(&old_shape, &waiting.shape, relabelled, was_gated && !gated);
        // A member of a gang that is of another class listens no longer.
        let reclassed = *old_shape != waiting.shape;
        if reclassed {
            let class = self.classes.join(profile, waiting.shape);
            if let Some(held) = self.pods.get_mut(&key) {
                held.class = class;
            }
            self.classes.leave(old_class);
        }
        self.regroup(key);
        // While it is being bound it counts where it is assumed.
        if !binding {
            (self.nominator).update(key, &old_info.nominated_node, &waiting.nominated_node);
        }
        let changed = changes != [EventKind::TargetPodUpdate] || reclassed;
        if reclassed || old_peers != peers {
            // What it was known by may be given to others.
            self.news += 1;
        }
        if !self.update_member(key, membership, changed, now) {
            if was_gated && !gated {
                let cause = Cause::Event(EventKind::TargetPodGatesEliminated);
                self.queue.ungate(key, cause, now);
            } else {
                self.wake_itself(key, &changes, old, now);
            }
        }
        if let Some(ended) = ended.filter(|ended| !binding && !ended.node.is_empty()) {
            self.nomination_ended(&ended, now);
        }
    }

    /// The pod's classes may have changed.
    fn regroup(&mut self, key: PodKey) {
        let (Some(pod), Some(queued)) = (self.pods.get(&key), self.queue.get(key)) else {
            return;
        };
        let profile = &self.profiles[pod.profile].profile;
        let peers = profile.known_to_others(queued.rejectors, pod.peers);
        if (queued.class, queued.peers) != (pod.class, peers) {
            self.queue.set_class(key, pod.class, peers, |group| {
                topics(&self.profiles, &self.classes, &self.cluster, group)
            });
        }
    }

    /// The pod itself changed in these ways from what it was; one of them may be what it needs.
    fn wake_itself(&mut self, key: PodKey, changes: &[EventKind], old: Incoming<'_>, now: Time) {
        for &kind in changes {
            let Some(queued) = self.queue.get(key) else {
                return;
            };
            if queued.state != State::Unschedulable {
                return;
            }
            let group = queued.group();
            if self.helps(&ClusterEvent::TargetPod(kind, old), &group) {
                self.queue.wake_one(key, Cause::Event(kind), now);
            }
        }
    }

    /// Forgets a pod that waits.
    pub(super) fn drop_waiting(&mut self, key: PodKey, now: Time) -> Option<Waiting> {
        let gang = self.gang_of(key);
        let held = self.end_permission(key, now).is_some();
        self.preemptions.forget(key);
        self.unmark(key);
        self.queue.remove(key);
        self.nominator.remove(key);
        let pod = self.pods.remove(&key)?;
        self.by_uid.remove(&pod.reference.uid);
        self.classes.leave(pod.class);
        self.cluster.dismiss(pod.peers);
        self.discharge_waiting(key, &pod.reference.uid, now);
        if let Some(gang) = gang.filter(|_| held) {
            self.review_permissions(gang, now);
        }
        Some(pod)
    }
}

fn info(waiting: &WaitingPod, gated: bool) -> WaitingInfo {
    WaitingInfo {
        gated,
        nominated_node: waiting.nominated_node.clone(),
        condition: waiting.condition.clone(),
        generation: waiting.generation,
        never_preempts: waiting.never_preempts,
    }
}

/// Whether some amount is smaller than it was, or gone.
pub(super) fn less(old: &Requests, new: &Requests) -> bool {
    old.cpu > new.cpu
        || old.memory > new.memory
        || old.ephemeral_storage > new.ephemeral_storage
        || old
            .scalars
            .iter()
            .any(|(name, amount)| *amount > new.get(name))
}
