#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

mod vectors;

/// What a text should be read as: `(nano units, value, milli value)`, or `None` when it should be
/// rejected.
type Expected = Option<(i128, i64, i64)>;

#[track_caller]
fn check(text: &str, expected: Expected) {
    let read = Quantity::parse(text)
        .ok()
        .map(|read| (read.0, read.value(), read.milli_value()));
    assert_eq!(read, expected, "{text:?}");
}

#[test]
fn reads_what_go_reads() {
    assert!(vectors::READ.len() > 200);
    for &(text, nano, value, milli) in vectors::READ {
        check(text, Some((nano, value, milli)));
    }
}

#[test]
fn rejects_what_go_rejects() {
    for text in vectors::REJECTED {
        check(text, None);
    }
}

#[test]
fn saturates_and_rounds_away_from_zero_where_go_does_not() {
    for &(text, nano, go, [value, milli]) in vectors::DIFFER {
        assert_ne!(go, [value, milli], "{text:?} belongs into the other table");
        check(text, Some((nano, value, milli)));
    }
}

#[test]
fn huge_amounts_and_exponents_saturate_at_once() {
    let nines = "9".repeat(10_000);
    let tiny = format!("0.{}1", "0".repeat(10_000));
    let most = Some((i128::MAX, i64::MAX, i64::MAX));
    let least = Some((-i128::MAX, i64::MIN, i64::MIN));
    for (text, expected) in [
        ("1e30", most),
        ("-1e30", least),
        ("1e2147483647", most),
        ("1e4294967296", most),
        ("1e9223372036854775807", most),
        ("1e-4294967296", Some((1, 1, 1))),
        ("-1e-9223372036854775808", Some((-1, -1, -1))),
        ("0e9223372036854775807", Some((0, 0, 0))),
        ("0e-9223372036854775808", Some((0, 0, 0))),
        ("1e9223372036854775808", None),
        (&nines, most),
        (&format!("-{nines}"), least),
        (
            &format!("{nines}Ki"),
            Some((BINARY_CAP as i128, i64::MAX, i64::MAX)),
        ),
        (&format!("{nines}e-10000"), Some((NANO, 1, 1000))),
        (&tiny, Some((1, 1, 1))),
        (&format!("{tiny}Ei"), Some((1, 1, 1))),
        (&format!("{tiny}e10001"), Some((NANO, 1, 1000))),
    ] {
        check(text, expected);
    }
}

#[test]
fn arithmetic_saturates() {
    let quantity = |text: &str| Quantity::parse(text).expect(text);
    assert_eq!(quantity("1.5") + quantity("500m"), Quantity::from_value(2));
    assert_eq!(
        [quantity("1Ki"), quantity("-1"), quantity("1m")]
            .into_iter()
            .sum::<Quantity>(),
        quantity("1023001m")
    );
    assert_eq!(quantity("1e100") + quantity("1e100"), quantity("1e100"));
    assert_eq!(quantity("1Gi").max(quantity("1G")), quantity("1Gi"));
    assert_eq!(Quantity::from_milli(1500), quantity("1.5"));
    assert_eq!(Quantity::from_value(i64::MAX).value(), i64::MAX);
    assert_eq!(Quantity::from_value(i64::MIN).value(), i64::MIN);
    assert_eq!(Quantity::from_milli(i64::MIN).milli_value(), i64::MIN);
    assert_eq!(Quantity(i128::MIN).value(), i64::MIN);
    assert!(Quantity::default().is_zero() && Quantity::ZERO.is_zero() && !quantity("1n").is_zero());
}

#[test]
fn debug_is_exact() {
    for (text, expected) in [
        ("1.5Ki", "Quantity(1536)"),
        ("-1n", "Quantity(-0.000000001)"),
        ("-2500m", "Quantity(-2.5)"),
        ("0", "Quantity(0)"),
    ] {
        assert_eq!(format!("{:?}", Quantity::parse(text).unwrap()), expected);
    }
}

