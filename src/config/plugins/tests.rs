//! The tables of kube-scheduler: `framework/runtime/framework_test.go`
//! (`TestNewFrameworkMultiPointExpansion`) and `apis/config/v1/default_plugins_test.go`
//! (`TestMergePlugins`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

/// `A B:5` as a list; `!A` or `!*` is switched off.
fn set(text: &str) -> PluginSet {
    let mut set = PluginSet::default();
    for word in text.split_whitespace() {
        if let Some(name) = word.strip_prefix('!') {
            set.disabled.push(name.to_owned());
        } else {
            let (name, weight) = match word.split_once(':') {
                Some((name, weight)) => (name, Some(weight.parse().unwrap())),
                None => (word, None),
            };
            set.enabled.push(PluginRef {
                name: name.to_owned(),
                weight,
            });
        }
    }
    set
}

/// Lines `point: set`.
fn plugins(lines: &[(&str, &str)]) -> Plugins {
    let mut plugins = Plugins::default();
    for (field, text) in lines {
        match Point::ALL.iter().find(|point| point.field() == *field) {
            Some(point) => {
                plugins.points.insert(*point, set(text));
            }
            None => plugins.multi_point = set(text),
        }
    }
    plugins
}

/// What the plugins of upstream's test implement.
fn implements(name: &str, point: Point) -> bool {
    match name {
        "test" => point != Point::PreEnqueue,
        "score1" => matches!(point, Point::PreScore | Point::Score),
        "score2" | "normalize1" => point == Point::Score,
        "placement1" => point == Point::PlacementScore,
        "sort" => point == Point::QueueSort,
        "bind" => point == Point::Bind,
        _ => false,
    }
}

/// Everything the plugin `test` has, where nothing else is said.
const EVERYWHERE: &[&str] = &[
    "queueSort",
    "preFilter",
    "filter",
    "postFilter",
    "preScore",
    "score",
    "reserve",
    "permit",
    "preBind",
    "bind",
    "postBind",
    "placementGenerate",
    "placementScore",
    "podGroupPostFilter",
];

fn shown(expanded: &Expanded) -> BTreeMap<String, String> {
    let line = |plugins: &Vec<(String, i64)>| {
        let words = plugins.iter().map(|(name, weight)| match weight {
            0 => name.clone(),
            weight => format!("{name}:{weight}"),
        });
        words.collect::<Vec<_>>().join(" ")
    };
    (expanded.iter())
        .map(|(point, plugins)| (point.field().to_owned(), line(plugins)))
        .collect()
}

type Lines<'a> = &'a [(&'a str, &'a str)];

#[test]
fn multi_point_is_expanded_as_upstream_does() {
    // The wishes, and the points that differ from `test` alone with weight 1; an empty text means
    // that nobody is there.
    let cases: &[(&str, Lines<'_>, Lines<'_>)] = &[
        (
            "plugin expansion",
            &[("multiPoint", "test:5")],
            &[("score", "test:5"), ("placementScore", "test:5")],
        ),
        (
            "disable MultiPoint plugin at some extension points",
            &[
                ("multiPoint", "test"),
                ("preScore", "!test"),
                ("score", "!test"),
                ("placementScore", "!test"),
            ],
            &[("preScore", ""), ("score", ""), ("placementScore", "")],
        ),
        (
            "multiple MultiPoint plugins",
            &[("multiPoint", "test score1 placement1")],
            &[
                ("preScore", "test score1"),
                ("score", "test:1 score1:1"),
                ("placementScore", "test:1 placement1:1"),
            ],
        ),
        (
            "disable MultiPoint extension",
            &[("multiPoint", "test score1"), ("preScore", "!*")],
            &[("preScore", ""), ("score", "test:1 score1:1")],
        ),
        (
            "reorder: the point takes precedence",
            &[
                ("multiPoint", "normalize1 test score1"),
                ("score", "score1 test"),
            ],
            &[
                ("preScore", "test score1"),
                ("score", "score1:1 test:1 normalize1:1"),
            ],
        ),
        (
            "reorder: only of what is in multiPoint",
            &[
                ("multiPoint", "test score1"),
                ("score", "normalize1 score1 test"),
            ],
            &[
                ("preScore", "test score1"),
                ("score", "score1:1 test:1 normalize1:1"),
            ],
        ),
        (
            "override weights",
            &[
                ("multiPoint", "test score1"),
                ("score", "score1:5 test:3"),
                ("placementScore", "test:2"),
            ],
            &[
                ("preScore", "test score1"),
                ("score", "score1:5 test:3"),
                ("placementScore", "test:2"),
            ],
        ),
        (
            "override weights, nobody twice",
            &[
                ("multiPoint", "test score1 placement1"),
                ("score", "score1:5 score2:5 test:3"),
                ("placementScore", "test:2 placement1:6"),
            ],
            &[
                ("preScore", "test score1"),
                ("score", "score1:5 test:3 score2:5"),
                ("placementScore", "test:2 placement1:6"),
            ],
        ),
    ];
    for (name, wishes, differences) in cases {
        let mut expected: BTreeMap<String, String> = (EVERYWHERE.iter())
            .map(|field| {
                let weighted = matches!(*field, "score" | "placementScore");
                let text = if weighted { "test:1" } else { "test" };
                ((*field).to_owned(), text.to_owned())
            })
            .collect();
        for (field, text) in *differences {
            expected.insert((*field).to_owned(), (*text).to_owned());
        }
        expected.retain(|_, text| !text.is_empty());
        let expanded = plugins(wishes).expand_by(implements).unwrap();
        assert_eq!(shown(&expanded), expected, "{name}");
    }
}

