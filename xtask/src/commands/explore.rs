//! `cargo xtask explore`: many seeds and schedules, with every invariant checked.

use std::num::NonZero;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use component_runtime::Driver;
use run_journal::EventsLevel;
use scenario::file::{LoadOptions, Setting};
use scenario::run::{self, Choices, RunError, RunOptions};

use super::bad_input;
use crate::output::{note, say, tell};

/// What to explore, and for how long.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Scenarios or scenario files; default: multi-vm, exhaustion and single-vm-ws2003r2
    scenarios: Vec<String>,
    /// How many runs
    #[arg(long, value_name = "N", conflicts_with = "minutes", value_parser = super::arguments::at_least_one::<NonZero<u64>>)]
    runs: Option<NonZero<u64>>,
    /// For how many minutes
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// The first seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The first schedule seed: the order of what may happen at the same instant; 0 is the ordinary order. Both seeds grow by one
    /// from run to run
    #[arg(long, value_name = "N", default_value_t = 0)]
    schedule_seed: u64,
    /// Balancing policy, in place of the files'
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// Set a key of every scenario's file, such as host.memory=48GB or vm.VM3.priority=80. Can be given several times
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    set: Vec<Setting>,
    /// End of each run in virtual time, in place of the files'
    #[arg(long, value_name = "DUR", value_parser = super::arguments::positive_duration)]
    until: Option<Duration>,
}

/// How many runs, if nothing is said.
const RUNS: u64 = 100;

#[derive(Clone, Debug)]
struct Failing {
    scenario: String,
    seed: u64,
    schedule_seed: u64,
    until: Duration,
    what: String,
}

/// Explores. Exit code 1 if a run fails.
#[expect(clippy::disallowed_methods, reason = "the time that the user gave, not that of a run")]
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let names = if args.scenarios.is_empty() {
        ["multi-vm", "exhaustion", "single-vm-ws2003r2"].map(str::to_owned).to_vec()
    } else {
        args.scenarios.clone()
    };
    if args.minutes.is_some_and(|minutes| !(minutes.is_finite() && minutes > 0.0)) {
        return Err(bad_input("--minutes must be more than 0"));
    }
    let options = LoadOptions { settings: args.set.clone(), ..LoadOptions::default() };
    let scenarios =
        names.iter().map(|name| super::scenario::load(name, &options)).collect::<Result<Vec<_>>>()?;
    let begin = std::time::Instant::now();
    let more = |done: u64| match args.minutes {
        Some(minutes) => begin.elapsed().as_secs_f64() < minutes * 60.0,
        None => done < args.runs.map_or(RUNS, NonZero::get),
    };
    let mut done = 0;
    // One run at least: none would have held nothing.
    while done == 0 || more(done) {
        let scenario = &scenarios[done as usize % scenarios.len()];
        let name = &names[done as usize % names.len()];
        let seed = args.seed + done / scenarios.len() as u64;
        let schedule_seed = args.schedule_seed + done / scenarios.len() as u64;
        let choices = Choices {
            seed: Some(seed),
            policy: args.policy.clone(),
            until: args.until,
            ..Choices::default()
        };
        if let Some(what) = attempt(scenario, &choices, schedule_seed)? {
            let until = args.until.unwrap_or(scenario.until);
            let found = Failing { scenario: name.clone(), seed, schedule_seed, until, what };
            note!(
                "{name}, seed {seed}, schedule seed {schedule_seed} fails; looking for the shortest such run"
            );
            let shortest = shorten(scenario, args.policy.as_ref(), found)?;
            tell!("{}", shortest.what);
            let mut same = format!(
                "{} --seed {} --schedule-seed {} --until {}",
                shortest.scenario,
                shortest.seed,
                shortest.schedule_seed,
                quantities::format_duration(shortest.until)
            );
            if let Some(policy) = &args.policy {
                same += &format!(" --policy {policy}");
            }
            say!("Repeat: cargo xtask explore {same} --runs 1");
            say!("With what happens: cargo xtask scenario {same} --driver inline --log info");
            return Ok(ExitCode::FAILURE);
        }
        done += 1;
    }
    tell!("{done} runs of {}: every invariant held", names.join(", "));
    Ok(ExitCode::SUCCESS)
}

/// Runs once; what went wrong, if something did.
fn attempt(
    scenario: &scenario::file::Scenario,
    choices: &Choices,
    schedule_seed: u64,
) -> Result<Option<String>> {
    let plan = super::scenario::plan(scenario, choices)?;
    let options = RunOptions {
        driver: Driver::Inline,
        schedule_seed: Some(schedule_seed),
        events: EventsLevel::None,
        check_guests: true,
        ..RunOptions::default()
    };
    match run::run(plan, options) {
        Ok(outcome) if outcome.end.panics.is_empty() => Ok(None),
        Ok(outcome) => {
            let panic = &outcome.end.panics[0];
            Ok(Some(format!("{} panicked at {}: {}", panic.component, panic.time, panic.message)))
        }
        Err(RunError::Invariant(what)) => Ok(Some(what)),
        Err(other) => Err(other.into()),
    }
}

/// The shortest time within which the run still fails, to the second, by bisection.
fn shorten(scenario: &scenario::file::Scenario, policy: Option<&String>, found: Failing) -> Result<Failing> {
    let (mut passes, mut shortest) = (Duration::ZERO, found);
    while shortest.until.saturating_sub(passes) > Duration::from_secs(1) {
        let middle = passes + (shortest.until - passes) / 2;
        let choices = Choices {
            seed: Some(shortest.seed),
            policy: policy.cloned(),
            until: Some(middle),
            ..Choices::default()
        };
        match attempt(scenario, &choices, shortest.schedule_seed)? {
            Some(what) => shortest = Failing { until: middle, what, ..shortest },
            None => passes = middle,
        }
    }
    Ok(shortest)
}
