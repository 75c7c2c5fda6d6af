//! Reading the file itself. Sources: `apis/config/v1/defaults.go`,
//! `apis/config/validation/validation.go`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::args::{Args, PluginConfig};
use super::plugins::{PluginRef, PluginSet, Plugins};
use super::points::{Point, known};
use super::reader::{Fields, Problems, Reader};
use super::{
    API_VERSION, ClientConnection, Config, ElectionProblem, LeaderElection, Profile, duration,
};

/// kube-scheduler's defaults of `clientConnection`.
const DEFAULT_QPS: f64 = 50.0;
const DEFAULT_BURST: i32 = 100;

/// Plugins that were taken out of kube-scheduler before this version of the format.
const REMOVED: &[&str] = &[
    "AzureDiskLimits",
    "CinderLimits",
    "EBSLimits",
    "GCEPDLimits",
];

/// The words of the configuration and the remarks on it, or everything that is wrong with it.
pub(super) fn read(
    document: &Value,
    judge: impl FnOnce(&mut LeaderElection) -> Vec<ElectionProblem>,
) -> Result<(Config, Vec<String>), Vec<String>> {
    let problems = Problems::default();
    let remarks = Problems::default();
    let config = Reader::root(document, &problems)
        .fields()
        .map(|fields| configuration(fields, judge, &remarks));
    let found = problems.into_vec();
    match config {
        Some(config) if found.is_empty() => Ok((config, remarks.into_vec())),
        _ => Err(found),
    }
}

fn configuration(
    mut fields: Fields<'_>,
    judge: impl FnOnce(&mut LeaderElection) -> Vec<ElectionProblem>,
    remarks: &Problems,
) -> Config {
    let problems = fields.problems;
    for (name, expected) in [
        ("apiVersion", API_VERSION),
        ("kind", "KubeSchedulerConfiguration"),
    ] {
        match fields.text(name) {
            None => problems.required(name, &format!("must be {expected}")),
            Some(found) if found != expected => problems.unsupported(name, &found, &[expected]),
            Some(_) => {}
        }
    }
    let ineffective = |name: &str, why: &str| remarks.add(name, why);
    let parallelism = fields.get("parallelism");
    if parallelism.is_some() {
        ineffective(
            "parallelism",
            "has no effect: decisions are made on one thread",
        );
    }
    let parallelism = parallelism.and_then(|one| one.integer()).unwrap_or(16);
    if parallelism <= 0 {
        let why = "should be an integer value greater than zero";
        problems.invalid("parallelism", parallelism, why);
    }
    let percentage_of_nodes_to_score = percentage(&mut fields, remarks).unwrap_or(0);
    let profiling = flag(&mut fields, "enableProfiling");
    if profiling == Some(true) {
        ineffective("enableProfiling", "has no effect: there are no such pages");
    }
    let profiling = profiling.unwrap_or(true);
    let contention_profiling = flag(&mut fields, "enableContentionProfiling");
    if contention_profiling == Some(true) {
        ineffective(
            "enableContentionProfiling",
            "has no effect: there are no such pages",
        );
    }
    let delay_cache_until_active = flag(&mut fields, "delayCacheUntilActive").unwrap_or(false);
    if delay_cache_until_active {
        let why = "has no effect: a replica that waits follows the cluster, so that it can take \
                   over at once";
        ineffective("delayCacheUntilActive", why);
    }
    let backoff = |fields: &mut Fields<'_>, name, default| {
        let value = fields.get(name).and_then(|one| one.long());
        value.unwrap_or(default)
    };
    let initial = backoff(&mut fields, "podInitialBackoffSeconds", 1);
    if initial <= 0 {
        problems.invalid(
            "podInitialBackoffSeconds",
            initial,
            "must be greater than 0",
        );
    }
    let max = backoff(&mut fields, "podMaxBackoffSeconds", 10);
    if max < initial {
        let why = "must be greater than or equal to PodInitialBackoffSeconds";
        problems.invalid("podMaxBackoffSeconds", max, why);
    }
    if let Some(extenders) = fields.get("extenders") {
        let path = extenders.path.clone();
        if !extenders.list().is_empty() {
            let why = "extenders are not supported; remove them, and do with plugins what they do";
            problems.add(&path, why);
        }
    }
    let leader_election = leader_election(&mut fields, judge);
    let client_connection = client_connection(&mut fields, remarks);
    let profiles = profiles(&mut fields, remarks);
    fields.finish();
    Config {
        parallelism,
        leader_election,
        client_connection,
        enable_profiling: profiling,
        enable_contention_profiling: contention_profiling.unwrap_or(profiling),
        percentage_of_nodes_to_score,
        pod_initial_backoff_seconds: initial.unsigned_abs(),
        pod_max_backoff_seconds: max.unsigned_abs(),
        profiles,
        delay_cache_until_active,
    }
}

