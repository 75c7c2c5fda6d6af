//! TaintToleration. Source: `plugins/tainttoleration`.

use crate::cluster::{Cluster, NodeSet};
use crate::framework::{
    ClusterEvent, Code, Diagnosis, EventKind, EventSet, Filter, Incoming, Normalize, Obstacle,
    Plugin, Reason, Score,
};
use crate::model::{Effect, PodShape, find_untolerated};

const REASON: Reason = Reason::Text("node(s) had untolerated taint(s)");

/// Keeps pods off nodes whose taints they do not tolerate, and prefers nodes with fewer
/// PreferNoSchedule taints.
pub struct TaintToleration;

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn score(&self) -> Option<&dyn Score> {
        Some(self)
    }

    fn events(&self) -> EventSet {
        EventSet::of(&[
            EventKind::NodeAdd,
            EventKind::NodeTaint,
            EventKind::TargetPodToleration,
        ])
    }

    fn hint(&self, event: &ClusterEvent<'_>, pod: Incoming<'_>, _: &Cluster) -> bool {
        let untolerated = |taints| find_untolerated(taints, &pod.shape.tolerations).is_some();
        match event {
            ClusterEvent::NodeAdd(node) => !untolerated(&node.taints),
            ClusterEvent::NodeUpdate(_, old, new) => {
                untolerated(&old.taints) && !untolerated(&new.taints)
            }
            _ => true,
        }
    }
}

impl Filter for TaintToleration {
    fn obstacle(&self, _: &PodShape, _: &Cluster) -> Obstacle {
        Obstacle::None
    }

    fn filter(&self, pod: &PodShape, cluster: &Cluster, left: &mut NodeSet, why: &mut Diagnosis) {
        let hit = cluster.untolerated_nodes(&pod.tolerations);
        if left.intersects(&hit) {
            why.reject(left, &hit, REASON, Code::Unresolvable);
        }
    }
}

impl Score for TaintToleration {
    fn score(&self, pod: &PodShape, cluster: &Cluster, nodes: &NodeSet, column: &mut [i64]) {
        for node in nodes.iter() {
            column[node.index()] = 0;
        }
        for (taint, with) in cluster.taints().iter() {
            let tolerated = || {
                (pod.tolerations.iter()).any(|one| one.covers_preference() && one.tolerates(taint))
            };
            if taint.effect == Effect::PreferNoSchedule && !tolerated() {
                with.for_each(|node| {
                    if nodes.contains(node) {
                        column[node.index()] += 1;
                    }
                });
            }
        }
    }

    fn normalize(&self) -> Normalize {
        Normalize::ByMaxReversed
    }
}
