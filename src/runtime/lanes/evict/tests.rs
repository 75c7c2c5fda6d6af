//! The lane and a server in memory.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::engine::Evict;
use crate::model::PodRef;
use crate::runtime::lease::Fence;
use crate::simulator::http::{Handle, Server};
use crate::simulator::{self, Body, Config, Fault as ServerFault, Part, PatchType, Request, Verb};

const LIMIT: Duration = Duration::from_secs(60);
const MARK: Verb = Verb::Patch(PatchType::Strategic);

struct Scene {
    handle: Handle,
    orders: mpsc::UnboundedSender<EvictOrder>,
    load: Arc<BindLoad>,
    mailbox: Arc<Mailbox>,
    tasks: tokio::task::JoinSet<()>,
}

impl Scene {
    async fn new() -> Self {
        let server = Server::bind(0, Config::default()).await.unwrap();
        let (handle, address) = (server.handle(), server.local_address().unwrap());
        let config = kube::Config::new(format!("http://{address}").parse().unwrap());
        let (orders, received) = mpsc::unbounded_channel();
        let mailbox = Arc::new(Mailbox::default());
        let load = Arc::new(BindLoad::new());
        let lane = EvictLane {
            client: ApiClient::new(&config, IN_FLIGHT, LIMIT, Fence::none()).unwrap(),
            orders: received,
            load: Arc::clone(&load),
            mailbox: Arc::clone(&mailbox),
            metrics: Arc::new(Metrics::new().unwrap()),
        };
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(server.serve(std::future::pending()));
        tasks.spawn(lane.run());
        Self {
            handle,
            orders,
            load,
            mailbox,
            tasks,
        }
    }

    fn call(&self, request: impl Fn(Request) -> Request, verb: Verb, name: &str) -> Option<Value> {
        let pods = simulator::find("", "v1", "pods").unwrap();
        let call = request(Request::new(verb, pods, "default", name));
        let answer = self.handle.with(|server, now| server.call(&call, now));
        match answer.reply() {
            Ok(reply) => match reply.body {
                Body::Object(object) => Some(object.value().clone()),
                _ => None,
            },
            Err(refusal) => {
                assert_eq!(refusal.code, 404);
                None
            }
        }
    }

    fn get(&self, name: &str) -> Option<Value> {
        self.call(|request| request, Verb::Get, name)
    }

    /// Makes a pod that has the grace of a minute once it is placed.
    fn create(&self, name: &str, placed: bool) -> Arc<PodRef> {
        let mut pod = json!({
            "metadata": { "name": name },
            "spec": {
                "containers": [{ "name": "c", "image": "i" }],
                "terminationGracePeriodSeconds": 60,
            },
        });
        if placed {
            pod["spec"]["nodeName"] = json!("n");
        }
        let made = self.call(|request| request.with_body(pod.clone()), Verb::Create, "");
        Arc::new(PodRef {
            namespace: "default".into(),
            name: name.into(),
            uid: made.unwrap()["metadata"]["uid"].as_str().unwrap().into(),
        })
    }

    fn delete(&self, name: &str, grace: u64) {
        let with_grace = |mut request: Request| {
            request.delete.grace = Some(grace);
            request
        };
        self.call(with_grace, Verb::Delete, name);
    }

    fn plan(&self, verb: Verb, fault: ServerFault) {
        let pods = simulator::find("", "v1", "pods").unwrap();
        self.handle
            .with(|server, _| server.plan_fault(verb, pods, fault));
    }

    fn order(&self, id: u64, pod: &Arc<PodRef>) {
        let order = EvictOrder {
            id: EffectId(id),
            pod: Arc::clone(pod),
            evict: Evict {
                message: "why".into(),
                observed_generation: Some(1),
            },
        };
        self.load.eviction_ordered();
        self.orders.send(order).unwrap();
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
        outcomes.sort_unstable_by_key(|(id, _)| *id);
        outcomes
    }
}

fn condition(pod: &Value) -> Option<&Value> {
    let conditions = pod["status"]["conditions"].as_array()?;
    conditions
        .iter()
        .find(|one| one["type"] == "DisruptionTarget")
}

