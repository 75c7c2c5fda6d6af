//! The profiles that both schedulers have, so that arguments of plugins are compared too.

use serde_json::{Value, json};

/// The profiles that both have: a name and the arguments of plugins. The default profile has no name.
pub fn profiles() -> Vec<(&'static str, Value)> {
    let zone = "topology.kubernetes.io/zone";
    vec![
        ("", json!([])),
        (
            "added",
            json!([{"name": "NodeAffinity", "args": {"addedAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["batch"]}]},
                ]},
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 10, "preference": {
                    "matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}],
                }}],
            }}}]),
        ),
        (
            "list",
            json!([{"name": "PodTopologySpread", "args": {"defaultingType": "List", "defaultConstraints": [
                {"maxSkew": 1, "topologyKey": zone, "whenUnsatisfiable": "DoNotSchedule"},
            ]}}]),
        ),
        (
            "soft-list",
            json!([{"name": "PodTopologySpread", "args": {"defaultingType": "List", "defaultConstraints": [
                {"maxSkew": 1, "topologyKey": zone, "whenUnsatisfiable": "ScheduleAnyway"},
            ]}}]),
        ),
        (
            "hard",
            json!([{"name": "InterPodAffinity", "args": {"hardPodAffinityWeight": 100}}]),
        ),
        (
            "weightless",
            json!([{"name": "InterPodAffinity", "args": {"hardPodAffinityWeight": 0}}]),
        ),
        (
            "ignoring",
            json!([{"name": "InterPodAffinity", "args": {"ignorePreferredTermsOfExistingPods": true}}]),
        ),
        (
            "packing",
            json!([{"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "MostAllocated", "resources": [
                {"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1},
            ]}}}]),
        ),
        (
            "ratio",
            json!([{"name": "NodeResourcesFit", "args": {"scoringStrategy": {
                "type": "RequestedToCapacityRatio",
                "resources": [{"name": "nvidia.com/gpu", "weight": 5}, {"name": "cpu", "weight": 1}],
                "requestedToCapacityRatio": {"shape": [
                    {"utilization": 0, "score": 0}, {"utilization": 60, "score": 10}, {"utilization": 100, "score": 2},
                ]},
            }}}]),
        ),
        (
            "lenient",
            json!([{"name": "NodeResourcesFit", "args": {
                "ignoredResources": ["example.com/ignored"], "ignoredResourceGroups": ["ignored.example"],
            }}]),
        ),
    ]
}
