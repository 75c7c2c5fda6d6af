//! What is sent for a failed attempt.

#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::engine::{ConditionReason, NotScheduled};

fn pod() -> PodRef {
    PodRef {
        namespace: "a".into(),
        name: "b".into(),
        uid: "u".into(),
    }
}

fn told() -> NotScheduled {
    NotScheduled {
        reason: ConditionReason::Unschedulable,
        message: "0/1 nodes are available: 1 Too many pods.".into(),
        observed_generation: Some(3),
        transition: true,
    }
}

fn patch() -> StatusPatch {
    StatusPatch {
        condition: Some(told()),
        nomination: Nomination::Keep,
    }
}

fn at() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH
}

#[test]
fn the_first_failure_sets_the_transition_time() {
    let expected = json!({
        "metadata": { "uid": "u" },
        "status": { "conditions": [{
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Too many pods.",
            "observedGeneration": 3,
            "lastProbeTime": null,
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }] },
    });
    assert_eq!(body(&pod(), &patch(), at()), expected);
}

#[test]
fn later_ones_leave_it() {
    let sent = body(
        &pod(),
        &StatusPatch {
            condition: Some(NotScheduled {
                transition: false,
                ..told()
            }),
            ..patch()
        },
        at(),
    );
    assert_eq!(
        sent["status"]["conditions"][0].get("lastTransitionTime"),
        None
    );
}

#[test]
fn a_nomination_is_cleared_by_null() {
    let sent = body(
        &pod(),
        &StatusPatch {
            nomination: Nomination::Clear,
            ..patch()
        },
        at(),
    );
    assert_eq!(sent["status"].get("nominatedNodeName"), Some(&Value::Null));
    assert_eq!(
        body(&pod(), &patch(), at())["status"].get("nominatedNodeName"),
        None
    );
}

#[test]
fn a_nomination_is_set_with_the_condition_or_cleared_without_one() {
    let set = StatusPatch {
        nomination: Nomination::Set("n1".into()),
        ..patch()
    };
    let sent = body(&pod(), &set, at());
    assert_eq!(sent["status"]["nominatedNodeName"], json!("n1"));
    assert_eq!(sent["status"]["conditions"][0]["status"], json!("False"));
    let cleared = StatusPatch {
        condition: None,
        nomination: Nomination::Clear,
    };
    let expected = json!({
        "metadata": { "uid": "u" },
        "status": { "nominatedNodeName": null },
    });
    assert_eq!(body(&pod(), &cleared, at()), expected);
}

#[test]
fn a_patch_takes_over_what_the_one_before_it_said_besides() {
    let set = StatusPatch {
        condition: None,
        nomination: Nomination::Set("n1".into()),
    };
    let mut newer = StatusPatch {
        condition: Some(NotScheduled {
            transition: false,
            ..told()
        }),
        nomination: Nomination::Keep,
    };
    newer.supersede(&set);
    newer.supersede(&patch());
    let both = StatusPatch {
        nomination: Nomination::Set("n1".into()),
        ..patch()
    };
    assert_eq!(newer, both);
    let mut cleared = StatusPatch {
        condition: None,
        nomination: Nomination::Clear,
    };
    cleared.supersede(&both);
    assert_eq!(cleared.condition, Some(told()));
    assert_eq!(cleared.nomination, Nomination::Clear);
}

/// The lane and a server in memory that has groups of pods.
mod of_groups {
    use std::time::Instant;

    use super::*;
    use crate::engine::{GroupPhase, GroupStatus};
    use crate::model::Dialect;
    use crate::runtime::lease::Fence;
    use crate::simulator::http::{Handle, Server};
    use crate::simulator::{self, Body, Config, Fault, PatchType, Request as Call, Verb};

    const LIMIT: Duration = Duration::from_secs(60);

    struct Scene {
        handle: Handle,
        kind: &'static simulator::Kind,
        orders: mpsc::UnboundedSender<Patch>,
        load: Arc<BindLoad>,
        mailbox: Arc<Mailbox>,
        tasks: tokio::task::JoinSet<()>,
    }

    impl Scene {
        async fn new(dialect: Dialect, version: &str) -> Self {
            let server = Server::bind(0, Config::default()).await.unwrap();
            let (handle, address) = (server.handle(), server.local_address().unwrap());
            let kind = simulator::find(dialect.api_group(), version, "podgroups").unwrap();
            handle.with(|server, _| server.serve(kind, true));
            let config = kube::Config::new(format!("http://{address}").parse().unwrap());
            let (orders, received) = mpsc::unbounded_channel();
            let mailbox = Arc::new(Mailbox::default());
            let load = Arc::new(BindLoad::new());
            let lane = StatusLane {
                client: ApiClient::new(&config, 4, LIMIT, Fence::none()).unwrap(),
                orders: received,
                load: Arc::clone(&load),
                told: Arc::new(Told::default()),
                mailbox: Arc::clone(&mailbox),
                metrics: Arc::new(Metrics::new().unwrap()),
            };
            let mut tasks = tokio::task::JoinSet::new();
            tasks.spawn(server.serve(std::future::pending()));
            tasks.spawn(lane.run());
            Self {
                handle,
                kind,
                orders,
                load,
                mailbox,
                tasks,
            }
        }

