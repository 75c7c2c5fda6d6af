//! Gangs: pods that only run together, grouped by Kubernetes' own PodGroups, and how it is seen that they do.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use super::NAMESPACE;
use super::kinds::GPUS_PER_NODE;
use super::quantiles::Quantiles;

/// How pods form gangs.
#[derive(Debug, Clone, Copy)]
pub struct Gangs {
    /// How many pods a gang has; all of them have to run together.
    pub size: usize,
    /// Whether pods of all gangs are created in turn, or one gang after the other.
    pub in_turn: bool,
}

impl Gangs {
    /// The gang of a pod, of so many pods.
    pub fn gang_of(self, pod: usize, pods: usize) -> usize {
        if self.in_turn {
            pod % self.count(pods)
        } else {
            pod / self.size
        }
    }

    /// How many gangs so many pods are.
    pub fn count(self, pods: usize) -> usize {
        (pods / self.size).max(1)
    }

    /// How many of them there is room for.
    pub fn room(self, pods: usize, nodes: usize) -> usize {
        self.count(pods).min(nodes * GPUS_PER_NODE / self.size)
    }

    /// The groups of a round, ready to be sent.
    pub fn groups(self, prefix: &str, pods: usize) -> Vec<Bytes> {
        (0..self.count(pods))
            .map(|gang| {
                let group = json!({
                    "apiVersion": "scheduling.k8s.io/v1beta1",
                    "kind": "PodGroup",
                    "metadata": {"name": name(prefix, gang), "namespace": NAMESPACE},
                    "spec": {"schedulingPolicy": {"gang": {"minCount": self.size}}},
                });
                Bytes::from(group.to_string())
            })
            .collect()
    }
}

/// The path of the load's groups.
pub fn path() -> String {
    format!("/apis/scheduling.k8s.io/v1beta1/namespaces/{NAMESPACE}/podgroups")
}

/// The name of a group of a round.
pub fn name(prefix: &str, gang: usize) -> String {
    format!("{prefix}-gang-{gang:05}")
}

/// What a round has shown of its gangs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GangsMeasured {
    /// How many gangs there were.
    pub gangs: usize,
    /// How many of them there was room for.
    pub room: usize,
    /// How many had all their pods bound in the end.
    pub whole: usize,
    /// How many had some of their pods bound in the end, but not all.
    pub partial: usize,
    /// From the first create until as many gangs were whole as there was room for, if it came to that.
    pub seconds: Option<f64>,
    /// How long a gang that became whole was seen partly bound: from its first to its last pod.
    pub window_ms: Quantiles,
}

impl GangsMeasured {
    /// Puts together when each pod was seen bound.
    pub fn of(gangs: Gangs, nodes: usize, bound: &[Option<Instant>], start: Instant) -> Self {
        let pods = bound.len();
        let mut members: Vec<Vec<Instant>> = vec![Vec::new(); gangs.count(pods)];
        for (pod, moment) in bound.iter().enumerate() {
            if let (Some(moment), Some(gang)) = (moment, members.get_mut(gangs.gang_of(pod, pods)))
            {
                gang.push(*moment);
            }
        }
        let mut whole: Vec<(Instant, Duration)> = members
            .iter()
            .filter(|gang| gang.len() == gangs.size)
            .filter_map(|gang| {
                let (first, last) = (gang.iter().min()?, gang.iter().max()?);
                Some((*last, last.duration_since(*first)))
            })
            .collect();
        whole.sort_unstable();
        let room = gangs.room(pods, nodes);
        let enough = room.checked_sub(1).and_then(|last| whole.get(last));
        Self {
            gangs: members.len(),
            room,
            whole: whole.len(),
            partial: members.iter().filter(|gang| !gang.is_empty()).count() - whole.len(),
            seconds: enough.map(|(last, _)| last.saturating_duration_since(start).as_secs_f64()),
            window_ms: Quantiles::of(whole.into_iter().map(|(_, window)| window)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_come_gang_by_gang_or_in_turn() {
        let check = |in_turn, expected: [usize; 6]| {
            let gangs = Gangs { size: 3, in_turn };
            let found: Vec<usize> = (0..6).map(|pod| gangs.gang_of(pod, 6)).collect();
            assert_eq!(found, expected);
        };
        check(false, [0, 0, 0, 1, 1, 1]);
        check(true, [0, 1, 0, 1, 0, 1]);
    }

    #[test]
    fn gangs_are_whole_partial_or_absent() {
        let start = Instant::now();
        let at = |ms| Some(start + Duration::from_millis(ms));
        let gangs = Gangs {
            size: 4,
            in_turn: false,
        };
        let mut bound = vec![None; 16];
        bound[..4].copy_from_slice(&[at(10), at(12), at(40), at(11)]);
        bound[4..8].copy_from_slice(&[at(20), at(21), at(22), at(25)]);
        bound[9] = at(30);
        // Two nodes have room for four gangs of four pods: two are missing.
        let all = GangsMeasured::of(gangs, 2, &bound, start);
        assert_eq!((all.gangs, all.room, all.whole, all.partial), (4, 4, 2, 1));
        assert_eq!(all.seconds, None);
        assert_eq!((all.window_ms.p50, all.window_ms.max), (5.0, 30.0));
        let enough = GangsMeasured::of(gangs, 1, &bound, start);
        assert_eq!((enough.room, enough.seconds), (2, Some(0.04)));
    }
}
