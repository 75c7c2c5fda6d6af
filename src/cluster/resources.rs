//! Resources as columns: one exact integer per node.

use std::collections::HashMap;

use super::NodeId;
use crate::model::Requests;

/// A resource, interned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceId(u32);

impl ResourceId {
    /// cpu, in thousandths.
    pub const CPU: Self = Self(0);
    /// Memory, in bytes.
    pub const MEMORY: Self = Self(1);
    /// Ephemeral storage, in bytes.
    pub const EPHEMERAL_STORAGE: Self = Self(2);

    const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Columns are padded to whole words of node bits, so that 64 nodes can be compared at a time.
const PAD: usize = 64;

/// A sum per node that is exact however large the summands are: saturation happens only when it is
/// read, so that what was added can be subtracted again.
#[derive(Clone, Debug, Default)]
pub(super) struct ExactColumn {
    exact: Vec<i128>,
    /// The sums, saturated.
    pub value: Vec<i64>,
}

impl ExactColumn {
    pub(super) fn resize(&mut self, padded: usize) {
        self.exact.resize(padded, 0);
        self.value.resize(padded, 0);
    }

    pub(super) fn add(&mut self, node: NodeId, amount: i128) {
        let sum = &mut self.exact[node.index()];
        *sum += amount;
        self.value[node.index()] = saturate(*sum);
    }
}

fn saturate(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(if amount < 0 { i64::MIN } else { i64::MAX })
}

#[derive(Clone, Debug, Default)]
struct Columns {
    allocatable: Vec<i64>,
    requested: ExactColumn,
    free: Vec<i64>,
}

impl Columns {
    fn resize(&mut self, padded: usize) {
        self.allocatable.resize(padded, 0);
        self.requested.resize(padded);
        self.free.resize(padded, 0);
    }

    fn refresh(&mut self, node: NodeId) {
        let index = node.index();
        self.free[index] =
            saturate(i128::from(self.allocatable[index]) - self.requested.exact[index]);
    }
}

/// What every node has and what is taken of it.
#[derive(Clone, Debug)]
pub struct ResourceTable {
    ids: HashMap<Box<str>, ResourceId>,
    names: Vec<Box<str>>,
    columns: Vec<Columns>,
    padded: usize,
}

impl Default for ResourceTable {
    fn default() -> Self {
        let mut table = Self {
            ids: HashMap::new(),
            names: Vec::new(),
            columns: Vec::new(),
            padded: 0,
        };
        for name in ["cpu", "memory", "ephemeral-storage"] {
            table.intern(name);
        }
        table
    }
}

impl ResourceTable {
    /// The id of a resource that some node has or some placed pod holds.
    pub fn id(&self, name: &str) -> Option<ResourceId> {
        self.ids.get(name).copied()
    }

    pub(super) fn intern(&mut self, name: &str) -> ResourceId {
        if let Some(id) = self.id(name) {
            return id;
        }
        let id = ResourceId(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        self.names.push(name.into());
        self.ids.insert(name.into(), id);
        let mut columns = Columns::default();
        columns.resize(self.padded);
        self.columns.push(columns);
        id
    }

    /// The name of a resource.
    pub fn name(&self, id: ResourceId) -> &str {
        self.names.get(id.index()).map_or("", |name| name)
    }

    /// Every resource.
    pub fn ids(&self) -> impl Iterator<Item = ResourceId> {
        (0..self.columns.len()).map(|index| ResourceId(index as u32))
    }

    /// What each node offers, by node index; padded with zeros to a multiple of 64.
    pub fn allocatable(&self, id: ResourceId) -> &[i64] {
        &self.columns[id.index()].allocatable
    }

    /// What placed pods hold on each node, saturated; padded as above.
    pub fn requested(&self, id: ResourceId) -> &[i64] {
        &self.columns[id.index()].requested.value
    }

    /// What is left on each node; negative where more is held than offered; padded as above.
    pub fn free(&self, id: ResourceId) -> &[i64] {
        &self.columns[id.index()].free
    }

    pub(super) fn resize(&mut self, nodes: usize) {
        let padded = nodes.div_ceil(PAD) * PAD;
        if padded > self.padded {
            self.padded = padded;
            for columns in &mut self.columns {
                columns.resize(padded);
            }
        }
    }

    pub(super) fn set_allocatable(&mut self, node: NodeId, amounts: &[(Box<str>, i64)]) {
        for columns in &mut self.columns {
            columns.allocatable[node.index()] = 0;
        }
        for (name, amount) in amounts {
            let id = self.intern(name);
            self.columns[id.index()].allocatable[node.index()] = *amount;
        }
        for columns in &mut self.columns {
            columns.refresh(node);
        }
    }

    pub(super) fn add(&mut self, node: NodeId, id: ResourceId, amount: i128) {
        let columns = &mut self.columns[id.index()];
        columns.requested.add(node, amount);
        columns.refresh(node);
    }

    /// The amounts that are not zero, by id.
    pub(super) fn resolve(&mut self, requests: &Requests) -> Box<[(ResourceId, i64)]> {
        let fixed = [
            (ResourceId::CPU, requests.cpu),
            (ResourceId::MEMORY, requests.memory),
            (ResourceId::EPHEMERAL_STORAGE, requests.ephemeral_storage),
        ];
        let mut amounts: Vec<_> = fixed
            .into_iter()
            .filter(|(_, amount)| *amount != 0)
            .collect();
        for (name, amount) in requests.scalars.iter().filter(|(_, amount)| *amount != 0) {
            amounts.push((self.intern(name), *amount));
        }
        amounts.into()
    }
}
