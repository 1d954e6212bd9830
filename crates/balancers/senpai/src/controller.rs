//! The algorithm in its own terms: stall time goes in, factors on a limit come out.

use crate::Config;

/// What a tick makes of the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// The limit stays.
    Keep,
    /// Too much stall: the limit rises by this part of itself.
    BackOff(f64),
    /// Little stall: the limit falls by this part of itself.
    Probe(f64),
}

/// The controller of one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Controller {
    /// Stall since the limit was last changed, in microseconds.
    integral: f64,
    /// Ticks since then.
    ticks: u32,
}

impl Controller {
    /// A tick in which there was so much stall, in microseconds.
    pub fn tick(&mut self, stall: f64, config: &Config) -> Step {
        self.integral += stall.max(0.0);
        self.ticks += 1;
        let error = self.integral / config.pressure_us;
        if self.integral > config.pressure_us {
            *self = Self::default();
            return Step::BackOff(square(error / config.backoff_coefficient).min(1.0) * config.most_backoff);
        }
        if self.ticks < config.probe_ticks {
            return Step::Keep;
        }
        *self = Self::default();
        // Without any stall the square is without bound, and the most is what is left of it.
        Step::Probe(square(1.0 / (config.probe_coefficient * error)).min(1.0) * config.most_probe)
    }

    /// Stall since the limit was last changed, in microseconds.
    #[must_use]
    pub fn integral(&self) -> f64 {
        self.integral
    }
}

fn square(number: f64) -> f64 {
    number * number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(stalls: &[f64]) -> Vec<Step> {
        let (mut controller, config) = (Controller::default(), Config::default());
        stalls.iter().map(|&stall| controller.tick(stall, &config)).collect()
    }

    fn part(step: Step) -> f64 {
        match step {
            Step::Keep => 0.0,
            Step::BackOff(part) => part,
            Step::Probe(part) => -part,
        }
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn probes_by_one_percent_every_six_ticks_without_stall() {
        let steps = ticks(&[0.0; 12]);
        let probe = Step::Probe(0.01);
        let k = Step::Keep;
        assert_eq!(steps, [k, k, k, k, k, probe, k, k, k, k, k, probe]);
    }

    #[test]
    fn probes_are_shorter_the_nearer_the_stall_is_to_what_is_aimed_at() {
        let after = |stall: f64| part(ticks(&[0.0, 0.0, stall, 0.0, 0.0, 0.0])[5]);
        // Up to a tenth of it, err = 0.1, the whole percent.
        assert!(near(after(1_000.0), -0.01));
        assert!(near(after(2_000.0), -0.01 / 4.0));
        assert!(near(after(5_000.0), -0.01 / 25.0));
        assert!(near(after(10_000.0), -0.01 / 100.0), "exactly what is aimed at is not above it");
    }

    #[test]
    fn backs_off_at_once_with_the_square_of_the_stall() {
        let at_once = |stall: f64| part(ticks(&[stall])[0]);
        assert!(near(at_once(20_000.0), 0.01));
        assert!(near(at_once(100_000.0), 0.25));
        assert!(near(at_once(200_000.0), 1.0));
        assert!(near(at_once(9e9), 1.0), "no more than doubled");
        // The stall adds up over ticks, and begins anew after a change.
        let steps = ticks(&[6_000.0, 6_000.0, 6_000.0]);
        assert_eq!(steps[0], Step::Keep);
        assert!(near(part(steps[1]), (1.2_f64 / 20.0) * (1.2 / 20.0)));
        assert_eq!(steps[2], Step::Keep);
    }

    #[test]
    fn after_backing_off_the_next_probe_is_six_ticks_away() {
        let steps = ticks(&[0.0, 0.0, 0.0, 0.0, 20_000.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert!(matches!(steps[4], Step::BackOff(_)));
        assert!(steps[5..10].iter().all(|&step| step == Step::Keep));
        assert_eq!(steps[10], Step::Probe(0.01));
    }
}
