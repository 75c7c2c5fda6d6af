//! DynamicResources: claims to devices are not supported yet, so that a pod with some is refused and
//! never placed as if it had none. Source of the name: `plugins/dynamicresources`.

use crate::cluster::Cluster;
use crate::framework::{Plugin, PreFilter, PreFilterAnswer};
use crate::model::PodShape;

/// Refuses pods with resource claims.
pub struct DynamicResources;

impl Plugin for DynamicResources {
    fn name(&self) -> &'static str {
        "DynamicResources"
    }

    fn pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }
}

impl PreFilter for DynamicResources {
    fn pre_filter(&self, pod: &PodShape, _: &Cluster) -> PreFilterAnswer {
        if pod.resource_claims {
            let why =
                "this version of Berth does not support resource claims (spec.resourceClaims)";
            PreFilterAnswer::Reject(why.to_owned())
        } else {
            PreFilterAnswer::Proceed
        }
    }
}
