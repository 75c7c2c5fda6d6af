//! What a pod asks of nodes alone: names, cordons, taints, affinity, ports, features, gates.

use anyhow::Result;
use e2e::objects::{PodBuilder, node, pod, required_node_affinity};
use e2e::twin::Change;
use e2e::twin::scenario::Scenario;
use serde_json::{Value, json};

use super::play;

fn p() -> PodBuilder {
    pod("p")
}

/// Required affinity by the names of nodes, one term each.
fn by_name(terms: &[&[&str]]) -> Value {
    let terms: Vec<Value> = terms
        .iter()
        .map(|names| {
            let fields: Vec<Value> = names
                .iter()
                .map(|name| json!({"key": "metadata.name", "operator": "In", "values": [name]}))
                .collect();
            json!({"matchFields": fields})
        })
        .collect();
    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}})
}

#[tokio::test]
async fn nodes_and_taints() -> Result<()> {
    let cordoned = || node("n1").unschedulable();
    let tainted = || node("n1").taint("gpu", "yes", "NoSchedule");
    play(vec![
        Scenario::new("no node, then one", p())
            .refused()
            .then(Change::node(node("n1")))
            .best("n1"),
        Scenario::new("a cordoned node is uncordoned", p())
            .nodes([cordoned(), node("n2").unschedulable()])
            .refused()
            .then(Change::patch_node("n1", json!({"spec": {"unschedulable": null}})))
            .best("n1"),
        Scenario::new(
            "a pod that tolerates cordons",
            p().toleration(json!({"key": "node.kubernetes.io/unschedulable", "operator": "Exists"})),
        )
        .nodes([cordoned()])
        .best("n1"),
        Scenario::new(
            "a pod that tolerates cordons with another effect only",
            p().toleration(json!({
                "key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoExecute",
            })),
        )
        .nodes([cordoned()])
        .refused(),
        Scenario::new("a pod comes to tolerate cordons", p())
            .nodes([cordoned()])
            .refused()
            .own(json!({"spec": {"tolerations": [
                {"key": "node.kubernetes.io/unschedulable", "operator": "Exists"},
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            ]}}))
            .best("n1"),
        Scenario::new("a taint is taken away", p())
            .nodes([tainted(), node("n2").taint("broken", "", "NoExecute")])
            .refused()
            .then(Change::patch_node("n1", json!({"spec": {"taints": null}})))
            .best("n1"),
        Scenario::new("a taint gets an effect that does not matter", p())
            .nodes([tainted()])
            .refused()
            .then(Change::patch_node(
                "n1",
                json!({"spec": {"taints": [{"key": "gpu", "value": "yes", "effect": "PreferNoSchedule"}]}}),
            ))
            .best("n1"),
        Scenario::new("another taint comes", p())
            .nodes([tainted()])
            .refused()
            .then(Change::patch_node(
                "n1",
                json!({"spec": {"taints": [
                    {"key": "gpu", "value": "yes", "effect": "NoSchedule"},
                    {"key": "more", "effect": "NoSchedule"},
                ]}}),
            ))
            .same(),
        Scenario::new(
            "a taint with a value that is tolerated",
            p().toleration(json!({"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"})),
        )
        .nodes([tainted()])
        .best("n1"),
        Scenario::new(
            "a taint with another value",
            p().toleration(json!({"key": "gpu", "operator": "Equal", "value": "no"})),
        )
        .nodes([tainted()])
        .refused(),
        Scenario::new("two taints, one tolerated", p().toleration(json!({"key": "gpu", "operator": "Exists"})))
            .nodes([tainted().taint("team", "x", "NoExecute")])
            .refused()
            .own(json!({"spec": {"tolerations": [
                {"key": "gpu", "operator": "Exists"},
                {"key": "team", "operator": "Exists"},
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            ]}}))
            .best("n1"),
        Scenario::new("a pod that tolerates everything", p().toleration(json!({"operator": "Exists"})))
            .nodes([tainted().unschedulable()])
            .best("n1"),
        Scenario::new("several reasons at several nodes", p().selector("disk", "ssd").request("cpu", "2"))
            .nodes([
                tainted(),
                node("n2").unschedulable(),
                node("n3"),
                node("n4").label("disk", "ssd").capacity("cpu", "1"),
                node("n5").label("disk", "ssd").capacity("cpu", "1"),
            ])
            .refused()
            .then(Change::delete_node("n4"))
            .same()
            .then(Change::patch_node("n3", json!({"metadata": {"labels": {"disk": "ssd"}}})))
            .best("n3"),
    ])
    .await
}

