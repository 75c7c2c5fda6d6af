//! Puts results together for people.

use std::fmt::Write as _;

use super::suite::{Test, Verdict};

/// Of a long reason so many lines are shown...
const LINES: usize = 6;

/// ...and of a long line so many characters.
const WIDTH: usize = 160;

/// A test and what came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The test.
    pub test: Test,
    /// Its result.
    pub verdict: Verdict,
    /// How long it took.
    pub seconds: u64,
}

/// A line for a test that is over.
pub fn line(outcome: &Outcome) -> String {
    let (word, _) = words(&outcome.verdict);
    format!(
        "{word:<7} {:>5} s  {}",
        outcome.seconds,
        outcome.test.title()
    )
}

/// All tests, the reasons of those that did not pass, and how many there are of each kind.
pub fn table(scheduler: &str, outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line(outcome));
        let (_, reason) = words(&outcome.verdict);
        for line in reason
            .lines()
            .filter(|line| !line.trim().is_empty())
            .take(LINES)
        {
            let line: String = line.chars().take(WIDTH).collect();
            let _ = writeln!(text, "{:17}{}", "", line.trim_end());
        }
    }
    let count = |wanted: &str| {
        let verdicts = outcomes.iter().map(|outcome| &outcome.verdict);
        verdicts
            .filter(|verdict| words(verdict).0 == wanted)
            .count()
    };
    let _ = writeln!(
        text,
        "{scheduler}: {} passed, {} failed, {} skipped",
        count("passed"),
        count("failed"),
        count("skipped")
    );
    text
}

/// A verdict in a word, and its reason.
fn words(verdict: &Verdict) -> (&'static str, &str) {
    match verdict {
        Verdict::Passed => ("passed", ""),
        Verdict::Failed(reason) => ("failed", reason),
        Verdict::Skipped(reason) => ("skipped", reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_reasons_and_counts() {
        let reason = format!("\n{}\n\nthe second line\n3\n4\n5\n6\n7", "x".repeat(200));
        let outcomes = [
            (Verdict::Passed, 5),
            (Verdict::Failed(reason), 305),
            (Verdict::Skipped("needs 5 nodes".to_owned()), 0),
        ]
        .map(|(verdict, seconds)| Outcome {
            test: Test::named("[sig-scheduling] Group does it [Serial]"),
            verdict,
            seconds,
        });
        let expected = format!(
            "\
passed      5 s  Group does it
failed    305 s  Group does it
                 {}
                 the second line
                 3
                 4
                 5
                 6
skipped     0 s  Group does it
                 needs 5 nodes
berth: 1 passed, 1 failed, 1 skipped
",
            "x".repeat(160)
        );
        assert_eq!(table("berth", &outcomes), expected);
    }
}
