use super::{format, parse};

#[test]
fn durations_are_read_and_written_as_go_does() {
    let second = 1_000_000_000;
    for (text, nanoseconds, written) in [
        ("15s", 15 * second, "15s"),
        ("1m30s", 90 * second, "1m30s"),
        ("1.5h", 5400 * second, "1h30m0s"),
        ("600s", 600 * second, "10m0s"),
        ("250ms", 250_000_000, "250ms"),
        ("1.25s", 1_250_000_000, "1.25s"),
        ("0", 0, "0s"),
        ("0s", 0, "0s"),
        ("-2s", -2 * second, "-2s"),
        ("3us", 3_000, "3µs"),
        ("7ns", 7, "7ns"),
    ] {
        assert_eq!(parse(text), Some(nanoseconds), "{text}");
        assert_eq!(format(nanoseconds), written, "{text}");
    }
    for text in [
        "",
        "15",
        "s",
        "1x",
        "1s2",
        ".s",
        "-",
        "1e3s",
        "999999999999h",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}
