//! Full runs of a sizing as points that any engine can distribute.
//!
//! Which runs a search needs shows only as others come to an end. So a sizing is planned in rounds: [`sketch`] plans the runs that the search needs
//! first; when they have their rows, [`collect`] goes on from there with the search's own code, and either has the answer, or plans what it needs next.
//! The answer is that of [`size`](crate::size()), to the byte, whatever ran where.

mod from_rows;
mod name;
mod runner;

use std::sync::Arc;
use std::time::Duration;

use load_import::Evidence;
use page_range::PageCount;
use scenario::file::Scenario;
use serde::{Deserialize, Serialize};
use sweep::rows::Rows;
use sweep::standing::Standing;
use sweep::{BadPlan, Hash, Kept, Kind, Plan, Point, Sketch};

use crate::fleet::{Fleet, FleetVm};
use crate::measure::HostOutcome;
use crate::question::{Growth, Question};
use crate::sizing::size_with;
use crate::{Answer, Progress, SizingError};

pub use runner::Sizer;

use from_rows::FromRows;

/// What is asked of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The question.
    pub question: Question,
    /// Seeds, where the load is drawn.
    pub seeds: u32,
    /// What is other than in the scenario.
    pub changes: Changes,
}

/// What is other than in a scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// The balancing policy.
    pub policy: Option<String>,
    /// How recorded demand grows.
    pub growth: Option<Growth>,
    /// The burst that is added every hour: how much, for how long.
    pub burst: Option<(PageCount, Duration)>,
}

/// What files knew beside the scenario that was made of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    begins: Option<i64>,
    evidence: Evidence,
    vms: Vec<FleetVm>,
}

/// What a plan keeps of a sizing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    scenario: Hash,
    asked: Asked,
    told: Told,
}

/// Why a sweep is no sizing.
#[derive(Debug, thiserror::Error)]
pub enum PointsError {
    /// The plan.
    #[error(transparent)]
    Plan(#[from] BadPlan),
    /// The sizing.
    #[error(transparent)]
    Sizing(#[from] SizingError),
    /// A load that a plan cannot keep.
    #[error("the load {0:?} cannot be planned: {1}")]
    Load(String, String),
    /// What the plan says of its sizing.
    #[error("what the plan says of its sizing cannot be read: {0}")]
    About(serde_json::Error),
}

/// What collecting came to.
#[derive(Debug)]
pub enum Collected {
    /// Rows are missing.
    Incomplete,
    /// The search needs so many more runs, which are planned now.
    More(usize),
    /// The answer.
    Answer(Box<Answer>),
}

impl Changes {
    /// The VMs as they are sized for; `told` is what files knew beside the scenario.
    fn fleet(&self, scenario: &Scenario, seeds: u32, told: Option<&Told>) -> Result<Fleet, SizingError> {
        let mut fleet = Fleet::of_scenario(scenario, self.policy.as_deref(), seeds)?;
        if let Some(told) = told {
            fleet.begins = told.begins;
            fleet.evidence = told.evidence.clone();
            for (vm, told) in fleet.vms.iter_mut().zip(&told.vms) {
                *vm = told.clone();
            }
        }
        if let Some(growth) = self.growth {
            fleet.grow(growth)?;
        }
        if let Some((size, length)) = self.burst {
            fleet.burst(size, length)?;
        }
        Ok(fleet)
    }
}

/// The runs that a sizing needs first. `fleet` is what is known of the scenario's VMs, before growth and bursts; `command` is what does the same on
/// one machine.
///
/// # Errors
/// A question without sense, or a load that a plan cannot keep.
pub fn sketch(
    scenario: &Scenario,
    fleet: &Fleet,
    asked: &Asked,
    command: &str,
    progress: Progress<'_>,
) -> Result<Sketch, PointsError> {
    let (kept, trace) = Kept::new(scenario).map_err(|why| PointsError::Load(scenario.name.clone(), why))?;
    let told = Told { begins: fleet.begins, evidence: fleet.evidence.clone(), vms: fleet.vms.clone() };
    let about = About { scenario: kept.hash.clone(), asked: asked.clone(), told };
    let sized = asked.changes.fleet(scenario, asked.seeds, Some(&about.told))?;
    let from_rows = FromRows::new(&kept, &sized, scenario.seed, asked, None, progress);
    let points = match search(&sized, asked, command, &from_rows) {
        Err(SizingError::Waiting) => from_rows.into_missing(),
        // A search without any full run needs no sweep: its plan has no points, and collecting finds the answer.
        Ok(_) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    Ok(Sketch {
        kind: Kind::Size,
        command: command.to_owned(),
        about: serde_json::to_value(about).map_err(PointsError::About)?,
        scenarios: vec![(kept, Arc::new(scenario.clone()), trace)],
        points,
    })
}

/// Goes on with a sizing from the rows that are there: the answer, or what is to be run next.
///
/// # Errors
/// A plan of another kind or version, or one that is damaged.
pub fn collect(
    plan: &mut Plan,
    rows: &Rows,
    threads: usize,
    progress: Progress<'_>,
) -> Result<(Collected, Standing), PointsError> {
    plan.check_version()?;
    let (folder, found) = (plan.folder().to_owned(), plan.kind());
    if found != Kind::Size {
        return Err(BadPlan::Kind { folder, found, wanted: Kind::Size }.into());
    }
    let standing = standing(plan, rows);
    if !standing.is_complete() {
        return Ok((Collected::Incomplete, standing));
    }
    let about: About = serde_json::from_value(plan.about().clone()).map_err(PointsError::About)?;
    let scenarios = plan.scenarios([&about.scenario])?;
    let kept = plan.kept().find(|kept| kept.hash == about.scenario).cloned();
    let (Some(scenario), Some(kept)) = (scenarios.get(&about.scenario), kept) else {
        return Ok((Collected::Incomplete, standing));
    };
    let mut asked = about.asked;
    asked.question.threads = threads;
    let fleet = asked.changes.fleet(scenario, asked.seeds, Some(&about.told))?;
    let from_rows = FromRows::new(&kept, &fleet, scenario.seed, &asked, Some(rows), progress);
    match search(&fleet, &asked, plan.command(), &from_rows) {
        Ok(answer) => Ok((Collected::Answer(Box::new(answer)), standing)),
        Err(SizingError::Waiting) => {
            let before = plan.points().len();
            plan.extend(from_rows.into_missing())?;
            Ok((Collected::More(plan.points().len() - before), standing))
        }
        Err(error) => Err(error.into()),
    }
}

/// How far a sizing is with the runs that are planned so far.
#[must_use]
pub fn standing(plan: &Plan, rows: &Rows) -> Standing {
    Standing::of(plan, rows, &mut |_, point, text| read(point, text).map(|_| ()))
}

fn search(fleet: &Fleet, asked: &Asked, command: &str, runs: &FromRows<'_>) -> Result<Answer, SizingError> {
    let Asked { question, changes, .. } = asked;
    size_with(fleet, question, changes.growth, changes.burst.is_some(), command, runs)
}

/// A row: what the VMs of a host went through.
fn read(point: &Point, text: &str) -> Result<HostOutcome, String> {
    let outcome: HostOutcome = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let vms = name::vms(point)?.len();
    if outcome.vms.len() == vms {
        Ok(outcome)
    } else {
        Err(format!("it is of {} VMs, and its point of {vms}", outcome.vms.len()))
    }
}

#[cfg(test)]
mod tests;
