//! An API server, the real one or that of the demonstration, and how to ask it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use e2e::controlplane::berth_binary;
use e2e::controlplane::process::{Process, TempDir};
use http::Request;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;

/// How long the demonstration may take until it serves, and any request.
const LIMIT: Duration = Duration::from_secs(30);

/// `berth demo --serve` with nothing left in it.
pub struct Demo {
    pub client: Client,
    // The process ends before its directory goes.
    _process: Process,
    _directory: TempDir,
}

impl Demo {
    pub async fn start() -> Result<Self> {
        let directory = TempDir::new()?;
        let arguments = [
            "demo", "--nodes", "12", "--pods", "1", "--over", "0", "--serve",
        ];
        let log = directory.path().join("demo.log");
        let mut process = Process::start("berth demo", &berth_binary()?, arguments, &log)?;
        let start = Instant::now();
        let path = loop {
            let output = process.output();
            let path = output
                .split_once("export KUBECONFIG=")
                .and_then(|(_, rest)| Some(rest.split_once('\n')?.0.to_owned()));
            if let Some(path) = path {
                break path;
            }
            if start.elapsed() > LIMIT || process.try_wait()?.is_some() {
                bail!("berth demo does not serve:\n{output}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let kubeconfig = Kubeconfig::read_from(path)?;
        let config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config)?;
        for collection in [
            "/api/v1/namespaces/default/pods?gracePeriodSeconds=0",
            "/api/v1/nodes",
            "/api/v1/namespaces/default/events",
        ] {
            ask(&client, "DELETE", collection, Value::Null).await?;
        }
        Ok(Self {
            client,
            _process: process,
            _directory: directory,
        })
    }
}

/// Sends a request. Patches name their kind with the method, as in `PATCH merge`.
pub async fn ask(client: &Client, method: &str, path: &str, body: Value) -> Result<(u16, Value)> {
    let (method, kind) = method.split_once(' ').unwrap_or((method, ""));
    let content_type = match kind {
        "" => "application/json".to_owned(),
        kind => format!("application/{kind}-patch+json"),
    };
    let body = match body {
        Value::Null => Vec::new(),
        body => serde_json::to_vec(&body)?,
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("Content-Type", content_type)
        .header("Accept", "application/json")
        .body(Body::from(body))?;
    let answer = async {
        let response = client.send(request).await?;
        let code = response.status().as_u16();
        anyhow::Ok((code, response.into_body().collect_bytes().await?))
    };
    let (code, bytes) = tokio::time::timeout(LIMIT, answer)
        .await
        .with_context(|| format!("{method} {path} has no answer in {LIMIT:?}"))??;
    // A watch has several lines.
    let lines = serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>();
    let mut lines: Vec<Value> = lines
        .collect::<Result<_, _>>()
        .with_context(|| format!("{method} {path}: {}", String::from_utf8_lossy(&bytes)))?;
    Ok(match lines.len() {
        1 => (code, lines.remove(0)),
        _ => (code, Value::Array(lines)),
    })
}
