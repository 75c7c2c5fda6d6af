//! Profiles of configurations: what runs where, and what arguments do.

use std::path::Path;

use proptest::prelude::*;

use crate::cluster::Cluster;
use crate::config::MinCandidateNodes;
use crate::config::{self, Config};
use crate::framework::{Diagnosis, Evaluation, PostFilter, PreemptionPolicy, Profile};
use crate::model::{LabelView as _, PodShape};
use crate::plugins::testing::plain::{PlainNode, PlainPod};
use crate::plugins::{default_profile, profile};

/// The profile of a file with one profile, of which this is the rest.
fn of(rest: &str) -> Profile {
    let text = format!(
        "{{apiVersion: {}, kind: KubeSchedulerConfiguration, profiles: [{{schedulerName: berth, \
         {rest}}}]}}",
        config::API_VERSION
    );
    let loaded = Config::parse(Path::new("c"), &text).unwrap();
    profile(&loaded.config.profiles[0]).unwrap()
}

/// The names at each extension point that decides, and the weights.
fn shown(profile: &Profile) -> [String; 4] {
    let filters: Vec<_> = profile.filters().map(|(_, plugin)| plugin.name()).collect();
    let scores: Vec<_> = (profile.scores())
        .map(|(_, plugin, weight)| format!("{}:{weight}", plugin.name()))
        .collect();
    let held: Vec<_> = (profile.pre_enqueues())
        .map(|(_, one)| one.name())
        .collect();
    let post_filter = format!("{:?}", profile.post_filter);
    [
        filters.join(" "),
        scores.join(" "),
        held.join(" "),
        post_filter,
    ]
}

