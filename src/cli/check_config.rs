//! `berth check-config`: whether a configuration file is right, and what it comes to.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::Failure;
use crate::config::{Config, Loaded};
use crate::plugins;

/// The flags of `berth check-config`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The configuration file: a KubeSchedulerConfiguration, as YAML or JSON
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// How the effective configuration is written
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// YAML
    Yaml,
    /// JSON
    Json,
}

/// Prints the effective configuration, and on stderr what has no effect.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let checked = check(arguments).map_err(Failure::Input)?;
    for remark in &checked.remarks {
        let file = arguments.file.display();
        let _ = writeln!(io::stderr(), "warning: {file}: {remark}");
    }
    let text = match arguments.output {
        Output::Yaml => checked.config.to_yaml().map_err(anyhow::Error::from),
        Output::Json => serde_json::to_string_pretty(&checked.config)
            .map(|text| text + "\n")
            .map_err(anyhow::Error::from),
    };
    let text = text.context("cannot write the configuration");
    let text = text.map_err(Failure::Running)?;
    let written = io::stdout().write_all(text.as_bytes());
    written
        .context("cannot write to stdout")
        .map_err(Failure::Running)
}

fn check(arguments: &Arguments) -> Result<Loaded, anyhow::Error> {
    let loaded = Config::load(&arguments.file)?;
    for profile in &loaded.config.profiles {
        plugins::profile(profile).with_context(|| arguments.file.display().to_string())?;
    }
    Ok(loaded)
}
