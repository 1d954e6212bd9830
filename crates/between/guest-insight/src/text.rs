//! The text that an agent writes.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::time::Duration;

use page_range::PageCount;

use crate::{
    CurveError, GuestInsight, MAX_CHARACTERS, MAX_POINTS, MissCurve, MissPoint, StallPressure, StallTime,
};

/// Why a text says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It is longer than any value of a key-value pair.
    #[error("longer than the {MAX_CHARACTERS} characters of a value")]
    TooLong,
    /// A line about stalls that is not as in `/proc/pressure/memory`.
    #[error("line {0}: not as in /proc/pressure/memory")]
    Stalls(usize),
    /// Of the lines `some` and `full` one alone is there.
    #[error("of the lines `some` and `full` one alone is there")]
    HalfOfStalls,
    /// A line `active` without a number of pages.
    #[error("line {0}: `active` has a number of pages")]
    Active(usize),
    /// A line `curve` that is none.
    #[error("line {0}: `curve` has touches a second and points SIZE:SHARE")]
    Curve(usize),
    /// A line `curve` whose points are no curve.
    #[error("line {0}: {1}")]
    Points(usize, CurveError),
}

impl GuestInsight {
    /// The text that says this.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        if let Some(StallPressure { some, full }) = &self.stalls {
            for (kind, time) in [("some", some), ("full", full)] {
                let StallTime { avg10, avg60, avg300, total } = time;
                let total = total.as_micros();
                // Writing to a `String` does not fail.
                let _ = writeln!(
                    text,
                    "{kind} avg10={avg10:.2} avg60={avg60:.2} avg300={avg300:.2} total={total}"
                );
            }
        }
        if let Some(active) = self.active {
            let _ = writeln!(text, "active {}", active.get());
        }
        if let Some(curve) = &self.curve {
            let _ = write!(text, "curve {}", rounded(curve.touches()));
            for MissPoint { size, ratio } in curve.points() {
                let _ = write!(text, " {}:{}", size.get(), rounded(*ratio));
            }
            text.push('\n');
        }
        text
    }

    /// What a text says.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text.chars().take(MAX_CHARACTERS + 1).count() > MAX_CHARACTERS {
            return Err(ParseError::TooLong);
        }
        let (mut some, mut full, mut insight) = (None, None, Self::default());
        for (number, line) in (1..).zip(text.lines()) {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("some") => some = Some(stall_time(words).ok_or(ParseError::Stalls(number))?),
                Some("full") => full = Some(stall_time(words).ok_or(ParseError::Stalls(number))?),
                Some("active") => {
                    let pages = words.next().and_then(|word| word.parse().ok());
                    insight.active = Some(PageCount(pages.ok_or(ParseError::Active(number))?));
                }
                Some("curve") => {
                    let (touches, points) = curve(words).ok_or(ParseError::Curve(number))?;
                    let curve = MissCurve::new(touches, points);
                    insight.curve = Some(curve.map_err(|error| ParseError::Points(number, error))?);
                }
                _ => {}
            }
        }
        insight.stalls = match (some, full) {
            (Some(some), Some(full)) => Some(StallPressure { some, full }),
            (None, None) => None,
            _ => return Err(ParseError::HalfOfStalls),
        };
        Ok(insight)
    }
}

/// Four digits behind the point are more than anything here is known to.
fn rounded(number: f64) -> f64 {
    let (whole, rest) = ((number * 1e4) as u64, number * 1e4);
    (whole + u64::from(rest - whole as f64 >= 0.5)) as f64 / 1e4
}

fn stall_time<'a>(words: impl Iterator<Item = &'a str>) -> Option<StallTime> {
    let mut time = StallTime::default();
    let mut seen = 0;
    for word in words {
        let (name, value) = word.split_once('=')?;
        let percent = || value.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
        match name {
            "avg10" => time.avg10 = percent()?,
            "avg60" => time.avg60 = percent()?,
            "avg300" => time.avg300 = percent()?,
            "total" => time.total = Duration::from_micros(value.parse().ok()?),
            _ => continue,
        }
        seen += 1;
    }
    (seen == 4).then_some(time)
}

