//! Nodes full of pods of low priority, and pods of high priority for which these have to go.

use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

use super::kinds::{self, PODS_PER_NODE};
use super::quantiles::{Quantiles, count};

/// The namespace of the pods that have to go.
pub const NAMESPACE: &str = "load-fillers";

/// The priority classes, with their values. Pods of neither class have priority 0 and evict nobody.
pub const CLASSES: [(&str, i32); 2] = [(LOW, 10), (HIGH, 1000)];

const LOW: &str = "load-low";
const HIGH: &str = "load-high";

/// How many of them fill a node.
pub const PER_NODE: usize = 2;

/// What each of them asks for, and each pod that takes the place of one: half a node.
const CPU: &str = "16";

/// Ordinary pods that come earlier do not count: a scheduler and its connections have just begun.
const WARM_UP: Duration = Duration::from_secs(2);

/// Which nodes are full, and who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preemption {
    /// All nodes are full, and every pod has to make room for itself.
    Alone,
    /// The nodes of half of the zones are full. Ordinary pods come at a rate and go to the others; in the second half of
    /// the time, pods that make room come as well.
    Beside,
}

impl Preemption {
    /// Whether a node is full.
    pub fn is_full(self, node: usize) -> bool {
        self == Self::Alone || !kinds::is_in_upper_zones(node)
    }

    /// Fails if there is no room for so many pods, of which `preemptors` evict others.
    pub fn check(self, nodes: usize, ordinary: usize, preemptors: usize) -> Result<()> {
        let full = (0..nodes).filter(|node| self.is_full(*node)).count();
        let (victims, room) = (full * PER_NODE, (nodes - full) * PODS_PER_NODE);
        if preemptors > victims {
            bail!("{preemptors} pods would evict others, but {nodes} nodes have {victims} victims");
        }
        if ordinary > room {
            bail!("{ordinary} ordinary pods do not fit beside those that evict others: {room} do");
        }
        Ok(())
    }

    /// The pods that fill nodes in a round, ready to be sent. Without grace they are gone as soon as they are evicted.
    pub fn fillers(self, prefix: &str, nodes: usize) -> Vec<Bytes> {
        (0..nodes)
            .filter(|node| self.is_full(*node))
            .flat_map(|node| [node; PER_NODE])
            .enumerate()
            .map(|(index, node)| {
                let filler = json!({
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {
                        "name": kinds::pod_name(prefix, index),
                        "namespace": NAMESPACE,
                        "labels": {"app": "filler"},
                    },
                    "spec": {
                        "nodeName": kinds::node_name(node),
                        "priorityClassName": LOW,
                        "terminationGracePeriodSeconds": 0,
                        "containers": half_a_node(),
                    },
                });
                Bytes::from(filler.to_string())
            })
            .collect()
    }
}

/// Whether a pod of this priority class makes room for itself.
pub fn makes_room(class: Option<&str>) -> bool {
    class == Some(HIGH)
}

/// The path of the pods that fill nodes, with what follows.
pub fn path(rest: &str) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/pods{rest}")
}

/// What a pod that makes room has in its spec.
pub fn spec() -> Value {
    json!({"priorityClassName": HIGH, "containers": half_a_node()})
}

fn half_a_node() -> Value {
    json!([{
        "name": "main",
        "image": "registry.k8s.io/pause:3.10",
        "resources": {"requests": {"cpu": CPU, "memory": "500Mi"}},
    }])
}

/// Ordinary pods at a rate all the time, and among them, in the second half, others that make room.
#[derive(Debug, Clone, Copy)]
pub struct Mix {
    /// Ordinary pods per second.
    pub rate: usize,
    /// Pods per second that make room.
    pub preempting: usize,
    /// The whole time.
    pub seconds: usize,
}

impl Mix {
    /// How many pods come in the first half.
    fn calm(self) -> usize {
        self.rate * self.seconds / 2
    }

    /// How many pods come altogether.
    pub fn pods(self) -> usize {
        self.calm() + (self.rate + self.preempting) * self.seconds / 2
    }

    /// How many of them make room.
    pub fn preemptors(self) -> usize {
        (0..self.pods()).filter(|pod| self.preempts(*pod)).count()
    }

    /// Whether a pod makes room; in the second half they are spread evenly among the others.
    pub fn preempts(self, pod: usize) -> bool {
        let before = |pod: usize| pod * self.preempting / (self.rate + self.preempting);
        let pod = pod.checked_sub(self.calm());
        pod.is_some_and(|pod| before(pod + 1) > before(pod))
    }

    /// When a pod is due, counted from the start.
    pub fn due(self, pod: usize) -> Duration {
        let calm = self.calm();
        let first = count(pod.min(calm)) / count(self.rate);
        let then = count(pod.saturating_sub(calm)) / count(self.rate + self.preempting);
        Duration::from_secs_f64(first + then)
    }
}

