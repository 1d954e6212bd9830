//! How much of a VM's memory is active: averages over sampling periods.

use core::time::Duration;

/// The estimate of one VM. What is sampled has the unit of the caller's choice.
#[derive(Clone, Copy, Debug, Default)]
pub struct ActiveMemory {
    slow: f64,
    fast: f64,
    /// Whether a period has ended.
    any: bool,
    period_began: Option<Duration>,
    sum: f64,
    count: f64,
}

/// Gains and period of an estimate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Averaging {
    /// Length of a sampling period.
    pub period: Duration,
    /// Of the slow average, per period.
    pub slow: f64,
    /// Of the fast average, per period.
    pub fast: f64,
}

impl ActiveMemory {
    /// A sample.
    pub fn add(&mut self, now: Duration, sample: f64, averaging: &Averaging) {
        let began = *self.period_began.get_or_insert(now);
        if now.saturating_sub(began) >= averaging.period && self.count > 0.0 {
            let period = self.sum / self.count;
            if self.any {
                self.slow += averaging.slow * (period - self.slow);
                self.fast += averaging.fast * (period - self.fast);
            } else {
                (self.slow, self.fast, self.any) = (period, period, true);
            }
            (self.period_began, self.sum, self.count) = (Some(now), 0.0, 0.0);
        }
        self.sum += sample;
        self.count += 1.0;
    }

    /// The largest of the slow average, the fast one, and the fast one with the period that is under way: quick to see a
    /// rise, slow to believe a fall. `None` before the first sample.
    #[must_use]
    pub fn estimate(&self, averaging: &Averaging) -> Option<f64> {
        if self.count == 0.0 {
            return None;
        }
        let period = self.sum / self.count;
        if !self.any {
            return Some(period);
        }
        let current = self.fast + averaging.fast * (period - self.fast);
        Some(self.slow.max(self.fast).max(current))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AVERAGING: Averaging = Averaging { period: Duration::from_secs(30), slow: 0.1, fast: 0.5 };

    fn feed(active: &mut ActiveMemory, from: u64, seconds: u64, sample: f64) {
        (from..from + seconds).for_each(|at| active.add(Duration::from_secs(at), sample, &AVERAGING));
    }

    #[test]
    fn quick_up_and_slow_down() {
        let mut active = ActiveMemory::default();
        assert_eq!(active.estimate(&AVERAGING), None);
        feed(&mut active, 0, 60, 100.0);
        assert_eq!(active.estimate(&AVERAGING), Some(100.0));
        // A rise shows within the period: the fast average with what there is of it.
        feed(&mut active, 60, 5, 300.0);
        assert_eq!(active.estimate(&AVERAGING), Some(200.0));
        feed(&mut active, 65, 25, 300.0);
        feed(&mut active, 90, 30, 0.0);
        // 60 to 90 s have made fast 200 and slow 120; idle since, which shows only when a period of it is over.
        assert_eq!(active.estimate(&AVERAGING), Some(200.0));
        feed(&mut active, 120, 1, 0.0);
        assert!((active.estimate(&AVERAGING).unwrap() - 108.0).abs() < 1e-9, "the slow one holds");
    }
}
