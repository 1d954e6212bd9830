//! What a counter can hold. Everything is an integer, so that a printed value is exact and the same on every
//! machine.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Pages in a MiB: counters show MB, the model counts pages of 4 KiB.
const PAGES_PER_MIB: u64 = 256;
/// Fixed-point scale of [`Percent`] and [`Rate`]: six decimals, as many as PDH-CSV prints.
const MILLIONTHS: u64 = 1_000_000;
/// Nanoseconds in a second.
const NANOS: u64 = 1_000_000_000;
/// Characters of the longest number with six decimals: the twenty digits of `u64::MAX`, the point, the decimals.
pub(crate) const LONGEST: usize = 27;

/// An amount of memory in 4 KiB pages; shown in MB (of 2^20 bytes, as Windows counts).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Memory(u64);

impl Memory {
    /// No memory.
    pub const ZERO: Self = Self(0);

    /// `pages` pages of 4 KiB.
    pub const fn from_pages(pages: u64) -> Self {
        Self(pages)
    }

    /// `mib` MiB; saturates.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(PAGES_PER_MIB))
    }

    /// In pages of 4 KiB.
    pub const fn pages(self) -> u64 {
        self.0
    }

    /// In MiB.
    pub fn mib(self) -> f64 {
        self.0 as f64 / PAGES_PER_MIB as f64
    }
}

/// A percentage with six decimals; 100 % is `Percent::from_ratio(1, 1)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Percent(u64);

impl Percent {
    /// `100 · part / whole`, rounded to the nearest millionth of a percent; `None` for a whole of zero, which
    /// has no percentage. This is pressure, with demand as the part and assigned memory as the whole.
    pub fn from_ratio(part: u64, whole: u64) -> Option<Self> {
        let whole = u128::from(whole);
        let scaled = u128::from(part) * u128::from(100 * MILLIONTHS);
        let rounded = scaled.checked_add(whole / 2)?.checked_div(whole)?;
        Some(Self(u64::try_from(rounded).unwrap_or(u64::MAX)))
    }

    /// A percentage given as a number, rounded to the nearest millionth; `None` if it is negative or not finite.
    pub fn from_f64(percent: f64) -> Option<Self> {
        fixed_point(percent).map(Self)
    }

    /// Millionths of a percent.
    pub const fn millionths(self) -> u64 {
        self.0
    }

    /// In percent.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / MILLIONTHS as f64
    }
}

/// Events per second, with six decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(u64);

impl Rate {
    /// A rate given as a number of events per second, rounded to the nearest millionth; `None` if it is negative or not finite.
    pub fn from_f64(per_second: f64) -> Option<Self> {
        fixed_point(per_second).map(Self)
    }

    /// `events` in `interval`; `None` for an empty interval.
    pub fn from_events(events: u64, interval: core::time::Duration) -> Option<Self> {
        let nanos = interval.as_nanos();
        let scaled = u128::from(events) * u128::from(MILLIONTHS) * 1_000_000_000;
        let rounded = scaled.checked_add(nanos / 2)?.checked_div(nanos)?;
        Some(Self(u64::try_from(rounded).unwrap_or(u64::MAX)))
    }

    /// Millionths of an event per second.
    pub const fn millionths(self) -> u64 {
        self.0
    }

    /// In events per second.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / MILLIONTHS as f64
    }
}

/// A length of time in nanoseconds; shown in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seconds(u64);

impl Seconds {
    /// As long as this; saturates after 584 years.
    pub fn from_duration(duration: core::time::Duration) -> Self {
        Self(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }

    /// In nanoseconds.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// In seconds.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / NANOS as f64
    }
}

fn fixed_point(number: f64) -> Option<u64> {
    // Adding one half and cutting off is plain IEEE arithmetic, the same everywhere; the cast saturates.
    (number.is_finite() && number >= 0.0).then_some((number * MILLIONTHS as f64 + 0.5) as u64)
}

/// A counter's value with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Memory; PDH-CSV shows MB.
    Memory(Memory),
    /// A percentage.
    Percent(Percent),
    /// Events per second.
    Rate(Rate),
    /// A length of time.
    Seconds(Seconds),
    /// A number of things, or bytes.
    Count(u64),
}

