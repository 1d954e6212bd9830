//! What a VM will need by the time memory can reach it, and how sure that is.

use core::time::Duration;

use balancing_policy::{GuestReport, VmView};

/// How forecasts are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecasting {
    /// Reports of half the time over which a trend must last.
    pub trend_reports: usize,
    /// Time in which a surprise is half forgotten, in seconds.
    pub half_life: f64,
    /// Margin of a VM that never surprises, as a part of its demand.
    pub least_margin: f64,
}

/// The forecast of one VM. Amounts are pages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forecast {
    /// When the newest report came that was counted.
    counted: Option<Duration>,
    demand: f64,
    /// Pages per second; never negative: a fall is believed when it has happened.
    trend: f64,
    /// By how much demand rose beyond its trend lately, fading.
    surprise: f64,
}

/// A report as a point: seconds and pages. What a guest says may be anything: no host has 2^50 pages.
fn point(report: &GuestReport) -> (f64, f64) {
    (report.at.as_secs_f64(), report.demand.get().min(1 << 50) as f64)
}

/// Pages per second from an earlier point to a later one.
fn rate(later: (f64, f64), earlier: (f64, f64)) -> f64 {
    (later.1 - earlier.1) / (later.0 - earlier.0).max(1e-3)
}

/// By how much demand rises, in pages per second.
///
/// One jump is no trend. Three rises in a row are one, the least of them; and so is a rise in both halves of a longer time,
/// the lesser of the two.
fn trend(vm: &VmView, half: usize) -> f64 {
    let mut points = vm.history.iter().map(point);
    let Some(newest) = points.next() else { return 0.0 };
    let half = half.max(1);
    let (mut last, mut in_a_row) = (newest, f64::INFINITY);
    let (mut middle, mut count, mut both) = (newest, 0, 0.0);
    for (n, earlier) in (1..=half * 2).zip(points) {
        if n <= 3 {
            in_a_row = in_a_row.min(rate(last, earlier));
        }
        if n == half {
            middle = earlier;
        } else if n == half * 2 {
            both = rate(newest, middle).min(rate(middle, earlier));
        }
        (last, count) = (earlier, n);
    }
    let in_a_row = if count >= 3 { in_a_row } else { 0.0 };
    in_a_row.max(both).max(0.0)
}

impl Forecast {
    /// Count what has been reported since the last call.
    pub fn update(&mut self, vm: &VmView, forecasting: &Forecasting) {
        let Some(newest) = vm.report().filter(|newest| self.counted != Some(newest.at)) else { return };
        let (_, demand) = point(newest);
        if let Some(before) = self.counted.replace(newest.at) {
            let passed = newest.at.saturating_sub(before).as_secs_f64();
            let expected = self.demand + self.trend * passed;
            self.surprise *= libm::exp2(-passed / forecasting.half_life.max(1e-3));
            self.surprise = self.surprise.max(demand - expected);
        }
        self.trend = trend(vm, forecasting.trend_reports);
        self.demand = demand;
    }

    /// What it needs now, as far as it says.
    #[must_use]
    pub fn demand(&self) -> f64 {
        self.demand
    }

    /// How much more it will need in this many seconds; no more than it needs now.
    #[must_use]
    pub fn rise(&self, seconds: f64) -> f64 {
        (self.trend * seconds).min(self.demand)
    }

    /// What it should have beyond its need because forecasts fail: its last surprise, between the least and `most`.
    #[must_use]
    pub fn margin(&self, forecasting: &Forecasting, most: f64) -> f64 {
        self.surprise.max(forecasting.least_margin * self.demand).min(most)
    }
}

#[cfg(test)]
mod tests {

    use balancing_policy::{GuestStatus, MemorySettings, PageCount, VmId};

    use super::*;

    const FORECASTING: Forecasting = Forecasting { trend_reports: 4, half_life: 60.0, least_margin: 0.05 };

    fn vm() -> VmView {
        VmView::new(VmId(1), MemorySettings::fixed(PageCount(100_000)))
    }

    /// The forecast after these demands, one a second.
    fn after(demands: impl IntoIterator<Item = u64>) -> Forecast {
        let (mut vm, mut forecast) = (vm(), Forecast::default());
        for (second, demand) in (1..).zip(demands) {
            let at = Duration::from_secs(second);
            vm.history.push(at, GuestStatus::default().with(|c| c.demand = PageCount(demand)));
            forecast.update(&vm, &FORECASTING);
            forecast.update(&vm, &FORECASTING);
        }
        forecast
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn nothing_is_known_before_the_first_report() {
        let forecast = after([]);
        assert_eq!(
            (forecast.demand(), forecast.rise(2.0), forecast.margin(&FORECASTING, 1e9)),
            (0.0, 0.0, 0.0)
        );
    }

    #[test]
    fn a_level_load_has_no_trend_and_the_least_margin() {
        let forecast = after([1000; 20]);
        assert_eq!(forecast.rise(2.0), 0.0);
        assert!(near(forecast.margin(&FORECASTING, 200.0), 50.0));
    }

    #[test]
    fn three_rises_in_a_row_are_a_trend() {
        assert_eq!(after([1000, 1000, 1100, 1200]).rise(2.0), 0.0, "not two");
        assert!(near(after([1000, 1000, 1100, 1200, 1350]).rise(2.0), 200.0), "the least of three");
        assert_eq!(after([1000, 900, 800, 700]).rise(2.0), 0.0, "falls are none");
    }

    #[test]
    fn steps_that_go_on_are_a_trend_and_a_jump_is_not() {
        // 30 pages every third second.
        let steps = after((0..20).map(|second| 1000 + second / 3 * 30));
        assert!((5.0..=15.0).contains(&steps.rise(1.0)), "{}", steps.rise(1.0));
        for seconds in 1..12 {
            let jump = after([1000; 20].into_iter().chain(vec![5000; seconds]));
            assert_eq!(jump.rise(1.0), 0.0, "{seconds} s after a jump");
        }
    }

    #[test]
    fn a_surprise_makes_the_margin_and_fades() {
        let margin = |quiet: usize| {
            let demands = [1000; 5].into_iter().chain([1400]).chain(vec![1000; quiet]);
            after(demands).margin(&FORECASTING, 1e9)
        };
        assert!(near(margin(0), 400.0));
        assert!(near(margin(60), 200.0));
        assert!(near(margin(600), 50.0));
        // No more than what is allowed.
        assert!(near(after([1000, 1400]).margin(&FORECASTING, 280.0), 280.0));
    }

    #[test]
    fn what_was_foreseen_is_no_surprise() {
        let ramp = after((0..30).map(|second| 1000 + 20 * second));
        assert!(near(ramp.rise(2.0), 40.0));
        assert!(ramp.margin(&FORECASTING, 1e9) <= 0.05 * 1600.0, "{}", ramp.margin(&FORECASTING, 1e9));
    }

    #[test]
    fn whatever_a_guest_claims() {
        let forecast = after([u64::MAX, 0, u64::MAX, u64::MAX, 1]);
        assert!(forecast.rise(1e9).is_finite() && forecast.margin(&FORECASTING, f64::MAX).is_finite());
    }
}
