//! Pods that wait and are nominated to a node. Nominations are written by hand here, as a preemption or an autoscaler
//! would leave them.

use anyhow::Result;
use e2e::SchedulerKind;
use e2e::controlplane::SchedulerOptions;
use e2e::harness::{Cluster, NAME, node_of, scheduled_condition};
use e2e::objects::{PodBuilder, node, pod};
use futures::future::try_join;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use e2e::random::Random;

const CLASSES: [(&str, i32); 3] = [("low", 10), ("middle", 100), ("high", 1000)];

async fn classes(cluster: &Cluster) -> Result<()> {
    for (name, value) in CLASSES {
        cluster.priority_class(name, value).await?;
    }
    Ok(())
}

/// A pod that asks for cpu with a priority.
fn asking(name: &str, cpu: &str, class: &str) -> PodBuilder {
    pod(name).request("cpu", cpu).priority_class(class)
}

async fn nominate(cluster: &Cluster, pod: &str, node: Option<&str>) -> Result<()> {
    cluster
        .patch_pod_status(pod, json!({"nominatedNodeName": node}))
        .await
}

/// A pod that is nominated to a node and held by a gate, so that it is not tried.
async fn nominated(cluster: &Cluster, pod: PodBuilder, name: &str, node: &str) -> Result<()> {
    cluster.pod(pod.named(name).gate("later")).await?;
    nominate(cluster, name, Some(node)).await
}

async fn nomination(cluster: &Cluster, pod: &str) -> Result<Option<String>> {
    let pod = cluster.pods().get(pod).await?;
    Ok(pod.status.and_then(|status| status.nominated_node_name))
}

const NO_ROOM: &str = "0/1 nodes are available: 1 Insufficient cpu. \
                       preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";

#[tokio::test]
async fn a_nominated_pod_counts_for_those_that_do_not_rank_higher() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    classes(&cluster).await?;
    cluster.node(node("n1")).await?;
    cluster.start_scheduler().await?;
    nominated(&cluster, asking("", "3", "middle"), "waiting", "n1").await?;
    for class in ["low", "middle"] {
        cluster.pod(asking(class, "2", class)).await?;
        cluster.wait_message(class, NO_ROOM).await?;
    }
    cluster.pod(asking("high", "1", "high")).await?;
    assert_eq!(cluster.wait_bound("high").await?, "n1");
    // Those that had to yield are woken when the nomination ends.
    nominate(&cluster, "waiting", None).await?;
    cluster.wait_bound("middle").await?;
    Ok(())
}

#[tokio::test]
async fn a_nominated_pod_that_is_deleted_wakes_those_that_had_to_yield() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    classes(&cluster).await?;
    cluster.node(node("n1")).await?;
    cluster.start_scheduler().await?;
    nominated(&cluster, asking("", "3", "middle"), "waiting", "n1").await?;
    cluster.pod(asking("low", "2", "low")).await?;
    cluster.wait_message("low", NO_ROOM).await?;
    cluster.delete_pod("waiting").await?;
    assert_eq!(cluster.wait_bound("low").await?, "n1");
    Ok(())
}

#[tokio::test]
async fn nominated_pods_of_other_schedulers_do_not_count() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    classes(&cluster).await?;
    cluster.node(node("n1")).await?;
    cluster.start_scheduler().await?;
    let other = asking("", "3", "high").scheduler("other-scheduler");
    nominated(&cluster, other, "waiting", "n1").await?;
    cluster.pod(asking("low", "2", "low")).await?;
    assert_eq!(cluster.wait_bound("low").await?, "n1");
    Ok(())
}

/// The node that a pod is nominated to is taken if the pod fits there, however much better another one is.
#[tokio::test]
async fn the_nominated_node_is_taken_first() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.create_nodes([node("n1"), node("n2")]).await?;
    cluster
        .pod_on(pod("filler").request("cpu", "2"), "n1")
        .await?;
    cluster.start_scheduler().await?;
    nominated(&cluster, pod("").request("cpu", "1"), "p", "n1").await?;
    let open = json!({"spec": {"schedulingGates": []}});
    cluster.patch_pod("p", open).await?;
    assert_eq!(cluster.wait_bound("p").await?, "n1");
    assert_eq!(nomination(&cluster, "p").await?, None);
    Ok(())
}

