//! Amounts as people write them: sizes with a unit, and amounts that are drawn at random.

use component_runtime::random;
use page_range::PageCount;

/// An amount that is either given or drawn evenly from a range, once for each VM and seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw<T> {
    /// This amount.
    Fixed(T),
    /// Anything from the first to the second, both included.
    Between(T, T),
}

impl<T: Copy> Draw<T> {
    /// The smallest possible.
    pub fn low(self) -> T {
        match self {
            Self::Fixed(amount) | Self::Between(amount, _) => amount,
        }
    }

    /// The largest possible.
    pub fn high(self) -> T {
        match self {
            Self::Fixed(amount) | Self::Between(_, amount) => amount,
        }
    }

    /// The same of other amounts.
    pub fn map<U>(self, convert: impl Fn(T) -> U) -> Draw<U> {
        match self {
            Self::Fixed(amount) => Draw::Fixed(convert(amount)),
            Self::Between(low, high) => Draw::Between(convert(low), convert(high)),
        }
    }
}

impl Draw<u64> {
    /// Draws it.
    pub fn pick(self, rng: &mut random::Pcg64) -> u64 {
        match self {
            Self::Fixed(amount) => amount,
            Self::Between(low, high) => match high.saturating_sub(low).checked_add(1) {
                Some(choices) => low + random::below(rng, choices),
                None => random::below(rng, u64::MAX),
            },
        }
    }
}

impl Draw<PageCount> {
    /// Draws it, to the page.
    pub fn pick(self, rng: &mut random::Pcg64) -> PageCount {
        PageCount(self.map(PageCount::get).pick(rng))
    }
}

impl Draw<core::time::Duration> {
    /// Draws it, to the millisecond.
    pub fn pick(self, rng: &mut random::Pcg64) -> core::time::Duration {
        match self {
            Self::Fixed(time) => time,
            Self::Between(low, high) => {
                let span = u64::try_from(high.saturating_sub(low).as_millis()).unwrap_or(u64::MAX);
                low + core::time::Duration::from_millis(Draw::Between(0, span).pick(rng))
            }
        }
    }
}

/// What a size must look like.
pub(crate) const SIZE_FORM: &str =
    "a number and KB, MB, GB or TB, such as \"512MB\" or \"2GB\" (1 KB is 1024 bytes)";

const UNITS: [(&str, u64); 4] = [("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("TB", 1 << 40)];

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BadSize {
    /// No number at its beginning.
    NoNumber,
    /// A number alone.
    NoUnit,
    /// A unit that sizes do not have.
    Unit(String),
    /// Not a whole number of 4 KB pages.
    NotPages,
    /// More than can be counted.
    TooLarge,
}

/// Reads a size as an administrator types it in PowerShell: `512MB`, `1.5GB`, in any case, with or without space.
/// `MiB` and so on mean the same.
pub(crate) fn parse_size(text: &str) -> Result<PageCount, BadSize> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim());
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || decimals.contains('.') || number.ends_with('.') {
        return Err(BadSize::NoNumber);
    }
    if unit.is_empty() {
        return Err(BadSize::NoUnit);
    }
    let binary = unit.to_uppercase().replace("IB", "B");
    let Some((_, bytes)) = UNITS.iter().find(|(name, _)| *name == binary) else {
        return Err(BadSize::Unit(unit.to_owned()));
    };
    let whole: u128 = whole.parse().map_err(|_too_long| BadSize::TooLarge)?;
    let decimals = decimals.trim_end_matches('0');
    let scale = u32::try_from(decimals.len())
        .ok()
        .and_then(|digits| 10_u128.checked_pow(digits))
        .ok_or(BadSize::NotPages)?;
    let fraction: u128 =
        if decimals.is_empty() { 0 } else { decimals.parse().map_err(|_too_long| BadSize::NotPages)? };
    let scaled = whole
        .checked_mul(scale)
        .and_then(|whole| whole.checked_add(fraction))
        .and_then(|number| number.checked_mul(u128::from(*bytes)))
        .ok_or(BadSize::TooLarge)?;
    let page = u128::from(page_range::PAGE_SIZE) * scale;
    if scaled % page != 0 {
        return Err(BadSize::NotPages);
    }
    u64::try_from(scaled / page).map(PageCount).map_err(|_too_large| BadSize::TooLarge)
}

