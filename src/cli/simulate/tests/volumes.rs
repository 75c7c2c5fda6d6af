//! Claims and volumes.

use super::*;

const NODES: &str = "\
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Node, metadata: {name: large, labels: {zone: a}}, status: {allocatable: {pods: 110, cpu: 64}}}
- {apiVersion: v1, kind: Node, metadata: {name: small, labels: {zone: b}}, status: {allocatable: {pods: 110, cpu: 2}}}
---
";

/// A volume that can be reached from zone b.
const VOLUME: &str = "\
apiVersion: v1
kind: PersistentVolume
metadata: {name: disk}
spec: {nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [b]}]}]}}}
---
";

fn claim(metadata: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{{metadata}}}, spec: {{{spec}}}}}\n---\n"
    )
}

/// Where a pod goes that has these volumes, or why it does not.
#[track_caller]
fn check(volumes: &str, objects: &str, expected: &str) {
    let pod = pod("p", "", &format!(", volumes: [{volumes}]"));
    let report = report(&[&[NODES, VOLUME, objects, &pod].concat()]);
    let placed = &report.pods[0];
    assert_eq!(placed.node.as_deref().unwrap_or(&placed.message), expected);
}

#[test]
fn claims_are_read() {
    let named = "{name: v, persistentVolumeClaim: {claimName: data}}";
    let bound = "annotations: {pv.kubernetes.io/bind-completed: 'yes'}";
    let of = |metadata: &str| claim(&format!("name: {metadata}, {bound}"), "volumeName: disk");
    check("", "", "large");
    check(named, &of("data"), "small");
    check(
        named,
        &of("other"),
        "0/2 nodes are available: persistentvolumeclaim \"data\" not found.",
    );
    check(
        named,
        &of("data, namespace: other"),
        "0/2 nodes are available: persistentvolumeclaim \"data\" not found.",
    );
    check(
        named,
        &claim("name: data", "storageClassName: absent"),
        "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
    );
    let class = "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: waits}, \
                 volumeBindingMode: WaitForFirstConsumer}\n---\n";
    check(
        named,
        &(claim("name: data", "storageClassName: waits") + class),
        "0/2 nodes are available: this version of Berth does not support volumes that need binding: \
         persistentvolumeclaim \"data\" waits for its first consumer.",
    );
    // Pods get other uids than those of the cluster that was dumped.
    let owner = |name: &str| {
        format!(
            "p-v, ownerReferences: [{{apiVersion: v1, kind: Pod, name: {name}, uid: 1-2-3, controller: true}}]"
        )
    };
    check("{name: v, ephemeral: {}}", &of(&owner("p")), "small");
    check(
        "{name: v, ephemeral: {}}",
        &of(&owner("q")),
        "0/2 nodes are available: PVC default/p-v was not created for pod default/p (pod is not owner).",
    );
}
