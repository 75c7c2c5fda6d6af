//! What can be evicted: single pods, and gangs that go as a whole. Source:
//! `framework/preemption/types.go`.
//!
//! Of Kubernetes' pod groups the disruption mode decides: `single` makes each pod a victim by
//! itself, `all` the whole group. Of the other dialects' groups pods beyond those that must run
//! together are victims by themselves; the rest goes as a whole or stays.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cluster::{Cluster, NodeId, PlacedId, PlacedRecord};
use crate::gang::{Gang, GangId, Gangs, Member};
use crate::model::Dialect;

/// Pods that are evicted together or not at all.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pods: Pods,
    /// Of a pod of a Kubernetes group that of the group.
    pub(super) priority: i32,
    /// Whether it is of a group, or a group, which makes it more important.
    grouped: bool,
    /// When the first of its pods started; those that have not started count as started last.
    started: i64,
    /// The gang whose core it is, so that what is left of the gang goes with it.
    pub(super) core: Option<GangId>,
    /// The gang that can do without it.
    pub(super) surplus: Option<GangId>,
}

#[derive(Clone, Debug)]
enum Pods {
    One(PlacedId),
    Many(Arc<[PlacedId]>),
}

impl Unit {
    /// Its pods.
    pub(super) fn pods(&self) -> &[PlacedId] {
        match &self.pods {
            Pods::One(pod) => std::slice::from_ref(pod),
            Pods::Many(pods) => pods,
        }
    }

    /// Whether it is a group or a pod of one.
    pub(super) fn is_grouped(&self) -> bool {
        self.grouped
    }

    /// Whether it is a pod of a group whose other pods stay, though the group says nothing of how
    /// many it can do without.
    pub(super) fn is_part_of_group(&self) -> bool {
        self.grouped && matches!(self.pods, Pods::One(_))
    }

    /// The more important one first. Source: `MoreImportantVictim`.
    pub(super) fn by_importance(&self, other: &Self) -> Ordering {
        let key = |unit: &Self| (unit.priority, unit.grouped, unit.pods().len());
        (key(other).cmp(&key(self))).then_with(|| self.started.cmp(&other.started))
    }
}

/// When a pod started, for comparisons: one that has not counts as starting now.
pub(super) fn started(record: &PlacedRecord) -> i64 {
    record.eviction.started.unwrap_or(i64::MAX)
}

/// The priority that decides whether a pod can be evicted: of a pod of a Kubernetes group that of
/// the group. Source: `GetPodPriority`.
pub(super) fn priority_of(gangs: &Gangs, record: &PlacedRecord) -> i32 {
    let gang = record
        .grouped
        .then(|| gangs.of_member(&record.reference.uid));
    let gang = gang.flatten().and_then(|id| gangs.get(id));
    (gang.and_then(group_priority)).unwrap_or(record.priority)
}

/// The priority by which a gang evicts whose pods have this one: as a victim it counts for no more.
/// Source: `newPodGroupPreemptor`.
pub fn priority_of_preemptor(gang: &Gang, of_pods: i32) -> i32 {
    group_priority(gang).unwrap_or(of_pods)
}

fn group_priority(gang: &Gang) -> Option<i32> {
    let object = gang.object.as_ref();
    let object = object.filter(|_| gang.reference.dialect == Dialect::Kubernetes)?;
    Some(object.priority.unwrap_or(0))
}

/// Where pods of the gang are; a node as often as there are some.
pub(super) fn nodes_of(cluster: &Cluster, gang: &Gang) -> impl Iterator<Item = NodeId> {
    (gang.members()).filter_map(|(uid, _)| Some(cluster.placed(cluster.placed_by_uid(uid)?)?.node))
}

/// How many members of which gangs, and of which of their roles, are victims already.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    members: BTreeMap<GangId, usize>,
    roles: BTreeMap<(GangId, Box<str>), usize>,
}