/// What a pod is told that is nominated to `n1` and fits nowhere.
async fn refused(cluster: &Cluster, pod: PodBuilder, name: &str) -> Result<String> {
    nominated(cluster, pod, name, "n1").await?;
    let open = json!({"spec": {"schedulingGates": []}});
    cluster.patch_pod(name, open).await?;
    let refused = |pod: &Pod| {
        let condition = scheduled_condition(pod)?;
        let message = condition.message.clone()?;
        (condition.reason.as_deref() == Some("Unschedulable")).then_some(message)
    };
    cluster.wait_pod(name, "refused", refused).await
}

/// Condition and nomination are written in one patch, so that nothing has to be waited for.
#[tokio::test]
async fn a_nomination_ends_when_preemption_cannot_help() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    classes(&cluster).await?;
    cluster.node(node("n1")).await?;
    cluster.start_scheduler().await?;
    let impossible = || asking("", "5", "high");
    let text = refused(&cluster, impossible(), "p").await?;
    assert!(
        text.contains("1 Preemption is not helpful for scheduling."),
        "{text}"
    );
    assert_eq!(nomination(&cluster, "p").await?, None);

    let class = json!({"metadata": {"name": "polite"}, "value": 1000, "preemptionPolicy": "Never"});
    let polite: Api<PriorityClass> = Api::all(cluster.client());
    polite
        .create(&PostParams::default(), &serde_json::from_value(class)?)
        .await?;
    let never = asking("", "5", "polite");
    let text = refused(&cluster, never, "never").await?;
    assert!(
        text.contains("not eligible due to preemptionPolicy=Never."),
        "{text}"
    );
    assert_eq!(nomination(&cluster, "never").await?.as_deref(), Some("n1"));

    // Refused before any node was looked at.
    let named = |name: &str| json!({"key": "metadata.name", "operator": "In", "values": [name]});
    let conflict = impossible().affinity(json!({"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchFields": [named("n1"), named("n2")]}],
        },
    }}));
    let text = refused(&cluster, conflict, "conflict").await?;
    assert!(text.contains("pod affinity terms conflict"), "{text}");
    assert_eq!(
        nomination(&cluster, "conflict").await?.as_deref(),
        Some("n1")
    );
    Ok(())
}

/// A pod that is nominated to a node which PreFilter has ruled out is told of that node by itself.
#[tokio::test]
async fn nominated_to_a_node_that_is_out_of_the_question() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    classes(&cluster).await?;
    let nodes = [node("n1"), node("n2").unschedulable(), node("n3")];
    cluster.create_nodes(nodes).await?;
    cluster.start_scheduler().await?;
    let field = json!({"key": "metadata.name", "operator": "In", "values": ["n2"]});
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchFields": [field]}],
    }}});
    assert_eq!(
        refused(&cluster, asking("", "1", "high").affinity(affinity), "p").await?,
        "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, \
         1 node(s) didn't satisfy plugin(s) [NodeAffinity], 1 node(s) were unschedulable. \
         preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    );
    assert_eq!(nomination(&cluster, "p").await?, None);
    Ok(())
}

fn apart_from(app: &str) -> Value {
    json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
        "labelSelector": {"matchLabels": {"app": app}},
        "topologyKey": "kubernetes.io/hostname",
    }]}})
}

/// What a nominated pod does not want beside it counts only if the plugin has something to say without it.
#[tokio::test]
async fn affinity_of_nominated_pods() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    classes(&cluster).await?;
    cluster.node(node("n1")).await?;
    cluster.start_scheduler().await?;
    let apart = asking("", "1", "middle").affinity(apart_from("web"));
    nominated(&cluster, apart, "waiting", "n1").await?;
    let web = || asking("", "1", "low").label("app", "web");
    cluster
        .pod(web().affinity(apart_from("nobody")).named("picky"))
        .await?;
    cluster
        .wait_message(
            "picky",
            "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules. \
             preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
        )
        .await?;
    cluster.pod(web().named("plain")).await?;
    assert_eq!(cluster.wait_bound("plain").await?, "n1");
    Ok(())
}

// === Random clusters ===

const NODES: u64 = 5;
const QUESTIONS: u64 = 40;