fn curve<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<(f64, Vec<MissPoint>)> {
    let touches = words.next()?.parse().ok()?;
    let points = words.take(MAX_POINTS + 1).map(|word| {
        let (size, ratio) = word.split_once(':')?;
        Some(MissPoint { size: PageCount(size.parse().ok()?), ratio: ratio.parse().ok()? })
    });
    Some((touches, points.collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;

    const AS_A_KERNEL_WRITES: &str = "some avg10=1.53 avg60=0.87 avg300=0.29 total=8123456\n\
                                      full avg10=0.44 avg60=0.28 avg300=0.08 total=2431234\n";

    #[test]
    fn what_linux_writes_is_read_and_written_the_same() {
        let insight = GuestInsight::parse(AS_A_KERNEL_WRITES).unwrap();
        let stalls = insight.stalls.unwrap();
        assert_eq!((stalls.some.avg10, stalls.full.avg300), (1.53, 0.08));
        assert_eq!(stalls.some.total, Duration::from_micros(8_123_456));
        assert_eq!((insight.active, &insight.curve), (None, &None));
        assert_eq!(insight.to_text(), AS_A_KERNEL_WRITES);
    }

    #[test]
    fn all_parts_there_and_back() {
        let text = format!("{AS_A_KERNEL_WRITES}active 81920\ncurve 20480 0:1 40960:0.5 81920:0\n");
        let insight = GuestInsight::parse(&text).unwrap();
        assert_eq!(insight.active, Some(PageCount(81_920)));
        assert_eq!(insight.curve.as_ref().unwrap().misses_at(PageCount(40_960)), 10_240.0);
        assert_eq!(insight.to_text(), text);
        assert!(GuestInsight::parse("").unwrap().is_empty());
        assert!(GuestInsight::parse("of a newer agent 7\n").unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, error) in [
            ("some avg10=1.53", ParseError::Stalls(1)),
            ("some avg10=1 avg60=1 avg300=1 total=-1", ParseError::Stalls(1)),
            ("some avg10=NaN avg60=1 avg300=1 total=1", ParseError::Stalls(1)),
            ("full avg10=101 avg60=1 avg300=1 total=1", ParseError::Stalls(1)),
            ("full avg10=1 avg60=1 avg300=1 total=1", ParseError::HalfOfStalls),
            ("\nactive", ParseError::Active(2)),
            ("active many", ParseError::Active(1)),
            ("curve", ParseError::Curve(1)),
            ("curve 1 7", ParseError::Curve(1)),
            ("curve 1", ParseError::Points(1, CurveError::Points)),
            ("curve inf 1:0", ParseError::Points(1, CurveError::Touches)),
        ] {
            assert_eq!(GuestInsight::parse(text), Err(error), "{text}");
        }
        assert_eq!(GuestInsight::parse(&"x".repeat(1024)), Err(ParseError::TooLong));
    }

    #[test]
    fn the_longest_that_is_ever_said_has_room() {
        let time =
            StallTime { avg10: 100.0, avg60: 100.0, avg300: 100.0, total: Duration::from_micros(u64::MAX) };
        // 4 TiB, and a ratio with four digits.
        let point = |n: u64| MissPoint { size: PageCount((1 << 30) + n), ratio: 0.1234 };
        let curve = MissCurve::new(1e9, (0..MAX_POINTS as u64).map(point).collect()).unwrap();
        let insight = GuestInsight {
            stalls: Some(StallPressure { some: time, full: time }),
            active: Some(PageCount(1 << 30)),
            curve: Some(curve),
        };
        let text = insight.to_text();
        assert!(text.len() <= MAX_CHARACTERS, "{}", text.len());
        assert_eq!(GuestInsight::parse(&text).unwrap(), insight);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            let _ = GuestInsight::parse(&text);
        }

        #[test]
        fn any_line_is_read_or_refused(words in "(some|full|active|curve)( ([a-z0-9]{1,6}=)?-?[0-9.:e]{0,9}){0,6}") {
            let _ = GuestInsight::parse(&words);
        }
    }
}
