//! The API server of the demonstration and the simulation against a real cluster: the same requests have the same
//! answers, and the same pods are placed on the same nodes and told the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agreement;
mod dump;
mod evictions;
mod kubectl;
mod requests;
mod scene;
mod world;