impl Value {
    /// The number as Performance Monitor shows it: MB, percent, events per second, or a count.
    pub fn to_f64(self) -> f64 {
        match self {
            Self::Memory(memory) => memory.mib(),
            Self::Percent(percent) => percent.to_f64(),
            Self::Rate(rate) => rate.to_f64(),
            Self::Seconds(seconds) => seconds.to_f64(),
            Self::Count(count) => count as f64,
        }
    }

    /// What is counted, as a whole number of the smallest unit.
    pub(crate) const fn number(self) -> u64 {
        match self {
            Self::Memory(Memory(number))
            | Self::Percent(Percent(number))
            | Self::Rate(Rate(number))
            | Self::Seconds(Seconds(number))
            | Self::Count(number) => number,
        }
    }

    /// The number with exactly six decimals, as PDH-CSV wants it, at the end of `room`.
    pub(crate) fn fixed(self, room: &mut [u8; LONGEST]) -> &[u8] {
        let (mut whole, decimals) = match self {
            Self::Memory(Memory(pages)) => {
                (pages / PAGES_PER_MIB, PAGE_FRACTIONS[(pages % PAGES_PER_MIB) as usize])
            }
            Self::Percent(Percent(number)) | Self::Rate(Rate(number)) => {
                (number / MILLIONTHS, six_digits((number % MILLIONTHS) as u32))
            }
            Self::Seconds(Seconds(nanos)) => (nanos / NANOS, six_digits((nanos % NANOS / 1000) as u32)),
            Self::Count(count) => (count, *b"000000"),
        };
        let mut start = LONGEST - decimals.len();
        room[start..].copy_from_slice(&decimals);
        start -= 1;
        room[start] = b'.';
        loop {
            start -= 1;
            room[start] = b'0' + (whole % 10) as u8;
            whole /= 10;
            if whole == 0 {
                return &room[start..];
            }
        }
    }

    /// Appends the number in Prometheus' base units: bytes, ratios, plain counts; without trailing zeros.
    pub(crate) fn append_base_units(self, out: &mut Vec<u8>) {
        match self {
            Self::Memory(memory) => append_integer(out, memory.pages().saturating_mul(4096)),
            Self::Percent(Percent(number)) => append_decimal(out, number, 100 * MILLIONTHS, 8),
            Self::Rate(Rate(number)) => append_decimal(out, number, MILLIONTHS, 6),
            Self::Seconds(Seconds(nanos)) => append_decimal(out, nanos, NANOS, 9),
            Self::Count(count) => append_integer(out, count),
        }
    }
}

impl fmt::Display for Value {
    /// The number as PDH-CSV writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut room = [0; LONGEST];
        f.write_str(core::str::from_utf8(self.fixed(&mut room)).map_err(|_not_ascii| fmt::Error)?)
    }
}

impl From<Memory> for Value {
    fn from(memory: Memory) -> Self {
        Self::Memory(memory)
    }
}

impl From<Percent> for Value {
    fn from(percent: Percent) -> Self {
        Self::Percent(percent)
    }
}

impl From<Rate> for Value {
    fn from(rate: Rate) -> Self {
        Self::Rate(rate)
    }
}

