//! How many members there is room for at most: what rules a gang out before it is tried, and by
//! which the domains are put in order.

use std::cmp::Reverse;

use rustc_hash::FxHashSet;

use super::{Domain, Planner};
use crate::cluster::{Cluster, ResourceId};
use crate::framework::Incoming;
use crate::model::{PodShape, is_extended_resource};

impl Planner<'_, '_> {
    /// How many members of each class there are.
    fn members_by_class(&self) -> Vec<usize> {
        let mut members = vec![0; self.classes.len()];
        for candidate in self.request.candidates {
            members[candidate.class] += 1;
        }
        members
    }

    /// For each class how many of its members each node could take by itself, at most.
    fn rooms(&mut self, cluster: &Cluster) -> Vec<Vec<u32>> {
        let profile = self.request.profile;
        let candidates = self.request.candidates;
        let mut rooms = Vec::new();
        for (place, class) in self.classes.iter_mut().enumerate() {
            let mut column = vec![0; cluster.node_slots()];
            // What is kept of a class is the same for all of its members, but some may be refused by
            // what they ask of other pods before any node is looked at.
            let mut known = FxHashSet::default();
            let of_class = candidates.iter().filter(|member| member.class == place);
            for member in of_class.filter(|member| known.insert(member.peers)) {
                let incoming = Incoming {
                    shape: &class.shape,
                    peers: member.peers,
                };
                let evaluation = &mut class.evaluation;
                evaluation.filter(profile, incoming, cluster);
                self.rejectors.union(evaluation.rejectors());
                if evaluation.error().is_some() || evaluation.rejection().is_some() {
                    continue;
                }
                let feasible = evaluation.kept_feasible();
                for node in feasible.iter() {
                    column[node.index()] = u32::MAX;
                }
                let limits = profile.room(&class.shape, cluster, feasible, &mut column);
                if !feasible.is_empty() {
                    self.rejectors.union(limits);
                }
                break;
            }
            rooms.push(column);
        }
        rooms
    }

    /// How many members there is room for at most, wherever, if that rules the gang out.
    pub(super) fn too_little_room(&mut self, cluster: &Cluster) -> Option<usize> {
        let members = self.members_by_class();
        let rooms = self.rooms(cluster);
        let sum = members.iter().zip(&rooms).map(|(members, column)| {
            let all = column.iter().map(|room| *room as usize);
            all.fold(0_usize, usize::saturating_add).min(*members)
        });
        Some(sum.sum()).filter(|room| *room < self.request.need.pods)
    }

    /// The domains with how many members there is room for at most, in the order in which they are
    /// to be tried: those for all members, the tightest first, and then the others, the largest
    /// first.
    pub(super) fn rank(&mut self, cluster: &Cluster, domains: Vec<Domain>) -> Vec<(usize, Domain)> {
        let members = self.members_by_class();
        let everyone: usize = members.iter().sum();
        let rooms = self.rooms(cluster);
        let mut ranked: Vec<_> = (domains.into_iter())
            .map(|domain| {
                let sums = rooms.iter().map(|column| domain.sum(column));
                let sums: Vec<usize> = sums.collect();
                let room: usize = (sums.iter().zip(&members))
                    .map(|(sum, members)| (*sum).min(*members))
                    .sum();
                let left_over = sums
                    .iter()
                    .fold(0_usize, |all, sum| all.saturating_add(*sum));
                (room, left_over, domain)
            })
            .collect();
        ranked.sort_by(|(room, left, domain), (other_room, other_left, other)| {
            let tight = |room: &usize, left: &usize| {
                let rest = if *room >= everyone { *left } else { 0 };
                (Reverse(*room), rest)
            };
            let by_size = tight(room, left).cmp(&tight(other_room, other_left));
            by_size.then_with(|| domain.label.cmp(&other.label))
        });
        ranked
            .into_iter()
            .map(|(room, _, domain)| (room, domain))
            .collect()
    }
}

/// The device by which pods of gangs are packed: the first one they ask for.
pub(super) fn packed_resource(shape: &PodShape, cluster: &Cluster) -> Option<ResourceId> {
    let mut asked = shape.wanted.asked_scalars();
    let (device, _) = asked.find(|(name, _)| is_extended_resource(name))?;
    cluster.resources().id(device)
}
