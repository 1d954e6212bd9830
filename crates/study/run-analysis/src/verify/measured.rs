//! What a check measures, and what its functions share.

use super::observation::Observation;
use scenario::file::Check;
use scenario::run::statistics;

/// What was seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// A number in the check's unit.
    Number(f64),
    /// A number for each sample.
    Samples(Vec<f64>),
    /// What must hold holds.
    Holds,
    /// It does not, and why.
    Fails(String),
}

/// Why a check could not be made: what it looks at is not there.
pub(crate) type Missing = String;
/// What a check's function returns.
pub(crate) type Look = Result<Measured, Missing>;

/// The VM that the check is about: the one it names, or the only one.
pub(crate) fn vm(check: &Check, run: &Observation) -> Result<usize, Missing> {
    match &check.vm {
        Some(name) => run.place(&name.value).ok_or(format!("there is no VM {:?}", name.value)),
        None if run.vms.len() == 1 => Ok(0),
        None => Err("the check needs to know which VM: give it `vm`".to_owned()),
    }
}

/// The largest of the parent's page reads, averaged over pieces of a [window](super::windows::Windows::reads).
pub(crate) fn peak_of_averages(run: &Observation, from: usize, to: usize) -> Option<f64> {
    let points = &run.points[from..=to];
    let times: Vec<f64> = points.iter().map(|point| point.time.as_secs_f64()).collect();
    let reads: Vec<f64> = points.iter().map(|point| point.host.parent_reads_per_second).collect();
    statistics::averages(&times, &reads, run.windows.reads).into_iter().reduce(f64::max)
}
