//! Miss-ratio curves.

use alloc::vec::Vec;

use page_range::PageCount;

/// Points of a curve at most: what [`MAX_CHARACTERS`](crate::MAX_CHARACTERS) have room for.
pub const MAX_POINTS: usize = 32;

/// A point of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MissPoint {
    /// With this much memory …
    pub size: PageCount,
    /// … this share of touches misses, 0 to 1.
    pub ratio: f64,
}

/// Which share of a guest's touches would miss at which size of its memory, with straight lines between the points. Sizes ascend, shares
/// never do.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MissCurve {
    touches: f64,
    points: Vec<MissPoint>,
}

/// Why there is no curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CurveError {
    /// There is no point, or there are too many.
    #[error("a curve has 1 to {MAX_POINTS} points")]
    Points,
    /// Sizes do not ascend.
    #[error("sizes of a curve ascend from point to point")]
    Sizes,
    /// Shares are no shares, or ascend.
    #[error("shares of a curve are numbers from 0 to 1, and never ascend with the size")]
    Ratios,
    /// Touches are no number.
    #[error("touches a second are a number that is not negative")]
    Touches,
}

impl MissCurve {
    /// A curve of a guest that touches pages `touches` times a second.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(touches: f64, points: Vec<MissPoint>) -> Result<Self, CurveError> {
        if points.is_empty() || points.len() > MAX_POINTS {
            return Err(CurveError::Points);
        }
        if !(touches.is_finite() && touches >= 0.0) {
            return Err(CurveError::Touches);
        }
        if !points.iter().all(|point| (0.0..=1.0).contains(&point.ratio)) {
            return Err(CurveError::Ratios);
        }
        let pairs = || points.iter().zip(points.iter().skip(1));
        if !pairs().all(|(one, next)| one.size < next.size) {
            return Err(CurveError::Sizes);
        }
        if !pairs().all(|(one, next)| one.ratio >= next.ratio) {
            return Err(CurveError::Ratios);
        }
        Ok(Self { touches, points })
    }

    /// Touches a second.
    #[must_use]
    pub fn touches(&self) -> f64 {
        self.touches
    }

    /// The points.
    #[must_use]
    pub fn points(&self) -> &[MissPoint] {
        &self.points
    }

    /// The share of touches that would miss with so much memory: outside of the points, that of the nearest.
    #[must_use]
    pub fn ratio_at(&self, size: PageCount) -> f64 {
        let after = self.points.partition_point(|point| point.size <= size);
        let (Some(one), next) = (self.points.get(after.saturating_sub(1)), self.points.get(after)) else {
            return 1.0;
        };
        match next {
            Some(next) if after > 0 => {
                let part = (size.get() - one.size.get()) as f64 / (next.size.get() - one.size.get()) as f64;
                one.ratio + part * (next.ratio - one.ratio)
            }
            _ => one.ratio,
        }
    }

    /// Misses a second with so much memory.
    #[must_use]
    pub fn misses_at(&self, size: PageCount) -> f64 {
        self.touches * self.ratio_at(size)
    }

    /// The least memory with which no more than this share misses; the last point's if there is none.
    #[must_use]
    pub fn size_for(&self, ratio: f64) -> PageCount {
        let at = self.points.partition_point(|point| point.ratio > ratio);
        let (Some(next), before) =
            (self.points.get(at), at.checked_sub(1).and_then(|at| self.points.get(at)))
        else {
            return self.points.last().map_or(PageCount::ZERO, |point| point.size);
        };
        let Some(one) = before else { return next.size };
        let part = (one.ratio - ratio) / (one.ratio - next.ratio);
        let between = (next.size.get() - one.size.get()) as f64 * part;
        // A page more where it does not come out even. Sizes are far below what `f64` counts exactly.
        let (whole, even) = (between as u64, (between as u64) as f64 >= between);
        PageCount(one.size.get() + whole + u64::from(!even))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn point(size: u64, ratio: f64) -> MissPoint {
        MissPoint { size: PageCount(size), ratio }
    }

    #[test]
    fn between_points_are_straight_lines() {
        let curve = MissCurve::new(200.0, vec![point(100, 1.0), point(300, 0.5), point(500, 0.0)]).unwrap();
        let at = |size| curve.ratio_at(PageCount(size));
        assert_eq!([at(0), at(100), at(200), at(400), at(500), at(900)], [1.0, 1.0, 0.75, 0.25, 0.0, 0.0]);
        assert_eq!(curve.misses_at(PageCount(400)), 50.0);
        let size = |ratio| curve.size_for(ratio).get();
        assert_eq!([size(1.0), size(0.75), size(0.5), size(0.25), size(0.0)], [100, 200, 300, 400, 500]);
        assert_eq!(size(0.249), 401, "a page more where it does not come out even");
        let never = MissCurve::new(1.0, vec![point(7, 0.4)]).unwrap();
        assert_eq!((never.size_for(0.1), never.ratio_at(PageCount(9))), (PageCount(7), 0.4));
    }

    #[test]
    fn what_is_no_curve_is_refused() {
        let refused = |touches, points| MissCurve::new(touches, points).unwrap_err();
        assert_eq!(refused(1.0, vec![]), CurveError::Points);
        assert_eq!(refused(1.0, (0..33).map(|n| point(n, 0.0)).collect()), CurveError::Points);
        assert_eq!(refused(f64::NAN, vec![point(1, 0.0)]), CurveError::Touches);
        assert_eq!(refused(1.0, vec![point(1, 1.5)]), CurveError::Ratios);
        assert_eq!(refused(1.0, vec![point(1, f64::NAN)]), CurveError::Ratios);
        assert_eq!(refused(1.0, vec![point(1, 0.2), point(2, 0.3)]), CurveError::Ratios);
        assert_eq!(refused(1.0, vec![point(2, 0.3), point(2, 0.3)]), CurveError::Sizes);
    }
}
