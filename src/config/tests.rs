#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use serde_json::{Value, json};

use super::*;

mod args;
mod defaults;
mod errors;

const HEAD: &str = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";

fn parse(body: &str) -> Result<Loaded, ConfigError> {
    Config::parse(Path::new("c.yaml"), &format!("{HEAD}{body}"))
}

#[track_caller]
fn accepted(body: &str) -> Loaded {
    parse(body).unwrap_or_else(|error| panic!("{body}\n{error}"))
}

/// Exactly these problems.
#[track_caller]
fn refused(body: &str, expected: &[&str]) {
    match parse(body) {
        Ok(loaded) => panic!("accepted: {body}\n{loaded:?}"),
        Err(error) => assert_eq!(error.problems, expected, "{body}"),
    }
}

#[test]
fn json_is_yaml() {
    let text = json!({
        "apiVersion": API_VERSION,
        "kind": "KubeSchedulerConfiguration",
        "podMaxBackoffSeconds": 7,
    });
    let loaded = Config::parse(Path::new("c.json"), &text.to_string()).unwrap();
    assert_eq!(loaded.config.pod_max_backoff_seconds, 7);
}

#[test]
fn what_is_shown_is_read_back_as_the_same() {
    let loaded = accepted(
        "leaderElection: {leaderElect: false, leaseDuration: 1m30s}\n\
         clientConnection: {qps: 20.5, burst: 40, kubeconfig: /k}\n\
         profiles:\n\
         - schedulerName: a\n\
         \x20 percentageOfNodesToScore: 30\n\
         \x20 plugins: {score: {disabled: [{name: '*'}], enabled: [{name: ImageLocality, weight: 7}]}}\n\
         - schedulerName: b\n\
         \x20 pluginConfig: [{name: VolumeBinding, args: {bindTimeoutSeconds: 5}}]\n",
    );
    let yaml = loaded.config.to_yaml().unwrap();
    let again = Config::parse(Path::new("again"), &yaml);
    assert_eq!(again.unwrap().config, loaded.config, "{yaml}");
    let json = serde_json::to_string(&loaded.config).unwrap();
    let again = Config::parse(Path::new("again"), &json);
    assert_eq!(again.unwrap().config, loaded.config, "{json}");
}

#[test]
fn what_has_no_effect_is_said() {
    let remarks = |body: &str| accepted(body).remarks;
    assert!(remarks("").is_empty());
    for (body, expected) in [
        ("parallelism: 4", "parallelism: has no effect"),
        (
            "percentageOfNodesToScore: 50",
            "percentageOfNodesToScore: has no effect",
        ),
        (
            "profiles: [{percentageOfNodesToScore: 50}]",
            "profiles[0].percentageOfNodesToScore: has no effect",
        ),
        ("enableProfiling: true", "enableProfiling: has no effect"),
        (
            "delayCacheUntilActive: true",
            "delayCacheUntilActive: has no effect",
        ),
        (
            "clientConnection: {contentType: application/json}",
            "clientConnection.contentType: has no effect",
        ),
        (
            "clientConnection: {qps: 50, burst: 100}",
            "clientConnection.qps: has no effect: kube-scheduler's default rate",
        ),
        (
            "clientConnection: {burst: 100}",
            "clientConnection.burst: has no effect: kube-scheduler's default rate",
        ),
        (
            "profiles: [{plugins: {filter: {disabled: [{name: Foo}]}}}]",
            "profiles[0].plugins.filter.disabled[0].name: switches nothing off: plugin \"Foo\"",
        ),
        (
            "profiles: [{pluginConfig: [{name: NodePorts, args: {a: 1}}]}]",
            "profiles[0].pluginConfig[0].args: has no effect",
        ),
    ] {
        let remarks = remarks(body);
        assert_eq!(remarks.len(), 1, "{body}: {remarks:?}");
        assert!(remarks[0].starts_with(expected), "{body}: {remarks:?}");
    }
    // Saying what is so anyway needs no remark.
    assert!(remarks("percentageOfNodesToScore: 0\nenableProfiling: false").is_empty());
}

#[test]
fn the_example_is_right() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/config.yaml");
    let loaded = Config::load(&file).unwrap();
    assert!(loaded.remarks.is_empty(), "{:?}", loaded.remarks);
    let names: Vec<_> = (loaded.config.profiles.iter())
        .map(|profile| profile.scheduler_name.as_str())
        .collect();
    assert_eq!(names, ["default-scheduler", "gpu", "research"]);
}
