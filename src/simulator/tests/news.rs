//! Lists and watches.

use serde_json::json;

use super::*;

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
