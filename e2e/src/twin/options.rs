//! The arguments of a long run, and the run.

use anyhow::Result;
use clap::Args;

use super::Twins;
use super::questions::{PER_WORLD, Tally};

/// What is asked.
#[derive(Debug, Args)]
pub struct TwinArgs {
    /// Which random clusters and pods
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many questions
    #[arg(long, default_value_t = 300)]
    count: u64,
    /// Ask only about the cluster with this number
    #[arg(long, value_name = "NUMBER")]
    cluster: Option<u64>,
    /// Go on after a difference
    #[arg(long)]
    keep_going: bool,
}

/// Asks, and tells how far it is; the answer is how many clusters brought a difference to light.
pub async fn run(args: &TwinArgs) -> Result<u64> {
    let mut twins = Twins::start().await?;
    let mut tally = Tally::default();
    let mut failed = 0;
    let clusters = match args.cluster {
        Some(number) => number..number + 1,
        None => 0..args.count.div_ceil(PER_WORLD),
    };
    for number in clusters {
        let count = match args.cluster {
            Some(_) => PER_WORLD,
            None => PER_WORLD.min(args.count - number * PER_WORLD),
        };
        if let Err(error) = twins.explore(args.seed, number, count, &mut tally).await {
            if !args.keep_going {
                return Err(error);
            }
            failed += 1;
            eprintln!("error: {error:#}");
        }
        if number % 25 == 24 {
            eprintln!("cluster {number}: {tally}");
        }
    }
    println!("seed {}: {tally}", args.seed);
    Ok(failed)
}
