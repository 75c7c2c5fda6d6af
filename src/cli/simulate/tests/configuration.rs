//! A configuration file decides about placements.

use super::*;

/// `a` has 3 of its 4 cpu and 3 of its 4 GiB taken, `b` nothing; `b` has a taint that is only to be avoided.
fn cluster() -> String {
    let tainted = "{apiVersion: v1, kind: Node, metadata: {name: b}, \
                   spec: {taints: [{key: k, effect: PreferNoSchedule}]}, \
                   status: {allocatable: {pods: 110, cpu: 4, memory: 4Gi}}}\n---\n";
    [
        node("a", "cpu: 4, memory: 4Gi"),
        tainted.to_owned(),
        pod("held", "requests: {cpu: 3, memory: 3Gi}", ", nodeName: a"),
    ]
    .concat()
}

/// The node of the pod `p` and its scores, when this profile is the only one.
#[track_caller]
fn check(profile: &str, expected_node: &str, expected: &[(&str, i64)]) {
    let config = format!("profiles: [{{schedulerName: mine, {profile}}}]");
    let text = cluster()
        + &pod(
            "p",
            "requests: {cpu: 1, memory: 1Gi}",
            ", schedulerName: mine",
        );
    let schedulers = schedulers(Some(&config), &[]).unwrap();
    let report = simulated_by(schedulers, &[&text]).report;
    assert_eq!(placements(&report), [("p", expected_node)], "{profile}");
    let found: Vec<_> = report.pods[0]
        .scores
        .iter()
        .map(|(name, score)| (&**name, *score))
        .collect();
    assert_eq!(found, expected, "{profile}");
    let sum: i64 = expected.iter().map(|(_, score)| score).sum();
    assert_eq!(report.pods[0].total, sum, "{profile}");
}

#[test]
fn profiles_plugins_weights_and_arguments_decide() {
    let only = |plugins: &str| {
        format!("plugins: {{score: {{disabled: [{{name: '*'}}], enabled: [{plugins}]}}}}")
    };
    let fit = "{name: NodeResourcesFit, weight: 7}";
    let packing =
        "pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: MostAllocated}}}]";
    // Of `a` the pod would take the rest, of `b` a quarter.
    check(&only(fit), "b", &[("NodeResourcesFit", 7 * 75)]);
    check(
        &format!("{}, {packing}", only(fit)),
        "a",
        &[("NodeResourcesFit", 7 * 100)],
    );
    // What is to be avoided outweighs the room that is left, unless its weight is small.
    let taints = |weight: u32| format!("{fit}, {{name: TaintToleration, weight: {weight}}}");
    let avoided = [("NodeResourcesFit", 0), ("TaintToleration", 600)];
    check(&only(&taints(6)), "a", &avoided);
    let ignored = [("NodeResourcesFit", 7 * 75), ("TaintToleration", 0)];
    check(&only(&taints(5)), "b", &ignored);
    // A filter that is off does not filter.
    let off = "plugins: {filter: {disabled: [{name: NodeResourcesFit}]}, score: {disabled: [{name: '*'}]}}";
    let huge = pod("p", "requests: {cpu: 64}", ", schedulerName: mine");
    for (plugins, expected) in [(off, "a"), ("plugins: {}", "Unschedulable")] {
        let config = format!("profiles: [{{schedulerName: mine, {plugins}}}]");
        let schedulers = schedulers(Some(&config), &[]).unwrap();
        let report = simulated_by(schedulers, &[&node("a", "cpu: 1"), &huge]).report;
        assert_eq!(placements(&report), [("p", expected)], "{plugins}");
    }
}

#[test]
fn each_pod_is_placed_by_the_profile_it_names() {
    let config = "profiles: [{schedulerName: spread}, {schedulerName: pack, plugins: {score: \
        {disabled: [{name: '*'}], enabled: [{name: NodeResourcesFit}]}}, pluginConfig: \
        [{name: NodeResourcesFit, args: {scoringStrategy: {type: MostAllocated}}}]}]";
    let text = [
        node("a", "cpu: 4, memory: 4Gi"),
        node("b", "cpu: 4, memory: 4Gi"),
        pod("held", "requests: {cpu: 2, memory: 2Gi}", ", nodeName: a"),
        pod(
            "packed",
            "requests: {cpu: 1, memory: 1Gi}",
            ", schedulerName: pack",
        ),
        pod(
            "spread",
            "requests: {cpu: 1, memory: 1Gi}",
            ", schedulerName: spread",
        ),
        pod("other", "", ", schedulerName: other"),
        pod("nobodys", "", ""),
    ]
    .concat();
    let check = |names: &[&str], expected: &[(&str, &str)], left_out: &str| {
        let schedulers = schedulers(Some(config), names).unwrap();
        let Simulated { report, notes } = simulated_by(schedulers, &[&text]);
        assert_eq!(placements(&report), expected);
        let note = format!("unbound pods of other schedulers are left out: {left_out}");
        assert_eq!(notes, [note]);
    };
    let both = [("packed", "a"), ("spread", "b")];
    check(&[], &both, "1 of default-scheduler, 1 of other");
    let left_out = "1 of default-scheduler, 1 of other, 1 of spread";
    check(&["pack"], &both[..1], left_out);
}

#[test]
fn a_name_that_is_no_profile_is_wrong() {
    let config = "profiles: [{schedulerName: a}, {schedulerName: b}]";
    let error = schedulers(Some(config), &["a", "c"]).unwrap_err();
    let expected = "--scheduler-name c: no profile of --config is named so; it has a, b";
    assert_eq!(error.to_string(), expected);
}
