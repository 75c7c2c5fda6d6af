//! One case for each rule of the server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod kinds;

use serde_json::{Value, json};

use super::*;
use crate::model::Time;

struct Cluster(ApiServer, u64);

fn pods() -> &'static Kind {
    find("", "v1", "pods").unwrap()
}

impl Cluster {
    fn new() -> Self {
        Self(ApiServer::new(Config::default()), 0)
    }

    fn now(&self) -> Time {
        Time::from_secs(self.1)
    }

    fn call(&mut self, request: Request) -> Result<Value, Status> {
        let now = self.now();
        let reply = self.0.call(&request, now).reply()?;
        Ok(match reply.body {
            Body::Object(object) => object.value().clone(),
            Body::List(list) => serde_json::from_str(&list.text()).unwrap(),
            Body::Value(value) => value,
        })
    }

    fn create(&mut self, pod: Value) -> Result<Value, Status> {
        self.call(Request::new(Verb::Create, pods(), "default", "").with_body(pod))
    }

    fn get(&mut self, name: &str) -> Result<Value, Status> {
        self.call(Request::new(Verb::Get, pods(), "default", name))
    }

    fn bind(&mut self, name: &str, node: &str, metadata: &Value) -> Result<Value, Status> {
        let mut body = json!({ "metadata": { "name": name }, "target": { "name": node } });
        for (key, value) in metadata.as_object().unwrap() {
            body["metadata"][key] = value.clone();
        }
        self.call(
            Request::new(Verb::Create, pods(), "default", name)
                .of(Part::Binding)
                .with_body(body),
        )
    }

    fn patch(
        &mut self,
        how: PatchType,
        part: Part,
        name: &str,
        body: Value,
    ) -> Result<Value, Status> {
        let request = Request::new(Verb::Patch(how), pods(), "default", name);
        self.call(request.of(part).with_body(body))
    }

    fn delete(&mut self, name: &str, grace: Option<u64>) -> Result<Value, Status> {
        let mut request = Request::new(Verb::Delete, pods(), "default", name);
        request.delete.grace = grace;
        self.call(request)
    }

    fn watch(&mut self, options: &WatchOptions) -> Watch {
        let now = self.now();
        self.0.watch(pods(), "default", options, now).unwrap()
    }

    fn lines(&mut self, watch: &mut Watch) -> Vec<String> {
        let now = self.now();
        let frames = self.0.poll(watch, now, 100);
        let lines = frames.iter().map(|frame| match frame {
            Frame::Event(word, object) => {
                format!(
                    "{word} {}",
                    object.value()["metadata"]["name"].as_str().unwrap()
                )
            }
            Frame::Bookmark { initial, .. } => format!("BOOKMARK {initial}"),
            Frame::Error(status) => format!("ERROR {} {}", status.code, status.reason),
        });
        lines.collect()
    }
}

fn pod(name: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": { "containers": [{ "name": "c", "image": "i" }] },
    })
}

