//! Times for people.

use core::time::Duration;

use jiff::Timestamp;

/// A time of a run: the day and the clock, where the load has dates; else the time since it began.
pub(crate) fn moment(begins: Option<i64>, seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    let dated = begins.and_then(|begins| {
        Timestamp::from_millisecond(begins.saturating_add((seconds * 1000.0) as i64)).ok()
    });
    match dated {
        Some(time) => format!("{} UTC", time.strftime("%a %Y-%m-%d %H:%M:%S")),
        None => length(seconds),
    }
}

/// A length, in whole seconds; above two days in hours.
pub(crate) fn length(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let whole = if whole > 172_800 { whole - whole % 3600 } else { whole };
    quantities::format_duration(Duration::from_secs(whole))
}

/// A size in GB, short; in MB below one, and in TB where these are whole.
pub(crate) fn gb(mb: f64) -> String {
    let gb = mb / 1024.0;
    if gb < 1.0 {
        format!("{mb:.0} MB")
    } else if gb >= 1024.0 && gb % 1024.0 == 0.0 {
        format!("{:.0} TB", gb / 1024.0)
    } else if (gb - gb.round()).abs() < 0.05 {
        format!("{gb:.0} GB")
    } else {
        format!("{gb:.1} GB")
    }
}

/// A number of GB, for columns that say so.
pub(crate) fn bare(mb: f64) -> String {
    let gb = mb / 1024.0;
    match gb {
        gb if gb < 1.0 => format!("{gb:.2}"),
        gb if (gb - gb.round()).abs() < 0.05 => format!("{gb:.0}"),
        gb => format!("{gb:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let told = [900.0, 1024.0, 7552.0, 1_048_576.0, 1_089_536.0].map(gb);
        assert_eq!(told, ["900 MB", "1 GB", "7.4 GB", "1 TB", "1064 GB"]);
    }
}