/// What a round has shown of preemption.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreemptionMeasured {
    /// How many pods had to make room.
    pub preemptors: usize,
    /// How many pods were evicted.
    pub evictions: usize,
    /// Create to bound of those that had to make room.
    pub preemptors_ms: Quantiles,
    /// How ordinary pods fared, if there were some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordinary: Option<Ordinary>,
}

/// Create to bound of ordinary pods.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ordinary {
    /// In the first half, when nobody was evicted, without its first two seconds.
    pub calm_ms: Quantiles,
    /// In the second half, while others were.
    pub beside_ms: Quantiles,
}

impl PreemptionMeasured {
    /// Puts together how long each pod took.
    pub fn of(mix: Option<Mix>, evictions: usize, latencies: &[Option<Duration>]) -> Self {
        let of = |accept: &dyn Fn(usize) -> bool| {
            let accepted = latencies.iter().enumerate().filter(|(pod, _)| accept(*pod));
            Quantiles::of(accepted.filter_map(|(_, latency)| *latency))
        };
        let preempts = |pod| mix.is_none_or(|mix: Mix| mix.preempts(pod));
        Self {
            preemptors: (0..latencies.len()).filter(|pod| preempts(*pod)).count(),
            evictions,
            preemptors_ms: of(&preempts),
            ordinary: mix.map(|mix| Ordinary {
                calm_ms: of(&|pod| pod < mix.calm() && mix.due(pod) >= WARM_UP),
                beside_ms: of(&|pod| pod >= mix.calm() && !mix.preempts(pod)),
            }),
        }
    }

    /// The middle of several rounds; of evictions the most.
    pub fn over_rounds(rounds: &[Self]) -> Option<Self> {
        let over = |quantiles: &dyn Fn(&Self) -> Option<Quantiles>| {
            let all: Vec<Quantiles> = rounds.iter().filter_map(quantiles).collect();
            Quantiles::over_rounds(&all)
        };
        let ordinary =
            |of: fn(&Ordinary) -> Quantiles| over(&|round| round.ordinary.as_ref().map(of));
        let first = rounds.first()?;
        Some(Self {
            preemptors: first.preemptors,
            evictions: rounds.iter().map(|round| round.evictions).max()?,
            preemptors_ms: over(&|round| Some(round.preemptors_ms)),
            ordinary: first.ordinary.map(|_| Ordinary {
                calm_ms: ordinary(|pods| pods.calm_ms),
                beside_ms: ordinary(|pods| pods.beside_ms),
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIX: Mix = Mix {
        rate: 10,
        preempting: 5,
        seconds: 8,
    };

    #[test]
    fn preemptors_come_in_the_second_half_among_the_others() {
        assert_eq!((MIX.calm(), MIX.pods(), MIX.preemptors()), (40, 100, 20));
        let preemptors: Vec<usize> = (0..MIX.pods()).filter(|pod| MIX.preempts(*pod)).collect();
        assert_eq!(preemptors[..3], [42, 45, 48]);
        let check = |pod, milliseconds| {
            assert_eq!(MIX.due(pod), Duration::from_millis(milliseconds), "{pod}");
        };
        check(0, 0);
        check(1, 100);
        check(40, 4000);
        check(43, 4200);
        check(100, 8000);
    }

    #[test]
    fn pods_need_victims_and_room() {
        let check = |kind: Preemption, ordinary, preemptors, expected: bool| {
            let found = kind.check(20, ordinary, preemptors);
            assert_eq!(found.is_ok(), expected, "{kind:?}: {found:?}");
        };
        check(Preemption::Alone, 0, 40, true);
        check(Preemption::Alone, 0, 41, false);
        check(Preemption::Alone, 1, 1, false);
        check(Preemption::Beside, 1100, 20, true);
        check(Preemption::Beside, 1101, 20, false);
        check(Preemption::Beside, 0, 21, false);
        assert_eq!(Preemption::Alone.fillers("r", 20).len(), 40);
        assert_eq!(Preemption::Beside.fillers("r", 20).len(), 20);
    }

    #[test]
    fn latencies_are_told_apart() {
        let latencies: Vec<Option<Duration>> = (0..MIX.pods())
            .map(|pod| {
                let milliseconds = match pod {
                    _ if MIX.preempts(pod) => 900,
                    0..20 => 5000,
                    20..40 => 10,
                    _ => 20,
                };
                (pod != 30).then(|| Duration::from_millis(milliseconds))
            })
            .collect();
        let found = PreemptionMeasured::of(Some(MIX), 21, &latencies);
        assert_eq!((found.preemptors, found.evictions), (20, 21));
        assert_eq!(
            (found.preemptors_ms.p50, found.preemptors_ms.max),
            (900.0, 900.0)
        );
        let ordinary = found
            .ordinary
            .map(|pods| (pods.calm_ms.max, pods.beside_ms.max));
        assert_eq!(ordinary, Some((10.0, 20.0)));
        let alone = PreemptionMeasured::of(None, 100, &latencies);
        assert_eq!((alone.preemptors, alone.preemptors_ms.p50), (100, 20.0));
        assert!(alone.ordinary.is_none());
    }
}
