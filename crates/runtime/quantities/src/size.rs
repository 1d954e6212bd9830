//! Sizes of memory, in pages of 4 KiB.

use page_range::PageCount;

/// What a size must look like.
pub const SIZE_FORM: &str =
    "a number and KB, MB, GB or TB, such as \"512MB\" or \"2GB\" (1 KB is 1024 bytes)";

const UNITS: [(&str, u64); 4] = [("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("TB", 1 << 40)];

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSize {
    /// The text does not begin with a number.
    #[error("a size begins with a number")]
    NoNumber,
    /// A number alone.
    #[error("the unit is missing: KB, MB, GB or TB")]
    NoUnit,
    /// A unit that sizes do not have.
    #[error("`{0}` is not a unit of size: use KB, MB, GB or TB")]
    Unit(String),
    /// Not a whole number of 4 KB pages.
    #[error("the size is not a whole number of 4 KB pages")]
    NotPages,
    /// More than can be counted.
    #[error("the size is more than can be counted")]
    TooLarge,
}

/// Reads a size as an administrator types it in PowerShell: `512MB`, `1.5GB`, in any case, with or without space.
/// `MiB` and so on mean the same.
///
/// # Errors
/// [`BadSize`]: what keeps the text from being a size.
pub fn parse_size(text: &str) -> Result<PageCount, BadSize> {
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
#[must_use]
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
