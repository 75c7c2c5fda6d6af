//! Source: `apis/config/validation/validation_test.go`.

use super::*;

#[test]
fn each_wrong_value_is_named_with_its_path() {
    let election = |rest: &str| format!("leaderElection: {{{rest}}}");
    for (body, expected) in [
        (
            "parallelism: 0",
            "parallelism: Invalid value: 0: should be an integer value greater than zero",
        ),
        (
            "percentageOfNodesToScore: 101",
            "percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]",
        ),
        (
            "percentageOfNodesToScore: -1",
            "percentageOfNodesToScore: Invalid value: -1: not in valid range [0-100]",
        ),
        (
            "profiles: [{percentageOfNodesToScore: 101}]",
            "profiles[0].percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]",
        ),
        (
            "podInitialBackoffSeconds: 0",
            "podInitialBackoffSeconds: Invalid value: 0: must be greater than 0",
        ),
        (
            "podInitialBackoffSeconds: 20",
            "podMaxBackoffSeconds: Invalid value: 10: must be greater than or equal to \
             PodInitialBackoffSeconds",
        ),
        (
            "clientConnection: {burst: -1}",
            "clientConnection.burst: Invalid value: -1: must be non-negative",
        ),
        (
            &election("resourceLock: configmap"),
            "leaderElection.resourceLock: Invalid value: \"configmap\": resourceLock value must \
             be \"leases\"",
        ),
        (
            &election("leaseDuration: -1s"),
            "leaderElection.leaseDuration: Invalid value: \"-1s\": must be greater than zero",
        ),
        (
            &election("leaseDuration: 10s"),
            "leaderElection.leaseDuration: Invalid value: \"10s\": must be greater than \
             `RenewDeadline`",
        ),
        (
            &election("retryPeriod: 9s"),
            "leaderElection.renewDeadline: Invalid value: \"10s\": must be greater than \
             retryPeriod*1.2",
        ),
        (
            &election("leaseDuration: 15"),
            "leaderElection.leaseDuration: must be a duration such as 15s or 1m30s, not 15",
        ),
        (
            "extenders: [{urlPrefix: 'http://x'}]",
            "extenders: extenders are not supported; remove them, and do with plugins what they do",
        ),
        ("foo: 1", "foo: unknown field \"foo\""),
        (
            "Parallelism: 1",
            "Parallelism: unknown field \"Parallelism\"; it is written \"parallelism\"",
        ),
        (
            "profiles: [{plugins: {score: {enable: []}}}]",
            "profiles[0].plugins.score.enable: unknown field \"enable\"",
        ),
        ("profiles: {}", "profiles: must be a list, not a mapping"),
        (
            "enableProfiling: 1",
            "enableProfiling: must be true or false, not 1",
        ),
        (
            "parallelism: 5000000000",
            "parallelism: must be an integer of 32 bits, not 5000000000",
        ),
        (
            "profiles: [{schedulerName: a}, {plugins: {}}]",
            "profiles[1].schedulerName: Required value",
        ),
        (
            "profiles: [{schedulerName: ''}]",
            "profiles[0].schedulerName: Required value",
        ),
        (
            "profiles: [{schedulerName: a}, {schedulerName: b}, {schedulerName: a}]",
            "profiles[2].schedulerName: Duplicate value: profiles[0].schedulerName",
        ),
    ] {
        refused(body, &[expected]);
    }
}

#[test]
fn an_election_that_does_not_take_place_is_not_checked() {
    accepted("leaderElection: {leaderElect: false, resourceLock: x, leaseDuration: -1s}");
}

#[test]
fn each_wrong_plugin_is_named_with_its_path() {
    for (plugins, path, text) in [
        (
            "{score: {enabled: [{name: NodeAffinity}, {name: ImageLocality}, {name: Foo}]}}",
            "score.enabled[2].name",
            "plugin \"Foo\" does not exist",
        ),
        (
            "{multiPoint: {enabled: [{name: Foo}]}}",
            "multiPoint.enabled[0].name",
            "plugin \"Foo\" does not exist",
        ),
        (
            "{score: {enabled: [{weight: 1}]}}",
            "score.enabled[0].name",
            "Required value",
        ),
        (
            "{score: {enabled: [{name: NodePorts}]}}",
            "score.enabled[0].name",
            "plugin \"NodePorts\" does not extend ScorePlugin plugin",
        ),
        (
            "{score: {enabled: [{name: ImageLocality}, {name: ImageLocality}]}}",
            "score.enabled",
            "plugin \"ImageLocality\" already registered as \"ScorePlugin\"",
        ),
        (
            "{multiPoint: {enabled: [{name: NodePorts}, {name: NodePorts}]}}",
            "multiPoint.enabled",
            "plugin \"NodePorts\" already registered as \"PreFilterPlugin\"",
        ),
        (
            "{score: {enabled: [{name: ImageLocality, weight: -1}]}}",
            "score.enabled[0].weight",
            "Invalid value: -1: must not be negative",
        ),
        (
            "{queueSort: {disabled: [{name: '*'}]}}",
            "queueSort",
            "only one queue sort plugin required for profile with scheduler name \
             \"default-scheduler\", but got 0",
        ),
        (
            "{multiPoint: {disabled: [{name: DefaultBinder}]}}",
            "bind",
            "at least one bind plugin is needed for profile with scheduler name \
             \"default-scheduler\"",
        ),
    ] {
        let body = format!("profiles: [{{plugins: {plugins}}}]");
        refused(&body, &[&format!("profiles[0].plugins.{path}: {text}")]);
    }
}

