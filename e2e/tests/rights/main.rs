//! The rights that `deploy/` grants are those that Berth uses, neither more nor fewer.
//!
//! Berth runs with nothing but the token of the service account of `deploy/` and with the configuration file of
//! `deploy/`, and is led through everything that it may ever ask of the API server. What it asked is in the audit log;
//! what it may is read from the roles that the API server has. A right that is added to a role has to be used here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod log;
mod roles;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use e2e::controlplane::process::TempDir;
use e2e::controlplane::{SchedulerOptions, get};
use e2e::harness::{Cluster, metric};
use e2e::objects::{PodBuilder, node, pod};
use e2e::pod_groups::{PodGroupApi, kubectl};
use e2e::{Options, SchedulerKind};
use http::Request;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::PodCondition;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

/// Where `deploy/` makes the service account.
const NAMESPACE: &str = "kube-system";
/// The service account, and the lease and the schedulerName of `deploy/config.yaml` as well.
const NAME: &str = "berth";

#[tokio::test]
async fn rights_are_exact() -> Result<()> {
    let directory = TempDir::new()?;
    let log = directory.path().join("audit.log");
    let policy = directory.path().join("policy.yaml");
    std::fs::write(&policy, log::policy(&account()))?;
    let options = Options {
        apiserver_args: vec![
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-log-path={}", log.display()),
        ],
        ..Options::default()
    };
    let mut cluster = Cluster::with_options(options.with_pod_groups()).await?;
    let control_plane = cluster.control_plane();
    for api in PodGroupApi::CUSTOM {
        api.install(control_plane)?;
    }
    let deploy = deploy();
    kubectl(control_plane, &["apply", "-k", &deploy.to_string_lossy()])?;
    let token = kubectl(control_plane, &["create", "token", NAME, "-n", NAMESPACE])?;
    let kubeconfig = control_plane.kubeconfig_of(token.trim(), "berth-kubeconfig")?;
    let granted = roles::granted(&cluster.client(), NAMESPACE, NAME).await?;
    roles::wait_until_in_force(&cluster, &account(), &granted).await?;

    cluster.node(node("n1")).await?;
    let filler = pod("filler").request("cpu", "3");
    cluster.pod_on(filler, "n1").await?;
    for small in SMALL {
        cluster
            .pod_on(pod(small).request("cpu", "100m"), "n1")
            .await?;
    }
    let options = SchedulerOptions {
        args: vec![
            format!("--config={}", deploy.join("config.yaml").display()),
            "--leader-elect=true".to_owned(),
        ],
        kubeconfig: Some(kubeconfig),
        ..SchedulerOptions::default()
    };
    cluster
        .start_scheduler_of(SchedulerKind::Berth, &[], options)
        .await?;
    everything(&mut cluster).await?;

    let asked = log::read(&log)?;
    let denied: BTreeSet<_> = asked.iter().filter(|one| one.denied).collect();
    assert!(denied.is_empty(), "denied: {denied:#?}");
    let foreign: BTreeSet<_> = asked
        .iter()
        .filter(|one| !granted.iter().any(|right| right.covers(&one.right)))
        .filter(|one| !is_discovery(one) && !is_question_for_rights(one))
        .collect();
    assert!(foreign.is_empty(), "not by roles of {NAME}: {foreign:#?}");
    let unused: Vec<_> = granted
        .iter()
        .filter(|right| !asked.iter().any(|one| right.covers(&one.right)))
        .collect();
    assert!(
        unused.is_empty(),
        "granted, and not used by anything that this test makes happen: {unused:#?}"
    );
    Ok(())
}

/// Whether it was asked which groups of pods there are, which everybody may (`system:discovery`).
fn is_discovery(asked: &log::Asked) -> bool {
    let path = &asked.right.resource;
    asked.right.verb == "get"
        && PodGroupApi::ALL.iter().any(|api| {
            let group = format!("/apis/{}", api.group());
            *path == group || *path == format!("{group}/{}", api.version())
        })
}

/// Whether it was asked what Berth itself may do, which everybody may (`system:basic-user`).
fn is_question_for_rights(asked: &log::Asked) -> bool {
    let right = &asked.right;
    right.group == "authorization.k8s.io"
        && right.resource == "selfsubjectaccessreviews"
        && right.verb == "create"
}

/// What Berth can do without, by resource and kind.
const OPTIONAL: [(&str, &str); 12] = [
    ("priorityclasses", "PriorityClass"),
    ("services", "Service"),
    ("replicationcontrollers", "ReplicationController"),
    ("replicasets", "ReplicaSet"),
    ("statefulsets", "StatefulSet"),
    ("persistentvolumeclaims", "PersistentVolumeClaim"),
    ("persistentvolumes", "PersistentVolume"),
    ("storageclasses", "StorageClass"),
    ("poddisruptionbudgets", "PodDisruptionBudget"),
    ("podgroups", "PodGroup.scheduling.k8s.io"),
    ("podgroups", "PodGroup.scheduling.x-k8s.io"),
    ("podgroups", "PodGroup.scheduling.volcano.sh"),
];

