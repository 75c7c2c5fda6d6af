//! What a Lease says, and how it is written: as client-go's resourcelock does, so that both can
//! compete for one lease. Source: client-go `tools/leaderelection/resourcelock/leaselock.go`.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

/// The spec of a Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Empty when nobody holds it.
    pub(super) holder: String,
    pub(super) duration: Duration,
    /// None when it is missing or not a time.
    pub(super) acquired: Option<Timestamp>,
    pub(super) renewed: Option<Timestamp>,
    pub(super) transitions: i64,
}

impl Record {
    /// What is missing or not understood is empty: then nobody holds it.
    pub(super) fn read(lease: &Value) -> Self {
        let Some(spec) = lease.get("spec") else {
            return Self::default();
        };
        let text = |field: &str| spec.get(field).and_then(Value::as_str);
        let number = |field: &str| spec.get(field).and_then(Value::as_i64).unwrap_or(0);
        let time = |field: &str| text(field).and_then(|text| text.parse().ok());
        let seconds = u64::try_from(number("leaseDurationSeconds")).unwrap_or(0);
        Self {
            holder: text("holderIdentity").unwrap_or_default().to_owned(),
            duration: Duration::from_secs(seconds),
            acquired: time("acquireTime"),
            renewed: time("renewTime"),
            transitions: number("leaseTransitions"),
        }
    }

    /// The spec to be written. The duration is rounded up: the field has whole seconds, and nobody
    /// may take over before the time that was asked for.
    fn spec(&self) -> Value {
        let seconds = self.duration.as_secs() + u64::from(self.duration.subsec_nanos() > 0);
        json!({
            "holderIdentity": self.holder,
            "leaseDurationSeconds": seconds,
            "acquireTime": self.acquired.map(micro_time),
            "renewTime": self.renewed.map(micro_time),
            "leaseTransitions": self.transitions,
        })
    }

    /// A Lease that does not exist yet.
    pub(super) fn create(&self, namespace: &str, name: &str) -> Value {
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": { "namespace": namespace, "name": name },
            "spec": self.spec(),
        })
    }

    /// The Lease with another spec; labels, annotations and the resourceVersion, without which the
    /// update would be one without condition, stay as they are.
    pub(super) fn replace(&self, mut lease: Value) -> Value {
        if let Some(object) = lease.as_object_mut() {
            object.insert("spec".to_owned(), self.spec());
        }
        lease
    }
}

/// A MicroTime.
fn micro_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_client_go_writes_and_writes_the_same() {
        let spec = json!({
            "acquireTime": "2026-01-02T03:04:05.000006Z",
            "holderIdentity": "host_8a2d",
            "leaseDurationSeconds": 15,
            "leaseTransitions": 3,
            "renewTime": "2026-01-02T03:05:06.123456Z",
        });
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": { "name": "n", "resourceVersion": "7", "labels": { "a": "b" } },
            "spec": spec,
        });
        let record = Record::read(&lease);
        assert_eq!(record.holder, "host_8a2d");
        assert_eq!(record.duration, Duration::from_secs(15));
        assert_eq!(record.transitions, 3);
        assert_eq!(record.spec(), spec);
        let released = Record {
            holder: String::new(),
            ..record
        };
        let replaced = released.replace(lease);
        assert_eq!(replaced["metadata"]["resourceVersion"], "7");
        assert_eq!(replaced["metadata"]["labels"]["a"], "b");
        assert_eq!(replaced["spec"]["holderIdentity"], "");
    }

    #[test]
    fn what_is_missing_or_odd_is_empty() {
        for lease in [
            json!({}),
            json!({ "spec": null }),
            json!({ "spec": { "holderIdentity": null, "leaseDurationSeconds": -4 } }),
            json!({ "spec": { "renewTime": "yesterday", "leaseTransitions": "many" } }),
        ] {
            assert_eq!(Record::read(&lease), Record::default(), "{lease}");
        }
    }

    #[test]
    fn durations_are_rounded_up() {
        for (millis, seconds) in [(1, 1), (1000, 1), (1001, 2), (15_000, 15)] {
            let record = Record {
                duration: Duration::from_millis(millis),
                ..Record::default()
            };
            assert_eq!(record.spec()["leaseDurationSeconds"], seconds);
        }
    }
}
