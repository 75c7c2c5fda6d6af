//! Asks Berth and kube-scheduler the same random questions.

use std::process::ExitCode;

use clap::Parser;
use e2e::twin::options::{self, TwinArgs};

/// Berth and kube-scheduler side by side in random clusters, asked about the same random pods.
///
/// Compares whether a pod is bound, the text of a refusal, and whether Berth's node is one of those to which
/// kube-scheduler gave its highest score. Starts etcd, kube-apiserver and both schedulers on loopback; everything ends
/// with this program. Berth is target/debug/berth or target/release/berth, whichever is newer, or what BERTH_BIN names.
/// Exit codes: 0 no difference, 1 a difference or a failure, 2 wrong arguments.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  twin --count 5000 --seed 42
      5,000 questions, about 12 of them in each cluster.
  twin --seed 42 --cluster 17
      The questions about one cluster again, as a failure tells them.
  twin --count 5000 --keep-going
      All differences instead of the first one.")]
struct Cli {
    #[command(flatten)]
    args: TwinArgs,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match options::run(&Cli::parse().args).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            eprintln!("error: differences in {failed} clusters");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
