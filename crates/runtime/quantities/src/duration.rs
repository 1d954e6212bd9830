//! Durations: days, hours, minutes and seconds, one after another.

use core::time::Duration;

/// Writes a duration as days, hours, minutes and seconds, largest first, without leading zeros: `2d3h`, `12m30.500s`,
/// `0s`. The seconds have 3, 6 or 9 decimals, whichever is enough to be exact. [`parse_duration`] reads it back.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    use core::fmt::Write as _;
    let (seconds, sub) = (duration.as_secs(), duration.subsec_nanos());
    let mut out = String::new();
    let mut rest = seconds;
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
        if rest >= length {
            let _ = write!(out, "{}{unit}", rest / length);
            rest %= length;
        }
    }
    let _ = match sub {
        0 if rest == 0 && !out.is_empty() => Ok(()),
        0 => write!(out, "{rest}s"),
        _ if sub % 1_000_000 == 0 => write!(out, "{rest}.{:03}s", sub / 1_000_000),
        _ if sub % 1_000 == 0 => write!(out, "{rest}.{:06}s", sub / 1_000),
        _ => write!(out, "{rest}.{sub:09}s"),
    };
    out
}

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDurationError {
    /// Nothing there.
    #[error("a duration is missing: write for example 12m30s")]
    Empty,
    /// A number has no unit behind it.
    #[error("`{0}` has no unit: use d, h, m, s, ms, us or ns, for example 90s or 1h30m")]
    NoUnit(String),
    /// A unit that does not exist.
    #[error("`{0}` is not a unit of time: use d, h, m, s, ms, us or ns")]
    UnknownUnit(String),
    /// A part does not begin with a number.
    #[error("`{0}` is not a number, or has more than nine decimals: write for example 12m30.5s")]
    NotANumber(String),
    /// More than 584 years.
    #[error("`{0}` is too long: a run lasts at most 584 years")]
    TooLong(String),
}

/// Reads a duration: numbers with units (`d`, `h`, `m`, `s`, `ms`, `us` or `µs`, `ns`), one after another, with at most
/// nine decimals each: `12m30s`, `1.5h`, `250ms`, `1d 2h`.
///
/// # Errors
/// [`ParseDurationError`], which quotes the part that is wrong.
pub fn parse_duration(text: &str) -> Result<Duration, ParseDurationError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(ParseDurationError::Empty);
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_end);
        let tail = tail.trim_start();
        let unit_end =
            tail.find(|c: char| c.is_ascii_digit() || c == '.' || c.is_whitespace()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && decimals.is_empty()) || decimals.len() > 9 || decimals.contains('.') {
            return Err(ParseDurationError::NotANumber(rest.to_owned()));
        }
        let unit_nanos: u64 = match unit {
            "d" => 86_400_000_000_000,
            "h" => 3_600_000_000_000,
            "m" | "min" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" | "μs" => 1_000,
            "ns" => 1,
            "" => return Err(ParseDurationError::NoUnit(number.to_owned())),
            other => return Err(ParseDurationError::UnknownUnit(other.to_owned())),
        };
        let too_long = || ParseDurationError::TooLong(text.to_owned());
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_long())? };
        let billionths: u64 = format!("{decimals:0<9}").parse().map_err(|_| too_long())?;
        // At most 86400e9 * (1e9 - 1): inside u128, and after the division inside u64.
        let fraction = u128::from(unit_nanos) * u128::from(billionths) / 1_000_000_000;
        let part = whole
            .checked_mul(unit_nanos)
            .and_then(|n| n.checked_add(u64::try_from(fraction).ok()?))
            .ok_or_else(too_long)?;
        total = total.checked_add(part).ok_or_else(too_long)?;
        rest = tail.trim_start();
    }
    Ok(Duration::from_nanos(total))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_written_as_people_say_them() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "0.000000001s"),
            (10_000, "0.000010s"),
            (500_000_000, "0.500s"),
            (60_000_000_000, "1m"),
            (750_500_000_000, "12m30.500s"),
            (3_600_000_000_000, "1h"),
            (93_784_000_000_000, "1d2h3m4s"),
        ] {
            assert_eq!(format_duration(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, nanos) in [
            ("12m30s", 750_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("250ms", 250_000_000),
            (" 1d 2h ", 93_600_000_000_000),
            ("7 ns", 7),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = |text: &str| parse_duration(text).unwrap_err();
        assert_eq!(wrong("  "), ParseDurationError::Empty);
        assert_eq!(wrong("12"), ParseDurationError::NoUnit("12".into()));
        assert_eq!(wrong("12 parsecs"), ParseDurationError::UnknownUnit("parsecs".into()));
        assert_eq!(wrong("m12s"), ParseDurationError::NotANumber("m12s".into()));
        assert_eq!(wrong("1.2.3s"), ParseDurationError::NotANumber("1.2.3s".into()));
        assert_eq!(wrong("-3s"), ParseDurationError::NotANumber("-3s".into()));
        assert_eq!(wrong("700000d"), ParseDurationError::TooLong("700000d".into()));
    }

    proptest! {
        #[test]
        fn durations_are_read_as_written(nanos: u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_is_a_panic(text in "\\PC{0,20}") {
            let _duration = parse_duration(&text);
        }
    }
}
