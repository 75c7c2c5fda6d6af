//! The ways to have pods scheduled other than by a cluster: the demonstration and the simulation.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::controlplane::berth_binary;
use e2e::controlplane::process::{Process, TempDir};
use e2e::harness::metric;
use http::Request;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

/// How long the demonstration may take until it serves, and any request.
pub const LIMIT: Duration = Duration::from_secs(30);

/// How often something is looked at that is waited for.
pub const POLL: Duration = Duration::from_millis(20);

/// `berth demo --serve` with nothing left in it.
pub struct Demo {
    pub client: Client,
    /// The file with which kubectl finds it.
    pub kubeconfig: String,
    /// The scheduler's own pages.
    pages: Client,
    // The process ends before its directory goes.
    _process: Process,
    directory: TempDir,
}

impl Demo {
    pub async fn start() -> Result<Self> {
        let directory = TempDir::new()?;
        // A process that is killed leaves its kubeconfig file behind: it goes with the directory.
        let files = format!("TMPDIR={}", directory.path().display());
        let berth = berth_binary()?.display().to_string();
        let demo = [
            "demo", "--nodes", "12", "--pods", "1", "--gangs", "0", "--over", "0", "--serve",
        ];
        let arguments = [files.as_str(), &berth].into_iter().chain(demo);
        let log = directory.path().join("demo.log");
        let env = Path::new("/usr/bin/env");
        let mut process = Process::start("berth demo", env, arguments, &log)?;
        let start = Instant::now();
        let told = |output: &str, begin: &str| {
            let (_, rest) = output.split_once(begin)?;
            Some(rest.split_once('\n')?.0.to_owned())
        };
        let (kubeconfig, metrics) = loop {
            let output = process.output();
            let found = told(&output, "export KUBECONFIG=");
            if let Some(found) = found.zip(told(&output, "curl ")) {
                break found;
            }
            if start.elapsed() > LIMIT || process.try_wait()?.is_some() {
                bail!("berth demo does not serve:\n{output}");
            }
            tokio::time::sleep(POLL).await;
        };
        let parsed = Kubeconfig::read_from(&kubeconfig)?;
        let config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await?;
        let pages = metrics.trim_end_matches("/metrics").parse()?;
        let demo = Self {
            client: Client::try_from(config)?,
            kubeconfig,
            pages: Client::try_from(Config::new(pages))?,
            _process: process,
            directory,
        };
        demo.clear().await?;
        Ok(demo)
    }

    /// A directory of its own.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Removes everything that a test or the demonstration itself has made.
    pub async fn clear(&self) -> Result<()> {
        for collection in [
            "/api/v1/namespaces/default/pods?gracePeriodSeconds=0",
            "/api/v1/nodes",
            "/api/v1/namespaces/default/events",
            "/api/v1/namespaces/default/persistentvolumeclaims",
            "/api/v1/persistentvolumes",
            "/apis/storage.k8s.io/v1/storageclasses",
        ] {
            ask(&self.client, "DELETE", collection, Value::Null).await?;
        }
        let classes = "/apis/scheduling.k8s.io/v1/priorityclasses";
        for class in items(&self.client, classes).await? {
            let name = class["metadata"]["name"].as_str().unwrap_or_default();
            if !name.starts_with("system-") {
                let path = format!("{classes}/{name}");
                ask(&self.client, "DELETE", &path, Value::Null).await?;
            }
        }
        self.wait_known(0, 0).await
    }

    /// Waits until the scheduler knows so many nodes and so many placed pods.
    pub async fn wait_known(&self, nodes: usize, pods: usize) -> Result<()> {
        let known = |page: &str, kind: &str, count: usize| {
            let line = format!("scheduler_cache_size{{type=\"{kind}\"}} {count}");
            page.lines().any(|found| found == line)
        };
        let what = format!("not {nodes} nodes and {pods} pods");
        self.wait_page(&what, |page| {
            known(page, "nodes", nodes) && known(page, "pods", pods)
        })
        .await
    }

    /// Waits until the scheduler has seen so many objects of a kind come or change.
    pub async fn wait_seen(&self, kind: &str, count: usize) -> Result<()> {
        let labels = [format!("kind=\"{kind}\""), "type=\"applied\"".to_owned()];
        let labels = labels.each_ref().map(String::as_str);
        self.wait_page(&format!("not {count} of {kind}"), |page| {
            let seen = metric(page, "berth_watch_events_total", &labels);
            seen.unwrap_or(0.0) >= count as f64
        })
        .await
    }

    /// Waits until the scheduler's metrics are so.
    async fn wait_page(&self, what: &str, is_so: impl Fn(&str) -> bool) -> Result<()> {
        let start = Instant::now();
        loop {
            let request = Request::get("/metrics").body(Vec::new())?;
            let page = self.pages.request_text(request).await?;
            if is_so(&page) {
                return Ok(());
            }
            ensure!(start.elapsed() < LIMIT, "{what}:\n{page}");
            tokio::time::sleep(POLL).await;
        }
    }
}

/// What `berth simulate` makes of these objects.
pub fn simulate(objects: &[Value]) -> Result<Value> {
    let mut berth = Command::new(berth_binary()?)
        .args(["simulate", "-", "-o", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let input = berth.stdin.take().context("there is no stdin")?;
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    serde_json::to_writer(input, &list)?;
    let output = berth.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "berth simulate failed: {said}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The objects of a collection.
pub async fn items(client: &Client, path: &str) -> Result<Vec<Value>> {
    let (code, mut list) = ask(client, "GET", path, Value::Null).await?;
    ensure!(code == 200, "{path}: {list}");
    match list["items"].take() {
        Value::Array(items) => Ok(items),
        _ => Ok(Vec::new()),
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
