//! What behaviour tests are written with: a cluster of their own, the scheduler under test, and waits that tell what
//! happened instead when they fail.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, PodCondition};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::controlplane::SchedulerOptions;
use crate::objects::{NodeBuilder, PodBuilder};
use crate::pool::Lease;
use crate::{ControlPlane, Options, Scheduler, SchedulerKind};

/// How long something may take that normally takes milliseconds. Far below the five minutes after which a scheduler
/// retries what no event woke up, so nothing here succeeds for that reason.
pub const LIMIT: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// The schedulerName of pods that do not name one.
pub const NAME: &str = "e2e";

/// A cluster for one test: an empty control plane, and the scheduler under test once it is started.
pub struct Cluster {
    // The scheduler ends before its control plane is given back.
    scheduler: Option<Scheduler>,
    client: Client,
    lease: Lease,
}

impl Cluster {
    /// An empty cluster. Nodes are best made before the scheduler starts, so that it knows all of them at once.
    pub async fn new() -> Result<Self> {
        Self::with(Lease::take().await?)
    }

    /// An empty cluster whose control plane the test may stop.
    pub async fn for_disruption() -> Result<Self> {
        Self::with(Lease::take_for_disruption().await?)
    }

    /// An empty cluster on a control plane that is started with these options, for this test alone.
    pub async fn with_options(options: Options) -> Result<Self> {
        Self::with(Lease::take_with(options).await?)
    }

    /// An empty cluster that has PodGroups of Kubernetes, of scheduler-plugins and of Volcano.
    pub async fn with_pod_groups() -> Result<Self> {
        Self::with(Lease::take_with_pod_groups().await?)
    }

    /// Two empty clusters, to do the same in both.
    pub async fn pair() -> Result<[Self; 2]> {
        let [one, other] = Lease::take_pair().await?;
        Ok([Self::with(one)?, Self::with(other)?])
    }

    fn with(lease: Lease) -> Result<Self> {
        Ok(Self {
            scheduler: None,
            client: lease.client()?,
            lease,
        })
    }

