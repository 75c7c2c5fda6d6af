//! What a pod asks for, computed as component-helpers `resource/helpers.go` and
//! `pkg/scheduler/framework/types.go` do.

use thiserror::Error;

use super::Quantity;
use super::quantity::ParseQuantityError;
use crate::api;

/// cpu that a container without a cpu request is taken to use when scoring.
const DEFAULT_CPU_MILLI: i64 = 100;
/// Memory in bytes that a container without a memory request is taken to use when scoring.
const DEFAULT_MEMORY: i64 = 200 * 1024 * 1024;

/// Why an object could not be compiled.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CompileError {
    /// A quantity is not one.
    #[error("{path}[{resource}]: {source}")]
    Quantity {
        /// Where, e.g. `spec.containers[0].resources.requests`.
        path: String,
        /// The resource's name.
        resource: String,
        /// What is wrong with it.
        source: ParseQuantityError,
    },
}

/// Exact amounts: cpu in milli, everything else in units, both rounded up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Requests {
    /// cpu, in thousandths.
    pub cpu: i64,
    /// Memory, in bytes.
    pub memory: i64,
    /// Ephemeral storage, in bytes.
    pub ephemeral_storage: i64,
    /// Extended and other scalar resources by name, sorted; zero entries are kept because their
    /// presence is observable.
    pub scalars: Box<[(Box<str>, i64)]>,
}

impl Requests {
    fn from_list(list: &ResourceList) -> Self {
        let mut requests = Self::default();
        let mut scalars = Vec::new();
        for (name, quantity) in &list.0 {
            match &**name {
                "cpu" => requests.cpu = quantity.milli_value(),
                "memory" => requests.memory = quantity.value(),
                "ephemeral-storage" => requests.ephemeral_storage = quantity.value(),
                name if is_scalar_resource(name) => scalars.push((name.into(), quantity.value())),
                _ => {}
            }
        }
        scalars.sort_unstable();
        requests.scalars = scalars.into();
        requests
    }

    /// Whether nothing is asked for at all, not even zero of a scalar.
    pub fn is_empty(&self) -> bool {
        self.cpu == 0 && self.memory == 0 && self.ephemeral_storage == 0 && self.scalars.is_empty()
    }

    /// The scalar resources of which some is asked for, with the amounts, sorted by name.
    pub fn asked_scalars(&self) -> impl Iterator<Item = (&str, i64)> {
        let scalars = self.scalars.iter();
        let scalars = scalars.map(|(name, amount)| (&**name, *amount));
        scalars.filter(|(_, amount)| *amount > 0)
    }

    /// The amount of a resource by name; 0 when it is not asked for.
    pub fn get(&self, name: &str) -> i64 {
        match name {
            "cpu" => self.cpu,
            "memory" => self.memory,
            "ephemeral-storage" => self.ephemeral_storage,
            _ => self
                .scalars
                .binary_search_by(|(one, _)| (**one).cmp(name))
                .ok()
                .and_then(|index| self.scalars.get(index))
                .map_or(0, |(_, amount)| *amount),
        }
    }
}

/// The four views of one pod's requests that upstream computes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PodRequests {
    /// What the pod needs to be placed; status is not read.
    pub wanted: Requests,
    /// What scoring by NodeResourcesFit takes it to use: defaults for containers that ask for no
    /// cpu or memory, pod-level resources ignored (upstream's scorer is built without them).
    pub scored: Requests,
    /// What it holds on its node once there, in-place resize included.
    pub held: Requests,
    /// cpu it is taken to use on its node when scoring others, in thousandths.
    pub held_nonzero_cpu: i64,
    /// Memory it is taken to use on its node when scoring others, in bytes.
    pub held_nonzero_memory: i64,
}

impl PodRequests {
    pub(super) fn compile(pod: &api::Pod) -> Result<Self, CompileError> {
        let lists = PodLists::read(pod)?;
        let none = ResourceList::default();
        let defaults = ResourceList::defaults(true, true);

        let wanted = lists.total(View {
            status: false,
            pod_level: true,
            defaults: &none,
        });
        let scored = lists.total(View {
            status: false,
            pod_level: false,
            defaults: &defaults,
        });
        let held = if lists.has_status() {
            lists.total(View {
                status: true,
                pod_level: true,
                defaults: &none,
            })
        } else {
            wanted.clone()
        };
        let missing = if lists.pod_level_set() {
            ResourceList::defaults(held.get("cpu").is_none(), held.get("memory").is_none())
        } else {
            defaults.clone()
        };
        let nonzero = lists.total(View {
            status: true,
            pod_level: true,
            defaults: &missing,
        });
        let nonzero = Requests::from_list(&nonzero);
        Ok(Self {
            wanted: Requests::from_list(&wanted),
            scored: Requests::from_list(&scored),
            held: Requests::from_list(&held),
            held_nonzero_cpu: nonzero.cpu,
            held_nonzero_memory: nonzero.memory,
        })
    }
}