        fn call(&self, verb: Verb, name: &str, body: Value) -> Value {
            let call = Call::new(verb, self.kind, "default", name).with_body(body);
            let answer = self.handle.with(|server, now| server.call(&call, now));
            match answer.reply().unwrap().body {
                Body::Object(object) => object.value().clone(),
                other => unreachable!("{other:?}"),
            }
        }

        fn create(&self, dialect: Dialect, version: &'static str, name: &str) -> Arc<PodGroup> {
            let object = self.call(Verb::Create, "", json!({ "metadata": { "name": name } }));
            let object = serde_json::from_value(object).unwrap();
            Arc::new(PodGroup::compile(dialect, version, &object))
        }

        fn order(&self, id: u64, group: &Arc<PodGroup>, phase: GroupPhase) {
            let order = GroupOrder {
                id: EffectId(id),
                group: Arc::clone(group),
                status: GroupStatus {
                    phase,
                    running: 3,
                    message: "why".into(),
                },
            };
            self.orders.send(Patch::Group(order)).unwrap();
        }

        async fn outcomes(&self, count: usize) -> Vec<(u64, Outcome)> {
            let begin = Instant::now();
            let mut outcomes = Vec::new();
            while outcomes.len() < count {
                assert!(begin.elapsed() < LIMIT, "only {outcomes:?}");
                tokio::time::sleep(Duration::from_millis(2)).await;
                let mail = self.mailbox.take(Duration::ZERO).outcomes;
                outcomes.extend(mail.into_iter().map(|(id, outcome)| (id.0, outcome)));
            }
            outcomes
        }
    }

    /// The engine hands over the group as it knows it, which may be older than what was written.
    #[tokio::test]
    async fn a_patch_is_judged_by_what_was_written_last() {
        for (dialect, version) in [
            (Dialect::Kubernetes, "v1beta1"),
            (Dialect::SchedulerPlugins, "v1alpha1"),
            (Dialect::Volcano, "v1beta1"),
        ] {
            let mut scene = Scene::new(dialect, version).await;
            let group = scene.create(dialect, version, "g");
            for (id, phase, changes) in [
                (0, GroupPhase::Incomplete, true),
                (1, GroupPhase::Incomplete, false),
                (2, GroupPhase::Scheduled, true),
                (3, GroupPhase::Degraded, true),
                (4, GroupPhase::Degraded, false),
                (5, GroupPhase::Scheduled, true),
            ] {
                let before = scene.call(Verb::Get, "g", Value::Null);
                scene.order(id, &group, phase);
                assert_eq!(scene.outcomes(1).await, [(id, Outcome::Done)]);
                let after = scene.call(Verb::Get, "g", Value::Null);
                assert_eq!(before != after, changes, "{dialect:?} {id}");
                let status = &after["status"];
                let conditions = status["conditions"].as_array();
                let holds = |kind: &str| {
                    let condition = conditions?.iter().find(|one| one["type"] == kind)?;
                    condition["status"].as_str()
                };
                match dialect {
                    Dialect::Kubernetes => {
                        let placed = if id < 2 { "False" } else { "True" };
                        assert_eq!(holds("PodGroupInitiallyScheduled"), Some(placed), "{id}");
                        let degraded = match phase {
                            GroupPhase::Degraded => Some("True"),
                            _ => (id == 5).then_some("False"),
                        };
                        assert_eq!(holds("GangDegraded"), degraded, "{id}");
                    }
                    _ => assert_eq!(status["running"], 3, "{dialect:?}"),
                }
            }
            scene.tasks.shutdown().await;
        }
    }

    #[tokio::test]
    async fn only_the_newest_of_several_is_sent_and_all_are_answered() {
        let (dialect, version) = (Dialect::SchedulerPlugins, "v1alpha1");
        let mut scene = Scene::new(dialect, version).await;
        let group = scene.create(dialect, version, "g");
        let first = group.version;
        for (id, phase) in [
            (0, GroupPhase::Incomplete),
            (1, GroupPhase::Unschedulable),
            (2, GroupPhase::Scheduled),
        ] {
            scene.order(id, &group, phase);
        }
        let mut outcomes = scene.outcomes(3).await;
        outcomes.sort_unstable_by_key(|(id, _)| *id);
        let done = [0, 1, 2].map(|id| (id, Outcome::Done));
        assert_eq!(outcomes, done);
        let written = scene.call(Verb::Get, "g", Value::Null);
        assert_eq!(
            written["status"],
            json!({ "phase": "Running", "running": 3 })
        );
        let version = written["metadata"]["resourceVersion"].as_str().unwrap();
        assert_eq!(version, (first + 1).to_string(), "it was sent once");
        scene.tasks.shutdown().await;
    }

