//! The runtime.
pub mod http;