#[tokio::test]
async fn node_affinity() -> Result<()> {
    let ssd = || json!({"metadata": {"labels": {"disk": "ssd"}}});
    play(vec![
        Scenario::new(
            "a node gets the label of a selector",
            p().selector("disk", "ssd"),
        )
        .nodes([node("n1"), node("n2").label("disk", "hdd")])
        .refused()
        .then(Change::patch_node(
            "n2",
            json!({"metadata": {"labels": {"disk": "tape"}}}),
        ))
        .same()
        .then(Change::patch_node("n2", ssd()))
        .best("n2"),
        Scenario::new("a node with the label comes", p().selector("disk", "ssd"))
            .nodes([node("n1")])
            .refused()
            .then(Change::node(node("n2").label("disk", "ssd")))
            .best("n2"),
        Scenario::new(
            "In and NotIn",
            p().affinity(required_node_affinity(&[
                ("zone", "In", &["a", "b"]),
                ("disk", "NotIn", &["hdd"]),
            ])),
        )
        .nodes([
            node("n1").label("zone", "a").label("disk", "hdd"),
            node("n2").label("zone", "b"),
            node("n3").label("zone", "c"),
        ])
        .best("n2"),
        Scenario::new(
            "Exists and DoesNotExist",
            p().affinity(required_node_affinity(&[
                ("zone", "Exists", &[]),
                ("old", "DoesNotExist", &[]),
            ])),
        )
        .nodes([node("n1"), node("n2").label("zone", "").label("old", "")])
        .refused()
        .then(Change::patch_node(
            "n2",
            json!({"metadata": {"labels": {"old": null}}}),
        ))
        .best("n2"),
        Scenario::new(
            "Gt and Lt",
            p().affinity(required_node_affinity(&[
                ("size", "Gt", &["3"]),
                ("size", "Lt", &["9"]),
            ])),
        )
        .nodes([
            node("n1").label("size", "3"),
            node("n2").label("size", "x8"),
            node("n3").label("size", "9"),
        ])
        .refused()
        .then(Change::patch_node(
            "n2",
            json!({"metadata": {"labels": {"size": "8"}}}),
        ))
        .best("n2"),
        Scenario::new(
            "several terms, of which one fits",
            p().affinity(
                json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["z"]}]},
                        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]},
                    ],
                }}}),
            ),
        )
        .nodes([node("n1").label("zone", "a"), node("n2").label("zone", "b")])
        .best("n2"),
        Scenario::new(
            "a selector and affinity together",
            p().selector("disk", "ssd")
                .affinity(required_node_affinity(&[("zone", "In", &["a"])])),
        )
        .nodes([
            node("n1").label("zone", "a"),
            node("n2").label("disk", "ssd"),
        ])
        .refused()
        .then(Change::patch_node("n1", ssd()))
        .best("n1"),
        Scenario::new(
            "the name of a node that is full",
            p().affinity(by_name(&[&["n1"]])).request("cpu", "2"),
        )
        .nodes([node("n1").capacity("cpu", "1"), node("n2"), node("n3")])
        .refused()
        .then(Change::patch_node(
            "n1",
            json!({"status": {"capacity": {"cpu": "4"}, "allocatable": {"cpu": "4"}}}),
        ))
        .best("n1"),
        Scenario::new(
            "the name of a node that is not there",
            p().affinity(by_name(&[&["later"]])),
        )
        .nodes([node("n1")])
        .refused()
        .then(Change::node(node("later")))
        .best("later"),
        Scenario::new("two names at once", p().affinity(by_name(&[&["n1", "n2"]])))
            .nodes([node("n1"), node("n2")])
            .refused(),
        Scenario::new(
            "one of two names",
            p().affinity(by_name(&[&["gone"], &["n2"]])),
        )
        .nodes([node("n1"), node("n2")])
        .best("n2"),
        Scenario::new("what the profile adds", p())
            .profile("added")
            .nodes([node("n1"), node("n2").label("disk", "ssd")])
            .refused()
            .then(Change::patch_node(
                "n1",
                json!({"metadata": {"labels": {"pool": "batch"}}}),
            ))
            // kube-scheduler looks only at what the pod itself requires of a node that changes.
            .same()
            .then(Change::node(
                node("n3").label("pool", "batch").capacity("cpu", "1"),
            ))
            .bound(),
        Scenario::new("what the profile prefers", p())
            .profile("added")
            .nodes([
                node("n1").label("pool", "batch"),
                node("n2").label("pool", "batch").label("disk", "ssd"),
            ])
            .best("n2"),
        Scenario::new(
            "what the profile adds, and the pod as well",
            p().selector("disk", "ssd"),
        )
        .profile("added")
        .nodes([
            node("n1").label("disk", "ssd"),
            node("n2").label("pool", "batch"),
            node("n3"),
        ])
        .refused(),
    ])
    .await
}

