//! The samples of a run, kept as far as they can be.

use super::need::Needs;
use super::plan::Plan;
use super::points::Point;
use super::sums::Sums;

/// All points of a run, in order of time, or none if they would be too many to keep.
#[derive(Clone, Debug, Default)]
pub struct Points {
    points: Vec<Point>,
    keep: bool,
    last: Option<Point>,
    sums: Sums,
}

impl Points {
    /// Keeps the points, or only what the summary needs of them.
    pub(crate) fn new(plan: &Plan, keep: bool) -> Self {
        Self { points: Vec::new(), keep, last: None, sums: Sums::new(plan.vms.len(), Needs::of(plan)) }
    }

    pub(crate) fn push(&mut self, point: Point) {
        self.sums.add(&point, self.last.as_ref());
        if self.keep {
            self.points.push(point.clone());
        }
        self.last = Some(point);
    }

    /// The points that were kept.
    #[must_use]
    pub fn all(&self) -> &[Point] {
        &self.points
    }

    /// The last point.
    #[must_use]
    pub fn last(&self) -> Option<&Point> {
        self.last.as_ref()
    }

    pub(crate) fn sums(&self) -> &Sums {
        &self.sums
    }
}
