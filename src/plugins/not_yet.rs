//! What Berth cannot honour yet is refused under the name of the plugin that will do it.

use crate::cluster::Cluster;
use crate::framework::{Plugin, PreFilter, PreFilterAnswer};
use crate::model::{PodShape, Unsupported};

/// Refuses pods that ask for one of these things.
pub struct NotYet {
    name: &'static str,
    refuses: &'static [Unsupported],
}

impl NotYet {
    /// A stand-in for the plugin of that name.
    pub const fn new(name: &'static str, refuses: &'static [Unsupported]) -> Self {
        Self { name, refuses }
    }
}

const fn words(what: Unsupported) -> &'static str {
    match what {
        Unsupported::ResourceClaims => "resource claims (spec.resourceClaims)",
    }
}

impl Plugin for NotYet {
    fn name(&self) -> &'static str {
        self.name
    }

    fn pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }
}

impl PreFilter for NotYet {
    fn pre_filter(&self, pod: &PodShape, _: &Cluster) -> PreFilterAnswer {
        let asked: Vec<_> = (pod.unsupported.iter())
            .filter(|what| self.refuses.contains(what))
            .map(|&what| words(what))
            .collect();
        if asked.is_empty() {
            PreFilterAnswer::Proceed
        } else {
            let asked = asked.join(" and ");
            PreFilterAnswer::Reject(format!("this version of Berth does not support {asked}"))
        }
    }
}
