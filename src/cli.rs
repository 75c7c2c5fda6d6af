//! The command line: what is asked for, and what a terminal is told.
//!
//! Nothing is decided here. Each subcommand has a file; each ends in an exit code:
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done, or stopped as asked |
//! | 1 | failed while running |
//! | 2 | wrong input, or could not start |
//!
//! A failure is one line on stderr that says what is wrong, where, and what to do.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ConfigError;

mod check_config;
mod completions;
mod demo;
mod kubeconfig;
mod leader;
mod run;
mod settings;
mod simulate;
mod terminal;
mod version;

#[cfg(test)]
mod tests;

const AFTER_HELP: &str = "\
Examples:
  berth demo                                  see it at work, without a cluster
  berth run                                   schedule pods whose spec.schedulerName is berth
  berth run --kubeconfig ~/.kube/test         ... in the cluster of that file
  berth run --scheduler-name a --scheduler-name b --log-format json
  kubectl get nodes,pods -A -o yaml | berth simulate - new-pods.yaml
  berth check-config scheduler.yaml           what is in force with this file, or what is wrong
  berth completions bash > /etc/bash_completion.d/berth
  berth version -o json

Exit codes:
  0  done, or stopped as asked
  1  failed while running
  2  wrong input, or could not start";

const DEMO_EXAMPLES: &str = "\
Examples:
  berth demo
  berth demo --nodes 1000 --pods 10000 --over 10
  berth demo --serve                          ... and try kubectl on it";

const RUN_EXAMPLES: &str = "\
Examples:
  berth run                                   pods with spec.schedulerName: berth
  berth run --kubeconfig ~/.kube/test --scheduler-name gpu --scheduler-name batch
  berth run --config scheduler.yaml           with kube-scheduler's configuration file
  berth run --leader-elect=false --log-format json";

const SIMULATE_EXAMPLES: &str = "\
Examples:
  berth simulate nodes.yaml pods.yaml
  kubectl get nodes,pods,priorityclasses -A -o yaml | berth simulate - new-pods.yaml
  berth simulate --config scheduler.yaml cluster.yaml
  berth simulate -o json cluster.json | jq '.pods[] | select(.node == null)'
  berth simulate -o json cluster.json | jq '.gangs[] | {name, bound, min, message}'";

const CHECK_CONFIG_EXAMPLES: &str = "\
Examples:
  berth check-config scheduler.yaml           what is in force with this file, or what is wrong
  berth check-config -o json scheduler.yaml | jq '.profiles[].schedulerName'";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  source <(berth completions bash)            for this shell
  berth completions bash > /etc/bash_completion.d/berth
  berth completions zsh > ~/.zfunc/_berth     with ~/.zfunc in $fpath
  berth completions fish > ~/.config/fish/completions/berth.fish";

const VERSION_EXAMPLES: &str = "\
Examples:
  berth version
  berth version -o json";

/// A Kubernetes scheduler for GPU training.
#[derive(Debug, Parser)]
#[command(name = "berth", version, after_help = AFTER_HELP)]
#[command(arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See the scheduler fill a cluster that exists only in this process
    ///
    /// Starts an API server of its own on a port of this machine, creates nodes and pods there, and
    /// lets the scheduler place them over HTTP. Tells what was placed, what was not and why, and how
    /// fast it was. It ends by itself, with 0 if everything was placed that should have been.
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(demo::Arguments),
    /// Schedule the pods of a cluster until stopped
    ///
    /// A pod is ours when its spec.schedulerName is one of the scheduler names. The cluster is the
    /// one of --kubeconfig, else of $KUBECONFIG, else of ~/.kube/config, else the one this process
    /// runs in. SIGTERM and SIGINT stop it.
    #[command(after_help = RUN_EXAMPLES)]
    Run(run::Arguments),
    /// Tell where the pods of files would be placed, without a cluster
    ///
    /// Reads nodes, pods, PodGroups of every API, namespaces, priority classes and what else bears on
    /// them from YAML and JSON, lists and the output of kubectl get -o yaml among them. Pods without
    /// spec.nodeName are placed, those of a gang all together or not at all; the others count on
    /// their nodes. Objects of other kinds are skipped. It ends with 0 also when pods stay pending.
    #[command(after_help = SIMULATE_EXAMPLES)]
    Simulate(simulate::Arguments),
    /// Check a configuration file, and print what is in force with it
    ///
    /// The file is a KubeSchedulerConfiguration as kube-scheduler takes it; every default is filled
    /// in. What is accepted but has no effect is said on stderr. It ends with 0 if the file is right
    /// and with 2 if not.
    #[command(after_help = CHECK_CONFIG_EXAMPLES)]
    CheckConfig(check_config::Arguments),
    /// Write a script that completes berth's arguments in a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(completions::Arguments),
    /// Tell the version
    #[command(after_help = VERSION_EXAMPLES)]
    Version(version::Arguments),
}

/// Why a command did not do what was asked.
#[derive(Debug)]
enum Failure {
    /// What was asked for is wrong, or it could not be started.
    Input(anyhow::Error),
    /// It had started.
    Running(anyhow::Error),
}

/// Does what the arguments of the process say, and tells how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let ended = match parse(std::env::args_os()) {
        Ok(Command::Demo(arguments)) => demo::run(&arguments),
        Ok(Command::Run(arguments)) => run::run(arguments),
        Ok(Command::Simulate(arguments)) => simulate::run(&arguments),
        Ok(Command::CheckConfig(arguments)) => check_config::run(&arguments),
        Ok(Command::Completions(arguments)) => completions::run(&arguments),
        Ok(Command::Version(arguments)) => version::run(&arguments),
        Err(error) => {
            // Nobody is left to tell when even this cannot be written.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "error: {}", failure.line());
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Reads the arguments, the first of which is the name of the program. Asking for help is an error,
/// though one with exit code 0.
fn parse<I>(arguments: I) -> Result<Command, clap::Error>
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    Cli::try_parse_from(arguments).map(|cli| cli.command)
}

// === impl Failure ===

impl Failure {
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Running(_) => 1,
            Self::Input(_) => 2,
        }
    }

    /// The error and what caused it, in one line: some libraries answer with several, excerpts of
    /// files included. Only a configuration with several errors takes a line for each.
    fn line(&self) -> String {
        let (Self::Input(error) | Self::Running(error)) = self;
        if let Some(error) = error.downcast_ref::<ConfigError>() {
            return error.to_string();
        }
        format!("{error:#}")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }
}
