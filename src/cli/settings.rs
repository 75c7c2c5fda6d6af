//! What is in force: the configuration file, or the defaults without one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::leader;
use crate::config::{self, Config, LeaderElection, Loaded, RateLimit};
use crate::framework::Profile;
use crate::plugins;
use crate::queue::Backoff;

/// What a scheduler is started with.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) profiles: Vec<Profile>,
    pub(super) backoff: Backoff,
    /// The configuration in force, as `/configz` shows it.
    pub(super) shown: serde_json::Value,
    loaded: Loaded,
    file: Option<PathBuf>,
}

impl Settings {
    /// Of the file, or of default profiles under these names; the flags count before the file.
    pub(super) fn new(
        file: Option<&Path>,
        names: &[String],
        flags: &leader::Flags,
    ) -> Result<Self, anyhow::Error> {
        let loaded = match file {
            Some(file) => Config::load_with(file, |election| flags.judge(election))?,
            None => Loaded {
                config: Config {
                    leader_election: flags.election()?,
                    profiles: names
                        .iter()
                        .map(|name| config::Profile::named(name))
                        .collect(),
                    ..Config::default()
                },
                remarks: Vec::new(),
            },
        };
        Self::of(file, loaded)
    }

    /// Of what was read from the file, if it is from one.
    pub(super) fn of(file: Option<&Path>, loaded: Loaded) -> Result<Self, anyhow::Error> {
        let config = &loaded.config;
        let profiles: Result<_, _> = config.profiles.iter().map(plugins::profile).collect();
        Ok(Self {
            profiles: profiles?,
            backoff: Backoff {
                initial: Duration::from_secs(config.pod_initial_backoff_seconds),
                max: Duration::from_secs(config.pod_max_backoff_seconds),
                ..Backoff::default()
            },
            shown: serde_json::to_value(config).context("cannot show the configuration")?,
            file: file.map(Path::to_owned),
            loaded,
        })
    }

    /// The kubeconfig file that the configuration names.
    pub(super) fn kubeconfig(&self) -> Option<PathBuf> {
        let named = &self.loaded.config.client_connection.kubeconfig;
        (!named.is_empty()).then(|| named.into())
    }

    /// How replicas agree on the one that schedules.
    pub(super) fn election(&self) -> &LeaderElection {
        &self.loaded.config.leader_election
    }

    /// The schedulerNames of the profiles, in their order.
    pub(super) fn scheduler_names(&self) -> impl Iterator<Item = &str> {
        (self.loaded.config.profiles.iter()).map(|profile| &*profile.scheduler_name)
    }

    /// What of the file was accepted and has no effect, in one line.
    pub(super) fn remarks(&self) -> Option<(&Path, String)> {
        let remarks = &self.loaded.remarks;
        let file = self.file.as_deref().filter(|_| !remarks.is_empty())?;
        Some((file, remarks.join("; ")))
    }

    /// How many writes per second there may be.
    pub(super) fn rate_limit(&self) -> Option<RateLimit> {
        self.loaded.config.client_connection.rate_limit()
    }
}
