//! Random questions about random clusters.

use std::fmt;

use anyhow::{Result, bail};

use super::world::World;
use super::{Answer, Side, Twins};
use crate::objects::PodBuilder;

/// How many questions are asked about one cluster.
pub const PER_WORLD: u64 = 12;

/// How often a question is asked before a difference counts if something else than nodes and pods has just changed: one
/// scheduler may know of it a moment before the other.
const ATTEMPTS: u32 = 3;

/// What came of many questions.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// How many were asked.
    pub asked: u64,
    /// Those whose pod was bound.
    pub bound: u64,
    /// Those of them for which one node alone was best.
    pub decided: u64,
    /// Those whose pod was refused.
    pub refused: u64,
    /// Those that had to be asked more than once.
    pub repeated: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} asked: {} bound ({} with one best node), {} refused; {} asked again",
            self.asked, self.bound, self.decided, self.refused, self.repeated
        )
    }
}

impl Twins {
    /// Asks `count` questions about the cluster with this number of the ones that follow from a seed. An error is a
    /// difference, or that something else went wrong.
    pub async fn explore(
        &mut self,
        seed: u64,
        number: u64,
        count: u64,
        tally: &mut Tally,
    ) -> Result<()> {
        let mut world = World::new(seed.wrapping_mul(1_000_003).wrapping_add(number));
        self.clear().await?;
        for change in world.build() {
            self.apply(&change).await?;
        }
        let mut attempts = ATTEMPTS;
        for question in 0..count {
            if question > 0 && world.one_in(3) {
                for change in world.change() {
                    self.apply(&change).await?;
                    if change.is_aside() {
                        attempts = ATTEMPTS;
                    }
                }
            }
            self.catch_up().await?;
            let pod = world.question();
            tally.asked += 1;
            let place = format!(
                "question {question} of cluster {number} of seed {seed} (--seed {seed} --cluster {number})"
            );
            let difference = self
                .compare(&pod, &mut world, tally, attempts, &place)
                .await?;
            attempts = 1;
            if let Some(difference) = difference {
                let pod = serde_json::to_string(&pod.value())?;
                bail!("{place}: {difference}\nthe pod: {pod}");
            }
        }
        Ok(())
    }

    /// Asks both about a pod; the answer is how they differ.
    async fn compare(
        &mut self,
        pod: &PodBuilder,
        world: &mut World,
        tally: &mut Tally,
        attempts: u32,
        place: &str,
    ) -> Result<Option<String>> {
        let (keep, profile) = (world.one_in(2), world.profile());
        let mut attempt = 1;
        loop {
            let question = self.ask(pod, Side::Kube, profile).await?;
            let theirs = self.wait(&question, |_| true).await?;
            let best = match &theirs {
                Answer::Bound(node) => self.best(&question, node)?,
                Answer::Refused { .. } => Default::default(),
            };
            self.withdraw(question).await?;

            let question = self.ask(pod, Side::Berth, profile).await?;
            let ours = self.wait(&question, |_| true).await?;
            let difference = match (&theirs, &ours) {
                (Answer::Bound(_), Answer::Bound(node)) => (!best.contains(node))
                    .then(|| format!("bound to {node}, which is none of {best:?}")),
                _ => (theirs != ours).then(|| format!("{ours}\n  instead of {theirs}")),
            };
            if difference.is_none() {
                match ours {
                    Answer::Bound(_) => tally.bound += 1,
                    Answer::Refused { .. } => tally.refused += 1,
                }
                tally.decided += u64::from(best.len() == 1);
                if keep
                    && matches!(ours, Answer::Bound(_))
                    && let Some((collection, name)) = question.path.rsplit_once('/')
                {
                    // The cluster fills up.
                    world.keep(collection, name);
                } else {
                    self.withdraw(question).await?;
                }
                return Ok(None);
            }
            self.withdraw(question).await?;
            if attempt == attempts {
                return Ok(difference);
            }
            if let Some(difference) = difference {
                eprintln!("asked again: {place}: {difference}");
            }
            tally.repeated += u64::from(attempt == 1);
            attempt += 1;
        }
    }
}
