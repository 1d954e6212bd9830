//! Numbers as people's tools write them: decimal commas, separators of thousands, units.

use page_range::PageCount;

/// A unit of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// 1024 bytes.
    Kb,
    /// 1024 KB.
    Mb,
    /// 1024 MB.
    Gb,
    /// 1024 GB.
    Tb,
}

impl Unit {
    /// The unit that a word means: `MB`, `MiB`, `bytes`, in any case. PowerShell's `1GB` is 2^30 bytes, so all are powers of two.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Some(match word.trim().to_lowercase().as_str() {
            "b" | "byte" | "bytes" | "バイト" => Self::Bytes,
            "kb" | "kib" | "k" => Self::Kb,
            "mb" | "mib" | "m" | "mbytes" | "megabytes" => Self::Mb,
            "gb" | "gib" | "g" | "gbytes" | "gigabytes" => Self::Gb,
            "tb" | "tib" | "t" => Self::Tb,
            _ => return None,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Kb => "KB",
            Self::Mb => "MB",
            Self::Gb => "GB",
            Self::Tb => "TB",
        }
    }

    fn bytes(self) -> f64 {
        match self {
            Self::Bytes => 1.0,
            Self::Kb => 1024.0,
            Self::Mb => 1_048_576.0,
            Self::Gb => 1_073_741_824.0,
            Self::Tb => 1_099_511_627_776.0,
        }
    }

    /// Memory of so much of this unit, to the page; `None` if that cannot be counted.
    #[must_use]
    pub fn pages(self, number: f64) -> Option<PageCount> {
        let bytes = number * self.bytes();
        // 2^60 bytes: beyond any machine, and exact sums stay exact.
        (0.0..1_152_921_504_606_846_976.0).contains(&bytes).then(|| PageCount::from_bytes(bytes as u64))
    }
}

/// What separates whole from broken numbers in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decimal {
    Point,
    Comma,
}

impl Decimal {
    fn sign(self) -> char {
        match self {
            Self::Point => '.',
            Self::Comma => ',',
        }
    }
}

/// Number and unit of a cell such as `4.096 MB`; the unit is empty where there is none.
pub(crate) fn split(cell: &str) -> (&str, &str) {
    let cell = cell.trim();
    let end = cell
        .char_indices()
        .find(|(_, c)| {
            !(c.is_ascii_digit() || matches!(c, '.' | ',' | '\'' | '’' | '-' | '+') || is_space(*c))
        })
        .map_or(cell.len(), |(at, _)| at);
    (cell[..end].trim_matches(is_space), cell[end..].trim_matches(is_space))
}

/// A space, among them those that do not break lines, which separate thousands in some countries.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{a0}' | '\u{202f}' | '\u{2009}')
}

/// What a number tells of its file's decimal separator; nothing if it may be read both ways, as `1.024`.
pub(crate) fn evidence(number: &str) -> Option<Decimal> {
    let (points, commas) = (number.matches('.').count(), number.matches(',').count());
    let last = number.rfind(['.', ','])?;
    let (sign, other) = match number.as_bytes().get(last)? {
        b'.' => (Decimal::Point, Decimal::Comma),
        _ => (Decimal::Comma, Decimal::Point),
    };
    match (points, commas) {
        (1.., 1..) => Some(sign),
        (2.., 0) | (0, 2..) => Some(other),
        _ => {
            let (before, after) = (&number[..last], &number[last + 1..]);
            let group = after.len() == 3
                && (1..=3).contains(&before.trim_start_matches('-').len())
                && !before.starts_with('0');
            (!group).then_some(sign)
        }
    }
}

