//! The configuration file: KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1), as plain
//! values.

mod duration;
mod leader_election;

pub use leader_election::LeaderElection;
