//! What the API server tells about pods and events, as watches bring it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Pods by namespace and name, and the events about them.
#[derive(Debug, Default)]
pub struct View {
    pods: HashMap<String, Pod>,
    events: HashMap<String, HashMap<String, Event>>,
}

impl View {
    /// A pod by `namespace/name`.
    pub fn pod(&self, key: &str) -> Option<&Pod> {
        self.pods.get(key)
    }

    /// The events about a pod, in no order.
    pub fn events(&self, key: &str) -> impl Iterator<Item = &Event> {
        self.events
            .get(key)
            .into_iter()
            .flat_map(|events| events.values())
    }
}

/// A [`View`] that follows the API server until it is dropped.
#[derive(Debug)]
pub struct Board {
    view: Arc<Mutex<View>>,
    changed: watch::Receiver<()>,
    tasks: [JoinHandle<()>; 2],
}

impl Board {
    /// Begins to follow.
    pub fn new(client: &Client) -> Self {
        let view = Arc::new(Mutex::new(View::default()));
        let (sender, changed) = watch::channel(());
        let pods = follow(
            Api::<Pod>::all(client.clone()),
            &view,
            &sender,
            |view, change| match change {
                watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => {
                    view.pods.insert(key(&pod), pod);
                }
                watcher::Event::Delete(pod) => {
                    view.pods.remove(&key(&pod));
                }
                watcher::Event::Init => view.pods.clear(),
                watcher::Event::InitDone => {}
            },
        );
        let events = follow(
            Api::<Event>::all(client.clone()),
            &view,
            &sender,
            |view, change| {
                if let watcher::Event::Apply(event) | watcher::Event::InitApply(event) = change {
                    let regarding = event.regarding.as_ref();
                    let namespace = regarding.and_then(|pod| pod.namespace.as_deref());
                    let name = regarding.and_then(|pod| pod.name.as_deref());
                    let key = format!("{}/{}", namespace.unwrap_or(""), name.unwrap_or(""));
                    let events = view.events.entry(key).or_default();
                    events.insert(event.name_any(), event);
                }
            },
        );
        Self {
            view,
            changed,
            tasks: [pods, events],
        }
    }

    /// Forgets all events, since pods come with ever new names.
    pub fn forget_events(&self) {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.events.clear();
    }

    /// Waits until `look` finds something; when it does not in time, the error says what `explain` finds.
    pub async fn wait<T>(
        &self,
        limit: Duration,
        look: impl Fn(&View) -> Option<T>,
        explain: impl Fn(&View) -> String,
    ) -> Result<T> {
        let start = Instant::now();
        let mut changed = self.changed.clone();
        loop {
            changed.mark_unchanged();
            {
                let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(found) = look(&view) {
                    return Ok(found);
                }
                if start.elapsed() > limit {
                    bail!("{} after {limit:?}", explain(&view));
                }
            }
            // Either something changed, or it is time to give up.
            let left = limit.saturating_sub(start.elapsed()) + Duration::from_millis(1);
            let _ = tokio::time::timeout(left, changed.changed()).await;
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn key(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())
}

fn follow<K>(
    api: Api<K>,
    view: &Arc<Mutex<View>>,
    sender: &watch::Sender<()>,
    apply: impl Fn(&mut View, watcher::Event<K>) + Send + 'static,
) -> JoinHandle<()>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let (view, sender) = (Arc::clone(view), sender.clone());
    tokio::spawn(async move {
        let mut changes = std::pin::pin!(watcher(api, watcher::Config::default()));
        // After an error the stream goes on with a new watch or list.
        loop {
            match changes.try_next().await {
                Ok(Some(change)) => {
                    apply(
                        &mut view.lock().unwrap_or_else(PoisonError::into_inner),
                        change,
                    );
                    sender.send_replace(());
                }
                Ok(None) => return,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    })
}
