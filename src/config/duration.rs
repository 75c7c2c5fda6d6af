//! Durations as Go writes them: `15s`, `1m30s`, `1.5h`.

const UNITS: &[(&str, f64)] = &[
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// Reads a duration into nanoseconds.
pub(super) fn parse(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned == "0" {
        return Some(0);
    }
    let mut rest = unsigned;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|char: char| !char.is_ascii_digit() && char != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at_checked(digits)?;
        let amount: f64 = number.parse().ok()?;
        let letters = tail
            .find(|char: char| char.is_ascii_digit() || char == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(letters)?;
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total += amount * size;
        rest = tail;
    }
    // What follows the last whole nanosecond is lost, as with Go.
    let fits = !unsigned.is_empty() && total < i64::MAX as f64;
    let sign = if text.starts_with('-') { -1 } else { 1 };
    fits.then_some(sign * total as i64)
}

/// Writes nanoseconds as Go does: `10m0s`, `1.5s`, `250ms`.
pub fn format(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let all = nanoseconds.unsigned_abs();
    let with_fraction = |whole: u64, size: u64, unit: &str| {
        let digits = size.ilog10() as usize;
        let fraction = format!("{:0digits$}", whole % size);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() || size == 1 {
            String::new()
        } else {
            format!(".{fraction}")
        };
        format!("{}{point}{unit}", whole / size)
    };
    let text = match all {
        0 => return "0s".to_owned(),
        1..1_000 => with_fraction(all, 1, "ns"),
        1_000..1_000_000 => with_fraction(all, 1_000, "µs"),
        1_000_000..1_000_000_000 => with_fraction(all, 1_000_000, "ms"),
        _ => {
            let (minutes, rest) = (all / 60_000_000_000, all % 60_000_000_000);
            let seconds = with_fraction(rest, 1_000_000_000, "s");
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests;
