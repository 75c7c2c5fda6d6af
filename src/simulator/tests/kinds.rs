//! Services and controllers, by which pods are spread.

use super::*;

#[test]
fn services_and_controllers_live_as_other_objects_do() {
    for (group, plural, selector) in [
        ("", "services", json!({ "app": "web" })),
        ("", "replicationcontrollers", json!({ "app": "web" })),
        (
            "apps",
            "replicasets",
            json!({ "matchLabels": { "app": "web" } }),
        ),
        (
            "apps",
            "statefulsets",
            json!({ "matchLabels": { "app": "web" } }),
        ),
    ] {
        let kind = find(group, "v1", plural).expect(plural);
        let mut cluster = Cluster::new();
        let mut watch = (cluster.0)
            .watch(kind, "", &WatchOptions::default(), cluster.now())
            .unwrap();
        let request = |verb, name| Request::new(verb, kind, "default", name);
        let body = json!({
            "apiVersion": kind.api_version(), "kind": kind.kind,
            "metadata": { "name": "web" }, "spec": { "selector": selector },
        });
        let made = cluster.call(request(Verb::Create, "").with_body(body));
        let mut made = made.unwrap();
        assert_eq!(made["spec"]["selector"], selector);
        made["metadata"]["labels"] = json!({ "a": "b" });
        let updated = cluster.call(request(Verb::Update, "web").with_body(made));
        assert_eq!(updated.unwrap()["metadata"]["labels"]["a"], "b");
        let patch = json!({ "spec": { "selector": null } });
        let patched = cluster.call(request(Verb::Patch(PatchType::Merge), "web").with_body(patch));
        assert!(patched.unwrap()["spec"].get("selector").is_none());
        let listed = cluster
            .call(Request::new(Verb::List, kind, "", ""))
            .unwrap();
        assert_eq!(listed["items"][0]["metadata"]["name"], "web");
        cluster.call(request(Verb::Delete, "web")).unwrap();
        let lines = ["ADDED web", "MODIFIED web", "MODIFIED web", "DELETED web"];
        assert_eq!(cluster.lines(&mut watch), lines, "{plural}");
    }
}

#[test]
fn a_replication_controller_selects_what_it_makes() {
    let kind = find("", "v1", "replicationcontrollers").unwrap();
    let template = json!({ "metadata": { "labels": { "app": "web" } } });
    let own = json!({ "app": "own" });
    for (name, spec, expected) in [
        (
            "none",
            json!({ "template": template }),
            &template["metadata"]["labels"],
        ),
        (
            "empty",
            json!({ "template": template, "selector": {} }),
            &template["metadata"]["labels"],
        ),
        (
            "own",
            json!({ "template": template, "selector": own }),
            &own,
        ),
        ("bare", json!({ "replicas": 1 }), &Value::Null),
    ] {
        let body = json!({ "metadata": { "name": name }, "spec": spec });
        let request = Request::new(Verb::Create, kind, "default", "").with_body(body);
        let made = Cluster::new().call(request).unwrap();
        assert_eq!(
            made["spec"].get("selector").unwrap_or(&Value::Null),
            expected,
            "{name}"
        );
    }
}
