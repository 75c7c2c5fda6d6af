//! What the scenarios are written with: clusters of GPU nodes, gangs of any dialect, and what is expected of them.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::Result;
use e2e::SchedulerKind;
use e2e::harness::{Cluster, NAME, node_of, scheduled_condition};
use e2e::objects::{NodeBuilder, PodBuilder, node, pod};
use e2e::pod_groups::PodGroupApi;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

pub const GPU: &str = "nvidia.com/gpu";

/// The label of nodes in one rack.
pub const RACK: &str = "rack";

/// The label by which the tests find the pods of a gang. No scheduler knows it.
const TEST_LABEL: &str = "e2e-gang";

/// A node with GPUs.
pub fn gpu_node(name: &str, gpus: u32) -> NodeBuilder {
    node(name).capacity(GPU, &gpus.to_string())
}

/// Nodes n0, n1, ... with so many GPUs each.
pub fn gpu_nodes(count: usize, gpus: u32) -> Vec<NodeBuilder> {
    (0..count)
        .map(|number| gpu_node(&format!("n{number}"), gpus))
        .collect()
}

/// A gang: its object and pods.
#[derive(Debug, Clone)]
pub struct Gang {
    pub api: PodGroupApi,
    pub namespace: &'static str,
    pub name: &'static str,
    pub min: u32,
    pub pods: usize,
    pub gpus: u32,
    /// Fields of the object that are merged into it.
    pub more: Value,
}

/// A gang of Kubernetes' own dialect, of so many pods with so many GPUs each.
pub fn gang(name: &'static str, min: u32, pods: usize, gpus: u32) -> Gang {
    Gang {
        api: PodGroupApi::Kubernetes,
        namespace: "default",
        name,
        min,
        pods,
        gpus,
        more: json!({}),
    }
}

impl Gang {
    pub fn api(self, api: PodGroupApi) -> Self {
        Self { api, ..self }
    }

    pub fn namespace(self, namespace: &'static str) -> Self {
        Self { namespace, ..self }
    }

    pub fn min(self, min: u32) -> Self {
        Self { min, ..self }
    }

    /// Adds fields to the object.
    pub fn more(self, more: Value) -> Self {
        Self { more, ..self }
    }

    pub fn in_rack(self) -> Self {
        self.more(json!({"metadata": {"annotations": {"gang.berth.dev/required-topology": RACK}}}))
    }

    pub fn object(&self) -> Value {
        let mut object = self.api.object(self.name, self.min);
        object["metadata"]["namespace"] = json!(self.namespace);
        merge(&mut object, &self.more);
        object
    }

    pub fn pod_name(&self, number: usize) -> String {
        format!("{}-{number}", self.name)
    }

    /// A pod that says that it belongs to the gang.
    pub fn pod(&self, number: usize) -> PodBuilder {
        let pod = pod(&self.pod_name(number))
            .namespace(self.namespace)
            .label(TEST_LABEL, &self.label());
        let pod = match self.gpus {
            0 => pod,
            gpus => pod.request(GPU, &gpus.to_string()),
        };
        self.api.member(pod, self.name)
    }

    /// A pod of a role, which Volcano knows.
    pub fn pod_of_role(&self, number: usize, role: &str) -> PodBuilder {
        let annotations = json!({
            "scheduling.k8s.io/group-name": self.name,
            "volcano.sh/task-spec": role,
        });
        self.pod(number).metadata("annotations", annotations)
    }

    fn label(&self) -> String {
        format!("{:?}-{}", self.api, self.name)
    }
}

fn merge(object: &mut Value, more: &Value) {
    match (object, more) {
        (Value::Object(object), Value::Object(more)) => {
            for (field, value) in more {
                merge(object.entry(field).or_insert(Value::Null), value);
            }
        }
        (object, more) => *object = more.clone(),
    }
}

/// A cluster with the scheduler under test.
pub struct Scene {
    pub cluster: Cluster,
}

