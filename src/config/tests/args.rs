//! Sources: `apis/config/validation/validation_pluginargs_test.go`, `v1/defaults_test.go`.

use super::*;

fn body(plugin: &str, args: &str) -> String {
    format!("profiles: [{{pluginConfig: [{{name: {plugin}, args: {args}}}]}}]")
}

/// The arguments are read as these.
#[track_caller]
fn reads(plugin: &str, args: &str, expected: Value) {
    let profile = accepted(&body(plugin, args)).config.profiles.remove(0);
    let found = serde_json::to_value(profile.args(plugin)).unwrap();
    assert_eq!(found, expected, "{plugin} {args}");
}

/// Exactly these are wrong.
#[track_caller]
fn wrong(plugin: &str, args: &str, expected: &[&str]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|one| format!("profiles[0].pluginConfig[0].args{one}"))
        .collect();
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    refused(&body(plugin, args), &expected);
}

#[test]
fn plugin_config_belongs_to_a_plugin_once() {
    refused(
        &body("Foo", "{}"),
        &["profiles[0].pluginConfig[0].name: plugin \"Foo\" does not exist"],
    );
    refused(
        "profiles: [{pluginConfig: [{args: {}}]}]",
        &["profiles[0].pluginConfig[0].name: Required value"],
    );
    refused(
        "profiles: [{pluginConfig: [{name: NodePorts}, {name: NodePorts}]}]",
        &["profiles[0].pluginConfig[1]: Duplicate value: \"NodePorts\""],
    );
    wrong(
        "NodeAffinity",
        "{kind: InterPodAffinityArgs}",
        &[
            ".kind: Unsupported value: \"InterPodAffinityArgs\": supported values: \"NodeAffinityArgs\"",
        ],
    );
    wrong("NodeAffinity", "{foo: 1}", &[".foo: unknown field \"foo\""]);
    wrong("NodeAffinity", "[]", &[": must be a mapping, not a list"]);
    let typed = "{apiVersion: kubescheduler.config.k8s.io/v1, kind: NodeAffinityArgs}";
    reads("NodeAffinity", typed, json!({}));
}

#[test]
fn gang_scheduling() {
    let plugin = "GangScheduling";
    let args = |reservation: bool, patience: &str| json!({"headOfLineReservation": reservation, "headOfLinePatience": patience});
    reads(plugin, "{}", args(true, "5m0s"));
    reads(
        plugin,
        "{headOfLineReservation: false}",
        args(false, "5m0s"),
    );
    reads(plugin, "{headOfLinePatience: 90s}", args(true, "1m30s"));
    wrong(
        plugin,
        "{headOfLinePatience: -1s}",
        &[".headOfLinePatience: Invalid value: \"-1s\": must be zero or positive"],
    );
}

#[test]
fn default_preemption() {
    let plugin = "DefaultPreemption";
    reads(plugin, "{violatePDB: false}", json!({}));
    reads(plugin, "{violatePDB: true}", json!({ "violatePDB": true }));
    let violating = "{minCandidateNodesAbsolute: 0, violatePDB: true}";
    reads(
        plugin,
        violating,
        json!({ "minCandidateNodesPercentage": 10, "minCandidateNodesAbsolute": 0, "violatePDB": true }),
    );
    wrong(
        plugin,
        "{violatePDB: 1}",
        &[".violatePDB: must be true or false, not 1"],
    );
    reads(
        plugin,
        "{minCandidateNodesPercentage: 50}",
        json!({ "minCandidateNodesPercentage": 50, "minCandidateNodesAbsolute": 100 }),
    );
    wrong(
        plugin,
        "{minCandidateNodesPercentage: -1}",
        &[".minCandidateNodesPercentage: Invalid value: -1: not in valid range [0, 100]"],
    );
    wrong(
        plugin,
        "{minCandidateNodesPercentage: 900, minCandidateNodesAbsolute: -1}",
        &[
            ".minCandidateNodesPercentage: Invalid value: 900: not in valid range [0, 100]",
            ".minCandidateNodesAbsolute: Invalid value: -1: not in valid range [0, inf)",
        ],
    );
    wrong(
        plugin,
        "{minCandidateNodesPercentage: 0, minCandidateNodesAbsolute: 0}",
        &[
            ".minCandidateNodesPercentage: Invalid value: 0: cannot be zero at the same time as \
             minCandidateNodesAbsolute",
            ".minCandidateNodesAbsolute: Invalid value: 0: cannot be zero at the same time as \
             minCandidateNodesPercentage",
        ],
    );
}

