//! Making, changing, binding and deleting objects.

use serde_json::{Value, json};

use super::*;

#[test]
fn a_new_pod_gets_what_it_lacks() {
    let mut cluster = Cluster::new();
    let mut sent = pod("a");
    sent["spec"]["containers"][0]["resources"] =
        json!({ "limits": { "cpu": 1, "memory": "1Gi" }, "requests": { "memory": "2Mi" } });
    sent["spec"]["priorityClassName"] = json!("system-node-critical");
    sent["status"] = json!({ "phase": "Running" });
    let made = cluster.create(sent).unwrap();
    assert_eq!(
        made["spec"]["containers"][0]["resources"],
        json!({ "limits": { "cpu": "1", "memory": "1Gi" },
            "requests": { "cpu": "1", "memory": "2Mi" } })
    );
    assert_eq!(made["spec"]["schedulerName"], "default-scheduler");
    assert_eq!(made["spec"]["priority"], 2_000_001_000);
    assert_eq!(made["status"], json!({ "phase": "Pending" }));
    assert_eq!(made["metadata"]["generation"], 1);
    assert_eq!(
        made["metadata"]["creationTimestamp"],
        "1970-01-01T00:00:00Z"
    );

    let mut generated = pod("");
    generated["metadata"] = json!({ "generateName": "web-" });
    let made = cluster.create(generated).unwrap();
    assert!(
        made["metadata"]["name"]
            .as_str()
            .unwrap()
            .starts_with("web-")
    );
}

#[test]
fn what_cannot_be_made_is_refused_in_kubernetes_words() {
    let mut cluster = Cluster::new();
    cluster.create(pod("a")).unwrap();
    let mut with_version = pod("b");
    with_version["metadata"]["resourceVersion"] = json!("7");
    let mut classless = pod("b");
    classless["spec"]["priorityClassName"] = json!("none");
    let mut node = pod("b");
    node["kind"] = json!("Node");
    for (sent, code, reason, message) in [
        (pod("a"), 409, "AlreadyExists", "pods \"a\" already exists"),
        (
            with_version,
            500,
            "",
            "resourceVersion should not be set on objects to be created",
        ),
        (
            classless,
            403,
            "Forbidden",
            "pods \"b\" is forbidden: no PriorityClass with name none was found",
        ),
        (
            pod("B_"),
            422,
            "Invalid",
            "Pod \"B_\" is invalid: metadata.name: Invalid value: \"B_\"",
        ),
        (
            pod(""),
            422,
            "Invalid",
            "Pod \"\" is invalid: metadata.name: Required value: name or generateName is required",
        ),
        (
            json!({ "metadata": { "name": "b" } }),
            422,
            "Invalid",
            "Pod \"b\" is invalid: spec.containers: Required value",
        ),
        (
            node,
            400,
            "BadRequest",
            "Node in version \"\" cannot be handled as a Pod",
        ),
    ] {
        let found = refused(cluster.create(sent));
        assert_eq!((found.0, found.1), (code, reason), "{}", found.2);
        assert!(found.2.starts_with(message), "{}", found.2);
    }
    let nowhere = Request::new(Verb::Create, pods(), "none", "").with_body(pod("b"));
    assert_eq!(
        refused(cluster.call(nowhere)).2,
        "namespaces \"none\" not found"
    );
}

