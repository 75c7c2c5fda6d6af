//! What would have to go from one node. Source: `SelectVictimsOnNode`.
//!
//! All that may go is taken away; if the pod fits then, it is put back piece by piece, the most
//! important first, as long as the pod still fits. What cannot be put back are the victims.

use super::Preemptor;
use super::budgets::Allowance;
use super::units::Unit;
use crate::cluster::{Cluster, Keep, NodeId, PlacedRecord, ResourceId};
use crate::framework::{Diagnosis, PluginSet, Profile, Reason, left_beside};
use crate::gang::GangId;

/// How many plain pods could be looked at instead of one for which a gang or the budgets are asked.
const DEAR: usize = 6;

/// What may go from a node, the most important first, and what of it is to be put back first.
#[derive(Clone, Debug, Default)]
pub(super) struct Stock {
    pub(super) units: Vec<Unit>,
    /// How many pods of each unit a budget protects.
    violations: Vec<usize>,
}

impl Stock {
    /// Sorts the units and counts them against the budgets in that order.
    pub(super) fn arrange(&mut self, cluster: &Cluster, allowance: Option<Allowance<'_>>) {
        self.units.sort_by(Unit::by_importance);
        self.violations.clear();
        self.violations.resize(self.units.len(), 0);
        let Some(mut allowance) = allowance else {
            return;
        };
        for (unit, violations) in self.units.iter().zip(&mut self.violations) {
            for record in unit.pods().iter().filter_map(|pod| cluster.placed(*pod)) {
                let labels = cluster.labels_of(record.peers);
                *violations += usize::from(allowance.charge(&record.reference, labels).is_some());
            }
        }
    }

    /// The units in the order in which they are put back: what budgets protect first, but the core
    /// of a gang before what the gang can do without.
    fn reprieved(&self) -> Vec<usize> {
        let protected = |place: &usize| self.violations.get(*place).is_some_and(|count| *count > 0);
        let places = 0..self.units.len();
        let order =
            (places.clone().filter(protected)).chain(places.filter(|place| !protected(place)));
        let cores: Vec<(usize, GangId)> = (self.units.iter().enumerate())
            .filter_map(|(place, unit)| Some((place, unit.core?)))
            .collect();
        if cores.is_empty() {
            return order.collect();
        }
        let mut placed = Vec::with_capacity(self.units.len());
        for place in order {
            let gang = self.units.get(place).and_then(|unit| unit.surplus);
            let core = cores.iter().find(|(_, core)| Some(*core) == gang);
            for place in core.map(|(core, _)| *core).into_iter().chain([place]) {
                if !placed.contains(&place) {
                    placed.push(place);
                }
            }
        }
        placed
    }

    /// Whether the unit goes because the core of its gang does.
    fn is_dragged(&self, place: usize, victims: &[usize]) -> bool {
        let gang = self.units.get(place).and_then(|unit| unit.surplus);
        gang.is_some() && self.chosen(victims).any(|victim| victim.core == gang)
    }

    /// What it took to find out about the node, see [`super::SLICE`]. `budgets`: whether there are any.
    pub(super) fn effort(&self, cluster: &Cluster, node: NodeId, budgets: bool) -> usize {
        let pods = cluster.pods_on(node);
        let records = pods.iter().filter_map(|pod| cluster.placed(*pod));
        let asked = records.filter(|record| budgets || record.grouped).count();
        let together = (self.units.iter().map(|unit| unit.pods().len())).filter(|pods| *pods > 1);
        2 + pods.len() + DEAR * (asked + together.sum::<usize>())
    }

    /// How many pods of these units a budget protects.
    pub(super) fn violations(&self, units: &[usize]) -> usize {
        let of = |place: &usize| self.violations.get(*place).copied().unwrap_or(0);
        units.iter().map(of).sum()
    }

    /// These units.
    pub(super) fn chosen<'a>(&'a self, places: &'a [usize]) -> impl Iterator<Item = &'a Unit> {
        places.iter().filter_map(|place| self.units.get(*place))
    }
}