#[test]
fn inter_pod_affinity() {
    let plugin = "InterPodAffinity";
    for weight in [0, 1, 100] {
        reads(
            plugin,
            &format!("{{hardPodAffinityWeight: {weight}}}"),
            json!({
                "hardPodAffinityWeight": weight,
                "ignorePreferredTermsOfExistingPods": false,
            }),
        );
    }
    for weight in [-1, 101] {
        let text =
            format!(".hardPodAffinityWeight: Invalid value: {weight}: not in valid range [0, 100]");
        wrong(
            plugin,
            &format!("{{hardPodAffinityWeight: {weight}}}"),
            &[&text],
        );
    }
}

#[test]
fn pod_topology_spread() {
    let plugin = "PodTopologySpread";
    let one =
        |fields: &str| format!("{{defaultingType: List, defaultConstraints: [{{{fields}}}]}}");
    reads(
        plugin,
        &one("maxSkew: 1, topologyKey: node, whenUnsatisfiable: DoNotSchedule"),
        json!({
            "defaultingType": "List",
            "defaultConstraints": [
                { "maxSkew": 1, "topologyKey": "node", "whenUnsatisfiable": "DoNotSchedule" },
            ],
        }),
    );
    let constraint = ".defaultConstraints[0]";
    for (fields, path, text) in [
        (
            "maxSkew: 0, topologyKey: node, whenUnsatisfiable: DoNotSchedule",
            ".maxSkew",
            "Invalid value: 0: not in valid range (0, inf)",
        ),
        (
            "maxSkew: 1, whenUnsatisfiable: DoNotSchedule",
            ".topologyKey",
            "Required value: can not be empty",
        ),
        (
            "maxSkew: 1, topologyKey: node",
            ".whenUnsatisfiable",
            "Required value: can not be empty",
        ),
        (
            "maxSkew: 1, topologyKey: node, whenUnsatisfiable: Foo",
            ".whenUnsatisfiable",
            "Unsupported value: \"Foo\": supported values: \"DoNotSchedule\", \"ScheduleAnyway\"",
        ),
        (
            "maxSkew: 1, topologyKey: node, whenUnsatisfiable: DoNotSchedule, labelSelector: {}",
            ".labelSelector",
            "Forbidden: constraint must not define a selector, as they deduced for each pod",
        ),
    ] {
        wrong(
            plugin,
            &one(fields),
            &[&format!("{constraint}{path}: {text}")],
        );
    }
    let same = "{maxSkew: 1, topologyKey: node, whenUnsatisfiable: DoNotSchedule}";
    wrong(
        plugin,
        &format!("{{defaultingType: List, defaultConstraints: [{same}, {same}]}}"),
        &[".defaultConstraints[1]: Duplicate value: \"{node, DoNotSchedule}\""],
    );
    wrong(
        plugin,
        &format!("{{defaultConstraints: [{same}]}}"),
        &[".defaultingType: Invalid value: \"System\": when .defaultConstraints are not empty"],
    );
    // What is wrong with the list comes first, and then each constraint with all that is wrong with
    // it, under the place that it has in the file.
    let worse = "{maxSkew: 0, topologyKey: node, whenUnsatisfiable: Foo, labelSelector: {}}";
    let known = "supported values: \"DoNotSchedule\", \"ScheduleAnyway\"";
    let of_worse = |place: usize| {
        [
            "maxSkew: Invalid value: 0: not in valid range (0, inf)".to_owned(),
            format!("whenUnsatisfiable: Unsupported value: \"Foo\": {known}"),
            "labelSelector: Forbidden: constraint must not define a selector, as they deduced for \
             each pod"
                .to_owned(),
        ]
        .map(|text| format!(".defaultConstraints[{place}].{text}"))
    };
    let mut expected = vec![
        ".defaultingType: Invalid value: \"System\": when .defaultConstraints are not empty"
            .to_owned(),
        ".defaultConstraints[0]: must be a mapping, not 7".to_owned(),
    ];
    expected.extend(of_worse(1));
    expected.push(".defaultConstraints[2]: must be a mapping, not a list".to_owned());
    expected.extend(of_worse(3));
    expected.push(".defaultConstraints[3]: Duplicate value: \"{node, Foo}\"".to_owned());
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    let args = format!("{{defaultConstraints: [7, {worse}, [], {worse}]}}");
    wrong(plugin, &args, &expected);
    // The empty word stays one, and is not the default.
    let policies = "nodeAffinityPolicy: '', nodeTaintsPolicy: ''";
    reads(
        plugin,
        &one(&format!(
            "maxSkew: 1, topologyKey: node, whenUnsatisfiable: DoNotSchedule, {policies}"
        )),
        json!({
            "defaultingType": "List",
            "defaultConstraints": [{
                "maxSkew": 1, "topologyKey": "node", "whenUnsatisfiable": "DoNotSchedule",
                "nodeAffinityPolicy": "", "nodeTaintsPolicy": "",
            }],
        }),
    );
    wrong(
        plugin,
        "{defaultingType: Foo}",
        &[".defaultingType: Unsupported value: \"Foo\": supported values: \"System\", \"List\""],
    );
}

