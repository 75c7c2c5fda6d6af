//! Which pods need which features, and on which nodes they find them.

use serde_json::json;

use super::*;
use crate::framework::PreFilterAnswer;
use crate::model::CompiledPod;

fn shape(spec: serde_json::Value) -> PodShape {
    let pod = json!({ "metadata": { "name": "p" }, "spec": spec });
    let pod: crate::api::Pod = serde_json::from_value(pod).unwrap_or_default();
    let waiting = CompiledPod::compile(&pod).ok().and_then(|pod| pod.waiting);
    waiting.map(|waiting| waiting.shape).unwrap_or_default()
}

fn check(spec: serde_json::Value, needed: &[&str]) {
    let shape = shape(spec.clone());
    assert_eq!(&*shape.declared_features, needed, "{spec}");
    let expected = if needed.is_empty() {
        PreFilterAnswer::Skip
    } else {
        PreFilterAnswer::Proceed
    };
    assert_eq!(
        PreFilter::pre_filter(&NodeDeclaredFeatures, &shape, &Cluster::default()),
        expected
    );
}

#[test]
fn features_are_inferred_from_the_spec() {
    let restart = json!([{ "action": "RestartAllContainers" }]);
    check(json!({ "containers": [{ "name": "c" }] }), &[]);
    check(
        json!({ "containers": [{ "restartPolicyRules": restart }] }),
        &["RestartAllContainersOnContainerExits"],
    );
    check(
        json!({ "initContainers": [{ "restartPolicyRules": restart }] }),
        &["RestartAllContainersOnContainerExits"],
    );
    check(
        json!({ "containers": [{ "restartPolicyRules": [{ "action": "Restart" }] }] }),
        &[],
    );
    check(
        json!({ "hostNetwork": true, "hostUsers": false }),
        &["UserNamespacesHostNetworkSupport"],
    );
    check(json!({ "hostNetwork": true, "hostUsers": true }), &[]);
    check(json!({ "hostNetwork": true }), &[]);
    check(json!({ "hostUsers": false }), &[]);
    check(
        json!({ "containers": [{ "volumeMounts": [{ "bindMountOptions": ["noexec"] }] }] }),
        &["VolumeBindMountOptions"],
    );
}

#[test]
fn nodes_that_do_not_declare_them_are_left_out() {
    let mut cluster = Cluster::default();
    for (name, features) in [
        ("n1", &[][..]),
        ("n2", &["Other", "VolumeBindMountOptions"][..]),
    ] {
        let declared_features = features.iter().map(|&feature| feature.into()).collect();
        let name = name.into();
        cluster.upsert_node(NodeModel {
            name,
            declared_features,
            ..NodeModel::default()
        });
    }
    let pod =
        shape(json!({ "containers": [{ "volumeMounts": [{ "bindMountOptions": ["noexec"] }] }] }));
    let (mut left, mut why) = (cluster.nodes().clone(), Diagnosis::default());
    Filter::filter(&NodeDeclaredFeatures, &pod, &cluster, &mut left, &mut why);
    assert_eq!(
        left.iter()
            .map(|node| cluster.node_name(node))
            .collect::<Vec<_>>(),
        ["n2"]
    );
    let expected = Some("1 node(s) didn't match Pod's required features".to_owned());
    assert_eq!(why.count().text(), expected);
    assert!(why.resolvable().is_empty());
}