fn flag(fields: &mut Fields<'_>, name: &'static str) -> Option<bool> {
    fields.get(name).and_then(|one| one.boolean())
}

fn percentage(fields: &mut Fields<'_>, remarks: &Problems) -> Option<i32> {
    let reader = fields.get("percentageOfNodesToScore")?;
    let value = reader.integer()?;
    if !(0..=100).contains(&value) {
        let why = "not in valid range [0-100]";
        fields.problems.invalid(&reader.path, value, why);
    } else if value != 0 {
        remarks.add(
            &reader.path,
            "has no effect: all nodes are always looked at",
        );
    }
    Some(value)
}

fn leader_election(
    fields: &mut Fields<'_>,
    judge: impl FnOnce(&mut LeaderElection) -> Vec<ElectionProblem>,
) -> LeaderElection {
    let mut election = LeaderElection::default();
    let mut negative = Vec::new();
    if let Some(mut inner) = fields.get("leaderElection").and_then(Reader::fields) {
        if let Some(elect) = flag(&mut inner, "leaderElect") {
            election.leader_elect = elect;
        }
        for (name, held) in durations(&mut election) {
            let value = inner.get(name).and_then(|one| one.duration());
            match value {
                // Zero stands for the default, as upstream.
                None | Some(0) => {}
                Some(value) if value < 0 => {
                    negative.push((name, value));
                    *held = Duration::ZERO;
                }
                Some(value) => *held = Duration::from_nanos(value.unsigned_abs()),
            }
        }
        for (name, held) in [
            ("resourceLock", &mut election.resource_lock),
            ("resourceName", &mut election.resource_name),
            ("resourceNamespace", &mut election.resource_namespace),
        ] {
            if let Some(text) = inner.text(name) {
                *held = text;
            }
        }
        inner.finish();
    }
    let mut found = judge(&mut election);
    if election.leader_elect {
        let zero: Vec<_> = (durations(&mut election).into_iter())
            .filter_map(|(name, held)| held.is_zero().then_some(name))
            .collect();
        negative.retain(|(name, _)| zero.contains(name));
        // What a negative duration compares to would only confuse.
        if !negative.is_empty() {
            found = Vec::new();
        }
        for (name, value) in negative {
            let path = format!("leaderElection.{name}");
            let why = "must be greater than zero";
            fields.problems.invalid(&path, duration::format(value), why);
        }
    }
    for (name, text) in found {
        fields.problems.add(&format!("leaderElection.{name}"), text);
    }
    election
}

fn durations(election: &mut LeaderElection) -> [(&'static str, &mut Duration); 3] {
    [
        ("leaseDuration", &mut election.lease_duration),
        ("renewDeadline", &mut election.renew_deadline),
        ("retryPeriod", &mut election.retry_period),
    ]
}

fn client_connection(fields: &mut Fields<'_>, remarks: &Problems) -> ClientConnection {
    let Some(mut inner) = fields.get("clientConnection").and_then(Reader::fields) else {
        return ClientConnection::default();
    };
    let mut content_type = |name: &'static str| {
        let text = inner.text(name);
        if text.is_some() {
            let path = inner.path_of(name);
            remarks.add(&path, "has no effect: JSON is sent and asked for");
        }
        text.unwrap_or_default()
    };
    let accept_content_types = content_type("acceptContentTypes");
    let content_type = content_type("contentType");
    let qps = inner.get("qps").and_then(|one| one.number());
    let burst = inner.get("burst").and_then(|one| one.integer());
    let (qps, burst) = (qps.unwrap_or(0.0), burst.unwrap_or(0));
    if burst < 0 {
        let path = inner.path_of("burst");
        inner.problems.invalid(&path, burst, "must be non-negative");
    }
    // A negative rate is no limit, as with client-go. kube-scheduler's defaults are in files that
    // nobody has thought about, and are no limit either.
    let given = qps != 0.0 || burst != 0;
    let rate = if qps == 0.0 { DEFAULT_QPS } else { qps };
    let at_once = if burst == 0 { DEFAULT_BURST } else { burst };
    let limited = rate > 0.0 && (rate, at_once) != (DEFAULT_QPS, DEFAULT_BURST);
    if given && !limited && qps >= 0.0 {
        let why = "has no effect: kube-scheduler's default rate stands for no fixed limit, and the \
                   pace follows the answers of the API server";
        let name = if qps > 0.0 { "qps" } else { "burst" };
        remarks.add(&inner.path_of(name), why);
    }
    let connection = ClientConnection {
        kubeconfig: inner.text("kubeconfig").unwrap_or_default(),
        accept_content_types,
        content_type,
        qps: if limited { rate } else { 0.0 },
        burst: if limited { at_once } else { 0 },
    };
    inner.finish();
    connection
}