    /// The control plane.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.lease
    }

    /// The control plane, to stop and start parts of it.
    pub fn control_plane_mut(&mut self) -> &mut ControlPlane {
        &mut self.lease
    }

    /// An administrator's client.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Starts the scheduler under test for pods of [`NAME`].
    pub async fn start_scheduler(&mut self) -> Result<()> {
        self.start_scheduler_as(&[NAME]).await
    }

    /// Starts the scheduler under test for pods with these schedulerNames.
    pub async fn start_scheduler_as(&mut self, names: &[&str]) -> Result<()> {
        self.start_scheduler_with(names, SchedulerOptions::default())
            .await
    }

    /// Starts the scheduler under test with further options.
    pub async fn start_scheduler_with(
        &mut self,
        names: &[&str],
        options: SchedulerOptions,
    ) -> Result<()> {
        self.start_scheduler_of(SchedulerKind::under_test()?, names, options)
            .await
    }

    /// Starts a certain scheduler instead of the one under test.
    pub async fn start_scheduler_of(
        &mut self,
        kind: SchedulerKind,
        names: &[&str],
        options: SchedulerOptions,
    ) -> Result<()> {
        self.scheduler = Some(Scheduler::start_with(kind, &self.lease, names, options).await?);
        Ok(())
    }

    /// The scheduler under test.
    pub fn scheduler(&mut self) -> Result<&mut Scheduler> {
        self.scheduler
            .as_mut()
            .context("the test has started no scheduler")
    }

    /// Takes the scheduler under test out of the cluster.
    pub fn take_scheduler(&mut self) -> Result<Scheduler> {
        self.scheduler
            .take()
            .context("the test has started no scheduler")
    }

    /// Pods of the namespace `default`.
    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client(), "default")
    }

    /// Nodes.
    pub fn nodes(&self) -> Api<Node> {
        Api::all(self.client())
    }

    /// Makes a node.
    pub async fn node(&self, node: NodeBuilder) -> Result<Node> {
        Ok(self
            .nodes()
            .create(&PostParams::default(), &node.build()?)
            .await?)
    }

    /// Makes several nodes.
    pub async fn create_nodes(&self, nodes: impl IntoIterator<Item = NodeBuilder>) -> Result<()> {
        for node in nodes {
            self.node(node).await?;
        }
        Ok(())
    }

    /// Makes a pod, for the scheduler under test unless it names another one.
    pub async fn pod(&self, pod: PodBuilder) -> Result<Pod> {
        let pod = if pod.has_scheduler() {
            pod
        } else {
            pod.scheduler(NAME)
        };
        let pod = pod.build()?;
        let namespace = pod.namespace().unwrap_or_else(|| "default".to_owned());
        let pods: Api<Pod> = Api::namespaced(self.client(), &namespace);
        let start = Instant::now();
        loop {
            match pods.create(&PostParams::default(), &pod).await {
                // Admission learns of new priority classes and namespaces from watches of its own.
                Err(kube::Error::Api(status))
                    if start.elapsed() < LIMIT
                        && (status.message.contains("no PriorityClass with name")
                            || status.message.contains("RuntimeClass")) =>
                {
                    tokio::time::sleep(POLL).await;
                }
                result => return Ok(result?),
            }
        }
    }

    /// Makes a pod and has another scheduler bind it to a node.
    pub async fn pod_on(&self, pod: PodBuilder, node: &str) -> Result<()> {
        let pod = self.pod(pod.scheduler("other-scheduler")).await?;
        self.bind_as_other_scheduler(&pod.name_any(), node).await
    }

    /// Binds a pod of `default` to a node, as a scheduler other than the one under test.
    pub async fn bind_as_other_scheduler(&self, pod: &str, node: &str) -> Result<()> {
        let body = serde_json::to_vec(&json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod, "namespace": "default"},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }))?;
        let request = http::Request::post(format!("/api/v1/namespaces/default/pods/{pod}/binding"))
            .header("Content-Type", "application/json")
            .body(body)?;
        self.client.request_text(request).await?;
        Ok(())
    }

    /// Makes a namespace.
    pub async fn namespace(&self, name: &str) -> Result<()> {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        let namespaces: Api<Namespace> = Api::all(self.client());
        namespaces
            .create(&PostParams::default(), &namespace)
            .await?;
        Ok(())
    }

    /// Makes a priority class.
    pub async fn priority_class(&self, name: &str, value: i32) -> Result<()> {
        let class: PriorityClass =
            serde_json::from_value(json!({"metadata": {"name": name}, "value": value}))?;
        let classes: Api<PriorityClass> = Api::all(self.client());
        classes.create(&PostParams::default(), &class).await?;
        Ok(())
    }

    /// Deletes a pod of `default` without grace.
    pub async fn delete_pod(&self, name: &str) -> Result<()> {
        let parameters = DeleteParams::default().grace_period(0);
        self.pods().delete(name, &parameters).await?;
        Ok(())
    }

    /// Changes a pod of `default` with a merge patch.
    pub async fn patch_pod(&self, name: &str, patch: Value) -> Result<Pod> {
        let patch = Patch::Merge(patch);
        Ok(self
            .pods()
            .patch(name, &PatchParams::default(), &patch)
            .await?)
    }

    /// Lets a pod of `default` end as if its containers had exited with success.
    pub async fn finish_pod(&self, name: &str) -> Result<()> {
        self.patch_pod_status(name, json!({"phase": "Succeeded"}))
            .await
    }

    /// Changes the status of a pod of `default` with a merge patch.
    pub async fn patch_pod_status(&self, name: &str, patch: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"status": patch}));
        self.pods()
            .patch_status(name, &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// Changes a node with a merge patch.
    pub async fn patch_node(&self, name: &str, patch: Value) -> Result<()> {
        let patch = Patch::Merge(patch);
        self.nodes()
            .patch(name, &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// Changes the status of a node with a merge patch.
    pub async fn patch_node_status(&self, name: &str, patch: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"status": patch}));
        self.nodes()
            .patch_status(name, &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// Deletes a node.
    pub async fn delete_node(&self, name: &str) -> Result<()> {
        self.nodes().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until a pod of `default` is bound and returns the name of its node.
    pub async fn wait_bound(&self, pod: &str) -> Result<String> {
        let bound = |pod: &Pod| node_of(pod).map(str::to_owned);
        self.wait_pod(pod, "bound", bound).await
    }

    /// Waits until a pod of `default` has the condition PodScheduled=False of a scheduler, and returns it.
    pub async fn wait_unschedulable(&self, pod: &str) -> Result<PodCondition> {
        let refused = |pod: &Pod| {
            scheduled_condition(pod)
                .filter(|condition| {
                    condition.status == "False"
                        && condition.reason.as_deref() != Some("SchedulingGated")
                })
                .cloned()
        };
        self.wait_pod(pod, "refused", refused).await
    }

    /// Waits until the message of the condition PodScheduled is exactly this text.
    pub async fn wait_message(&self, pod: &str, message: &str) -> Result<PodCondition> {
        let has_message = |pod: &Pod| {
            scheduled_condition(pod)
                .filter(|condition| condition.message.as_deref() == Some(message))
                .cloned()
        };
        self.wait_pod(pod, &format!("refused with {message:?}"), has_message)
            .await
    }

    /// Waits until `look` finds something in a pod of `default`.
    pub async fn wait_pod<T>(
        &self,
        name: &str,
        what: &str,
        look: impl Fn(&Pod) -> Option<T>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            let pod = self.pods().get(name).await?;
            if let Some(found) = look(&pod) {
                return Ok(found);
            }
            if start.elapsed() > LIMIT {
                let state = match (node_of(&pod), scheduled_condition(&pod)) {
                    (Some(node), _) => format!("it is bound to {node}"),
                    (None, Some(condition)) => format!("its condition is {condition:?}"),
                    (None, None) => "it is pending without a condition".to_owned(),
                };
                return Err(
                    self.failure(&format!("pod {name} was not {what} in {LIMIT:?}; {state}"))
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until `count` pods of `default` with this label (`key=value`) are bound, and returns all of them.
    pub async fn wait_all_bound(&self, label: &str, count: usize) -> Result<Vec<Pod>> {
        let start = Instant::now();
        loop {
            let pods = self
                .pods()
                .list(&ListParams::default().labels(label))
                .await?
                .items;
            let bound = pods.iter().filter(|pod| node_of(pod).is_some()).count();
            if bound == count && pods.len() == count {
                return Ok(pods);
            }
            if start.elapsed() > 2 * LIMIT {
                return Err(self.failure(&format!(
                    "{bound} of {} pods with {label} are bound after {:?}, not {count}",
                    pods.len(),
                    2 * LIMIT
                )));
            }
            tokio::time::sleep(5 * POLL).await;
        }
    }

    /// Waits until `look` returns something; `what` tells what was waited for.
    pub async fn eventually<T>(
        &self,
        what: &str,
        mut look: impl AsyncFnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            let result = look().await;
            match result {
                Ok(Some(found)) => return Ok(found),
                Ok(None) | Err(_) if start.elapsed() < LIMIT => tokio::time::sleep(POLL).await,
                Ok(None) => return Err(self.failure(&format!("no {what} in {LIMIT:?}"))),
                Err(error) => {
                    return Err(self.failure(&format!("no {what} in {LIMIT:?}: {error:#}")));
                }
            }
        }
    }

    /// The events about a pod of `default`, in the order of their times.
    pub async fn events(&self, pod: &str) -> Result<Vec<Event>> {
        let events: Api<Event> = Api::namespaced(self.client(), "default");
        let parameters = ListParams::default().fields(&format!("regarding.name={pod}"));
        let mut events = events.list(&parameters).await?.items;
        events.sort_by_key(|event| event.event_time.clone());
        Ok(events)
    }

    /// Waits for an event about a pod of `default` with this reason.
    pub async fn wait_event(&self, pod: &str, reason: &str) -> Result<Event> {
        self.eventually(&format!("event {reason} about pod {pod}"), async || {
            let events = self.events(pod).await?;
            Ok(events
                .into_iter()
                .find(|event| event.reason.as_deref() == Some(reason)))
        })
        .await
    }

    /// Waits until the scheduler's cache holds this many nodes, for tests that change nodes while it runs.
    pub async fn wait_cached_nodes(&self, count: usize) -> Result<()> {
        let scheduler = self
            .scheduler
            .as_ref()
            .context("the test has started no scheduler")?;
        let line = format!("scheduler_cache_size{{type=\"nodes\"}} {count}");
        self.eventually(&format!("line {line:?} in the metrics"), async || {
            let metrics = scheduler.metrics().await?;
            Ok(metrics.lines().any(|found| found == line).then_some(()))
        })
        .await
    }

    /// Fails unless a pod of `default` was left alone: no node, no condition of a scheduler, no event.
    pub async fn check_untouched(&self, name: &str) -> Result<()> {
        let pod = self.pods().get(name).await?;
        let condition = scheduled_condition(&pod)
            .filter(|condition| condition.reason.as_deref() != Some("SchedulingGated"));
        let events = self.events(name).await?;
        if node_of(&pod).is_some() || condition.is_some() || !events.is_empty() {
            bail!(
                "pod {name} should have been left alone: node {:?}, condition {condition:?}, events {events:?}",
                node_of(&pod)
            );
        }
        Ok(())
    }

    /// An error that ends with what the scheduler has last written.
    fn failure(&self, text: &str) -> anyhow::Error {
        match &self.scheduler {
            Some(scheduler) => anyhow!(
                "{text}\n--- the end of what the scheduler wrote:\n{}",
                scheduler.stderr_tail()
            ),
            None => anyhow!("{text}"),
        }
    }
}

impl Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Cluster")
            .field("scheduler", &self.scheduler)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

impl SchedulerKind {
    /// The scheduler that the tests are about: Berth, or kube-scheduler with `E2E_SCHEDULER=kube-scheduler`, which
    /// proves that the tests expect what kube-scheduler does.
    pub fn under_test() -> Result<Self> {
        match std::env::var("E2E_SCHEDULER").as_deref() {
            Err(_) | Ok("" | "berth") => Ok(Self::Berth),
            Ok("kube-scheduler") => Ok(Self::KubeScheduler),
            Ok(other) => {
                bail!("E2E_SCHEDULER is {other:?}; it can be \"berth\" or \"kube-scheduler\"")
            }
        }
    }
}

/// The node of a pod.
pub fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// The condition PodScheduled of a pod.
pub fn scheduled_condition(pod: &Pod) -> Option<&PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == "PodScheduled")
}

/// The sum of all samples of a metric whose labels contain all of these (`name="value"`).
pub fn metric(page: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let mut found = None;
    for line in page.lines() {
        let Some(rest) = line.strip_prefix(name) else {
            continue;
        };
        if !rest.starts_with(['{', ' ']) || !labels.iter().all(|label| rest.contains(label)) {
            continue;
        }
        let value: f64 = rest.rsplit(' ').next()?.parse().ok()?;
        found = Some(found.unwrap_or(0.0) + value);
    }
    found
}

/// Fails with both values unless they are equal; for comparisons inside helpers that return errors.
pub fn check_equal<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Result<()> {
    if found != expected {
        bail!("{what}: expected {expected:?}, found {found:?}");
    }
    Ok(())
}
