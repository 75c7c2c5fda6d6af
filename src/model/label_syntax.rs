//! Whether a requirement of a label selector can be one. The API server refuses objects for which it
//! cannot, but for those that were stored before it did.

const NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and \
    end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used \
    for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, \
    '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
    'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const TOO_LONG: &str = "must be no more than 63 bytes";
/// Bytes of a label's name and of its value.
const LONGEST: usize = 63;

fn is_proper(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(word)
        && text.ends_with(word)
        && text.chars().all(|c| word(c) || "-_.".contains(c))
}

/// What is wrong with a text, of which this is the rule.
fn faults(text: &str, rule: &'static str) -> impl Iterator<Item = &'static str> {
    let long = (text.len() > LONGEST).then_some(TOO_LONG);
    long.into_iter().chain((!is_proper(text)).then_some(rule))
}

/// One text of several errors, as Go's aggregates have it.
pub(super) fn together(mut faults: Vec<String>) -> Result<(), String> {
    match faults.len() {
        0 => Ok(()),
        1 => Err(faults.swap_remove(0)),
        _ => Err(format!("[{}]", faults.join(", "))),
    }
}

/// Checks a requirement of a label selector. Source: `labels.NewRequirement`.
pub(super) fn check(key: &str, operator: &str, values: &[Box<str>]) -> Result<(), String> {
    let mut found = Vec::new();
    let name = key.rsplit('/').next().unwrap_or(key);
    let mut of_key: Vec<String> = Vec::new();
    if name.is_empty() {
        of_key.push("name part must be non-empty".to_owned());
    }
    of_key.extend(faults(name, NAME).map(|fault| format!("name part {fault}")));
    if !of_key.is_empty() {
        found.push(format!(
            "key: Invalid value: {key:?}: {}",
            of_key.join("; ")
        ));
    }
    match operator {
        "In" | "NotIn" if values.is_empty() => found.push(
            "values: Invalid value: null: for 'in', 'notin' operators, values set can't be empty"
                .to_owned(),
        ),
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let listed: Vec<_> = values.iter().map(|value| format!("{value:?}")).collect();
            found.push(format!(
                "values: Invalid value: [{}]: values set must be empty for exists and does not exist",
                listed.join(",")
            ));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => return Err(format!("{other:?} is not a valid label selector operator")),
    }
    for (place, value) in values
        .iter()
        .enumerate()
        .filter(|(_, value)| !value.is_empty())
    {
        let of_value: Vec<_> = faults(value, VALUE).collect();
        if !of_value.is_empty() {
            let of_value = of_value.join("; ");
            found.push(format!(
                "values[{place}][{key}]: Invalid value: {value:?}: {of_value}"
            ));
        }
    }
    together(found)
}
