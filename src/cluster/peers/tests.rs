#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use crate::api;
use crate::cluster::Cluster;
use crate::model::CompiledPod;
use serde_json::json;

fn pod(uid: &str, node: &str, app: &str) -> CompiledPod {
    let term = json!({ "labelSelector": { "matchLabels": { "app": app } }, "topologyKey": "zone" });
    let required = json!({ "requiredDuringSchedulingIgnoredDuringExecution": [term] });
    let pod = json!({
        "metadata": { "name": uid, "namespace": "a", "uid": uid, "labels": { "app": app } },
        "spec": { "nodeName": node, "affinity": { "podAntiAffinity": required } },
    });
    let pod: api::Pod = serde_json::from_value(pod).unwrap();
    CompiledPod::compile(&pod).unwrap()
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::default();
    for (name, zone) in [("n1", "x"), ("n2", "x"), ("n3", "y")] {
        let node = json!({ "metadata": { "name": name, "uid": name, "labels": { "zone": zone } } });
        let node: api::Node = serde_json::from_value(node).unwrap();
        cluster.upsert_node(NodeModel::compile(&node).unwrap());
    }
    cluster
}

/// The nodes that anti-affinity of placed pods keeps pods of the class off.
fn kept_off(cluster: &Cluster, peers: PeerId) -> Vec<&str> {
    let class = cluster.peers().class(peers);
    let mut names: Vec<_> = (cluster.peers().carried(class, TermKind::AntiAffinity))
        .flat_map(|one| one.tally.by(one.key).unwrap().reached().iter())
        .map(|node| cluster.node_name(node))
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn terms_follow_the_pods_that_carry_them() {
    let mut cluster = cluster();
    let waiting = cluster.adopt(&pod("w", "", "web").peers);
    assert!(kept_off(&cluster, waiting).is_empty());
    cluster.confirm(&pod("p", "n1", "web"));
    assert_eq!(kept_off(&cluster, waiting), ["n1", "n2"]);
    // Seen with another label, and with it another term.
    cluster.confirm(&pod("p", "n1", "db"));
    assert!(kept_off(&cluster, waiting).is_empty());
    cluster.confirm(&pod("q", "n3", "web"));
    assert_eq!(kept_off(&cluster, waiting), ["n3"]);
    cluster.remove(cluster.placed_by_uid("q").unwrap());
    assert!(kept_off(&cluster, waiting).is_empty());
    cluster.audit_peers().unwrap();
}

#[test]
fn a_value_that_is_listed_twice_counts_once() {
    let mut cluster = cluster();
    cluster.confirm(&pod("p", "n1", "web"));
    let values = json!([{ "key": "app", "operator": "In", "values": ["web", "db", "web"] }]);
    let term = json!({ "labelSelector": { "matchExpressions": values }, "topologyKey": "zone" });
    let required = json!({ "requiredDuringSchedulingIgnoredDuringExecution": [term] });
    let asking: api::Pod = serde_json::from_value(json!({
        "metadata": { "name": "w", "namespace": "a", "uid": "w" },
        "spec": { "affinity": { "podAffinity": required } },
    }))
    .unwrap();
    let waiting = cluster.adopt(&CompiledPod::compile(&asking).unwrap().peers);
    let (selector, _) = cluster.peers().class(waiting).affinity().unwrap();
    let pods: i64 = (cluster.peers().tally(selector).unwrap().nodes())
        .map(|(_, pods)| pods)
        .sum();
    assert_eq!(pods, 1);
    cluster.audit_peers().unwrap();
}

#[test]
fn what_nobody_asks_about_any_more_is_forgotten() {
    let mut cluster = cluster();
    for round in 0..100 {
        let app = format!("app-{round}");
        cluster.confirm(&pod("p", "n1", &app));
        let waiting = cluster.adopt(&pod("w", "", &app).peers);
        cluster.dismiss(waiting);
        let (classes, selectors) = cluster.peers().sizes();
        assert!(
            classes <= 3 && selectors <= 3,
            "{classes} classes, {selectors} selectors"
        );
    }
}

#[test]
fn a_wrong_counter_is_found_by_samples_and_put_right() {
    let mut cluster = cluster();
    for (uid, node) in [("p", "n1"), ("q", "n2"), ("r", "n3")] {
        cluster.confirm(&pod(uid, node, "web"));
    }
    let id = cluster
        .placed(cluster.placed_by_uid("q").unwrap())
        .unwrap()
        .peers;
    let right = |cluster: &Cluster| (0..12).all(|number| cluster.audit_sample(number).is_ok());
    assert!(right(&cluster));
    for spoil in [
        // A pod too many, and one that is counted on another node.
        &(|peers: &mut Peers| peers.place(id, NodeId::new(0), 1)) as &dyn Fn(&mut Peers),
        &|peers| {
            peers.place(id, NodeId::new(1), -1);
            peers.place(id, NodeId::new(2), 1);
        },
        &|peers| {
            let selector = peers.selectors[0].as_mut().unwrap();
            selector.pods.add(NodeId::new(2), 5, &peers.topology);
        },
    ] {
        spoil(&mut cluster.peers);
        assert!(!right(&cluster));
        assert!(cluster.audit_peers().is_err());
        cluster.recount_peers();
        cluster.audit_peers().unwrap();
        assert!(right(&cluster));
    }
}
