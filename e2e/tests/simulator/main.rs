//! The API server of the demonstration against the real one: the same requests have the same answers, and the same
//! pods are placed on the same nodes and told the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod requests;
mod scenario;
mod world;
