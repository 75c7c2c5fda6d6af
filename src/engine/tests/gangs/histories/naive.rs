//! Whether a gang fits, found by a plain and slow way: one member after another on a model of GPUs
//! and cpu alone, and every choice that the rules leave open is tried.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::world::{Node, Pod, World};

/// Members to be placed, the roles of those before them, and what room is left.
type Seen = (Vec<Kind>, Vec<Option<&'static str>>, Vec<Room>);

/// Members of one kind go before others, or are placed alike.
type Kind = (
    bool,
    Reverse<i64>,
    (Option<&'static str>, bool, Option<&'static str>),
);

/// A node as far as it matters: rack, free GPUs, free cpu.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Room {
    name: String,
    rack: Option<&'static str>,
    tainted: bool,
    gpus: i64,
    cpu: i64,
}

fn rooms(world: &World) -> Vec<Room> {
    let on = |name: &str| {
        let there = move |pod: &&Pod| pod.node.as_deref() == Some(name);
        world.pods.values().filter(there).collect::<Vec<_>>()
    };
    (world.nodes.iter())
        .filter(|(_, node)| !node.cordoned)
        .map(|(name, node)| Room {
            name: name.clone(),
            rack: node.rack,
            tainted: node.tainted,
            gpus: node.gpus - on(name).iter().map(|pod| pod.gpus).sum::<i64>(),
            cpu: node.cpu - on(name).iter().map(|pod| pod.cpu).sum::<i64>(),
        })
        .collect()
}

/// Whether a pod may go to a node whatever room there is.
pub(super) fn tolerates(node: &Node, pod: &Pod) -> bool {
    is_for(pod, node.tainted, node.rack)
}

fn is_for(pod: &Pod, tainted: bool, rack: Option<&'static str>) -> bool {
    let selected = pod.selector.is_none() || pod.selector == rack;
    (pod.tolerates || !tainted) && selected
}

fn takes(room: &Room, pod: &Pod) -> bool {
    if !is_for(pod, room.tainted, room.rack) {
        return false;
    }
    let gpus = pod.gpus == 0 || room.gpus >= pod.gpus;
    gpus && (pod.cpu == 0 || room.cpu >= pod.cpu)
}

/// Whether the pod fits somewhere by itself.
pub(super) fn fits(world: &World, pod: &Pod) -> bool {
    rooms(world).iter().any(|room| takes(room, pod))
}

/// Whether the members agree with each other.
pub(super) fn is_valid(world: &World, place: usize) -> bool {
    let live = world.members(place).filter(|(_, pod)| !pod.terminating);
    let told: BTreeSet<_> = live.map(|(_, pod)| (pod.priority, pod.ours)).collect();
    told.len() <= 1
}

/// What the gang still needs, and who waits. None if it may not be tried.
pub(super) fn asks(world: &World, place: usize) -> Option<Asks> {
    let group = &world.groups[place];
    let min = world.min_of(place)?;
    let waiting: Vec<(String, Pod)> = (world.members(place))
        .filter(|(_, pod)| pod.ours && pod.node.is_none() && !pod.gated && !pod.terminating)
        .map(|(uid, pod)| (uid.clone(), pod.clone()))
        .collect();
    if waiting.is_empty() || !is_valid(world, place) {
        return None;
    }
    let live = world.live(place);
    let met = group.is_met && !live.is_empty();
    let uids: BTreeSet<String> = waiting.iter().map(|(uid, _)| uid.clone()).collect();
    let (there, here) = (world.roles_of(&live), world.roles_of(&uids));
    let of = |roles: &BTreeMap<&'static str, u32>, role| roles.get(role).copied().unwrap_or(0);
    let roles_exist =
        (group.roles.iter()).all(|(role, asked)| of(&there, role) + of(&here, role) >= *asked);
    if !met && (live.len() + waiting.len() < min || !roles_exist) {
        return None;
    }
    let roles = (group.roles.iter())
        .map(|(role, asked)| (*role, asked.saturating_sub(of(&there, role))))
        .filter(|(_, missing)| *missing > 0 && !met)
        .collect();
    Some(Asks {
        waiting,
        pods: if met {
            1
        } else {
            min.saturating_sub(live.len()).max(1)
        },
        roles,
        required: group.required.is_some(),
        anchors: (live.iter())
            .filter_map(|uid| world.pods[uid].node.clone())
            .map(|node| world.nodes.get(&node).and_then(|node| node.rack))
            .collect(),
    })
}

