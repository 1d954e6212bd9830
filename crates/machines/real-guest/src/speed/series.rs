//! Several measurements of the same thing.

use serde::Serialize;

/// Seconds per GiB; the measurements in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Series(pub(super) Vec<f64>);

impl Series {
    pub(super) fn median(&self) -> f64 {
        self.spread().0
    }

    /// Median, smallest, largest.
    pub(super) fn spread(&self) -> (f64, f64, f64) {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
        (at(sorted.len() / 2), at(0), at(sorted.len().saturating_sub(1)))
    }
}
