//! Plugins that panic, refuse in Reserve or Permit, or hold pods back.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::Server;
use super::*;
use crate::cluster::NodeId;
use crate::cluster::NodeSet;
use crate::framework::{Diagnosis, EventSet, Filter};
use crate::framework::{Permit, PermitAnswer, Plugin, PreEnqueue, Reserve};
use crate::model::{PodRef, PodShape, WaitingPod};
use crate::plugins::defaults;
use crate::plugins::testing::plain::{Amounts, PlainNode, PlainPod};

/// The amount of cpu that makes the plugins of this file act on a pod.
const MARKED: i64 = 666;

fn marked(pod: &PodShape) -> bool {
    pod.wanted.cpu == MARKED
}

#[derive(Clone, Copy, PartialEq)]
enum Where {
    Filter,
    /// Only when preemption asks again.
    SecondFilter,
    Reserve,
}

struct Panics(Where, AtomicUsize);

impl Plugin for Panics {
    fn name(&self) -> &'static str {
        "Panics"
    }

    fn filter(&self) -> Option<&dyn Filter> {
        (self.0 != Where::Reserve).then_some(self)
    }

    fn reserve(&self) -> Option<&dyn Reserve> {
        (self.0 == Where::Reserve).then_some(self)
    }
}

impl Filter for Panics {
    fn filter(&self, pod: &PodShape, _: &Cluster, _: &mut NodeSet, _: &mut Diagnosis) {
        if marked(pod) {
            let earlier = self.1.fetch_add(1, Ordering::Relaxed);
            assert!(self.0 == Where::SecondFilter && earlier == 0, "as ordered");
        }
    }
}

impl Reserve for Panics {
    fn reserve(&self, pod: &PodShape, _: NodeId, _: &Cluster) -> Result<(), String> {
        assert!(!marked(pod), "as ordered");
        Ok(())
    }

    fn unreserve(&self, _: &PodShape, _: NodeId, _: &Cluster) {}
}

/// What the Reserve and Permit plugins were asked, in order.
type Calls = Arc<std::sync::Mutex<Vec<String>>>;

struct Booking {
    name: &'static str,
    calls: Calls,
    refuses_reserve: bool,
    refuses_permit: bool,
}

impl Booking {
    fn call(&self, what: &str) {
        self.calls
            .lock()
            .unwrap()
            .push(format!("{} {what}", self.name));
    }
}

impl Plugin for Booking {
    fn name(&self) -> &'static str {
        self.name
    }

    fn reserve(&self) -> Option<&dyn Reserve> {
        Some(self)
    }

    fn permit(&self) -> Option<&dyn Permit> {
        Some(self)
    }

    fn events(&self) -> EventSet {
        EventSet::of(&[crate::framework::EventKind::NodeAdd])
    }
}

impl Reserve for Booking {
    fn reserve(&self, pod: &PodShape, _: NodeId, _: &Cluster) -> Result<(), String> {
        self.call("reserves");
        if marked(pod) && self.refuses_reserve {
            return Err("sold out".to_owned());
        }
        Ok(())
    }

    fn unreserve(&self, _: &PodShape, _: NodeId, _: &Cluster) {
        self.call("gives back");
    }
}

impl Permit for Booking {
    fn permit(&self, _: &PodRef, pod: &PodShape, _: NodeId, _: &Cluster) -> PermitAnswer {
        self.call("is asked");
        if marked(pod) && self.refuses_permit {
            return PermitAnswer::Reject("not today".to_owned());
        }
        PermitAnswer::Allow
    }
}

/// Refuses every pod that another one than SchedulingGates would hold.
struct Holds;

impl Plugin for Holds {
    fn name(&self) -> &'static str {
        "Holds"
    }

    fn pre_enqueue(&self) -> Option<&dyn PreEnqueue> {
        Some(self)
    }
}

impl PreEnqueue for Holds {
    fn pre_enqueue(&self, pod: &WaitingPod) -> Option<String> {
        marked(&pod.shape).then(|| "held".to_owned())
    }
}

/// An engine with one node of four cpu and more plugins than usual.
fn engine_with(plugins: Vec<Arc<dyn Plugin>>) -> (Engine, Server) {
    let (engine, server, _) = counted_engine_with(plugins);
    (engine, server)
}

fn counted_engine_with(plugins: Vec<Arc<dyn Plugin>>) -> (Engine, Server, Arc<Metrics>) {
    let mut all = defaults();
    all.extend(plugins.into_iter().map(|plugin| (plugin, 0)));
    let metrics = Arc::new(Metrics::new().unwrap());
    let mut engine = counted_engine_of(Profile::new("berth", all), 0, &metrics);
    engine.apply(Change::Synced, Time::ZERO);
    let mut server = Server::default();
    server.put_node(PlainNode {
        name: "node-0".to_owned(),
        pods: 110,
        allocatable: Amounts::from([("cpu".to_owned(), 4000)]),
        ..PlainNode::default()
    });
    see(&mut engine, &mut server);
    (engine, server, metrics)
}

fn see(engine: &mut Engine, server: &mut Server) {
    while let Some(news) = server.next_node_news().or_else(|| server.next_pod_news()) {
        engine.apply(news, Time::ZERO);
    }
}

fn binds(effects: &[Effect]) -> Vec<&str> {
    (effects.iter())
        .filter(|effect| matches!(effect.action, Action::Bind { .. }))
        .filter_map(|effect| Some(&*effect.pod()?.name))
        .collect()
}

