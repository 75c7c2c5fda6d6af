//! An API server for the engine's tests: the truth, the news of it that are on their way, and the
//! effects that are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::api;
use crate::engine::{Action, Change, ConditionReason, Effect, EffectId, Nomination, Outcome};
use crate::plugins::testing::plain::{PlainNode, PlainPod};

#[derive(Clone, Debug)]
pub(super) struct ServerPod {
    pub(super) pod: PlainPod,
    pub(super) node: String,
    pub(super) terminating: bool,
    pub(super) nominated: String,
    preempted: bool,
    condition: Option<(ConditionReason, String)>,
    version: u64,
}

impl ServerPod {
    fn api(&self) -> api::Pod {
        let mut pod = self.pod.api(&self.node, self.version);
        if self.terminating {
            pod.metadata.deletion_timestamp = Some(serde::de::IgnoredAny);
        }
        pod.status.nominated_node_name = (*self.nominated).into();
        if self.preempted {
            pod.status.conditions.push(api::Condition {
                kind: "DisruptionTarget".into(),
                status: "True".into(),
                reason: "PreemptionByScheduler".into(),
                message: "".into(),
            });
        }
        if let Some((reason, message)) = &self.condition {
            pod.status.conditions.push(api::Condition {
                kind: "PodScheduled".into(),
                status: "False".into(),
                reason: reason.as_str().into(),
                message: (**message).into(),
            });
        }
        pod
    }
}

/// Something a watch will say of pods.
#[derive(Clone, Debug)]
pub(super) enum PodNews {
    Is(Box<api::Pod>),
    Gone(String),
}

#[derive(Default)]
pub(super) struct Server {
    pub(super) nodes: BTreeMap<String, (PlainNode, u64)>,
    pub(super) pods: BTreeMap<String, ServerPod>,
    pod_news: VecDeque<PodNews>,
    /// All that was ever to be said of pods.
    log: Vec<PodNews>,
    node_news: VecDeque<(String, Option<api::Node>)>,
    /// What was told of pods that have not been told to be gone.
    told: BTreeMap<String, Vec<api::Pod>>,
    told_nodes: BTreeSet<String>,
    pub(super) in_lanes: Vec<Effect>,
    answers: Vec<(EffectId, Outcome)>,
    version: u64,
    uids: u64,
    /// A server that is behind can make the engine bind a pod again; otherwise that is wrong.
    pub(super) behind: bool,
    /// Binds that left the engine and were not answered with a failure, by uid.
    binds: BTreeMap<String, EffectId>,
}

fn nth<V>(map: &BTreeMap<String, V>, place: usize) -> Option<String> {
    map.keys().nth(place % map.len().max(1)).cloned()
}

// === What happens at the server ===

impl Server {
    pub(super) fn put_node(&mut self, node: PlainNode) {
        self.version += 1;
        let name = node.name.clone();
        self.node_news
            .push_back((name.clone(), Some(node.api(self.version))));
        self.nodes.insert(name, (node, self.version));
    }

    pub(super) fn drop_node(&mut self, place: usize) {
        if let Some(name) = nth(&self.nodes, place) {
            self.nodes.remove(&name);
            self.node_news.push_back((name, None));
        }
    }

    /// Creates a pod; `node` is empty unless it is bound from the beginning.
    pub(super) fn put_pod(&mut self, mut pod: PlainPod, node: &str) {
        self.uids += 1;
        pod.uid = format!("pod-{}", self.uids);
        let uid = pod.uid.clone();
        let made = ServerPod {
            preempted: false,
            pod,
            node: node.to_owned(),
            terminating: false,
            nominated: String::new(),
            condition: None,
            version: 0,
        };
        self.pods.insert(uid.clone(), made);
        self.changed(&uid);
    }

    fn announce(&mut self, news: PodNews) {
        self.log.push(news.clone());
        self.pod_news.push_back(news);
    }

    fn changed(&mut self, uid: &str) {
        self.version += 1;
        if let Some(pod) = self.pods.get_mut(uid) {
            pod.version = self.version;
            let news = PodNews::Is(Box::new(self.pods[uid].api()));
            self.announce(news);
        }
    }