/// The victims on one node, by their places in the stock; or why the pod would not fit even without
/// all of them.
///
/// `far` says whether pods on other nodes have a say: if not, those of a gang that are elsewhere are
/// left where they are.
pub(super) fn dry_run(
    cluster: &mut Cluster,
    profile: &Profile,
    preemptor: &Preemptor<'_>,
    (node, skipped, far): (NodeId, PluginSet, bool),
    stock: &Stock,
) -> Result<Vec<usize>, Diagnosis> {
    cluster.speculate(|cluster| {
        let mut away: Vec<Vec<PlacedRecord>> = (stock.units.iter())
            .map(|unit| take_away(cluster, unit, node, far))
            .collect();
        let yields = (preemptor.nominated, skipped);
        let mut why = Diagnosis::default();
        let pod = preemptor.pod;
        if !profile.fits_with_nominated(pod, cluster, node, yields, &mut why) {
            return (Keep::RollBack, Err(why));
        }
        let mut victims = Vec::new();
        for place in stock.reprieved() {
            if stock.is_dragged(place, &victims) {
                victims.push(place);
                continue;
            }
            let Some(records) = away.get_mut(place).map(std::mem::take) else {
                continue;
            };
            let back: Vec<_> = (records.into_iter())
                .map(|record| cluster.put_back(record))
                .collect();
            let mut why = Diagnosis::default();
            if !profile.fits_with_nominated(pod, cluster, node, yields, &mut why) {
                for id in back {
                    cluster.remove(id);
                }
                victims.push(place);
            }
        }
        victims.sort_unstable();
        (Keep::RollBack, Ok(victims))
    })
}

fn take_away(cluster: &mut Cluster, unit: &Unit, node: NodeId, far: bool) -> Vec<PlacedRecord> {
    let here = |cluster: &Cluster, pod| cluster.placed(pod).is_some_and(|held| held.node == node);
    (unit.pods().iter())
        .filter(|pod| far || here(cluster, **pod))
        .copied()
        .collect::<Vec<_>>()
        .into_iter()
        .filter_map(|pod| cluster.remove(pod))
        .collect()
}

/// The same by arithmetic, where nothing but room is in the way.
pub(super) struct Room {
    asked: Vec<(ResourceId, i64)>,
    /// What would be left on a node: pods, and amounts in the order of `asked`.
    left: Vec<i128>,
    /// What each unit holds there, in the same order.
    held: Vec<i128>,
}

impl Room {
    pub(super) fn new(asked: Vec<(ResourceId, i64)>) -> Self {
        Self {
            asked,
            left: Vec::new(),
            held: Vec::new(),
        }
    }

    /// What [`dry_run`] would answer, but for filters that do not look at pods; or what is lacking
    /// even without all of them.
    pub(super) fn victims(
        &mut self,
        cluster: &Cluster,
        preemptor: &Preemptor<'_>,
        node: NodeId,
        stock: &Stock,
    ) -> Result<Vec<usize>, Vec<Reason>> {
        let nominated = preemptor.nominated.on(node);
        self.left.clear();
        (self.left).extend(left_beside(cluster, &self.asked, node, nominated));
        let width = self.left.len();
        self.held.clear();
        for unit in &stock.units {
            let first = self.held.len();
            self.held.resize(first + width, 0);
            let held = self.held.get_mut(first..).unwrap_or_default();
            for record in unit.pods().iter().filter_map(|pod| cluster.placed(*pod)) {
                if record.node == node {
                    let amounts = self
                        .asked
                        .iter()
                        .map(|(resource, _)| record.holds(*resource));
                    let amounts = std::iter::once(1).chain(amounts);
                    for (sum, amount) in held.iter_mut().zip(amounts) {
                        *sum += i128::from(amount);
                    }
                }
            }
            for (left, held) in self.left.iter_mut().zip(held) {
                *left += *held;
            }
        }
        if self.left.iter().any(|left| *left < 0) {
            return Err(self.lacking(cluster));
        }
        let mut victims = Vec::new();
        for place in stock.reprieved() {
            let held = self.held.get(place * width..(place + 1) * width);
            let held = held.unwrap_or_default();
            let fits = || self.left.iter().zip(held).all(|(left, held)| left >= held);
            if !stock.is_dragged(place, &victims) && fits() {
                for (left, held) in self.left.iter_mut().zip(held) {
                    *left -= held;
                }
            } else {
                victims.push(place);
            }
        }
        victims.sort_unstable();
        Ok(victims)
    }

    fn lacking(&self, cluster: &Cluster) -> Vec<Reason> {
        let names = (self.asked.iter()).map(|(resource, _)| {
            let name = cluster.resources().name(*resource);
            Reason::Insufficient(name.into())
        });
        let reasons = std::iter::once(Reason::Text("Too many pods")).chain(names);
        (self.left.iter().zip(reasons))
            .filter(|(left, _)| **left < 0)
            .map(|(_, reason)| reason)
            .collect()
    }
}