#[test]
fn binding_has_rules() {
    let mut cluster = Cluster::new();
    let made = cluster.create(pod("a")).unwrap();
    let mut gated = pod("gated");
    gated["spec"]["schedulingGates"] = json!([{ "name": "g" }]);
    cluster.create(gated).unwrap();
    let nomination = json!({ "status": { "nominatedNodeName": "n9" } });
    cluster
        .patch(PatchType::Merge, Part::Status, "a", nomination)
        .unwrap();

    let conflict = |name: &str, why: &str| {
        let text = format!("Operation cannot be fulfilled on pods/binding \"{name}\": {why}");
        (409, "Conflict", text)
    };
    let missing = cluster.bind("none", "n", &json!({}));
    assert_eq!(
        refused(missing),
        (404, "NotFound", "pods \"none\" not found".to_owned())
    );
    assert_eq!(
        refused(cluster.bind("gated", "n", &json!({}))),
        conflict("gated", "pod gated has non-empty .spec.schedulingGates")
    );
    for wrong in [json!({ "uid": "other" }), json!({ "resourceVersion": "1" })] {
        let (code, _, text) = refused(cluster.bind("a", "n", &wrong));
        assert_eq!(code, 409);
        assert!(text.contains("Precondition failed"), "{text}");
    }
    let uid = made["metadata"]["uid"].clone();
    let done = cluster.bind(
        "a",
        "n",
        &json!({ "uid": uid, "annotations": { "k": "v" } }),
    );
    assert_eq!(done.unwrap()["status"], "Success");
    let bound = cluster.get("a").unwrap();
    assert_eq!(bound["spec"]["nodeName"], "n");
    assert_eq!(bound["metadata"]["generation"], 1);
    assert_eq!(bound["metadata"]["annotations"], json!({ "k": "v" }));
    assert_eq!(bound["status"]["nominatedNodeName"], Value::Null);
    assert_eq!(bound["status"]["conditions"][0]["status"], "True");
    assert_eq!(
        refused(cluster.bind("a", "m", &json!({}))),
        conflict("a", "pod a is already assigned to node \"n\"")
    );
    cluster.delete("a", None).unwrap();
    assert_eq!(
        refused(cluster.bind("a", "m", &json!({}))),
        conflict("a", "pod a is being deleted, cannot be assigned to a host")
    );
}

#[test]
fn pods_end_with_grace_and_after_their_finalizers() {
    let mut cluster = Cluster::new();
    cluster.create(pod("unbound")).unwrap();
    cluster.delete("unbound", None).unwrap();
    assert!(cluster.get("unbound").is_err());

    for name in ["bound", "now"] {
        cluster.create(pod(name)).unwrap();
        cluster.bind(name, "n", &json!({})).unwrap();
    }
    let deleting = cluster.delete("bound", Some(10)).unwrap();
    assert_eq!(
        deleting["metadata"]["deletionTimestamp"],
        "1970-01-01T00:00:10Z"
    );
    cluster.1 = 9;
    assert!(cluster.get("bound").is_ok());
    cluster.1 = 10;
    assert!(cluster.get("bound").is_err());
    cluster.delete("now", Some(0)).unwrap();
    assert!(cluster.get("now").is_err());

    let mut held = pod("held");
    held["metadata"]["finalizers"] = json!(["x/y"]);
    cluster.create(held).unwrap();
    cluster.delete("held", None).unwrap();
    assert!(cluster.get("held").is_ok());
    let free = json!({ "metadata": { "finalizers": null } });
    cluster
        .patch(PatchType::Merge, Part::Whole, "held", free)
        .unwrap();
    assert!(cluster.get("held").is_err());
}

#[test]
fn a_new_budget_allows_nothing() {
    let kind = find("policy", "v1", "poddisruptionbudgets").unwrap();
    let budget = json!({ "metadata": { "name": "b" }, "status": { "disruptionsAllowed": 3 } });
    let create = Request::new(Verb::Create, kind, "default", "").with_body(budget);
    let made = Cluster::new().call(create).unwrap();
    assert_eq!(made["status"]["disruptionsAllowed"], 0);
}

#[test]
fn status_and_spec_are_written_apart() {
    let mut cluster = Cluster::new();
    cluster.create(pod("a")).unwrap();
    let both = json!({ "metadata": { "labels": { "l": "1" } },
        "spec": { "tolerations": [{ "key": "t" }] }, "status": { "phase": "Running" } });
    let whole = cluster
        .patch(PatchType::Merge, Part::Whole, "a", both.clone())
        .unwrap();
    assert_eq!(whole["status"]["phase"], "Pending");
    assert_eq!(whole["metadata"]["generation"], 2);
    let status = json!({ "spec": { "tolerations": null }, "status": { "phase": "Running" } });
    let status = cluster
        .patch(PatchType::Merge, Part::Status, "a", status)
        .unwrap();
    assert_eq!(status["status"]["phase"], "Running");
    assert_eq!(status["spec"]["tolerations"], json!([{ "key": "t" }]));
    assert_eq!(status["metadata"]["generation"], 2);
    let version = cluster.0.version();
    cluster
        .patch(PatchType::Merge, Part::Whole, "a", both)
        .unwrap();
    assert_eq!(
        cluster.0.version(),
        version,
        "what changes nothing is no change"
    );
    let node = json!({ "spec": { "nodeName": "n" } });
    let (code, reason, _) = refused(cluster.patch(PatchType::Merge, Part::Whole, "a", node));
    assert_eq!((code, reason), (422, "Invalid"));
}

