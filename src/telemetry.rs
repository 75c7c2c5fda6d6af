//! What the scheduler tells about itself while it runs: metrics and logs.
//!
//! Nothing here is global but the one subscriber that `tracing` needs: a process may own any number
//! of [`Metrics`](metrics::Metrics), and tests do.

pub mod metrics;
pub mod tracing;
