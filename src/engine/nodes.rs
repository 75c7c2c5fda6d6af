//! Nodes that change, and whom events wake.

use super::classes::ClassTable;
use super::{Engine, ProfileState};
use crate::framework::{ClusterEvent, PluginSet, node_changes};
use crate::model::{NodeModel, PlacedPod, Time};
use crate::queue::ClassId;

impl Engine {
    pub(super) fn node(&mut self, model: NodeModel, now: Time) {
        let Some(change) = self.cluster.upsert_node(model) else {
            return;
        };
        match (&change.old, &change.new) {
            (None, Some(new)) => self.wake(&ClusterEvent::NodeAdd(new), now),
            (Some(old), Some(new)) => {
                for kind in node_changes(old, new) {
                    self.wake(&ClusterEvent::NodeUpdate(kind, old, new), now);
                }
            }
            _ => {}
        }
    }

    pub(super) fn node_gone(&mut self, name: &str, now: Time) {
        if let Some(old) = self.cluster.remove_node(name).and_then(|change| change.old) {
            self.wake(&ClusterEvent::NodeDelete(&old), now);
        }
    }

    pub(super) fn unreadable_node(&mut self, name: &str, reason: &str, now: Time) {
        self.quarantined.node(name, reason);
        self.node_gone(name, now);
    }

    /// Tells the waiting pods what happened.
    pub(super) fn wake(&mut self, event: &ClusterEvent<'_>, now: Time) {
        self.wake_up_to(i32::MAX, event, now);
    }

    /// A pod of this priority is not nominated any more to the node that it was. For those that
    /// had to yield to it this is as if it had been deleted there.
    pub(super) fn nomination_ended(&mut self, priority: i32, pod: &PlacedPod, now: Time) {
        self.wake_up_to(priority, &ClusterEvent::AssignedPodDelete(pod), now);
    }

    /// Tells the waiting pods up to this priority what happened.
    fn wake_up_to(&mut self, priority: i32, event: &ClusterEvent<'_>, now: Time) {
        let started = (self.stopwatch)();
        let Self {
            queue,
            classes,
            profiles,
            ..
        } = self;
        if self.heeded.contains(event.kind()) {
            queue.wake_up_to(priority, event.kind(), now, |class, rejectors| {
                helps(profiles, classes, event, class, rejectors)
            });
        }
        self.events
            .handled(event.kind(), (self.stopwatch)() - started);
    }
}

/// Whether the event can help a pod of this class that these plugins rejected.
pub(super) fn helps(
    profiles: &[ProfileState],
    classes: &ClassTable,
    event: &ClusterEvent<'_>,
    class: ClassId,
    rejectors: PluginSet,
) -> bool {
    let Some((profile, shape)) = classes.get(class) else {
        return false;
    };
    let profile = &profiles[profile].profile;
    rejectors.iter().any(|plugin| {
        profile.events(plugin).contains(event.kind()) && profile.plugin(plugin).hint(event, shape)
    })
}
