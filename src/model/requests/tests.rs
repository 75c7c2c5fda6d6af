#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod vectors;

use super::*;

/// Amounts as text: what is zero is left out, except scalars, whose presence counts.
fn text(requests: &Requests) -> String {
    let mut parts = Vec::new();
    for (name, amount) in [
        ("cpu", requests.cpu),
        ("memory", requests.memory),
        ("ephemeral-storage", requests.ephemeral_storage),
    ] {
        if amount != 0 {
            parts.push(format!("{name}={amount}"));
        }
    }
    for (name, amount) in &requests.scalars {
        parts.push(format!("{name}={amount}"));
    }
    parts.sort();
    parts.join(" ")
}

fn pod(json: &str) -> api::Pod {
    serde_json::from_str(json).unwrap()
}

#[test]
fn totals_are_those_of_component_helpers() {
    for &(name, json, wanted, scored, held, (cpu, memory)) in vectors::PODS {
        let requests = PodRequests::compile(&pod(json)).unwrap();
        assert_eq!(text(&requests.wanted), wanted, "wanted of {name}: {json}");
        assert_eq!(text(&requests.scored), scored, "scored of {name}: {json}");
        assert_eq!(text(&requests.held), held, "held by {name}: {json}");
        let nonzero = (requests.held_nonzero_cpu, requests.held_nonzero_memory);
        assert_eq!(nonzero, (cpu, memory), "nonzero of {name}: {json}");
    }
}

#[test]
fn parts_are_added_before_they_are_rounded() {
    let json = r#"{"spec":{"containers":[
        {"resources":{"requests":{"cpu":"500u","memory":"100m"}}},
        {"resources":{"requests":{"cpu":"500u","memory":"900m"}}}]}}"#;
    let requests = PodRequests::compile(&pod(json)).unwrap();
    assert_eq!(text(&requests.wanted), "cpu=1 memory=1");
}

#[test]
fn an_unreadable_quantity_is_named() {
    let check = |json: &str, path: &str, resource: &str| {
        let CompileError::Quantity {
            path: at,
            resource: of,
            ..
        } = PodRequests::compile(&pod(json)).unwrap_err();
        assert_eq!((&*at, &*of), (path, resource));
    };
    check(
        r#"{"spec":{"containers":[{},{"resources":{"requests":{"cpu":"1x"}}}]}}"#,
        "spec.containers[1].resources.requests",
        "cpu",
    );
    check(
        r#"{"spec":{"initContainers":[{"resources":{"requests":{"memory":""}}}]}}"#,
        "spec.initContainers[0].resources.requests",
        "memory",
    );
    check(
        r#"{"spec":{"overhead":{"cpu":"?"}}}"#,
        "spec.overhead",
        "cpu",
    );
    check(
        r#"{"spec":{"resources":{"requests":{"cpu":"?"}}}}"#,
        "spec.resources.requests",
        "cpu",
    );
    check(
        r#"{"spec":{"containers":[{"name":"a"}]},
            "status":{"containerStatuses":[{"name":"a","allocatedResources":{"cpu":"?"}}]}}"#,
        "spec.containers[0].status.allocatedResources",
        "cpu",
    );
}

#[test]
fn resources_are_classed_by_their_names() {
    // Name, whether it is extended, whether it is counted as a scalar.
    let long = "x".repeat(63);
    let longest = format!("example.com/{long}");
    let too_long = format!("example.com/{long}x");
    let table: &[(&str, bool, bool)] = &[
        ("cpu", false, false),
        ("memory", false, false),
        ("pods", false, false),
        ("gpu", false, false),
        ("nvidia.com/gpu", true, true),
        ("a/b", true, true),
        ("example.com/A.b_c-d", true, true),
        ("kubernetes.io/something", false, true),
        ("mykubernetes.io/something", false, true),
        ("batch.kubernetes.io/x", false, true),
        ("hugepages-2Mi", false, true),
        ("hugepages-", false, true),
        ("attachable-volumes-aws-ebs", false, true),
        ("requests.nvidia.com/gpu", false, false),
        ("example.com/", false, false),
        ("/gpu", false, false),
        ("example.com/a/b", false, false),
        ("Example.com/gpu", false, false),
        ("example..com/gpu", false, false),
        ("-example.com/gpu", false, false),
        ("example.com/-gpu", false, false),
        ("example.com/gpu_", false, false),
        ("example.com/g pu", false, false),
        (&longest, true, true),
        (&too_long, false, false),
    ];
    for &(name, extended, scalar) in table {
        assert_eq!(is_extended_resource(name), extended, "{name} extended");
        assert_eq!(is_scalar_resource(name), scalar, "{name} scalar");
    }
    // `requests.` is put in front, and the whole prefix may have 253 characters.
    let domain = |length: usize| format!("{}/gpu", "d".repeat(length));
    assert!(is_extended_resource(&domain(253 - 9)));
    assert!(!is_extended_resource(&domain(253 - 8)));
}