pub(super) struct Asks {
    waiting: Vec<(String, Pod)>,
    pods: usize,
    roles: BTreeMap<&'static str, u32>,
    required: bool,
    anchors: BTreeSet<Option<&'static str>>,
}

impl Asks {
    /// Who waits.
    pub(super) fn waiting(&self) -> Vec<(&String, &Pod)> {
        self.waiting.iter().map(|(uid, pod)| (uid, pod)).collect()
    }

    /// Whether the gang is placed by the rules, whatever they leave open.
    pub(super) fn is_placed(&self, world: &World) -> bool {
        let rooms = rooms(world);
        if !self.required {
            return self.is_placed_in(rooms);
        }
        super::world::RACKS.iter().any(|rack| {
            let elsewhere = |anchor: &Option<&'static str>| *anchor != Some(*rack);
            let mut rooms = rooms.clone();
            rooms.retain(|room| room.rack == Some(*rack));
            !self.anchors.iter().any(elsewhere) && self.is_placed_in(rooms)
        })
    }

    fn is_placed_in(&self, rooms: Vec<Room>) -> bool {
        let mut missing = self.roles.clone();
        let mut order: Vec<(Kind, &Pod)> = (self.waiting.iter())
            .map(|(_, pod)| {
                let left = pod
                    .role
                    .and_then(|role| missing.get_mut(role))
                    .filter(|left| **left > 0);
                let beyond = left.is_none() && !self.roles.is_empty();
                left.into_iter().for_each(|left| *left -= 1);
                let kind = (pod.role, pod.tolerates, pod.selector);
                ((beyond, Reverse(pod.gpus), kind), pod)
            })
            .collect();
        order.sort_by_key(|(kind, _)| *kind);
        self.every_way(&order, rooms, &mut Vec::new(), &mut BTreeSet::new())
    }

    fn every_way(
        &self,
        left: &[(Kind, &Pod)],
        rooms: Vec<Room>,
        placed: &mut Vec<Option<&'static str>>,
        seen: &mut BTreeSet<Seen>,
    ) -> bool {
        let Some(((beyond, gpus, _), _)) = left.first() else {
            let enough = placed.len() >= self.pods;
            return enough
                && self.roles.iter().all(|(role, asked)| {
                    let of_role = placed.iter().filter(|placed| **placed == Some(*role));
                    of_role.count() >= *asked as usize
                });
        };
        // Which of equal members were placed does not matter.
        let mut told = placed.clone();
        told.sort_unstable();
        let kinds = left.iter().map(|(kind, _)| *kind).collect();
        if !seen.insert((kinds, told, rooms.clone())) {
            return true;
        }
        // The order of members of one size is left open.
        let mut before = None;
        for (at, (kind, pod)) in left.iter().enumerate() {
            let same_size = kind.0 == *beyond && kind.1 == *gpus;
            if !same_size || before.replace(kind) == Some(kind) {
                continue;
            }
            let rest = [&left[..at], &left[at + 1..]].concat();
            if !self.every_place(pod, &rest, &rooms, placed, seen) {
                return false;
            }
        }
        true
    }

    fn every_place(
        &self,
        pod: &Pod,
        rest: &[(Kind, &Pod)],
        rooms: &[Room],
        placed: &mut Vec<Option<&'static str>>,
        seen: &mut BTreeSet<Seen>,
    ) -> bool {
        let taking: Vec<usize> = (0..rooms.len())
            .filter(|at| takes(&rooms[*at], pod))
            .collect();
        if taking.is_empty() {
            return self.every_way(rest, rooms.to_vec(), placed, seen);
        }
        // Devices are packed: the node with the fewest left is taken.
        let fewest = taking.iter().map(|at| rooms[*at].gpus).min();
        for at in taking {
            if pod.gpus > 0 && Some(rooms[at].gpus) != fewest {
                continue;
            }
            let mut rooms = rooms.to_vec();
            rooms[at].gpus -= pod.gpus;
            rooms[at].cpu -= pod.cpu;
            placed.push(pod.role);
            let way = self.every_way(rest, rooms, placed, seen);
            placed.pop();
            if !way {
                return false;
            }
        }
        true
    }
}