/// Quantities by resource name; few enough that a vector is the quickest map.
#[derive(Clone, Debug, Default, PartialEq)]
struct ResourceList(Vec<(Box<str>, Quantity)>);

impl ResourceList {
    fn parse(pairs: &api::Pairs, path: impl Fn() -> String) -> Result<Self, CompileError> {
        pairs
            .iter()
            .map(|(name, text)| match Quantity::parse(text) {
                Ok(quantity) => Ok((name.into(), quantity)),
                Err(source) => Err(CompileError::Quantity {
                    path: path(),
                    resource: name.to_owned(),
                    source,
                }),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn defaults(cpu: bool, memory: bool) -> Self {
        let mut list = Self::default();
        if cpu {
            list.0
                .push(("cpu".into(), Quantity::from_milli(DEFAULT_CPU_MILLI)));
        }
        if memory {
            list.0
                .push(("memory".into(), Quantity::from_value(DEFAULT_MEMORY)));
        }
        list
    }

    fn get(&self, name: &str) -> Option<Quantity> {
        self.0
            .iter()
            .find(|(one, _)| **one == *name)
            .map(|(_, quantity)| *quantity)
    }

    fn combine(&mut self, other: &Self, with: impl Fn(Quantity, Quantity) -> Quantity) {
        for (name, quantity) in &other.0 {
            match self.0.iter_mut().find(|(one, _)| one == name) {
                Some((_, held)) => *held = with(*held, *quantity),
                None => self.0.push((name.clone(), *quantity)),
            }
        }
    }

    fn add(&mut self, other: &Self) {
        self.combine(other, |a, b| a + b);
    }

    fn max(&mut self, other: &Self) {
        self.combine(other, Quantity::max);
    }

    /// Sets what is missing and leaves what is there, an explicit zero included.
    fn fill(&mut self, defaults: &Self) {
        self.combine(defaults, |held, _| held);
    }
}

/// Which of upstream's options a total is computed with.
struct View<'a> {
    status: bool,
    pod_level: bool,
    defaults: &'a ResourceList,
}

/// Where a container's numbers come from (in-place resize).
#[derive(Clone, Copy)]
enum Source {
    Spec,
    Allocated,
    Actuated,
}

struct ContainerLists {
    spec: ResourceList,
    allocated: Option<ResourceList>,
    actuated: Option<ResourceList>,
    restartable: bool,
}

/// A pod's resource lists, parsed once.
struct PodLists {
    containers: Vec<ContainerLists>,
    init_containers: Vec<ContainerLists>,
    pod_level: Option<ResourceList>,
    pod_allocated: Option<ResourceList>,
    pod_actuated: Option<ResourceList>,
    overhead: ResourceList,
    infeasible: bool,
}

impl PodLists {
    fn read(pod: &api::Pod) -> Result<Self, CompileError> {
        let optional = |pairs: Option<&api::Pairs>, path: &dyn Fn() -> String| {
            pairs
                .map(|pairs| ResourceList::parse(pairs, path))
                .transpose()
        };
        let container = |list: &'static str, index: usize, container: &api::Container| {
            // Names are unique among containers and init containers, so that the first status of
            // that name is the right one.
            let mut statuses = pod
                .status
                .container_statuses
                .iter()
                .chain(&pod.status.init_container_statuses);
            let status = statuses.find(|status| status.name == container.name);
            let path = |what: &str| format!("{list}[{index}].{what}");
            let of_status = status.and_then(|one| one.resources.as_ref()?.requests.as_ref());
            Ok(ContainerLists {
                spec: optional(container.resources.requests.as_ref(), &|| {
                    path("resources.requests")
                })?
                .unwrap_or_default(),
                allocated: optional(
                    status.and_then(|status| status.allocated_resources.as_ref()),
                    &|| path("status.allocatedResources"),
                )?,
                actuated: optional(of_status, &|| path("status.resources.requests"))?,
                restartable: &*container.restart_policy == "Always",
            })
        };
        let status_resources = pod
            .status
            .resources
            .as_ref()
            .and_then(|resources| resources.requests.as_ref());
        Ok(Self {
            containers: (pod.spec.containers.iter().enumerate())
                .map(|(index, one)| container("spec.containers", index, one))
                .collect::<Result<_, _>>()?,
            init_containers: (pod.spec.init_containers.iter().enumerate())
                .map(|(index, one)| container("spec.initContainers", index, one))
                .collect::<Result<_, _>>()?,
            pod_level: optional(pod.spec.resources.requests.as_ref(), &|| {
                "spec.resources.requests".into()
            })?,
            pod_allocated: optional(pod.status.allocated_resources.as_ref(), &|| {
                "status.allocatedResources".into()
            })?,
            pod_actuated: optional(status_resources, &|| "status.resources.requests".into())?,
            overhead: ResourceList::parse(&pod.spec.overhead, || "spec.overhead".into())?,
            infeasible: (pod.status.conditions.iter())
                .find(|condition| &*condition.kind == "PodResizePending")
                .is_some_and(|condition| &*condition.reason == "Infeasible"),
        })
    }

    fn has_status(&self) -> bool {
        let of = |one: &ContainerLists| one.allocated.is_some() || one.actuated.is_some();
        self.infeasible
            || self.pod_allocated.is_some()
            || self.pod_actuated.is_some()
            || self.containers.iter().any(of)
            || self.init_containers.iter().any(of)
    }

    fn pod_level_set(&self) -> bool {
        self.pod_level
            .as_ref()
            .is_some_and(|list| list.0.iter().any(|(name, _)| is_pod_level_resource(name)))
    }

    fn total(&self, view: View<'_>) -> ResourceList {
        let mut total = if view.status && self.has_status() {
            self.resized(view.defaults)
        } else {
            self.aggregate(Source::Spec, view.defaults, false)
        };
        if view.pod_level && self.pod_level_set() {
            for (name, quantity) in &self.effective_pod_level(view.status).0 {
                if is_pod_level_resource(name) {
                    total.0.retain(|(one, _)| one != name);
                    total.0.push((name.clone(), *quantity));
                }
            }
        }
        total.add(&self.overhead);
        total
    }

    /// The largest of what is asked, granted and in force.
    fn resized(&self, defaults: &ResourceList) -> ResourceList {
        let (allocated, actuated) = match (&self.pod_allocated, &self.pod_actuated) {
            (Some(allocated), Some(actuated)) => (allocated.clone(), actuated.clone()),
            _ => (
                self.aggregate(Source::Allocated, defaults, self.infeasible),
                self.aggregate(Source::Actuated, defaults, self.infeasible),
            ),
        };
        let mut total = actuated;
        total.max(&allocated);
        if !self.infeasible {
            total.max(&self.aggregate(Source::Spec, defaults, false));
        }
        total
    }

    fn effective_pod_level(&self, status: bool) -> ResourceList {
        let mut list = self.pod_level.clone().unwrap_or_default();
        // Upstream reads the status only when status.resources is there at all.
        if let (true, Some(actuated)) = (status, &self.pod_actuated) {
            if self.infeasible {
                list = ResourceList::default();
            }
            list.max(actuated);
            if let Some(allocated) = &self.pod_allocated {
                list.max(allocated);
            }
        }
        list
    }

    fn aggregate(&self, source: Source, defaults: &ResourceList, infeasible: bool) -> ResourceList {
        let requests = |container: &ContainerLists| {
            let spec = || {
                if infeasible {
                    ResourceList::default()
                } else {
                    container.spec.clone()
                }
            };
            let mut list = match source {
                Source::Spec => container.spec.clone(),
                Source::Allocated => container.allocated.clone().unwrap_or_else(spec),
                Source::Actuated => (container.actuated.clone())
                    .or_else(|| container.allocated.clone())
                    .unwrap_or_else(spec),
            };
            list.fill(defaults);
            list
        };
        let mut total = ResourceList::default();
        for container in &self.containers {
            total.add(&requests(container));
        }
        // While the i-th init container runs, the sidecars started before it run too.
        let mut sidecars = ResourceList::default();
        let mut peak = ResourceList::default();
        for container in &self.init_containers {
            let mut list = requests(container);
            if container.restartable {
                total.add(&list);
                sidecars.add(&list);
                peak.max(&sidecars);
            } else {
                list.add(&sidecars);
                peak.max(&list);
            }
        }
        total.max(&peak);
        total
    }
}

fn is_pod_level_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

/// Whether the resource is counted beside cpu, memory and ephemeral storage: extended, huge pages,
/// prefixed native and attachable volumes. Source: `pkg/scheduler/util.IsScalarResourceName`.
pub fn is_scalar_resource(name: &str) -> bool {
    is_extended_resource(name)
        || name.starts_with("hugepages-")
        || name.contains("kubernetes.io/")
        || name.starts_with("attachable-volumes-")
}

/// Whether the resource is an extended one: a domain that is not Kubernetes' own, and a name that
/// is still qualified behind `requests.`. Source: `pkg/apis/core/v1/helper.IsExtendedResourceName`.
pub fn is_extended_resource(name: &str) -> bool {
    let Some((domain, rest)) = name.split_once('/') else {
        return false;
    };
    if name.contains("kubernetes.io/") || name.starts_with("requests.") {
        return false;
    }
    let prefixed = "requests.".len() + domain.len();
    !domain.is_empty()
        && prefixed <= 253
        && domain.split('.').all(is_dns_label)
        && !rest.contains('/')
        && is_qualified_part(rest)
}

fn is_dns_label(text: &str) -> bool {
    let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(&first), Some(&last)) if edge(first) && edge(last))
        && bytes.iter().all(|&byte| edge(byte) || byte == b'-')
}

fn is_qualified_part(text: &str) -> bool {
    let edge = |byte: u8| byte.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && matches!((bytes.first(), bytes.last()), (Some(&first), Some(&last)) if edge(first) && edge(last))
        && bytes
            .iter()
            .all(|&byte| edge(byte) || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests;
