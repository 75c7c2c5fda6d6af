#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use super::*;

fn taint(key: &str, value: &str, effect: &str) -> Taint {
    Taint::compile(&api::Taint {
        key: key.into(),
        value: value.into(),
        effect: effect.into(),
    })
}

fn toleration([key, operator, value, effect]: [&str; 4]) -> Toleration {
    Toleration::compile(&api::Toleration {
        key: key.into(),
        operator: operator.into(),
        value: value.into(),
        effect: effect.into(),
    })
}

#[track_caller]
fn check(tolerating: [&str; 4], [key, value, effect]: [&str; 3], expected: bool) {
    let tolerated = toleration(tolerating).tolerates(&taint(key, value, effect));
    assert_eq!(tolerated, expected, "{tolerating:?}");
}

#[test]
fn tolerations_match_taints() {
    // The table of k8s.io/api/core/v1/toleration_test.go.
    check(
        ["foo", "Exists", "", "NoSchedule"],
        ["foo", "", "NoSchedule"],
        true,
    );
    check(
        ["foo", "Exists", "", "NoSchedule"],
        ["foo", "bar", "NoSchedule"],
        true,
    );
    check(
        ["", "Exists", "", "NoSchedule"],
        ["foo", "bar", "NoSchedule"],
        true,
    );
    check(
        ["foo", "Equal", "bar", "NoSchedule"],
        ["foo", "bar", "NoSchedule"],
        true,
    );
    check(
        ["foo", "Equal", "value1", "NoSchedule"],
        ["foo", "value2", "NoSchedule"],
        false,
    );
    check(
        ["foo", "Equal", "bar", "NoSchedule"],
        ["foo", "bar", "NoExecute"],
        false,
    );
    // Empty operator, key and effect.
    check(
        ["foo", "", "bar", "NoSchedule"],
        ["foo", "bar", "NoSchedule"],
        true,
    );
    check(
        ["foo", "", "", "NoSchedule"],
        ["foo", "bar", "NoSchedule"],
        false,
    );
    check(["foo", "", "bar", ""], ["foo", "bar", "NoExecute"], true);
    check(["", "", "bar", ""], ["foo", "bar", "NoExecute"], true);
    check(
        ["", "Exists", "", ""],
        ["foo", "bar", "PreferNoSchedule"],
        true,
    );
    check(
        ["other", "Exists", "", ""],
        ["foo", "bar", "NoSchedule"],
        false,
    );
    check(
        ["foo", "Exists", "ignored", ""],
        ["foo", "bar", "NoSchedule"],
        true,
    );
    // The comparison operators belong to a gate that is off, and nobody knows the last one.
    check(
        ["foo", "Gt", "750", "NoSchedule"],
        ["foo", "950", "NoSchedule"],
        false,
    );
    check(
        ["foo", "Lt", "950", "NoSchedule"],
        ["foo", "800", "NoSchedule"],
        false,
    );
    check(
        ["foo", "exists", "", "NoSchedule"],
        ["foo", "", "NoSchedule"],
        false,
    );
}

#[test]
fn the_first_untolerated_taint_that_forbids_is_found() {
    let taints = [
        taint("soft", "", "PreferNoSchedule"),
        taint("odd", "", "SomethingNew"),
        taint("a", "1", "NoSchedule"),
        taint("b", "2", "NoExecute"),
    ];
    let found = |tolerations: &[Toleration]| {
        find_untolerated(&taints, tolerations).map(|taint| taint.key.to_string())
    };
    let a = toleration(["a", "Exists", "", ""]);
    let b = toleration(["b", "Equal", "2", "NoExecute"]);
    assert_eq!(found(&[]), Some("a".to_owned()));
    assert_eq!(found(std::slice::from_ref(&a)), Some("b".to_owned()));
    assert_eq!(found(std::slice::from_ref(&b)), Some("a".to_owned()));
    assert_eq!(found(&[a, b]), None);
}

#[test]
fn only_soft_or_open_tolerations_cover_preferences() {
    for (effect, expected) in [
        ("", true),
        ("PreferNoSchedule", true),
        ("NoSchedule", false),
        ("NoExecute", false),
    ] {
        let covers = toleration(["a", "Exists", "", effect]).covers_preference();
        assert_eq!(covers, expected, "{effect}");
    }
}
