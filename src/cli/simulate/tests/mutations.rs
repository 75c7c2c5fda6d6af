//! Whatever stands in a file, there is a report or a list of problems.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// Everything that is read, in one document.
const FULL: &str = include_str!("full.json");

/// Values that stand where others are expected.
fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(Value::Bool(true)),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "x",
            "-1",
            "1e99",
            "9223372036854775807",
            "0.0000000001",
            "Pod",
            "List",
            "Always",
            "In",
            "a/b",
            "\u{0}\u{1b}[31m",
            "NoSchedule",
            "-9223372036854775808",
            "1Ei",
            "b",
        ])
        .prop_map(Value::from),
        Just(serde_json::json!([])),
        Just(serde_json::json!({})),
        Just(serde_json::json!([null])),
        Just(serde_json::json!({"cpu": "9223372036854775807", "pods": "-5", "x/y": 1e300})),
    ]
}

/// Every place in the document, so that all are found with the same odds.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                places(field, &format!("{path}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, &format!("{path}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn ends(text: &str) {
    let inputs = inputs(&[text]);
    match simulate(
        &inputs,
        Problems::default(),
        Schedulers::default(),
        &mut |_, _| {},
    ) {
        Ok(simulated) => {
            // A panic within an attempt would end there.
            let broken = |pod: &report::Placement| pod.message.contains("broke off");
            assert!(!simulated.report.pods.iter().any(broken), "{simulated:?}");
            simulated.report.json().unwrap();
            simulated.report.table(Style::Plain);
        }
        Err(Stop::Problems(problems)) => {
            let (lines, _) = problems.into_lines();
            assert!(!lines.is_empty());
        }
        Err(Stop::Failed(error)) => panic!("{error:#}"),
    }
}

#[test]
fn the_document_is_fine_before_it_is_changed() {
    let report = report(&[FULL]);
    assert_eq!(
        report.pods.iter().filter(|pod| pod.node.is_some()).count(),
        4
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_out_of_place(changes in prop::collection::vec((any::<prop::sample::Index>(), odd()), 1..6)) {
        let mut document: Value = serde_json::from_str(FULL).unwrap();
        for (place, value) in changes {
            let mut found = Vec::new();
            places(&document, "", &mut found);
            *document.pointer_mut(&found[place.index(found.len())]).unwrap() = value;
        }
        ends(&document.to_string());
        ends(&serde_saphyr::to_string(&document).unwrap());
    }

    #[test]
    fn bytes_out_of_place(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..3, "[ -~\n\t\u{e9}]"), 1..6),
    ) {
        let yaml = ["cpu: 2", "cpu: 4"].map(|cpu| node("a", cpu)).concat() + &pod("p", "", "");
        for text in [FULL, &yaml] {
            let mut text: Vec<char> = text.chars().collect();
            for (place, how, new) in &changes {
                let place = place.index(text.len());
                let new = new.chars().next().unwrap();
                match how {
                    0 => text[place] = new,
                    1 => text.insert(place, new),
                    _ => text.truncate(place.max(1)),
                }
            }
            ends(&text.into_iter().collect::<String>());
        }
    }

    #[test]
    fn any_text(text in "\\PC*", lines in prop::collection::vec("(---|\\.\\.\\.|[a-z]+:|- |\\{|\\[|&a|\\*a|[ ]{2})*", 0..8)) {
        ends(&text);
        ends(&lines.join("\n"));
    }
}
