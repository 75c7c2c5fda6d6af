//! What a user of the scheduler sees, against a real API server.
//!
//! The tests are about Berth; with `E2E_SCHEDULER=kube-scheduler` the same tests run against kube-scheduler, which proves
//! that what they expect is what kube-scheduler does. Tests of what only Berth has are named `berth_...` and are to be
//! left out then: `E2E_SCHEDULER=kube-scheduler cargo test -p e2e --test behaviour -- --skip berth_`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accounting;
mod gangs;
mod gates;
mod launcher;
mod messages;
mod metrics;
mod nominated;
mod placement;
mod pod_groups;
mod preemption;
mod process;
mod records;
mod restarts;
mod spreading;
mod twin_preemption;
mod unsupported;
mod volumes;
mod wakeup;
