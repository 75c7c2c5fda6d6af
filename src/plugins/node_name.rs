//! NodeName. Source: `plugins/nodename`.
//!
//! A pod with spec.nodeName is bound and never enters the queue, so for pods that wait there is
//! nothing to filter; the plugin stands in its place so that configurations can name it.

use crate::framework::{EventKind, EventSet, Plugin};

/// Confines a pod to the node it names.
pub struct NodeName;

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn events(&self) -> EventSet {
        EventSet::of(&[EventKind::NodeAdd])
    }
}