fn refused(result: Result<Value, Status>) -> (u16, &'static str, String) {
    let status = result.unwrap_err();
    (status.code, status.reason, status.message)
}

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
fn lists_are_selected_and_paged_at_one_version() {
    let mut cluster = Cluster::new();
    for name in ["a", "b", "c"] {
        let mut new = pod(name);
        new["metadata"]["labels"] = json!({ "app": name });
        cluster.create(new).unwrap();
    }
    cluster.bind("b", "n", &json!({})).unwrap();
    let mut list = |labels: &str, fields: &str| {
        let mut request = Request::new(Verb::List, pods(), "", "");
        request.list.labels = labels.to_owned();
        request.list.fields = fields.to_owned();
        let names = cluster.call(request).map(|list| {
            let items = list["items"].as_array().unwrap().iter();
            let names = items.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned());
            names.collect::<String>()
        });
        names.map_err(|status| status.message)
    };
    for (labels, fields, expected) in [
        ("", "", "abc"),
        ("app=a", "", "a"),
        ("app!=a", "", "bc"),
        ("app in (a, c)", "", "ac"),
        ("app notin (a),app", "", "bc"),
        ("!app", "", ""),
        ("", "spec.nodeName=", "ac"),
        ("", "spec.nodeName=n", "b"),
        ("", "status.phase!=Failed,metadata.name=c", "c"),
    ] {
        assert_eq!(list(labels, fields).unwrap(), expected, "{labels} {fields}");
    }
    assert_eq!(
        list("", "spec.foo=1").unwrap_err(),
        "field label not supported: spec.foo"
    );

    let mut page = Request::new(Verb::List, pods(), "default", "");
    page.list.limit = 2;
    let first = cluster.call(page.clone()).unwrap();
    assert_eq!(first["metadata"]["remainingItemCount"], 1);
    cluster.delete("c", None).unwrap();
    page.list.continue_token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    let second = cluster.call(page.clone()).unwrap();
    assert_eq!(second["items"][0]["metadata"]["name"], "c");
    assert_eq!(
        second["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    let version = cluster.0.version();
    cluster.0.compact(pods(), version);
    let (code, reason, _) = refused(cluster.call(page));
    assert_eq!((code, reason), (410, "Expired"));
}

#[test]
fn watches_tell_what_a_selector_sees() {
    let mut cluster = Cluster::new();
    cluster.create(pod("a")).unwrap();
    let mut watch = cluster.watch(&WatchOptions {
        fields: "spec.nodeName=".to_owned(),
        send_initial_events: Some(true),
        version_match: "NotOlderThan".to_owned(),
        bookmarks: true,
        ..WatchOptions::default()
    });
    assert_eq!(cluster.lines(&mut watch), ["ADDED a", "BOOKMARK true"]);
    cluster.create(pod("b")).unwrap();
    cluster.bind("a", "n", &json!({})).unwrap();
    cluster.delete("b", None).unwrap();
    assert_eq!(
        cluster.lines(&mut watch),
        ["ADDED b", "DELETED a", "DELETED b"]
    );
    assert!(cluster.lines(&mut watch).is_empty());
    cluster.1 = 60;
    assert_eq!(cluster.lines(&mut watch), ["BOOKMARK false"]);

    let version = cluster.0.version();
    cluster.create(pod("c")).unwrap();
    cluster.create(pod("d")).unwrap();
    let since = |version: u64| WatchOptions {
        version: version.to_string(),
        ..WatchOptions::default()
    };
    let mut watch = cluster.watch(&since(version));
    assert_eq!(cluster.lines(&mut watch), ["ADDED c", "ADDED d"]);
    cluster.0.compact(pods(), version + 1);
    let mut watch = cluster.watch(&since(version));
    assert_eq!(cluster.lines(&mut watch), ["ERROR 410 Expired"]);
    assert!(watch.ended());
    cluster
        .0
        .plan_fault(Verb::List, pods(), Fault::GoneAsStatus);
    let now = cluster.now();
    let gone = cluster.0.watch(pods(), "", &since(version), now);
    assert_eq!(gone.unwrap_err().code, 410);
}

#[test]
fn faults_happen_as_planned_and_as_drawn() {
    let mut cluster = Cluster::new();
    cluster.0.plan_fault(Verb::Create, pods(), Fault::LostReply);
    cluster
        .0
        .plan_fault(Verb::Create, pods(), Fault::TooManyRequests);
    cluster.0.plan_fault(Verb::Create, pods(), Fault::Timeout);
    assert_eq!(cluster.create(pod("a")).unwrap_err().code, 0);
    assert!(cluster.get("a").is_ok(), "it was carried out");
    let busy = cluster.create(pod("b")).unwrap_err();
    assert_eq!((busy.code, busy.retry_after), (429, Some(1)));
    assert!(cluster.get("b").is_err());
    assert_eq!(cluster.create(pod("b")).unwrap_err().code, 504);
    assert!(cluster.get("b").is_ok());

    cluster.0.plan_fault(Verb::List, pods(), Fault::Stale(1));
    let stale = cluster
        .call(Request::new(Verb::List, pods(), "", ""))
        .unwrap();
    assert_eq!(stale["items"].as_array().unwrap().len(), 1);

    let mut watch = cluster.watch(&WatchOptions::default());
    assert_eq!(cluster.lines(&mut watch), ["ADDED a", "ADDED b"]);
    cluster.0.set_fault_rates(FaultRates {
        delayed_watch: 1000,
        delay: std::time::Duration::from_secs(5),
        ..FaultRates::default()
    });
    cluster.create(pod("c")).unwrap();
    assert!(cluster.lines(&mut watch).is_empty());
    cluster.0.set_fault_rates(FaultRates::default());
    cluster.1 += 4;
    assert!(cluster.lines(&mut watch).is_empty());
    cluster.1 += 1;
    assert_eq!(cluster.lines(&mut watch), ["ADDED c"]);
    cluster.0.cut_watches(1);
    cluster.create(pod("d")).unwrap();
    assert!(cluster.lines(&mut watch).is_empty());
    assert!(watch.ended());

    let history = |seed: u64| {
        let mut cluster = Cluster(
            ApiServer::new(Config {
                seed,
                ..Config::default()
            }),
            0,
        );
        cluster.0.set_fault_rates(FaultRates {
            internal_error: 300,
            ..FaultRates::default()
        });
        (0..40)
            .map(|index| cluster.create(pod(&format!("p{index}"))).is_ok())
            .collect::<Vec<_>>()
    };
    assert_eq!(history(1), history(1));
    assert_ne!(history(1), history(2));
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