impl Scene {
    /// The nodes are there before the scheduler starts.
    pub async fn new(nodes: impl IntoIterator<Item = NodeBuilder>) -> Result<Self> {
        let mut cluster = Cluster::with_pod_groups().await?;
        cluster.create_nodes(nodes).await?;
        cluster.start_scheduler().await?;
        Ok(Self { cluster })
    }

    /// Makes the gang's object.
    pub async fn object(&self, gang: &Gang) -> Result<()> {
        self.cluster.create_object(&gang.object()).await.map(drop)
    }

    /// Makes some of the gang's pods.
    pub async fn pods(&self, gang: &Gang, numbers: Range<usize>) -> Result<()> {
        for number in numbers {
            self.cluster.pod(gang.pod(number)).await?;
        }
        Ok(())
    }

    /// Makes the gang's object and all of its pods.
    pub async fn submit(&self, gang: &Gang) -> Result<()> {
        self.object(gang).await?;
        self.pods(gang, 0..gang.pods).await
    }

    /// Changes how many must run together.
    pub async fn set_min(&self, gang: &Gang, min: u32) -> Result<()> {
        let patch = json!({"spec": gang.api.spec(min)});
        self.cluster.patch_object(&gang.object(), &patch).await?;
        Ok(())
    }

    /// Makes a pod that belongs to no gang and is bound already.
    pub async fn fill(&self, name: &str, gpus: u32, node: &str) -> Result<()> {
        let filler = pod(name).request(GPU, &gpus.to_string());
        self.cluster.pod_on(filler, node).await
    }

