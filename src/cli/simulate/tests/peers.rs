//! Services, controllers and namespaces: what pods are to each other.

use super::*;

/// A node in a zone.
fn zoned(name: &str, zone: &str, cpu: u32) -> String {
    format!(
        "apiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{kubernetes.io/hostname: {name}, \
         topology.kubernetes.io/zone: {zone}}}}}\n\
         status: {{allocatable: {{pods: 110, cpu: {cpu}, memory: 64Gi}}}}\n---\n"
    )
}

/// A pod with these labels, further metadata, and further fields of the spec.
fn labelled(name: &str, labels: &str, metadata: &str, spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{{labels}}}{metadata}}}\n\
         spec: {{containers: [{{name: main, resources: {{requests: {{cpu: 1}}}}}}]{spec}}}\n---\n"
    )
}

fn object(api_version: &str, kind: &str, fields: &str) -> String {
    format!("{{apiVersion: {api_version}, kind: {kind}, {fields}}}\n---\n")
}

/// How many of the pods go to each of the zones a, b and c. The nodes of a are so large that nothing
/// but spreading leads away from it.
fn zones(text: &str) -> [usize; 3] {
    let nodes = ["a", "b", "c"].map(|zone| {
        let cpu = if zone == "a" { 100 } else { 12 };
        zoned(&format!("{zone}1"), zone, cpu) + &zoned(&format!("{zone}2"), zone, cpu)
    });
    let report = report(&[&nodes.concat(), text]);
    ["a", "b", "c"].map(|zone| {
        let in_zone = |pod: &&report::Placement| {
            (pod.node.as_deref()).is_some_and(|node| node.starts_with(zone))
        };
        report.pods.iter().filter(in_zone).count()
    })
}

fn six(labels: &str, metadata: &str) -> String {
    (0..6)
        .map(|number| labelled(&format!("p{number}"), labels, metadata, ""))
        .collect()
}

#[test]
fn pods_of_a_service_are_spread_over_zones() {
    let pods = six("app: web", "");
    let service = |metadata: &str, spec: &str| {
        let fields = format!("metadata: {{name: web{metadata}}}, spec: {{{spec}}}");
        pods.clone() + &object("v1", "Service", &fields)
    };
    assert_eq!(zones(&pods), [6, 0, 0]);
    assert_eq!(zones(&service("", "selector: {app: web}")), [2, 2, 2]);
    // Also of a dump, with what the API server writes.
    let dumped = ", namespace: default, resourceVersion: '7', uid: u, labels: {app: x}";
    let spec = "selector: {app: web}, clusterIP: 10.0.0.1, ports: [{port: 80}]";
    assert_eq!(zones(&service(dumped, spec)), [2, 2, 2]);
    for spec in ["selector: {app: db}", "ports: [{port: 80}]", "selector: {}"] {
        assert_eq!(zones(&service("", spec)), [6, 0, 0], "{spec}");
    }
    let elsewhere = service(", namespace: other", "selector: {app: web}");
    assert_eq!(zones(&elsewhere), [6, 0, 0]);
}

#[test]
fn pods_of_a_controller_are_spread_over_zones() {
    let labels = "selector: {matchLabels: {app: web}}";
    for (api_version, kind, spec) in [
        ("apps/v1", "ReplicaSet", labels),
        ("apps/v1", "StatefulSet", labels),
        ("v1", "ReplicationController", "selector: {app: web}"),
        // The API server takes the labels of the template.
        (
            "v1",
            "ReplicationController",
            "template: {metadata: {labels: {app: web}}}",
        ),
    ] {
        let owner = format!(
            ", ownerReferences: [{{apiVersion: {api_version}, kind: {kind}, name: web, uid: u, \
             controller: true}}]"
        );
        let pods = six("app: web", &owner);
        assert_eq!(zones(&pods), [6, 0, 0], "without the {kind}");
        let fields = format!("metadata: {{name: web}}, spec: {{{spec}}}");
        let text = pods + &object(api_version, kind, &fields);
        assert_eq!(zones(&text), [2, 2, 2], "{kind} {spec}");
    }
}

/// Where a pod `p` goes that wants to be near a pod `friend`, which runs on the worse node in the
/// namespace `theirs`.
#[track_caller]
fn check_near(term: &str, namespaces: &str, friend: &str, expected: &str) {
    let affinity = format!(
        ", affinity: {{podAffinity: {{preferredDuringSchedulingIgnoredDuringExecution: [\
         {{weight: 100, podAffinityTerm: {{topologyKey: kubernetes.io/hostname, {term}}}}}]}}}}"
    );
    let text = [
        zoned("better", "a", 16),
        zoned("worse", "b", 12),
        namespaces.to_owned(),
        labelled("friend", friend, ", namespace: theirs", ", nodeName: worse"),
        labelled("p", "app: web, rev: '1'", "", &affinity),
    ];
    let report = report(&[&text.concat()]);
    assert_eq!(
        placements(&report),
        [("p", expected)],
        "{term} {namespaces}"
    );
}

#[test]
fn namespaces_are_selected_by_label() {
    let selector = "labelSelector: {matchLabels: {app: web}}, namespaceSelector: ";
    let by = |labels: &str| format!("{selector}{{matchLabels: {{{labels}}}}}");
    let namespace = |labels: &str| {
        let fields = format!("metadata: {{name: theirs, labels: {{{labels}}}}}");
        object("v1", "Namespace", &fields)
    };
    let web = "app: web";
    check_near(&by("team: x"), &namespace("team: x"), web, "worse");
    check_near(&by("team: x"), &namespace("team: z"), web, "better");
    check_near(&by("team: x"), "", web, "better");
    check_near(&format!("{selector}{{}}"), "", web, "worse");
    // Each has its name as a label, which nothing can change.
    let by_name = by("kubernetes.io/metadata.name: theirs");
    check_near(&by_name, "", web, "worse");
    check_near(&by_name, &namespace("team: x"), web, "worse");
    check_near(
        &by_name,
        &namespace("kubernetes.io/metadata.name: x"),
        web,
        "worse",
    );
}

#[test]
fn label_keys_become_part_of_selectors() {
    let keys = |selector: &str, keys: &str| {
        format!("labelSelector: {selector}, {keys}, namespaces: [theirs]")
    };
    let (same, other) = ("app: web, rev: '1'", "app: web, rev: '2'");
    let web = "{matchLabels: {app: web}}";
    check_near(&keys(web, "matchLabelKeys: [rev]"), "", same, "worse");
    check_near(&keys(web, "matchLabelKeys: [rev]"), "", other, "better");
    check_near(&keys(web, "matchLabelKeys: [none]"), "", other, "worse");
    check_near(&keys(web, "mismatchLabelKeys: [rev]"), "", same, "better");
    check_near(&keys(web, "mismatchLabelKeys: [rev]"), "", other, "worse");
    check_near(
        "matchLabelKeys: [rev], namespaces: [theirs]",
        "",
        same,
        "better",
    );
    // A pod of a dump, whose labels were others when it was made.
    let merged = "{matchExpressions: [{key: rev, operator: In, values: ['2']}]}";
    check_near(&keys(merged, "matchLabelKeys: [rev]"), "", other, "worse");
}
