//! Who decides, and about whose pods.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::bail;

use crate::cli::settings::Settings;
use crate::config::Config;
use crate::framework::Profile;
use crate::plugins::default_profile;
use crate::queue::Backoff;

/// The schedulers of a simulation.
#[derive(Debug, Default)]
pub(super) struct Schedulers {
    /// Whose pods are placed; empty for those of everybody.
    names: BTreeSet<String>,
    /// The configuration, if there is one.
    settings: Option<Settings>,
}

impl Schedulers {
    /// Those with these names; without names those of the file, and without a file all.
    pub(super) fn new(config: Option<&Path>, names: &[String]) -> Result<Self, anyhow::Error> {
        let settings = match config {
            Some(file) => Some(Settings::of(Some(file), Config::load(file)?)?),
            None => None,
        };
        Self::of(settings, names)
    }

    pub(super) fn of(settings: Option<Settings>, names: &[String]) -> Result<Self, anyhow::Error> {
        let mut names: BTreeSet<String> = names.iter().cloned().collect();
        if let Some(settings) = &settings {
            let known: Vec<&str> = settings.scheduler_names().collect();
            if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
                let known = known.join(", ");
                bail!(
                    "--scheduler-name {name}: no profile of --config is named so; it has {known}"
                );
            }
            // A scheduler with this file would leave everybody else's pods alone.
            if names.is_empty() {
                names = known.into_iter().map(str::to_owned).collect();
            }
        }
        Ok(Self { names, settings })
    }

    /// What of the file has no effect.
    pub(super) fn remarks(&self) -> Option<(&Path, String)> {
        self.settings.as_ref()?.remarks()
    }

    /// Whether pods with this schedulerName are placed.
    pub(super) fn place(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.contains(name)
    }

    /// The profiles and the backoff in force for pods of these schedulers.
    pub(super) fn rules(self, names: &BTreeSet<&str>) -> (Vec<Profile>, Backoff) {
        match self.settings {
            Some(settings) => (settings.profiles, settings.backoff),
            None => {
                let profiles = names.iter().map(|name| default_profile(name)).collect();
                (profiles, Backoff::default())
            }
        }
    }
}
