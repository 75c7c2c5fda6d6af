//! A pod, compiled.

use std::fmt;
use std::sync::Arc;

use super::requests::{CompileError, PodRequests};
use super::volumes::named_claims;
use super::{
    LabelView, Membership, PodClaims, PodPeers, PreferredTerm, Requests, RequiredTerms,
    Requirement, Toleration,
};
use crate::api;

/// Which pod: what the API server needs to find it, and to be sure it is still the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodRef {
    /// Namespace.
    pub namespace: Box<str>,
    /// Name.
    pub name: Box<str>,
    /// Unique over time.
    pub uid: Box<str>,
}

impl fmt::Display for PodRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// Protocol of a host port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP, also when none is named.
    Tcp,
    /// UDP.
    Udp,
    /// Any other, by name.
    Other(Box<str>),
}

/// A port that a pod takes on its node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    /// Address; `0.0.0.0` for all.
    pub ip: Box<str>,
    /// Protocol.
    pub protocol: Protocol,
    /// Port number.
    pub port: i32,
}

impl HostPort {
    /// The address that stands for all addresses.
    pub const ANY: &'static str = "0.0.0.0";

    fn compile(port: &api::ContainerPort) -> Self {
        Self {
            ip: if port.host_ip.is_empty() {
                Self::ANY.into()
            } else {
                port.host_ip.clone()
            },
            protocol: match &*port.protocol {
                "" | "TCP" => Protocol::Tcp,
                "UDP" => Protocol::Udp,
                _ => Protocol::Other(port.protocol.clone()),
            },
            port: port.host_port,
        }
    }

    /// Whether both cannot be on one node. Source: `framework.HostPortInfo.CheckConflict`.
    pub fn conflicts(&self, other: &Self) -> bool {
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip == other.ip || &*self.ip == Self::ANY || &*other.ip == Self::ANY)
    }
}

/// What the plugins read of a pod that waits, but for those that look at other pods: two pods with
/// equal shapes get the same answers, so what is computed for one holds for the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodShape {
    /// What must be free on the node.
    pub wanted: Requests,
    /// What scoring takes the pod to use.
    pub scored: Requests,
    /// nodeSelector, sorted by key.
    pub node_selector: Box<[Requirement]>,
    /// Required node affinity.
    pub required: Option<RequiredTerms>,
    /// Preferred node affinity.
    pub preferred: Box<[PreferredTerm]>,
    /// Why some term of it cannot be read. All are left out then.
    pub bad_preferred: Option<Box<str>>,
    /// Tolerations.
    pub tolerations: Box<[Toleration]>,
    /// Host ports.
    pub host_ports: Box<[HostPort]>,
    /// Images of init containers, containers and image volumes, normalised.
    pub images: Box<[Box<str>]>,
    /// Features that the node must declare.
    pub declared_features: Box<[&'static str]>,
    /// Claims; None for none.
    pub claims: Option<Box<PodClaims>>,
    /// Whether it has gcePersistentDisk, awsElasticBlockStore, iscsi or rbd volumes, which nodes
    /// cannot share.
    pub exclusive_disks: bool,
    /// Whether it has dynamic resource claims.
    pub resource_claims: bool,
}

impl PodShape {
    /// Whether nodeSelector and required node affinity allow this node.
    pub fn asks_for(&self, node: &impl LabelView) -> bool {
        let mut selector = self.node_selector.iter();
        selector.all(|one| one.matches(node.label(&one.key)))
            && (self.required.as_ref()).is_none_or(|terms| terms.matches(node))
    }

    /// The labels of nodes that nodeSelector and required node affinity look at.
    pub fn labels_of_nodes(&self) -> impl Iterator<Item = &str> {
        let selector = self.node_selector.iter().map(|one| &*one.key);
        selector.chain(self.required.iter().flat_map(RequiredTerms::labels))
    }
}

/// What a pod takes on its node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PlacedPod {
    /// Amounts held, in-place resize included.
    pub held: Requests,
    /// cpu it is taken to use when scoring, in thousandths.
    pub nonzero_cpu: i64,
    /// Memory it is taken to use when scoring, in bytes.
    pub nonzero_memory: i64,
    /// Host ports.
    pub host_ports: Box<[HostPort]>,
    /// The claims in its namespace that it names, each once; not those that are made for it.
    pub claims: Box<[Box<str>]>,
}

