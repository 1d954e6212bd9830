//! A window of time, written `0h..24h`.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// A window of a trace: from a time up to, not including, another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceWindow {
    from: Duration,
    to: Duration,
}

/// Text that is no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a window of a trace: {problem}; write it like 0h..24h (units s, m, h, d)")]
pub struct BadWindow {
    /// What was written.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl TraceWindow {
    /// The first 24 hours.
    pub const FIRST_DAY: Self = Self { from: Duration::ZERO, to: Duration::from_secs(24 * 3600) };

    /// From `from` up to `to`; `None` if that is no time.
    #[must_use]
    pub fn new(from: Duration, to: Duration) -> Option<Self> {
        (from < to).then_some(Self { from, to })
    }

    /// Its beginning.
    #[must_use]
    pub const fn from(self) -> Duration {
        self.from
    }

    /// Its end.
    #[must_use]
    pub const fn to(self) -> Duration {
        self.to
    }

    /// Whether a time lies in it.
    #[must_use]
    pub fn contains(self, time: Duration) -> bool {
        (self.from..self.to).contains(&time)
    }
}

impl Default for TraceWindow {
    fn default() -> Self {
        Self::FIRST_DAY
    }
}

impl FromStr for TraceWindow {
    type Err = BadWindow;

    fn from_str(text: &str) -> Result<Self, BadWindow> {
        let bad = |problem| BadWindow { text: text.to_owned(), problem };
        let (from, to) = text.split_once("..").ok_or_else(|| bad("there is no `..` in it"))?;
        let time = |part: &str| time(part.trim()).ok_or_else(|| bad("it does not name two times"));
        Self::new(time(from)?, time(to)?).ok_or_else(|| bad("its end is not after its beginning"))
    }
}

impl TryFrom<String> for TraceWindow {
    type Error = BadWindow;
    fn try_from(text: String) -> Result<Self, BadWindow> {
        text.parse()
    }
}

impl From<TraceWindow> for String {
    fn from(window: TraceWindow) -> Self {
        window.to_string()
    }
}

impl fmt::Display for TraceWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = |time: Duration| match (time.as_secs(), time.subsec_nanos()) {
            (seconds, 0) if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
            (seconds, 0) => format!("{seconds}s"),
            _ => format!("{}s", time.as_secs_f64()),
        };
        write!(f, "{}..{}", written(self.from), written(self.to))
    }
}

/// A number with its unit.
fn time(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1.0,
        'm' => 60.0,
        'h' => 3600.0,
        'd' => 86_400.0,
        _ => return None,
    };
    let number: f64 = text[..text.len() - 1].trim().parse().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok()
}
