//! `berth completions`.

use std::io::{self, ErrorKind, Write as _};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Failure};

/// The flags of `berth completions`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// For which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Writes the script to stdout.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match io::stdout().write_all(&script(arguments)) {
        // Whoever reads has read enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::Running(error.into())),
    }
}

pub(super) fn script(arguments: &Arguments) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "berth", &mut script);
    script
}
