//! `berth version`.

use std::io::{self, ErrorKind, Write as _};

use clap::{Args, ValueEnum};

use super::Failure;

/// The Kubernetes version whose API and scheduler behaviour this follows.
const KUBERNETES: &str = "1.37";

/// The flags of `berth version`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// How to write it
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// One line
    Text,
    /// An object with version, kubernetes and platform
    Json,
}

/// Writes the version to stdout.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{}", text(arguments)) {
        // Whoever reads has read enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::Running(error.into())),
    }
}

pub(super) fn text(arguments: &Arguments) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    match arguments.output {
        Output::Text => format!("berth {version} (Kubernetes {KUBERNETES}, {platform})"),
        Output::Json => {
            let object = serde_json::json!({
                "version": version,
                "kubernetes": KUBERNETES,
                "platform": platform,
            });
            object.to_string()
        }
    }
}
