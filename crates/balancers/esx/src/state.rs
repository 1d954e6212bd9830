//! The host's free-memory states.

use crate::Config;

/// How much memory the host has free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum FreeMemory {
    /// Blocked: nothing is granted to VMs above their part.
    Low,
    /// Reclaimed by force.
    Hard,
    /// Reclaimed by ballooning.
    Soft,
    /// Enough.
    #[default]
    High,
}

impl FreeMemory {
    /// Its name, as a rule.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Hard => "hard",
            Self::Soft => "soft",
            Self::High => "high",
        }
    }

    fn threshold(self, config: &Config) -> f64 {
        match self {
            Self::Low => config.low,
            Self::Hard => config.hard,
            Self::Soft => config.soft,
            Self::High => config.high,
        }
    }

    /// The state that follows when this part of the host is free. A state is entered from above below its own threshold, and
    /// from below only when its threshold is clearly exceeded.
    #[must_use]
    pub fn next(self, free: f64, config: &Config) -> Self {
        let down = [Self::Low, Self::Hard, Self::Soft]
            .into_iter()
            .find(|state| free < state.threshold(config))
            .unwrap_or(Self::High);
        if down <= self {
            return down;
        }
        [Self::High, Self::Soft, Self::Hard]
            .into_iter()
            .find(|&state| state > self && free >= state.threshold(config) + config.margin)
            .unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn down_at_once_and_up_only_clearly() {
        let config = Config::default();
        let walk = |from: FreeMemory, parts: &[f64]| {
            parts.iter().fold(from, |state, &free| state.next(free, &config))
        };
        use FreeMemory::{Hard, High, Low, Soft};
        assert_eq!(walk(High, &[0.05]), High);
        assert_eq!(walk(High, &[0.039]), Soft);
        assert_eq!(walk(High, &[0.019]), Hard);
        assert_eq!(walk(High, &[0.009]), Low);
        assert_eq!(walk(High, &[0.039, 0.05]), Soft);
        assert_eq!(walk(High, &[0.039, 0.061]), Soft, "above the threshold, and not clearly");
        assert_eq!(walk(High, &[0.039, 0.066]), High);
        assert_eq!(walk(High, &[0.009, 0.022]), Low);
        assert_eq!(walk(High, &[0.009, 0.026]), Hard);
        assert_eq!(walk(High, &[0.009, 0.05]), Soft);
        assert_eq!(walk(High, &[0.009, 0.07]), High);
    }
}