#[tokio::test]
async fn a_victim_is_told_why_and_ends_with_its_own_grace() {
    let mut scene = Scene::new().await;
    let victim = scene.create("placed", true);
    let other = json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
    let status = |request: Request| request.of(Part::Status).with_body(other.clone());
    scene.call(status, MARK, "placed");
    scene.order(0, &victim);
    assert_eq!(scene.outcomes(1).await, [(0, Outcome::Done)]);
    let pod = scene.get("placed").unwrap();
    assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], 60);
    let told = condition(&pod).unwrap();
    assert_eq!(told["status"], "True");
    assert_eq!(told["reason"], "PreemptionByScheduler");
    assert_eq!(told["message"], "why");
    assert_eq!(told["observedGeneration"], 1);
    assert!(told["lastTransitionTime"].is_string(), "{told}");
    let kept = pod["status"]["conditions"].as_array().unwrap();
    assert!(kept.iter().any(|one| one["type"] == "Ready"), "{kept:?}");
    scene.tasks.shutdown().await;
}

#[tokio::test]
async fn a_pod_of_the_same_name_is_not_hit() {
    let mut scene = Scene::new().await;
    let gone = scene.create("a", false);
    scene.delete("a", 0);
    scene.order(0, &gone);
    assert_eq!(scene.outcomes(1).await, [(0, Outcome::PodGone)]);
    scene.create("a", false);
    scene.order(1, &gone);
    assert_eq!(scene.outcomes(1).await, [(1, Outcome::PodGone)]);
    let kept = scene.get("a").unwrap();
    assert_eq!(condition(&kept), None);
    assert!(kept["metadata"]["deletionTimestamp"].is_null());
    scene.tasks.shutdown().await;
}

/// Nobody's shorter grace is made longer.
#[tokio::test]
async fn a_pod_that_ends_already_is_left_to_it() {
    let mut scene = Scene::new().await;
    let victim = scene.create("a", true);
    scene.delete("a", 10);
    let before = scene.get("a").unwrap();
    scene.order(0, &victim);
    assert_eq!(scene.outcomes(1).await, [(0, Outcome::Done)]);
    let after = scene.get("a").unwrap();
    assert_eq!(
        after["metadata"]["deletionTimestamp"],
        before["metadata"]["deletionTimestamp"]
    );
    assert_eq!(after["metadata"]["deletionGracePeriodSeconds"], 10);
    scene.tasks.shutdown().await;
}

/// What the server did although nobody heard of it counts, and what it did not do is done.
#[tokio::test]
async fn faults_on_the_way_do_not_matter() {
    let mut scene = Scene::new().await;
    for (id, (placed, verb, fault, expected)) in [
        (true, MARK, ServerFault::LostReply, Outcome::Done),
        (true, MARK, ServerFault::InternalError, Outcome::Done),
        (true, Verb::Delete, ServerFault::LostReply, Outcome::Done),
        (
            true,
            Verb::Delete,
            ServerFault::InternalError,
            Outcome::Done,
        ),
        (true, Verb::Delete, ServerFault::Timeout, Outcome::Done),
        (false, Verb::Delete, ServerFault::Timeout, Outcome::PodGone),
    ]
    .into_iter()
    .enumerate()
    {
        let (id, name) = (id as u64, format!("pod-{id}"));
        let victim = scene.create(&name, placed);
        scene.plan(verb, fault);
        scene.order(id, &victim);
        assert_eq!(scene.outcomes(1).await, [(id, expected)]);
        let left = scene.get(&name);
        assert_eq!(left.is_some(), placed, "{fault:?}");
        if let Some(pod) = left {
            assert!(condition(&pod).is_some(), "{fault:?}");
            assert!(
                pod["metadata"]["deletionTimestamp"].is_string(),
                "{fault:?}"
            );
        }
    }
    scene.tasks.shutdown().await;
}

/// More than there is room for, while binds are under way that are never answered.
#[tokio::test]
async fn none_is_lost_and_binds_do_not_starve_them() {
    const COUNT: u64 = 4 * IN_FLIGHT as u64;
    let mut scene = Scene::new().await;
    scene.load.ordered();
    for id in 0..COUNT {
        let victim = scene.create(&format!("pod-{id}"), false);
        scene.order(id, &victim);
    }
    let expected: Vec<_> = (0..COUNT).map(|id| (id, Outcome::Done)).collect();
    assert_eq!(scene.outcomes(COUNT as usize).await, expected);
    drop(scene.orders);
    // The lane ends by itself; the server goes on.
    scene.tasks.join_next().await.unwrap().unwrap();
    scene.tasks.shutdown().await;
}
