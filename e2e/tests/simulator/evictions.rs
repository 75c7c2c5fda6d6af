//! The requests of an eviction, to both servers.

use anyhow::Result;
use e2e::pool::Lease;
use serde_json::{Value, json};

use crate::requests::{PODS, comparable, merge, pod, with};
use crate::world::{Demo, ask};

/// Evictions as Berth carries them out, with the uid that the pod has on each server: placed pods with and without a
/// finalizer, one that ends already, one that waits, and one that came under the name of another.
#[tokio::test]
async fn both_servers_evict_alike() -> Result<()> {
    let lease = Lease::take().await?;
    let (real, demo) = (lease.client()?, Demo::start().await?);
    let mut told = Vec::new();
    for client in [&real, &demo.client] {
        let mut answers = Vec::new();
        let mut ask = async |method: &str, path: String, body: Value| {
            let (code, answer) = ask(client, method, &path, body).await?;
            let uid = answer["metadata"]["uid"].clone();
            answers.push((format!("{method} {path}"), code, comparable(answer)));
            anyhow::Ok(uid)
        };
        let long = |rest: Value| {
            let mut spec = json!({ "terminationGracePeriodSeconds": 600 });
            merge(&mut spec, rest);
            spec
        };
        let placed = || long(json!({ "nodeName": "n1" }));
        for (name, spec, finalizers, again) in [
            ("placed", placed(), json!([]), false),
            ("held", placed(), json!(["x.io/y"]), false),
            ("waiting", long(json!({})), json!([]), false),
            ("anew", long(json!({})), json!([]), true),
        ] {
            let made = with(pod(name, spec), json!({ "finalizers": finalizers }));
            let one = format!("{PODS}/{name}");
            let uid = ask("POST", PODS.into(), made.clone()).await?;
            if again {
                let now = json!({ "gracePeriodSeconds": 0 });
                ask("DELETE", one.clone(), now).await?;
                ask("POST", PODS.into(), made).await?;
            }
            // The second time the pod ends already, or is gone.
            for message in ["first", "second"] {
                let marked = json!({ "metadata": { "uid": uid }, "status": { "conditions": [{
                    "type": "DisruptionTarget", "status": "True",
                    "reason": "PreemptionByScheduler", "message": message,
                    "lastProbeTime": null, "lastTransitionTime": "2026-01-01T00:00:00Z",
                    "observedGeneration": 1,
                }] } });
                ask("PATCH strategic-merge", format!("{one}/status"), marked).await?;
                let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions",
                    "preconditions": { "uid": uid } });
                ask("DELETE", one.clone(), options).await?;
                ask("GET", one.clone(), Value::Null).await?;
            }
            ask("DELETE", one.clone(), json!({ "gracePeriodSeconds": 0 })).await?;
            let free = json!({ "metadata": { "finalizers": null } });
            ask("PATCH merge", one.clone(), free).await?;
            ask("GET", one, Value::Null).await?;
        }
        told.push(answers);
    }
    for (real, demo) in told[0].iter().zip(&told[1]) {
        assert_eq!(demo, real);
    }
    assert_eq!(told[0].len(), told[1].len());
    Ok(())
}
