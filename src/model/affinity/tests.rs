#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;

use super::*;

/// A node with a name and labels.
struct Node(&'static str, BTreeMap<&'static str, &'static str>);

impl LabelView for Node {
    fn label(&self, key: &str) -> Option<&str> {
        self.1.get(key).copied()
    }

    fn name(&self) -> &str {
        self.0
    }
}

fn requirement(key: &str, operator: &str, values: &[&str]) -> api::Requirement {
    api::Requirement {
        key: key.into(),
        operator: operator.into(),
        values: values.iter().map(|value| (*value).into()).collect(),
    }
}

type Parts<'a> = &'a [(&'a str, &'a str, &'a [&'a str])];

fn term(expressions: Parts<'_>, fields: Parts<'_>) -> api::NodeSelectorTerm {
    let list = |parts: Parts<'_>| {
        (parts.iter())
            .map(|(key, operator, values)| requirement(key, operator, values))
            .collect()
    };
    api::NodeSelectorTerm {
        match_expressions: list(expressions),
        match_fields: list(fields),
    }
}

fn terms(terms: Vec<api::NodeSelectorTerm>) -> RequiredTerms {
    RequiredTerms::compile(&api::NodeSelector {
        node_selector_terms: terms,
    })
}

/// One expression on a label, and whether it holds for values of that label (None: absent).
#[track_caller]
fn check(operator: &str, values: &[&str], holds: &[(Option<&'static str>, bool)]) {
    let terms = terms(vec![term(&[("key", operator, values)], &[])]);
    for (value, expected) in holds {
        let node = Node("n", value.map(|value| ("key", value)).into_iter().collect());
        assert_eq!(
            terms.matches(&node),
            *expected,
            "{operator} {values:?} {value:?}"
        );
    }
}

#[test]
fn operators() {
    let labels = |a, b, none| {
        [
            (Some("a"), a),
            (Some("b"), b),
            (Some(""), false),
            (None, none),
        ]
    };
    check("In", &["a"], &labels(true, false, false));
    check("In", &["a", "b"], &labels(true, true, false));
    check("In", &[""], &[(Some(""), true), (None, false)]);
    check("NotIn", &["a", ""], &labels(false, true, true));
    check(
        "Exists",
        &[],
        &[(Some("a"), true), (Some(""), true), (None, false)],
    );
    check("DoesNotExist", &[], &labels(false, false, true));
    check(
        "Gt",
        &["10"],
        &[
            (Some("11"), true),
            (Some("10"), false),
            (Some("9"), false),
            (Some("+11"), true),
            (Some("011"), true),
            (Some("-11"), false),
            (Some("11.0"), false),
            (Some("x"), false),
            (Some(""), false),
            (Some("9223372036854775807"), true),
            (Some("9223372036854775808"), false),
            (None, false),
        ],
    );
    check(
        "Lt",
        &["10"],
        &[
            (Some("9"), true),
            (Some("10"), false),
            (Some("-5"), true),
            (None, false),
        ],
    );
}

#[test]
fn what_cannot_be_read_matches_nothing() {
    let all = [(Some("a"), false), (Some("5"), false), (None, false)];
    for (operator, values) in [
        ("In", &[][..]),
        ("NotIn", &[]),
        ("Exists", &["a"]),
        ("DoesNotExist", &["a"]),
        ("Gt", &[]),
        ("Gt", &["1", "2"]),
        ("Gt", &["one"]),
        ("Lt", &["1.5"]),
        ("in", &["a"]),
        ("", &["a"]),
    ] {
        check(operator, values, &all);
    }
}

#[test]
fn terms_are_ored_and_their_parts_anded() {
    let node = Node("one", BTreeMap::from([("a", "1"), ("b", "2")]));
    let a = ("a", "In", &["1"][..]);
    let b = ("b", "In", &["9"][..]);
    let bad = ("a", "Oops", &[][..]);
    let named = ("metadata.name", "In", &["one"][..]);
    let not_named = ("metadata.name", "NotIn", &["one"][..]);
    let check = |list: Vec<api::NodeSelectorTerm>, expected: bool| {
        assert_eq!(terms(list.clone()).matches(&node), expected, "{list:?}");
    };
    check(vec![], false);
    check(vec![term(&[], &[])], false);
    check(vec![term(&[a], &[])], true);
    check(vec![term(&[a, b], &[])], false);
    check(vec![term(&[b], &[]), term(&[a], &[])], true);
    check(vec![term(&[bad], &[]), term(&[a], &[])], true);
    check(vec![term(&[a, bad], &[])], false);
    check(vec![term(&[], &[named])], true);
    check(vec![term(&[a], &[named])], true);
    check(vec![term(&[b], &[named])], false);
    check(vec![term(&[a], &[not_named])], false);
    check(vec![term(&[], &[named, not_named])], false);
    check(
        vec![term(&[], &[("metadata.name", "In", &["one", "two"])])],
        false,
    );
    check(vec![term(&[], &[("metadata.name", "Exists", &[])])], false);
    check(
        vec![term(&[], &[("metadata.namespace", "In", &["one"])])],
        false,
    );
}

#[test]
fn terms_confine_to_nodes_when_all_of_them_name_one() {
    let named = |name| ("metadata.name", "In", name);
    let (a, b) = (named(&["a"][..]), named(&["b"][..]));
    let not_a = ("metadata.name", "NotIn", &["a"][..]);
    let label = ("k", "Exists", &[][..]);
    let check = |list: Vec<api::NodeSelectorTerm>, expected: Option<&[&str]>| {
        assert_eq!(
            terms(list.clone()).confined_to().as_deref(),
            expected,
            "{list:?}"
        );
    };
    check(vec![], None);
    check(vec![term(&[], &[])], None);
    check(vec![term(&[label], &[])], None);
    check(vec![term(&[], &[not_a])], None);
    check(vec![term(&[], &[a])], Some(&["a"]));
    check(vec![term(&[label], &[a, not_a])], Some(&["a"]));
    check(
        vec![term(&[], &[b]), term(&[], &[a]), term(&[], &[b])],
        Some(&["a", "b"]),
    );
    check(vec![term(&[], &[a, a])], Some(&["a"]));
    check(vec![term(&[], &[a, b])], Some(&[]));
    check(vec![term(&[], &[a, b]), term(&[], &[b])], Some(&["b"]));
    check(vec![term(&[], &[a]), term(&[label], &[])], None);
    // A term that cannot be read still narrows by its names.
    check(vec![term(&[("k", "Oops", &[])], &[a])], Some(&["a"]));
}

#[test]
fn preferences_without_weight_or_content_are_left_out() {
    let label: Parts<'_> = &[("k", "Exists", &[])];
    for (weight, preference, kept) in [
        (1, term(label, &[]), true),
        (0, term(label, &[]), false),
        (5, term(&[], &[]), false),
    ] {
        let compiled = PreferredTerm::compile(&[api::PreferredTerm { weight, preference }]);
        assert_eq!(compiled.map(|terms| terms.len()), Ok(usize::from(kept)));
    }
}

/// The texts are those of `nodeaffinity.NewPreferredSchedulingTerms`.
#[test]
fn preferred_terms_that_cannot_be_read_are_told_in_upstreams_words() {
    const NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start \
        and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex \
        used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric \
        characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
        'MyValue',  or 'my_value',  or '12345', regex used for validation is \
        '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
    let check = |list: &[(i32, api::NodeSelectorTerm)], expected: &str| {
        let preferred: Vec<_> = (list.iter())
            .map(|(weight, preference)| api::PreferredTerm {
                weight: *weight,
                preference: preference.clone(),
            })
            .collect();
        assert_eq!(PreferredTerm::compile(&preferred), Err(expected.to_owned()));
    };
    let one = |expression, expected: &str| {
        let place = "[0].matchExpressions[0].";
        check(
            &[(1, term(&[expression], &[]))],
            &format!("{place}{expected}"),
        );
    };
    one(
        ("disk", "In", &["ssd", "a b"]),
        &format!("values[1][disk]: Invalid value: \"a b\": {VALUE}"),
    );
    one(
        ("size", "Gt", &["1", "2"]),
        "values: Invalid value: [\"1\",\"2\"]: for 'Gt', 'Lt' operators, exactly one value is \
         required",
    );
    one(
        ("size", "Lt", &[]),
        "values: Invalid value: null: for 'Gt', 'Lt' operators, exactly one value is required",
    );
    one(
        ("disk", "In", &[]),
        "values: Invalid value: null: for 'in', 'notin' operators, values set can't be empty",
    );
    one(
        ("disk", "Exists", &["a", "b"]),
        "values: Invalid value: [\"a\",\"b\"]: values set must be empty for exists and does not \
         exist",
    );
    one(
        ("-/b", "NotIn", &["a"]),
        "key: Invalid value: \"-/b\": prefix part a lowercase RFC 1123 subdomain must consist of \
         lower case alphanumeric characters, '-' or '.', and must start and end with an \
         alphanumeric character (e.g. 'example.com', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    );
    one(
        ("", "Exists", &[]),
        &format!("key: Invalid value: \"\": name part must be non-empty; name part {NAME}"),
    );
    one(
        ("a/b/c", "Exists", &[]),
        &format!(
            "key: Invalid value: \"a/b/c\": a valid label key {NAME} with an optional DNS \
             subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ),
    );
    // Those of all terms and requirements stand together.
    let is = term(&[("disk", "Is", &["ssd"]), ("size", "Gt", &["many"])], &[]);
    check(
        &[
            (1, term(&[("disk", "In", &["ssd"])], &[])),
            (0, is.clone()),
            (5, is.clone()),
        ],
        "[[2].matchExpressions[0].operator: Unsupported value: \"Is\": supported values: \"In\", \
         \"NotIn\", \"Exists\", \"DoesNotExist\", \"Gt\", \"Lt\", \
         [2].matchExpressions[1].values[0]: Invalid value: \"many\": for 'Gt', 'Lt' operators, the \
         value must be an integer]",
    );
    let name = "metadata.name";
    let fields: Parts<'_> = &[
        (name, "Exists", &[]),
        (name, "In", &["a", "b"]),
        (name, "In", &[]),
        ("other", "In", &["a"]),
    ];
    check(
        &[(1, term(&[], fields))],
        "[[0].matchFields[0].operator: Unsupported value: \"Exists\": supported values: \"In\", \
         \"NotIn\", [0].matchFields[1].values: Invalid value: [\"a\",\"b\"]: must have one \
         element, [0].matchFields[2].values: Invalid value: null: must have one element]",
    );
    let unread = api::PreferredTerm {
        weight: 0,
        preference: is,
    };
    assert_eq!(PreferredTerm::compile(&[unread]), Ok(Box::default()));
}