    pub(super) fn edit(&mut self, place: usize, change: impl FnOnce(&mut ServerPod)) {
        if let Some(uid) = nth(&self.pods, place) {
            self.pods.get_mut(&uid).map(change);
            self.changed(&uid);
        }
    }

    /// Deletes a pod. The watch says of a finished pod the same, since it looks at running ones.
    pub(super) fn delete(&mut self, place: usize) {
        if let Some(uid) = nth(&self.pods, place) {
            self.pods.remove(&uid);
            self.binds.remove(&uid);
            self.announce(PodNews::Gone(uid));
        }
    }

    /// A pod is told to be finished before it is told to be gone.
    pub(super) fn finish(&mut self, place: usize) {
        if let Some(uid) = nth(&self.pods, place) {
            self.version += 1;
            self.pods.get_mut(&uid).unwrap().version = self.version;
            let mut pod = self.pods[&uid].api();
            pod.status.phase = "Succeeded".into();
            self.announce(PodNews::Is(Box::new(pod)));
            self.delete(place);
        }
    }
}

// === What is told ===

impl Server {
    fn tell(&mut self, news: PodNews) -> Change {
        match news {
            PodNews::Is(pod) => {
                let told = self.told.entry(pod.metadata.uid.to_string()).or_default();
                told.push((*pod).clone());
                Change::Pod(pod)
            }
            PodNews::Gone(uid) => {
                self.told.remove(&uid);
                Change::PodGone(uid.into())
            }
        }
    }

    pub(super) fn next_pod_news(&mut self) -> Option<Change> {
        let news = self.pod_news.pop_front()?;
        Some(self.tell(news))
    }

    pub(super) fn next_node_news(&mut self) -> Option<Change> {
        let (name, node) = self.node_news.pop_front()?;
        Some(match node {
            Some(node) => {
                self.told_nodes.insert(name);
                Change::Node(Box::new(node))
            }
            None => {
                self.told_nodes.remove(&name);
                Change::NodeGone(name.into())
            }
        })
    }

    /// Something that was told before, once more.
    pub(super) fn old_news(&self, pod: usize, which: usize) -> Option<Change> {
        let told = &self.told[&nth(&self.told, pod)?];
        let again = told.get(which % told.len().max(1))?;
        (&*again.status.phase != "Succeeded").then(|| Change::Pod(Box::new(again.clone())))
    }

    /// The pod cannot be decoded for once; what it really is follows later.
    pub(super) fn garbled(&mut self, place: usize) -> Option<Change> {
        let uid = nth(&self.pods, place)?;
        let pod = &self.pods[&uid];
        let mut meta = pod.api().metadata;
        meta.node_name = (*pod.node).into();
        // Whatever was on its way is older than this.
        self.pod_news.retain(|news| match news {
            PodNews::Is(pod) => *pod.metadata.uid != *uid,
            PodNews::Gone(gone) => *gone != uid,
        });
        self.changed(&uid);
        self.told.entry(uid).or_default();
        let meta = Box::new(meta);
        Some(Change::PodUnreadable(meta, "garbled".to_owned()))
    }

    /// The watch broke: everything is listed again, and what is not there is gone.
    pub(super) fn relist(&mut self) -> Vec<Change> {
        let mut news = self.relist_pods(0);
        self.node_news.clear();
        for (name, (node, version)) in &self.nodes {
            self.told_nodes.insert(name.clone());
            news.push(Change::Node(Box::new(node.api(*version))));
        }
        for name in &self.told_nodes {
            if !self.nodes.contains_key(name) {
                news.push(Change::NodeGone((**name).into()));
            }
        }
        self.told_nodes.retain(|name| self.nodes.contains_key(name));
        news
    }
}

impl Server {
    /// Whoever was told of anything is gone, and with it what it was about to do: another engine
    /// begins with a list.
    pub(super) fn restart(&mut self) {
        self.in_lanes.clear();
        self.answers.clear();
        self.binds.clear();
        self.told.clear();
        self.told_nodes.clear();
        self.pod_news.clear();
    }

