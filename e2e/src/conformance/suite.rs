//! Kubernetes' end-to-end program: which tests it has, and how one of them is run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::options::Plan;
use crate::controlplane::binaries;
use crate::controlplane::process::{Process, TempDir};
use crate::progress::Progress;

/// With what the names of all scheduling tests begin.
const SIG: &str = "[sig-scheduling] ";

/// How long the program may take to tell its tests.
const LIST_LIMIT: Duration = Duration::from_secs(120);

/// How long a test may take. Most have limits of their own, of 5 minutes for a step.
const TEST_LIMIT: Duration = Duration::from_secs(20 * 60);

/// How long a test that took too long may clean up.
const CLEANUP_LIMIT: Duration = Duration::from_secs(5 * 60);

/// A test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// Its whole name.
    name: String,
}

impl Test {
    /// The test of this name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// The name without what all have in common and without labels such as `[Serial]`.
    pub fn title(&self) -> String {
        let name = self.name.strip_prefix(SIG).unwrap_or(&self.name);
        let words: Vec<&str> = name
            .split(' ')
            .filter(|word| !(word.starts_with('[') && word.ends_with(']')))
            .collect();
        words.join(" ")
    }

    /// A name for files.
    fn file_name(&self) -> String {
        let words = self.title().to_lowercase();
        let words = words.split(|character: char| !character.is_ascii_alphanumeric());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        words.join("-").chars().take(100).collect()
    }
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It passed.
    Passed,
    /// It failed, for this reason.
    Failed(String),
    /// It did not run, because something that it needs is not there.
    Skipped(String),
}

/// The program.
#[derive(Debug)]
pub struct Suite {
    program: PathBuf,
    // For what the program is asked before there is a cluster.
    directory: TempDir,
}

impl Suite {
    /// Finds the program; it is built the first time.
    pub async fn find(progress: &mut Progress) -> Result<Self> {
        progress.step("looking for Kubernetes' tests");
        Ok(Self {
            program: binaries::search(binaries::end_to_end_tests).await?,
            directory: TempDir::new()?,
        })
    }

    /// The tests that the plan selects, in the order of their names.
    pub async fn tests(&self, plan: &Plan) -> Result<Vec<Test>> {
        let log = self.directory.path().join("tests");
        let mut process = Process::start("e2e.test", &self.program, ["--list-tests"], &log)?;
        if process.wait(LIST_LIMIT).await? != 0 {
            bail!("e2e.test does not list its tests:\n{}", process.tail(15));
        }
        let all = read_list(&process.output());
        if all.is_empty() {
            bail!("e2e.test lists no scheduling tests");
        }
        Ok(all
            .into_iter()
            .filter(|test| plan.selects(test.name.strip_prefix(SIG).unwrap_or(&test.name)))
            .collect())
    }

    /// Runs one test and leaves its log in the directory.
    pub async fn run(&self, test: &Test, kubeconfig: &Path, logs: &Path) -> Result<Verdict> {
        std::fs::create_dir_all(logs).with_context(|| format!("cannot make {}", logs.display()))?;
        let report = self.directory.path().join("report.json");
        let log = logs.join(test.file_name()).with_extension("log");
        for stale in [&report, &log] {
            if stale.exists() {
                std::fs::remove_file(stale)
                    .with_context(|| format!("cannot remove {}", stale.display()))?;
            }
        }
        let args = [
            "--provider=skeleton".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--e2e-output-dir={}", self.directory.path().display()),
            format!(r"--ginkgo.focus=\Q{}\E$", test.name),
            format!("--ginkgo.timeout={}s", TEST_LIMIT.as_secs()),
            format!("--ginkgo.json-report={}", report.display()),
            "--ginkgo.v".to_owned(),
            "--ginkgo.no-color".to_owned(),
        ];
        let mut process = Process::start("e2e.test", &self.program, args, &log)?;
        let ended = process.wait(TEST_LIMIT + CLEANUP_LIMIT).await;
        let Ok(text) = std::fs::read(&report) else {
            return Ok(Verdict::Failed(match ended {
                Ok(code) => format!("e2e.test ended with exit code {code} and no report"),
                Err(error) => format!("{error:#}"),
            }));
        };
        Ok(match read_report(&text, test)? {
            Verdict::Failed(reason) => Verdict::Failed(match last_refusal(&process.output()) {
                Some(refusal) => format!("{refusal}\n{reason}"),
                None => reason,
            }),
            verdict => verdict,
        })
    }
}

/// What the scheduler last said about a pod that it did not place: after a failure the tests print all events.
fn last_refusal(log: &str) -> Option<&str> {
    const REASON: &str = " FailedScheduling: ";
    let line = log.lines().rfind(|line| line.contains(REASON))?;
    line.split_once(REASON).map(|(_, message)| message)
}

/// The scheduling tests in what `--list-tests` prints: lines of a place in the source, a colon and a name.
fn read_list(output: &str) -> Vec<Test> {
    output
        .lines()
        .filter_map(|line| line.split_once(&format!(": {SIG}")))
        .map(|(_, name)| Test::named(format!("{SIG}{name}")))
        .collect()
}

/// A report of Ginkgo, as far as it is of interest.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    spec_reports: Vec<SpecReport>,
}

/// What a report says about a test, or about what precedes and follows all tests.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SpecReport {
    container_hierarchy_texts: Option<Vec<String>>,
    leaf_node_text: String,
    state: String,
    failure: Option<Failure>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    message: String,
}

impl SpecReport {
    fn name(&self) -> String {
        let containers = self.container_hierarchy_texts.iter().flatten();
        let texts: Vec<&str> = containers
            .chain([&self.leaf_node_text])
            .map(String::as_str)
            .collect();
        texts.join(" ")
    }

    fn reason(&self) -> String {
        self.failure
            .as_ref()
            .map_or_else(|| self.state.clone(), |failure| failure.message.clone())
    }
}

/// What a report says about a test. Whatever failed in its run, what precedes or follows it included, is its failure.
fn read_report(json: &[u8], test: &Test) -> Result<Verdict> {
    let reports: Vec<Report> =
        serde_json::from_slice(json).context("cannot read the report of e2e.test")?;
    let mut verdict = None;
    for spec in reports.iter().flat_map(|report| &report.spec_reports) {
        match spec.state.as_str() {
            "passed" | "skipped" | "pending" if spec.name() != test.name => {}
            "passed" => verdict = Some(Verdict::Passed),
            "skipped" | "pending" => verdict = Some(Verdict::Skipped(spec.reason())),
            _ => return Ok(Verdict::Failed(spec.reason())),
        }
    }
    verdict.with_context(|| format!("the report of e2e.test says nothing about {}", test.name))
}

#[cfg(test)]
mod tests;
