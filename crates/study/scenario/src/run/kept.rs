//! The samples of a run, kept as far as they can be.

use super::need::Needs;
use super::phases;
use super::points::Point;
use super::sums::Sums;

/// Which points are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All of them: whoever runs the run wants them.
    All,
    /// All of them while there can be [phases](super::phases) in them.
    ForPhases,
    /// None: they are too many, or there can be no phases.
    #[default]
    None,
}

/// All points of a run, in order of time, or none if they would be too many to keep or are of no use.
#[derive(Clone, Debug, Default)]
pub struct Points {
    points: Vec<Point>,
    keep: Keep,
    last: Option<Point>,
    sums: Sums,
}

impl Points {
    /// Keeps such points, or only what the summary needs of them. `needs` are those of the run's VMs.
    pub(crate) fn new(vms: usize, needs: Needs, keep: Keep) -> Self {
        Self { points: Vec::new(), keep, last: None, sums: Sums::new(vms, needs) }
    }

    pub(crate) fn push(&mut self, point: Point) {
        self.sums.add(&point, self.last.as_ref());
        if self.keep != Keep::None {
            self.points.push(point.clone());
        }
        if self.keep == Keep::ForPhases && point.vms.iter().all(|vm| !vm.physical.is_zero()) {
            // Whoever came last has come, if there is such a VM.
            self.keep = if phases::newcomer(&self.points).is_some() { Keep::All } else { Keep::None };
            if self.keep == Keep::None {
                self.points = Vec::new();
            }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use page_range::PageCount;

    use super::super::points::VmPoint;
    use super::*;

    /// The points that are kept of a run whose VMs have so much memory at each sample.
    fn kept(keep: Keep, samples: &[[u64; 2]]) -> usize {
        let mut points = Points::new(2, Needs::default(), keep);
        for (second, vms) in (0..).zip(samples) {
            let vm = |&mib| VmPoint { physical: PageCount::from_mib(mib), ..VmPoint::default() };
            let (time, vms) = (Duration::from_secs(second), vms.iter().map(vm).collect());
            points.push(Point { time, vms, ..Point::default() });
        }
        assert_eq!(points.last().map(|point| point.time.as_secs() + 1), Some(samples.len() as u64));
        points.all().len()
    }

    #[test]
    fn where_no_vm_came_last_there_can_be_no_phases_and_nothing_is_kept() {
        let (together, one_last) = ([[0, 0], [512, 512], [512, 512]], [[512, 0], [512, 512], [512, 512]]);
        assert_eq!([kept(Keep::ForPhases, &together), kept(Keep::ForPhases, &one_last)], [0, 3]);
        assert_eq!([kept(Keep::All, &together), kept(Keep::None, &one_last)], [3, 0]);
        // Somebody may still come.
        assert_eq!(kept(Keep::ForPhases, &[[512, 0], [512, 0]]), 2);
    }
}
