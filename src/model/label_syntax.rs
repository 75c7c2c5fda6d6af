//! Whether a requirement on labels can be one. The API server refuses objects for which it cannot,
//! but for those that were stored before it did, and for preferred node affinity.

use std::fmt::Arguments;

use super::Operator;
use crate::config::labels::{key_problems, value_problems};

/// One text of several errors, as Go's aggregates have it; None without any.
pub(super) fn together(mut faults: Vec<String>) -> Option<String> {
    match faults.len() {
        0 | 1 => faults.pop(),
        _ => Some(format!("[{}]", faults.join(", "))),
    }
}

/// An integer as Go's `strconv.ParseInt(text, 10, 64)` reads it.
pub(super) fn go_integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Values as they are shown.
pub(super) fn listed(values: &[Box<str>]) -> String {
    if values.is_empty() {
        return "null".to_owned();
    }
    let values: Vec<_> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("[{}]", values.join(","))
}

/// What is wrong with a requirement. Each fault begins with where it is, after `place`. Source:
/// `labels.NewRequirement`.
pub(super) fn faults(
    place: Arguments<'_>,
    key: &str,
    operator: Operator,
    values: &[Box<str>],
) -> Vec<String> {
    let mut found = Vec::new();
    let of_key = key_problems(key);
    if !of_key.is_empty() {
        let of_key = of_key.join("; ");
        found.push(format!("{place}key: Invalid value: {key:?}: {of_key}"));
    }
    let mut wrong_values = |why: &str| {
        let values = listed(values);
        found.push(format!("{place}values: Invalid value: {values}: {why}"));
    };
    match operator {
        Operator::In | Operator::NotIn if values.is_empty() => {
            wrong_values("for 'in', 'notin' operators, values set can't be empty");
        }
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            wrong_values("values set must be empty for exists and does not exist");
        }
        Operator::Gt | Operator::Lt => {
            if values.len() != 1 {
                wrong_values("for 'Gt', 'Lt' operators, exactly one value is required");
            }
            let numbers = values.iter().enumerate();
            for (index, value) in numbers.filter(|(_, value)| go_integer(value).is_none()) {
                found.push(format!(
                    "{place}values[{index}]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, \
                     the value must be an integer"
                ));
            }
        }
        _ => {}
    }
    for (index, value) in values.iter().enumerate() {
        let of_value = value_problems(value);
        if !of_value.is_empty() {
            let of_value = of_value.join("; ");
            found.push(format!(
                "{place}values[{index}][{key}]: Invalid value: {value:?}: {of_value}"
            ));
        }
    }
    found
}
