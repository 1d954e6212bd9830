//! Steps in a VM's need, and how its memory follows them.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::catalogue::{OVERSHOOT_SECONDS, STEP_MIB, STEP_SECONDS};

/// What share of what is lacking must come for a step to be met.
const MET: f64 = 0.9;

/// What came of the steps of a VM.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Steps {
    /// Seconds until each was met, or until the need was over.
    pub(crate) reactions: Vec<f64>,
    /// Percent, of each that was met and had lacked something.
    pub(crate) overshoots: Vec<f64>,
    state: State,
    /// Need at the last few samples, oldest first.
    recent: VecDeque<(Duration, f64)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
enum State {
    #[default]
    Quiet,
    /// A step that is not met yet.
    Pending { began: Duration, base: f64, before: f64, goal: f64 },
    /// A step that is met; does the VM get too much?
    Watching { until: Duration, enough: f64, most: f64 },
}

impl Steps {
    /// One sample of a running guest: what it needs and what it has, MiB. `buffer` is a fraction.
    pub(crate) fn sample(&mut self, now: Duration, need: f64, has: f64, buffer: f64) {
        while self
            .recent
            .front()
            .is_some_and(|(at, _)| now.saturating_sub(*at) > Duration::from_secs(STEP_SECONDS))
        {
            self.recent.pop_front();
        }
        let before = self.recent.iter().map(|(_, need)| *need).fold(need, f64::min);
        let is_step = need - before >= STEP_MIB;
        match &mut self.state {
            State::Quiet if is_step => self.begin(now, before, need, has),
            State::Quiet => {}
            State::Pending { began, base, before, goal } => {
                *goal = goal.max(need);
                let waited = now.saturating_sub(*began).as_secs_f64();
                if has >= *base + MET * (*goal - *base) {
                    self.reactions.push(waited);
                    let until = now + Duration::from_secs(OVERSHOOT_SECONDS);
                    self.state = State::Watching { until, enough: *goal * (1.0 + buffer), most: has };
                } else if need < *before + 0.5 * (*goal - *before) {
                    self.reactions.push(waited);
                    self.end();
                }
            }
            State::Watching { until, enough, most } => {
                *enough = enough.max(need * (1.0 + buffer));
                *most = most.max(has);
                if now >= *until || is_step && need * (1.0 + buffer) > *enough {
                    let beyond = 100.0 * (*most / *enough - 1.0).max(0.0);
                    self.overshoots.push(beyond);
                    self.end();
                }
            }
        }
        self.recent.push_back((now, need));
    }

    fn begin(&mut self, now: Duration, before: f64, need: f64, has: f64) {
        if need <= has {
            // The VM had enough.
            self.reactions.push(0.0);
            self.recent.clear();
        } else {
            self.state = State::Pending { began: now, base: has, before, goal: need };
        }
    }

    fn end(&mut self) {
        self.state = State::Quiet;
        self.recent.clear();
    }

    /// The guest is off: what it needed it needs no more.
    pub(crate) fn off(&mut self, now: Duration) {
        match self.state {
            State::Pending { began, .. } => self.reactions.push(now.saturating_sub(began).as_secs_f64()),
            State::Watching { enough, most, .. } => {
                self.overshoots.push(100.0 * (most / enough - 1.0).max(0.0));
            }
            State::Quiet => {}
        }
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds need and memory, one sample a second.
    fn fed(samples: impl IntoIterator<Item = (f64, f64)>) -> Steps {
        let mut steps = Steps::default();
        let mut now = Duration::ZERO;
        for (need, has) in samples {
            steps.sample(now, need, has, 0.2);
            now += Duration::from_secs(1);
        }
        steps.off(now);
        steps
    }

    #[test]
    fn a_step_is_met_when_nine_tenths_of_what_lacks_are_there() {
        let quiet = std::iter::repeat_n((500.0, 600.0), 10);
        // 1000 MB needed, 400 of it lacking; 50 MB come in a second: 90 % of 400 after 8 s.
        let rising = (0..8).map(|second| (1000.0, 600.0 + 50.0 * f64::from(second)));
        let met = std::iter::repeat_n((1000.0, 1300.0), 100);
        let steps = fed(quiet.chain(rising).chain(met));
        assert_eq!(steps.reactions, [8.0]);
        let beyond = 100.0 * (1300.0 / 1200.0 - 1.0);
        assert!((steps.overshoots[0] - beyond).abs() < 1e-9, "{:?}", steps.overshoots);
    }

    #[test]
    fn a_step_within_what_is_there_is_met_at_once() {
        let steps = fed([(500.0, 2000.0), (1000.0, 2000.0), (1000.0, 2000.0)]);
        assert_eq!(steps.reactions, [0.0]);
        assert!(steps.overshoots.is_empty());
    }

    #[test]
    fn a_step_that_is_never_met_counts_as_long_as_the_need_lasts() {
        let steps = fed([(500.0, 600.0)]
            .into_iter()
            .chain(std::iter::repeat_n((1000.0, 600.0), 30))
            .chain([(500.0, 600.0)]));
        assert_eq!(steps.reactions, [30.0]);
        // A guest that ends takes its need with it.
        let steps = fed([(500.0, 600.0)].into_iter().chain(std::iter::repeat_n((1000.0, 600.0), 30)));
        assert_eq!(steps.reactions, [30.0]);
    }

    #[test]
    fn slow_growth_is_no_step() {
        let steps = fed((0..500).map(|second| (500.0 + 10.0 * f64::from(second), 700.0)));
        assert!(steps.reactions.is_empty());
    }
}