#[test]
fn errors_say_the_text_and_why() {
    let long = "7x".repeat(100);
    for (text, expected) in [
        ("", "\"\" is not a quantity: it is empty"),
        (
            "1 Gi",
            "\"1 Gi\" is not a quantity: expected a number, then at most one suffix",
        ),
        ("Ei", "\"Ei\" is not a quantity: it has no digits"),
        ("1Kb", "\"1Kb\" is not a quantity: expected a number"),
        ("1KM", "\"1KM\" is not a quantity: its suffix is none of"),
        (&long, "7x7x…\" is not a quantity"),
    ] {
        let error = Quantity::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.len() < 250, "{error}");
    }
}

/// The amount `[-]whole.fraction * scale` in nano units, rounded away from zero, by schoolbook
/// arithmetic over decimal digits of any number: slow, obvious, and built from nothing the parser
/// is built from.
fn naive(negative: bool, whole: &str, fraction: &str, suffix: &str) -> i128 {
    let (two, ten): (u32, i64) = match suffix {
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "" => (0, 0),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        exponent => (0, exponent[1..].parse().unwrap()),
    };
    // A big natural number, least digit first.
    let mut digits: Vec<u8> = (whole.to_owned() + fraction)
        .bytes()
        .rev()
        .map(|byte| byte - b'0')
        .collect();
    for _ in 0..two {
        let mut carry = 0;
        for digit in &mut digits {
            let doubled = *digit * 2 + carry;
            (*digit, carry) = (doubled % 10, doubled / 10);
        }
        digits.push(carry);
    }
    let shift = 9 + ten - fraction.len() as i64;
    let mut round_up = false;
    if shift >= 0 {
        digits.splice(0..0, std::iter::repeat_n(0, shift as usize));
    } else {
        let cut = digits.len().min(shift.unsigned_abs() as usize);
        round_up = digits.drain(..cut).any(|digit| digit != 0);
    }
    let cap = if two > 0 { BINARY_CAP } else { MAX_MAGNITUDE };
    let mut magnitude: u128 = 0;
    for digit in digits.iter().rev() {
        magnitude = magnitude
            .saturating_mul(10)
            .saturating_add(u128::from(*digit));
    }
    let magnitude = magnitude.saturating_add(u128::from(round_up)).min(cap) as i128;
    if negative { -magnitude } else { magnitude }
}

fn suffixes() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => "[numkMGTPE]?",
        2 => "[KMGTPE]i",
        1 => "[eE][+-]?[0-9]{1,2}",
    ]
}

proptest! {
    #[test]
    fn agrees_with_schoolbook_arithmetic(
        sign in "[+-]?",
        whole in "[0-9]{0,30}",
        fraction in "[0-9]{0,40}",
        point: bool,
        suffix in suffixes(),
    ) {
        prop_assume!(!whole.is_empty() || (point && !fraction.is_empty()));
        let fraction = if point { fraction } else { String::new() };
        let text = format!("{sign}{whole}{}{fraction}{suffix}", if point { "." } else { "" });
        let expected = naive(sign == "-", &whole, &fraction, &suffix);
        prop_assert_eq!(Quantity::parse(&text).map(|read| read.0), Ok(expected), "{}", text);
    }

    #[test]
    fn never_panics(text in any::<String>(), alike in "[-+.0-9eEinumkKMGTP]{0,12}") {
        for text in [text, alike] {
            if let Ok(read) = Quantity::parse(&text) {
                prop_assert!((read.value() > 0) == (read > Quantity::ZERO));
                prop_assert!((read.milli_value() < 0) == (read < Quantity::ZERO));
            }
        }
    }

    #[test]
    fn order_is_kept(left: i128, right: i128) {
        let (less, more) = (Quantity(left.min(right)), Quantity(left.max(right)));
        prop_assert!(less.value() <= more.value() && less.milli_value() <= more.milli_value());
    }
}
