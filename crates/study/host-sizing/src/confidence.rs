//! How far the answer can be trusted, by what the load can tell.

use load_import::Evidence;
use serde::Serialize;

/// How far an answer can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// It is a sketch.
    VeryLow,
    /// It may be far off.
    Low,
    /// What is not in the load may change it.
    Medium,
    /// The load has what matters.
    High,
}

impl Level {
    /// In words.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::VeryLow => "very low",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    fn lower(self, steps: u8) -> Self {
        let levels = [Self::VeryLow, Self::Low, Self::Medium, Self::High];
        let place = levels.iter().position(|level| *level == self).unwrap_or(0);
        levels[place.saturating_sub(usize::from(steps))]
    }
}

/// A level and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Confidence {
    /// The level.
    pub level: Level,
    /// What lowers it, one sentence each.
    pub reasons: Vec<String>,
}

/// Samples coarser than this hide bursts: memory moves within some seconds, and the default risk is 30 s. Invented.
const COARSE_S: f64 = 30.0;
const HOUR_S: f64 = 3600.0;
const DAY_S: f64 = 24.0 * HOUR_S;

impl Confidence {
    /// Of what a load can tell. Drawn loads are what they say they are.
    pub(crate) fn of(evidence: &Evidence, recorded: bool, burst: bool) -> Self {
        let mut level = Level::High;
        let mut reasons = Vec::new();
        if !recorded {
            reasons.push(
                "The load is modelled, not recorded: the answer is as good as the model of the load."
                    .to_owned(),
            );
            return Self { level: Level::Medium, reasons };
        }
        let mut less = |steps: u8, why: String| {
            level = level.lower(steps);
            reasons.push(why);
        };
        if let Some(interval) = evidence.interval_s.filter(|interval| *interval > COARSE_S) {
            if burst {
                less(
                    0,
                    format!(
                        "A value every {interval:.0} s hides what happens in between; the burst that was asked for stands for it."
                    ),
                );
            } else {
                less(
                    1,
                    format!(
                        "A value every {interval:.0} s hides bursts in between: demand is taken on the straight line from value to value. --burst 512MB adds a modelled burst every hour."
                    ),
                );
            }
        }
        let length = evidence.length_s;
        // The last value stands for what is until the next.
        let covered = length + evidence.interval_s.unwrap_or(0.0);
        if evidence.recorded > 0 && covered < DAY_S - COARSE_S {
            less(
                2,
                format!(
                    "{} were recorded: no whole day, so neither its peak nor its night need be in it.",
                    crate::clock::length(length)
                ),
            );
        } else if evidence.recorded > 0 && covered < 7.0 * DAY_S - HOUR_S {
            less(
                1,
                format!(
                    "{} were recorded: less than a week, so what comes once a week need not be in it.",
                    crate::clock::length(length)
                ),
            );
        }
        let share = |names: &[String]| names.len() as f64 / evidence.running.max(1) as f64;
        let some = |names: &[String]| {
            let first = names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
            match names.len().saturating_sub(3) {
                0 => first,
                more => format!("{first} and {more} more"),
            }
        };
        if !evidence.snapshots.is_empty() {
            let steps = if share(&evidence.snapshots) > 0.5 { 3 } else { 1 };
            less(
                steps,
                format!(
                    "Of {} one moment is known: no percentile and no peak can be told from it.",
                    some(&evidence.snapshots)
                ),
            );
        }
        if !evidence.unknown.is_empty() {
            let steps = if share(&evidence.unknown) > 0.5 { 3 } else { 1 };
            let idle = if evidence.unknown.len() == 1 { "its guest idles" } else { "their guests idle" };
            less(steps, format!("Of {} no demand is known: {idle} in the runs.", some(&evidence.unknown)));
        }
        Self { level, reasons }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_load_lacks_lowers_what_is_promised() {
        let week = Evidence {
            running: 4,
            recorded: 4,
            snapshots: vec![],
            unknown: vec![],
            interval_s: Some(15.0),
            length_s: 7.0 * DAY_S,
        };
        assert_eq!(Confidence::of(&week, true, false), Confidence { level: Level::High, reasons: vec![] });
        let coarse = Evidence { interval_s: Some(300.0), ..week.clone() };
        let said = Confidence::of(&coarse, true, false);
        assert_eq!(said.level, Level::Medium);
        assert!(said.reasons[0].contains("every 300 s hides bursts"));
        assert_eq!(Confidence::of(&coarse, true, true).level, Level::High);
        let day = Evidence { length_s: 3.0 * DAY_S, ..week.clone() };
        assert_eq!(Confidence::of(&day, true, false).level, Level::Medium);
        let whole_day = Evidence { length_s: DAY_S - 61.0, interval_s: Some(60.0), ..week.clone() };
        let said = Confidence::of(&whole_day, true, false);
        assert!(said.reasons[1].contains("less than a week"), "{said:?}");
        let short = Evidence { length_s: 7.0 * HOUR_S, ..coarse };
        assert_eq!(Confidence::of(&short, true, false).level, Level::VeryLow);
        let snapshot = Evidence {
            recorded: 0,
            snapshots: (1..=4).map(|vm| format!("VM{vm}")).collect(),
            interval_s: None,
            ..week.clone()
        };
        let said = Confidence::of(&snapshot, true, false);
        assert_eq!(said.level, Level::VeryLow);
        assert!(said.reasons[0].contains("VM1, VM2, VM3 and 1 more"));
        assert_eq!(Confidence::of(&week, false, false).level, Level::Medium);
    }
}