fn profiles(fields: &mut Fields<'_>, remarks: &Problems) -> Vec<Profile> {
    let problems = fields.problems;
    let listed = fields.get("profiles").map(Reader::list).unwrap_or_default();
    if listed.is_empty() {
        return vec![Profile::default()];
    }
    let single = listed.len() == 1;
    let mut profiles: Vec<Profile> = Vec::new();
    let mut first_sort: Option<PluginSet> = None;
    for reader in listed {
        let path = reader.path.clone();
        let Some(mut inner) = reader.fields() else {
            continue;
        };
        let (profile, sort) = profile(&mut inner, single, remarks);
        inner.finish();
        let name = format!("{path}.schedulerName");
        let same = profiles
            .iter()
            .position(|other| other.scheduler_name == profile.scheduler_name);
        if let Some(same) = same {
            let text = format_args!("Duplicate value: profiles[{same}].schedulerName");
            problems.add(&name, text);
        }
        match &first_sort {
            Some(first) if *first != sort => {
                let shown = serde_json::to_value(&sort).unwrap_or_default();
                let path = format!("{path}.plugins.queueSort");
                problems.invalid(&path, shown, "must be the same for all profiles");
            }
            Some(_) => {}
            None => first_sort = Some(sort),
        }
        profiles.push(profile);
    }
    profiles
}

/// The profile, and what it says of the queue's order.
fn profile(fields: &mut Fields<'_>, single: bool, remarks: &Problems) -> (Profile, PluginSet) {
    let problems = fields.problems;
    let path = fields.path_of("schedulerName");
    let name = match fields.get("schedulerName") {
        Some(reader) => reader.text().unwrap_or_else(|| "?".to_owned()),
        None if single => "default-scheduler".to_owned(),
        None => String::new(),
    };
    if name.is_empty() {
        problems.required(&path, "");
    }
    let percentage_of_nodes_to_score = percentage(fields, remarks);
    let plugins_path = fields.path_of("plugins");
    let own = match fields.get("plugins").and_then(Reader::fields) {
        Some(inner) => plugins(inner, remarks),
        None => Plugins::default(),
    };
    let sort = own.at(Point::QueueSort);
    let plugins = own.over(&Plugins::defaults());
    check_expansion(&plugins, &plugins_path, &name, problems);
    let mut names: Vec<String> = Vec::new();
    let mut plugin_config = fields.each("pluginConfig", |reader| {
        let path = reader.path.clone();
        let one = plugin_config(reader, remarks)?;
        if names.contains(&one.name) {
            problems.duplicate(&path, &one.name);
        }
        names.push(one.name.clone());
        Some(one)
    });
    complete(&plugins, &mut plugin_config);
    let profile = Profile {
        scheduler_name: name,
        percentage_of_nodes_to_score,
        plugins,
        plugin_config,
    };
    (profile, sort)
}

/// Adds the default arguments of the plugins that are on and have none.
pub(super) fn complete(plugins: &Plugins, plugin_config: &mut Vec<PluginConfig>) {
    for name in plugins.named() {
        let given = plugin_config.iter().any(|one| one.name == name);
        if let Some(args) = Args::defaults(name).filter(|_| !given) {
            plugin_config.push(PluginConfig {
                name: name.to_owned(),
                args,
            });
        }
    }
}

