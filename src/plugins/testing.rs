//! What tests share: plain objects, a slow scheduler over them that is obviously right, and
//! generators with so few distinct values that collisions happen.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub(crate) mod arbitrary;
pub(crate) mod dice;
pub(crate) mod naive;
pub(crate) mod peers;
pub(crate) mod plain;
pub(crate) mod volumes;

use proptest::prelude::ProptestConfig;

/// How many cases a property gets: `PROPTEST_CASES` decides if it is set.
pub(crate) fn cases(default: u32) -> ProptestConfig {
    ProptestConfig {
        cases: std::env::var("PROPTEST_CASES")
            .ok()
            .and_then(|cases| cases.parse().ok())
            .unwrap_or(default),
        failure_persistence: None,
        max_shrink_iters: 4096,
        ..ProptestConfig::default()
    }
}