/// Who may not list what only default spreading reads, volumes, budgets, priority classes or groups of pods, schedules
/// and is told.
#[tokio::test]
async fn some_rights_can_be_missing() -> Result<()> {
    let options = Options::default().with_pod_groups();
    let mut cluster = Cluster::with_options(options).await?;
    let control_plane = cluster.control_plane();
    for api in PodGroupApi::CUSTOM {
        api.install(control_plane)?;
    }
    let kubeconfig = install(&cluster, |objects| {
        let role = (objects.iter_mut())
            .find(|object| object["kind"] == "ClusterRole" && object["metadata"]["name"] == NAME);
        let rules = role.context("no ClusterRole")?["rules"]
            .as_array_mut()
            .context("no rules")?;
        for rule in rules.iter_mut() {
            let resources = rule["resources"].as_array_mut().context("no resources")?;
            resources.retain(|resource| OPTIONAL.iter().all(|(name, _)| resource != name));
        }
        rules.retain(|rule| rule["resources"] != json!([]));
        Ok(())
    })
    .await?;

    cluster.node(node("n1")).await?;
    let options = SchedulerOptions {
        kubeconfig: Some(kubeconfig),
        ..SchedulerOptions::default()
    };
    cluster
        .start_scheduler_of(SchedulerKind::Berth, &[NAME], options)
        .await?;
    cluster.pod(ours("placed")).await?;
    cluster.wait_bound("placed").await?;
    let output = cluster.scheduler()?.output();
    for (_, kind) in OPTIONAL {
        let told = |line: &&str| {
            line.contains("watching is forbidden; scheduling goes on, but")
                && line.contains(&format!("kind=\"{kind}\""))
        };
        assert_eq!(output.lines().filter(told).count(), 1, "{kind}: {output}");
    }
    Ok(())
}

/// Without the role for it nobody is evicted, not even marked as a victim, and it is told once.
#[tokio::test]
async fn preemption_can_be_left_out() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    let kubeconfig = install(&cluster, |objects| {
        let all = objects.len();
        objects.retain(|object| object["metadata"]["name"] != "berth-preemption");
        ensure!(objects.len() + 2 == all, "the role and its binding");
        Ok(())
    })
    .await?;
    cluster.node(node("n1")).await?;
    let victim = pod("victim").request("cpu", "3");
    cluster.pod_on(victim, "n1").await?;
    let options = SchedulerOptions {
        kubeconfig: Some(kubeconfig),
        ..SchedulerOptions::default()
    };
    cluster
        .start_scheduler_of(SchedulerKind::Berth, &[NAME], options)
        .await?;
    for name in ["urgent", "later"] {
        cluster.pod(urgent(name)).await?;
        cluster.wait_unschedulable(name).await?;
        cluster.wait_event(name, "FailedScheduling").await?;
    }
    let victim = cluster.pods().get("victim").await?;
    assert_eq!(victim.metadata.deletion_timestamp, None);
    let conditions = victim.status.and_then(|status| status.conditions);
    let is_victim = |one: &PodCondition| one.type_ == "DisruptionTarget";
    assert!(!conditions.iter().flatten().any(is_victim));
    let output = cluster.scheduler()?.output();
    let told = |line: &&str| line.contains("preemption is off") && line.contains("WARN");
    assert_eq!(output.lines().filter(told).count(), 1, "{output}");
    Ok(())
}

/// Installs `deploy/` with changes, and returns the kubeconfig of its service account once its rights are in force.
async fn install(
    cluster: &Cluster,
    change: impl FnOnce(&mut Vec<Value>) -> Result<()>,
) -> Result<PathBuf> {
    let control_plane = cluster.control_plane();
    let deploy = deploy().to_string_lossy().into_owned();
    let made = ["create", "-k", &deploy, "--dry-run=client", "-o", "json"];
    let made = kubectl(control_plane, &made)?;
    let documents = serde_json::Deserializer::from_str(&made).into_iter();
    let mut objects: Vec<Value> = documents.collect::<Result<_, _>>()?;
    change(&mut objects)?;
    let file = control_plane.directory().join("changed.json");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    std::fs::write(&file, list.to_string())?;
    kubectl(control_plane, &["create", "-f", &file.to_string_lossy()])?;
    let token = kubectl(control_plane, &["create", "token", NAME, "-n", NAMESPACE])?;
    let kubeconfig = control_plane.kubeconfig_of(token.trim(), "berth-kubeconfig")?;
    let granted = roles::granted(&cluster.client(), NAMESPACE, NAME).await?;
    roles::wait_until_in_force(cluster, &account(), &granted).await?;
    Ok(kubeconfig)
}

/// A pod that does not fit beside one that has most of a node.
fn urgent(name: &str) -> PodBuilder {
    let urgent = ours(name).request("cpu", "3");
    urgent.priority_class("system-cluster-critical")
}

/// Small pods, whose deletion makes room that is not enough.
const SMALL: [&str; 3] = ["small-0", "small-1", "small-2"];

