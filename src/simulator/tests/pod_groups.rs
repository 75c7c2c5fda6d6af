//! Groups of pods, whose kinds come and go.

use super::*;

fn group_kinds() -> Vec<&'static Kind> {
    KINDS
        .iter()
        .filter(|kind| kind.plural == "podgroups")
        .collect()
}

#[test]
fn an_optional_kind_is_there_once_it_is_served() {
    for kind in group_kinds() {
        let mut cluster = Cluster::new();
        let now = cluster.now();
        let create = || {
            let body = json!({ "metadata": { "name": "g" } });
            Request::new(Verb::Create, kind, "default", "").with_body(body)
        };
        assert_eq!(refused(cluster.call(create())).0, 404);
        let begun = cluster.0.watch(kind, "", &WatchOptions::default(), now);
        assert_eq!(begun.unwrap_err().code, 404);
        for _ in 0..2 {
            cluster.0.serve(kind, true);
            cluster.call(create()).unwrap();
            let options = WatchOptions::default();
            let mut watch = cluster.0.watch(kind, "", &options, now).unwrap();
            assert_eq!(cluster.lines(&mut watch), ["ADDED g"]);
            cluster.0.serve(kind, false);
            assert_eq!(cluster.lines(&mut watch), ["DELETED g"]);
            assert!(watch.ended());
            let listed = cluster.call(Request::new(Verb::List, kind, "", ""));
            assert_eq!(refused(listed).0, 404);
        }
    }
}

#[test]
fn a_status_is_written_where_the_kind_has_it() {
    for kind in group_kinds() {
        let mut cluster = Cluster::new();
        cluster.0.serve(kind, true);
        let status = json!({ "phase": "Running" });
        let body = json!({ "metadata": { "name": "g" }, "status": status });
        let create = Request::new(Verb::Create, kind, "default", "").with_body(body);
        let made = cluster.call(create).unwrap();
        assert_eq!(made.get("status").is_some(), !kind.status, "{kind:?}");
        let patch = |part| {
            let patch = Verb::Patch(PatchType::Merge);
            let request = Request::new(patch, kind, "default", "g").of(part);
            request.with_body(json!({ "status": { "phase": "Pending" } }))
        };
        let whole = cluster.call(patch(Part::Whole)).unwrap();
        let phase = (!kind.status).then_some("Pending");
        assert_eq!(whole["status"]["phase"].as_str(), phase, "{kind:?}");
        if kind.status {
            let patched = cluster.call(patch(Part::Status)).unwrap();
            assert_eq!(patched["status"]["phase"], "Pending", "{kind:?}");
            assert_eq!(patched["metadata"]["generation"], 1, "{kind:?}");
        }
    }
}

/// Source: `k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go`.
#[test]
fn custom_resources_know_no_strategic_merge() {
    for kind in group_kinds() {
        let mut cluster = Cluster::new();
        cluster.0.serve(kind, true);
        let body = json!({ "metadata": { "name": "g" } });
        let create = Request::new(Verb::Create, kind, "default", "").with_body(body);
        cluster.call(create).unwrap();
        let patch = Verb::Patch(PatchType::Strategic);
        let patched = Request::new(patch, kind, "default", "g").with_body(json!({}));
        let code = cluster.call(patched).map_err(|status| status.code);
        assert_eq!(code.err(), kind.custom.then_some(415), "{kind:?}");
    }
}

/// Source: `plugin/pkg/admission/priority/admission.go`.
#[test]
fn the_priority_of_a_group_is_that_of_its_class() {
    let kind = find("scheduling.k8s.io", "v1beta1", "podgroups").unwrap();
    let mut cluster = Cluster::new();
    cluster.0.serve(kind, true);
    let mut made = |spec: Value| {
        let body = json!({ "metadata": { "generateName": "g" }, "spec": spec });
        cluster.call(Request::new(Verb::Create, kind, "default", "").with_body(body))
    };
    let single = json!({ "single": {} });
    assert_eq!(
        made(json!({ "schedulingPolicy": { "basic": {} } })).unwrap()["spec"],
        json!({ "schedulingPolicy": { "basic": {} }, "priority": 0, "disruptionMode": single })
    );
    let class = "system-node-critical";
    assert_eq!(
        made(json!({ "priorityClassName": class, "disruptionMode": { "all": {} } })).unwrap()["spec"],
        json!({
            "priority": 2_000_001_000, "priorityClassName": class, "disruptionMode": { "all": {} },
        })
    );
    let (code, reason, text) = refused(made(json!({ "priority": 5 })));
    assert_eq!((code, reason), (403, "Forbidden"));
    let why = "priority set in the pod group (5) must match the priority computed (0)";
    assert!(text.contains(why), "{text}");
}