#[test]
fn plugins_that_were_taken_out_are_refused_in_upstreams_words() {
    for name in [
        "AzureDiskLimits",
        "CinderLimits",
        "EBSLimits",
        "GCEPDLimits",
    ] {
        let why = format!(
            "Invalid value: \"{name}\": was invalid in version \"v1\" (KubeSchedulerConfiguration \
             is version \"kubescheduler.config.k8s.io/v1\")"
        );
        refused(
            &format!("profiles: [{{plugins: {{filter: {{enabled: [{{name: {name}}}]}}}}}}]"),
            &[&format!("profiles[0].plugins.filter.enabled[0]: {why}")],
        );
        refused(
            &format!("profiles: [{{pluginConfig: [{{name: {name}}}]}}]"),
            &[&format!("profiles[0].pluginConfig[0]: {why}")],
        );
    }
}

#[test]
fn the_order_of_the_queue_is_the_same_for_all_profiles() {
    refused(
        "profiles: [{schedulerName: a}, {schedulerName: b, plugins: {queueSort: {enabled: \
         [{name: PrioritySort}]}}}]",
        &["profiles[1].plugins.queueSort: Invalid value: \
             {\"enabled\":[{\"name\":\"PrioritySort\"}]}: must be the same for all profiles"],
    );
}

#[test]
fn several_errors_are_all_listed() {
    let body = "parallelism: 0\nfoo: 1\nprofiles: [{plugins: {filter: {enabled: [{name: A}, \
                {name: B}]}}}]\n";
    let expected = [
        "parallelism: Invalid value: 0: should be an integer value greater than zero",
        "profiles[0].plugins.filter.enabled[0].name: plugin \"A\" does not exist",
        "profiles[0].plugins.filter.enabled[1].name: plugin \"B\" does not exist",
        "foo: unknown field \"foo\"",
    ];
    refused(body, &expected);
    let shown = parse(body).unwrap_err().to_string();
    assert_eq!(
        shown,
        format!("c.yaml: 4 errors:\n  {}", expected.join("\n  "))
    );
    let shown = parse("foo: 1").unwrap_err().to_string();
    assert_eq!(shown, "c.yaml: foo: unknown field \"foo\"");
}

#[test]
fn other_documents_are_refused() {
    for (text, expected) in [
        (
            "",
            "apiVersion: Required value: must be kubescheduler.config.k8s.io/v1",
        ),
        (
            "apiVersion: kubescheduler.config.k8s.io/v1beta3\nkind: KubeSchedulerConfiguration",
            "apiVersion: Unsupported value: \"kubescheduler.config.k8s.io/v1beta3\": supported \
             values: \"kubescheduler.config.k8s.io/v1\"",
        ),
        (
            "apiVersion: kubescheduler.config.k8s.io/v1\nkind: Pod",
            "kind: Unsupported value: \"Pod\": supported values: \"KubeSchedulerConfiguration\"",
        ),
        ("[]", "must be a mapping, not a list"),
    ] {
        let error = Config::parse(Path::new("c"), text).unwrap_err();
        assert_eq!(error.problems[0], expected, "{text}");
    }
    for text in ["a: [", "parallelism: 1\nparallelism: 2"] {
        let text = format!("{HEAD}{text}");
        let error = Config::parse(Path::new("c"), &text).unwrap_err();
        assert_eq!(error.problems.len(), 1, "{error}");
        assert!(error.to_string().contains("line"), "{error}");
    }
    let error = Config::load(Path::new("/nowhere/c.yaml")).unwrap_err();
    let expected = "/nowhere/c.yaml: cannot be read: No such file";
    assert!(error.to_string().starts_with(expected), "{error}");
}