/// A pod that may be nominated, or asked about.
fn random_pod(random: &mut Random) -> PodBuilder {
    let cpu = format!("{}m", 500 * (1 + random.below(6)));
    let mut pod = asking("", &cpu, random.pick(&["low", "middle", "high"]));
    if random.one_in(3) {
        pod = pod.host_port(8080, "TCP");
    }
    if random.one_in(2) {
        pod = pod.label("app", random.pick(&["a", "b"]));
    }
    let term = |app: &str, key: &str| {
        json!({"requiredDuringSchedulingIgnoredDuringExecution": [{
            "labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key,
        }]})
    };
    let (app, key) = (
        random.pick(&["a", "b"]),
        random.pick(&["zone", "kubernetes.io/hostname"]),
    );
    match random.below(6) {
        0 | 1 => pod.affinity(json!({"podAntiAffinity": term(app, key)})),
        2 => pod.affinity(json!({"podAffinity": term(app, key)})),
        3 => pod.spec(
            "topologySpreadConstraints",
            json!([{
                "maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app": app}},
            }]),
        ),
        _ => pod,
    }
}

/// Nodes with pods that nobody outranks, and pods that are nominated to the nodes.
async fn fill(cluster: &mut Cluster, seed: u64, kind: SchedulerKind) -> Result<()> {
    let mut random = Random::new(seed);
    classes(cluster).await?;
    for number in 0..NODES {
        let zone = random.pick(&["x", "y"]);
        cluster
            .node(node(&format!("n{number}")).label("zone", zone))
            .await?;
    }
    for number in 0..NODES {
        let name = format!("filler-{number}");
        let filler = random_pod(&mut random).priority_class("high").named(&name);
        let node = format!("n{}", random.below(NODES));
        cluster.pod_on(filler, &node).await?;
    }
    cluster
        .start_scheduler_of(kind, &[NAME], SchedulerOptions::default())
        .await?;
    for number in 0..NODES + 2 {
        let pod = random_pod(&mut random);
        let node = format!("n{}", random.below(NODES));
        nominated(cluster, pod, &format!("nominated-{number}"), &node).await?;
    }
    Ok(())
}

/// What a pod is told, or nothing when it is bound.
async fn ask(cluster: &Cluster, question: PodBuilder, number: u64) -> Result<Option<String>> {
    let name = &format!("p{number}");
    cluster.pod(question.named(name)).await?;
    let answer = cluster
        .wait_pod(name, "bound or refused", |pod| {
            if node_of(pod).is_some() {
                return Some(None);
            }
            Some(Some(scheduled_condition(pod)?.message.clone()?))
        })
        .await?;
    cluster.delete_pod(name).await?;
    Ok(answer)
}

/// Every question is about one node or about all, so that fitting is compared node by node.
async fn compare(seed: u64) -> Result<()> {
    let [mut theirs, mut ours] = Cluster::pair().await?;
    try_join(
        fill(&mut theirs, seed, SchedulerKind::KubeScheduler),
        fill(&mut ours, seed, SchedulerKind::Berth),
    )
    .await?;
    let mut random = Random::new(seed.wrapping_add(1));
    let mut refused = 0;
    for number in 0..QUESTIONS {
        let mut question = random_pod(&mut random);
        if random.one_in(2) {
            let node = format!("n{}", random.below(NODES));
            question = question.selector("kubernetes.io/hostname", &node);
        }
        let (expected, found) = try_join(
            ask(&theirs, question.clone(), number),
            ask(&ours, question.clone(), number),
        )
        .await?;
        assert_eq!(
            found, expected,
            "seed {seed}, question {number}: {question:?}"
        );
        refused += u64::from(found.is_some());
    }
    println!("seed {seed}: {refused} of {QUESTIONS} pods were refused");
    assert!(
        refused > 5 && refused < QUESTIONS - 5,
        "the questions are too easy or too hard"
    );
    Ok(())
}

#[tokio::test]
async fn the_same_answers_beside_nominated_pods_1() -> Result<()> {
    compare(1).await
}

/// Another cluster for every value of `E2E_SEED`.
#[tokio::test]
async fn the_same_answers_beside_nominated_pods_any() -> Result<()> {
    let seed = std::env::var("E2E_SEED").map_or(Ok(2), |seed| seed.parse())?;
    compare(seed).await
}
