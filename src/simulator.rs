//! An API server in memory, for the demonstration and for tests with faults.
//!
//! [`ApiServer`] is a state machine: requests and the time go in, answers come out. It does no IO,
//! reads no clock and rolls its dice from a seed, so that one history can be led again and again.
//! [`http`] lets clients reach it.
//!
//! It does what a scheduler and the objects around it need, in kube-apiserver's words; it does not
//! validate objects beyond that, and it has no users. Where it has a rule, the rule is
//! kube-apiserver's, which the end-to-end tests compare.

mod admission;
mod api_server;
mod change;
mod delete;
mod faults;
pub mod http;
mod kinds;
mod label_keys;
mod list;
mod patch;
mod request;
mod selector;
mod status;
mod store;
mod value;
mod views;
mod watch;

#[cfg(test)]
mod tests;

pub(crate) use admission::pod_requests;
pub use api_server::{ApiServer, Config};
pub use faults::{Fault, FaultRates};
pub use kinds::{KINDS, Kind, find};
pub use list::{List, ListOptions};
pub use request::{Answer, Body, DeleteOptions, Part, PatchType, Reply, Request, Verb};
pub use status::Status;
pub use store::Object;
pub use watch::{Frame, Watch, WatchOptions};