/// The PodScheduled condition as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodCondition {
    /// True, False or Unknown.
    pub status: Box<str>,
    /// Reason.
    pub reason: Box<str>,
    /// Message.
    pub message: Box<str>,
}

/// What matters of a bound pod to whoever might evict it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Eviction {
    /// When it started (status.startTime), in nanoseconds since 1970; None for not yet.
    pub started: Option<i64>,
    /// metadata.generation, which conditions report back.
    pub generation: Option<i64>,
    /// A scheduler has evicted it for another pod (DisruptionTarget, PreemptionByScheduler).
    pub preempted: bool,
}

impl Eviction {
    fn compile(pod: &api::Pod) -> Self {
        let mut conditions = pod.status.conditions.iter();
        let target = conditions.find(|condition| &*condition.kind == "DisruptionTarget");
        let started = pod.status.start_time.parse::<jiff::Timestamp>();
        let nanoseconds = |time: jiff::Timestamp| i64::try_from(time.as_nanosecond()).ok();
        Self {
            started: started.ok().and_then(nanoseconds),
            generation: pod.metadata.generation,
            preempted: target.is_some_and(|condition| {
                &*condition.status == "True" && &*condition.reason == "PreemptionByScheduler"
            }),
        }
    }
}

/// What matters of a pod only until it is bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitingPod {
    /// What the plugins read.
    pub shape: PodShape,
    /// Names of the scheduling gates.
    pub gates: Box<[Box<str>]>,
    /// status.nominatedNodeName; empty for none.
    pub nominated_node: Box<str>,
    /// The stored PodScheduled condition.
    pub condition: Option<PodCondition>,
    /// metadata.generation, which conditions report back.
    pub generation: Option<i64>,
    /// preemptionPolicy: Never.
    pub never_preempts: bool,
}

/// A pod as the engine takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledPod {
    /// Which pod.
    pub reference: Arc<PodRef>,
    /// Resource version, so that older news is ignored.
    pub version: u64,
    /// Priority.
    pub priority: i32,
    /// Deletion was asked for.
    pub terminating: bool,
    /// Succeeded or Failed: takes nothing any more.
    pub finished: bool,
    /// The node it is bound to; empty while it waits.
    pub node: Box<str>,
    /// Who shall place it.
    pub scheduler_name: Box<str>,
    /// Its containers have started.
    pub running: bool,
    /// What matters to whoever might evict it.
    pub eviction: Eviction,
    /// The group it belongs to.
    pub membership: Option<Membership>,
    /// What it asks of other pods, and by what they know it.
    pub peers: PodPeers,
    /// What it takes where it is placed.
    pub placed: PlacedPod,
    /// Present while it is not bound.
    pub waiting: Option<WaitingPod>,
}

impl CompiledPod {
    /// Compiles the API's form.
    ///
    /// # Errors
    ///
    /// When a quantity cannot be read.
    pub fn compile(pod: &api::Pod) -> Result<Self, CompileError> {
        let requests = PodRequests::compile(pod)?;
        let host_ports: Box<[HostPort]> = host_ports(pod);
        let placed = PlacedPod {
            held: requests.held,
            nonzero_cpu: requests.held_nonzero_cpu,
            nonzero_memory: requests.held_nonzero_memory,
            host_ports: host_ports.clone(),
            claims: named_claims(pod),
        };
        let waiting = pod.spec.node_name.is_empty().then(|| WaitingPod {
            shape: shape(pod, requests.wanted, requests.scored, host_ports),
            gates: pod
                .spec
                .scheduling_gates
                .iter()
                .map(|gate| gate.name.clone())
                .collect(),
            nominated_node: pod.status.nominated_node_name.clone(),
            condition: (pod.status.conditions.iter())
                .find(|condition| &*condition.kind == "PodScheduled")
                .map(|condition| PodCondition {
                    status: condition.status.clone(),
                    reason: condition.reason.clone(),
                    message: condition.message.clone(),
                }),
            generation: pod.metadata.generation,
            never_preempts: &*pod.spec.preemption_policy == "Never",
        });
        Ok(Self {
            reference: Arc::new(PodRef {
                namespace: pod.metadata.namespace.clone(),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
            }),
            version: pod.metadata.version(),
            priority: pod.spec.priority.unwrap_or(0),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            finished: matches!(&*pod.status.phase, "Succeeded" | "Failed"),
            node: pod.spec.node_name.clone(),
            scheduler_name: pod.spec.scheduler_name.clone(),
            running: &*pod.status.phase == "Running",
            eviction: Eviction::compile(pod),
            membership: Membership::compile(pod),
            peers: PodPeers::compile(pod),
            placed,
            waiting,
        })
    }
}