#[test]
fn what_is_switched_off_in_multi_point_comes_back_when_it_is_named() {
    for wishes in [
        "sort bind score1 placement1 !*",
        "bind sort score1 placement1 !score1",
    ] {
        let expanded = plugins(&[("multiPoint", wishes)])
            .expand_by(implements)
            .unwrap();
        let expected = [
            ("bind", "bind"),
            ("placementScore", "placement1:1"),
            ("preScore", "score1"),
            ("queueSort", "sort"),
            ("score", "score1:1"),
        ];
        let expected = expected.map(|(field, text)| (field.to_owned(), text.to_owned()));
        assert_eq!(shown(&expanded), BTreeMap::from(expected), "{wishes}");
    }
}

#[test]
fn nobody_stands_twice_at_one_point() {
    let twice = plugins(&[("multiPoint", "test test")]);
    let text = "plugin \"test\" already registered as \"QueueSortPlugin\"";
    let expected = ("multiPoint.enabled".to_owned(), text.to_owned());
    assert_eq!(twice.expand_by(implements), Err(expected));
    let twice = plugins(&[("score", "score1 score1")]);
    let text = "plugin \"score1\" already registered as \"ScorePlugin\"";
    let expected = ("score.enabled".to_owned(), text.to_owned());
    assert_eq!(twice.expand_by(implements), Err(expected));
}

#[test]
fn wishes_are_merged_with_defaults_as_upstream_does() {
    // Name, defaults, wishes, what comes out; all of one extension point.
    for (name, default, own, expected) in [
        ("append", "A B", "C", "A B C"),
        ("insert after", "A B", "C B !B", "A C B !B"),
        ("insert before", "A B", "C A B !*", "C A B !*"),
        ("reorder", "A B", "B A !*", "B A !*"),
        ("no wishes", "A B", "", "A B"),
        ("override", "A B C", "A:2 C:3", "A:2 B C:3"),
        ("order is kept", "A B C", "B:2 A:1", "A:1 B:2 C"),
        ("repeated", "A B C", "A B:2 C B:4", "A B:4 C B:2"),
        ("append and disable", "A B", "C D !B", "A C D !B"),
        ("disabled by default", "A !B", "C", "A C !B"),
        ("only disabled", "A", "!A", "!A"),
    ] {
        let merged = set(own).over(&set(default));
        assert_eq!(merged, set(expected), "{name}");
        for field in ["multiPoint", "filter"] {
            let merged = plugins(&[(field, own)]).over(&plugins(&[(field, default)]));
            assert_eq!(merged, plugins(&[(field, expected)]), "{name} at {field}");
        }
    }
    let own = plugins(&[("multiPoint", "C D !B"), ("score", "!D")]);
    let merged = own.over(&plugins(&[("multiPoint", "A B")]));
    assert_eq!(
        merged,
        plugins(&[("multiPoint", "A C D !B"), ("score", "!D")])
    );
}

#[test]
fn the_default_list_is_upstreams_before_and_after_expansion() {
    // Source: `apis/config/testing/defaults/defaults.go`.
    let expected = "SchedulingGates PrioritySort NodeName NodeUnschedulable TaintToleration:3 \
        NodeAffinity:2 NodePorts NodeResourcesFit:1 VolumeRestrictions NodeVolumeLimits \
        VolumeBinding VolumeZone PodTopologySpread:2 InterPodAffinity:2 DynamicResources:2 \
        DefaultPreemption NodeResourcesBalancedAllocation:1 ImageLocality:1 DefaultBinder \
        NodeDeclaredFeatures";
    assert_eq!(Plugins::defaults(), plugins(&[("multiPoint", expected)]));

    let filters = "NodeName NodeUnschedulable TaintToleration NodeAffinity NodePorts \
        NodeResourcesFit VolumeRestrictions NodeVolumeLimits VolumeBinding VolumeZone \
        PodTopologySpread InterPodAffinity DynamicResources NodeDeclaredFeatures";
    let expected = [
        ("bind", "DefaultBinder"),
        ("filter", filters),
        ("placementScore", "NodeResourcesFit:1"),
        ("podGroupPostFilter", "DynamicResources DefaultPreemption"),
        ("postFilter", "DynamicResources DefaultPreemption"),
        ("preBind", "VolumeBinding DynamicResources"),
        (
            "preEnqueue",
            "SchedulingGates DynamicResources DefaultPreemption",
        ),
        ("preFilter", filters),
        (
            "preScore",
            "TaintToleration NodeAffinity NodeResourcesFit VolumeBinding PodTopologySpread \
             InterPodAffinity NodeResourcesBalancedAllocation",
        ),
        ("queueSort", "PrioritySort"),
        ("reserve", "VolumeBinding DynamicResources"),
        (
            "score",
            "TaintToleration:3 NodeAffinity:2 NodeResourcesFit:1 VolumeBinding:1 \
             PodTopologySpread:2 InterPodAffinity:2 DynamicResources:2 \
             NodeResourcesBalancedAllocation:1 ImageLocality:1",
        ),
    ];
    let expected = expected.map(|(field, text)| (field.to_owned(), text.to_owned()));
    let expanded = Plugins::defaults().expand().unwrap();
    assert_eq!(shown(&expanded), BTreeMap::from(expected));
}
