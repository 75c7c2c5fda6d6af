//! `berth run`: the scheduler itself.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use super::kubeconfig::{self, Source};
use super::settings::Settings;
use super::{Failure, leader};
use crate::runtime::{self, Options, RunError};
use crate::telemetry::tracing::{self, LogFormat};

/// How long tasks that do not end by themselves may hold up the end of the process.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// The flags of `berth run`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The kubeconfig file whose current context is used
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// A KubeSchedulerConfiguration: profiles, plugins and their arguments, as kube-scheduler has it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Whose pods to schedule, by spec.schedulerName; may be repeated; with --config, the file says
    #[arg(
        long,
        value_name = "NAME",
        default_value = "berth",
        value_parser = scheduler_name,
        conflicts_with = "config"
    )]
    scheduler_name: Vec<String>,

    /// Where to serve /metrics, /livez, /readyz and /configz
    ///
    /// There is neither TLS nor a login, so the default is for this machine only; in a pod, use
    /// 0.0.0.0:10251 and a network policy.
    #[arg(
        long,
        value_name = "IP:PORT",
        default_value = "127.0.0.1:10251",
        value_parser = http_address
    )]
    http_address: SocketAddr,

    #[command(flatten)]
    leader: leader::Flags,

    /// How log lines look; $RUST_LOG says which there are, such as info or berth=debug
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

/// Runs until stopped.
pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let settings = arguments.settings().map_err(Failure::Input)?;
    let Arguments {
        kubeconfig,
        http_address,
        log_format,
        ..
    } = arguments;
    tracing::init(log_format).map_err(|error| Failure::Input(error.into()))?;
    if let Some((file, remarks)) = settings.remarks() {
        ::tracing::warn!(file = %file.display(), "{remarks}");
    }

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start threads")
        .map_err(Failure::Input)?;
    let ended = runtime.block_on(async {
        let kubeconfig = kubeconfig.or_else(|| settings.kubeconfig());
        let client_config = kubeconfig::load(&Source::find(kubeconfig))
            .await
            .map_err(Failure::Input)?;
        let leader_election = settings.election().clone();
        let rate_limit = settings.rate_limit();
        let options = Options {
            backoff: settings.backoff,
            http_address,
            shown_config: settings.shown,
            leader_election: Some(leader_election),
            rate_limit,
            ..Options::new(client_config, settings.profiles)
        };
        runtime::run(options).await.map_err(ended)
    });
    runtime.shutdown_timeout(STOP_GRACE);
    ended
}

/// What the end of the scheduler means to whoever started it.
fn ended(error: RunError) -> Failure {
    if matches!(error, RunError::HttpAddress { .. }) {
        let error = anyhow::Error::from(error);
        return Failure::Input(anyhow!(
            "{error:#}; choose another address with --http-address"
        ));
    }
    Failure::Running(error.into())
}

// === impl Arguments ===

impl Arguments {
    /// What is in force. Finds what the parser does not: what is wrong only together, or in the file.
    pub(super) fn settings(&self) -> Result<Settings, anyhow::Error> {
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.scheduler_name.iter().find(|name| !seen.insert(*name)) {
            return Err(anyhow!(
                "--scheduler-name {twice} is given twice; give each name once"
            ));
        }
        Settings::new(self.config.as_deref(), &self.scheduler_name, &self.leader)
    }
}

fn http_address(address: &str) -> Result<SocketAddr, String> {
    let read = address.parse();
    read.map_err(|_| "write it as 127.0.0.1:10251, 0.0.0.0:10251 or [::1]:10251".to_owned())
}

/// A DNS-1123 subdomain, which is what Kubernetes wants names of schedulers to be.
pub(super) fn scheduler_name(name: &str) -> Result<String, String> {
    let letters = |label: &str| {
        let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty()
            && label.bytes().all(inside)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.is_empty() {
        return Err("a name may not be empty".to_owned());
    }
    if name.len() > 253 || !name.split('.').all(letters) {
        return Err(
            "a name has at most 253 lower case letters, digits, '-' and '.', \
                    with a letter or digit at both ends of each part"
                .to_owned(),
        );
    }
    Ok(name.to_owned())
}

impl ValueEnum for LogFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Text => PossibleValue::new("text").help("Lines for people"),
            Self::Json => PossibleValue::new("json").help("One JSON object per line"),
        })
    }
}
