//! What kubectl shows of the demonstration's cluster.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use e2e::objects::{node, pod};
use e2e::pool::Lease;
use http::Request;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use crate::world::{Demo, ask};

/// The form in which kubectl wants to have what it shows.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// What `kubectl get` would show: the names of the columns, and the rows. Ages are left out, since the servers are not
/// asked at the same moment.
async fn table(client: &Client, path: &str) -> Result<Vec<Vec<String>>> {
    let request = Request::get(path)
        .header("Accept", TABLE)
        .body(Body::empty())?;
    let response = client.send(request).await?;
    let table: Value = serde_json::from_slice(&response.into_body().collect_bytes().await?)?;
    let columns = table["columnDefinitions"].as_array();
    let shown = |column: &Value| {
        let name = column["name"].as_str().unwrap_or_default();
        column["priority"] == 0 && !matches!(name, "Age" | "Last Seen")
    };
    let cells = |cells: Vec<&Value>| {
        let text = |cell: &&Value| {
            cell.as_str()
                .map_or_else(|| cell.to_string(), str::to_owned)
        };
        cells.iter().map(text).collect::<Vec<_>>()
    };
    let columns: Vec<&Value> = columns.into_iter().flatten().collect();
    let names = columns.iter().filter(|column| shown(column));
    let mut lines = vec![cells(names.map(|column| &column["name"]).collect())];
    for row in table["rows"].as_array().into_iter().flatten() {
        let row_cells = row["cells"].as_array().into_iter().flatten();
        let kept = row_cells.zip(&columns).filter(|(_, column)| shown(column));
        let mut line = cells(kept.map(|(cell, _)| cell).collect());
        // By the metadata kubectl finds namespaces and labels.
        line.push(row["object"]["metadata"]["name"].to_string());
        lines.push(line);
    }
    Ok(lines)
}

#[tokio::test]
async fn tables_are_those_of_the_real_server() -> Result<()> {
    let (lease, demo) = (Lease::take().await?, Demo::start().await?);
    let mut shown = Vec::new();
    for client in [&lease.client()?, &demo.client] {
        let mut unknown = serde_json::to_value(node("unknown").build()?)?;
        unknown["status"]["conditions"] = json!([]);
        let mut lost = serde_json::to_value(node("lost").build()?)?;
        lost["status"]["conditions"][0]["status"] = json!("Unknown");
        let event = json!({ "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": { "name": "e" }, "eventTime": "2026-01-01T00:00:00.000000Z",
            "type": "Warning", "reason": "FailedScheduling", "action": "Scheduling",
            "note": "0/4 nodes are available.", "reportingController": "x", "reportingInstance": "y",
            "regarding": { "kind": "Pod", "namespace": "default", "name": "waiting" } });
        let held = pod("held").metadata("finalizers", json!(["example.com/hold"]));
        let ready = node("ready").label("node-role.kubernetes.io/worker", "");
        for (path, object) in [
            ("/api/v1/nodes", serde_json::to_value(ready.build()?)?),
            (
                "/api/v1/nodes",
                serde_json::to_value(node("closed").unschedulable().build()?)?,
            ),
            ("/api/v1/nodes", unknown),
            ("/api/v1/nodes", lost),
            (
                "/api/v1/namespaces/default/pods",
                serde_json::to_value(pod("waiting").build()?)?,
            ),
            (
                "/api/v1/namespaces/default/pods",
                serde_json::to_value(pod("gated").gate("wait").build()?)?,
            ),
            (
                "/api/v1/namespaces/default/pods",
                serde_json::to_value(pod("placed").spec("nodeName", json!("ready")).build()?)?,
            ),
            (
                "/api/v1/namespaces/default/pods",
                serde_json::to_value(held.build()?)?,
            ),
            ("/apis/events.k8s.io/v1/namespaces/default/events", event),
        ] {
            let mut object = object;
            if path.ends_with("pods") {
                object["spec"]["schedulerName"] = json!("nobody");
            }
            let (code, answer) = ask(client, "POST", path, object).await?;
            ensure!(code == 201, "{answer}");
        }
        let held = "/api/v1/namespaces/default/pods/held";
        ask(client, "DELETE", held, Value::Null).await?;
        let mut tables = Vec::new();
        for path in [
            "/api/v1/nodes",
            "/api/v1/pods",
            "/api/v1/namespaces/default/pods/waiting",
            "/api/v1/namespaces/default/events",
            "/apis/events.k8s.io/v1/events",
        ] {
            tables.push(table(client, path).await?);
        }
        shown.push(tables);
        let patch = json!({ "metadata": { "finalizers": null } });
        ask(client, "PATCH merge", held, patch).await?;
    }
    assert_eq!(shown[1], shown[0]);
    assert_eq!(shown[0][1].len(), 5, "{:?}", shown[0][1]);
    Ok(())
}

/// Runs kubectl and returns what it says.
fn kubectl(lease: &Lease, demo: &Demo, arguments: &[&str], input: &Value) -> Result<String> {
    let mut process = Command::new(lease.binaries().kubectl())
        .args(arguments)
        .env("KUBECONFIG", &demo.kubeconfig)
        .env("HOME", demo.directory())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(stdin) = process.stdin.take() {
        serde_json::to_writer(stdin, input)?;
    }
    let output = process.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kubectl {arguments:?}: {said}");
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test]
async fn kubectl_works_as_it_comes() -> Result<()> {
    let (lease, demo) = (Lease::take().await?, Demo::start().await?);
    let node = serde_json::to_value(node("n1").build()?)?;
    let mut mine = serde_json::to_value(pod("mine").scheduler("berth").build()?)?;
    // A server keeps neither numbers nor what is empty, which is no change when it is applied again.
    mine["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": 1}, "limits": {}});
    let run = |arguments: &[&str], input: &Value| kubectl(&lease, &demo, arguments, input);
    assert_eq!(run(&["create", "-f", "-"], &node)?, "node/n1 created\n");
    assert_eq!(run(&["apply", "-f", "-"], &mine)?, "pod/mine created\n");
    let condition = [
        "wait",
        "--for=condition=PodScheduled",
        "pod/mine",
        "--timeout=30s",
    ];
    run(&condition, &Value::Null)?;
    mine["metadata"]["labels"]["team"] = json!("a");
    assert_eq!(run(&["apply", "-f", "-"], &mine)?, "pod/mine configured\n");
    let shown = run(
        &["get", "pods", "-o", "wide", "--show-labels"],
        &Value::Null,
    )?;
    let words: Vec<&str> = shown
        .lines()
        .nth(1)
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    assert_eq!(words[..4], ["mine", "0/1", "Pending", "0"], "{shown}");
    assert!(
        words.contains(&"n1") && words.contains(&"team=a"),
        "{shown}"
    );
    let described = run(&["describe", "pod", "mine"], &Value::Null)?;
    let assigned = "Successfully assigned default/mine to n1";
    assert!(described.trim_end().ends_with(assigned), "{described}");
    let deleted = run(&["delete", "pod", "mine", "--grace-period=1"], &Value::Null)?;
    assert!(deleted.starts_with("pod \"mine\" deleted"), "{deleted}");
    Ok(())
}
