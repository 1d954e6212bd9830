//! Runs points of a plan, and writes their rows.

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, RwLock};
use scenario::file::Scenario;

use super::parallel::{News, watched};
use super::rows::{Found, Note, Rows};
use super::{BadPlan, Plan, Point};

/// What a point does.
pub trait Runner: Send + Sync + 'static {
    /// Runs a point of its scenario: the row, one line of JSON. `lane` is the number of the thread that it runs on.
    ///
    /// The row depends on the point and on nothing else. What the point costs is measured of the calling thread.
    ///
    /// # Errors
    /// Why there is no row.
    fn run(&self, lane: usize, point: &Point, scenario: &Scenario) -> Result<String, String>;

    /// A point that will not come to an end, if there is one. It is asked a few times a second.
    fn stuck(&self) -> Option<Stuck> {
        None
    }
}

/// A point that will not come to an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The thread that it runs on.
    pub lane: usize,
    /// Why it will not.
    pub why: String,
}

/// What is told while points run.
#[derive(Debug)]
pub enum Told<'p> {
    /// Of so many points, so many have their row already.
    Begin {
        /// The points.
        all: usize,
        /// Those that have a row.
        already: usize,
    },
    /// A row that was none, whose point is run again.
    Again(&'p Point, PathBuf, String),
    /// A point has its row now.
    Row(&'p Point),
    /// A point has failed.
    Failed(&'p Point, String),
}

/// What came of running points.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// Points that had their row already.
    pub already: usize,
    /// Points that have it now.
    pub ran: usize,
    /// Points that failed.
    pub failed: usize,
    /// Seconds of one core that those took that ran.
    pub seconds: f64,
    /// Why it ended before all were run: rows cannot be written, or a point does not end. What was not run can be run again.
    pub ended: Option<String>,
}

/// Runs the points of these places, if they have no row yet: what has failed before last. Rows are written as they come, and none after this
/// has returned, although a point that does not end goes on: its thread is left behind.
///
/// # Errors
/// Another version of the model, or a plan that is damaged. Nothing was run then.
pub fn run(
    plan: &Plan,
    rows: &Rows,
    places: &[usize],
    threads: usize,
    runner: &Arc<dyn Runner>,
    tell: &mut dyn FnMut(Told<'_>),
) -> Result<Done, BadPlan> {
    plan.check_version()?;
    let mut done = Done::default();
    let (mut due, mut failed_before) = (Vec::new(), Vec::new());
    let mut again = Vec::new();
    for point in places.iter().filter_map(|&place| plan.points().get(place)) {
        match rows.look(point) {
            Found::Row(_) => done.already += 1,
            Found::Missing => due.push(point.clone()),
            Found::Failed(_) => failed_before.push(point.clone()),
            Found::Corrupt(path, why) => {
                due.push(point.clone());
                again.push((point, path, why));
            }
        }
    }
    tell(Told::Begin { all: places.len(), already: done.already });
    for (point, path, why) in again {
        // A row that cannot be taken away is written over.
        let _written_over = rows.discard(&path);
        tell(Told::Again(point, path, why));
    }
    due.append(&mut failed_before);
    let scenarios = plan.scenarios(due.iter().map(|point| &point.settings.scenario))?;
    let due: Arc<[Point]> = due.into();
    let lanes: Arc<[Mutex<Option<usize>>]> = (0..threads.max(1)).map(|_| Mutex::new(None)).collect();
    // Whether rows are still written. A thread that writes one reads this until the row is there: so the end waits for rows that are being
    // written, and none is begun after it.
    let open = Arc::new(RwLock::new(true));
    let work = {
        let (due, rows, runner, lanes, open) =
            (Arc::clone(&due), rows.clone(), Arc::clone(runner), Arc::clone(&lanes), Arc::clone(&open));
        let log = Mutex::new(None);
        move |lane: usize, place: usize| {
            let point: &Point = &due[place];
            *lanes[lane].lock() = Some(place);
            let (result, seconds) = timed(|| match scenarios.get(&point.settings.scenario) {
                Some(scenario) => caught(|| runner.run(lane, point, scenario)),
                None => Err("its scenario is not there".to_owned()),
            });
            *lanes[lane].lock() = None;
            let open = open.read();
            let written = match &result {
                _ if !*open => Err(io::Error::other("the run has ended")),
                Ok(row) => rows.write(point, row),
                Err(why) => rows.write_failure(point, why),
            };
            if result.is_ok() && written.is_ok() {
                let note =
                    Note { point: point.point.clone(), seconds, vm_seconds: point.settings.vm_seconds };
                let mut log = log.lock();
                note_down(log.get_or_insert_with(|| rows.log()), &note);
            }
            (result.map(|_| ()), written, seconds)
        }
    };
    let ended = watched(due.len(), threads, work, |news| {
        match news {
            News::None => {
                let Some(stuck) = runner.stuck() else { return ControlFlow::Continue(()) };
                let point =
                    lanes.get(stuck.lane).and_then(|lane| *lane.lock()).and_then(|place| due.get(place));
                let Some(point) = point else { return ControlFlow::Continue(()) };
                done.failed += 1;
                let _said_below = rows.write_failure(point, &stuck.why);
                tell(Told::Failed(point, stuck.why.clone()));
                return ControlFlow::Break(stuck.why);
            }
            News::Done(place, (result, written, seconds)) => {
                let point = &due[place];
                done.seconds += seconds;
                match (result, written) {
                    (_, Err(error)) => {
                        done.failed += 1;
                        let path = rows.path(&point.point);
                        return ControlFlow::Break(format!("{} cannot be written: {error}", path.display()));
                    }
                    (Ok(()), Ok(())) => {
                        done.ran += 1;
                        tell(Told::Row(point));
                    }
                    (Err(why), Ok(())) => {
                        done.failed += 1;
                        tell(Told::Failed(point, why));
                    }
                }
            }
        }
        ControlFlow::Continue(())
    });
    *open.write() = false;
    done.ended = match ended {
        Ok(ControlFlow::Continue(())) => None,
        Ok(ControlFlow::Break(why)) => Some(why),
        Err(error) => Some(format!("cannot start a thread: {error}")),
    };
    Ok(done)
}

/// A defect of the runner costs its point, not the worker.
fn caught(run: impl FnOnce() -> Result<String, String>) -> Result<String, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no message)");
        Err(format!("panicked: {text}"))
    })
}

/// What came of it, and seconds of a core that it took: of this thread alone where the system tells, else of real time.
#[expect(clippy::disallowed_methods, reason = "measures what a point costs; no row depends on it")]
fn timed<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let (began, on_core) = (Instant::now(), seconds_on_core());
    let result = run();
    let seconds = match (on_core, seconds_on_core()) {
        (Some(before), Some(after)) => after - before,
        _ => began.elapsed().as_secs_f64(),
    };
    (result, seconds)
}

/// How long this thread has been on a core: the first number of a file of Linux, in ns.
fn seconds_on_core() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let ns: u64 = text.split_whitespace().next()?.parse().ok()?;
    Some(ns as f64 / 1e9)
}

/// A note that cannot be written is left out: nothing but a sum of costs depends on it.
fn note_down(log: &mut Option<std::fs::File>, note: &Note) {
    if let (Some(log), Ok(line)) = (log, serde_json::to_string(note)) {
        let _left_out = log.write_all(format!("{line}\n").as_bytes());
    }
}
