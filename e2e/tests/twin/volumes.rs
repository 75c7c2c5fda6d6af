//! Claims and volumes.

use anyhow::Result;
use e2e::objects::{NodeBuilder, bound_claim, node, pod, unbound_claim, volume};
use e2e::twin::Change;
use e2e::twin::scenario::Scenario;
use serde_json::{Value, json};

use super::{HOSTNAME, ZONE, play, zoned};

const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";
const VOLUMES: &str = "/api/v1/persistentvolumes";
const MANY: &str = "ReadWriteMany";

fn pair() -> [NodeBuilder; 2] {
    [zoned("a1", "a"), zoned("b1", "b")]
}

/// A volume with these labels.
fn labelled(name: &str, labels: Value) -> Value {
    let mut volume = volume(name, &[]);
    volume["metadata"]["labels"] = labels;
    volume
}

/// A pod with the claim `data`, in a cluster of two nodes where this volume is.
fn bound_to(name: &'static str, volume: Value) -> Scenario {
    let of = volume["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    Scenario::new(name, pod("p").claim("data"))
        .nodes(pair())
        .object(VOLUMES, volume)
        .object(CLAIMS, bound_claim("data", &of, MANY))
}

fn labels(labels: Value) -> Value {
    json!({"metadata": {"labels": labels}})
}

fn patch(collection: &str, name: &str, patch: Value) -> Change {
    Change::Patch(format!("{collection}/{name}"), patch)
}

#[tokio::test]
async fn where_volumes_are() -> Result<()> {
    let disk = |terms: &[(&str, &str, &[&str])]| volume("disk", terms);
    play(vec![
        bound_to("volume: from everywhere", disk(&[])).bound(),
        bound_to("volume: in one zone", disk(&[(ZONE, "In", &["b"])])).best("b1"),
        bound_to(
            "volume: on a node and on some that are gone",
            disk(&[(HOSTNAME, "In", &["gone", "a1", "missing"])]),
        )
        .best("a1"),
        bound_to("volume: not in a zone", disk(&[(ZONE, "NotIn", &["b"])])).best("a1"),
        bound_to(
            "volume: nowhere",
            disk(&[(ZONE, "In", &["c"]), (HOSTNAME, "Exists", &[])]),
        )
        .refused(),
        Scenario::new(
            "volume: two that no node reaches together",
            pod("p").claim("data").claim("more"),
        )
        .nodes(pair())
        .object(VOLUMES, volume("one", &[(ZONE, "In", &["a"])]))
        .object(VOLUMES, labelled("two", json!({ZONE: "b"})))
        .object(CLAIMS, bound_claim("data", "one", MANY))
        .object(CLAIMS, bound_claim("more", "two", MANY))
        .refused(),
        bound_to("volume: labels", labelled("disk", json!({ZONE: "b"}))).best("b1"),
        bound_to(
            "volume: labels of two zones",
            labelled("disk", json!({ZONE: "c__a"})),
        )
        .best("a1"),
        bound_to(
            "volume: labels of another zone",
            labelled("disk", json!({ZONE: "c"})),
        )
        .refused(),
        bound_to(
            "volume: labels of old",
            labelled(
                "disk",
                json!({"failure-domain.beta.kubernetes.io/zone": "a"}),
            ),
        )
        .best("a1"),
        bound_to(
            "volume: a region that no node tells",
            labelled("disk", json!({"topology.kubernetes.io/region": "r"})),
        )
        .refused(),
        bound_to(
            "volume: a node that tells no place",
            labelled("disk", json!({ZONE: "c"})),
        )
        .nodes([node("n1")])
        .best("n1"),
        Scenario::new(
            "volume: two that are apart",
            pod("p").claim("data").claim("more"),
        )
        .nodes(pair())
        .nodes([zoned("c1", "c")])
        .object(VOLUMES, volume("one", &[(ZONE, "In", &["a", "c"])]))
        .object(VOLUMES, volume("two", &[(ZONE, "In", &["b", "c"])]))
        .object(CLAIMS, bound_claim("data", "one", MANY))
        .object(CLAIMS, bound_claim("more", "two", MANY))
        .best("c1"),
        Scenario::new(
            "volume: what is left by labels, taints and room",
            pod("p")
                .claim("data")
                .selector(ZONE, "a")
                .request("cpu", "3"),
        )
        .nodes(pair())
        .nodes([
            zoned("a2", "a").taint("gpu", "yes", "NoSchedule"),
            zoned("a3", "a").capacity("cpu", "2"),
        ])
        .object(
            VOLUMES,
            volume("one", &[(HOSTNAME, "In", &["a2", "a3", "b1"])]),
        )
        .object(CLAIMS, bound_claim("data", "one", MANY))
        .refused(),
    ])
    .await
}

#[tokio::test]
async fn claims() -> Result<()> {
    let asking = || pod("p").claim("data");
    play(vec![
        Scenario::new("claim: missing", asking())
            .nodes(pair())
            .refused(),
        Scenario::new("claim: not bound", asking())
            .nodes(pair())
            .object(CLAIMS, unbound_claim("data", "", MANY))
            .refused(),
        Scenario::new("claim: not bound, of a class that is not there", asking())
            .nodes(pair())
            .object(CLAIMS, unbound_claim("data", "absent", MANY))
            .refused(),
        Scenario::new("claim: lost", asking())
            .nodes(pair())
            .object(CLAIMS, unbound_claim("data", "", MANY))
            .then(patch(CLAIMS, "data", json!({"status": {"phase": "Lost"}})))
            .refused(),
        Scenario::new("claim: its volume is gone", asking())
            .nodes(pair())
            .object(CLAIMS, bound_claim("data", "disk", MANY))
            .refused(),
        Scenario::new("claim: for one pod, and used", asking())
            .nodes(pair())
            .object(VOLUMES, volume("disk", &[]))
            .object(CLAIMS, bound_claim("data", "disk", "ReadWriteOncePod"))
            .running([pod("user").claim("data").on("a1")])
            .refused(),
        Scenario::new("claim: for many, and used", asking())
            .nodes(pair())
            .object(VOLUMES, volume("disk", &[(ZONE, "In", &["a"])]))
            .object(CLAIMS, bound_claim("data", "disk", MANY))
            .running([pod("user").claim("data").on("a1")])
            .best("a1"),
    ])
    .await
}

#[tokio::test]
async fn what_brings_a_pod_back() -> Result<()> {
    let asking = || pod("p").claim("data");
    let in_b = || volume("disk", &[(ZONE, "In", &["b"])]);
    let claim = || bound_claim("data", "disk", MANY);
    play(vec![
        Scenario::new("claim: it is made, bound, and its volume comes", asking())
            .nodes(pair())
            .refused()
            .then(Change::Create(
                CLAIMS.to_owned(),
                unbound_claim("other", "", MANY),
            ))
            .same()
            .then(Change::Create(
                CLAIMS.to_owned(),
                unbound_claim("data", "", MANY),
            ))
            .refused()
            .then(patch(
                CLAIMS,
                "data",
                json!({
                    "metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
                    "spec": {"volumeName": "disk"},
                }),
            ))
            .refused()
            .then(Change::Create(VOLUMES.to_owned(), in_b()))
            .best("b1"),
        Scenario::new("volume: a node comes", asking())
            .nodes([zoned("a1", "a")])
            .object(VOLUMES, in_b())
            .object(CLAIMS, claim())
            .refused()
            .then(Change::node(zoned("b1", "b")))
            .best("b1"),
        Scenario::new("volume: a node gets the label", asking())
            .nodes([node("n1")])
            .object(VOLUMES, in_b())
            .object(CLAIMS, claim())
            .refused()
            .then(Change::patch_node("n1", labels(json!({ZONE: "b"}))))
            .best("n1"),
        Scenario::new("volume: its labels change", asking())
            .nodes(pair())
            .object(VOLUMES, labelled("disk", json!({ZONE: "c"})))
            .object(CLAIMS, claim())
            .refused()
            .then(patch(VOLUMES, "disk", labels(json!({ZONE: "b"}))))
            .best("b1"),
        Scenario::new("claim: for one pod, which goes", asking())
            .nodes([zoned("a1", "a")])
            .object(VOLUMES, volume("disk", &[]))
            .object(CLAIMS, bound_claim("data", "disk", "ReadWriteOncePod"))
            .running([pod("user").claim("data").on("a1"), pod("other").on("a1")])
            .refused()
            .then(Change::delete_pod("other"))
            .same()
            .then(Change::delete_pod("user"))
            .best("a1"),
    ])
    .await
}