impl From<Seconds> for Value {
    fn from(seconds: Seconds) -> Self {
        Self::Seconds(seconds)
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

fn append_integer(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn append_decimal(out: &mut Vec<u8>, number: u64, scale: u64, digits: usize) {
    append_integer(out, number / scale);
    let mut rest = number % scale;
    if rest == 0 {
        return;
    }
    out.push(b'.');
    let start = out.len();
    out.resize(start + digits, b'0');
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    while out.last() == Some(&b'0') {
        out.pop();
    }
}

/// The six decimals of n/256 MB for every n, rounded half to even as C's `printf("%f")` does.
const PAGE_FRACTIONS: [[u8; 6]; PAGES_PER_MIB as usize] = {
    let mut table = [[0; 6]; PAGES_PER_MIB as usize];
    let mut pages = 0;
    while pages < PAGES_PER_MIB {
        let scaled = pages * MILLIONTHS;
        let (whole, rest) = (scaled / PAGES_PER_MIB, scaled % PAGES_PER_MIB);
        let half = PAGES_PER_MIB / 2;
        let up = rest > half || (rest == half && whole % 2 == 1);
        table[pages as usize] = six_digits((whole + up as u64) as u32);
        pages += 1;
    }
    table
};

const fn six_digits(mut number: u32) -> [u8; 6] {
    let mut digits = [b'0'; 6];
    let mut place = 6;
    while place > 0 {
        place -= 1;
        digits[place] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn base(value: Value) -> String {
        let mut out = Vec::new();
        value.append_base_units(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn six_decimals_always() {
        assert_eq!(Value::from(Memory::from_mib(512)).to_string(), "512.000000");
        assert_eq!(Value::from(Memory::from_pages(1)).to_string(), "0.003906");
        assert_eq!(Value::from(Memory::from_pages(255)).to_string(), "0.996094");
        assert_eq!(Value::from(Percent::from_ratio(414, 512).unwrap()).to_string(), "80.859375");
        assert_eq!(Value::from(Percent::from_ratio(2, 3).unwrap()).to_string(), "66.666667");
        assert_eq!(Value::from(Rate::from_f64(64.1).unwrap()).to_string(), "64.100000");
        assert_eq!(Value::from(7).to_string(), "7.000000");
        assert_eq!(Value::from(0).to_string(), "0.000000");
        assert_eq!(Value::from(u64::MAX).to_string(), "18446744073709551615.000000");
        let wait = core::time::Duration::from_nanos(2_000_010_999);
        assert_eq!(Value::from(Seconds::from_duration(wait)).to_string(), "2.000010");
    }

    #[test]
    fn base_units_of_prometheus() {
        assert_eq!(base(Memory::from_mib(512).into()), "536870912");
        assert_eq!(base(Percent::from_ratio(414, 512).unwrap().into()), "0.80859375");
        assert_eq!(base(Percent::from_ratio(1, 1).unwrap().into()), "1");
        assert_eq!(base(Percent::from_ratio(5, 4).unwrap().into()), "1.25");
        assert_eq!(base(Rate::from_f64(3.4).unwrap().into()), "3.4");
        let wait = core::time::Duration::from_nanos(2_000_010_990);
        assert_eq!(base(Seconds::from_duration(wait).into()), "2.00001099");
    }

    #[test]
    fn what_has_no_value_has_none() {
        assert_eq!(Percent::from_ratio(1, 0), None);
        assert_eq!(Percent::from_f64(f64::NAN), None);
        assert_eq!(Percent::from_f64(-0.1), None);
        assert_eq!(Rate::from_f64(f64::INFINITY), None);
        assert_eq!(Rate::from_events(1, core::time::Duration::ZERO), None);
    }

    #[test]
    fn extremes_saturate() {
        assert_eq!(Percent::from_ratio(u64::MAX, 1).unwrap().millionths(), u64::MAX);
        assert_eq!(Memory::from_mib(u64::MAX).pages(), u64::MAX);
        assert_eq!(Rate::from_f64(f64::MAX).unwrap().millionths(), u64::MAX);
    }

    proptest! {
        #[test]
        fn memory_is_printed_as_c_prints_the_exact_number(pages in 0..1_u64 << 40) {
            // Rust's formatter rounds half to even on the exact binary value, and n/256 is exact in binary.
            prop_assert_eq!(Value::from(Memory::from_pages(pages)).to_string(), format!("{:.6}", pages as f64 / 256.0));
        }

        #[test]
        fn pages_can_be_read_back_from_megabytes(pages in 0..1_u64 << 40) {
            let printed: f64 = Value::from(Memory::from_pages(pages)).to_string().parse().unwrap();
            prop_assert_eq!((printed * 256.0).round() as u64, pages);
        }

        #[test]
        fn a_rate_of_events_is_events_over_time(events in 0..1_000_000_u64, millis in 1..100_000_u64) {
            let rate = Rate::from_events(events, core::time::Duration::from_millis(millis)).unwrap();
            prop_assert!((rate.to_f64() - events as f64 * 1000.0 / millis as f64).abs() < 1e-6);
        }
    }
}