impl Taken {
    /// A pod is a victim.
    pub(super) fn take(&mut self, gangs: &Gangs, record: &PlacedRecord) {
        let uid = &record.reference.uid;
        let Some(id) = gangs.of_member(uid) else {
            return;
        };
        let Some(member) = gangs.get(id).and_then(|gang| gang.member(uid)) else {
            return;
        };
        if member.is_live() {
            *self.members.entry(id).or_default() += 1;
            if let Some(role) = &member.role {
                *self.roles.entry((id, role.clone())).or_default() += 1;
            }
        }
    }

    fn of(&self, gang: GangId) -> usize {
        self.members.get(&gang).copied().unwrap_or(0)
    }

    fn of_role(&self, gang: GangId, role: &str) -> usize {
        (self.roles.get(&(gang, role.into())).copied()).unwrap_or(0)
    }
}

/// Finds what can be evicted, node by node.
pub(super) struct Finder<'a> {
    gangs: &'a Gangs,
    /// What has a lower priority can be evicted.
    below: i32,
    /// The group that is not touched.
    except: Option<GangId>,
    /// Groups that go as a whole, which may be met on many nodes.
    wholes: BTreeMap<GangId, Unit>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(gangs: &'a Gangs, below: i32) -> Self {
        Self {
            gangs,
            below,
            except: None,
            wholes: BTreeMap::new(),
        }
    }

    /// Nobody of this gang can be evicted.
    pub(super) fn without(self, gang: GangId) -> Self {
        Self {
            except: Some(gang),
            ..self
        }
    }

    /// Adds what can be evicted on a node, in no particular order.
    pub(super) fn on(
        &mut self,
        cluster: &Cluster,
        node: NodeId,
        taken: &Taken,
        units: &mut Vec<Unit>,
    ) {
        let mut of_gangs: BTreeMap<GangId, Vec<PlacedId>> = BTreeMap::new();
        for &id in cluster.pods_on(node) {
            let Some(record) = cluster.placed(id) else {
                continue;
            };
            let gang = record
                .grouped
                .then(|| self.gangs.of_member(&record.reference.uid));
            let gang = gang.flatten();
            match gang {
                Some(gang) if Some(gang) == self.except => {}
                Some(gang) => of_gangs.entry(gang).or_default().push(id),
                None if record.priority < self.below => {
                    units.push(single(id, record, record.priority, false));
                }
                None => {}
            }
        }
        for (id, pods) in of_gangs {
            if let Some(gang) = self.gangs.get(id) {
                self.of_gang(cluster, (id, gang), &pods, taken, units);
            }
        }
    }

    fn of_gang(
        &mut self,
        cluster: &Cluster,
        (id, gang): (GangId, &Gang),
        pods: &[PlacedId],
        taken: &Taken,
        units: &mut Vec<Unit>,
    ) {
        let records = || (pods.iter()).filter_map(|pod| Some((*pod, cluster.placed(*pod)?)));
        if gang.reference.dialect == Dialect::Kubernetes {
            let priority = group_priority(gang);
            if gang
                .object
                .as_ref()
                .is_some_and(|object| object.disrupted_whole)
            {
                let whole = self.whole(cluster, (id, gang), Some(priority.unwrap_or(0)));
                units.extend(whole.filter(|unit| unit.priority < self.below));
                return;
            }
            for (pod, record) in records() {
                let priority = priority.unwrap_or(record.priority);
                if priority < self.below {
                    units.push(single(pod, record, priority, true));
                }
            }
            return;
        }
        let (counts, min) = (gang.counts(), gang.min().unwrap_or(1) as usize);
        let runs = counts.live() >= min;
        let mut spare = counts.live().saturating_sub(min + taken.of(id));
        if runs && spare == 0 {
            // No member can go by itself, but those that are going already.
            let stays = |uid: &str| gang.member(uid).is_some_and(Member::is_live);
            let some_go = counts.terminating() > 0;
            let going = |(_, record): &(PlacedId, &PlacedRecord)| {
                record.terminating || some_go && !stays(&record.reference.uid)
            };
            let (gone, live): (Vec<_>, Vec<_>) = records().partition(going);
            let lower = gone
                .into_iter()
                .filter(|(_, record)| record.priority < self.below);
            units.extend(lower.map(|(pod, record)| single(pod, record, record.priority, false)));
            if !live.is_empty() {
                let whole = self.whole(cluster, (id, gang), None);
                units.extend(whole.filter(|unit| unit.priority < self.below));
            }
            return;
        }
        let (mut live, mut core) = (Vec::new(), Vec::new());
        for (pod, record) in records().filter(|(_, record)| record.priority < self.below) {
            let member = gang.member(&record.reference.uid);
            match member.filter(|member| member.is_live()) {
                Some(member) => live.push((pod, record, member)),
                None => units.push(single(pod, record, record.priority, false)),
            }
        }
        let mut spare_roles: BTreeMap<&str, usize> = (gang.roles().iter())
            .map(|(role, asked)| {
                let needed = *asked as usize + taken.of_role(id, role);
                (&**role, counts.live_in(role).saturating_sub(needed))
            })
            .collect();
        // What started last is the first that the gang can do without.
        live.sort_by_key(|(pod, record, _)| (std::cmp::Reverse(started(record)), *pod));
        for (pod, record, member) in live {
            let mut unit = single(pod, record, record.priority, false);
            if runs {
                let of_role = member
                    .role
                    .as_deref()
                    .and_then(|role| spare_roles.get_mut(role));
                if spare == 0 || of_role.as_ref().is_some_and(|left| **left == 0) {
                    core.push(pod);
                    continue;
                }
                spare -= 1;
                if let Some(left) = of_role {
                    *left -= 1;
                }
                unit.surplus = Some(id);
            }
            units.push(unit);
        }
        if core.is_empty() {
            return;
        }
        let apart: Vec<PlacedId> = (units.iter())
            .filter(|unit| unit.surplus == Some(id))
            .flat_map(|unit| unit.pods().iter().copied())
            .collect();
        let Some(mut whole) = self.whole(cluster, (id, gang), None) else {
            return;
        };
        if !apart.is_empty() {
            let rest = whole.pods().iter().copied();
            whole.pods = Pods::Many(rest.filter(|pod| !apart.contains(pod)).collect());
            let records = whole.pods().iter().filter_map(|pod| cluster.placed(*pod));
            let highest = records.map(|record| record.priority).max();
            whole.priority = highest.unwrap_or(whole.priority);
        }
        if whole.priority < self.below {
            units.push(whole);
        }
    }

    /// The whole group, wherever its pods are. Unless it has a priority of its own, the highest one of
    /// its pods protects them all.
    fn whole(
        &mut self,
        cluster: &Cluster,
        (id, gang): (GangId, &Gang),
        priority: Option<i32>,
    ) -> Option<Unit> {
        if let Some(known) = self.wholes.get(&id) {
            return Some(known.clone());
        }
        let everybody = gang.reference.dialect == Dialect::Kubernetes;
        let (mut first, mut highest) = (i64::MAX, i32::MIN);
        let pods: Arc<[PlacedId]> = (gang.members())
            .filter(|(_, member)| everybody || member.is_live())
            .filter_map(|(uid, _)| {
                let pod = cluster.placed_by_uid(uid)?;
                let record = cluster.placed(pod)?;
                first = first.min(started(record));
                highest = highest.max(record.priority);
                Some(pod)
            })
            .collect();
        let unit = Unit {
            pods: Pods::Many(pods),
            priority: priority.unwrap_or(highest),
            grouped: true,
            started: first,
            core: (!everybody).then_some(id),
            surplus: None,
        };
        self.wholes.insert(id, unit.clone());
        Some(unit)
    }
}

fn single(pod: PlacedId, record: &PlacedRecord, priority: i32, grouped: bool) -> Unit {
    Unit {
        pods: Pods::One(pod),
        priority,
        grouped,
        started: started(record),
        core: None,
        surplus: None,
    }
}
