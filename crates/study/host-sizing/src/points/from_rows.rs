//! A search that runs nothing but the fast model: what full runs come to is in rows, or is to be run by others.

use std::cell::RefCell;

use sweep::rows::{Found, Rows};
use sweep::{Kept, Point};

use super::{Asked, name};
use crate::fleet::Fleet;
use crate::job::{Engine, Job};
use crate::measure::HostOutcome;
use crate::runs::{Batch, Runs};
use crate::{Progress, SizingError, simulate};

pub(super) struct FromRows<'a> {
    kept: &'a Kept,
    base: &'a Fleet,
    seed: u64,
    asked: &'a Asked,
    /// `None`: there are none yet.
    rows: Option<&'a Rows>,
    progress: Progress<'a>,
    missing: RefCell<Vec<Point>>,
}

impl<'a> FromRows<'a> {
    /// `base` and `seed` are the scenario's.
    pub(super) fn new(
        kept: &'a Kept,
        base: &'a Fleet,
        seed: u64,
        asked: &'a Asked,
        rows: Option<&'a Rows>,
        progress: Progress<'a>,
    ) -> Self {
        Self { kept, base, seed, asked, rows, progress, missing: RefCell::default() }
    }

    /// The runs that the search waits for, each once.
    pub(super) fn into_missing(self) -> Vec<Point> {
        let mut known = std::collections::BTreeSet::new();
        let mut missing = self.missing.into_inner();
        missing.retain(|point| known.insert(point.point.clone()));
        missing
    }

    fn look(&self, point: &Point) -> Option<HostOutcome> {
        match self.rows?.look(point) {
            Found::Row(text) => super::read(point, &text).ok(),
            Found::Missing | Found::Failed(_) | Found::Corrupt(..) => None,
        }
    }
}

impl Runs for FromRows<'_> {
    fn run(&self, batch: Batch<'_>) -> Result<Vec<HostOutcome>, SizingError> {
        let Batch { fleet, engine, jobs, .. } = batch;
        let point =
            |job: &Job| name::point(self.kept, self.seed, &self.asked.changes, self.base, &batch, job);
        // A host without VMs takes no run.
        let points: Vec<Option<Point>> =
            jobs.iter().map(|job| (!job.vms.is_empty()).then(|| point(job))).collect();
        let mut outcomes: Vec<Option<HostOutcome>> = points
            .iter()
            .map(|point| {
                point.as_ref().map_or_else(|| Some(HostOutcome::default()), |point| self.look(point))
            })
            .collect();
        let places: Vec<usize> = (0..jobs.len()).filter(|place| outcomes[*place].is_none()).collect();
        if engine == Engine::Full {
            let missing = places.iter().filter_map(|place| points[*place].clone());
            self.missing.borrow_mut().extend(missing);
        } else {
            // Fast enough to be run by whoever collects; kept, so that they are run once.
            let new: Vec<Job> = places.iter().map(|place| jobs[*place].clone()).collect();
            let threads = self.asked.question.threads;
            let ran = simulate::run_all(fleet, engine, &new, threads, self.progress)?;
            for (place, outcome) in places.into_iter().zip(ran) {
                if let (Some(rows), Some(point)) = (self.rows, &points[place])
                    && let Ok(row) = serde_json::to_string(&outcome)
                {
                    let _run_again_next_time = rows.write(point, &row);
                }
                outcomes[place] = Some(outcome);
            }
        }
        outcomes.into_iter().collect::<Option<Vec<_>>>().ok_or(SizingError::Waiting)
    }
}
