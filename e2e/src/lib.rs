//! The end-to-end harness: a real etcd and kube-apiserver on loopback, the schedulers that run against them, and the
//! helpers with which the behaviour tests and load runs are written.

pub mod controlplane;
pub mod harness;
pub mod load;
pub mod objects;
pub mod pool;
pub mod random;
pub mod twin;

pub use controlplane::{ControlPlane, Options, Scheduler, SchedulerKind};
