//! How far the simulated Linux guest is from a real one.
//!
//! A [`Load`] says second by second how much the programs of each guest keep. It is run twice on the same host with the same policy: in
//! unmodified guests (by the crate `real-guest`, which calls [`plan`] for it), and in [simulated](simulate) ones. What host and driver said in
//! either, once a second, are [`Curves`]; [`Judgement`] holds one against the other: error over time, final values, reaction times, times of
//! hot-adds. Some loads are for calibration (the profile `linux-measured`), all others are judged without anything having been chosen with them.
//!
//! **Owns**: the loads, the plan that both halves run, the form of a recorded real half, the comparison and its page.
//!
//! **Never**: starts a real guest, or knows how that is done. A recorded real half is enough for everything here.
#![forbid(unsafe_code)]

mod collect;
mod curves;
mod judge;
mod load;
mod page;
mod plan;
mod simulate;

pub use collect::{Collector, Moved};
pub use curves::{Curve, Curves, CurvesError, VmCurves};
pub use judge::{CurveError, Judgement, Reaction, VmJudgement};
pub use load::{FileLoad, LOADS, Load, Purpose, VmLoad, find};
pub use page::{figure, page, table};
pub use plan::{BEGINS, plan};
pub use simulate::{SimulationError, simulate};

#[cfg(test)]
mod recorded_tests;
