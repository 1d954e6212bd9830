//! Random numbers of the shapes the model needs, from a portable generator and without the platform's libm.

use core::time::Duration;

use rand_core::RngCore;

/// Uniform in [0, 1).
pub(crate) fn unit(rng: &mut impl RngCore) -> f64 {
    // 53 random bits: every multiple of 2^-53.
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Normal with mean 0 and deviation 1 (Box and Muller's transform).
pub(crate) fn normal(rng: &mut impl RngCore) -> f64 {
    // 1 − u is in (0, 1], so that the logarithm exists.
    let radius = libm::sqrt(-2.0 * libm::log(1.0 - unit(rng)));
    radius * libm::cos(core::f64::consts::TAU * unit(rng))
}

/// A positive quantity of this mean and coefficient of variation: normal, cut off at a tenth of the mean and at as much
/// above it as that is below, so that the mean stays.
pub(crate) fn varied(rng: &mut impl RngCore, mean: f64, variation: f64) -> f64 {
    mean * (1.0 + variation * normal(rng)).clamp(0.1, 1.9)
}

/// [`varied`] of a time.
pub(crate) fn varied_time(rng: &mut impl RngCore, mean: Duration, variation: f64) -> Duration {
    Duration::from_secs_f64(varied(rng, mean.as_secs_f64(), variation))
}

/// Exponential with this mean.
pub(crate) fn exponential(rng: &mut impl RngCore, mean: f64) -> f64 {
    -mean * libm::log(1.0 - unit(rng))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_pcg::Pcg64;

    fn mean_and_deviation(mut draw: impl FnMut(&mut Pcg64) -> f64) -> (f64, f64) {
        let mut rng = Pcg64::new(1, 2);
        let drawn: Vec<f64> = (0..20_000).map(|_| draw(&mut rng)).collect();
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        let variance = drawn.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / drawn.len() as f64;
        (mean, variance.sqrt())
    }

    #[test]
    fn moments() {
        let (mean, deviation) = mean_and_deviation(normal);
        assert!(mean.abs() < 0.03 && (deviation - 1.0).abs() < 0.03, "{mean} {deviation}");
        let (mean, deviation) = mean_and_deviation(|rng| varied(rng, 30.0, 0.3));
        assert!((mean - 30.0).abs() < 0.3 && (deviation / mean - 0.3).abs() < 0.02, "{mean} {deviation}");
        let (mean, _) = mean_and_deviation(|rng| exponential(rng, 5.0));
        assert!((mean - 5.0).abs() < 0.2, "{mean}");
        let (mean, _) = mean_and_deviation(unit);
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
    }
}
