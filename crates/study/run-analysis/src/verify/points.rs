//! A verification as points that can be run anywhere.

use std::sync::Arc;

use scenario::file::Scenario;
use serde::{Deserialize, Serialize};
use sweep::rows::Rows;
use sweep::standing::Standing;
use sweep::{BadPlan, Hash, Kept, Kind, Plan, Point, Runner, Settings, Sketch};

use super::change::Change;
use super::judge::Verdict;
use super::report::Report;
use super::suite::{Job, report, verdicts};

/// What a plan keeps of a verification.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    scenarios: Vec<Hash>,
    seeds: Vec<u64>,
}

/// The points of a verification, in the order of scenarios and seeds. `command` is what does the same on one machine.
///
/// # Errors
/// A scenario that a plan cannot keep.
pub fn sketch(scenarios: &[Scenario], seeds: &[u64], command: &str) -> Result<Sketch, String> {
    let mut kept = Vec::new();
    for scenario in scenarios {
        let (keep, trace) =
            Kept::new(scenario).map_err(|why| format!("{:?} cannot be planned: {why}", scenario.name))?;
        kept.push((keep, Arc::new(scenario.clone()), trace));
    }
    let point = |(keep, scenario, _): &(Kept, Arc<Scenario>, Option<String>), seed: u64| {
        Point::new(Settings {
            kind: Kind::Verify,
            version: sweep::version().to_owned(),
            scenario: keep.hash.clone(),
            name: keep.name.clone(),
            policy: None,
            parameters: Default::default(),
            seed,
            until: None,
            vm_seconds: scenario.until.as_secs() * scenario.vms.len() as u64,
        })
    };
    let points = kept.iter().flat_map(|kept| seeds.iter().map(move |&seed| point(kept, seed))).collect();
    let about =
        About { scenarios: kept.iter().map(|(keep, ..)| keep.hash.clone()).collect(), seeds: seeds.to_vec() };
    Ok(Sketch {
        kind: Kind::Verify,
        command: command.to_owned(),
        about: serde_json::to_value(about).map_err(|error| error.to_string())?,
        scenarios: kept,
        points,
    })
}

/// The report that a plan's rows come to, if all of them are there; and how far the sweep is. It is the report that [`verify`](super::verify()) makes.
///
/// # Errors
/// A plan of another kind or version, or one that is damaged.
pub fn collect(plan: &Plan, rows: &Rows) -> Result<(Option<Report>, Standing), BadPlan> {
    plan.check_version()?;
    let (folder, found) = (plan.folder().to_owned(), plan.kind());
    if found != Kind::Verify {
        return Err(BadPlan::Kind { folder, found, wanted: Kind::Verify });
    }
    let about: About = serde_json::from_value(plan.about().clone()).map_err(|error| BadPlan::Damaged {
        path: folder.join(sweep::PLAN_FILE),
        why: format!("what it says of its verification cannot be read: {error}"),
    })?;
    let loaded = plan.scenarios(&about.scenarios)?;
    let scenarios: Vec<Scenario> = about
        .scenarios
        .iter()
        .filter_map(|hash| loaded.get(hash))
        .map(|scenario| (**scenario).clone())
        .collect();
    let mut all = Vec::new();
    let standing = Standing::of(plan, rows, &mut |_, point, text| {
        let verdicts: Vec<Verdict> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let checks =
            loaded.get(&point.settings.scenario).map_or(0, |scenario| scenario.applicable_checks().count());
        if verdicts.len() != checks + 1 {
            return Err(format!("it has {} verdicts of {checks} checks and the invariants", verdicts.len()));
        }
        all.push(verdicts);
        Ok(())
    });
    let whole = standing.is_complete().then(|| report(&scenarios, &about.seeds, None, all));
    Ok((whole, standing))
}

/// Runs points of verifications.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verifier;

impl Runner for Verifier {
    fn run(&self, _: usize, point: &Point, scenario: &Scenario) -> Result<String, String> {
        let job = Job { scenario, seed: point.settings.seed, change: Change::None };
        serde_json::to_string(&verdicts(&job)).map_err(|error| error.to_string())
    }
}
