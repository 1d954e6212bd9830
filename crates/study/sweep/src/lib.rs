//! Runs as points that any engine can distribute.
//!
//! A comparison, a verification, an exploration or a sizing is a set of [points](Point): each is a pure function of a scenario's text, a policy with its
//! parameters, a seed and the [version](version()) of the model, and gives one row. So it does not matter where and when a point is run, or how often:
//!
//! - A [plan](Plan) is a folder that holds the scenarios and all points, each named by the hash of what it is.
//! - [`run()`] executes some of the points and writes a [row](rows::Rows) for each, named by the point: at once or not at all, so that workers on many
//!   machines can share the folder, be killed, and be started again.
//! - [`standing`](standing::Standing) says which rows are there, and which are missing, failed or corrupt. What rows come to is for whoever planned them:
//!   the same bytes whatever ran where.
//! - [`engines`] writes what a queueing system takes: this crate schedules nothing.
//!
//! What a point does is a [`Runner`]'s matter. This crate knows of scenarios, and of one kind of point: [`explore`].
#![forbid(unsafe_code)]

pub mod engines;
pub mod explore;
pub mod files;
mod hash;
mod kept;
pub mod parallel;
mod plan;
mod point;
pub mod rows;
mod run;
pub mod standing;
pub mod submission;

pub use hash::Hash;
pub use kept::Kept;
pub use plan::{BadPlan, PLAN_FILE, POINTS_FILE, Plan, ROWS_FOLDER, Sketch};
pub use point::{Kind, Point, Settings};
pub use run::{Done, Runner, Stuck, Told, run};

/// Version of the model: that of the release, and a hash of the sources that rows depend on.
///
/// Two programs of one version give the same row for the same point, whatever machine they run on.
#[must_use]
pub fn version() -> &'static str {
    concat!(env!("CARGO_PKG_VERSION"), "+", env!("MODEL_SOURCES"))
}