/// Reads a number whose file has this decimal separator; separators of thousands must stand between groups of three digits.
pub(crate) fn parse(number: &str, decimal: Decimal) -> Option<f64> {
    let number = number.trim_matches(is_space);
    let (whole, broken) = match number.rsplit_once(decimal.sign()) {
        Some((whole, broken)) => (whole, Some(broken)),
        None => (number, None),
    };
    let thousands = |c: char| is_space(c) || matches!(c, '\'' | '’' | '.' | ',');
    let groups: Vec<&str> = whole.split(thousands).collect();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (first, rest) = groups.split_first()?;
    let first = first.strip_prefix(['-', '+']).unwrap_or(first);
    if !digits(first)
        || !rest.iter().all(|group| group.len() == 3 && digits(group))
        || (!rest.is_empty() && first.len() > 3)
    {
        return None;
    }
    if broken.is_some_and(|broken| !digits(broken)) {
        return None;
    }
    let text = format!("{}.{}", groups.concat(), broken.unwrap_or("0"));
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_of_many_countries() {
        for (text, decimal, value) in [
            ("1073741824", Decimal::Point, 1_073_741_824.0),
            ("1,073,741,824", Decimal::Point, 1_073_741_824.0),
            ("1.073.741.824", Decimal::Comma, 1_073_741_824.0),
            ("1\u{202f}073\u{202f}741\u{202f}824", Decimal::Comma, 1_073_741_824.0),
            ("1'073'741'824.5", Decimal::Point, 1_073_741_824.5),
            ("4,5", Decimal::Comma, 4.5),
            ("4.5", Decimal::Point, 4.5),
            ("0,75", Decimal::Comma, 0.75),
            ("-1.5", Decimal::Point, -1.5),
        ] {
            assert_eq!(parse(text, decimal), Some(value), "{text}");
        }
        for text in ["", "x", "1.2.3", "12,34,567", "1,0000", "1..2", "1e5", "NaN", "--1"] {
            assert_eq!(parse(text, Decimal::Point), None, "{text}");
        }
    }

    #[test]
    fn what_can_be_read_both_ways_tells_nothing() {
        assert_eq!(evidence("1.024"), None);
        assert_eq!(evidence("1,024"), None);
        assert_eq!(evidence("1024"), None);
        assert_eq!(evidence("4,5"), Some(Decimal::Comma));
        assert_eq!(evidence("0,125"), Some(Decimal::Comma));
        assert_eq!(evidence("1.024,5"), Some(Decimal::Comma));
        assert_eq!(evidence("1,024.5"), Some(Decimal::Point));
        assert_eq!(evidence("1.073.741.824"), Some(Decimal::Comma));
        assert_eq!(evidence("4096.25"), Some(Decimal::Point));
        assert_eq!(evidence("2048.000"), Some(Decimal::Point));
    }

    #[test]
    fn cells_come_apart() {
        assert_eq!(split("4.096 MB"), ("4.096", "MB"));
        assert_eq!(split(" 512MB "), ("512", "MB"));
        assert_eq!(split("17179869184"), ("17179869184", ""));
        assert_eq!(split("n/a"), ("", "n/a"));
    }

    proptest! {
        #[test]
        fn a_number_written_in_any_country_is_read_back(whole in 0_u64..1 << 50, broken in 0_u32..100, comma in any::<bool>(), group in prop::sample::select(vec!["", " ", "'", "\u{a0}"])) {
            let digits = whole.to_string();
            let mut text = String::new();
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at) % 3 == 0 {
                    text.push_str(group);
                }
                text.push(digit);
            }
            let (decimal, sign) = if comma { (Decimal::Comma, ',') } else { (Decimal::Point, '.') };
            let text = format!("{text}{sign}{broken:02}");
            let expected: f64 = format!("{whole}.{broken:02}").parse().unwrap();
            prop_assert_eq!(parse(&text, decimal), Some(expected));
            prop_assert!(evidence(&text.replace(|c: char| !c.is_ascii_digit() && c != sign, "")).is_none_or(|found| found == decimal));
        }

        #[test]
        fn nothing_panics(text in ".{0,24}") {
            let (number, _) = split(&text);
            let _ = (evidence(number), parse(number, Decimal::Comma), parse(&text, Decimal::Point));
        }
    }
}