fn notes(effects: &[Effect]) -> Vec<&str> {
    (effects.iter())
        .filter_map(|effect| match &effect.action {
            Action::Emit(event) => Some(&*event.note),
            _ => None,
        })
        .collect()
}

#[test]
fn a_panic_ends_one_attempt_and_nothing_else() {
    for place in [Where::Filter, Where::SecondFilter, Where::Reserve] {
        let plugin: Arc<dyn Plugin> = Arc::new(Panics(place, AtomicUsize::new(0)));
        let (mut engine, mut server, metrics) = counted_engine_with(vec![plugin]);
        // A victim for preemption, and no room for the marked pod while it is there.
        if place == Where::SecondFilter {
            let victim = PlainPod::asking("", &[("cpu", 3800)]);
            server.put_pod(
                PlainPod {
                    priority: -1,
                    ..victim
                },
                "node-0",
            );
        }
        server.put_pod(PlainPod::asking("", &[("cpu", MARKED)]), "");
        server.put_pod(PlainPod::asking("", &[("cpu", 10)]), "");
        see(&mut engine, &mut server);
        let before = engine.cluster.placed_counts();
        let effects = engine.run(Time::from_secs(1), 10);
        engine.audit();
        assert_eq!(binds(&effects).len(), 1, "the other pod gets its node");
        assert_eq!(engine.cluster.placed_counts(), (before.0 + 1, 1));
        let text = metrics.encode().unwrap();
        let counted = text.lines().any(|line| {
            line.starts_with("berth_") && line.contains("panic") && line.ends_with(" 1")
        });
        assert!(counted, "{text}");
        // It comes back after an error backoff, and panics again, or not.
        assert_eq!(engine.next_deadline(), Some(Time::from_secs(2)));
        engine.run(Time::from_secs(3), 10);
        engine.audit();
        assert!(engine.queue.len() >= 2);
    }
}

#[test]
fn a_refused_reservation_is_given_back_in_reverse() {
    let calls = Calls::default();
    let booking = |name, refuses_reserve, refuses_permit| -> Arc<dyn Plugin> {
        Arc::new(Booking {
            name,
            calls: Arc::clone(&calls),
            refuses_reserve,
            refuses_permit,
        })
    };
    let cases = [
        (
            vec![booking("A", false, false), booking("B", true, false)],
            "0/1 nodes are available: 1 sold out.",
            vec!["A reserves", "B reserves", "B gives back", "A gives back"],
        ),
        (
            vec![booking("A", false, false), booking("B", false, true)],
            "0/1 nodes are available: 1 not today.",
            vec![
                "A reserves",
                "B reserves",
                "A is asked",
                "B is asked",
                "B gives back",
                "A gives back",
            ],
        ),
    ];
    for (plugins, text, expected) in cases {
        calls.lock().unwrap().clear();
        let (mut engine, mut server) = engine_with(plugins);
        server.put_pod(PlainPod::asking("", &[("cpu", MARKED)]), "");
        see(&mut engine, &mut server);
        let effects = engine.run(Time::from_secs(1), 10);
        assert_eq!((binds(&effects).len(), notes(&effects)), (0, vec![text]));
        assert_eq!(*calls.lock().unwrap(), expected);
        assert_eq!(engine.cluster.placed_counts(), (0, 0));
        engine.audit();
        // Only the refusing plugin is a rejector: what it registered for wakes the pod.
        server.put_node(PlainNode {
            name: "node-1".to_owned(),
            ..PlainNode::default()
        });
        see(&mut engine, &mut server);
        assert_eq!(notes(&engine.run(Time::from_secs(9), 10)), [text]);
    }
}

#[test]
fn a_granted_reservation_is_kept() {
    let calls = Calls::default();
    let plugin: Arc<dyn Plugin> = Arc::new(Booking {
        name: "A",
        calls: Arc::clone(&calls),
        refuses_reserve: false,
        refuses_permit: false,
    });
    let (mut engine, mut server) = engine_with(vec![plugin]);
    server.put_pod(PlainPod::asking("", &[("cpu", MARKED)]), "");
    see(&mut engine, &mut server);
    assert_eq!(binds(&engine.run(Time::from_secs(1), 10)), ["pod-1"]);
    assert_eq!(*calls.lock().unwrap(), ["A reserves", "A is asked"]);
}

#[test]
fn a_pod_that_is_held_is_not_tried_and_nothing_is_said() {
    let (mut engine, mut server) = engine_with(vec![Arc::new(Holds)]);
    server.put_pod(PlainPod::asking("", &[("cpu", MARKED)]), "");
    let gated = PlainPod {
        gates: vec!["later".to_owned()],
        ..PlainPod::asking("", &[])
    };
    server.put_pod(gated, "");
    see(&mut engine, &mut server);
    assert!(engine.run(Time::from_secs(1), 10).is_empty());
    assert!(engine.run(Time::from_secs(1000), 10).is_empty());
    server.edit(1, |pod| pod.pod.gates.clear());
    server.edit(0, |pod| {
        (pod.pod.containers[0].requests).insert("cpu".to_owned(), 1);
    });
    see(&mut engine, &mut server);
    assert_eq!(binds(&engine.run(Time::from_secs(1001), 10)).len(), 2);
}
