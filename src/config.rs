//! The configuration file: KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1), as plain
//! values.
//!
//! What kube-scheduler accepts is accepted, with its defaults; what it refuses is refused, in its
//! words and with the path in the file. docs/configuration.md says what each field does.

mod affinity;
mod args;
mod duration;
pub(crate) mod labels;
mod leader_election;
mod plugins;
mod points;
mod read;
mod reader;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};
use serde_json::Value;

pub use affinity::{NodeAffinity, NodeRequirement, NodeSelector, NodeTerm, PreferredTerm};
pub use args::{
    Args, DefaultPreemptionArgs, DynamicResourcesArgs, InterPodAffinityArgs, MinCandidateNodes,
    Nanoseconds, NodeAffinityArgs, NodeResourcesBalancedAllocationArgs, NodeResourcesFitArgs,
    PluginConfig, PodTopologySpreadArgs, RequestedToCapacityRatio, ResourceSpec, ScoringStrategy,
    StrategyType, TopologySpreadConstraint, UtilizationShapePoint, VolumeBindingArgs,
};
pub use duration::format as go_duration;
pub use leader_election::{ElectionProblem, LeaderElection};
pub use plugins::{Expanded, PluginRef, PluginSet, Plugins};
pub use points::{KNOWN_PLUGINS, KnownPlugin, Point, known};

/// The version of the format.
pub const API_VERSION: &str = "kubescheduler.config.k8s.io/v1";

/// A whole configuration, with every default filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How many threads kube-scheduler would use.
    pub parallelism: i32,
    /// How replicas agree on the one that schedules.
    pub leader_election: LeaderElection,
    /// How to reach the API server.
    pub client_connection: ClientConnection,
    /// Whether kube-scheduler would serve profiles of itself.
    pub enable_profiling: bool,
    /// The same for profiles of locks.
    pub enable_contention_profiling: bool,
    /// Of how many nodes kube-scheduler would be content.
    pub percentage_of_nodes_to_score: i32,
    /// How long a pod waits after its first failed attempt.
    pub pod_initial_backoff_seconds: u64,
    /// How long at most.
    pub pod_max_backoff_seconds: u64,
    /// One for each schedulerName.
    pub profiles: Vec<Profile>,
    /// Whether kube-scheduler would wait for its election before it follows the cluster.
    pub delay_cache_until_active: bool,
}

/// How to reach the API server, and how fast.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientConnection {
    /// The kubeconfig file; empty for the usual places.
    pub kubeconfig: String,
    /// Kept, but JSON is asked for.
    pub accept_content_types: String,
    /// Kept, but JSON is sent.
    pub content_type: String,
    /// Writes per second at most; 0 for no fixed limit: the pace follows the API server.
    pub qps: f64,
    /// How many of them may leave at once after a pause.
    pub burst: i32,
}

/// A limit to requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// Requests per second.
    pub qps: f64,
    /// How many may leave at once after a pause.
    pub burst: u32,
}

impl ClientConnection {
    /// The limit, if there is one.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        (self.qps > 0.0).then_some(RateLimit {
            qps: self.qps,
            burst: self.burst.unsigned_abs(),
        })
    }
}

/// A profile: which plugins decide for a schedulerName, and how.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// Whose pods.
    pub scheduler_name: String,
    /// Of how many nodes kube-scheduler would be content here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percentage_of_nodes_to_score: Option<i32>,
    /// The plugins, merged with the defaults.
    pub plugins: Plugins,
    /// Their arguments; every plugin that takes some and is on has an entry.
    pub plugin_config: Vec<PluginConfig>,
}

/// A configuration from a file, and what is to be said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What was accepted and has no effect, each with its path.
    pub remarks: Vec<String>,
}

