//! The gangs of the demonstration: jobs of pods that run together or not at all, more of them than
//! there is room for, and an urgent one for which another one has to go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use http::Request;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::workload::gpu_pod;

/// The label by which pods name their group.
pub(super) const GROUP: &str = "scheduling.x-k8s.io/pod-group";
/// The label of racks, in one of which each gang must be.
pub(super) const RACK: &str = "example.com/rack";
/// The racks. Each has room for one gang.
pub(super) const RACKS: &[&str] = &["r1", "r2"];
/// How many nodes a rack has.
pub(super) const NODES_OF_RACK: u32 = 4;
/// The pods of a gang. With their GPUs they take a rack.
const WORKERS: usize = 8;
const GPUS: &str = "4";
/// More than a node has.
const TOO_MANY_GPUS: &str = "16";
/// The priority class of the urgent gang.
const URGENT: &str = "urgent";
/// How long a gang runs before it ends because others wait.
const RUN: Duration = Duration::from_millis(400);
/// How often it is looked whether one ends.
const LOOK: Duration = Duration::from_millis(10);

const GROUPS: &str = "/apis/scheduling.x-k8s.io/v1alpha1/namespaces/default/podgroups";

/// A gang, and what was seen of it.
#[derive(Clone, Debug)]
pub(super) struct Gang {
    pub(super) name: String,
    /// Whether it fits some rack.
    pub(super) fits: bool,
    /// Whether it comes when there is no room left, and before all others.
    urgent: bool,
    created: Option<Instant>,
    /// When which pod was bound.
    bound: BTreeMap<String, Instant>,
    ended: Option<Instant>,
    /// Whether that was because it was evicted.
    pub(super) evicted: bool,
    /// The gang whose end made room for it.
    pub(super) after: Option<String>,
    /// Why it waits.
    pub(super) why: String,
}

/// What the watch shows of a pod.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    pub(super) bound: bool,
    /// Whether it was evicted for somebody.
    pub(super) evicted: bool,
    /// Why it is not bound.
    pub(super) why: Option<String>,
}

/// All gangs, in the order in which they are created.
#[derive(Debug, Default)]
pub(super) struct Gangs(Mutex<Vec<Gang>>);

impl Gang {
    /// How many pods it has.
    pub(super) const fn pods(&self) -> usize {
        WORKERS
    }

    /// How many of them are bound, for as long as it has not ended.
    pub(super) fn bound(&self) -> usize {
        self.bound.len()
    }

    /// When all of them were bound.
    pub(super) fn whole(&self) -> Option<Instant> {
        let last = self.bound.values().max().copied();
        last.filter(|_| self.bound.len() == WORKERS)
    }

    /// How long it took from its creation until it was whole.
    pub(super) fn took(&self) -> Option<Duration> {
        let whole = self.whole()?;
        Some(whole.saturating_duration_since(self.created?))
    }

    /// How long it ran until it ended.
    pub(super) fn ran(&self) -> Option<Duration> {
        let ended = self.ended?;
        Some(ended.saturating_duration_since(self.whole()?))
    }

    /// How long it was seen bound in part.
    pub(super) fn in_part(&self) -> Option<Duration> {
        let first = self.bound.values().min()?;
        Some(self.whole()?.saturating_duration_since(*first))
    }

    /// Whether nothing more is expected of it.
    fn settled(&self) -> bool {
        if self.fits {
            self.whole().is_some()
        } else {
            !self.why.is_empty()
        }
    }
}

impl Gangs {
    /// So many that fit a rack, one that fits nowhere, and one that is urgent if the racks are full by
    /// then; none at all without the first.
    pub(super) fn plan(count: u32) -> Self {
        let gang = |name: String, fits| Gang {
            name,
            fits,
            created: None,
            bound: BTreeMap::new(),
            urgent: false,
            ended: None,
            evicted: false,
            after: None,
            why: String::new(),
        };
        let mut gangs: Vec<_> = (1..=count)
            .map(|number| gang(format!("train-{number}"), true))
            .collect();
        if count > 0 {
            // Ahead of those that fit, which must not wait for it.
            gangs.insert(0, gang("train-huge".to_owned(), false));
        }
        if usize::try_from(count).is_ok_and(|count| count >= RACKS.len()) {
            gangs.push(Gang {
                urgent: true,
                ..gang("train-urgent".to_owned(), true)
            });
        }
        Self(Mutex::new(gangs))
    }

    /// What is known of them now.
    pub(super) fn seen(&self) -> Vec<Gang> {
        self.lock().clone()
    }

    /// How many there are, and how many of them are whole or have been.
    pub(super) fn whole(&self) -> (usize, usize) {
        let gangs = self.lock();
        let whole = gangs.iter().filter(|gang| gang.whole().is_some()).count();
        (gangs.len(), whole)
    }

    /// Whether nothing more is expected of any.
    pub(super) fn settled(&self) -> bool {
        self.lock().iter().all(Gang::settled)
    }

    /// Whether nothing more is expected of any but the urgent one.
    fn others_settled(&self) -> bool {
        let gangs = self.lock();
        gangs.iter().all(|gang| gang.urgent || gang.settled())
    }

