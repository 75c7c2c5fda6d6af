//! `berth simulate`: where would these pods go?
//!
//! Files in, a report out; no API server is asked. `documents` takes the files apart into objects,
//! `input` decodes and checks them, `admission` and `budgets` fill in what an API server and its
//! controllers would have filled in, `schedulers` says who decides about which pods, `scheduling` leads the engine through it, and
//! `report` writes down what came of it.

mod admission;
mod budgets;
mod documents;
mod input;
mod label_keys;
mod preemptions;
mod problems;
mod report;
mod schedulers;
mod scheduling;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::{Args, ValueEnum};

use super::Failure;
use problems::Problems;
use report::{Report, Style};
use schedulers::Schedulers;

/// For how long nothing is said about work that goes on.
const QUIET: Duration = Duration::from_millis(500);

/// The flags of `berth simulate`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// YAML or JSON with nodes, pods, pod groups and what bears on them; - is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// How to write the report
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    /// A KubeSchedulerConfiguration whose profiles decide, each about its own pods; without it, the
    /// default profile decides about all pods
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Place only pods with this spec.schedulerName; may be repeated [default: all pods, with
    /// --config those of its profiles]
    #[arg(long, value_name = "NAME", value_parser = super::run::scheduler_name)]
    scheduler_name: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Output {
    /// Tables for people
    Table,
    /// One object with pods, nodes, gangs and preemptions
    Json,
}

/// The text of one input, and what it is called in problems.
#[derive(Clone, Debug)]
struct Input {
    name: String,
    text: String,
}

/// What came of a simulation.
#[derive(Debug)]
struct Simulated {
    report: Report,
    /// What was in the files and was left out.
    notes: Vec<String>,
}

/// Why there is no report.
#[derive(Debug)]
enum Stop {
    /// The files are wrong.
    Problems(Problems),
    /// The engine could not be made.
    Failed(anyhow::Error),
}

/// Reads the files, simulates, and writes the report to stdout.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let schedulers = Schedulers::new(arguments.config.as_deref(), &arguments.scheduler_name)
        .map_err(Failure::Input)?;
    if let Some((file, remarks)) = schedulers.remarks() {
        // Nobody is left to tell when even this cannot be written.
        let _ = writeln!(io::stderr(), "warning: {}: {remarks}", file.display());
    }
    let mut problems = Problems::default();
    let inputs = read(&arguments.files, &mut problems);
    let mut progress = Progress::new();
    let simulated = simulate(&inputs, problems, schedulers, &mut |done, all| {
        progress.tell(done, all);
    });
    progress.end();
    let Simulated { report, notes } = simulated.map_err(failure)?;
    for note in notes {
        let _ = writeln!(io::stderr(), "note: {note}");
    }
    let stdout = io::stdout();
    let text = match arguments.output {
        Output::Json => report.json().map_err(Failure::Running)?,
        Output::Table => report.table(Style::of(&stdout)),
    };
    match stdout.lock().write_all(text.as_bytes()) {
        // Whoever reads has read enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::Running(error.into())),
    }
}

/// Everything between the texts and the report; `problems` are those of reading the files.
fn simulate(
    inputs: &[Input],
    mut problems: Problems,
    schedulers: Schedulers,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Simulated, Stop> {
    let objects = input::read(inputs, &mut problems);
    if problems.is_empty() && objects.nodes.is_empty() && objects.pods.is_empty() {
        problems.add(
            "the input holds neither nodes nor pods; `kubectl get nodes,pods -A -o yaml` writes both"
                .to_owned(),
        );
    }
    if !problems.is_empty() {
        return Err(Stop::Problems(problems));
    }
    scheduling::simulate(objects, schedulers, progress).map_err(Stop::Failed)
}

/// Tells the problems, and how it ends: the last line is the failure's own.
fn failure(stop: Stop) -> Failure {
    match stop {
        Stop::Failed(error) => Failure::Running(error),
        Stop::Problems(problems) => {
            let (mut lines, summary) = problems.into_lines();
            let last = if summary.is_empty() {
                lines.pop().unwrap_or_default()
            } else {
                summary
            };
            for line in lines {
                let _ = writeln!(io::stderr(), "{line}");
            }
            Failure::Input(anyhow!(last))
        }
    }
}

/// The texts of the files that could be read.
fn read(files: &[String], problems: &mut Problems) -> Vec<Input> {
    let mut inputs = Vec::new();
    let mut seen = BTreeSet::new();
    for file in files {
        let name = if file == "-" { "standard input" } else { file };
        if !seen.insert(file) {
            problems.add(format!("{name}: it is named twice; name each file once"));
            continue;
        }
        let bytes = if file == "-" {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
        } else {
            fs::read(file)
        };
        match bytes.map(String::from_utf8) {
            Ok(Ok(text)) => inputs.push(Input {
                name: name.to_owned(),
                text,
            }),
            Ok(Err(_)) => {
                problems.add(format!("{name}: it is not UTF-8 text; save it as UTF-8"));
            }
            Err(error) => problems.add(format!("{name}: cannot be read: {error}")),
        }
    }
    inputs
}

/// Tells how far it is, on a terminal and when it takes long.
struct Progress {
    terminal: bool,
    last: Instant,
    told: bool,
}

impl Progress {
    fn new() -> Self {
        Self {
            terminal: io::stderr().is_terminal(),
            last: Instant::now(),
            told: false,
        }
    }

    fn tell(&mut self, done: usize, all: usize) {
        if self.terminal && self.last.elapsed() >= QUIET {
            let _ = write!(io::stderr(), "\r{done} of {all} pods decided");
            self.last = Instant::now();
            self.told = true;
        }
    }

    fn end(&self) {
        if self.told {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests;
