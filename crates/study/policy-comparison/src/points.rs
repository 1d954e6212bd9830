//! A comparison as points that can be run anywhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use policy_catalogue::PolicyError;
use scenario::file::{BadScenario, Scenario};
use scenario::run::Choices;
use serde::{Deserialize, Serialize};
use sweep::rows::Rows;
use sweep::standing::Standing;
use sweep::{BadPlan, Hash, Kept, Kind, Plan, Point, Runner, Sketch, Stuck};

use super::jobs::{self, Joined, Measuring, Ran, Weighed};
use super::row::Row;
use super::timed::{Clock, RoundBegan, Timing};
use super::{CompareError, Comparison, Contestant, Settings};

/// Name of the parameter that says how often a run is looked at.
const SAMPLE_INTERVAL: &str = "sample_interval";
/// Name of the parameter that says that a well-provisioned run is followed by that of the policy which is told of it.
const REGRET: &str = "regret";

/// What a plan keeps of a comparison's settings.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    policies: Vec<String>,
    loads: Vec<Hash>,
    seeds: Vec<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    sample_interval: Option<String>,
    regret: bool,
    /// Whether the program that planned has the solver for the front: its comparison on one machine has a front then, and what is collected has as well.
    front: bool,
}

/// Why a sweep is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The settings.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// The plan.
    #[error(transparent)]
    Plan(#[from] BadPlan),
    /// A policy that is not the project's own: another machine has none of that name.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A load that a plan cannot keep.
    #[error("the load {0:?} cannot be planned: {1}")]
    Load(String, String),
    /// A load of the plan.
    #[error(transparent)]
    Scenario(#[from] BadScenario),
    /// What the plan says of its comparison.
    #[error("what the plan says of its comparison cannot be read: {0}")]
    About(serde_json::Error),
    /// Rows from which this program cannot compute what the one that planned would have.
    #[error(
        "the plan was made by a program that draws the front between unmet demand and memory moved, and this one was built without the solver for that: \
         collect with the program that planned, or with one that is built with the feature `bound`"
    )]
    NoSolver,
}

/// The points of a comparison, in the order of loads, seeds and policies, with the well-provisioned run last. `command` is what does the same on one
/// machine.
///
/// # Errors
/// Settings that make no comparison, or a policy that is not the project's own.
pub fn sketch(settings: &Settings, command: &str) -> Result<Sketch, SweepError> {
    super::check(settings)?;
    for contestant in &settings.contestants {
        Contestant::named(contestant.text())?;
    }
    let mut scenarios = Vec::new();
    for load in &settings.loads {
        let (kept, trace) = Kept::new(load).map_err(|why| SweepError::Load(load.name.clone(), why))?;
        scenarios.push((kept, Arc::new(load.clone()), trace));
    }
    let (until, interval) = written(&settings.choices);
    let parameters: BTreeMap<String, String> =
        interval.iter().map(|interval| (SAMPLE_INTERVAL.to_owned(), interval.clone())).collect();
    let points = jobs::jobs(settings)?
        .into_iter()
        .map(|job| {
            let (kept, ..) = &scenarios[job.load];
            let mut parameters = parameters.clone();
            if job.contestant.is_none() && settings.regret {
                parameters.insert(REGRET.to_owned(), policy_catalogue::CLAIRVOYANT.to_owned());
            }
            Point::new(sweep::Settings {
                kind: Kind::Compare,
                version: sweep::version().to_owned(),
                scenario: kept.hash.clone(),
                name: kept.name.clone(),
                policy: job.contestant.map(|contestant| settings.contestants[contestant].name().to_owned()),
                parameters,
                seed: settings.seeds[job.seed],
                until: until.clone(),
                vm_seconds: job.cost,
            })
        })
        .collect();
    let about = About {
        policies: settings.contestants.iter().map(|contestant| contestant.text().to_owned()).collect(),
        loads: scenarios.iter().map(|(kept, ..)| kept.hash.clone()).collect(),
        seeds: settings.seeds.clone(),
        until,
        sample_interval: interval,
        regret: settings.regret,
        front: cfg!(feature = "bound"),
    };
    Ok(Sketch {
        kind: Kind::Compare,
        command: command.to_owned(),
        about: serde_json::to_value(about).map_err(SweepError::About)?,
        scenarios,
        points,
    })
}

fn written(choices: &Choices) -> (Option<String>, Option<String>) {
    (choices.until.map(quantities::format_duration), choices.sample_interval.map(quantities::format_duration))
}

fn read(until: Option<&str>, interval: Option<&str>) -> Result<Choices, String> {
    let duration = |text: Option<&str>| -> Result<Option<Duration>, String> {
        text.map(quantities::parse_duration).transpose().map_err(|error| error.to_string())
    };
    Ok(Choices { until: duration(until)?, sample_interval: duration(interval)?, ..Choices::default() })
}

