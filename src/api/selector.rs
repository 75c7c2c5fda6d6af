//! meta/v1 LabelSelector.

use serde::Deserialize;

use super::decode::or_default;
use super::{Pairs, Requirement};

/// Requirements on labels that must all hold; without any it matches everything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels with exactly these values.
    pub match_labels: Pairs,
    /// Further requirements: In, NotIn, Exists, DoesNotExist.
    #[serde(deserialize_with = "or_default")]
    pub match_expressions: Vec<Requirement>,
}