/// Makes all happen that Berth has a request for, and ends it.
async fn everything(cluster: &mut Cluster) -> Result<()> {
    // It leads, and places a pod.
    cluster.pod(ours("placed")).await?;
    cluster.wait_bound("placed").await?;
    cluster.wait_event("placed", "Scheduled").await?;

    // It refuses one, and again with the same words: the event becomes a series.
    cluster.pod(ours("refused").request("cpu", "2")).await?;
    cluster.wait_unschedulable("refused").await?;
    cluster.wait_event("refused", "FailedScheduling").await?;
    for (number, small) in SMALL.iter().enumerate() {
        cluster.delete_pod(small).await?;
        let attempts = number as f64 + 2.0;
        let labels = ["result=\"unschedulable\""];
        let name = "scheduler_schedule_attempts_total";
        wait_metric(cluster, name, &labels, attempts).await?;
    }
    cluster
        .eventually("series of events", async || {
            let events = cluster.events("refused").await?;
            Ok(events
                .iter()
                .any(|event| event.series.is_some())
                .then_some(()))
        })
        .await?;

    // It tells groups of pods how they fare.
    for api in PodGroupApi::ALL {
        api.create(cluster, "group", 2).await?;
        let member = ours(&format!("member-{}", api.group()));
        cluster.pod(api.member(member, "group")).await?;
        cluster
            .eventually(
                &format!("status of a group of {}", api.group()),
                async || {
                    let group = api.get(cluster, "group").await?;
                    let status = &group["status"];
                    let told = ["conditions", "phase"]
                        .iter()
                        .any(|key| !status[key].is_null());
                    Ok(told.then_some(()))
                },
            )
            .await?;
    }

    // It cannot know what became of a bind that a webhook out of order has failed with 500, and reads the pod.
    let webhooks: Api<ValidatingWebhookConfiguration> = Api::all(cluster.client());
    webhooks.create(&PostParams::default(), &webhook()?).await?;
    cluster.pod(pod("probe").scheduler("nobody")).await?;
    cluster
        .eventually("bind that fails", async || {
            let answer = try_bind(cluster, "probe").await;
            Ok(answer
                .is_err_and(|error| error.to_string().contains("webhook"))
                .then_some(()))
        })
        .await?;
    cluster.pod(ours("unknown")).await?;
    let labels = ["resolved=\"not_bound\""];
    wait_metric(cluster, "berth_unknown_bind_outcomes_total", &labels, 1.0).await?;
    webhooks.delete(NAME, &DeleteParams::default()).await?;
    cluster.wait_bound("unknown").await?;

    // It makes room for a more important pod.
    cluster.pod(urgent("urgent")).await?;
    cluster
        .wait_pod("filler", "evicted", |pod| {
            pod.metadata.deletion_timestamp.clone()
        })
        .await?;
    // Nobody else ends pods here.
    cluster.delete_pod("filler").await?;
    cluster.wait_bound("urgent").await?;

    // It renews its lease, and gives it back in the end.
    let leases: Api<Lease> = Api::namespaced(cluster.client(), NAMESPACE);
    cluster
        .eventually("renewed lease", async || {
            let lease = leases.get(NAME).await?.spec.context("an empty lease")?;
            Ok((lease.renew_time > lease.acquire_time).then_some(()))
        })
        .await?;
    let scheduler = cluster.scheduler()?;
    let code = scheduler.terminate().await?;
    assert_eq!(code, 0, "{}", scheduler.output());
    let lease = leases.get(NAME).await?.spec.context("an empty lease")?;
    assert_eq!(lease.holder_identity.as_deref(), Some(""));
    Ok(())
}

fn ours(name: &str) -> PodBuilder {
    pod(name).scheduler(NAME)
}

fn account() -> String {
    format!("system:serviceaccount:{NAMESPACE}:{NAME}")
}

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// A webhook that is asked about all binds and that nobody answers for.
fn webhook() -> Result<ValidatingWebhookConfiguration> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": NAME},
        "webhooks": [{
            "name": "binds.e2e.example",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": "https://127.0.0.1:1/"},
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                "resources": ["pods/binding"],
            }],
        }],
    }))?)
}

/// Asks for a bind without its being carried out.
async fn try_bind(cluster: &Cluster, pod: &str) -> Result<()> {
    let body = serde_json::to_vec(&json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": pod, "namespace": "default"},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "n1"},
    }))?;
    let path = format!("/api/v1/namespaces/default/pods/{pod}/binding?dryRun=All");
    let request = Request::post(path)
        .header("Content-Type", "application/json")
        .body(body)?;
    cluster.client().request_text(request).await?;
    Ok(())
}

async fn wait_metric(
    cluster: &mut Cluster,
    name: &str,
    labels: &[&str],
    at_least: f64,
) -> Result<()> {
    let pages = cluster.scheduler()?.client()?;
    cluster
        .eventually(&format!("{name} of {at_least}"), async || {
            let page = get(&pages, "/metrics").await?;
            Ok(metric(&page, name, labels).filter(|value| *value >= at_least))
        })
        .await?;
    Ok(())
}
