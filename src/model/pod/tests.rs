#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use super::*;

fn compiled(json: &str) -> CompiledPod {
    CompiledPod::compile(&serde_json::from_str(json).unwrap()).unwrap()
}

fn waiting(spec: &str) -> WaitingPod {
    compiled(&format!(r#"{{"spec":{spec}}}"#)).waiting.unwrap()
}

#[test]
fn image_names_get_the_tag_that_is_meant() {
    let digest = "root@sha256:4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2";
    for (name, expected) in [
        ("root", "root:latest"),
        ("gcr.io:5000/root", "gcr.io:5000/root:latest"),
        ("root:tag", "root:tag"),
        (digest, digest),
        ("gcr.io:5000/root:tag", "gcr.io:5000/root:tag"),
        ("a/b/c", "a/b/c:latest"),
        ("", ":latest"),
    ] {
        assert_eq!(&*normalized_image(name), expected);
    }
    let shape = waiting(
        r#"{"containers":[{"image":"b"}],"initContainers":[{"image":"a:1"}],
            "volumes":[{"image":{"reference":"c"}},{"emptyDir":{}}]}"#,
    )
    .shape;
    let images: Vec<&str> = shape.images.iter().map(|name| &**name).collect();
    assert_eq!(images, ["a:1", "b:latest", "c:latest"]);
}

fn port(ip: &str, protocol: &str, port: i32) -> HostPort {
    HostPort::compile(&api::ContainerPort {
        host_port: port,
        host_ip: ip.into(),
        protocol: protocol.into(),
    })
}

#[test]
fn host_ports_conflict() {
    // The table of framework/types_test.go TestHostPortInfo_Check, in pairs.
    let one = port("127.0.0.1", "TCP", 80);
    let all = port("0.0.0.0", "TCP", 80);
    for (taken, asked, expected) in [
        (&one, port("127.0.0.1", "TCP", 81), false),
        (&one, port("127.0.0.1", "UDP", 80), false),
        (&one, port("127.0.0.2", "TCP", 80), false),
        (&one, port("127.0.0.1", "TCP", 80), true),
        (&one, port("127.0.0.1", "", 80), true),
        (&one, port("0.0.0.0", "TCP", 80), true),
        (&one, port("", "TCP", 80), true),
        (&one, port("0.0.0.0", "UDP", 80), false),
        (&all, port("127.0.0.1", "TCP", 80), true),
        (&all, port("127.0.0.1", "UDP", 80), false),
        (&all, port("::1", "TCP", 80), true),
        (&one, port("::", "TCP", 80), false),
        (&port("", "SCTP", 80), port("", "SCTP", 80), true),
        (&port("", "SCTP", 80), port("", "TCP", 80), false),
    ] {
        assert_eq!(taken.conflicts(&asked), expected, "{taken:?} {asked:?}");
        assert_eq!(asked.conflicts(taken), expected, "the other way round");
    }
}

#[test]
fn host_ports_are_those_of_containers_and_sidecars() {
    let spec = r#"{
        "containers":[{"ports":[{"hostPort":1},{"hostPort":0},{"containerPort":9}]}],
        "initContainers":[
            {"ports":[{"hostPort":2}]},
            {"restartPolicy":"Always","ports":[{"hostPort":3}]}]}"#;
    let mut ports: Vec<i32> = (waiting(spec).shape.host_ports.iter())
        .map(|port| port.port)
        .collect();
    ports.sort_unstable();
    assert_eq!(ports, [1, 3]);
}

#[test]
fn resource_claims_are_seen() {
    for (spec, expected) in [
        ("{}", false),
        (r#"{"resourceClaims":[{"name":"a"}]}"#, true),
        (r#"{"resourceClaims":[]}"#, false),
    ] {
        assert_eq!(waiting(spec).shape.resource_claims, expected, "{spec}");
    }
}

#[test]
fn disks_that_nodes_cannot_share_are_seen() {
    for (volumes, expected) in [
        ("[]", false),
        (
            r#"[{"persistentVolumeClaim":{"claimName":"a"}},{"ephemeral":{}}]"#,
            false,
        ),
        (r#"[{"emptyDir":{}},{"configMap":{}},{"nfs":{}}]"#, false),
        (r#"[{"emptyDir":{}},{"gcePersistentDisk":{}}]"#, true),
        (r#"[{"awsElasticBlockStore":{}}]"#, true),
        (r#"[{"iscsi":{}}]"#, true),
        (r#"[{"rbd":{}}]"#, true),
    ] {
        let spec = format!(r#"{{"volumes":{volumes}}}"#);
        assert_eq!(waiting(&spec).shape.exclusive_disks, expected, "{volumes}");
    }
}

#[test]
fn what_matters_of_a_pod_is_read() {
    let pod = compiled(
        r#"{"metadata":{"name":"p","namespace":"ns","uid":"u","resourceVersion":"12","generation":3,
                "deletionTimestamp":"2026-01-01T00:00:00Z"},
            "spec":{"schedulerName":"berth","priority":7,"preemptionPolicy":"Never",
                "schedulingGates":[{"name":"g"},{"name":"h"}]},
            "status":{"nominatedNodeName":"n","conditions":[{"type":"Ready","status":"True"},
                {"type":"PodScheduled","status":"False","reason":"r","message":"m"}]}}"#,
    );
    assert_eq!(pod.reference.to_string(), "ns/p");
    assert_eq!((pod.version, pod.priority), (12, 7));
    assert!(pod.terminating && !pod.finished && pod.node.is_empty());
    let waiting = pod.waiting.unwrap();
    assert_eq!(&*waiting.gates, ["g".into(), "h".into()]);
    assert_eq!(&*waiting.nominated_node, "n");
    assert_eq!(
        (waiting.generation, waiting.never_preempts),
        (Some(3), true)
    );
    assert_eq!(&*waiting.condition.unwrap().message, "m");

    let bound = compiled(r#"{"spec":{"nodeName":"n"},"status":{"phase":"Failed"}}"#);
    assert!(bound.waiting.is_none() && bound.finished && bound.priority == 0);
}

#[test]
fn equal_asks_make_equal_shapes() {
    let one = waiting(
        r#"{"nodeSelector":{"a":"1","b":"2"},
            "containers":[{"name":"x","resources":{"requests":{"cpu":"1","memory":"1Gi"}}}]}"#,
    );
    let other = waiting(
        r#"{"nodeSelector":{"b":"2","a":"1"},
            "containers":[{"name":"y","resources":{"requests":{"memory":"1024Mi","cpu":"1000m"}}}]}"#,
    );
    assert_eq!(one.shape, other.shape);
}
