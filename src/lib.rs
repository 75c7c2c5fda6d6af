//! Berth: a Kubernetes scheduler for GPU training.
//!
//! The library is laid out in rooms, each of which may use only the ones listed under it here;
//! `tests/architecture.rs` holds the code to that. docs/architecture.md tells the way of a pod
//! through them.

#![forbid(unsafe_code)]

pub mod cli;

pub mod runtime;

pub mod simulator;

pub mod engine;
pub mod gang;
pub mod queue;

pub mod preemption;

pub mod plugins;

pub mod framework;

pub mod cluster;

pub mod model;

pub mod api;

pub mod config;
pub mod telemetry;