#[test]
fn node_resources_fit() {
    let plugin = "NodeResourcesFit";
    reads(
        plugin,
        "{ignoredResources: [example.com/a], ignoredResourceGroups: [example.com], \
         scoringStrategy: {type: RequestedToCapacityRatio, resources: [{name: a.b/c, weight: 3}, \
         {name: cpu}], requestedToCapacityRatio: {shape: [{utilization: 0, score: 0}, \
         {utilization: 100, score: 10}]}}}",
        json!({
            "ignoredResources": ["example.com/a"],
            "ignoredResourceGroups": ["example.com"],
            "scoringStrategy": {
                "type": "RequestedToCapacityRatio",
                "resources": [{ "name": "a.b/c", "weight": 3 }, { "name": "cpu", "weight": 1 }],
                "requestedToCapacityRatio": { "shape": [
                    { "utilization": 0, "score": 0 },
                    { "utilization": 100, "score": 10 },
                ] },
            },
        }),
    );
    reads(
        plugin,
        "{scoringStrategy: {type: MostAllocated}}",
        json!({ "scoringStrategy": {
            "type": "MostAllocated",
            "resources": [{ "name": "cpu", "weight": 1 }, { "name": "memory", "weight": 1 }],
        } }),
    );
    let name = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
        with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used \
        for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    wrong(
        plugin,
        "{ignoredResources: ['no space']}",
        &[&format!(
            ".ignoredResources[0]: Invalid value: \"no space\": name part {name}"
        )],
    );
    wrong(
        plugin,
        "{ignoredResourceGroups: [a/b]}",
        &[
            ".ignoredResourceGroups[0]: Invalid value: \"a/b\": resource group name can't contain \
           '/'",
        ],
    );
    let strategy = ".scoringStrategy";
    for (fields, path, text) in [
        (
            "type: Foo",
            ".type",
            "Unsupported value: \"Foo\": supported values: \"LeastAllocated\", \
             \"MostAllocated\", \"RequestedToCapacityRatio\"",
        ),
        (
            "type: LeastAllocated, resources: [{name: a, weight: 101}]",
            ".resources[0].weight",
            "Invalid value: 101: resource weight of a not in valid range (0, 100]",
        ),
        (
            "type: RequestedToCapacityRatio",
            ".requestedToCapacityRatio",
            "Required value: must be specified when type is RequestedToCapacityRatio",
        ),
        (
            "type: MostAllocated, requestedToCapacityRatio: {}",
            ".requestedToCapacityRatio",
            "Forbidden: must be nil when type is not RequestedToCapacityRatio",
        ),
        (
            "type: RequestedToCapacityRatio, requestedToCapacityRatio: {}",
            ".requestedToCapacityRatio.shape",
            "Required value: at least one point must be specified",
        ),
        (
            "type: RequestedToCapacityRatio, requestedToCapacityRatio: {shape: [{utilization: 10, \
             score: 3}, {utilization: 10, score: 4}]}",
            ".requestedToCapacityRatio.shape[1].utilization",
            "Invalid value: 10: values must be sorted in increasing order",
        ),
        (
            "type: RequestedToCapacityRatio, requestedToCapacityRatio: {shape: [{utilization: \
             101, score: 3}]}",
            ".requestedToCapacityRatio.shape[0].utilization",
            "Invalid value: 101: not in valid range [0, 100]",
        ),
        (
            "type: RequestedToCapacityRatio, requestedToCapacityRatio: {shape: [{utilization: 1, \
             score: 11}]}",
            ".requestedToCapacityRatio.shape[0].score",
            "Invalid value: 11: not in valid range [0, 10]",
        ),
    ] {
        let args = format!("{{scoringStrategy: {{{fields}}}}}");
        wrong(plugin, &args, &[&format!("{strategy}{path}: {text}")]);
    }
}

