//! SchedulingGates: pods with gates stay outside. Source: `plugins/schedulinggates`.

use crate::framework::{EventKind, EventSet, Plugin, PreEnqueue};
use crate::model::WaitingPod;

/// Holds pods with scheduling gates.
pub struct SchedulingGates;

impl Plugin for SchedulingGates {
    fn name(&self) -> &'static str {
        "SchedulingGates"
    }

    fn pre_enqueue(&self) -> Option<&dyn PreEnqueue> {
        Some(self)
    }

    fn events(&self) -> EventSet {
        EventSet::of(&[EventKind::TargetPodGatesEliminated])
    }
}

impl PreEnqueue for SchedulingGates {
    fn pre_enqueue(&self, pod: &WaitingPod) -> Option<String> {
        (!pod.gates.is_empty())
            .then(|| format!("waiting for scheduling gates: [{}]", pod.gates.join(" ")))
    }
}
