//! Averages over time.

use core::time::Duration;

/// An exponentially weighted average over time: a sample counts by the time since the sample before it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ewma {
    value: Option<f64>,
    at: Duration,
}

impl Ewma {
    /// The average so far; nothing before the first sample.
    pub(crate) fn value(&self) -> Option<f64> {
        self.value
    }

    /// A sample that stands for the time since the one before. The first one is the average.
    pub(crate) fn add(&mut self, window: Duration, now: Duration, sample: f64) {
        let window = window.as_secs_f64();
        let elapsed = now.saturating_sub(self.at).as_secs_f64();
        self.at = now;
        self.value = Some(match self.value {
            None => sample,
            Some(value) if window > 0.0 => value + (1.0 - libm::exp(-elapsed / window)) * (sample - value),
            Some(_) => sample,
        });
    }
}

/// How fast memory is granted, and how long it takes: what the lead-time stock is made of.
#[derive(Clone, Debug)]
pub(crate) struct Rates {
    window: Duration,
    granted: u64,
    grant_rate: Ewma,
    last_round: Option<Duration>,
    round: Duration,
    add: Ewma,
    remove: Ewma,
}

impl Rates {
    pub(crate) fn new(window: Duration) -> Self {
        // Nothing was granted before the first round: the average begins at 0, not at the first burst.
        let grant_rate = Ewma { value: Some(0.0), ..Ewma::default() };
        Self {
            window,
            granted: 0,
            grant_rate,
            last_round: None,
            round: Duration::ZERO,
            add: Ewma::default(),
            remove: Ewma::default(),
        }
    }

    pub(crate) fn granted(&mut self, pages: u64) {
        self.granted += pages;
    }

    pub(crate) fn add_took(&mut self, now: Duration, time: Duration) {
        self.add.add(self.window, now, time.as_secs_f64());
    }

    pub(crate) fn remove_took(&mut self, now: Duration, time: Duration) {
        self.remove.add(self.window, now, time.as_secs_f64());
    }

    pub(crate) fn round(&mut self, now: Duration) {
        let Some(last) = self.last_round.replace(now) else {
            self.grant_rate.at = now;
            return;
        };
        let elapsed = now.saturating_sub(last);
        if elapsed.is_zero() {
            return;
        }
        self.round = elapsed;
        self.grant_rate.add(self.window, now, self.granted as f64 / elapsed.as_secs_f64());
        self.granted = 0;
    }

    /// Pages per second.
    pub(crate) fn grant_rate(&self) -> f64 {
        self.grant_rate.value().unwrap_or(0.0)
    }

    /// Round + add + balloon, as measured.
    pub(crate) fn lead_time(&self) -> Duration {
        let operations = self.add.value().unwrap_or(0.0) + self.remove.value().unwrap_or(0.0);
        self.round.saturating_add(Duration::try_from_secs_f64(operations).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_followed_in_the_window() {
        let window = Duration::from_secs(20);
        let mut ewma = Ewma::default();
        ewma.add(window, Duration::ZERO, 0.0);
        for second in 1..=20 {
            ewma.add(window, Duration::from_secs(second), 100.0);
        }
        let value = ewma.value().unwrap();
        assert!((value - 63.21).abs() < 0.01, "{value}");
        // However finely the time is cut.
        let mut coarse = Ewma::default();
        coarse.add(window, Duration::ZERO, 0.0);
        coarse.add(window, Duration::from_secs(20), 100.0);
        assert!((coarse.value().unwrap() - value).abs() < 1e-9);
    }

    #[test]
    fn the_rate_is_what_was_granted_over_the_time_it_took() {
        let mut rates = Rates::new(Duration::from_secs(20));
        let mut now = Duration::ZERO;
        rates.round(now);
        for _ in 0..400 {
            rates.granted(3000);
            now += Duration::from_millis(1500);
            rates.round(now);
        }
        assert!((rates.grant_rate() - 2000.0).abs() < 1.0, "{}", rates.grant_rate());
        assert_eq!(rates.lead_time(), Duration::from_millis(1500));
        rates.add_took(now, Duration::from_millis(200));
        rates.remove_took(now, Duration::from_millis(300));
        assert_eq!(rates.lead_time(), Duration::from_millis(2000));
    }
    #[test]
    fn without_a_window_the_last_sample_counts() {
        let mut ewma = Ewma::default();
        for (at, sample) in [(1, 5.0), (2, 7.0), (2, 9.0)] {
            ewma.add(Duration::ZERO, Duration::from_secs(at), sample);
            assert_eq!(ewma.value(), Some(sample));
        }
    }

    #[test]
    fn two_rounds_at_one_time_count_what_was_granted_once() {
        let window = Duration::from_secs(20);
        let mut rates = Rates::new(window);
        rates.round(Duration::from_secs(5));
        rates.granted(100);
        rates.round(Duration::from_secs(5));
        assert_eq!((rates.grant_rate(), rates.lead_time()), (0.0, Duration::ZERO));
        rates.granted(60);
        rates.round(Duration::from_secs(7));
        let expected = 80.0 * (1.0 - libm::exp(-0.1));
        assert!((rates.grant_rate() - expected).abs() < 1e-9, "{}", rates.grant_rate());
        // Counted, and not again.
        rates.round(Duration::from_secs(9));
        assert!((rates.grant_rate() - expected * libm::exp(-0.1)).abs() < 1e-9, "{}", rates.grant_rate());
    }
}