#[test]
fn node_resources_balanced_allocation() {
    let plugin = "NodeResourcesBalancedAllocation";
    reads(
        plugin,
        "{resources: [{name: cpu}, {name: a.b/c, weight: 1}]}",
        json!({ "resources": [
            { "name": "cpu", "weight": 1 },
            { "name": "a.b/c", "weight": 1 },
        ] }),
    );
    wrong(
        plugin,
        "{resources: [{name: cpu, weight: 2}, {name: memory, weight: -1}]}",
        &[
            ".resources[0].weight: Invalid value: 2: must be 1",
            ".resources[1].weight: Invalid value: -1: must be 1",
        ],
    );
    wrong(
        plugin,
        "{resources: [{name: cpu}, {name: cpu}]}",
        &[".resources[1].name: Duplicate value: \"cpu\""],
    );
}

#[test]
fn node_affinity() {
    let plugin = "NodeAffinity";
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let args = format!(
        "{{addedAffinity: {{{required}: {{nodeSelectorTerms: [{{matchExpressions: [{{key: zone, \
         operator: In, values: [a]}}]}}]}}, {preferred}: [{{weight: 3, preference: {{matchFields: \
         [{{key: metadata.name, operator: NotIn, values: [n1]}}]}}}}]}}}}"
    );
    reads(
        plugin,
        &args,
        json!({ "addedAffinity": {
            required: { "nodeSelectorTerms": [
                { "matchExpressions": [{ "key": "zone", "operator": "In", "values": ["a"] }] },
            ] },
            preferred: [{ "weight": 3, "preference": {
                "matchFields": [{ "key": "metadata.name", "operator": "NotIn", "values": ["n1"] }],
            } }],
        } }),
    );
    let terms = format!(".addedAffinity.{required}.nodeSelectorTerms[0]");
    for (term, path, text) in [
        (
            "matchExpressions: [{key: foo, operator: Foo}]",
            ".matchExpressions[0].operator",
            "Unsupported value: \"Foo\": supported values: \"In\", \"NotIn\", \"Exists\", \
             \"DoesNotExist\", \"Gt\", \"Lt\"",
        ),
        (
            "matchExpressions: [{key: foo, operator: In}]",
            ".matchExpressions[0].values",
            "Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
        ),
        (
            "matchExpressions: [{key: foo, operator: Exists, values: [a]}]",
            ".matchExpressions[0].values",
            "Invalid value: [\"a\"]: values set must be empty for exists and does not exist",
        ),
        (
            "matchExpressions: [{key: foo, operator: Gt, values: [a]}]",
            ".matchExpressions[0].values[0]",
            "Invalid value: \"a\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
        (
            "matchFields: [{key: metadata.name, operator: Exists}]",
            ".matchFields[0].operator",
            "Unsupported value: \"Exists\": supported values: \"In\", \"NotIn\"",
        ),
        (
            "matchFields: [{key: metadata.name, operator: In, values: [a, b]}]",
            ".matchFields[0].values",
            "Invalid value: [\"a\",\"b\"]: must have one element",
        ),
    ] {
        let args =
            format!("{{addedAffinity: {{{required}: {{nodeSelectorTerms: [{{{term}}}]}}}}}}");
        wrong(plugin, &args, &[&format!("{terms}{path}: {text}")]);
    }
}

#[test]
fn what_follows_an_entry_that_cannot_be_read_keeps_its_place() {
    let strategy = |fields: &str| format!("{{scoringStrategy: {{type: {fields}}}}}");
    let required = "addedAffinity.requiredDuringSchedulingIgnoredDuringExecution";
    let term = format!("{required}.nodeSelectorTerms[0].matchExpressions");
    for (plugin, args, list, unread, place, text) in [
        (
            "NodeResourcesFit",
            "{ignoredResourceGroups: [7, a/b]}".to_owned(),
            "ignoredResourceGroups",
            "a string",
            "[1]",
            "Invalid value: \"a/b\": resource group name can't contain '/'",
        ),
        (
            "NodeResourcesFit",
            strategy("LeastAllocated, resources: [7, {name: cpu, weight: 101}]"),
            "scoringStrategy.resources",
            "a mapping",
            "[1].weight",
            "Invalid value: 101: resource weight of cpu not in valid range (0, 100]",
        ),
        (
            "NodeResourcesBalancedAllocation",
            "{resources: [{name: cpu}, 7, {name: cpu}]}".to_owned(),
            "resources",
            "a mapping",
            "[2].name",
            "Duplicate value: \"cpu\"",
        ),
        (
            "VolumeBinding",
            "{shape: [{utilization: 20}, 7, {utilization: 10}]}".to_owned(),
            "shape",
            "a mapping",
            "[2].utilization",
            "Invalid value: 10: values must be sorted in increasing order",
        ),
        (
            "NodeAffinity",
            "{addedAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: \
             [{matchExpressions: [7, {key: a, operator: Exists, values: [b]}]}]}}}"
                .to_owned(),
            &term,
            "a mapping",
            "[1].values",
            "Invalid value: [\"b\"]: values set must be empty for exists and does not exist",
        ),
        (
            "NodeAffinity",
            "{addedAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: \
             [{matchExpressions: [{key: a, operator: Gt, values: [7, b]}]}]}}}"
                .to_owned(),
            &format!("{term}[0].values"),
            "a string",
            "[1]",
            "Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
    ] {
        let at = if args.contains(", 7,") { 1 } else { 0 };
        let expected = [
            format!(".{list}[{at}]: must be {unread}, not 7"),
            format!(".{list}{place}: {text}"),
        ];
        wrong(plugin, &args, &[&expected[0], &expected[1]]);
    }
    refused(
        "profiles: [{pluginConfig: [{name: NodePorts}, 7, {name: NodePorts}]}]",
        &[
            "profiles[0].pluginConfig[1]: must be a mapping, not 7",
            "profiles[0].pluginConfig[2]: Duplicate value: \"NodePorts\"",
        ],
    );
}

#[test]
fn volume_binding() {
    let plugin = "VolumeBinding";
    wrong(
        plugin,
        "{bindTimeoutSeconds: -10}",
        &[
            ".bindTimeoutSeconds: Invalid value: -10: invalid BindTimeoutSeconds, should not be a \
           negative value",
        ],
    );
    wrong(
        plugin,
        "{shape: [{utilization: 20, score: 5}, {utilization: 10, score: 3}]}",
        &[".shape[1].utilization: Invalid value: 10: values must be sorted in increasing order"],
    );
}

#[test]
fn dynamic_resources() {
    let plugin = "DynamicResources";
    reads(
        plugin,
        "{filterTimeout: 0s, bindingTimeout: 1s}",
        json!({ "filterTimeout": "0s", "bindingTimeout": "1s" }),
    );
    wrong(
        plugin,
        "{filterTimeout: -1s, bindingTimeout: 500ms}",
        &[
            ".filterTimeout: Invalid value: \"-1s\": must be zero or positive",
            ".bindingTimeout: Invalid value: \"500ms\": must be at least 1 second",
        ],
    );
}
