//! How far a sweep is.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::rows::{Found, Rows};
use super::{Plan, Point};

/// How far a sweep is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Points in all.
    pub points: usize,
    /// Points that have their row.
    pub rows: usize,
    /// Points that nobody has run, or nobody to the end.
    pub missing: Vec<Point>,
    /// Points that were run and failed, with why.
    pub failed: Vec<(Point, String)>,
    /// Points whose row is none, with the file and why.
    pub corrupt: Vec<(Point, PathBuf, String)>,
    /// Points that workers noted the cost of, and their seconds of one core.
    pub noted: (usize, f64),
    /// VM seconds of virtual time of those.
    pub noted_vm_seconds: u64,
}

/// Lines of one kind that are listed.
const LISTED: usize = 10;

impl Standing {
    /// How far the plan is with these rows. `each` is shown every row, in the order of the plan; a row that it refuses is corrupt.
    pub fn of(
        plan: &Plan,
        rows: &Rows,
        each: &mut dyn FnMut(usize, &Point, &str) -> Result<(), String>,
    ) -> Self {
        let mut standing = Self { points: plan.points().len(), ..Self::default() };
        for (place, point) in plan.points().iter().enumerate() {
            match rows.look(point) {
                Found::Row(row) => match each(place, point, &row) {
                    Ok(()) => standing.rows += 1,
                    Err(why) => standing.corrupt.push((point.clone(), rows.path(&point.point), why)),
                },
                Found::Missing => standing.missing.push(point.clone()),
                Found::Failed(why) => standing.failed.push((point.clone(), why)),
                Found::Corrupt(path, why) => standing.corrupt.push((point.clone(), path, why)),
            }
        }
        let notes = rows.notes(plan.points());
        standing.noted = (notes.len(), notes.iter().map(|note| note.seconds).sum());
        standing.noted_vm_seconds = notes.iter().map(|note| note.vm_seconds).sum();
        standing
    }

    /// Whether every point has its row.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.rows == self.points
    }

    /// What it is, for people: how many rows are there, and which are not.
    #[must_use]
    pub fn told(&self) -> String {
        let mut text = format!("{} of {} points have their row", self.rows, self.points);
        let counts =
            [(self.missing.len(), "missing"), (self.failed.len(), "failed"), (self.corrupt.len(), "corrupt")];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            let _: std::fmt::Result = write!(text, ", {count} {what}");
        }
        text.push('\n');
        list(&mut text, "missing", self.missing.iter().map(Point::to_string));
        list(&mut text, "failed", self.failed.iter().map(|(point, why)| format!("{point}: {why}")));
        let corrupt = |(point, path, why): &(Point, PathBuf, String)| {
            format!("{point}: {}: {why}; the point is to be run again", path.display())
        };
        list(&mut text, "corrupt", self.corrupt.iter().map(corrupt));
        let (points, seconds) = self.noted;
        if points > 0 && seconds > 0.0 {
            let took = match seconds / 3600.0 {
                hours if hours < 0.1 => format!("{seconds:.1} core seconds"),
                hours => format!("{hours:.2} core hours"),
            };
            let _: std::fmt::Result = writeln!(
                text,
                "{points} points took {took}: {:.0} points, or {:.0} VM hours of virtual time, per core hour",
                points as f64 / seconds * 3600.0,
                self.noted_vm_seconds as f64 / seconds,
            );
        }
        text
    }
}

fn list(text: &mut String, what: &str, lines: impl ExactSizeIterator<Item = String>) {
    let more = lines.len().saturating_sub(LISTED);
    for line in lines.take(LISTED) {
        let _: std::fmt::Result = writeln!(text, "{what}: {line}");
    }
    if more > 0 {
        let _: std::fmt::Result = writeln!(text, "{what}: and {more} more");
    }
}
