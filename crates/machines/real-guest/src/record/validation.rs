//! One load in a real guest, and beside it what the simulated guest makes of the same load.

use std::path::Path;

use anyhow::{Context as _, Result};
use guest_validation::{CurveError, Judgement, simulate};

use super::Record;
use crate::pieces::Pieces;
use crate::validation;

/// Nothing of the simulated guest was chosen with it.
const LOAD: &str = "ramp";
/// How far a curve may be from the real one at its end, percent.
const GOAL: f64 = 10.0;

pub(super) fn look(record: &mut Record, pieces: &Pieces, directory: &Path) -> Result<()> {
    let load = guest_validation::find(LOAD).context("there is no such load")?;
    let real = match validation::run(pieces, load, directory) {
        Ok(real) => real,
        Err(error) => {
            record.check("validation: a guest follows its load to the end", false, format!("{error:#}"));
            return Ok(());
        }
    };
    let judged = Judgement::of(&real, &simulate(load)?);
    let errors = || judged.vms.iter().flat_map(|vm| &vm.curves);
    let seen = |of: fn(&CurveError) -> f64| {
        let each = errors().map(|error| format!("{} {:.1} %", error.curve.name(), of(error)));
        each.collect::<Vec<_>>().join(", ")
    };
    record.check(
        &format!("validation: load `{LOAD}`: the simulated guest is within {GOAL} % of this one at the end"),
        judged.worst(|error| error.end) <= GOAL,
        seen(|error| error.end),
    );
    // How late a real guest is depends on how busy its computer is.
    for (name, of) in [
        (
            "worst median over time of the simulated guest's errors, percent",
            (|error: &CurveError| error.median) as fn(&CurveError) -> f64,
        ),
        ("worst 95th percentile over time of the simulated guest's errors, percent", |error| error.p95),
    ] {
        record.figure(name, judged.worst(of));
    }
    Ok(())
}