#[test]
fn old_versions_and_other_uids_are_conflicts() {
    let mut cluster = Cluster::new();
    let mut old = cluster.create(pod("a")).unwrap();
    let label = json!({ "metadata": { "labels": { "l": "1" } } });
    cluster
        .patch(PatchType::Merge, Part::Whole, "a", label)
        .unwrap();
    let put = |object: &Value| {
        Request::new(Verb::Update, pods(), "default", "a").with_body(object.clone())
    };
    let (code, _, text) = refused(cluster.call(put(&old)));
    assert_eq!(code, 409);
    assert!(text.contains("the object has been modified"), "{text}");
    old["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("resourceVersion");
    cluster.call(put(&old)).unwrap();
    let other = json!({ "metadata": { "uid": "other" } });
    let (code, _, text) = refused(cluster.patch(PatchType::Strategic, Part::Status, "a", other));
    assert_eq!(code, 422);
    assert!(text.ends_with("field is immutable"), "{text}");
}

#[test]
fn strategic_patches_merge_by_key() {
    let held = json!({ "conditions": [{ "type": "Ready", "status": "True", "message": "m" }],
        "taints": [{ "key": "a" }], "finalizers": ["x"] });
    for (patch, expected) in [
        (
            json!({ "conditions": [{ "type": "Disk", "status": "True" },
                { "type": "Ready", "status": "False" }] }),
            json!({ "conditions": [{ "type": "Disk", "status": "True" },
                { "type": "Ready", "status": "False", "message": "m" }],
                "taints": [{ "key": "a" }], "finalizers": ["x"] }),
        ),
        (
            json!({ "taints": [{ "key": "b" }], "conditions": [{ "type": "Ready", "$patch": "delete" }] }),
            json!({ "conditions": [], "taints": [{ "key": "b" }], "finalizers": ["x"] }),
        ),
        (
            json!({ "finalizers": ["y"], "taints": null, "$retainKeys": ["finalizers"] }),
            json!({ "finalizers": ["y", "x"] }),
        ),
        (
            json!({ "$deleteFromPrimitiveList/finalizers": ["x"], "taints": null, "conditions": null }),
            json!({ "finalizers": [] }),
        ),
        (json!({ "$patch": "replace", "a": 1 }), json!({ "a": 1 })),
    ] {
        let mut value = held.clone();
        patch::apply(PatchType::Strategic, &mut value, &patch);
        assert_eq!(value, expected, "{patch}");
    }
}

#[test]
fn events_are_one_set_in_two_forms() {
    let mut cluster = Cluster::new();
    let (new, old) = (
        find("events.k8s.io", "v1", "events"),
        find("", "v1", "events"),
    );
    let (new, old) = (new.unwrap(), old.unwrap());
    let event = json!({ "metadata": { "name": "e" }, "note": "n",
        "regarding": { "name": "a" }, "reportingController": "x" });
    let create = Request::new(Verb::Create, new, "default", "").with_body(event);
    cluster.call(create).unwrap();
    let mut list = Request::new(Verb::List, old, "default", "");
    list.list.fields = "involvedObject.name=a,source=".to_owned();
    let shown = cluster.call(list).unwrap()["items"][0].clone();
    assert_eq!(shown["apiVersion"], "v1");
    assert_eq!(shown["message"], "n");
    assert_eq!(shown["involvedObject"]["name"], "a");
    assert_eq!(shown["reportingComponent"], "x");
    let delete = Request::new(Verb::Delete, old, "default", "e");
    assert_eq!(cluster.call(delete).unwrap()["status"], "Success");
    assert_eq!(cluster.0.count(new), 0);
}