/// The settings that a plan was made of, and whether what is collected has a front.
fn settings(plan: &Plan) -> Result<(Settings, bool), SweepError> {
    if plan.kind() != Kind::Compare {
        let (folder, found) = (plan.folder().to_owned(), plan.kind());
        return Err(BadPlan::Kind { folder, found, wanted: Kind::Compare }.into());
    }
    let about: About = serde_json::from_value(plan.about().clone()).map_err(SweepError::About)?;
    let scenarios = plan.scenarios(&about.loads)?;
    let loads = about.loads.iter().filter_map(|hash| scenarios.get(hash)).map(|load| (**load).clone());
    let contestants = about.policies.iter().map(|name| Contestant::named(name));
    let contestants = contestants.collect::<Result<_, _>>()?;
    let choices = read(about.until.as_deref(), about.sample_interval.as_deref())
        .map_err(|why| SweepError::About(serde::de::Error::custom(why)))?;
    let settings = Settings::new(contestants, loads.collect());
    Ok((Settings { seeds: about.seeds, choices, regret: about.regret, ..settings }, about.front))
}

/// The comparison that a plan's rows come to, if all of them are there; and how far the sweep is.
///
/// It is the comparison that [`compare`](super::compare()) makes of the same settings on one machine, to the byte, but for what rounds cost in real time.
///
/// # Errors
/// A plan of another kind or version, one that is damaged, or one that takes a solver which this program has not.
pub fn collect(plan: &Plan, rows: &Rows) -> Result<(Option<Comparison>, Standing), SweepError> {
    plan.check_version()?;
    let (settings, front) = settings(plan)?;
    if settings.regret && front && !cfg!(feature = "bound") {
        return Err(SweepError::NoSolver);
    }
    let jobs = jobs::jobs(&settings)?;
    let mut joined = Joined::new(&settings);
    let standing = Standing::of(plan, rows, &mut |place, _, text| {
        let job = jobs.get(place).ok_or_else(|| "its point is none of the comparison's".to_owned())?;
        let row = Row::read(text, settings.loads[job.load].vms.len())?;
        if row.best.is_some() != (job.contestant.is_none() && settings.regret) {
            return Err("it is of a comparison with another choice of regret".to_owned());
        }
        joined.add(*job, Weighed::new(*job, row, front));
        Ok(())
    });
    let comparison =
        standing.is_complete().then(|| Comparison::of(&settings, &joined.measured(&settings, Vec::new())));
    Ok((comparison, standing))
}

/// Runs points of comparisons.
#[derive(Debug)]
pub struct Measurer {
    lanes: Vec<Lane>,
    clock: Clock,
    patience: Duration,
}

#[derive(Debug, Default)]
struct Lane {
    policy: Mutex<String>,
    began: Arc<RoundBegan>,
}

impl Measurer {
    /// For so many threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let lanes = (0..threads.max(1)).map(|_| Lane::default()).collect();
        Self { lanes, clock: Clock::start(), patience: super::PATIENCE }
    }
}

impl Runner for Measurer {
    fn run(&self, lane: usize, point: &Point, scenario: &Scenario) -> Result<String, String> {
        let settings = &point.settings;
        let contestant = settings.policy.as_deref().map(Contestant::named).transpose();
        let contestant = contestant.map_err(|error| error.to_string())?;
        let interval = settings.parameters.get(SAMPLE_INTERVAL).map(String::as_str);
        let choices = read(settings.until.as_deref(), interval)?;
        let lane = self.lanes.get(lane).ok_or_else(|| "more threads than were planned for".to_owned())?;
        *lane.policy.lock() = settings.policy.clone().unwrap_or_default();
        let measuring = Measuring {
            timing: Arc::new(Timing::default()),
            began: Arc::clone(&lane.began),
            clock: self.clock,
            done: Arc::new(AtomicU64::new(0)),
        };
        let regret = settings.parameters.contains_key(REGRET);
        let ran = contestant.as_ref().map_or(Ran::WellProvisioned { regret }, Ran::Contestant);
        let row = jobs::run_one(scenario, settings.seed, &choices, ran, &measuring);
        row.map_err(|error| error.to_string())?.text().map_err(|error| error.to_string())
    }

    fn stuck(&self) -> Option<Stuck> {
        let now = self.clock.now_ns();
        let endless = |lane: &Lane| {
            let began = lane.began.0.load(Ordering::Relaxed);
            began != 0 && Duration::from_nanos(now.saturating_sub(began)) >= self.patience
        };
        let lane = self.lanes.iter().position(endless)?;
        let policy = self.lanes[lane].policy.lock().clone();
        let patience = quantities::format_duration(self.patience);
        let why = format!(
            "policy {policy:?} has been in one round for more than {patience} and cannot be interrupted"
        );
        Some(Stuck { lane, why })
    }
}
