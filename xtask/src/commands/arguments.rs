//! Values of options that several commands take.

use std::time::Duration;

use guest_memory_manager::trace::TraceWindow;
use page_range::PageCount;
use quantities::parse_duration;

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

pub(crate) fn positive_duration(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time.is_zero() { Err("it must be longer than 0 s".to_owned()) } else { Ok(time) }
}

/// A whole number that is not 0, such as a number of seeds: `N` is one of `NonZero`.
#[cfg(feature = "study")]
pub(crate) fn at_least_one<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| match text.parse::<u128>() {
        Ok(1..) => "that is too many".to_owned(),
        _ => "it must be a whole number, at least 1".to_owned(),
    })
}

/// A size of host memory as people write it, such as `150GB`.
pub(crate) fn host_memory(text: &str) -> Result<PageCount, String> {
    match quantities::parse_size(text) {
        Ok(size) if !size.is_zero() => Ok(size),
        _ => Err(format!("{text:?} is no size of a host's memory, such as 150GB")),
    }
}

pub(crate) fn window(text: &str) -> Result<TraceWindow, String> {
    text.parse().map_err(|error: guest_memory_manager::trace::BadWindow| error.to_string())
}
