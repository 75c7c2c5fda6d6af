//! What Kubernetes accepts as names and values of labels, in its words. Source: apimachinery
//! `api/validate/content`.

const NAME_LIMIT: usize = 63;
const PREFIX_LIMIT: usize = 253;
const NAME_WORDS: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start \
    and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex \
    used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const PREFIX_WORDS: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
    'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const VALUE_WORDS: &str = "a valid label must be an empty string or consist of alphanumeric \
    characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
    'MyValue',  or 'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

fn is_name(text: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    ends(text.bytes().next()) && ends(text.bytes().next_back()) && text.bytes().all(inside)
}

fn is_subdomain(text: &str) -> bool {
    let label = |label: &str| {
        let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte != b'-');
        let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        ends(label.bytes().next()) && ends(label.bytes().next_back()) && label.bytes().all(inside)
    };
    text.split('.').all(label)
}

/// What is wrong with a key of a label, or with the name of a resource.
pub(crate) fn key_problems(key: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let (prefix, name) = match key.split_once('/') {
        Some((_, rest)) if rest.contains('/') => {
            return vec![format!(
                "a valid label key {NAME_WORDS} with an optional DNS subdomain prefix and '/' \
                 (e.g. 'example.com/MyName')"
            )];
        }
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if let Some(prefix) = prefix {
        if prefix.is_empty() {
            problems.push("prefix part must be non-empty".to_owned());
        } else {
            if prefix.len() > PREFIX_LIMIT {
                problems.push(format!(
                    "prefix part must be no more than {PREFIX_LIMIT} bytes"
                ));
            }
            if !is_subdomain(prefix) {
                problems.push(format!("prefix part {PREFIX_WORDS}"));
            }
        }
    }
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else if name.len() > NAME_LIMIT {
        problems.push(format!("name part must be no more than {NAME_LIMIT} bytes"));
    }
    if !is_name(name) {
        problems.push(format!("name part {NAME_WORDS}"));
    }
    problems
}

/// What is wrong with a value of a label.
pub(crate) fn value_problems(value: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if value.len() > NAME_LIMIT {
        problems.push(format!("must be no more than {NAME_LIMIT} bytes"));
    }
    if !value.is_empty() && !is_name(value) {
        problems.push(VALUE_WORDS.to_owned());
    }
    problems
}