/// Writes a size with the largest unit that it is a whole number of (or, above 10 GB, half a number of); a scenario file with it
/// means the same size.
pub fn format_size(size: PageCount) -> String {
    let bytes = u128::from(size.get()) * u128::from(page_range::PAGE_SIZE);
    let unit = UNITS.iter().rev().find(|(_, unit)| bytes != 0 && bytes.is_multiple_of(u128::from(*unit)));
    let half_gb = 1 << 29;
    match unit {
        Some(("MB", _)) if bytes > 10 << 30 && bytes.is_multiple_of(half_gb) => {
            format!("{}.5GB", bytes >> 30)
        }
        Some((name, unit)) => format!("{}{name}", bytes / u128::from(*unit)),
        None => "0MB".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_as_in_powershell() {
        for (text, mib) in [
            ("512MB", 512),
            ("2GB", 2048),
            ("1.5gb", 1536),
            (" 4096 mb ", 4096),
            ("1TB", 1 << 20),
            ("2GiB", 2048),
        ] {
            assert_eq!(parse_size(text), Ok(PageCount::from_mib(mib)), "{text}");
        }
        assert_eq!(parse_size("8KB"), Ok(PageCount(2)));
        assert_eq!(parse_size("31.5GB"), Ok(PageCount::from_mib(32_256)));
    }

    #[test]
    fn what_is_no_size_is_explained() {
        for (text, why) in [
            ("", BadSize::NoNumber),
            ("MB", BadSize::NoNumber),
            ("-1MB", BadSize::NoNumber),
            ("1.MB", BadSize::NoNumber),
            ("1.2.3MB", BadSize::NoNumber),
            ("512", BadSize::NoUnit),
            ("512M", BadSize::Unit("M".to_owned())),
            ("512 pages", BadSize::Unit("pages".to_owned())),
            ("512%", BadSize::Unit("%".to_owned())),
            ("1KB", BadSize::NotPages),
            ("0.001MB", BadSize::NotPages),
            ("99999999999999999999TB", BadSize::TooLarge),
            ("999999999999999999999999999999999999999999MB", BadSize::TooLarge),
        ] {
            assert_eq!(parse_size(text), Err(why), "{text}");
        }
    }

    #[test]
    fn sizes_are_written_as_people_say_them() {
        for text in ["0MB", "8KB", "128MB", "1536MB", "4GB", "31.5GB", "64GB", "1TB"] {
            assert_eq!(parse_size(text).map(format_size), Ok(text.to_owned()));
        }
    }

    #[test]
    fn draws_stay_within_their_range() {
        let mut rng = random::stream(1, "draw");
        for _ in 0..1000 {
            let size = Draw::Between(PageCount(10), PageCount(12)).pick(&mut rng);
            assert!((10..=12).contains(&size.get()));
        }
        assert_eq!(Draw::Fixed(PageCount(7)).pick(&mut rng), PageCount(7));
        let second = core::time::Duration::from_secs(1);
        assert_eq!(Draw::Between(second, second).pick(&mut rng), second);
        Draw::Between(0, u64::MAX).pick(&mut rng);
    }

    proptest! {
        #[test]
        fn sizes_are_read_as_written(pages in 0..1_u64 << 50) {
            prop_assert_eq!(parse_size(&format_size(PageCount(pages))), Ok(PageCount(pages)));
        }

        #[test]
        fn no_text_is_a_panic(text in "\\PC{0,30}") {
            let _size = parse_size(&text);
        }
    }
}
