//! The end-to-end harness: a real etcd and kube-apiserver on loopback, the schedulers that run against them, and the
//! helpers with which the behaviour tests, load runs and runs of Kubernetes' own tests are written.

pub mod conformance;
pub mod controlplane;
pub mod harness;
pub mod load;
pub mod objects;
pub mod pod_groups;
pub mod pool;
pub mod progress;
pub mod random;
pub mod signals;
pub mod twin;

pub use controlplane::{ControlPlane, Options, Scheduler, SchedulerKind};
