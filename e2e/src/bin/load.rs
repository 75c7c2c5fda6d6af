//! Measures schedulers on a real API server.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use e2e::load::null::{self, NullArgs};
use e2e::load::options::{LoadArgs, Output, Plan};
use e2e::load::{self, report};
use e2e::progress::Progress;
use e2e::signals::interrupted;

/// How fast pods get bound on a real API server: by a null scheduler, by kube-scheduler and by Berth.
///
/// Starts etcd and kube-apiserver on loopback, makes nodes, and lets the schedulers take turns with pods of their own.
/// Berth is target/release/berth, or what BERTH_BIN names. Everything ends with this program. Exit codes: 0 all went
/// well, 1 something failed, 2 wrong arguments, 130 interrupted.
#[derive(Debug, Parser)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  load
      1,000 nodes, 2,000 pods at once, three rounds of each scheduler.
  load --nodes 1000 --nodes 5000 --kind basic --kind node-affinity --rounds 5
      Two sizes and two kinds of pods, five rounds.
  load --rate 150 --seconds 30 --nodes 5000 --schedulers null,berth --latency
      Open loop: 150 pods per second; also the schedulers' own attempt durations.
  load --kind gang --pods 800
      50 gangs of 16 pods; also how many were whole, and how long each was bound in part.
  load --kind gang-contention --nodes 100 --pods 1200
      20 gangs of 60 pods, created in turn, with room for 13.
  load --kind preemption --pods 500
      500 pods of high priority in a cluster full of others; the null scheduler evicts without a choice.
  load --kind preemption-ordinary --rate 50 --seconds 40 --preempt-rate 20
      50 ordinary pods per second; after 20 seconds also 20 pods per second that evict others elsewhere.
  load --memory
      Peak memory of berth with 5,000 nodes and 10,000 pods.
  load -o json --keep-going > load.json
      Every round for machines; a failed round does not end the run."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    args: LoadArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the null scheduler alone, until it is stopped: binds round robin, decides nothing.
    Null(NullArgs),
}

// One thread is enough for the load, and leaves the rest of a small machine to what is measured.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::Null(args)) => null::run(&args).await.map(|()| ExitCode::SUCCESS),
        None => run(cli.args).await,
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run(args: LoadArgs) -> Result<ExitCode> {
    let output = args.output;
    let plan = Plan::new(args)?;
    let mut progress = Progress::new();
    let mut sections = Vec::new();
    let result = tokio::select! {
        result = load::run(&plan, &mut progress, &mut sections) => Some(result),
        result = interrupted() => { result?; None }
    };
    progress.clear();
    // What was measured before a failure or an interruption is worth seeing too.
    if !sections.is_empty() {
        match output {
            Output::Table => print!("{}", report::tables(&plan, &sections)),
            Output::Json => println!(
                "{}",
                serde_json::to_string_pretty(&report::json(&plan, &sections))?
            ),
        }
    }
    match result {
        Some(Ok(())) => Ok(ExitCode::SUCCESS),
        Some(Err(error)) => Err(error),
        None => {
            eprintln!("interrupted");
            Ok(ExitCode::from(130))
        }
    }
}