#[test]
fn the_default_configuration_makes_the_default_profile() {
    let made = profile(&config::Profile::named("berth")).unwrap();
    assert_eq!(shown(&made), shown(&default_profile("berth")));
    assert_eq!(shown(&of("")), shown(&made));
    let mut names: Vec<_> = made.plugins().map(|(_, one)| one.name()).collect();
    let mut expected: Vec<_> = crate::plugins::defaults()
        .iter()
        .map(|(plugin, _)| plugin.name())
        .collect();
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn plugins_run_only_where_they_are_on() {
    let defaults = shown(&default_profile("berth"));
    for (rest, point, expected) in [
        (
            "plugins: {score: {disabled: [{name: '*'}], enabled: [{name: ImageLocality, weight: \
             7}, {name: NodeResourcesFit}]}}",
            1,
            "ImageLocality:7 NodeResourcesFit:1",
        ),
        (
            "plugins: {multiPoint: {enabled: [{name: NodeAffinity, weight: 9}]}, score: \
             {disabled: [{name: TaintToleration}]}}",
            1,
            "NodeAffinity:9 NodeResourcesFit:1 PodTopologySpread:2 InterPodAffinity:2 \
             NodeResourcesBalancedAllocation:1 ImageLocality:1",
        ),
        (
            "plugins: {filter: {disabled: [{name: '*'}], enabled: [{name: NodePorts}]}}",
            0,
            "NodePorts",
        ),
        (
            "plugins: {preEnqueue: {disabled: [{name: SchedulingGates}]}}",
            2,
            "",
        ),
        (
            "plugins: {postFilter: {disabled: [{name: DefaultPreemption}]}}",
            3,
            "Other",
        ),
        (
            "plugins: {postFilter: {disabled: [{name: '*'}]}}",
            3,
            "Nothing",
        ),
    ] {
        let found = shown(&of(rest));
        for (place, (found, default)) in found.iter().zip(&defaults).enumerate() {
            let expected = if place == point { expected } else { default };
            assert_eq!(found, expected, "{rest}");
        }
    }
    let off = of("plugins: {multiPoint: {disabled: [{name: DefaultPreemption}]}}");
    assert_eq!(off.post_filter, PostFilter::Other);
}

#[test]
fn arguments_say_how_room_is_made() {
    let least = |percentage, absolute| {
        Some(MinCandidateNodes {
            percentage,
            absolute,
        })
    };
    for (args, min_candidates, violate_pdb) in [
        ("{}", None, false),
        ("{violatePDB: true}", None, true),
        ("{minCandidateNodesPercentage: 10}", least(10, 100), false),
        ("{minCandidateNodesAbsolute: 5}", least(10, 5), false),
    ] {
        let found = of(&format!(
            "pluginConfig: [{{name: DefaultPreemption, args: {args}}}]"
        ));
        let expected = PreemptionPolicy {
            min_candidates,
            violate_pdb,
        };
        assert_eq!(found.preemption, expected, "{args}");
    }
    let nothing = of("").preemption;
    assert_eq!(nothing, PreemptionPolicy::default());
}

#[test]
fn what_is_not_supported_is_refused_until_its_plugin_is_off() {
    let mut cluster = Cluster::default();
    let node = PlainNode {
        name: "a".to_owned(),
        pods: 110,
        ..PlainNode::default()
    };
    cluster.upsert_node(node.model(1));
    let with_claim = PodShape {
        resource_claims: true,
        ..PodShape::default()
    };
    let with_disk = PodShape {
        exclusive_disks: true,
        ..PodShape::default()
    };
    for (plugin, shape) in [
        ("VolumeRestrictions", with_disk),
        ("DynamicResources", with_claim),
    ] {
        let refused = |profile: &Profile| {
            let mut evaluation = Evaluation::default();
            evaluation.filter(profile, &shape, &cluster);
            evaluation.rejection().is_some()
        };
        let disabled = |point: &str| {
            of(&format!(
                "plugins: {{{point}: {{disabled: [{{name: {plugin}}}]}}}}"
            ))
        };
        assert!(refused(&of("")), "{plugin}");
        // It would still filter, only worse prepared.
        assert!(refused(&disabled("preFilter")), "{plugin}");
        assert!(refused(&disabled("score")), "{plugin}");
        assert!(!refused(&disabled("multiPoint")), "{plugin}");
        assert!(!refused(&disabled("filter")), "{plugin}");
    }
}

#[test]
fn groups_are_heeded_until_their_plugin_is_off() {
    let gangs = |point: &str, list: &str| {
        let plugins = format!("plugins: {{{point}: {{{list}: [{{name: GangScheduling}}]}}}}");
        of(&plugins).gangs.is_some()
    };
    assert!(of("").gangs.is_some());
    assert!(gangs("multiPoint", "enabled"));
    assert!(!gangs("multiPoint", "disabled"));
    let patience = |args: &str| {
        let args = format!("pluginConfig: [{{name: GangScheduling, args: {{{args}}}}}]");
        of(&args).gangs.unwrap().patience
    };
    let minutes = |minutes: u64| Some(std::time::Duration::from_secs(60 * minutes));
    assert_eq!(patience(""), minutes(5));
    assert_eq!(patience("headOfLinePatience: 10m"), minutes(10));
    assert_eq!(patience("headOfLinePatience: 0s"), minutes(0));
    assert_eq!(patience("headOfLineReservation: false"), None);
}

#[test]
fn ignored_resources_are_not_looked_at() {
    let mut cluster = Cluster::default();
    let node = PlainNode {
        name: "a".to_owned(),
        pods: 110,
        ..PlainNode::default()
    };
    cluster.upsert_node(node.model(1));
    let mut shape = PlainPod::default().compiled("", 1).waiting.unwrap().shape;
    shape.wanted.scalars = [("example.com/device".into(), 1)].into_iter().collect();
    let fits = |rest: &str| {
        let mut evaluation = Evaluation::default();
        evaluation.filter(&of(rest), &shape, &cluster);
        !evaluation.feasible().is_empty()
    };
    let args = |args: &str| format!("pluginConfig: [{{name: NodeResourcesFit, args: {{{args}}}}}]");
    assert!(!fits(""));
    assert!(fits(&args("ignoredResources: [example.com/device]")));
    assert!(fits(&args("ignoredResourceGroups: [example.com]")));
    assert!(!fits(&args("ignoredResourceGroups: [example.org]")));
}

/// Labels of nodes, by the places of few values.
fn labels() -> impl Strategy<Value = Vec<Option<u8>>> {
    proptest::collection::vec(proptest::option::of(0..4u8), 1..30)
}

proptest! {
    /// addedAffinity by the plugin, and by asking each node.
    #[test]
    fn added_affinity_properties(
        zones in labels(),
        wanted in 0..4u8,
        asked in proptest::option::of(0..4u8),
        weight in 1..100i32,
    ) {
        let mut cluster = Cluster::default();
        for (place, zone) in zones.iter().enumerate() {
            let labels = zone.iter().map(|zone| ("zone".to_owned(), format!("z{zone}")));
            let node = PlainNode {
                name: format!("node-{place}"),
                labels: labels.collect(),
                pods: 110,
                ..PlainNode::default()
            };
            cluster.upsert_node(node.model(1));
        }
        let profile = of(&format!(
            "pluginConfig: [{{name: NodeAffinity, args: {{addedAffinity: \
             {{requiredDuringSchedulingIgnoredDuringExecution: {{nodeSelectorTerms: \
             [{{matchExpressions: [{{key: zone, operator: NotIn, values: [z{wanted}]}}]}}]}}, \
             preferredDuringSchedulingIgnoredDuringExecution: [{{weight: {weight}, preference: \
             {{matchExpressions: [{{key: zone, operator: Exists}}]}}}}]}}}}}}]"
        ));
        let mut pod = PlainPod::default();
        if let Some(asked) = asked {
            pod.node_selector.insert("zone".to_owned(), format!("z{asked}"));
        }
        let shape = pod.compiled("", 1).waiting.unwrap().shape;
        let mut evaluation = Evaluation::default();
        evaluation.filter(&profile, &shape, &cluster);
        for node in cluster.nodes().iter() {
            let zone = cluster.node(node).unwrap().label("zone");
            let enforced = zone != Some(&format!("z{wanted}"));
            let own = asked.is_none_or(|asked| zone == Some(&format!("z{asked}")));
            let reasons: Vec<_> = evaluation.reasons_for(node).map(|one| one.text()).collect();
            let expected: &[&str] = match (enforced, own) {
                (false, _) => &["node(s) didn't match scheduler-enforced node affinity"],
                (true, false) => &["node(s) didn't match Pod's node affinity/selector"],
                (true, true) => &[],
            };
            prop_assert_eq!(&reasons, expected);
            prop_assert_eq!(evaluation.feasible().contains(node), expected.is_empty());
            let (skipped, mut why) = (evaluation.skipped(), Diagnosis::default());
            let fits = profile.fits((&shape).into(), &cluster, node, skipped, &mut why);
            prop_assert_eq!(fits, expected.is_empty());
        }
        evaluation.score(&profile, &shape, &cluster);
        for node in evaluation.feasible().iter() {
            let zone = cluster.node(node).unwrap().label("zone");
            let scores = evaluation.scores(&profile, &shape, &cluster, node);
            let found = scores.iter().find(|(one, _)| profile.plugin(*one).name() == "NodeAffinity");
            let expected = if zone.is_some() { 200 } else { 0 };
            prop_assert_eq!(found.map(|(_, score)| *score), Some(expected));
        }
    }
}
