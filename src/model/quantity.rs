//! Kubernetes quantities (`500m`, `1.5Gi`, `2e3`), exact and without floats.
//!
//! The rules are those of `k8s.io/apimachinery/pkg/api/resource`, including what its scanner lets
//! through although the grammar in its documentation does not (`.`, `+` and `Ki` are zero): the API
//! server stores such texts, so a scheduler has to read them.
//!
//! Three places differ, all of them outside what a sane object holds:
//!
//! * Go's `Value` and `MilliValue` wrap, or answer 0, when the result does not fit an `int64`; here
//!   they saturate.
//! * Go keeps decimal amounts of any size (`1e100`); here an amount saturates at the limits of
//!   [`Quantity`], some 1.7e29 units, and a decimal exponent outside an `int32` counts as that
//!   large or that small where Go cuts off its upper bits.
//! * Go rounds some negative fractions with more than 18 digits or a binary suffix towards zero or
//!   past it (`-100.1Ki`); here every fraction is rounded away from zero, as Go documents it.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use thiserror::Error;

#[cfg(test)]
mod tests;

/// Nano units in one unit.
const NANO: i128 = 1_000_000_000;

/// Nano units in one thousandth of a unit.
const NANO_PER_MILLI: i128 = 1_000_000;

/// The decimal places kept: everything finer is rounded away from zero.
const NANO_DIGITS: i64 = 9;

/// What an amount with a binary suffix is capped at: `2^63 - 1` units. Decimal amounts have no cap
/// upstream.
const BINARY_CAP: u128 = i64::MAX as u128 * NANO as u128;

/// The largest magnitude held; symmetric, so that a negative amount never is further from zero than
/// a positive one can be.
const MAX_MAGNITUDE: u128 = i128::MAX as u128;

/// How much of a rejected text an error repeats: an annotation can be long, a log line should not
/// be.
const TEXT_IN_ERROR: usize = 64;

/// An exact amount of a resource, in nano units (`1` is one thousand millionth of a core, a byte, a
/// device).
///
/// Arithmetic saturates at the limits of the type; nothing here can overflow or panic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Quantity(i128);

/// A text that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not a quantity: {reason}")]
pub struct ParseQuantityError {
    /// The text, cut off when it is long.
    text: String,
    reason: Reason,
}

/// Why a text is no quantity; the cases are those of Go's `ErrFormatWrong`, `ErrNumeric` and
/// `ErrSuffix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
enum Reason {
    #[error("it is empty")]
    Empty,
    #[error("expected a number, then at most one suffix or exponent, such as 500m, 1.5Gi or 2e3")]
    Format,
    #[error("it has no digits")]
    Number,
    #[error(
        "its suffix is none of n u m k M G T P E, Ki Mi Gi Ti Pi Ei, or an exponent such as e3"
    )]
    Suffix,
}

/// What follows the number.
#[derive(Clone, Copy)]
enum Suffix {
    /// Times ten to this power.
    Decimal(i32),
    /// Times two to this power.
    Binary(u32),
}

/// The parts of a quantity's text, as Go's scanner splits it.
struct Parts<'a> {
    negative: bool,
    /// Digits before the point.
    whole: &'a [u8],
    /// Digits after the point.
    fraction: &'a [u8],
    suffix: &'a [u8],
}

