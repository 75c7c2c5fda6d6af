//! Who schedules when several replicas run.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::duration;

/// How replicas agree on the one that schedules (`leaderElection` of the file).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaderElection {
    /// Whether there is an election at all.
    pub leader_elect: bool,
    /// How long others wait for a leader that does not renew before they take over.
    #[serde(serialize_with = "as_text")]
    pub lease_duration: Duration,
    /// How long a leader tries to renew before it gives up.
    #[serde(serialize_with = "as_text")]
    pub renew_deadline: Duration,
    /// How long to wait between two tries.
    #[serde(serialize_with = "as_text")]
    pub retry_period: Duration,
    /// The kind of the lock: only `leases`.
    pub resource_lock: String,
    /// The name of the lease.
    pub resource_name: String,
    /// Its namespace.
    pub resource_namespace: String,
}

/// What is wrong with an election: the field, and why.
pub type ElectionProblem = (&'static str, String);

impl Default for LeaderElection {
    fn default() -> Self {
        Self {
            leader_elect: true,
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            resource_lock: "leases".to_owned(),
            resource_name: "kube-scheduler".to_owned(),
            resource_namespace: "kube-system".to_owned(),
        }
    }
}

fn as_text<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    let nanoseconds = i64::try_from(value.as_nanos()).unwrap_or(i64::MAX);
    serializer.serialize_str(&duration::format(nanoseconds))
}

impl LeaderElection {
    /// Reads a duration as Go writes it, such as `1m30s`; None for what is none or is negative.
    pub fn parse_duration(text: &str) -> Option<Duration> {
        let nanoseconds = duration::parse(text)?;
        u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
    }

    /// What is wrong with it, in kube-scheduler's words. Nothing is asked of an election that does not
    /// take place.
    pub fn problems(&self) -> Vec<ElectionProblem> {
        let mut found = Vec::new();
        if !self.leader_elect {
            return found;
        }
        let mut invalid = |field, value: String, why: &str| {
            found.push((field, format!("Invalid value: \"{value}\": {why}")));
        };
        let shown =
            |value: Duration| duration::format(i64::try_from(value.as_nanos()).unwrap_or(i64::MAX));
        let zero = "must be greater than zero";
        for (field, value) in [
            ("leaseDuration", self.lease_duration),
            ("renewDeadline", self.renew_deadline),
            ("retryPeriod", self.retry_period),
        ] {
            if value.is_zero() {
                invalid(field, shown(value), zero);
            }
        }
        if self.lease_duration <= self.renew_deadline {
            let why = "must be greater than `RenewDeadline`";
            invalid("leaseDuration", shown(self.renew_deadline), why);
        }
        // Retries come up to a fifth later than asked.
        if self.renew_deadline <= self.retry_period.mul_f64(1.2) {
            let why = "must be greater than retryPeriod*1.2";
            invalid("renewDeadline", shown(self.renew_deadline), why);
        }
        for (field, value) in [
            ("resourceLock", &self.resource_lock),
            ("resourceNamespace", &self.resource_namespace),
            ("resourceName", &self.resource_name),
        ] {
            if value.is_empty() {
                found.push((field, "Required value".to_owned()));
            }
        }
        if self.resource_lock != "leases" {
            let lock = &self.resource_lock;
            let why = "resourceLock value must be \"leases\"";
            found.push(("resourceLock", format!("Invalid value: \"{lock}\": {why}")));
        }
        found
    }
}