/// Why there is no configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// Everything that is wrong, each with its path in the file.
    pub problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.problems.as_slice() {
            [problem] => write!(formatter, "{file}: {problem}"),
            problems => {
                write!(formatter, "{file}: {} errors:", problems.len())?;
                for problem in problems {
                    write!(formatter, "\n  {problem}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConfigError {}

impl Default for Profile {
    fn default() -> Self {
        Self::named("default-scheduler")
    }
}

impl Profile {
    /// kube-scheduler's default profile under a name.
    pub fn named(scheduler_name: &str) -> Self {
        let plugins = Plugins::defaults();
        let mut plugin_config = Vec::new();
        read::complete(&plugins, &mut plugin_config);
        Self {
            scheduler_name: scheduler_name.to_owned(),
            percentage_of_nodes_to_score: None,
            plugins,
            plugin_config,
        }
    }

    /// The arguments of a plugin, if it has some.
    pub fn args(&self, plugin: &str) -> Option<&Args> {
        let mut entries = self.plugin_config.iter();
        entries.find(|one| one.name == plugin).map(|one| &one.args)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            parallelism: 16,
            leader_election: LeaderElection::default(),
            client_connection: ClientConnection::default(),
            enable_profiling: true,
            enable_contention_profiling: true,
            percentage_of_nodes_to_score: 0,
            pod_initial_backoff_seconds: 1,
            pod_max_backoff_seconds: 10,
            profiles: vec![Profile::default()],
            delay_cache_until_active: false,
        }
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or anything in it is wrong; nothing of it counts then.
    pub fn load(file: &Path) -> Result<Loaded, ConfigError> {
        Self::load_with(file, |election| election.problems())
    }

    /// Reads a file. `judge` lays over its election what counts instead, and tells what is wrong
    /// then.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or anything in it is wrong; nothing of it counts then.
    pub fn load_with(
        file: &Path,
        judge: impl FnOnce(&mut LeaderElection) -> Vec<ElectionProblem>,
    ) -> Result<Loaded, ConfigError> {
        let failed = |problem| ConfigError {
            file: file.to_owned(),
            problems: vec![problem],
        };
        let bytes = fs::read(file).map_err(|error| failed(format!("cannot be read: {error}")))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| failed("it is not UTF-8 text; save it as UTF-8".to_owned()))?;
        Self::parse_with(file, &text, judge)
    }

    /// Reads the text of a file, YAML or JSON.
    ///
    /// # Errors
    ///
    /// When anything in it is wrong.
    pub fn parse(file: &Path, text: &str) -> Result<Loaded, ConfigError> {
        Self::parse_with(file, text, |election| election.problems())
    }

    fn parse_with(
        file: &Path,
        text: &str,
        judge: impl FnOnce(&mut LeaderElection) -> Vec<ElectionProblem>,
    ) -> Result<Loaded, ConfigError> {
        let failed = |problems| ConfigError {
            file: file.to_owned(),
            problems,
        };
        let options = serde_saphyr::options! { with_snippet: false };
        let document: Value = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| failed(vec![not_yaml(&error)]))?;
        // An empty file says nothing, not even its version.
        let document = match document {
            Value::Null => Value::Object(serde_json::Map::new()),
            document => document,
        };
        let (config, remarks) = read::read(&document, judge).map_err(failed)?;
        Ok(Loaded { config, remarks })
    }

    /// The configuration as YAML, in the form of the file.
    ///
    /// # Errors
    ///
    /// Never, as far as is known.
    pub fn to_yaml(&self) -> Result<String, serde_saphyr::ser::Error> {
        serde_saphyr::to_string(self)
    }
}

/// What the reader of YAML says, which may take several lines, in one.
fn not_yaml(error: &serde_saphyr::Error) -> String {
    let text = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match error {
        serde_saphyr::Error::MultipleDocuments { .. } => {
            "it has several documents; a configuration is a single one".to_owned()
        }
        _ => format!("it is not YAML: {text}"),
    }
}

impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = serde_json::json!({
            "apiVersion": API_VERSION,
            "clientConnection": self.client_connection,
            "delayCacheUntilActive": self.delay_cache_until_active,
            "enableContentionProfiling": self.enable_contention_profiling,
            "enableProfiling": self.enable_profiling,
            "kind": "KubeSchedulerConfiguration",
            "leaderElection": self.leader_election,
            "parallelism": self.parallelism,
            "percentageOfNodesToScore": self.percentage_of_nodes_to_score,
            "podInitialBackoffSeconds": self.pod_initial_backoff_seconds,
            "podMaxBackoffSeconds": self.pod_max_backoff_seconds,
            "profiles": self.profiles,
        });
        value.serialize(serializer)
    }
}

#[cfg(test)]
mod tests;
