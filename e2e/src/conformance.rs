//! Kubernetes' own scheduling tests, from its end-to-end program, with the scheduler of one's choice as the only one.
//!
//! The control plane is real, the nodes are not: kwok plays their kubelets (`e2e/kwok/stages.yaml`), so that pods run
//! and end. The tests change nodes and count what is in the cluster, therefore they run one at a time. Each runs in a
//! process of its own, so that its result is known as soon as it is over.

mod cluster;
pub mod options;
pub mod report;
pub mod suite;

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};

use self::cluster::Cluster;
use self::options::Plan;
use self::report::Outcome;
use self::suite::{Suite, Verdict};
use crate::progress::Progress;

/// Runs the tests of the plan and adds what came of each to `outcomes`; fails if a test could not be run at all.
pub async fn run(plan: &Plan, progress: &mut Progress, outcomes: &mut Vec<Outcome>) -> Result<()> {
    let suite = Suite::find(progress).await?;
    let tests = suite.tests(plan).await?;
    if tests.is_empty() {
        bail!("no test has such a name; --list shows all of them");
    }
    progress.step("starting the control plane, kwok and the scheduler");
    let mut cluster = Cluster::start(plan).await?;
    let directory = plan.logs.clone().unwrap_or_else(|| cluster.directory());
    let result = run_all(&suite, &tests, &mut cluster, &directory, progress, outcomes).await;
    if let Some(logs) = &plan.logs {
        cluster.keep_logs(logs)?;
    }
    result
}

async fn run_all(
    suite: &Suite,
    tests: &[suite::Test],
    cluster: &mut Cluster,
    directory: &Path,
    progress: &mut Progress,
    outcomes: &mut Vec<Outcome>,
) -> Result<()> {
    for (index, test) in tests.iter().enumerate() {
        let number = format!("[{:>2}/{}]", index + 1, tests.len());
        progress.step(format!("{number} {}", test.title()));
        let start = Instant::now();
        let verdict = suite.run(test, cluster.kubeconfig(), directory).await?;
        let outcome = Outcome {
            test: test.clone(),
            verdict,
            seconds: start.elapsed().as_secs(),
        };
        progress.say(&format!("{number} {}", report::line(&outcome)));
        outcomes.push(outcome);
        cluster.check_alive()?;
        cluster.wait_until_empty().await?;
    }
    Ok(())
}

/// The tests that a plan selects, without running them.
pub async fn list(plan: &Plan, progress: &mut Progress) -> Result<Vec<suite::Test>> {
    Suite::find(progress).await?.tests(plan).await
}

/// Whether no test failed.
pub fn succeeded(outcomes: &[Outcome]) -> bool {
    !outcomes
        .iter()
        .any(|outcome| matches!(outcome.verdict, Verdict::Failed(_)))
}
