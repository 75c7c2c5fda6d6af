use super::*;

const NAME: &str = "[sig-scheduling] SchedulerPredicates validates that NodeSelector is respected [Conformance] [Serial]";

fn test() -> Test {
    Test::named(NAME)
}

#[test]
fn names_are_shortened_for_people_and_for_files() {
    let title = "SchedulerPredicates validates that NodeSelector is respected";
    assert_eq!(test().title(), title);
    let file = "schedulerpredicates-validates-that-nodeselector-is-respected";
    assert_eq!(test().file_name(), file);
}

#[test]
fn scheduling_tests_are_read_from_the_list() {
    let list = format!(
        "The following spec names can be used with 'ginkgo run --focus/skip':
    k8s.io/kubernetes@v1.37.1/test/e2e/apps/job.go:12: [sig-apps] Job should run: once
    k8s.io/kubernetes@v1.37.1/test/e2e/scheduling/predicates.go:445: {NAME}

"
    );
    assert_eq!(read_list(&list), [test()]);
}

#[test]
fn a_report_tells_what_came_of_the_test() {
    const SETUP: &str = r#"{"LeafNodeText": "", "State": "passed"}"#;
    const OTHER: &str = r#"{"ContainerHierarchyTexts": ["[sig-apps] Job"], "LeafNodeText": "runs", "State": "skipped"}"#;
    let spec = |rest: &str| {
        format!(
            r#"{{"ContainerHierarchyTexts": ["[sig-scheduling] SchedulerPredicates"],
                "LeafNodeText": "validates that NodeSelector is respected [Conformance] [Serial]", {rest}}}"#
        )
    };
    let check = |specs: &[&str], expected: Option<Verdict>| {
        let json = format!(r#"[{{"SpecReports": [{}]}}]"#, specs.join(","));
        let found = read_report(json.as_bytes(), &test()).ok();
        assert_eq!(found, expected, "{json}");
    };
    let passed = spec(r#""State": "passed""#);
    let failed = spec(r#""State": "failed", "Failure": {"Message": "Timed out"}"#);
    let late = spec(r#""State": "timedout""#);
    let skipped = spec(r#""State": "skipped", "Failure": {"Message": "needs 5 nodes"}"#);
    let left_out = spec(r#""State": "skipped""#);
    let broken = r#"{"LeafNodeText": "", "State": "failed", "Failure": {"Message": "no nodes"}}"#;

    check(&[SETUP, OTHER, &passed], Some(Verdict::Passed));
    check(&[&failed, OTHER], Some(Verdict::Failed("Timed out".into())));
    check(&[&late], Some(Verdict::Failed("timedout".into())));
    check(&[&skipped], Some(Verdict::Skipped("needs 5 nodes".into())));
    check(
        &[broken, &left_out],
        Some(Verdict::Failed("no nodes".into())),
    );
    check(&[&passed, broken], Some(Verdict::Failed("no nodes".into())));
    check(&[SETUP, OTHER], None);
}

#[test]
fn the_last_refusal_is_found_in_the_events() {
    let log = "\
  I1121 06:27:08.098 27483 dump.go:53] At 0001-01-01 - event for a: { } FailedScheduling: 0/4 nodes are available: 1.
  I1121 06:27:08.099 27483 dump.go:53] At 0001-01-01 - event for b: { } FailedScheduling: 0/4 nodes are available: 2.
  I1121 06:27:08.100 27483 dump.go:53] At 0001-01-01 - event for c: { } Scheduled: Successfully assigned c to d
";
    assert_eq!(last_refusal(log), Some("0/4 nodes are available: 2."));
    assert_eq!(last_refusal("nothing of the kind"), None);
}