#[tokio::test]
async fn ports_features_and_gates() -> Result<()> {
    let port = |ip: Option<&str>, protocol: &str| {
        let port = json!({"containerPort": 80, "hostPort": 80, "protocol": protocol, "hostIP": ip});
        p().spec(
            "containers",
            json!([{"name": "main", "image": "pause", "ports": [port]}]),
        )
    };
    let taken = |ip: Option<&str>| port(ip, "TCP").named("taken").on("n1");
    let sidecar = json!([{
        "name": "sidecar", "image": "pause", "restartPolicy": "Always",
        "ports": [{"containerPort": 80, "hostPort": 80}],
    }]);
    let restarting = || {
        p().spec("restartPolicy", json!("Never")).spec(
            "containers",
            json!([{"name": "main", "image": "pause", "restartPolicy": "Never", "restartPolicyRules": [
                {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}},
            ]}]),
        )
    };
    play(vec![
        Scenario::new("a port becomes free", port(None, "TCP"))
            .nodes([node("n1")])
            .running([taken(None)])
            .refused()
            .then(Change::delete_pod("taken"))
            .best("n1"),
        Scenario::new(
            "a port becomes free when a pod has finished",
            port(None, "TCP"),
        )
        .nodes([node("n1")])
        .running([taken(None)])
        .refused()
        .then(Change::finish_pod("taken"))
        .best("n1"),
        Scenario::new(
            "another pod than that with the port goes",
            port(None, "TCP"),
        )
        .nodes([node("n1")])
        .running([taken(None), pod("other").on("n1")])
        .refused()
        .then(Change::delete_pod("other"))
        .same(),
        Scenario::new("another node comes for a port", port(None, "TCP"))
            .nodes([node("n1")])
            .running([taken(None)])
            .refused()
            .then(Change::node(node("n2")))
            .best("n2"),
        Scenario::new("the same port of another protocol", port(None, "UDP"))
            .nodes([node("n1")])
            .running([taken(None)])
            .best("n1"),
        Scenario::new(
            "the same port of another address",
            port(Some("10.0.0.1"), "TCP"),
        )
        .nodes([node("n1")])
        .running([taken(Some("10.0.0.2"))])
        .best("n1"),
        Scenario::new("one address against all", port(Some("10.0.0.1"), "TCP"))
            .nodes([node("n1")])
            .running([taken(None)])
            .refused(),
        Scenario::new("all addresses against one", port(Some("0.0.0.0"), "TCP"))
            .nodes([node("n1")])
            .running([taken(Some("10.0.0.2"))])
            .refused(),
        Scenario::new(
            "the port of a sidecar",
            p().spec("initContainers", sidecar.clone()),
        )
        .nodes([node("n1")])
        .running([pod("taken").spec("initContainers", sidecar).on("n1")])
        .refused(),
        Scenario::new("a feature that a node comes to declare", restarting())
            .nodes([node("n1"), node("n2").declared_features(&["Other"])])
            .refused()
            .then(Change::patch_node(
                "n1",
                json!({"status": {"declaredFeatures": ["RestartAllContainersOnContainerExits"]}}),
            ))
            .best("n1"),
        Scenario::new("a feature that a node declares", restarting())
            .nodes([
                node("n1"),
                node("n2").declared_features(&["Other", "RestartAllContainersOnContainerExits"]),
            ])
            .best("n2"),
        Scenario::new("gates go one by one", p().gate("a").gate("b"))
            .nodes([node("n1")])
            .gated()
            .own(json!({"spec": {"schedulingGates": [{"name": "b"}]}}))
            .same()
            .own(json!({"spec": {"schedulingGates": null}}))
            .best("n1"),
        Scenario::new(
            "the last gate goes, but there is no room",
            p().gate("a").request("cpu", "64"),
        )
        .nodes([node("n1")])
        .gated()
        .own(json!({"spec": {"schedulingGates": null}}))
        .refused(),
    ])
    .await
}