    #[tokio::test]
    async fn a_patch_waits_while_pods_are_evicted_but_not_for_ever() {
        let (dialect, version) = (Dialect::SchedulerPlugins, "v1alpha1");
        let mut scene = Scene::new(dialect, version).await;
        let group = scene.create(dialect, version, "g");
        let begin = Instant::now();
        scene.load.eviction_ordered();
        scene.order(0, &group, GroupPhase::Scheduled);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let early = scene.mailbox.take(Duration::ZERO).outcomes;
        assert!(early.is_empty() || begin.elapsed() >= HOLD, "{early:?}");
        scene.load.eviction_done();
        assert_eq!(scene.outcomes(1).await, [(0, Outcome::Done)]);
        scene.load.eviction_ordered();
        scene.order(1, &group, GroupPhase::Degraded);
        assert_eq!(scene.outcomes(1).await, [(1, Outcome::Done)]);
        scene.tasks.shutdown().await;
    }

    /// The first is refused and sent again after a pause.
    #[tokio::test]
    async fn patches_of_one_object_do_not_overtake_each_other() {
        let (dialect, version) = (Dialect::SchedulerPlugins, "v1alpha1");
        let mut scene = Scene::new(dialect, version).await;
        let group = scene.create(dialect, version, "g");
        let patch = Verb::Patch(PatchType::Merge);
        (scene.handle).with(|server, _| server.plan_fault(patch, scene.kind, Fault::Timeout));
        scene.order(0, &group, GroupPhase::Incomplete);
        let begin = Instant::now();
        while scene
            .call(Verb::Get, "g", Value::Null)
            .get("status")
            .is_none()
        {
            assert!(begin.elapsed() < LIMIT);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        scene.order(1, &group, GroupPhase::Scheduled);
        let done = [0, 1].map(|id| (id, Outcome::Done));
        assert_eq!(scene.outcomes(2).await, done);
        let written = scene.call(Verb::Get, "g", Value::Null);
        assert_eq!(written["status"]["phase"], "Running");
        scene.tasks.shutdown().await;
    }

    #[tokio::test]
    async fn a_group_that_is_gone_or_made_anew_is_not_hit() {
        for (dialect, version) in [
            (Dialect::Kubernetes, "v1beta1"),
            (Dialect::SchedulerPlugins, "v1alpha1"),
            (Dialect::Volcano, "v1beta1"),
        ] {
            let mut scene = Scene::new(dialect, version).await;
            let group = scene.create(dialect, version, "g");
            let delete = Call::new(Verb::Delete, scene.kind, "default", "g");
            scene.handle.with(|server, now| server.call(&delete, now));
            scene.order(0, &group, GroupPhase::Scheduled);
            assert_eq!(scene.outcomes(1).await, [(0, Outcome::PodGone)]);
            scene.create(dialect, version, "g");
            scene.order(1, &group, GroupPhase::Scheduled);
            let outcomes = scene.outcomes(1).await;
            assert!(
                matches!(&*outcomes, [(1, Outcome::Failed(_))]),
                "{outcomes:?}"
            );
            let kept = scene.call(Verb::Get, "g", Value::Null);
            assert_eq!(kept.get("status"), None, "{dialect:?}");
            scene.tasks.shutdown().await;
        }
    }

    #[test]
    fn what_the_server_answered_counts_until_the_watch_shows_as_much() {
        let at = |version: u64, phase: &str| {
            let metadata = json!({ "uid": "u", "resourceVersion": version.to_string() });
            let object = json!({ "metadata": metadata, "status": { "phase": phase } });
            let object = serde_json::from_value(object).unwrap();
            PodGroup::compile(Dialect::SchedulerPlugins, "v1alpha1", &object)
        };
        let mut answers = Answers::default();
        let check = |answers: &mut Answers, based_on: &PodGroup, expected: &str| {
            assert_eq!(&*answers.newest(based_on).stored.phase, expected);
        };
        check(&mut answers, &at(1, "a"), "a");
        answers.keep(Some(at(2, "b")));
        check(&mut answers, &at(1, "a"), "b");
        check(&mut answers, &at(1, "a"), "b");
        check(&mut answers, &at(3, "c"), "c");
        assert!(answers.0.is_empty());
    }
}