/// Host ports of sidecars and containers. Source: `pkg/scheduler/util.GetHostPorts`.
fn host_ports(pod: &api::Pod) -> Box<[HostPort]> {
    let sidecars = pod
        .spec
        .init_containers
        .iter()
        .filter(|container| &*container.restart_policy == "Always");
    sidecars
        .chain(&pod.spec.containers)
        .flat_map(|container| &container.ports)
        .filter(|port| port.host_port > 0)
        .map(HostPort::compile)
        .collect()
}

fn shape(
    pod: &api::Pod,
    wanted: Requests,
    scored: Requests,
    host_ports: Box<[HostPort]>,
) -> PodShape {
    let mut selector: Vec<_> = pod.spec.node_selector.iter().collect();
    selector.sort_unstable();
    let affinity = pod.spec.affinity.node_affinity.as_ref();
    let containers = pod.spec.init_containers.iter().chain(&pod.spec.containers);
    let volumes = pod
        .spec
        .volumes
        .iter()
        .filter_map(|volume| volume.image.as_ref());
    let preferred = affinity.map_or(&[][..], |affinity| &affinity.preferred);
    let (preferred, bad_preferred) = match PreferredTerm::compile(preferred) {
        Ok(terms) => (terms, None),
        Err(fault) => (Box::default(), Some(fault.into())),
    };
    PodShape {
        wanted,
        scored,
        node_selector: (selector.iter())
            .map(|(key, value)| Requirement::equals(key, value))
            .collect(),
        required: affinity
            .and_then(|affinity| affinity.required.as_ref())
            .map(RequiredTerms::compile),
        preferred,
        bad_preferred,
        tolerations: pod
            .spec
            .tolerations
            .iter()
            .map(Toleration::compile)
            .collect(),
        host_ports,
        images: containers
            .map(|container| normalized_image(&container.image))
            .chain(volumes.map(|volume| normalized_image(&volume.reference)))
            .collect(),
        declared_features: declared_features(pod),
        claims: PodClaims::compile(pod),
        exclusive_disks: pod.spec.volumes.iter().any(is_exclusive),
        resource_claims: !pod.spec.resource_claims.is_empty(),
    }
}

/// The features a pod needs of its node. Source: component-helpers
/// `nodedeclaredfeatures/features`, those that are inferred for scheduling.
fn declared_features(pod: &api::Pod) -> Box<[&'static str]> {
    let spec = &pod.spec;
    let any = |asks: fn(&api::Container) -> bool| {
        spec.containers
            .iter()
            .chain(&spec.init_containers)
            .any(asks)
    };
    let restarts_all = any(|container| {
        let mut rules = container.restart_policy_rules.iter();
        rules.any(|rule| &*rule.action == "RestartAllContainers")
    });
    let mount_options = any(|container| {
        let mut mounts = container.volume_mounts.iter();
        mounts.any(|mount| !mount.bind_mount_options.is_empty())
    });
    [
        (restarts_all, "RestartAllContainersOnContainerExits"),
        (
            spec.host_network && spec.host_users == Some(false),
            "UserNamespacesHostNetworkSupport",
        ),
        (mount_options, "VolumeBindMountOptions"),
    ]
    .into_iter()
    .filter_map(|(needed, feature)| needed.then_some(feature))
    .collect()
}

/// Appends `:latest` to a name without a tag. Source: the ImageLocality plugin.
fn normalized_image(name: &str) -> Box<str> {
    // An absent ':' and an absent '/' both compare as before everything, as upstream's -1 does.
    if name.rfind(':') <= name.rfind('/') {
        format!("{name}:latest").into()
    } else {
        name.into()
    }
}

fn is_exclusive(volume: &api::Volume) -> bool {
    volume.gce_persistent_disk.is_some()
        || volume.aws_elastic_block_store.is_some()
        || volume.iscsi.is_some()
        || volume.rbd.is_some()
}

#[cfg(test)]
mod tests;
