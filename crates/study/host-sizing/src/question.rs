//! What is asked.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use page_range::PageCount;
use serde::{Deserialize, Serialize};

/// Which hosts there may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hosts {
    /// So many hosts, all alike; their memory is asked for.
    Number(u32),
    /// So many hosts of so much memory: whether that is enough.
    Given(u32, PageCount),
    /// Hosts of these sizes; for each, how many.
    Sizes(Vec<PageCount>),
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Which hosts.
    pub hosts: Hosts,
    /// Hosts that may be down.
    pub spare: u32,
    /// What may happen.
    pub risk: Risk,
    /// Seeds; each draws the load anew where it is drawn.
    pub seeds: u32,
    /// Threads to run on. No answer depends on it.
    #[serde(skip)]
    pub threads: usize,
    /// Step of the answer; `None`: by the size of the hosts.
    pub step: Option<PageCount>,
    /// Search with full runs, however long that takes.
    pub full: bool,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sought {
    /// The memory of so many hosts.
    Memory,
    /// How many hosts of so much memory.
    Hosts,
}

impl Hosts {
    /// What is asked for of them.
    pub(crate) fn sought(&self) -> Sought {
        if matches!(self, Self::Sizes(_)) { Sought::Hosts } else { Sought::Memory }
    }
}

impl Question {
    /// Hosts that are up when as many are down as may be.
    pub(crate) fn up(&self, hosts: u32) -> usize {
        hosts.saturating_sub(self.spare).max(1) as usize
    }
}

/// What may happen, and no more. A VM is short while it demands more than it has, or its guest refuses its applications memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Risk {
    /// The longest that a VM may be short in one piece, seconds.
    pub longest_s: f64,
    /// The share of its time that a VM may be short.
    pub share: f64,
    /// Allocations that a VM's guest may refuse.
    pub refused: u64,
}

impl Default for Risk {
    /// At most 30 s in one piece, a thousandth of the time, and no refused allocation. Invented.
    fn default() -> Self {
        Self { longest_s: 30.0, share: 0.001, refused: 0 }
    }
}

/// Text that states no risk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} states no risk: {problem}; write longest=30s,share=0.1%,refused=0, or some of these")]
pub struct BadRisk {
    text: String,
    problem: String,
}

impl FromStr for Risk {
    type Err = BadRisk;

    fn from_str(text: &str) -> Result<Self, BadRisk> {
        let bad = |problem: String| BadRisk { text: text.to_owned(), problem };
        let mut risk = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) =
                part.split_once('=').ok_or_else(|| bad(format!("there is no = in {part:?}")))?;
            let (key, value) = (key.trim(), value.trim());
            match key {
                "longest" => {
                    let time = quantities::parse_duration(value)
                        .map_err(|error| bad(format!("longest: {error}")))?;
                    risk.longest_s = time.as_secs_f64();
                }
                "share" => {
                    let percent =
                        value.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
                    let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
                    risk.share = percent.ok_or_else(|| {
                        bad(format!("share: {value:?} is not a percentage such as 0.1%, from 0 to 100%"))
                    })? / 100.0;
                }
                "refused" => {
                    risk.refused = value
                        .parse()
                        .map_err(|_| bad(format!("refused: {value:?} is not a whole number")))?;
                }
                other => return Err(bad(format!("there is no {other:?}"))),
            }
        }
        Ok(risk)
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = quantities::format_duration(Duration::from_secs_f64(self.longest_s));
        write!(f, "longest={longest},share={}%,refused={}", self.share * 100.0, self.refused)
    }
}

/// How demand grows until the hosts are replaced, written `20%/y`, or `20%/y:3y`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// Growth in a year.
    pub yearly: f64,
    /// Years.
    pub years: f64,
}

/// Text that is no growth.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no growth: write 20%/y, or 20%/y:3y for three years; from -90 to 1000 % a year, for at most 20 years"
)]
pub struct BadGrowth(String);

impl Growth {
    /// By which demand is multiplied.
    #[must_use]
    pub fn factor(self) -> f64 {
        let whole = self.years.floor();
        // Whole years by multiplication: no platform's `pow`.
        let mut factor = 1.0;
        for _ in 0..whole as u32 {
            factor *= 1.0 + self.yearly;
        }
        factor * (1.0 + self.yearly * (self.years - whole))
    }
}

impl FromStr for Growth {
    type Err = BadGrowth;

    fn from_str(text: &str) -> Result<Self, BadGrowth> {
        let bad = || BadGrowth(text.to_owned());
        let (rate, years) = text.split_once(':').unwrap_or((text, "1y"));
        let rate = rate.trim().strip_suffix("/y").and_then(|rate| rate.strip_suffix('%')).ok_or_else(bad)?;
        let yearly =
            rate.trim().parse::<f64>().ok().filter(|rate| (-90.0..=1000.0).contains(rate)).ok_or_else(bad)?;
        let years = years.trim().strip_suffix('y').and_then(|years| years.parse::<f64>().ok());
        let years = years.filter(|years| (0.0..=20.0).contains(years)).ok_or_else(bad)?;
        Ok(Self { yearly: yearly / 100.0, years })
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%/y:{}y", self.yearly * 100.0, self.years)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn risks_and_growth_are_read() {
        let risk: Risk = "longest=2m, share=1%,refused=3".parse().unwrap();
        assert_eq!(risk, Risk { longest_s: 120.0, share: 0.01, refused: 3 });
        assert_eq!("".parse::<Risk>().unwrap(), Risk::default());
        assert_eq!(Risk::default().to_string().parse::<Risk>().unwrap(), Risk::default());
        for text in ["longest", "longest=5", "share=5", "share=101%", "refused=-1", "swap=1"] {
            assert!(text.parse::<Risk>().is_err(), "{text}");
        }
        let growth: Growth = "20%/y:2.5y".parse().unwrap();
        assert!((growth.factor() - 1.2 * 1.2 * 1.1).abs() < 1e-12);
        assert_eq!("10%/y".parse::<Growth>().unwrap().years, 1.0);
        for text in ["20%", "20/y", "x%/y", "20%/y:3"] {
            assert!(text.parse::<Growth>().is_err(), "{text}");
        }
    }
}
