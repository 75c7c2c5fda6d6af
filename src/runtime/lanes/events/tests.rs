//! Events as they are written, and when they are not.

use super::*;
use crate::api;
use crate::engine::ObjectEvent;
use crate::model::{Dialect, PodGroup, PodRef};

fn key(version: u64) -> SeriesKey {
    ("u".into(), version)
}

fn order(note: &str) -> EventOrder {
    EventOrder {
        about: About::Pod(Arc::new(PodRef {
            namespace: "a".into(),
            name: "b".into(),
            uid: "u".into(),
        })),
        event: ObjectEvent {
            related: None,
            kind: EventKind::FailedScheduling,
            scheduler_name: "berth".into(),
            note: note.into(),
            resource_version: 7,
        },
    }
}

#[test]
fn has_the_fields_of_kube_scheduler() {
    let now = jiff::Timestamp::from_microsecond(1_500_000).unwrap_or_default();
    let expected = json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": { "name": "b.1", "namespace": "a" },
        "eventTime": "1970-01-01T00:00:01.500000Z",
        "type": "Warning",
        "reason": "FailedScheduling",
        "action": "Scheduling",
        "note": "no",
        "regarding": {
            "kind": "Pod", "namespace": "a", "name": "b", "uid": "u", "apiVersion": "v1",
            "resourceVersion": "7",
        },
        "reportingController": "berth",
        "reportingInstance": "berth-host",
    });
    assert_eq!(body(&order("no"), "b.1", "host", now), expected);
}

#[test]
fn a_group_is_named_by_its_own_api() {
    for (dialect, version, expected) in [
        (
            Dialect::Kubernetes,
            "v1alpha3",
            "scheduling.k8s.io/v1alpha3",
        ),
        (
            Dialect::SchedulerPlugins,
            "v1alpha1",
            "scheduling.x-k8s.io/v1alpha1",
        ),
        (Dialect::Volcano, "v1beta1", "scheduling.volcano.sh/v1beta1"),
    ] {
        let mut group = api::PodGroup::default();
        group.metadata.namespace = "a".into();
        group.metadata.name = "g".into();
        group.metadata.uid = "u".into();
        let mut order = order("5 of 8 pods exist");
        order.about = About::Group(Arc::new(PodGroup::compile(dialect, version, &group)));
        order.event.kind = EventKind::WaitingForPodGroup;
        let written = body(&order, "g.1", "host", jiff::Timestamp::UNIX_EPOCH);
        let regarding = json!({
            "kind": "PodGroup", "namespace": "a", "name": "g", "uid": "u", "apiVersion": expected,
            "resourceVersion": "7",
        });
        assert_eq!(written["regarding"], regarding);
        let told = [&written["type"], &written["reason"], &written["note"]];
        assert_eq!(told, ["Normal", "WaitingForPodGroup", "5 of 8 pods exist"]);
    }
}

#[test]
fn long_notes_are_cut() {
    let cut = truncate(&"x".repeat(1025));
    assert_eq!(cut.len(), 1024);
    assert!(cut.ends_with("x ..."));
    assert_eq!(truncate(&"x".repeat(1024)).len(), 1024);
    // A character is never cut in two.
    assert!(truncate(&"ü".repeat(600)).len() <= 1024);
}

#[test]
fn a_repeated_failure_becomes_a_series() {
    let mut cache = SeriesCache::default();
    let (start, time) = (Instant::now(), jiff::Timestamp::UNIX_EPOCH);
    let second = Duration::from_secs(1);
    assert_eq!(cache.observe(&key(1), start, time), Known::New);
    cache.written(&key(1), "a", "b.1".to_owned());
    let expected = Flush {
        namespace: "a".into(),
        name: "b.1".to_owned(),
        count: 2,
        last: time,
    };
    assert_eq!(
        cache.observe(&key(1), start + second, time),
        Known::Patch(expected)
    );
    assert_eq!(
        cache.observe(&key(1), start + 2 * second, time),
        Known::Counted
    );

    // After the status was patched the pod has another version, and the next refusal is news.
    assert_eq!(cache.observe(&key(2), start, time), Known::New);
    cache.forget(&key(2));

    let minute = Duration::from_secs(60);
    assert_eq!(cache.sweep(start + 5 * minute), []);
    let last = cache.sweep(start + 7 * minute);
    assert_eq!(
        last.iter().map(|flush| flush.count).collect::<Vec<_>>(),
        [3]
    );
    assert_eq!(cache.observe(&key(1), start + 8 * minute, time), Known::New);
}

#[test]
fn a_series_that_goes_on_is_written_now_and_then() {
    let mut cache = SeriesCache::default();
    let (start, time) = (Instant::now(), jiff::Timestamp::UNIX_EPOCH);
    let minute = Duration::from_secs(60);
    cache.observe(&key(1), start, time);
    cache.written(&key(1), "a", "b.1".to_owned());
    let mut written = 0;
    for step in 1..=62 {
        cache.observe(&key(1), start + step * minute, time);
        written += cache.sweep(start + step * minute).len();
    }
    assert_eq!(written, 2);
}
