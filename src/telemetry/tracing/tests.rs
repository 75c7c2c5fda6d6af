#![allow(clippy::unwrap_used, clippy::expect_used)]

use tracing_subscriber::filter::LevelFilter;

use super::*;

/// The directives in force for a value of `RUST_LOG`, or the error.
fn directives(value: Option<&str>) -> Result<Vec<String>, String> {
    let filter = filter(value.map(Into::into)).map_err(|error| error.to_string())?;
    let mut directives: Vec<_> = filter.to_string().split(',').map(str::to_owned).collect();
    directives.sort();
    Ok(directives)
}

#[test]
fn users_directives_win_and_leave_the_noise_off() {
    let has = |value, directive: &str| {
        directives(value)
            .expect("read")
            .iter()
            .any(|have| have == directive)
    };
    for value in [None, Some(""), Some("berth=debug")] {
        assert!(
            has(value, "info") && has(value, "kube_client=warn"),
            "{value:?}"
        );
    }
    assert!(has(Some("debug"), "debug") && !has(Some("debug"), "info"));
    assert!(has(Some("debug"), "kube_client=warn"));
    assert!(has(Some("berth=trace"), "berth=trace"));
    assert!(has(Some("kube_client=debug"), "kube_client=debug"));
    assert!(!has(Some("kube_client=debug"), "kube_client=warn"));
    assert!(has(None, "kube_client::client=error") && has(None, "kube_client::client::tls=warn"));
    assert_eq!(
        filter(None).unwrap().max_level_hint(),
        Some(LevelFilter::INFO)
    );
}

#[test]
fn a_bad_filter_is_named() {
    let error = directives(Some("berth=loud")).unwrap_err();
    assert!(
        error.starts_with("RUST_LOG=\"berth=loud\" is not understood: "),
        "{error}"
    );
    assert!(error.contains("RUST_LOG=berth=debug"), "{error}");
    assert!(!error.contains('\n'), "{error}");
}