    /// A pod of a gang was seen.
    pub(super) fn note(&self, gang: &str, pod: &str, shown: Shown) {
        let mut gangs = self.lock();
        let last = gangs.iter().max_by_key(|gang| gang.ended);
        let last = last.filter(|last| last.ended.is_some());
        let last = last.map(|last| last.name.clone());
        let Some(gang) = gangs.iter_mut().find(|held| held.name == gang) else {
            return;
        };
        if shown.bound {
            if gang.bound.is_empty() {
                gang.after = last;
            }
            (gang.bound.entry(pod.to_owned())).or_insert_with(Instant::now);
        }
        if shown.evicted {
            gang.evicted = true;
            gang.ended.get_or_insert_with(Instant::now);
        }
        // One of its pods is told the whole story.
        let story = |why: &String| why.contains(&format!("gang default/{}: ", gang.name));
        if let Some(why) = shown.why.filter(story) {
            gang.why = why;
        }
    }

    /// Creates the gangs, the pods of all of them mixed, and then lets the one that has run for
    /// longest end whenever another one waits. The urgent one comes when nobody waits any more.
    pub(super) async fn run(self: Arc<Self>, client: Client) -> Result<(), anyhow::Error> {
        self.create(&client, false).await?;
        let pods: Api<Pod> = Api::default_namespaced(client.clone());
        while !self.others_settled() {
            tokio::time::sleep(LOOK).await;
            if let Some(name) = self.end_one() {
                let selected = ListParams::default().labels(&format!("{GROUP}={name}"));
                let at_once = DeleteParams::default().grace_period(0);
                let deleted = pods.delete_collection(&at_once, &selected).await;
                deleted.context("cannot delete the pods of a gang")?;
                let request = Request::delete(format!("{GROUPS}/{name}")).body(Vec::new())?;
                let deleted = client.request::<Value>(request).await;
                deleted.context("cannot delete a pod group")?;
            }
        }
        self.create(&client, true).await
    }

    async fn create(&self, client: &Client, urgent: bool) -> Result<(), anyhow::Error> {
        let mut gangs = self.seen();
        gangs.retain(|gang| gang.urgent == urgent);
        if urgent && !gangs.is_empty() {
            let class = json!({ "metadata": { "name": URGENT }, "value": 1000 });
            let class = serde_json::from_value(class).context("this is no priority class")?;
            let classes: Api<PriorityClass> = Api::all(client.clone());
            let made = classes.create(&PostParams::default(), &class).await;
            made.context("cannot create a priority class")?;
        }
        for gang in &gangs {
            let body = serde_json::to_vec(&group(&gang.name)).context("this is no group")?;
            let request = Request::post(GROUPS).body(body)?;
            let made = client.request::<Value>(request).await;
            made.context("cannot create a pod group")?;
        }
        let pods: Api<Pod> = Api::default_namespaced(client.clone());
        for worker in 0..WORKERS {
            for gang in &gangs {
                self.created(&gang.name);
                let pod = serde_json::from_value(pod(gang, worker)).context("this is no pod")?;
                let made = pods.create(&PostParams::default(), &pod).await;
                made.context("cannot create a pod of a gang")?;
            }
        }
        Ok(())
    }

    /// The first pod of a gang is created now, or was before.
    fn created(&self, name: &str) {
        let mut gangs = self.lock();
        if let Some(gang) = gangs.iter_mut().find(|gang| gang.name == name) {
            gang.created.get_or_insert_with(Instant::now);
        }
    }

    /// The gang that ends now, if one does.
    fn end_one(&self) -> Option<String> {
        let mut gangs = self.lock();
        let waits = |gang: &Gang| gang.fits && !gang.urgent && gang.whole().is_none();
        // Whoever ended last left room that somebody has taken by now.
        let room = (gangs.iter()).filter(|gang| gang.ended.is_none() && gang.whole().is_some());
        if !gangs.iter().any(waits) || room.count() < RACKS.len() {
            return None;
        }
        let running = gangs.iter_mut().filter(|gang| gang.ended.is_none());
        let (whole, oldest) = running
            .filter_map(|gang| Some((gang.whole()?, gang)))
            .min_by_key(|(whole, _)| *whole)?;
        if whole.elapsed() < RUN {
            return None;
        }
        oldest.ended = Some(Instant::now());
        Some(oldest.name.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Gang>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn group(name: &str) -> Value {
    json!({
        "apiVersion": "scheduling.x-k8s.io/v1alpha1",
        "kind": "PodGroup",
        "metadata": {
            "name": name,
            "annotations": { "gang.berth.dev/required-topology": RACK },
        },
        "spec": { "minMember": WORKERS },
    })
}

fn pod(gang: &Gang, worker: usize) -> Value {
    let mut spec = gpu_pod(if gang.fits { GPUS } else { TOO_MANY_GPUS });
    spec["tolerations"] = json!([{ "operator": "Exists" }]);
    if gang.urgent {
        spec["priorityClassName"] = json!(URGENT);
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("{}-{worker}", gang.name),
            "labels": { GROUP: gang.name },
        },
        "spec": spec,
    })
}