fn plugin_config(reader: Reader<'_>, remarks: &Problems) -> Option<PluginConfig> {
    let mut fields = reader.fields()?;
    let problems = fields.problems;
    let path = fields.path_of("name");
    let name = fields.text("name").unwrap_or_default();
    let args = match fields.get("args") {
        Some(reader) => {
            if known(&name).is_some() && Args::defaults(&name).is_none() {
                let text = format_args!("has no effect: {name} takes no arguments");
                remarks.add(&reader.path, text);
            }
            Args::read(&name, reader)
        }
        None => Some(Args::defaults(&name).unwrap_or(Args::Other(Value::Null))),
    };
    if name.is_empty() {
        problems.required(&path, "");
    } else if REMOVED.contains(&name.as_str()) {
        removed(problems, &fields.path, &name);
    } else if known(&name).is_none() {
        problems.add(&path, format_args!("plugin {name:?} does not exist"));
    }
    fields.finish();
    Some(PluginConfig { name, args: args? })
}

fn removed(problems: &Problems, path: &str, name: &str) {
    let why = format!(
        "was invalid in version \"v1\" (KubeSchedulerConfiguration is version {API_VERSION:?})"
    );
    problems.invalid(path, name, &why);
}

fn plugins(mut fields: Fields<'_>, remarks: &Problems) -> Plugins {
    let mut points = BTreeMap::new();
    let multi_point = fields.get("multiPoint");
    let multi_point = multi_point.map(|reader| plugin_set(reader, None, remarks));
    for point in Point::ALL {
        if let Some(reader) = fields.get(point.field()) {
            points.insert(point, plugin_set(reader, Some(point), remarks));
        }
    }
    fields.finish();
    Plugins {
        multi_point: multi_point.unwrap_or_default(),
        points,
    }
}

fn plugin_set(reader: Reader<'_>, point: Option<Point>, remarks: &Problems) -> PluginSet {
    let Some(mut fields) = reader.fields() else {
        return PluginSet::default();
    };
    let enabled = fields.each("enabled", |reader| {
        let path = reader.path.clone();
        let mut fields = reader.fields()?;
        let problems = fields.problems;
        let name = fields.text("name").unwrap_or_default();
        let name_path = fields.path_of("name");
        let weight = fields.get("weight").and_then(|one| one.integer());
        fields.finish();
        if name.is_empty() {
            problems.required(&name_path, "");
        } else if REMOVED.contains(&name.as_str()) {
            removed(problems, &path, &name);
        } else if let Some(plugin) = known(&name) {
            if let Some(point) = point.filter(|point| !plugin.points.contains(point)) {
                let kind = point.interface();
                let text = format_args!("plugin {name:?} does not extend {kind} plugin");
                problems.add(&name_path, text);
            }
        } else {
            problems.add(&name_path, format_args!("plugin {name:?} does not exist"));
        }
        if weight.is_some_and(|weight| weight < 0) {
            let path = format!("{path}.weight");
            let why = "must not be negative";
            problems.invalid(&path, weight.unwrap_or(0), why);
        }
        Some(PluginRef { name, weight })
    });
    let disabled = fields.each("disabled", |reader| {
        let mut fields = reader.fields()?;
        let name = fields.text("name").unwrap_or_default();
        let path = fields.path_of("name");
        // Has no meaning here, but kube-scheduler takes it.
        let _ = fields.get("weight");
        fields.finish();
        if name != "*" && known(&name).is_none() {
            let text = format_args!("switches nothing off: plugin {name:?} does not exist");
            remarks.add(&path, text);
        }
        Some(name)
    });
    fields.finish();
    PluginSet { enabled, disabled }
}

/// Source: `framework/runtime.NewFramework`.
fn check_expansion(plugins: &Plugins, path: &str, name: &str, problems: &Problems) {
    let expanded = match plugins.expand() {
        Ok(expanded) => expanded,
        Err((field, text)) => return problems.add(&format!("{path}.{field}"), text),
    };
    let count = |point| expanded.get(&point).map_or(0, Vec::len);
    let sorts = count(Point::QueueSort);
    if sorts != 1 {
        let text = format_args!(
            "only one queue sort plugin required for profile with scheduler name {name:?}, but \
             got {sorts}"
        );
        problems.add(&format!("{path}.queueSort"), text);
    }
    if count(Point::Bind) == 0 {
        let text = format_args!(
            "at least one bind plugin is needed for profile with scheduler name {name:?}"
        );
        problems.add(&format!("{path}.bind"), text);
    }
    if count(Point::PlacementGenerate) > 1 {
        let text = format_args!(
            "at most one placement generate plugin is allowed for profile with scheduler name \
             {name:?}"
        );
        problems.add(&format!("{path}.placementGenerate"), text);
    }
}
