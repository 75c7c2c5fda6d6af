//! The flags about leader election, named as kube-scheduler's.

use std::time::Duration;

use anyhow::anyhow;
use clap::Args;

use super::run::scheduler_name as object_name;
use crate::config::{ElectionProblem, LeaderElection};

/// The name of the lease unless another one is given: not kube-scheduler's, beside which Berth may
/// run.
const LEASE: &str = "berth";

/// How replicas agree on the one that schedules. As with kube-scheduler, the last one counts of a
/// flag that is given more than once.
#[derive(Args, Clone, Debug)]
pub(super) struct Flags {
    /// Whether replicas agree on one that schedules while the others stand by [default: true]
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        action = clap::ArgAction::Set,
        overrides_with = "leader_elect"
    )]
    leader_elect: Option<bool>,

    /// How long others wait for a leader that is silent before they take over [default: 15s]
    #[arg(long, value_name = "DURATION", value_parser = duration, overrides_with = "leader_elect_lease_duration")]
    leader_elect_lease_duration: Option<Duration>,

    /// How long a leader goes on without having renewed the lease; then it ends [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = duration, overrides_with = "leader_elect_renew_deadline")]
    leader_elect_renew_deadline: Option<Duration>,

    /// How often the lease is renewed, or looked at [default: 2s]
    #[arg(long, value_name = "DURATION", value_parser = duration, overrides_with = "leader_elect_retry_period")]
    leader_elect_retry_period: Option<Duration>,

    /// The name of the lease; replicas with the same scheduler names need the same [default: berth]
    #[arg(long, value_name = "NAME", value_parser = object_name, overrides_with = "leader_elect_resource_name")]
    leader_elect_resource_name: Option<String>,

    /// The namespace of the lease [default: kube-system]
    #[arg(long, value_name = "NAME", value_parser = object_name, overrides_with = "leader_elect_resource_namespace")]
    leader_elect_resource_namespace: Option<String>,
}

impl Flags {
    /// What is in force when nothing but the flags says anything.
    pub(super) fn election(&self) -> Result<LeaderElection, anyhow::Error> {
        let mut election = LeaderElection {
            resource_name: LEASE.to_owned(),
            ..LeaderElection::default()
        };
        self.lay_over(&mut election);
        match election.problems().first() {
            None => Ok(election),
            Some((field, problem)) => Err(anyhow!("{}: {problem}", flag(field))),
        }
    }

    /// Lays the flags over the election of a file, and tells what is wrong then.
    pub(super) fn judge(&self, election: &mut LeaderElection) -> Vec<ElectionProblem> {
        let given = self.lay_over(election).join(", ");
        let mut problems = election.problems();
        if !given.is_empty() {
            for (_, text) in &mut problems {
                text.push_str(&format!("; set by flags: {given}"));
            }
        }
        problems
    }

    /// Returns those that were given, beside `--leader-elect`.
    fn lay_over(&self, election: &mut LeaderElection) -> Vec<String> {
        if let Some(elect) = self.leader_elect {
            election.leader_elect = elect;
        }
        let mut given = Vec::new();
        for (field, value, held) in [
            (
                "leaseDuration",
                self.leader_elect_lease_duration,
                &mut election.lease_duration,
            ),
            (
                "renewDeadline",
                self.leader_elect_renew_deadline,
                &mut election.renew_deadline,
            ),
            (
                "retryPeriod",
                self.leader_elect_retry_period,
                &mut election.retry_period,
            ),
        ] {
            if let Some(value) = value {
                *held = value;
                given.push(flag(field));
            }
        }
        for (field, value, held) in [
            (
                "resourceName",
                &self.leader_elect_resource_name,
                &mut election.resource_name,
            ),
            (
                "resourceNamespace",
                &self.leader_elect_resource_namespace,
                &mut election.resource_namespace,
            ),
        ] {
            if let Some(value) = value {
                held.clone_from(value);
                given.push(flag(field));
            }
        }
        given
    }
}

/// The flag of a field of the configuration.
fn flag(field: &str) -> String {
    let mut flag = "--leader-elect-".to_owned();
    for char in field.chars() {
        if char.is_ascii_uppercase() {
            flag.push('-');
        }
        flag.push(char.to_ascii_lowercase());
    }
    flag
}

fn duration(text: &str) -> Result<Duration, String> {
    LeaderElection::parse_duration(text).ok_or_else(|| "write it as 15s, 1m30s or 500ms".to_owned())
}