    /// The gang's pods by name.
    pub async fn members(&self, gang: &Gang) -> Result<BTreeMap<String, Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client(), gang.namespace);
        let selector = format!("{TEST_LABEL}={}", gang.label());
        let pods = pods.list(&ListParams::default().labels(&selector)).await?;
        let named = |pod: Pod| Some((pod.metadata.name.clone()?, pod));
        Ok(pods.items.into_iter().filter_map(named).collect())
    }

    /// The nodes of those that are bound.
    pub async fn nodes(&self, gang: &Gang) -> Result<BTreeMap<String, String>> {
        let members = self.members(gang).await?.into_iter();
        let placed = |(name, pod): (String, Pod)| Some((name, node_of(&pod)?.to_owned()));
        Ok(members.filter_map(placed).collect())
    }

    /// Waits until so many pods of the gang are bound and sees that there are no more of them.
    pub async fn expect_bound(
        &self,
        gang: &Gang,
        count: usize,
    ) -> Result<BTreeMap<String, String>> {
        let what = format!("{count} bound pods of gang {}", gang.name);
        self.cluster
            .eventually(&what, async || {
                let bound = self.nodes(gang).await?.len();
                Ok((bound >= count).then_some(()))
            })
            .await?;
        self.settle().await?;
        let nodes = self.nodes(gang).await?;
        assert_eq!(nodes.len(), count, "gang {}: {nodes:?}", gang.name);
        Ok(nodes)
    }

    /// Sees that no pod of the gang is bound once the scheduler has dealt with it.
    pub async fn expect_none_bound(&self, gang: &Gang) -> Result<()> {
        self.wait_told(gang).await?;
        self.expect_bound(gang, 0).await.map(drop)
    }

    /// Waits until Berth has said something about each pod that waits. kube-scheduler is silent about some.
    pub async fn wait_told(&self, gang: &Gang) -> Result<()> {
        if SchedulerKind::under_test()? == SchedulerKind::Berth {
            let what = format!("word about every pod of gang {}", gang.name);
            let told = async || {
                let members = self.members(gang).await?;
                Ok(members
                    .values()
                    .all(|pod| scheduled_condition(pod).is_some())
                    .then_some(()))
            };
            self.cluster.eventually(&what, told).await?;
        }
        Ok(())
    }

    /// Lets the scheduler place a pod, after which everything that came before was dealt with.
    pub async fn settle(&self) -> Result<()> {
        let made = self
            .cluster
            .pod(
                pod("")
                    .metadata("name", Value::Null)
                    .metadata("generateName", json!("settle-")),
            )
            .await?;
        let name = made.metadata.name.unwrap_or_default();
        self.cluster.wait_bound(&name).await?;
        self.cluster.delete_pod(&name).await
    }

    /// Waits until the messages of the gang's waiting pods are these, each for so many: how the message begins, and
    /// what else is in it. The order counts where one message fits two of them.
    pub async fn expect_texts(
        &self,
        gang: &Gang,
        reason: &str,
        expected: &[(usize, &str, &[&str])],
    ) -> Result<()> {
        let what = format!("texts {expected:?} about gang {}", gang.name);
        let result = self
            .cluster
            .eventually(&what, async || {
                let mut left = self.messages(gang, reason).await?;
                for (count, start, parts) in expected {
                    let before = left.len();
                    left.retain(|text| {
                        !(text.starts_with(start) && parts.iter().all(|part| text.contains(part)))
                    });
                    if before - left.len() != *count {
                        return Ok(None);
                    }
                }
                Ok(left.is_empty().then_some(()))
            })
            .await;
        let Err(error) = result else {
            return Ok(());
        };
        let members = self.members(gang).await?;
        let found: BTreeMap<_, _> = members
            .iter()
            .map(|(name, pod)| (name, (node_of(pod), scheduled_condition(pod))))
            .collect();
        Err(error.context(format!("found {found:#?}")))
    }

    async fn messages(&self, gang: &Gang, reason: &str) -> Result<Vec<String>> {
        let members = self.members(gang).await?;
        let told = members.values().filter_map(scheduled_condition);
        Ok(told
            .filter(|condition| condition.status == "False")
            .filter(|condition| condition.reason.as_deref() == Some(reason))
            .filter_map(|condition| condition.message.clone())
            .collect())
    }

    /// Waits until all of the gang's waiting pods are said to wait for the group, for all of these.
    pub async fn expect_waiting(&self, gang: &Gang, parts: &[&str]) -> Result<()> {
        let waiting = |pod: &Pod| {
            node_of(pod).is_none()
                && scheduled_condition(pod).and_then(|condition| condition.reason.as_deref())
                    != Some("SchedulingGated")
        };
        let count = self
            .members(gang)
            .await?
            .values()
            .filter(|pod| waiting(pod))
            .count();
        self.expect_texts(gang, "WaitingForPodGroup", &[(count, "", parts)])
            .await
    }

    /// Waits until the gang's object of Kubernetes' own dialect has this condition, and returns its message.
    pub async fn expect_condition(
        &self,
        gang: &Gang,
        status: &str,
        reason: &str,
    ) -> Result<String> {
        let what = format!("condition {status} {reason} of gang {}", gang.name);
        self.cluster
            .eventually(&what, async || {
                let object = self.cluster.get_object(&gang.object()).await?;
                let conditions = object["status"]["conditions"].as_array();
                let found = conditions.into_iter().flatten().find(|condition| {
                    condition["type"] == "PodGroupInitiallyScheduled"
                        && condition["status"] == status
                        && condition["reason"] == reason
                });
                Ok(found
                    .map(|condition| condition["message"].as_str().unwrap_or_default().to_owned()))
            })
            .await
    }

    /// Events about the gang's object.
    pub async fn group_events(&self, gang: &Gang) -> Result<Vec<Event>> {
        self.cluster.events(gang.name).await
    }

    /// Waits for an event about the gang's object and returns its note.
    pub async fn group_event(&self, gang: &Gang, reason: &str) -> Result<String> {
        let event = self.cluster.wait_event(gang.name, reason).await?;
        let kind = event.regarding.and_then(|regarding| regarding.kind);
        assert_eq!(kind.as_deref(), Some("PodGroup"));
        Ok(event.note.unwrap_or_default())
    }
}

/// The schedulerName of the scheduler under test.
pub const OURS: &str = NAME;
