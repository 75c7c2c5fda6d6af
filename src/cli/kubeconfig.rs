//! Which cluster, and how to reach it.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::anyhow;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

/// The environment variable with a list of kubeconfig files.
const VARIABLE: &str = "KUBECONFIG";

/// Where the cluster is described.
///
/// Decided before anything is read, so that a file that was asked for and is broken is an error,
/// and not a reason to look elsewhere and schedule the wrong cluster.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The file of `--kubeconfig`.
    Flag(PathBuf),
    /// The files of `$KUBECONFIG`, merged.
    Variable(OsString),
    /// `~/.kube/config`.
    Home(PathBuf),
    /// The service account of the pod this process runs in.
    Cluster,
}

impl Source {
    /// Looks at the flag, the environment and whether a file is in the home directory.
    pub(super) fn find(flag: Option<PathBuf>) -> Self {
        let home = env::home_dir().map(|home| home.join(".kube").join("config"));
        Self::choose(
            flag,
            env::var_os(VARIABLE),
            home.filter(|path| path.exists()),
        )
    }

    /// The first that is there, in kubectl's order. A variable without any path in it is no
    /// variable.
    pub(super) fn choose(
        flag: Option<PathBuf>,
        variable: Option<OsString>,
        home: Option<PathBuf>,
    ) -> Self {
        let names_a_path =
            |paths: &OsString| env::split_paths(paths).any(|path| !path.as_os_str().is_empty());
        if let Some(path) = flag {
            Self::Flag(path)
        } else if let Some(paths) = variable.filter(names_a_path) {
            Self::Variable(paths)
        } else if let Some(path) = home {
            Self::Home(path)
        } else {
            Self::Cluster
        }
    }

    /// How a message names it.
    fn describe(&self) -> String {
        match self {
            Self::Flag(path) => format!("--kubeconfig {}", path.display()),
            Self::Variable(paths) => format!("${VARIABLE} ({})", paths.display()),
            Self::Home(path) => path.display().to_string(),
            Self::Cluster => "the service account of this pod".to_owned(),
        }
    }
}

/// Reads how to reach the cluster; does not yet talk to it.
///
/// # Errors
///
/// When a file cannot be read or understood, or names something that is not in it.
pub(super) async fn load(source: &Source) -> Result<Config, anyhow::Error> {
    let options = KubeConfigOptions::default();
    let config = match source {
        Source::Flag(path) | Source::Home(path) => match Kubeconfig::read_from(path) {
            Ok(file) => Config::from_custom_kubeconfig(file, &options).await,
            Err(error) => Err(error),
        },
        Source::Variable(_) => Config::from_kubeconfig(&options).await,
        Source::Cluster => {
            return Config::incluster().map_err(|error| {
                anyhow!(
                    "no cluster is named: there is no --kubeconfig, ${VARIABLE} or \
                     ~/.kube/config, and this is no pod with a service account ({error}); \
                     name one with --kubeconfig"
                )
            });
        }
    };
    config.map_err(|error| {
        anyhow!(
            "cannot use {}: {}; {}",
            source.describe(),
            what(source, &error),
            remedy(&error)
        )
    })
}

/// What is wrong. The library's texts, but for those that do not name the thing.
fn what(source: &Source, error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::CurrentContextNotSet => "it has no current-context".to_owned(),
        KubeconfigError::LoadContext(name) => format!("it has no context named {name:?}"),
        KubeconfigError::LoadClusterOfContext(name) => format!("it has no cluster named {name:?}"),
        // Which of several it was; a single one was named already.
        KubeconfigError::ReadConfig(error, path) => match source {
            Source::Variable(_) => format!("cannot read {}: {error}", path.display()),
            Source::Flag(_) | Source::Home(_) | Source::Cluster => error.to_string(),
        },
        // Only the first line: those that follow show an excerpt, and the file holds credentials.
        KubeconfigError::Parse(error) => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            format!(
                "it is not understood: {}",
                line.trim_start_matches("error: ")
            )
        }
        other => other.to_string(),
    }
}

/// What to do about it.
fn remedy(error: &KubeconfigError) -> &'static str {
    match error {
        KubeconfigError::CurrentContextNotSet | KubeconfigError::LoadContext(_) => {
            "choose a context with kubectl config use-context"
        }
        KubeconfigError::LoadClusterOfContext(_) | KubeconfigError::MissingClusterUrl => {
            "add the cluster with kubectl config set-cluster"
        }
        KubeconfigError::ReadConfig(..) => "name a file that can be read",
        _ => "check it with kubectl config view",
    }
}
