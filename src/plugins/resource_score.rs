//! What NodeResourcesFit and NodeResourcesBalancedAllocation share: the resources they look at.
//! Source: `plugins/noderesources/resource_allocation.go`.

use crate::cluster::{Cluster, ResourceId};
use crate::model::{Requests, is_scalar_resource};

/// A resource and how much it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceWeight {
    /// Resource name.
    pub name: Box<str>,
    /// 1 to 100.
    pub weight: i64,
}

impl ResourceWeight {
    /// cpu and memory, equally: the default of both plugins.
    pub fn defaults() -> Vec<Self> {
        ["cpu", "memory"]
            .map(|name| Self {
                name: name.into(),
                weight: 1,
            })
            .into()
    }
}

/// One resource's columns, and what the pod adds.
pub(super) struct ScoredResource<'a> {
    pub(super) allocatable: &'a [i64],
    pub(super) requested: &'a [i64],
    pub(super) pod: i64,
    pub(super) weight: i64,
}

/// The columns to score. Scalars that the pod does not ask for are left out, and so are resources
/// that no node has.
pub(super) fn columns<'a>(
    resources: &[ResourceWeight],
    pod: &Requests,
    cluster: &'a Cluster,
    nonzero: bool,
) -> Vec<ScoredResource<'a>> {
    let table = cluster.resources();
    (resources.iter())
        .filter_map(|resource| {
            let amount = pod.get(&resource.name);
            if amount == 0 && is_scalar_resource(&resource.name) {
                return None;
            }
            let id = table.id(&resource.name)?;
            let requested = match id {
                ResourceId::CPU if nonzero => cluster.nonzero_cpu(),
                ResourceId::MEMORY if nonzero => cluster.nonzero_memory(),
                _ => table.requested(id),
            };
            let allocatable = table.allocatable(id);
            Some(ScoredResource {
                allocatable,
                requested,
                pod: amount,
                weight: resource.weight,
            })
        })
        .collect()
}

/// `amount * 100 / of`, exact also where the product leaves 64 bits.
pub(super) fn percent(amount: i64, of: i64) -> i64 {
    match amount.checked_mul(100) {
        Some(product) => product / of,
        None => (i128::from(amount) * 100 / i128::from(of)) as i64,
    }
}