// === impl Quantity ===

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Reads a quantity.
    ///
    /// What is finer than a nano unit is rounded away from zero; an amount with a binary suffix is
    /// capped at `2^63 - 1` units. White space is not allowed; the JSON decoder of Go strips it
    /// around a text, so a decoder here has to do that too.
    ///
    /// # Errors
    ///
    /// When Go's `ParseQuantity` would reject the text.
    pub fn parse(text: &str) -> Result<Self, ParseQuantityError> {
        parse(text.as_bytes()).map_err(|reason| ParseQuantityError::new(text, reason))
    }

    /// So many whole units.
    #[must_use]
    pub const fn from_value(units: i64) -> Self {
        Self(units as i128 * NANO)
    }

    /// So many thousandths of a unit.
    #[must_use]
    pub const fn from_milli(milli: i64) -> Self {
        Self(milli as i128 * NANO_PER_MILLI)
    }

    /// Whole units, rounded away from zero, saturating: what a scheduler counts memory, storage and
    /// devices in.
    #[must_use]
    pub const fn value(self) -> i64 {
        self.scaled(NANO)
    }

    /// Thousandths of a unit, rounded away from zero, saturating: what a scheduler counts CPU in.
    #[must_use]
    pub const fn milli_value(self) -> i64 {
        self.scaled(NANO_PER_MILLI)
    }

    /// Whether this is exactly nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    const fn scaled(self, unit: i128) -> i64 {
        let away_from_zero = if self.0 % unit == 0 {
            0
        } else {
            self.0.signum()
        };
        let scaled = self.0 / unit + away_from_zero;
        if scaled > i64::MAX as i128 {
            i64::MAX
        } else if scaled < i64::MIN as i128 {
            i64::MIN
        } else {
            scaled as i64
        }
    }
}

/// Exact: units with up to nine decimal places, without a suffix.
impl fmt::Debug for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let (units, nanos) = (magnitude / NANO as u128, magnitude % NANO as u128);
        write!(f, "Quantity({sign}{units}")?;
        if nanos != 0 {
            write!(f, "{}", format!(".{nanos:09}").trim_end_matches('0'))?;
        }
        f.write_str(")")
    }
}

/// Saturates.
impl Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// Saturates.
impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Saturates.
impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(quantities: I) -> Self {
        quantities.fold(Self::ZERO, Add::add)
    }
}

// === impl ParseQuantityError ===

impl ParseQuantityError {
    fn new(text: &str, reason: Reason) -> Self {
        let mut shown: String = text.chars().take(TEXT_IN_ERROR).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Self {
            text: shown,
            reason,
        }
    }
}

// === parsing ===

fn parse(text: &[u8]) -> Result<Quantity, Reason> {
    if text.is_empty() {
        return Err(Reason::Empty);
    }
    let parts = split(text).ok_or(Reason::Format)?;
    let suffix = read_suffix(parts.suffix).ok_or(Reason::Suffix)?;
    if parts.whole.is_empty() && parts.fraction.is_empty() && !zero_without_digits(suffix) {
        return Err(Reason::Number);
    }
    let magnitude = match suffix {
        Suffix::Decimal(power) => decimal(parts.whole, parts.fraction, power),
        Suffix::Binary(power) => binary(parts.whole, parts.fraction, power),
    };
    // The magnitude was capped at `MAX_MAGNITUDE`, so the fallback is never taken.
    let magnitude = i128::try_from(magnitude).unwrap_or(i128::MAX);
    Ok(Quantity(if parts.negative {
        -magnitude
    } else {
        magnitude
    }))
}

/// Splits as Go's `parseQuantityString` does: sign, digits, point, digits, letters of suffixes in
/// any order, sign, digits. `None` when something is left over.
fn split(text: &[u8]) -> Option<Parts<'_>> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (whole, rest) = split_while(rest, |byte| byte.is_ascii_digit());
    let (fraction, suffix) = match rest {
        [b'.', rest @ ..] => split_while(rest, |byte| byte.is_ascii_digit()),
        rest => (rest.get(..0).unwrap_or_default(), rest),
    };
    let (_letters, rest) = split_while(suffix, |byte| b"eEinumkKMGTP".contains(byte));
    let rest = match rest {
        [b'+' | b'-', rest @ ..] => rest,
        rest => rest,
    };
    rest.iter().all(u8::is_ascii_digit).then_some(Parts {
        negative,
        whole,
        fraction,
        suffix,
    })
}

/// The longest prefix whose bytes all pass, and the rest.
fn split_while(text: &[u8], pass: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|byte| !pass(byte))
        .unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
}