    /// Lists the pods as they were some changes ago, which is what a server that is behind does;
    /// the watch goes on from there.
    pub(super) fn relist_pods(&mut self, behind: usize) -> Vec<Change> {
        let at = self.log.len().saturating_sub(behind);
        let mut listed: BTreeMap<String, Box<api::Pod>> = BTreeMap::new();
        for news in &self.log[..at] {
            match news {
                PodNews::Is(pod) if &*pod.status.phase != "Succeeded" => {
                    listed.insert(pod.metadata.uid.to_string(), pod.clone());
                }
                PodNews::Is(pod) => {
                    listed.remove(&*pod.metadata.uid);
                }
                PodNews::Gone(uid) => {
                    listed.remove(uid);
                }
            }
        }
        self.pod_news = self.log[at..].iter().cloned().collect();
        let gone: Vec<String> = (self.told.keys())
            .filter(|uid| !listed.contains_key(*uid))
            .cloned()
            .collect();
        let mut news: Vec<Change> = (listed.into_values())
            .map(|pod| self.tell(PodNews::Is(pod)))
            .collect();
        news.extend(gone.into_iter().map(|uid| self.tell(PodNews::Gone(uid))));
        news
    }
}

// === What the engine wants ===

impl Server {
    pub(super) fn take(&mut self, effects: &[Effect]) {
        for effect in effects {
            match &effect.action {
                Action::Bind { .. } => {
                    let before = self.binds.insert(uid_of(effect), effect.id);
                    assert!(
                        before.is_none() || self.behind,
                        "{} is bound twice",
                        uid_of(effect)
                    );
                    self.in_lanes.push(effect.clone());
                }
                Action::PatchStatus(_) | Action::Evict(_) => self.in_lanes.push(effect.clone()),
                Action::Emit(_) | Action::PatchGroup(_) => {}
            }
        }
    }

    /// One effect reaches the server; `lost` says that it does not.
    pub(super) fn carry(&mut self, place: usize, lost: bool) {
        if self.in_lanes.is_empty() {
            return;
        }
        let effect = self.in_lanes.remove(place % self.in_lanes.len());
        let uid = uid_of(&effect);
        let failed = |text: &str| Outcome::Failed(text.to_owned());
        let outcome = match (&effect.action, self.pods.get_mut(&uid)) {
            _ if lost => failed("connection refused"),
            (Action::Bind { .. } | Action::PatchStatus(_) | Action::Evict(_), None) => {
                Outcome::PodGone
            }
            (Action::Bind { .. }, Some(pod)) if pod.terminating => failed("is being deleted"),
            (Action::Bind { .. }, Some(pod)) if !pod.node.is_empty() => failed("already assigned"),
            (Action::Bind { node }, Some(pod)) => {
                pod.node = node.to_string();
                pod.condition = None;
                pod.nominated.clear();
                self.changed(&uid);
                Outcome::Done
            }
            (Action::Evict(_), Some(pod)) => {
                pod.terminating = true;
                pod.preempted = true;
                self.changed(&uid);
                Outcome::Done
            }
            (Action::PatchGroup(_), _) => Outcome::Done,
            (Action::PatchStatus(patch), Some(pod)) => {
                if let Some(told) = &patch.condition {
                    pod.condition = Some((told.reason, told.message.to_string()));
                }
                match &patch.nomination {
                    Nomination::Keep => {}
                    Nomination::Clear => pod.nominated.clear(),
                    Nomination::Set(node) => pod.nominated = node.to_string(),
                }
                self.changed(&uid);
                Outcome::Done
            }
            (Action::Emit(_), _) => return,
        };
        if outcome != Outcome::Done && self.binds.get(&uid) == Some(&effect.id) {
            self.binds.remove(&uid);
        }
        self.answers.push((effect.id, outcome));
    }

    pub(super) fn next_answer(&mut self, place: usize) -> Option<(EffectId, Outcome)> {
        (!self.answers.is_empty()).then(|| self.answers.remove(place % self.answers.len()))
    }
}

fn uid_of(effect: &Effect) -> String {
    effect.pod().unwrap().uid.to_string()
}
