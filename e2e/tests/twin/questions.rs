//! Random pods in random clusters. The seed of a run is printed; `E2E_SEED` sets another one than the usual.

use anyhow::Result;
use e2e::twin::Twins;
use e2e::twin::questions::{PER_WORLD, Tally};

/// Asks about this many clusters, from the one with this number on.
async fn explore(first: u64, clusters: u64) -> Result<()> {
    let seed = std::env::var("E2E_SEED").map_or(Ok(1), |seed| seed.parse())?;
    let mut twins = Twins::start().await?;
    let mut tally = Tally::default();
    for number in first..first + clusters {
        twins.explore(seed, number, PER_WORLD, &mut tally).await?;
    }
    println!("seed {seed}: {tally}");
    assert_eq!(tally.asked, clusters * PER_WORLD);
    assert!(
        5 * tally.bound > tally.asked && 5 * tally.refused > tally.asked && tally.decided > 10,
        "the questions are too easy or too hard: {tally}"
    );
    assert!(
        20 * tally.repeated <= tally.asked,
        "a second answer is to be the exception: {tally}"
    );
    Ok(())
}

#[tokio::test]
async fn random_pods_get_the_same_answers_1() -> Result<()> {
    explore(0, 13).await
}

#[tokio::test]
async fn random_pods_get_the_same_answers_2() -> Result<()> {
    explore(13, 13).await
}
