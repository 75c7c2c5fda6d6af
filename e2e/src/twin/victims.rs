//! What becomes of the pods besides the one that is asked about, when room is made for it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;

use super::board::View;
use super::{LIMIT, PROBES, Question, Twins};

/// The node to which a pod is nominated.
pub fn nomination(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.nominated_node_name.as_deref()
}

impl Twins {
    /// Waits until these pods of the namespace `default` are told of as evicted by the scheduler that was asked, until
    /// they are marked and leave or are gone, and until the others are nominated to no node any more.
    pub(super) async fn wait_victims(
        &self,
        question: &Question,
        victims: &[&str],
        freed: &[&str],
    ) -> Result<()> {
        let key = |name: &&str| format!("default/{name}");
        let is_evicted = |view: &View, key: &str| {
            let leaves = view.pod(key).is_none_or(|pod| {
                pod.metadata.deletion_timestamp.is_some() && disruption(question, pod).is_some()
            });
            leaves && question.preempted(view, key).next().is_some()
        };
        let is_free = |view: &View, key: &str| view.pod(key).and_then(nomination).is_none();
        let lacking = |view: &View| {
            let evicted = victims.iter().map(key).filter(|key| !is_evicted(view, key));
            let freed = freed.iter().map(key).filter(|key| !is_free(view, key));
            evicted.chain(freed).collect::<Vec<String>>()
        };
        self.board
            .wait(
                LIMIT,
                |view| lacking(view).is_empty().then_some(()),
                |view| {
                    let lacking = lacking(view);
                    format!("{} has not touched {lacking:?}", question.scheduler)
                },
            )
            .await
    }

    /// Waits until the pod that is asked about is nominated to this node.
    pub(super) async fn wait_nominated(&self, question: &Question, node: &str) -> Result<()> {
        let found = |view: &View| view.pod(&question.key).and_then(nomination) == Some(node);
        self.board
            .wait(
                LIMIT,
                |view| found(view).then_some(()),
                |_| format!("{} nominates no pod to {node}", question.scheduler),
            )
            .await
    }

    /// The pods of the namespace `default` of which an event says that the asked scheduler evicted them.
    pub(super) async fn preempted(&self, question: &Question) -> Result<BTreeSet<String>> {
        let others = self.others(question);
        let is_preempted =
            |view: &View, key: &String| question.preempted(view, key).next().is_some();
        self.look(|view| {
            let names = others.iter().filter(|key| is_preempted(view, key));
            names.map(|key| key.replace("default/", "")).collect()
        })
        .await
    }

    /// What has become of each other pod: whether it leaves, what says why, and whether it is nominated.
    pub(super) async fn fates(&self, question: &Question) -> Result<BTreeMap<String, String>> {
        let others = self.others(question);
        self.look(|view| {
            let fates = others
                .iter()
                .map(|key| (key.clone(), question.fate(view, key)));
            fates.collect()
        })
        .await
    }

    /// The node to which the pod that is asked about is nominated.
    pub(super) async fn nominated(&self, question: &Question) -> Result<Option<String>> {
        self.look(|view| {
            view.pod(&question.key)
                .and_then(nomination)
                .map(str::to_owned)
        })
        .await
    }

    async fn look<T>(&self, look: impl Fn(&View) -> T) -> Result<T> {
        self.board
            .wait(LIMIT, |view| Some(look(view)), |_| String::new())
            .await
    }

    /// All pods that were made besides the one that is asked about, as `namespace/name`.
    fn others(&self, question: &Question) -> Vec<String> {
        let key = |path: &String| {
            let (namespace, name) = path
                .strip_prefix("/api/v1/namespaces/")?
                .split_once("/pods/")?;
            (namespace != PROBES).then(|| format!("{namespace}/{name}"))
        };
        let others = self.made.iter().filter(|path| **path != question.path);
        others.filter_map(key).collect()
    }
}

impl Question {
    /// The events by which the asked scheduler says that it evicted a pod.
    fn preempted<'v>(&self, view: &'v View, key: &str) -> impl Iterator<Item = &'v Event> {
        let by = Some(self.scheduler.clone());
        view.events(key).filter(move |event| {
            event.reason.as_deref() == Some("Preempted") && event.reporting_controller == by
        })
    }

    /// What has become of a pod, without what differs between the two: names and uids of what is asked.
    fn fate(&self, view: &View, key: &str) -> String {
        let mut parts = Vec::new();
        match view.pod(key) {
            None => parts.push("gone".to_owned()),
            Some(pod) => {
                if pod.metadata.deletion_timestamp.is_some() {
                    let grace = pod.metadata.deletion_grace_period_seconds;
                    parts.push(format!("leaving within {grace:?} s"));
                }
                parts.extend(disruption(self, pod));
                parts.extend(nomination(pod).map(|node| format!("nominated to {node}")));
            }
        }
        let asked = view.pod(&self.key);
        let uid = asked.and_then(|pod| pod.metadata.uid.as_deref());
        let events = self.preempted(view, key).map(|event| {
            let note = event.note.as_deref().unwrap_or_default();
            let related = event.related.as_ref().map(|one| {
                let is_asked = one.uid.as_deref() == uid;
                (one.kind.as_deref(), is_asked)
            });
            format!(
                "event {:?}, {:?}, related (kind, is the pod) {related:?}: {}",
                event.type_.as_deref(),
                event.action.as_deref(),
                note.replace(uid.unwrap_or("?"), "UID"),
            )
        });
        let mut events: Vec<String> = events.collect();
        events.sort_unstable();
        parts.extend(events);
        parts.join("; ")
    }
}

/// The condition that says why a pod is disrupted.
fn disruption(question: &Question, pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions
        .iter()
        .find(|condition| condition.type_ == "DisruptionTarget")?;
    let message = condition.message.as_deref().unwrap_or_default();
    Some(format!(
        "{} {} of generation {:?}: {}",
        condition.status,
        condition.reason.as_deref().unwrap_or_default(),
        condition.observed_generation,
        message.replacen(&question.scheduler, "its scheduler", 1),
    ))
}
