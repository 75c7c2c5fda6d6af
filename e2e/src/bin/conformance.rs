//! Runs Kubernetes' own scheduling tests against a scheduler.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use e2e::conformance::options::Plan;
use e2e::conformance::{self, report};
use e2e::progress::Progress;
use e2e::signals::interrupted;

/// Kubernetes' own scheduling tests ([sig-scheduling] of its end-to-end program), with Berth as the only scheduler.
///
/// Starts etcd, kube-apiserver, kube-controller-manager, four nodes that kwok plays, and the scheduler for
/// default-scheduler. Berth is the newest build in target, or what BERTH_BIN names. The first run builds the tests and
/// kwok from Go modules, which takes minutes. Everything ends with this program. Exit codes: 0 no test failed, 1 a test
/// failed or could not be run, 2 wrong arguments, 130 interrupted.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  conformance
      The tests of what Berth supports today.
  conformance --scheduler kube-scheduler
      The same tests against kube-scheduler: what is possible with nodes that do not exist.
  conformance --groups gangs,preemption --focus 'basic'
      Of other groups those tests whose name contains a word.
  conformance --list
      The names of the tests.")]
struct Cli {
    #[command(flatten)]
    plan: Plan,
}

#[tokio::main]
async fn main() -> ExitCode {
    run(&Cli::parse().plan).await.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run(plan: &Plan) -> Result<ExitCode> {
    let mut progress = Progress::new();
    if plan.list {
        let tests = conformance::list(plan, &mut progress).await?;
        progress.clear();
        for test in tests {
            println!("{}", test.title());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut outcomes = Vec::new();
    let result = tokio::select! {
        result = conformance::run(plan, &mut progress, &mut outcomes) => Some(result),
        result = interrupted() => { result?; None }
    };
    progress.clear();
    // What was found out before a failure or an interruption is worth seeing too.
    if !outcomes.is_empty() {
        print!("{}", report::table(plan.scheduler.name(), &outcomes));
    }
    match result {
        Some(Ok(())) if conformance::succeeded(&outcomes) => Ok(ExitCode::SUCCESS),
        Some(Ok(())) => Ok(ExitCode::FAILURE),
        Some(Err(error)) => Err(error),
        None => {
            eprintln!("interrupted");
            Ok(ExitCode::from(130))
        }
    }
}
