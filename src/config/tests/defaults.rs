//! Source: `apis/config/v1/defaults_test.go`.

use super::*;

#[test]
fn a_file_that_says_nothing_has_upstreams_defaults() {
    let config = accepted("").config;
    assert_eq!(config, Config::default());
    let election = &config.leader_election;
    assert_eq!(
        serde_json::to_value(election).unwrap(),
        json!({
            "leaderElect": true,
            "leaseDuration": "15s",
            "renewDeadline": "10s",
            "retryPeriod": "2s",
            "resourceLock": "leases",
            "resourceName": "kube-scheduler",
            "resourceNamespace": "kube-system",
        })
    );
    let shown = serde_json::to_value(&config).unwrap();
    for (field, expected) in [
        ("parallelism", json!(16)),
        ("enableProfiling", json!(true)),
        ("enableContentionProfiling", json!(true)),
        ("percentageOfNodesToScore", json!(0)),
        ("podInitialBackoffSeconds", json!(1)),
        ("podMaxBackoffSeconds", json!(10)),
        ("delayCacheUntilActive", json!(false)),
    ] {
        assert_eq!(shown[field], expected, "{field}");
    }
    assert_eq!(shown["profiles"][0]["schedulerName"], "default-scheduler");
    // Source: `apis/config/testing/defaults/defaults.go`.
    let args = |kind: &str, mut fields: Value| {
        fields["apiVersion"] = API_VERSION.into();
        fields["kind"] = format!("{kind}Args").into();
        json!({ "name": kind, "args": fields })
    };
    let both = json!([{ "name": "cpu", "weight": 1 }, { "name": "memory", "weight": 1 }]);
    assert_eq!(
        shown["profiles"][0]["pluginConfig"],
        json!([
            // Without a limit all candidates are considered, which the numbers would deny.
            args("DefaultPreemption", json!({})),
            args(
                "DynamicResources",
                json!({ "filterTimeout": "10s", "bindingTimeout": "10m0s" })
            ),
            args(
                "InterPodAffinity",
                json!({
                    "hardPodAffinityWeight": 1,
                    "ignorePreferredTermsOfExistingPods": false,
                })
            ),
            args("NodeAffinity", json!({})),
            args(
                "NodeResourcesBalancedAllocation",
                json!({ "resources": both })
            ),
            args(
                "NodeResourcesFit",
                json!({ "scoringStrategy": { "type": "LeastAllocated", "resources": both } })
            ),
            args("PodTopologySpread", json!({ "defaultingType": "System" })),
            args(
                "VolumeBinding",
                json!({
                    "bindTimeoutSeconds": 600,
                    "shape": [
                        { "utilization": 0, "score": 10 },
                        { "utilization": 100, "score": 0 },
                    ],
                })
            ),
        ])
    );
}

#[test]
fn an_empty_profile_is_the_default_one() {
    for body in ["profiles: [{}]", "profiles: []", "profiles:"] {
        assert_eq!(accepted(body).config, Config::default(), "{body}");
    }
}

#[test]
fn contention_profiling_follows_profiling() {
    let config = accepted("enableProfiling: false").config;
    assert!(!config.enable_contention_profiling);
}

#[test]
fn empty_and_zero_stand_for_defaults_in_the_election_and_the_connection() {
    let body = "leaderElection: {leaderElect: true, leaseDuration: 0s, renewDeadline: 0s, \
                retryPeriod: 0s, resourceLock: '', resourceName: '', resourceNamespace: ''}\n\
                clientConnection: {kubeconfig: '', acceptContentTypes: '', contentType: '', \
                qps: 0, burst: 0}";
    assert_eq!(accepted(body).config, Config::default());
}

#[test]
fn a_rate_is_a_limit_unless_it_is_upstreams_default() {
    for (body, expected) in [
        ("", None),
        ("qps: 300", Some((300.0, 100))),
        ("burst: 200", Some((50.0, 200))),
        ("qps: 7.5, burst: 9", Some((7.5, 9))),
        ("qps: 50, burst: 9", Some((50.0, 9))),
        ("qps: 50, burst: 100", None),
        ("qps: 50", None),
        ("burst: 100", None),
        // As with client-go.
        ("qps: -1, burst: 7", None),
    ] {
        let body = format!("clientConnection: {{{body}}}");
        let connection = accepted(&body).config.client_connection;
        let expected = expected.map(|(qps, burst)| RateLimit { qps, burst });
        assert_eq!(connection.rate_limit(), expected, "{body}");
    }
}

#[test]
fn args_of_a_plugin_that_is_off_are_left_out() {
    let body = "profiles: [{plugins: {multiPoint: {disabled: [{name: VolumeBinding}]}}}]";
    let profile = accepted(body).config.profiles.remove(0);
    assert_eq!(profile.args("VolumeBinding"), None);
    assert!(profile.args("NodeResourcesFit").is_some());
}