fn read_suffix(suffix: &[u8]) -> Option<Suffix> {
    Some(match suffix {
        b"n" => Suffix::Decimal(-9),
        b"u" => Suffix::Decimal(-6),
        b"m" => Suffix::Decimal(-3),
        b"" => Suffix::Decimal(0),
        b"k" => Suffix::Decimal(3),
        b"M" => Suffix::Decimal(6),
        b"G" => Suffix::Decimal(9),
        b"T" => Suffix::Decimal(12),
        b"P" => Suffix::Decimal(15),
        b"E" => Suffix::Decimal(18),
        b"Ki" => Suffix::Binary(10),
        b"Mi" => Suffix::Binary(20),
        b"Gi" => Suffix::Binary(30),
        b"Ti" => Suffix::Binary(40),
        b"Pi" => Suffix::Binary(50),
        b"Ei" => Suffix::Binary(60),
        [b'e' | b'E', power @ ..] => {
            // An exponent outside an `int64` is an error upstream; one outside an `int32` is read
            // as the nearest one inside.
            let power: i64 = std::str::from_utf8(power).ok()?.parse().ok()?;
            Suffix::Decimal(power.clamp(i32::MIN.into(), i32::MAX.into()) as i32)
        }
        _ => return None,
    })
}

/// Whether Go takes a text without digits (`Ki`, `+`, `.m`) for zero. Its short cut for small
/// numbers does, its exact way complains, and which of the two is taken depends on the suffix alone
/// when there are no digits.
fn zero_without_digits(suffix: Suffix) -> bool {
    match suffix {
        Suffix::Decimal(power) => i64::from(power) >= -NANO_DIGITS,
        Suffix::Binary(power) => power <= 40,
    }
}

/// Nano units in `whole.fraction * 10^power`: the point moves, and what remains behind it rounds
/// up.
fn decimal(whole: &[u8], fraction: &[u8], power: i32) -> u128 {
    let digits = whole
        .iter()
        .chain(fraction)
        .map(|byte| u128::from(byte - b'0'));
    let count = whole.len() + fraction.len();
    // How many of the digits stand before the point when counting in nano units. Slices are shorter
    // than 2^63, so neither sum wraps.
    let before_point = whole.len() as i64 + i64::from(power) + NANO_DIGITS;

    let mut magnitude: u128 = 0;
    let mut rest_is_zero = true;
    for (position, digit) in digits.enumerate() {
        if (position as i64) < before_point {
            magnitude = magnitude.saturating_mul(10).saturating_add(digit);
        } else {
            rest_is_zero &= digit == 0;
        }
    }
    if !rest_is_zero {
        magnitude = magnitude.saturating_add(1);
    }
    // The digits ended before the point: fill up with zeros. Some 39 rounds reach the limit, so a
    // huge exponent costs nothing.
    for _ in count as i64..before_point {
        if magnitude == 0 || magnitude > MAX_MAGNITUDE {
            break;
        }
        magnitude = magnitude.saturating_mul(10);
    }
    magnitude.min(MAX_MAGNITUDE)
}

/// Nano units in `whole.fraction * 2^power`, rounded up and then capped. `power` is at most 60.
fn binary(whole: &[u8], fraction: &[u8], power: u32) -> u128 {
    // One unit of the suffix in nano units, below 2^90: times a digit it stays far from the limits
    // of the type.
    let unit = (NANO as u128) << power;

    let mut count: u128 = 0;
    for byte in whole {
        count = count
            .saturating_mul(10)
            .saturating_add(u128::from(byte - b'0'));
    }
    // Horner's rule from the last digit on. `floor((digit * unit + below) / 10)` does not change
    // when `below` loses its fraction first, so keeping the integer and whether anything was cut
    // off is exact for any number of digits.
    let mut below: u128 = 0;
    let mut cut_off = false;
    for byte in fraction.iter().rev() {
        let sum = u128::from(byte - b'0') * unit + below;
        below = sum / 10;
        cut_off |= !sum.is_multiple_of(10);
    }
    count
        .saturating_mul(unit)
        .saturating_add(below)
        .saturating_add(u128::from(cut_off))
        .min(BINARY_CAP)
}
